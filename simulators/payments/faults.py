"""Injects faults on demand, in requests and in deliveries.

Pure: the shells ask which fault applies and carry it out.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

DUPLICATES_MAX: Final = 10
_LONGEST_S: Final = 600.0
_OLDEST_S: Final = 30 * 86400.0


class RequestFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How API requests are disturbed."""

    status: int = 0
    """HTTP status to answer with instead of doing anything; 0 does what was asked."""
    is_kept: bool = False
    """Whether the request is carried out before it fails with the status, and its idempotency key
    gives that failure from then on (https://docs.stripe.com/api/idempotent_requests)."""
    count: int = 1
    """How many requests are disturbed."""
    method: str = ""
    """Only requests with this method; empty: all."""
    path: str = ""
    """Only requests whose path begins so, such as `/v1/refunds`."""
    hold_s: float = 0.0
    """How long the reply is kept back after the request was carried out, unless the plan changes
    before; its idempotency key stays in use meanwhile."""


class DeliveryFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How webhooks are disturbed."""

    drop: tuple[str, ...] = ()
    """Types of event that are never delivered; `*` is all."""
    duplicate: int = 0
    """How many further times each event is delivered."""
    fail_every: int = 0
    """Each attempt whose number is a multiple arrives, but counts as answered with 500; 0: none."""
    lose_every: int = 0
    """Each attempt whose number is a multiple does not arrive; 0: none."""
    delay_s: float = 0.0
    shuffle_s: float = 0.0
    """Each delivery waits for a while of its own, up to this: they arrive in any order."""
    signature_age_s: float = 0.0
    """How old a signature claims to be; negative: it comes from the future."""


class FaultPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All faults to inject from now on; the body of `PUT /simulator/v1/faults`."""

    requests: RequestFault | None = None
    deliveries: DeliveryFault = DeliveryFault()


class Faults:
    """The plan in force, and how much of it is used up."""

    def __init__(self) -> None:
        self.plan = FaultPlan()
        self.over = asyncio.Event()
        """Set when the plan is replaced: the replies that it holds back are then sent."""
        self._requests_left = 0
        self._attempts = 0

    def replace(self, plan: FaultPlan) -> None:
        """Put a new plan in force; counting starts again."""
        self.plan = plan
        # Requests that wait have taken the old event; later ones wait for the new.
        self.over.set()
        self.over = asyncio.Event()
        self._requests_left = plan.requests.count if plan.requests is not None else 0
        self._attempts = 0

    def request(self, method: str, path: str) -> RequestFault | None:
        """Return the fault that this request meets, using it up once."""
        fault = self.plan.requests
        if fault is None or self._requests_left <= 0:
            return None
        if fault.method not in ("", method) or not path.startswith(fault.path):
            return None
        # Only a request that it applies to uses it up.
        self._requests_left -= 1
        return fault

    def drops(self, event_type: str) -> bool:
        """Return whether events of this type are never delivered."""
        return not {event_type, "*"}.isdisjoint(self.plan.deliveries.drop)

    def attempt(self) -> tuple[bool, bool]:
        """Count one attempt to deliver; return whether it is lost, and whether it fails."""
        # All events and repetitions count together: "every third attempt" is every third on the
        # wire.
        self._attempts += 1
        fault = self.plan.deliveries
        lost = bool(fault.lose_every) and self._attempts % fault.lose_every == 0
        failed = bool(fault.fail_every) and self._attempts % fault.fail_every == 0
        return lost, failed


def parse_plan(body: bytes) -> FaultPlan:
    """Return the plan in a JSON body.

    Raises:
        ValueError: the body is not a fault plan, or a number is out of bounds.
    """
    plan = msgspec.json.decode(body, type=FaultPlan)
    requests, deliveries = plan.requests, plan.deliveries
    if requests is not None:
        if requests.status and not 400 <= requests.status <= 599:
            raise ValueError("requests.status must be 0 or between 400 and 599")
        if not 0 <= requests.hold_s <= _LONGEST_S:
            raise ValueError("requests.hold_s is out of bounds")
    for name in ("delay_s", "shuffle_s"):
        if not 0 <= getattr(deliveries, name) <= _LONGEST_S:
            raise ValueError(f"deliveries.{name} is out of bounds")
    if not 0 <= deliveries.duplicate <= DUPLICATES_MAX:
        raise ValueError(f"deliveries.duplicate must be between 0 and {DUPLICATES_MAX}")
    if min(deliveries.fail_every, deliveries.lose_every) < 0:
        raise ValueError("deliveries.fail_every and lose_every must not be negative")
    # Either sign: a receiver must refuse signatures from the future as well as old ones.
    if not abs(deliveries.signature_age_s) <= _OLDEST_S:
        raise ValueError("deliveries.signature_age_s is out of bounds")
    return plan
