"""Defines the settings of the simulated payment service: unit, default, bound.

Reads no environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from simulators.payments.errors import PaymentSimulatorSettingsError

_BOUNDS: dict[str, tuple[float, float]] = {
    "port": (0, 65535),
    "bank_delay_s": (0, 86400),
    "webhook_timeout_s": (0.05, 60),
    "objects_kept": (10, 1_000_000),
    "events_kept": (10, 1_000_000),
    "keys_kept": (10, 1_000_000),
}
RETRIES_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSimulatorSettings:
    """Describes one simulated Stripe account, and how long things take in it."""

    api_key: str = field(repr=False)
    """Secret key of the API and of the control API."""
    webhook_secret: str = field(default="", repr=False)
    """Signs every webhook; needed when there is a `webhook_url`."""
    webhook_url: str = ""
    """Where events are sent; if empty they are only kept."""
    host: str = "127.0.0.1"
    """Bound address; anyone who reaches it can pay."""
    port: int = 0
    """0 lets the system choose; read `PaymentSimulatorService.origin`."""
    listener: int | None = None
    """Descriptor of a socket that listens already, which is used instead of opening the port."""
    public_origin: str = ""
    """How a browser reaches the hosted page; empty: at the bound address."""
    seed: int = 0
    """Identifiers follow from it: the same seed and the same requests give the same ones."""
    bank_delay_s: float = 8.0
    """From a payment by bank debit until its money arrives, and until its refund does."""
    webhook_timeout_s: float = 10.0
    """How long a receiver may take for its reply."""
    webhook_retries_s: tuple[float, ...] = (1, 5, 30, 120, 600, 3600, 3 * 3600, 12 * 3600)
    """Pauses before each further attempt to deliver an event; then it counts as failed."""
    objects_kept: int = 10_000
    """Objects of a kind; the oldest that are finished go first."""
    events_kept: int = 10_000
    keys_kept: int = 10_000
    """Idempotency keys; each for 24 hours at most."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense, naming the knob."""
        if not self.api_key:
            raise PaymentSimulatorSettingsError("api_key", "must not be empty")
        # A receiver checks signatures, so that there must be something to sign with.
        if self.webhook_url and not self.webhook_secret:
            raise PaymentSimulatorSettingsError("webhook_secret", "must not be empty")
        # Stripe gives an event up after three days of attempts.
        if not all(0 <= pause <= 86400 * 3 for pause in self.webhook_retries_s):
            raise PaymentSimulatorSettingsError(
                "webhook_retries_s", "must be up to three days each"
            )
        if len(self.webhook_retries_s) > RETRIES_MAX:
            raise PaymentSimulatorSettingsError("webhook_retries_s", "are too many")
        for name, (low, high) in _BOUNDS.items():
            if not low <= getattr(self, name) <= high:
                raise PaymentSimulatorSettingsError(name, f"must be between {low} and {high}")
