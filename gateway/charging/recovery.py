"""Fills a spend gate that lost its data, and settles calls whose node is gone.

Such a call is ended at the carrier and charged for the seconds that the spend gate had confirmed,
or for what the carrier says it carried, if that is less. If the gate had confirmed none, nothing is
charged, because it is not known that anyone heard anything. The gate's tombstone makes only the
first settlement count, whichever node it comes from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from billing.cdr import CallClosed, CallRecord
from billing.clock import Clock, utc_now
from billing.errors import NotDrainedError, RateDeckError
from billing.ports import CdrStore, CloseResult, Closing, LedgerStore, OpenCall, SpendGate
from billing.rating import Rate
from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.cause import Cause
from gateway.errors import CarrierError
from gateway.logs import call_events
from gateway.ports import Carrier

SETTLED_AT_ONCE = 8
"""Concurrent settlements: each waits for the carrier."""
CARRIER_TIMEOUT_S = 10.0
"""How long one settlement waits for the carrier, retries included."""
_DURATION_DELAYS_S = (0.0, 0.5, 1.0, 2.0)
"""When to ask for the duration of a call that we ended: it is known a moment after the end."""
FILLINGS_MAX = 5
"""Attempts to fill a partition that others fill, put back or resend at the same time."""
START_TIMEOUT_S = 10.0
"""How long the start of a node waits for settlements; the rest is left to the sweeper."""

log = structlog.get_logger(__name__)


def _left_alone(_carrier_call_id: str, _call_id: str) -> None:
    """Do nothing: unmatched calls of the carrier are not ended."""


Drain = Callable[[], Awaitable[int]]
"""Books what is in the outbox, so that the book of record is up to date before it is read."""


async def fill_gate(gate: SpendGate, ledger: LedgerStore, partitions: int, drain: Drain) -> int:
    """Fill the partitions of an empty spend gate from the book of record; return how many."""
    filled = await gate.fillings(range(partitions))
    empty = [p for p in range(partitions) if p not in filled]
    if empty:
        # The outbox outlives the rest: what is still in it belongs in the filling.
        await drain()
    for partition in empty:
        await fill_partition(gate, ledger, partition, partitions, drain)
    return len(empty)


async def fill_partition(
    gate: SpendGate, ledger: LedgerStore, partition: int, partitions: int, drain: Drain
) -> bool:
    """Fill a partition that is not in service; False if another process put it there.

    Raises StoreUnavailableError.
    """
    for attempts_left in reversed(range(FILLINGS_MAX)):
        state = await ledger.partition_state(partition, partitions)
        try:
            if not await gate.rebuild(partition, state):
                return False
            break
        except NotDrainedError:
            # Another process that is about to fill it has it resend what it knows.
            if not attempts_left:
                raise
            await drain()
    # Only now: a partition that is put back as it was must still be known as an older copy. If this
    # line is never reached, the new filling is taken for one, and filled once more.
    await ledger.forget_fork(partition, state.mark)
    return True


async def bring_credits(gate: SpendGate, ledger: LedgerStore, account_id: str) -> None:
    """Bring the credits to the spend gate that only the book of record has."""
    known = await gate.credit_sequence(account_id)
    while page := await ledger.credits_after(account_id, known):
        if page[0][0] != known + 1:
            # What lies between was carried forward, and comes with a filling only.
            log.error("credits of closed books missing at the gate", account=account_id)
            return
        # In order: the gate refuses a credit whose predecessor it lacks, and ignores one it has.
        for sequence, micros in page:
            await gate.credit(account_id, sequence, micros)
            known = sequence


@dataclass(frozen=True, slots=True)
class Settler:
    """Settles calls that no node looks after any more."""

    gate: SpendGate
    records: CdrStore
    carrier: Carrier
    drain: Drain
    end_unmatched: Callable[[str, str], None] = _left_alone
    """Takes a carrier call id and a call id: ends a carrier call whose call is settled although the
    carrier has not confirmed its end."""
    kept: Callable[[str], Closing | None] = lambda _: None
    """Returns the end of a call that this node has closed and the gate may have lost."""
    clock: Clock = utc_now

    async def settle(
        self, orphans: Sequence[OpenCall], *, without_carrier: bool = False
    ) -> Sequence[OpenCall]:
        """Settle calls; return those that must wait until the carrier says that they have ended.

        `without_carrier` settles these as well, at their confirmed seconds.
        Raises StoreUnavailableError; what was settled stays settled.
        """
        if not orphans:
            return []
        # The end that a node reported before it died may still be in the outbox.
        await self.drain()
        queue = iter(orphans)

        async def work() -> list[OpenCall]:
            # All workers draw from one iterator: a slow carrier call holds up only its worker.
            return [call for call in queue if not await self._settle_one(call, without_carrier)]

        workers = [asyncio.ensure_future(work()) for _ in range(min(SETTLED_AT_ONCE, len(orphans)))]
        try:
            waiting = await asyncio.gather(*workers)
        finally:
            # `gather` raises the first error and lets the other workers run on.
            for worker in workers:
                worker.cancel()
        return [call for calls in waiting for call in calls]

    async def _settle_one(self, orphan: OpenCall, without_carrier: bool) -> bool:
        # The sources in order of what they know: the book, this node's own closings, the carrier.
        record = await self.records.get_with_forgotten(orphan.account_id, orphan.call_id)
        if record is not None and record.closed is not None:
            await close_as_booked(self.gate, record)
            return True
        kept = self.kept(orphan.call_id)
        if kept is not None:
            await self.gate.close(kept)
            return True
        status = await self._end_at_carrier(orphan.carrier_call_id)
        is_over = status is not None and status.is_terminal
        # Not closed while the phone may still be talking: open calls are looked for again.
        if orphan.carrier_call_id and not (is_over or without_carrier):
            return False
        seconds = _used_s(orphan, status)
        price = _price(orphan, record, seconds)
        answered_at, ended_at = _times(orphan, record, status, seconds, self.clock())
        detail = CallClosed(
            answered_at=answered_at,
            ended_at=ended_at,
            seconds=seconds,
            cause=Cause.NORMAL_TEMPORARY_FAILURE,
            cause_name=Cause.NORMAL_TEMPORARY_FAILURE.name,
            ended_by="gateway",
            carrier_call_id=orphan.carrier_call_id,
            carrier_seconds=status.seconds if status is not None else None,
        )
        outcome = await self.gate.close(
            Closing(orphan.call_id, orphan.account_id, price, seconds, msgspec.json.encode(detail))
        )
        if outcome.result is CloseResult.CLOSED:
            call_events.settled_late(
                orphan.call_id,
                node=orphan.node,
                account=orphan.account_id,
                carrier_call_id=orphan.carrier_call_id,
                cause=Cause.NORMAL_TEMPORARY_FAILURE,
                seconds=seconds,
                cost_micros=outcome.charged_micros,
            )
        if orphan.carrier_call_id and not is_over:
            self.end_unmatched(orphan.carrier_call_id, orphan.call_id)
        return True

    async def _end_at_carrier(self, carrier_call_id: str) -> CarrierStatus | None:
        """End the carrier's leg and return its status; None if the carrier cannot tell."""
        if not carrier_call_id:
            return None
        try:
            async with asyncio.timeout(CARRIER_TIMEOUT_S):
                status = await self.carrier.fetch(carrier_call_id)
                for delay_s in _DURATION_DELAYS_S:
                    if status.is_terminal and status.seconds is not None:
                        break
                    if not status.is_terminal:
                        # Each time: an order that is answered with 404 was not carried out.
                        await self.carrier.hang_up(carrier_call_id)
                    await asyncio.sleep(delay_s)
                    status = await self.carrier.fetch(carrier_call_id)
        except (CarrierError, TimeoutError):
            return None
        return status


def _used_s(orphan: OpenCall, status: CarrierStatus | None) -> int:
    """Return the seconds to charge: the confirmed ones, or the carrier's if they are fewer.

    What the carrier carried after the node was gone was heard by no one; the same is true of a
    phone that was answered then, for which no second is confirmed.
    """
    if status is None or not status.is_terminal:
        return orphan.seconds
    # Every other terminal state belongs to a call that was never answered.
    if status.state is not CarrierState.COMPLETED:
        return 0
    return orphan.seconds if status.seconds is None else min(status.seconds, orphan.seconds)


def _times(
    orphan: OpenCall,
    record: CallRecord | None,
    status: CarrierStatus | None,
    seconds: int,
    now: datetime,
) -> tuple[datetime | None, datetime]:
    """Return when the phone was answered, None if unknown, and when the call ended.

    The answer is what the call's node told the gate, else the carrier's record, else what the book
    derives from the confirmed seconds. The end is the carrier's, else the last charged second, else
    now. The clocks of all three may differ: nothing ends after now, and the charged seconds fit
    between answer and end.
    """
    charged = timedelta(seconds=seconds)
    answered_at = _answered_at(orphan, record, status)
    ended_at = None if status is None else status.ended_at
    if ended_at is None:
        ended_at = now if answered_at is None or not seconds else answered_at + charged
    elif answered_at is not None:
        # The carrier gives the second in which it ended.
        ended_at = max(ended_at, answered_at + charged)
    if record is not None:
        ended_at = max(ended_at, record.opened.created_at)
    ended_at = min(ended_at, now)
    return None if answered_at is None else min(answered_at, ended_at - charged), ended_at


def _answered_at(
    orphan: OpenCall, record: CallRecord | None, status: CarrierStatus | None
) -> datetime | None:
    if orphan.answered_ms:
        return datetime.fromtimestamp(orphan.answered_ms / 1000, UTC)
    if status is not None and status.answered_at is not None:
        return status.answered_at
    return None if record is None else record.answered_at


def _price(orphan: OpenCall, record: CallRecord | None, seconds: int) -> int:
    """Return the price at the call's own rate, in micros; its hold if the rate is unknown."""
    if not seconds:
        return 0
    if record is None:
        return orphan.held_micros
    try:
        price = Rate.from_json(record.opened.rate).cost(seconds)
    except RateDeckError:
        return orphan.held_micros
    # An increment that is rounded up must not take what the gate did not grant.
    return min(price, orphan.held_micros)


async def close_as_booked(gate: SpendGate, record: CallRecord) -> None:
    """Close at the gate a call that has ended in the book; repeating it changes nothing."""
    assert record.closed is not None
    opened = record.opened
    closed = record.closed
    await gate.close(
        Closing(
            opened.call_id,
            opened.account_id,
            record.cost_micros,
            closed.seconds,
            msgspec.json.encode(closed),
        )
    )


async def settle_own(settler: Settler, node: str) -> int:
    """Settle the calls that an earlier run of this node left open; return how many remain.

    Waits a bounded time; calls that are still open then are left to the sweeper. Raises
    StoreUnavailableError.
    """
    orphans = await settler.gate.open_calls(node)
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            await settler.settle(orphans)
    except TimeoutError:
        log.warning("calls of an earlier run not settled yet", waited_s=START_TIMEOUT_S)
    return len(orphans)
