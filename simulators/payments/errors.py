"""Defines the refusals of the simulated payment service, in Stripe's words.

    PaymentSimulatorError
      PaymentSimulatorSettingsError   a knob is out of bounds
      ApiError                        a request answered with Stripe's error envelope

Types and codes: https://docs.stripe.com/api/errors, https://docs.stripe.com/error-codes
"""

from __future__ import annotations

INVALID_REQUEST = "invalid_request_error"
CARD_ERROR = "card_error"
IDEMPOTENCY_ERROR = "idempotency_error"
API_ERROR = "api_error"


class PaymentSimulatorError(Exception):
    """Root of everything the simulated payment service raises."""


class PaymentSimulatorSettingsError(PaymentSimulatorError):
    """A setting is out of bounds."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"{name} {rule}")
        self.name = name


class ApiError(PaymentSimulatorError):
    """A request that is answered with Stripe's error envelope.

    Args:
        message: what went wrong, for a developer to read.
        status: the HTTP status.
        type: one of Stripe's error types.
        details: further members of the envelope: code, param, decline_code, payment_intent.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = INVALID_REQUEST,
        **details: object,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.details = details

    def envelope(self) -> dict[str, object]:
        """Return the body of the reply."""
        # Stripe leaves absent members out of the envelope, where objects would have null.
        present = {name: value for name, value in self.details.items() if value is not None}
        return {"error": {"type": self.type, "message": self.message, **present}}


def missing(kind: str, object_id: str, param: str = "id") -> ApiError:
    """Return the refusal of an identifier that nothing has."""
    # Cut off: the identifier is what the client sent, of any length.
    return ApiError(
        f"No such {kind}: '{object_id[:100]}'", status=404, code="resource_missing", param=param
    )
