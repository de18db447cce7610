"""Shows alarms to operators: in the API and on the live page. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from gateway.watching.alarm_desk import AlarmOrder
from gateway.watching.alarms import Alarm, action_of


class AlarmView(msgspec.Struct, frozen=True, kw_only=True):
    """An active alarm."""

    name: str
    """Used to acknowledge and silence it."""
    rule: str
    subject: str
    title: str
    action: str
    """What to do first."""
    value: float
    """The current value, in `unit`; the title includes it."""
    unit: str
    since: datetime
    state: Literal["raised", "acknowledged", "silenced"]
    by: str
    """Who acknowledged or silenced it, and why; empty if no one did."""
    reason: str
    until: datetime | None
    """When a silence ends."""


def alarm_views(
    alarms: Sequence[Alarm], orders: Mapping[str, AlarmOrder], now_s: float
) -> list[AlarmView]:
    """Return alarms with the orders on them, oldest first."""
    return [_view(alarm.as_now(), orders.get(alarm.name), now_s) for alarm in alarms]


def _view(alarm: Alarm, order: AlarmOrder | None, now_s: float) -> AlarmView:
    if order is not None and not order.holds(now_s):
        order = None
    until_s = None if order is None else order.until_s
    return AlarmView(
        name=alarm.name,
        rule=alarm.rule,
        subject=alarm.subject,
        title=alarm.title,
        action=action_of(alarm),
        value=alarm.value,
        unit=alarm.unit,
        since=datetime.fromtimestamp(alarm.since_s, UTC),
        state="raised" if order is None else order.kind,
        by="" if order is None else order.by,
        reason="" if order is None else order.reason,
        until=None if until_s is None else datetime.fromtimestamp(until_s, UTC),
    )
