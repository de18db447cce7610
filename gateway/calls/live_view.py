"""Takes the snapshot of a call that other packages and processes see."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from gateway.calls.bridge import Bridge
from gateway.ports import LiveCall

VIEWED_AT_ONCE: Final = 25
"""Calls viewed before the loop gets a turn: a tenth of a millisecond."""


def live_view(call: Bridge) -> LiveCall:
    """Return a snapshot of a call."""
    seconds, cost_micros = call.used()
    date = call.wall.date_or_none
    return LiveCall(
        opened=call.opened,
        answered_at=date(call.call.answered_ns),
        ended_at=date(call.call.ended_ns),
        seconds=seconds,
        cost_micros=cost_micros,
        unused_micros=call.charge.unused_micros,
        carrier_call_id=call.call.carrier_call_id,
        cause=call.call.cause,
        ended_by=call.call.ended_by,
    )


async def live_views(
    calls: Iterable[Bridge], account_id: str | None, since: datetime | None
) -> Sequence[LiveCall]:
    """Return snapshots of an account's calls (None: all accounts'), or only those since a time.

    A few at a time, so that frames do not wait when all are asked for.
    """
    theirs = [
        call
        for call in calls
        if account_id in {None, call.account_id}
        and (since is None or call.opened.created_at >= since)
    ]
    found = list[LiveCall]()
    for call in theirs:
        found.append(live_view(call))
        if len(found) % VIEWED_AT_ONCE == 0:
            await asyncio.sleep(0)
    return found
