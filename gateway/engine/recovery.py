"""Settles what an earlier run of this node left open, before the node takes new calls.

A call that its node did not close is charged for the seconds that the spend gate had confirmed.
The carrier has ended its leg already: its media socket was lost, and what follows it is a hang-up.
Knows no socket.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec

from billing.cdr import CallClosed
from billing.ports import CdrStore, Closing, LedgerStore, SpendGate
from billing.rating import Rate
from gateway.cause import Cause

log = logging.getLogger(__name__)


Drain = Callable[[], Awaitable[int]]
"""Books what waits in the outbox; the book of record must be up to date before it is read."""


async def fill_gate(gate: SpendGate, ledger: LedgerStore, partitions: int, drain: Drain) -> int:
    """Fill the partitions of an empty spend gate from the book of record; return how many."""
    empty = [p for p in range(partitions) if not await gate.is_ready(p)]
    if empty:
        await drain()
    for partition in empty:
        await gate.rebuild(partition, await ledger.partition_state(partition, partitions))
    return len(empty)


async def bring_credits(gate: SpendGate, ledger: LedgerStore, account_id: str) -> None:
    """Bring the credits that the book of record has and the spend gate has not."""
    known = await gate.credit_sequence(account_id)
    while page := await ledger.credits_after(account_id, known):
        for sequence, micros in page:
            await gate.credit(account_id, sequence, micros)
            known = sequence


async def settle_orphans(gate: SpendGate, records: CdrStore, node: str, drain: Drain) -> int:
    """Close the calls that this node holds open and no longer has; return how many."""
    orphans = await gate.open_calls(node)
    if orphans:
        await drain()
    for call_id, account_id, held_micros, seconds in orphans:
        record = await records.get(account_id, call_id)
        price = held_micros
        if record is not None:
            price = Rate.from_json(record.opened.rate).cost(seconds)
        detail = CallClosed(
            ended_at=datetime.now(UTC),
            seconds=seconds,
            cause=Cause.NORMAL_TEMPORARY_FAILURE,
            cause_name=Cause.NORMAL_TEMPORARY_FAILURE.name,
            ended_by="gateway",
        )
        await gate.close(
            Closing(
                call_id, account_id, min(price, held_micros), seconds, msgspec.json.encode(detail)
            )
        )
    if orphans:
        log.warning("Settled %d calls that an earlier run left open.", len(orphans))
    return len(orphans)
