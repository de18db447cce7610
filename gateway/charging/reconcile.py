"""Keeps the spend gate in line with the book of record while calls continue.

Fills partitions that lost their data or are an older copy; brings credits that did not arrive; ends
at the gate what has ended in the book; reopens what the gate forgot; has the gate resend what has
ended there and is not booked; sets frozen flags. `billing.reconcile` decides what differs. Every
repair is harmless if it was not needed, so all nodes may do this at once.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog

from billing.errors import RateDeckError
from billing.money import LIMIT
from billing.ports import (
    CdrStore,
    LedgerStore,
    OpenCall,
    Opening,
    OpenResult,
    Positions,
    SpendCap,
    SpendGate,
    Tick,
)
from billing.rating import Rate
from billing.reconcile import repairs
from database.errors import StoreUnavailableError
from gateway.charging.recovery import Drain, bring_credits, close_as_booked
from gateway.charging.refilling import ENDINGS_PER_PAGE, Refilling, resend, unbooked_endings

INTERVAL_S = 5.0
"""How soon an empty gate is filled: well within the time that calls can live without it."""
ROUNDS_PER_CYCLE = 12
"""Rounds in which every partition is compared once: a minute, so that no round takes long."""
ATTEMPTS_PER_ROUND = 4
"""How often a store that loses its data while it is being filled is refilled at once."""
CALLS_PER_PARTITION_MAX = 100
"""Calls examined in one comparison; the next one finds the rest."""
ENDING_AGE_S_MIN = 10
"""How old an ending must be to be looked up in the book: younger ones may still be in the outbox,
which is drained twice a second."""

log = structlog.get_logger(__name__)


class Reconciler:
    """The rounds of comparison of one node."""

    def __init__(
        self,
        gate: SpendGate,
        ledger: LedgerStore,
        records: CdrStore,
        positions: Positions,
        *,
        partitions: int,
        drain: Drain,
        on_filled: Callable[[], None] = lambda: None,
    ) -> None:
        """Compare for a node; `on_filled` is called after empty partitions have been filled."""
        self._gate = gate
        self._ledger = ledger
        self._records = records
        self._positions = positions
        self._partitions = partitions
        self._on_filled = on_filled
        self._refilling = Refilling(gate, ledger, records, positions, partitions, drain)
        self._next = 0
        self._due = partitions
        """Partitions to compare in this round: all at first, and after an outage, because a
        failover may have rolled the gate back."""
        self._looked_until_s: dict[int, int] = {}
        """Partition -> second of the gate's clock up to which its endings have been looked up."""

    async def round(self) -> None:
        """Fill what is empty and compare the partitions that are due.

        If partitions become empty meanwhile, it starts over at once, a few times. Raises
        StoreUnavailableError; the next round continues where this one stopped.
        """
        for attempts_left in reversed(range(ATTEMPTS_PER_ROUND)):
            try:
                await self._fill_and_compare()
            except StoreUnavailableError:
                # An empty partition refuses everything, as if it were away; it can be filled now.
                if not (attempts_left and await self._is_emptied()):
                    raise
            else:
                return

    async def _is_emptied(self) -> bool:
        """Whether the gate answers and has lost data."""
        return len(await self._gate.fillings(range(self._partitions))) < self._partitions

    async def _fill_and_compare(self) -> None:
        try:
            filled = await self._refilling.fill()
            if filled:
                log.warning("spend gate filled", partitions=filled)
                self._on_filled()
            while self._due:
                await self._compare(self._next)
                self._next = (self._next + 1) % self._partitions
                self._due -= 1
        except StoreUnavailableError:
            self._due = self._partitions
            # The book that comes back may be an older copy, which lacks endings looked up before.
            self._looked_until_s.clear()
            raise
        self._due = -(-self._partitions // ROUNDS_PER_CYCLE)

    async def _compare(self, partition: int) -> None:
        # In this order, as `repairs` requires: the book is never older than the gate. A change
        # between the reads looks like a repair that is due, which is harmless.
        snapshot = await self._gate.snapshot(partition)
        due = repairs(snapshot, await self._positions.read(partition, self._partitions))
        for account_id in due.credits:
            await bring_credits(self._gate, self._ledger, account_id)
        for account_id, frozen in due.freezes:
            await self._gate.freeze(account_id, frozen)
        for call in due.unbooked[:CALLS_PER_PARTITION_MAX]:
            await self._end_if_booked(call)
        for call in due.lost[:CALLS_PER_PARTITION_MAX]:
            await self._reopen(partition, call)
        await self._look_for_endings(partition)

    async def _look_for_endings(self, partition: int) -> None:
        """Look up the next page of endings in the book, and resend what it lacks."""
        page = await self._gate.endings(
            partition,
            self._looked_until_s.get(partition, 0),
            count_max=ENDINGS_PER_PAGE,
            age_s_min=ENDING_AGE_S_MIN,
        )
        for ending in await unbooked_endings(self._records, page.endings):
            if await resend(self._gate, ending):
                log.warning("end of call not booked, resent", call_id=ending.call_id)
        # Only now: if sending fails, the same page is looked up again.
        self._looked_until_s[partition] = page.ended_s

    async def _end_if_booked(self, call: OpenCall) -> None:
        # Without a record its opening is still in the outbox, like that of every new call.
        record = await self._records.get_with_forgotten(call.account_id, call.call_id)
        if record is not None and record.closed is not None:
            await close_as_booked(self._gate, record)
            log.warning("call ended in the book only, closed in the gate", call_id=call.call_id)

    async def _reopen(self, partition: int, call: OpenCall) -> None:
        """Reopen a call that the gate forgot; if it has ended there, resend that to the book."""
        # Read after the comparison: its end may have been booked since.
        record = await self._records.get_with_forgotten(call.account_id, call.call_id)
        if record is None or record.closed is not None:
            return
        opening = Opening(
            call_id=call.call_id,
            account_id=call.account_id,
            node=call.node,
            first_micros=0,
            want_micros=call.held_micros,
            # Neither this nor the caps may refuse a call in progress: the gate ignores the number
            # of calls for one that is running, and the caps, without a limit, only count its hold.
            concurrent_calls_max=0,
            detail=msgspec.json.encode(record.opened),
            caps=[SpendCap(name, LIMIT) for name in call.cap_names],
            per_minute_micros=_per_minute_micros(record.opened.rate),
            key_id=record.opened.key_id,
            is_running=True,
        )
        result = (await self._gate.open(opening)).result
        if result is OpenResult.ALREADY_CLOSED:
            if await self._gate.resend_ending(call.call_id, call.account_id):
                log.warning("call ended in the gate only, resent", call_id=call.call_id)
        elif result is OpenResult.OPENED:
            # An opening confirms no second, and a call without one is settled at zero.
            tick = Tick(call.call_id, call.account_id, call.held_micros, call.seconds)
            await self._gate.tick(partition, [tick])
            # Another node uses it to end the phone's leg if the call's own node is gone.
            if call.carrier_call_id:
                await self._gate.name_carrier_call(
                    call.call_id, call.account_id, call.carrier_call_id
                )
            log.warning("call live in the book only, opened in the gate", call_id=call.call_id)


def _per_minute_micros(rate: str) -> int:
    try:
        return Rate.from_json(rate).per_minute_micros
    except RateDeckError:
        # Only estimates depend on it: an unreadable rate must not keep the call from being opened.
        return 0
