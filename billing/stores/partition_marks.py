"""Keeps a lock and a mark in the book of record for each partition of the spend gate.

The mark says how far the partition's outbox is booked, and whether an entry has proven that the
gate was rolled back (`billing.lineage`). It moves in the transaction that books, under the lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.lineage import advance
from billing.ports import OutboxEntry, PartitionMark
from billing.stores import tables
from database.engine import upsert_in
from database.many import execute_many

_PARTITIONS = tables.partitions
_COLUMNS = _PARTITIONS.c

# Made once: to make a statement costs more than to run it.
_MARKS = sa.select(_COLUMNS.partition, _COLUMNS.booked_id, _COLUMNS.fork_id)
_MOVE_MARK = sa.update(_PARTITIONS).where(_COLUMNS.partition == sa.bindparam("of"))


def lock_and_mark(
    connection: sa.Connection, batch: Mapping[int, Sequence[OutboxEntry]], at: datetime
) -> None:
    """Make all other drainers of these partitions wait, and note that these entries are booked.

    They wait until the transaction ends. `batch` is in ascending order, in which the rows are
    locked, so that no two drainers wait for each other.
    """
    # The upsert is the lock. It also makes the row of a partition that is drained for the first
    # time.
    execute_many(
        connection,
        _counting(connection.dialect.name),
        [
            {"partition": partition, "drained_count": len(entries), "drained_at": at}
            for partition, entries in batch.items()
        ],
    )
    moved = []
    # Read under the lock: no one else can move these marks before this transaction ends.
    for partition, booked_id, fork_id in connection.execute(_MARKS).all():
        after = advance(booked_id, batch.get(partition, ()))
        if after.booked_id != booked_id:
            # A proof stays until the partition has been filled, whatever is booked meanwhile.
            proof = after.fork_id or fork_id
            moved.append({"of": partition, "booked_id": after.booked_id, "fork_id": proof})
    execute_many(connection, _MOVE_MARK, moved)


@cache
def _counting(dialect: str) -> sa.UpdateBase:
    """Return the statement that counts entries; built once, as building costs more than running."""
    insert = upsert_in(dialect, _PARTITIONS)
    return insert.on_conflict_do_update(
        index_elements=["partition"],
        set_={
            "drained_count": _COLUMNS.drained_count + insert.excluded.drained_count,
            "drained_at": insert.excluded.drained_at,
        },
    )


def lock(connection: sa.Connection, partition: int, at: datetime) -> None:
    """Make all who drain this partition wait until the transaction ends."""
    nothing = {"partition": partition, "drained_count": 0, "drained_at": at}
    connection.execute(_locking(connection.dialect.name), nothing)


@cache
def _locking(dialect: str) -> sa.Executable:
    return upsert_in(dialect, _PARTITIONS).on_conflict_do_update(
        index_elements=["partition"],
        # Changes nothing, and locks the row all the same.
        set_={"drained_count": _COLUMNS.drained_count},
    )


def read_marks(connection: sa.Connection) -> dict[int, PartitionMark]:
    """Return the marks of all partitions of which anything was ever booked."""
    rows = connection.execute(_MARKS)
    return {partition: PartitionMark(*mark) for partition, *mark in rows}


async def forget_fork(connection: AsyncConnection, partition: int, fork_id: str) -> None:
    """Forget this proof; another one that was found meanwhile stays."""
    await connection.execute(
        sa.update(_PARTITIONS)
        .where(_COLUMNS.partition == partition, _COLUMNS.fork_id == fork_id)
        .values(fork_id="")
    )
