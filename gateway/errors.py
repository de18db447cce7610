"""Defines the gateway's errors.

GatewayError
├── SettingsError          a setting that is unknown, unreadable or out of its range
├── PeerProtocolError      a peer broke the protocol; ends one leg
├── OfferError             a browser's WebRTC offer that is not accepted
├── CarrierError           the carrier refused or could not be reached; `retryable`
├── PaymentError           the payment service refused or could not be reached; `retryable`
├── RequestRefusedError    a request that a person can correct; becomes problem+json
│   └── TooFastError       a request that a velocity limit refuses
└── UnexpectedEventError   a bug of ours; the event is logged and ignored, the call goes on
"""

from __future__ import annotations

from datetime import datetime

from gateway.cause import CarrierRefusal, Cause
from gateway.problems import PROBLEMS


class GatewayError(Exception):
    """Root of the tree; `code` is stable and public."""

    code = "gateway_error"


class SettingsError(GatewayError):
    """A setting with which the gateway does not start; the message names it."""

    code = "bad_setting"


class PeerProtocolError(GatewayError):
    """A peer sent what the protocol does not allow."""

    code = "bad_message"

    def __init__(self, message: str, *, close_code: int = 4400) -> None:
        super().__init__(message)
        self.close_code = close_code


class OfferError(GatewayError):
    """A WebRTC offer that is not accepted; `code` is a key of `OFFER_REFUSALS`."""

    code = "bad_offer"

    def __init__(self, code: str) -> None:
        super().__init__(OFFER_REFUSALS[code])
        self.code = code


OFFER_REFUSALS: dict[str, str] = {
    "malformed": "The offer is not SDP.",
    "too_long": "The offer is too long.",
    "no_audio": "The offer has no audio.",
    "no_pcmu": "The offer has no PCMU.",
    "no_ice": "The offer has no ICE credentials.",
    "no_fingerprint": "The offer has no SHA-256 fingerprint.",
    "no_rtcp_mux": "The offer does not put RTCP beside RTP.",
    "bad_setup": "The offer does not leave the passive end of DTLS to us.",
    "other_peer": "The offer is of another browser.",
    "session_ended": "The WebRTC session has ended.",
    "not_ready": "The call is not ready for an offer; offer again after `ready`.",
    "webrtc_off": "WebRTC is not offered here.",
    "sessions_full": "The gateway takes no more WebRTC sessions.",
    "pending_full": "Too many WebRTC sessions are being set up.",
    "source_full": "Too many WebRTC sessions of yours are being set up.",
}
"""Why an offer is not accepted, for a person."""


class CarrierError(GatewayError):
    """The carrier refused, failed or could not be reached."""

    code = "carrier_error"

    def __init__(
        self,
        message: str,
        *,
        cause: Cause,
        retryable: bool = False,
        ambiguous: bool = False,
        refusal: CarrierRefusal | None = None,
        status: int = 0,
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.retryable = retryable
        """The request was certainly not carried out and may be sent again."""
        self.ambiguous = ambiguous
        """The request may have been carried out although no answer came."""
        self.refusal = refusal
        """What the carrier answered; None where it gave no answer."""
        self.status = status

    @property
    def carrier_code(self) -> int:
        """The carrier's own code; 0 for none."""
        return 0 if self.refusal is None else self.refusal.code

    @property
    def carrier_text(self) -> str:
        """The carrier's own words; they name no number of a person."""
        return "" if self.refusal is None else self.refusal.text


class PaymentError(GatewayError):
    """The payment service refused, failed or could not be reached."""

    code = "payment_error"

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        service_code: str = "",
        status: int = 0,
        payment_intent_id: str = "",
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        """Whether the same request, with the same idempotency key, may work later."""
        self.service_code = service_code
        """The service's own word, such as `resource_missing`; a card's decline code if it was
        declined."""
        self.status = status
        self.payment_intent_id = payment_intent_id
        """The intent that a declined card was for."""

    @property
    def is_missing(self) -> bool:
        """Whether the service knows no such object."""
        return self.service_code == "resource_missing"

    @property
    def is_key_in_use(self) -> bool:
        """Whether a request with the same idempotency key is still being answered."""
        return self.service_code == "idempotency_key_in_use"

    @property
    def is_key_spent(self) -> bool:
        """Whether the idempotency key belongs to another request, or only repeats a failure.

        The key will give no other answer, and does not say what became of the first request: the
        service must be asked.
        """
        return self.service_code in {"idempotency_error", "failure_replayed"}

    @property
    def is_refusal(self) -> bool:
        """Whether the service has refused for good, and has done nothing."""
        return not (self.retryable or self.is_key_in_use or self.is_key_spent)


class UnexpectedEventError(GatewayError):
    """An event that the transition table does not allow in the call's state."""

    code = "unexpected_event"

    def __init__(self, state: str, event: str) -> None:
        super().__init__("An event that this state of the call does not allow.")
        self.state = state
        self.event = event


class FormSentBeforeError(GatewayError):
    """The form of a page was received before, and what it asks for was done then."""

    code = "form_sent_before"


class RequestRefusedError(GatewayError):
    """A request refused for a reason its sender can act on; `code` is a key of `PROBLEMS`."""

    def __init__(
        self,
        code: str,
        *,
        field: str = "",
        scope: str = "",
        retry_after_s: int = 0,
        opens_at: datetime | None = None,
        reason: str = "",
    ) -> None:
        # The text is static: what it is about goes into fields, and no number or token into a log.
        super().__init__(PROBLEMS[code].message)
        self.code = code
        self.field = field
        self.scope = scope
        """The scope that the key lacks; empty for other refusals."""
        self.retry_after_s = retry_after_s
        """When the same request may succeed; 0 if unknown."""
        self.reason = reason
        """A word for what is wrong with the field; empty where the code says all."""
        self.opens_at = opens_at
        """When a button opens that is closed; None if that is not known, or not the reason."""


def frozen_account(*, restricted: bool) -> RequestRefusedError:
    """Return the refusal of a frozen account: whoever restricted their own can end that."""
    return RequestRefusedError("account_restricted" if restricted else "account_frozen")


class TooFastError(RequestRefusedError):
    """A request that a velocity limit refuses."""

    def __init__(
        self,
        code: str,
        *,
        retry_after_s: int = 0,
        limit: str = "",
        amount: int = 0,
        window_s: int = 0,
    ) -> None:
        super().__init__(code, retry_after_s=retry_after_s)
        self.limit = limit
        """Name of the limit, of so many uses within a window; empty where it counts no requests."""
        self.amount = amount
        self.window_s = window_s


# Exit codes of commands; `docs/operations.md` says what an operator does about each.

EXIT_FINDINGS = 1
"""The command did its work and found something that is wrong."""
EXIT_SETTINGS = 2
"""The settings or the arguments must be corrected."""
EXIT_UNAVAILABLE = 3
"""A service or an address was not available, or a service refused us."""
EXIT_INTERRUPTED = 130
"""Ctrl-C, in the convention of shells: 128 plus the signal's number."""
EXIT_CRASHED = 70
"""The program itself is wrong (EX_SOFTWARE of sysexits.h)."""
