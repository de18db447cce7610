"""Tells a spend gate that continues what the book of record has booked from an older copy.

Each partition's outbox numbers its entries in ascending order, and each entry names the one that
was written before it. The book keeps the id of the last entry it has booked. A partition that has
written nothing as new as that is an older copy; so is one that wrote a newer entry straight after
an older one, for in its history the booked entry never was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from billing.ports import OutboxEntry, PartitionMark

NOTHING_TOLD = "0-0"
"""Stands before the first entry of an outbox."""

_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Advance:
    """How a batch of entries moves the mark of its partition."""

    booked_id: str
    fork_id: str = ""
    """Entry that proves the gate an older copy; empty where none does."""


def advance(booked_id: str, entries: Iterable[OutboxEntry]) -> Advance:
    """Return the mark after a partition's entries, in their order."""
    fork_id = ""
    booked = _place(booked_id)
    for entry in entries:
        place = _place(entry.entry_id)
        # Booked already: the transaction committed and the trimming failed, or another drainer read
        # it too.
        if place <= booked:
            continue
        # It follows an entry that is older than the mark, so in this gate's history the marked
        # entry was never written. Scripts of an older release name no previous entry, which proves
        # nothing.
        if not fork_id and entry.previous_id and _place(entry.previous_id) < booked:
            fork_id = entry.entry_id
        booked_id = entry.entry_id
        booked = place
    return Advance(booked_id, fork_id)


def rolled_back(marks: Mapping[int, PartitionMark], told: Mapping[int, str]) -> list[int]:
    """Return the partitions that are older copies of what the book has booked, in order.

    `told`, the last entry that each has written, must have been read after the book's marks.
    """
    # With `told` read first, an entry written and booked in between would make a partition look as
    # if it had lost that entry.
    return [
        partition
        for partition, last_id in sorted(told.items())
        if (mark := marks.get(partition)) is not None
        and (mark.fork_id or _place(last_id) < _place(mark.booked_id))
    ]


def _place(entry_id: str) -> tuple[int, int]:
    """Return the sort key of a stream id; text that is none sorts before all others."""
    # Compared as numbers: as text "10-0" sorts before "9-0".
    match = _ID.fullmatch(entry_id)
    return (0, 0) if match is None else (int(match[1]), int(match[2]))
