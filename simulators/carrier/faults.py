"""Injects faults on demand, each a given number of times.

Pure: the shells ask which fault applies and carry it out.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Operation = Literal["create", "fetch", "update", "list", "any"]
_LONGEST_S = 600.0


class RestFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How REST requests are disturbed."""

    status: int = 0
    """HTTP status to answer with instead of doing anything; 0 does what was asked."""
    count: int = 1
    """How many requests are disturbed."""
    operation: Operation = "any"
    hold_s: float = 0.0
    """How long the reply is kept back after the request was carried out."""


class CallbackFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How status callbacks are disturbed."""

    drop: tuple[str, ...] = ()
    """Events never delivered: initiated, ringing, answered, completed."""
    delay_s: float = 0.0
    duplicate: bool = False
    """Each is delivered twice, with the same idempotency token."""
    reorder: bool = False
    """Each pair is delivered in the wrong order."""

    def merged(self, other: CallbackFault) -> CallbackFault:
        """Return both faults at once; the longer delay counts."""
        return CallbackFault(
            drop=(*self.drop, *other.drop),
            delay_s=max(self.delay_s, other.delay_s),
            duplicate=self.duplicate or other.duplicate,
            reorder=self.reorder or other.reorder,
        )


NO_FAULT: Final = CallbackFault()


class FaultPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All faults to inject from now on; the body of `PUT /simulator/v1/faults`."""

    rest: RestFault | None = None
    callbacks: CallbackFault = NO_FAULT


class Faults:
    """The plan in force, and how much of it is used up."""

    def __init__(self) -> None:
        self.plan = FaultPlan()
        self._rest_left = 0

    def replace(self, plan: FaultPlan) -> None:
        """Put a new plan in force; counting starts again."""
        self.plan = plan
        self._rest_left = plan.rest.count if plan.rest is not None else 0

    def rest(self, operation: str) -> RestFault | None:
        """Return the fault that this REST request meets, using it up once."""
        fault = self.plan.rest
        if fault is None or self._rest_left <= 0:
            return None
        if fault.operation not in ("any", operation):
            return None
        # Only a request that it applies to uses it up.
        self._rest_left -= 1
        return fault


def parse_plan(body: bytes) -> FaultPlan:
    """Return the plan in a JSON body.

    Raises:
        ValueError: the body is not a fault plan, or a number is out of bounds.
    """
    plan = msgspec.json.decode(body, type=FaultPlan)
    if plan.rest is not None:
        if plan.rest.status and not 400 <= plan.rest.status <= 599:
            raise ValueError("rest.status must be 0 or between 400 and 599")
        if not 0 <= plan.rest.hold_s <= _LONGEST_S:
            raise ValueError("rest.hold_s is out of bounds")
    if not 0 <= plan.callbacks.delay_s <= _LONGEST_S:
        raise ValueError("callbacks.delay_s is out of bounds")
    return plan
