"""Shows one call to its account, in the API and in webhooks. Pure conversions."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal, TypeVar

import msgspec

from billing.call_feedback import Feedback
from billing.cdr import CallClosed, CallOpened, CallRecord, LegQuality, shown_in
from billing.figures import Shown
from gateway.browser import messages as wire
from gateway.browser.reports import money
from gateway.cause import Cause
from gateway.ports import LiveCall

_View = TypeVar("_View", bound=msgspec.Struct)
_MEASURED: Final = shown_in(Shown.API)


def _with_figures(view: type[_View]) -> type[_View]:
    """Return the struct with the measured figures that the API shows, before those of the legs.

    A field with a default factory would lose it; there is none.
    """
    fields: list[tuple[str, Any, Any]] = [
        (each.name, each.type, msgspec.field(default=each.default))
        for each in msgspec.structs.fields(view)
    ]
    legs = next(index for index, (name, _, _) in enumerate(fields) if name == "browser")
    fields[legs:legs] = [(each.name, each.type, None) for each in _MEASURED]
    made: type[_View] = msgspec.defstruct(  # type: ignore[assignment]
        view.__name__,
        fields,
        namespace={"__doc__": view.__doc__, "__qualname__": view.__qualname__},
        module=view.__module__,
        kw_only=True,
    )
    return made


@_with_figures
class CallView(msgspec.Struct, kw_only=True):
    """One call as the API shows it. Times are RFC 3339 in UTC."""

    id: str
    state: Literal["live", "settling", "ended"]
    """`settling`: the call has ended and its record is still being written."""
    destination: str
    country: str
    codec: str
    node: str
    created_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    seconds: int = 0
    cost: wire.Money | None
    """What a live call has used or an ended one was charged, never what is held; null while a call
    is settling."""
    cause: int | None = None
    cause_name: str | None = None
    cause_message: str | None = None
    ended_by: str | None = None
    carrier_call_id: str | None = None
    browser: LegQuality | None = None
    carrier: LegQuality | None = None
    feedback: Feedback | None = None
    """What the caller said about it."""


def _view(opened: CallOpened, **fields: Any) -> CallView:
    return CallView(
        id=opened.call_id,
        destination=opened.destination,
        country=opened.country,
        codec=opened.codec,
        node=opened.node,
        created_at=opened.created_at,
        **fields,
    )


def live_view(call: LiveCall) -> CallView:
    """Show a call that a node has: live, or ended but not settled."""
    view = _view(
        call.opened,
        state="live",
        answered_at=call.answered_at,
        seconds=call.seconds,
        cost=money(call.cost_micros, call.opened.currency),
        carrier_call_id=call.carrier_call_id or None,
    )
    # Ended but not settled: the carrier has not confirmed the end, so the price may still change
    # and is not shown.
    if call.ended_at is not None:
        cause = call.cause or Cause.NORMAL_TEMPORARY_FAILURE
        view.state, view.cost, view.ended_at = "settling", None, call.ended_at
        view.cause, view.cause_name, view.cause_message = cause, cause.name, cause.message
        view.ended_by = call.ended_by
    return view


def unbooked_view(record: CallRecord, *, is_own: bool) -> CallView:
    """Show a call by a record whose end is not booked.

    One that this node began and no longer has is over; one of another node may be live.
    """
    used = money(record.cost_micros, record.opened.currency)
    return _view(
        record.opened,
        # This node keeps its calls in memory while they live, so a missing one has ended.
        state="settling" if is_own else "live",
        seconds=record.used_s,
        # The price of the confirmed seconds; the row's spent amount is the hold.
        cost=None if is_own else used,
    )


def ended_view(record: CallRecord, closed: CallClosed) -> CallView:
    """Show a call by its record and its end."""
    return _view(
        record.opened,
        state="ended",
        answered_at=closed.answered_at,
        ended_at=closed.ended_at,
        seconds=closed.seconds,
        cost=money(record.cost_micros, record.opened.currency),
        cause=closed.cause,
        cause_name=closed.cause_name,
        # The text is not stored with the record: wording may change, Q.850 numbers do not.
        cause_message=Cause(closed.cause).message,
        ended_by=closed.ended_by,
        carrier_call_id=closed.carrier_call_id or None,
        browser=closed.browser,
        carrier=closed.carrier,
        feedback=record.feedback,
        **{figure.name: getattr(closed, figure.name) for figure in _MEASURED},
    )
