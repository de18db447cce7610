"""Audits the spend gate: whether it holds what the book of record says it must.

Exact even while calls are charged, because entries that wait in the outbox count as booked. It
reads the details of a partition from the book of record, reports and never repairs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing import gate_rows, reconcile
from billing.clock import Clock, utc_now
from billing.gate_rows import GateContents, read_rows
from billing.lineage import advance, rolled_back
from billing.outbox import OutboxBatch, fold
from billing.ports import PARTITIONS, OutboxEntry, PartitionMark, PartitionState, SpendGate
from billing.reconcile import (
    BookedDetail,
    Disagreement,
    KeptEnding,
    Surplus,
    calls_at_no_gate,
    cap_owner,
    details_that_differ,
    disagreements,
    surpluses,
)
from billing.spend_limits import cap_name
from billing.stores import column_audit, tables
from billing.stores.booking import IDS_PER_QUERY, book
from billing.stores.budgets import BUDGETS, HOLDERS, BudgetKind
from billing.stores.findings import FINDINGS_MAX
from billing.stores.partition_marks import lock, read_marks
from billing.stores.refill import CALL_AGE_MAX, IS_HERE, TOMBSTONE_AGE, Here, here, read_positions
from database.engine import AUDIT_TIMEOUT_S, TIMEOUT_S, reading, writing
from database.errors import StoreUnavailableError

REMEMBERED = TOMBSTONE_AGE - timedelta(hours=1)
"""Calls that ended within this time must be known to the gate, which keeps tombstones for a day and
is filled with those of a day. The hour less is for differing clocks and long audits."""

_OPENING = (
    "account_id",
    "node",
    "destination",
    "country",
    "codec",
    "origin",
    "currency",
    "rate",
    "created_at",
    "key_id",
)
"""What the record of a call's opening says, under the names of the book's columns."""


def _bounds(kind: BudgetKind) -> Iterator[sa.ColumnElement[int]]:
    """Yield the least and the most that calls have cost in the period that began at `start`."""
    calls = tables.calls.c
    start: sa.BindParameter[datetime] = sa.bindparam("start")
    is_within = calls.created_at >= start
    is_counted = kind.counted_from.is_(None) | (calls.created_at >= kind.counted_from)
    # A call moves to the caps of a new period at its next tick, and what it owes or gets back from
    # then on counts there: none of its price at least, all of it at most.
    reaches_in = is_within | ~calls.closed | (calls.ended_at >= start)
    for of, label in ((is_within & is_counted, "least"), (reaches_in, "most")):
        yield sa.func.sum(sa.case((of, calls.spent_micros), else_=0)).label(label)


def _caps(kind: BudgetKind) -> sa.Select[Any]:
    """Return the query of the lower and upper bound of the counter of each budget of a kind."""
    calls = tables.calls.c
    has_limit = kind.limit.is_not(None)
    columns: Iterable[sa.ColumnElement[Any]] = (kind.id, *_bounds(kind))
    return (
        sa.select(*columns)
        .select_from(kind.calls)
        # By account, so that the index of an account's calls is used: few accounts have caps.
        .where(
            calls.account_id.in_(
                sa.select(tables.accounts.c.id).select_from(kind.holders).where(IS_HERE, has_limit)
            ),
            has_limit,
            calls.created_at >= sa.bindparam("created_from"),
        )
        .group_by(kind.id)
    )


# Made once: to make a statement costs more than to run it.
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_OPENINGS = (
    sa.select(tables.calls.c.id, *(tables.calls.c[name] for name in _OPENING))
    .join_from(tables.calls, tables.accounts)
    .where(tables.calls.c.id.in_(_IDS), tables.calls.c.opened, IS_HERE)
)
_ENDING = (
    "id",
    "spent_micros",
    "written_off_micros",
    "seconds",
    "account_id",
    "cause",
    "ended_by",
    "answered_at",
    "ended_at",
    "ringing_at",
    "carrier_seconds",
    "booked_at",
)
_ENDINGS = (
    sa.select(*(tables.calls.c[name] for name in _ENDING))
    .join_from(tables.calls, tables.accounts)
    .where(tables.calls.c.closed, IS_HERE)
)
_ENDINGS_OF = _ENDINGS.where(tables.calls.c.id.in_(_IDS))
_RECENT_ENDINGS = _ENDINGS.where(
    tables.calls.c.ended_at >= sa.bindparam("ended_from"),
    # The end of a forgotten call is that of its booking, which may be hours after the gate's.
    tables.calls.c.forgotten_at.is_(None),
    # Implied by the line above, since no call lasts longer, but only `created_at` has an index.
    tables.calls.c.created_at >= sa.bindparam("created_from"),
)
_CAPS = [(kind, _caps(kind)) for kind in BUDGETS]
_OWNERS = [
    (
        kind,
        sa.select(kind.id, tables.accounts.c.id)
        .select_from(kind.holders)
        .where(kind.id.in_(_IDS), IS_HERE),
    )
    for kind in HOLDERS.values()
]


def read_detail(
    connection: sa.Connection, gate: PartitionState, at: Here, now: datetime
) -> BookedDetail:
    """Return what a partition's details are compared with, as this transaction sees it."""
    openings: dict[str, Mapping[str, object]] = {}
    at_gate = (call.call_id for call in gate.open_calls), (call for call, _ in gate.closed_calls)
    for ids in _chunks(chain(*at_gate)):
        opened = connection.execute(_OPENINGS, {**at, "ids": ids})
        openings.update(
            {call_id: dict(zip(_OPENING, row, strict=True)) for call_id, *row in opened}
        )
    endings: dict[str, KeptEnding] = {}
    for ids in _chunks(call_id for call_id, _ in gate.closed_calls):
        endings |= _endings(connection.execute(_ENDINGS_OF, {**at, "ids": ids}))
    since = {"ended_from": now - REMEMBERED, "created_from": now - REMEMBERED - CALL_AGE_MAX}
    recent = _endings(connection.execute(_RECENT_ENDINGS, {**at, **since}))
    caps: dict[str, tuple[int, int]] = {}
    for kind, query in _CAPS:
        start = kind.period.start(now)
        times = {"start": start, "created_from": start - CALL_AGE_MAX}
        caps |= {
            cap_name(kind.holder_name(row.id), kind.period, now): (int(row.least), int(row.most))
            for row in connection.execute(query, {**at, **times})
        }
    # Of counters at the gate too: one whose owner the book does not know is a finding.
    owners = {cap_owner(name) for name in [*dict(gate.spent), *caps]}
    known: dict[str, str] = {}
    for kind, query in _OWNERS:
        prefix = kind.holder_name("")
        named = (name.removeprefix(prefix) for name in owners if name.startswith(prefix))
        for ids in _chunks(named):
            found = connection.execute(query, {**at, "ids": ids})
            known |= {kind.holder_name(of): account_id for of, account_id in found}
    return BookedDetail(openings, endings, caps, known, recent)


def _endings(rows: Iterable[sa.Row[Any]]) -> dict[str, KeptEnding]:
    return {call_id: KeptEnding(*ending) for call_id, *ending in map(tuple, rows)}


def _chunks(ids: Iterable[str]) -> Iterator[Collection[str]]:
    iterator = iter(ids)
    while chunk := list(islice(iterator, IDS_PER_QUERY)):
        yield chunk


ENTRIES_MAX = 5_000
"""Entries of one outbox that a comparison takes in; a longer one must be drained first."""
SNAPSHOTS_MAX = 20
"""Attempts at reading a partition between two of its changes."""
COMPARISONS_MAX = 3
"""A difference is a finding if this many comparisons in a row have found it."""
COMPARISON_PAUSE_S = 1.1
"""Longer than a round of the meter, and longer than a credit takes from the book to the gate."""
EMPTY = "spend gate has lost its data and could not be compared"
WITHDRAWN = "spend gate is out of service, with all its data"
OLDER_COPY = "spend gate is an older copy than the book"
INCOMPARABLE = "outbox is too long or too busy to compare"
ENTRY_UNREADABLE = "outbox entry cannot be read"


_REBUILD = (
    "`caller ledger rebuild` fills the credit store from the book, once the book itself has no"
    " findings; with --partition it takes one of them."
)
_HEALS = (
    "Nodes bring this in line within a minute. If it stays, `caller check` and the log of"
    " `caller serve` say what is away."
)
_UNKNOWN_TO_BOOK = (
    "Was the database restored from an older copy? `caller payments reconcile --since DATE` books"
    " what was paid since; then `caller ledger rebuild` names what is lacking still."
)
_UNBOOKED = (
    "Nodes book it within minutes. If it stays, or the database was restored from an older copy:"
    " `caller ledger rebuild` books what the credit store knows of calls, and says what it cannot."
)
_WAIT = "The outbox must be drained first: `caller check` says whether the drainer works."
ADVICE: Mapping[str, str] = {
    **dict.fromkeys(
        (
            reconcile.BALANCES_DIFFER,
            reconcile.HOLDS_DIFFER,
            reconcile.OWNER_DIFFERS,
            reconcile.SECONDS_DIFFER,
            reconcile.RATE_DIFFERS,
            reconcile.ENDING_DIFFERS,
            reconcile.CAP_DIFFERS,
            reconcile.CAP_UNKNOWN,
            reconcile.CAP_FOREIGN,
            gate_rows.COUNT_DIFFERS,
            gate_rows.BURN_DIFFERS,
            gate_rows.KEY_COUNT_DIFFERS,
            gate_rows.STRAY,
            gate_rows.MALFORMED,
        ),
        _REBUILD,
    ),
    reconcile.OPENING_MISREMEMBERED: (
        "The book's record holds. What the credit store remembers is told only to a book that has"
        " forgotten the call: compare the two then, before you believe either."
    ),
    reconcile.ENDING_MISREMEMBERED: (
        "The book's record holds. Nothing is charged by what the credit store remembers, unless the"
        " book forgets the call: compare the two then, before you believe either."
    ),
    reconcile.CREDIT_MISSING: _HEALS,
    reconcile.FREEZE_DIFFERS: _HEALS,
    reconcile.CALL_MISSING: _HEALS,
    reconcile.CALL_UNKNOWN: _HEALS,
    reconcile.CREDIT_UNKNOWN: _UNKNOWN_TO_BOOK,
    reconcile.ENDING_UNKNOWN: _UNBOOKED,
    reconcile.ENDING_FORGOTTEN: (
        "The credit store remembers each call for a day: did nobody make this one? Compare with the"
        " carrier's record of it, by its carrier_call_id. If it was made, `caller ledger rebuild`"
        " tells the credit store; if not, give its cost back (`caller accounts credit`)."
    ),
    EMPTY: (
        "Start a node (`caller serve`), or run `caller ledger rebuild`: either fills the credit"
        " store from the book. Then audit again."
    ),
    WITHDRAWN: (
        "Something that was about to fill it has ended: a `caller ledger rebuild`, or a node. What"
        " is compared here is what it holds. Repeat the command, which says what the book lacks; or"
        " start a node, which books what it can, fills it if the book then has everything, and puts"
        " it back into service as it is if not. Then audit again."
    ),
    OLDER_COPY: (
        "Start a node (`caller serve`), or run `caller ledger rebuild`: either books what only this"
        " copy knows, and fills it from the book. Running nodes do so within seconds. Credit is not"
        " to be given again: the book has all of it. Then audit again."
    ),
    gate_rows.FOREIGN_TYPE: (
        "Calls of that partition cannot be charged. Who else writes to this Redis? Stop that, and"
        " the nodes; delete the key, then `caller ledger rebuild` fills the partition from SQL."
    ),
    INCOMPARABLE: _WAIT,
    ENTRY_UNREADABLE: "Report it as a bug; draining keeps it in the table rejected_entries.",
}
"""Rule -> what to do about its findings."""


async def audit_gate(
    gate: SpendGate,
    engine: AsyncEngine,
    partitions: int = PARTITIONS,
    *,
    timeout_s: float = TIMEOUT_S,
    clock: Clock = utc_now,
) -> list[str]:
    """Return one line for each difference between the spend gate and the book.

    Lines name account ids and call ids. Partitions that have lost their data are one finding
    together; so are those that are withdrawn, and those that are older copies.
    Raises StoreUnavailableError.
    """
    # Looked at once: it reads every table whole, and would be the longest part of each comparison.
    async with reading(engine, AUDIT_TIMEOUT_S) as connection:
        is_readable = not await column_audit.unreadable(connection)
    comparison = _Comparison(gate, engine, partitions, timeout_s, clock, is_readable)
    differing: dict[int, Sequence[Disagreement]] = {}
    for partition in range(partitions):
        if found := await comparison.of(partition):
            differing[partition] = found
    for _ in range(COMPARISONS_MAX - 1):
        if not differing:
            break
        # One pause for all: one for each would take minutes where all differ.
        await asyncio.sleep(COMPARISON_PAUSE_S)
        for partition, before in list(differing.items()):
            again = await comparison.of(partition)
            # Figures are not compared (`Disagreement`): they may change while the difference stays.
            differing[partition] = [point for point in before if point in again]
            if not differing[partition]:
                del differing[partition]
    findings: list[str] = []
    whole: dict[str, list[int]] = {OLDER_COPY: [], WITHDRAWN: [], EMPTY: []}
    for partition, found in differing.items():
        # One cause makes all partitions findings at once: a finding for each would bury the others.
        for rule in {point.rule for point in found} & whole.keys():
            whole[rule].append(partition)
        findings += [str(point) for point in found[:FINDINGS_MAX] if point.rule not in whole]
    for rule, of in whole.items():
        if of:
            named = f"{len(of)} of {partitions} partitions"
            numbers = ", ".join(map(str, of))
            figures = f"not filled: {numbers}" if rule == EMPTY else numbers
            findings.insert(0, str(Disagreement(rule, named, figures)))
    return findings


async def find_surpluses(
    gate: SpendGate,
    engine: AsyncEngine,
    chosen: Iterable[int],
    partitions: int = PARTITIONS,
    *,
    timeout_s: float = TIMEOUT_S,
    clock: Clock = utc_now,
) -> list[Surplus]:
    """Return what filling the chosen partitions from the book would take from accounts.

    A partition that waits to be filled may still hold what the book lacks. What an older copy holds
    beyond the book, at no higher number of credits, has been spent since. Raises
    StoreUnavailableError, also where an outbox is too long or too busy to compare.
    """
    comparison = _Comparison(gate, engine, partitions, timeout_s, clock)
    found: list[Surplus] = []
    for partition in chosen:
        found += await comparison.surpluses(partition)
    return found


@dataclass(frozen=True, slots=True)
class _Compared:
    """A partition beside its book."""

    connection: AsyncConnection
    """The transaction in which the book is read."""
    contents: GateContents
    book: PartitionState
    unread: Sequence[OutboxEntry]
    """Entries that could not be read."""
    is_older_copy: bool


@dataclass(frozen=True, slots=True)
class _Comparison:
    gate: SpendGate
    engine: AsyncEngine
    partitions: int
    timeout_s: float
    clock: Clock
    is_readable: bool = True
    """Whether every value of the book can be read."""

    async def of(self, partition: int) -> Sequence[Disagreement]:
        """Compare a partition with its book."""
        async with self._compared(partition) as compared:
            if compared is None:
                return [Disagreement(INCOMPARABLE, f"partition {partition}")]
            contents = compared.contents
            book = compared.book
            gate = compared.contents.state
            whole = [Disagreement(ENTRY_UNREADABLE, entry.entry_id) for entry in compared.unread]
            if not contents.is_filled:
                lost = Disagreement(EMPTY, f"partition {partition}")
                foreign = [one for one in contents.faults if one.rule == gate_rows.FOREIGN_TYPE]
                return [lost, *foreign, *calls_at_no_gate(book), *whole]
            if contents.is_withdrawn:
                whole.append(Disagreement(WITHDRAWN, f"partition {partition}"))
            if compared.is_older_copy:
                # It knows calls as of an earlier time: comparing details would report every newer
                # call as invented.
                old = Disagreement(OLDER_COPY, f"partition {partition}")
                return [old, *whole, *disagreements(gate, book), *contents.faults]
            detail = await compared.connection.run_sync(
                read_detail, gate, here(partition, self.partitions), self.clock()
            )
        return [
            *whole,
            *disagreements(gate, book),
            *details_that_differ(gate, book, detail, contents.openings, contents.endings),
            *contents.faults,
        ]

    async def surpluses(self, partition: int) -> Sequence[Surplus]:
        """Return what a partition holds that its book will not say once the outbox is drained.

        Raises StoreUnavailableError where the outbox is too long or too busy.
        """
        async with self._compared(partition) as compared:
            if compared is None:
                raise StoreUnavailableError(INCOMPARABLE)
            found = surpluses(compared.contents.state, compared.book)
            # What an older copy has more of, at no more credits, has been spent since it was made.
            return [one for one in found if one.credits or not compared.is_older_copy]

    @asynccontextmanager
    async def _compared(self, partition: int) -> AsyncIterator[_Compared | None]:
        """Yield a partition and its book, as the book will be once the outbox is drained.

        The booking is tried in a transaction that is rolled back. It holds the lock that drainers
        take, so that the book does not change meanwhile. Yields None if the outbox is too long or
        too busy.
        """
        async with writing(self.engine, self.timeout_s) as connection:
            # Before anything is read: from here on no drainer moves the book away from the outbox.
            marks = await connection.run_sync(self._lock, partition)
            found = await self._read_between_changes(partition)
            if found is None:
                yield None
            else:
                contents, entries = found
                # The marks were read before the gate's last id, as `rolled_back` demands. Entries
                # that wait may prove a fork that no drainer has noted yet.
                is_older_copy = contents.has_outbox and bool(
                    rolled_back(marks, await self.gate.last_entry_ids([partition]))
                    or advance(marks[partition].booked_id, entries).fork_id
                )
                batch = fold(entries)
                positions = await connection.run_sync(self._try, batch, partition)
                yield _Compared(connection, contents, positions, batch.rejected, is_older_copy)
            # Nothing of the trial booking may stay, nor of the blanks.
            await connection.rollback()

    def _lock(self, connection: sa.Connection, partition: int) -> Mapping[int, PartitionMark]:
        """Make all who drain this partition wait; return the marks of all."""
        lock(connection, partition, self.clock())
        if not self.is_readable and connection.dialect.name == "sqlite":
            # Booking reads these tables, and would fail on a value that cannot be read.
            column_audit.blank_out(connection, tables.accounts, tables.calls, tables.api_keys)
        return read_marks(connection)

    def _try(self, connection: sa.Connection, batch: OutboxBatch, partition: int) -> PartitionState:
        """Book what waits; return what the book then says of the partition."""
        book(connection, batch, self.clock())
        return read_positions(connection, here(partition, self.partitions))

    async def _read_between_changes(
        self, partition: int
    ) -> tuple[GateContents, Sequence[OutboxEntry]] | None:
        """Return what a partition holds, and all that waited in the outbox at the same moment."""
        rows = await self.gate.inspect(partition)
        # Another type of key in the outbox's place cannot be read as one; the audit names it.
        if rows.is_outbox_foreign:
            return read_rows(rows), ()
        entries = await self.gate.read_outbox(partition, ENTRIES_MAX + 1)
        for _ in range(SNAPSHOTS_MAX):
            rows = await self.gate.inspect(partition)
            before, entries = entries, await self.gate.read_outbox(partition, ENTRIES_MAX + 1)
            if len(entries) > ENTRIES_MAX:
                return None
            # The last entry is the same before and after, so nothing was added while the rows were
            # read. What was trimmed meanwhile is in the book already.
            if not entries or (before and before[-1].entry_id == entries[-1].entry_id):
                return read_rows(rows), before
        return None
