"""Drains the spend gate's outbox into the book of record.

At least once: an entry is trimmed only after the transaction that booked it, and booking it again
changes nothing, so a crash in between, or a second drainer, does no harm. Knows both sides only by
their ports, and neither what an entry says nor where it is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

import structlog

from billing.errors import StoreUnavailableError
from billing.ports import LedgerStore, OutboxEntry, SpendGate

ENTRIES_PER_BATCH = 200
"""Entries booked in one transaction. A tick entry names up to 1,000 calls, mostly the same ones
as its neighbours, so a batch stays far below a second."""
BATCHES_PER_PARTITION = 50
"""After so many the next partition has its turn, however much is left."""
FAILURES_MAX = 3
"""Partitions of one pass that may fail before it is given up: one master of a cluster being away
must not keep the others' entries waiting, nor a dead database cost a timeout per partition."""
DELAY_S_MAX = 30.0
"""Longest pause between two attempts while a store is away."""
DRAINED_S_MIN = 1.0
"""Passes without failure are told to `OnDrained` at most so often."""

_log = structlog.get_logger(__name__)

OnTurn = Callable[[], None]
"""Told after each batch, and before and after each pass: the drainer is at work."""
OnDrained = Callable[[], Awaitable[None]]
"""Told that all partitions were drained a moment ago; may raise StoreUnavailableError."""
OnBooked = Callable[[Sequence[OutboxEntry]], Awaitable[None]]
"""Acts on entries that are booked and not yet trimmed. After a crash it is called for them again;
when it raises StoreUnavailableError, too."""


class Drainer:
    """Empties every partition's outbox, over and over."""

    def __init__(
        self,
        gate: SpendGate,
        store: LedgerStore,
        partitions: int,
        on_booked: OnBooked | None = None,
        *,
        on_turn: OnTurn = lambda: None,
        on_drained: OnDrained | None = None,
    ) -> None:
        self._gate = gate
        self._store = store
        self._partitions = partitions
        self._on_booked = on_booked
        self._on_turn = on_turn
        self._on_drained = on_drained
        self._next = 0
        """Where the next pass begins: after the last partition tried, so that none is starved by
        another that fails."""

    async def drain_once(self) -> int:
        """Book what waits in all partitions; return the number of entries.

        Raises StoreUnavailableError, after trying the other partitions, when any could not be
        drained; what was booked stays booked.
        """
        booked_count = 0
        failures: list[StoreUnavailableError] = []
        for partition in self._turns(await self._waiting()):
            try:
                booked_count += await self._drain_partition(partition)
            except StoreUnavailableError as error:
                failures.append(error)
                if len(failures) == FAILURES_MAX:
                    break
        if failures:
            raise failures[0]
        return booked_count

    async def run(self, stop: asyncio.Event, interval_s: float) -> None:
        """Drain every `interval_s` seconds until `stop` is set, and once more then.

        While a store is away the pauses double, up to `DELAY_S_MAX`. Nothing but cancellation
        ends the loop early.
        """
        failure_count, told_s = 0, -DRAINED_S_MIN
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            self._on_turn()
            failure_count = 0 if await self._attempt(failure_count) else failure_count + 1
            self._on_turn()
            if not failure_count and loop.time() - told_s >= DRAINED_S_MIN:
                await self._tell_drained()
                told_s = loop.time()
            # The exponent is bounded because a float's is.
            delay_s = interval_s * 2 ** min(failure_count, 16)
            await _wait(stop, max(interval_s, min(delay_s, DELAY_S_MAX)))
        await self._attempt(failure_count)

    async def _tell_drained(self) -> None:
        if self._on_drained is not None:
            # Untold is what an outage looks like, and it is one.
            with contextlib.suppress(StoreUnavailableError):
                await self._on_drained()

    async def _attempt(self, failure_count: int) -> bool:
        try:
            booked_count = await self.drain_once()
        except StoreUnavailableError as error:
            # Said once per outage, not once per attempt.
            if not failure_count:
                _log.warning("outbox not drained", cause=repr(error.__cause__ or error))
            return False
        except Exception:
            # The edge of this process: a bug must not leave the other partitions undrained, and
            # the entries it could not book are still in the outbox.
            _log.exception("outbox not drained")
            return False
        if failure_count:
            _log.info("outbox drained again", entries=booked_count, failures=failure_count)
        return True

    async def _waiting(self) -> Collection[int]:
        """Return the partitions to drain; all of them where the gate cannot say."""
        try:
            return await self._gate.waiting()
        except StoreUnavailableError:
            return range(self._partitions)

    def _turns(self, waiting: Collection[int]) -> Iterator[int]:
        start = self._next
        for step in range(self._partitions):
            partition = (start + step) % self._partitions
            if partition in waiting:
                self._next = (partition + 1) % self._partitions
                yield partition

    async def _drain_partition(self, partition: int) -> int:
        booked_count = 0
        for _ in range(BATCHES_PER_PARTITION):
            entries = await self._gate.read_outbox(partition, ENTRIES_PER_BATCH)
            if entries:
                await self._store.apply_outbox(partition, entries)
                if self._on_booked is not None:
                    await self._on_booked(entries)
                await self._gate.trim_outbox(partition, [entry.entry_id for entry in entries])
                booked_count += len(entries)
                self._on_turn()
            if len(entries) < ENTRIES_PER_BATCH:
                break
        return booked_count


async def _wait(stop: asyncio.Event, delay_s: float) -> None:
    try:
        async with asyncio.timeout(delay_s):
            await stop.wait()
    except TimeoutError:
        pass
