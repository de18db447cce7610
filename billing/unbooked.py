"""Reads the record of an ended call from an outbox, before the book has it. Knows no store."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from billing.cdr import CallRecord
from billing.outbox import BookedCall, fold
from billing.ports import OutboxEntry


def ended_in(entries: Iterable[OutboxEntry], account_id: str, call_id: str) -> CallRecord | None:
    """Return the record that the book will have of an account's call.

    None unless both its opening and its end are among the entries.
    """
    change = fold(entries).changes.get(call_id)
    if change is None or change.account_id != account_id:
        return None
    if change.opened is None or change.ending is None:
        return None
    call = BookedCall(account_id).advanced_by(change)
    return CallRecord(
        opened=change.opened,
        closed=msgspec.structs.replace(
            change.ending.detail,
            seconds=call.seconds,
            answered_at=call.answered_at,
            carrier_call_id=call.carrier_call_id,
        ),
        cost_micros=call.spent_micros,
        written_off_micros=change.ending.written_off_micros,
        used_s=call.seconds,
    )
