"""Drains the spend gate's outbox into the book of record.

At least once: an entry is trimmed only after the transaction that booked it, and booking it again
changes nothing, so a crash in between, or a second drainer, does no harm. Both sides are behind
ports.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import structlog

from billing.ports import LedgerStore, OutboxEntry, SpendGate
from database.errors import StoreUnavailableError

ENTRIES_PER_BATCH = 200
"""Entries booked in one transaction, over all partitions. A tick entry names up to 1,000 calls,
mostly the same as its neighbours, so a batch takes far less than a second."""
BATCHES_PER_PASS = 50
"""A pass, or a partition tried on its own, ends after this many, however much is left."""
FAILURES_MAX = 3
"""Failed attempts after which a pass is given up: one cluster master being away must not delay the
other partitions, and a dead database must not cost a timeout per partition."""
DELAY_S_MAX = 30.0
"""Longest pause between two attempts while a store is away."""
DRAINED_S_MIN = 1.0
"""Shortest interval between two calls of `OnDrained`."""

_log = structlog.get_logger(__name__)

OnTurn = Callable[[], None]
"""Called after each batch, and before and after each pass: the drainer is alive."""
OnDrained = Callable[[], Awaitable[None]]
"""Called when all partitions have just been drained; may raise StoreUnavailableError."""
OnBooked = Callable[[Sequence[OutboxEntry]], Awaitable[None]]
"""Acts on entries that are booked but not trimmed yet. Called for them again after a crash, or
after it raised StoreUnavailableError."""


@dataclass(slots=True)
class _Pass:
    """The outcome of one pass over all partitions."""

    booked_count: int = 0
    failures: list[Exception] = field(default_factory=list)
    """Why partitions could not be drained."""
    is_cut_short: bool = False
    """Whether it ended at its limit, so that more may be waiting."""

    @property
    def is_outage(self) -> bool:
        """Whether nothing could be booked because a store is away."""
        away = all(isinstance(error, StoreUnavailableError) for error in self.failures)
        return bool(self.failures) and away and not self.booked_count


class Drainer:
    """Empties the outboxes of all partitions, over and over.

    All waiting entries are booked in one transaction. If it fails, each partition is tried on its
    own; one that fails again is kept out of the common transaction, and tried on its own in every
    pass, until it succeeds.
    """

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
        self._failing: set[int] = set()
        """Partitions whose last attempt on their own failed."""
        self._is_divided = False
        """Whether the entries of the last pass could be booked only partition by partition."""
        self._next = 0
        """Where the next attempts begin: after the last partition tried on its own, so that a
        failing one does not starve the others."""

    async def drain_once(self) -> int:
        """Book everything that waits in all partitions; return the number of entries.

        After trying the other partitions, raises what kept one from being drained:
        StoreUnavailableError, or a bug. What was booked stays booked.
        """
        done = await self._pass()
        if done.failures:
            raise done.failures[0]
        return done.booked_count

    async def run(self, stop: asyncio.Event, interval_s: float) -> None:
        """Drain every `interval_s` seconds until `stop` is set, and once more after that.

        While a store is away the pauses double, up to `DELAY_S_MAX`. Only cancellation ends the
        loop early.
        """
        failure_count = 0
        outage_count = 0
        told_s = -DRAINED_S_MIN
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            self._on_turn()
            done = await self._pass()
            self._on_turn()
            failure_count = _count_failure(done, failure_count)
            outage_count = outage_count + 1 if done.is_outage else 0
            is_drained = not (done.failures or done.is_cut_short)
            if is_drained and loop.time() - told_s >= DRAINED_S_MIN:
                await self._tell_drained()
                told_s = loop.time()
            # Unbounded, the exponent would overflow a float in a long outage.
            delay_s = interval_s * 2 ** min(outage_count, 16)
            await _wait(stop, max(interval_s, min(delay_s, DELAY_S_MAX)))
        # Calls that ended during the last pause, or with the stop itself, are booked before the
        # process ends.
        _count_failure(await self._pass(), failure_count)

    async def _tell_drained(self) -> None:
        if self._on_drained is not None:
            # If this fails, its watcher sees that nothing is drained: rightly, a store is away.
            with contextlib.suppress(StoreUnavailableError):
                await self._on_drained()

    async def _pass(self) -> _Pass:
        """Book what is waiting: together if possible, otherwise partition by partition."""
        # Copied before the common attempt: a partition that fails in it has had its turn in this
        # pass.
        done = _Pass()
        apart = set(self._failing)
        doubtful, cause = await self._drain_together(done)
        # The common attempt that failed counts as one: a dead store has cost one timeout already.
        failures_max = FAILURES_MAX - (cause is not None)
        for partition in self._turns(doubtful | apart):
            try:
                await self._drain_partition(partition, done)
            except Exception as error:
                self._note_failure(partition, error, done)
                if len(done.failures) >= failures_max:
                    break
            else:
                self._failing.discard(partition)
        # Everything was booked after all. No partition has a failure to log, so the cause is logged
        # here, once for as long as it lasts.
        if cause is not None and not done.failures and not self._is_divided:
            # An outage is logged in one line; any other cause with its traceback.
            is_away = isinstance(cause, StoreUnavailableError)
            why = {"cause": repr(cause.__cause__ or cause)} if is_away else {"exc_info": cause}
            _log.warning("outbox booked partition by partition", **why)
        self._is_divided = cause is not None
        return done

    async def _drain_together(self, done: _Pass) -> tuple[set[int], Exception | None]:
        """Book partitions in common transactions; return those in doubt, and why."""
        # One failing partition would roll back the transaction of all the others.
        waiting = [p for p in range(self._partitions) if p not in self._failing]
        for _ in range(BATCHES_PER_PASS):
            # The bound is one of the transaction: the partitions that have entries share it.
            count_max = max(1, ENTRIES_PER_BATCH // max(1, len(waiting)))
            # If the reading itself fails, any of them may be the cause.
            doubtful = set(waiting)
            try:
                batch = await self._gate.read_outboxes(waiting, count_max)
                # From here on only partitions with entries can be.
                doubtful = set(batch)
                await self._book(batch, done)
            except Exception as error:
                # The caller tries each of them by itself, which shows the one at fault.
                if len(doubtful) > 1:
                    return doubtful, error
                for partition in doubtful:
                    self._note_failure(partition, error, done)
                return set(), None
            # A full batch means that more may be waiting.
            waiting = [p for p, entries in batch.items() if len(entries) == count_max]
            if not waiting:
                break
        done.is_cut_short = bool(waiting)
        return set(), None

    def _note_failure(self, partition: int, error: Exception, done: _Pass) -> None:
        """Set a partition apart.

        This is the edge of the process: a bug must not keep other partitions from being drained,
        and the entries it could not book are still in the outbox.
        """
        done.failures.append(error)
        if partition not in self._failing and not isinstance(error, StoreUnavailableError):
            _log.error("outbox of a partition not drained", partition=partition, exc_info=error)
        self._failing.add(partition)

    def _turns(self, partitions: Collection[int]) -> Iterator[int]:
        start = self._next
        for step in range(self._partitions):
            partition = (start + step) % self._partitions
            if partition in partitions:
                # Moved before the attempt, so that a pass given up after this one goes on behind
                # it.
                self._next = (partition + 1) % self._partitions
                yield partition

    async def _drain_partition(self, partition: int, done: _Pass) -> None:
        for _ in range(BATCHES_PER_PASS):
            entries = await self._gate.read_outbox(partition, ENTRIES_PER_BATCH)
            await self._book({partition: entries} if entries else {}, done)
            # Fewer than were asked for: the outbox was empty at that moment.
            if len(entries) < ENTRIES_PER_BATCH:
                return
        done.is_cut_short = True

    async def _book(self, batch: Mapping[int, Sequence[OutboxEntry]], done: _Pass) -> None:
        """Book and trim a batch."""
        if not batch:
            return
        # This order is what makes it at least once: booked, acted upon, only then trimmed.
        await self._store.apply_outboxes(batch)
        if self._on_booked is not None:
            await self._on_booked(list(chain.from_iterable(batch.values())))
        await self._gate.trim_outboxes(
            {p: [entry.entry_id for entry in entries] for p, entries in batch.items()}
        )
        done.booked_count += sum(map(len, batch.values()))
        self._on_turn()


def _count_failure(done: _Pass, failure_count: int) -> int:
    """Return how many passes in a row have failed; log an outage's begin and end."""
    if done.failures:
        away = [e for e in done.failures if isinstance(e, StoreUnavailableError)]
        # Only outages are logged here; a bug is logged once for its partition (`_note_failure`).
        if away and not failure_count:
            _log.warning("outbox not drained", cause=repr(away[0].__cause__ or away[0]))
        return failure_count + 1
    if failure_count:
        _log.info("outbox drained again", entries=done.booked_count, failures=failure_count)
    return 0


async def _wait(stop: asyncio.Event, delay_s: float) -> None:
    try:
        # Not sleep(): a stop must not wait for the longest pause.
        async with asyncio.timeout(delay_s):
            await stop.wait()
    except TimeoutError:
        pass
