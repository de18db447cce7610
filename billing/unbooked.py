"""Reads the records of ended calls from an outbox, before the book has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from billing.cdr import CallRecord
from billing.outbox import BookedCall, CallChange, fold
from billing.ports import OutboxEntry


def ended_in(entries: Iterable[OutboxEntry], account_id: str) -> Mapping[str, CallRecord]:
    """Return the records that the book will have of an account's calls, by call id.

    Only of calls whose opening and whose end are both among the entries.
    """
    owner = account_id.encode()
    # Nothing is read of others' calls. Seconds that were confirmed name no owner; an end says more.
    changes = fold(entry for entry in entries if entry.fields.get("a") == owner).changes
    found = {call_id: _record(account_id, change) for call_id, change in changes.items()}
    return {call_id: record for call_id, record in found.items() if record is not None}


def _record(account_id: str, change: CallChange) -> CallRecord | None:
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
