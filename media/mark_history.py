"""Judges whether a row of late marks can be chance, by the round trips of the marks before it.

A mark may be late by chance, and never early. Audio that a stall has piled up makes all marks late
that follow it. A row of late marks is compared with the marks before it: how likely is it that the
next ones are all as late? Where marks come back evenly, two late ones are no chance; where
every other one is late, a dozen may be. Marks that are late by the same are no chance either.
"""

from __future__ import annotations

from array import array
from math import comb
from typing import Final

from media.clock import MS_NS

TRIPS: Final = 96
"""Round trips remembered: the longest row, and a minute before it to compare it with."""
LATE_NS_MIN: Final = 20 * MS_NS
"""A carrier that plays 20 ms at a time returns marks up to this late."""
LATE_SHARE: Final = 20
"""Marks come back evenly while at most one of this many is late."""
EVEN_MIN: Final = 6
"""Fewer do not show that marks come back evenly."""
TESTED: Final = 3
"""The newest marks are what is judged, and say nothing of whether marks come back evenly."""
KNOWN_MIN: Final = 3
"""Fewer round trips before a row say nothing of it."""
ROWS: Final = (2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Lengths of the rows that are looked at."""
ALIKE_MIN: Final = 3
"""Fewer late marks may agree by chance."""
ALIKE_NS: Final = 4 * MS_NS
"""What the jitter of a network adds to the least that marks which agree lie apart."""
APART: Final = 4
"""Lower than all before by this many times the spread of the lowest of them is no chance."""
LOW_ROW: Final = 16
LOW: Final = 4
"""So many of a row that are lower than all marks before it are no chance."""


class MarkHistory:
    """The round trips of one stream's marks, less the audio before them, in ns."""

    __slots__ = ("_since_clear", "_taken", "_trips", "is_even", "is_way_longer", "row_ns")

    def __init__(self) -> None:
        # Not a tuple of numbers, which would take five times as much of each call's memory.
        self._trips: array[int] = array("q")
        """Oldest first."""
        self._taken: array[int] | None = None
        """Of the marks that the last clear is to make come back sooner, until that is known."""
        self._since_clear = 0
        """How many marks came back since the last clear."""
        self.is_even = False
        """Whether late marks are known to be so rare that two in a row are no chance."""
        self.is_way_longer = False
        """Whether the newest mark agrees with those before the last clear, which took nothing."""
        self.row_ns = 0
        """The least of the row that `likelihood` found last."""

    def returned(self, trip_ns: int) -> None:
        """Take the round trip of a mark."""
        trips = self._trips
        trips.append(trip_ns)
        self._since_clear += 1
        self.is_way_longer = False
        if self._taken is not None and self._since_clear == TESTED:
            self._judge_clear(self._taken, trips[-TESTED:])
        del trips[:-TRIPS]
        known = trips[:-TESTED]
        count = len(known)
        self.is_even = count >= EVEN_MIN
        if self.is_even:
            late_ns = min(known) + LATE_NS_MIN
            self.is_even = sum([each_ns > late_ns for each_ns in known]) <= count // LATE_SHARE

    def _judge_clear(self, taken: array[int], newest: array[int]) -> None:
        """Find out whether the clear made marks come back sooner."""
        self._taken = None
        last = taken[-ALIKE_MIN:] + newest
        self.is_way_longer = max(last) - min(last) <= 2 * ALIKE_NS
        if self.is_way_longer:
            del self._trips[:-TESTED]
        elif min(newest) >= min(taken):
            # They do not: it was chance.
            self._trips[-TESTED:-TESTED] = taken

    def restart(self) -> None:
        """Forget all but the newest mark: the way is another one."""
        del self._trips[:-1]
        self._taken = None

    def corrected(self, marks: int, length_ns: int) -> None:
        """Account for audio that this many of the newest marks had and the model has now."""
        trips = self._trips
        for at in range(max(0, len(trips) - marks), len(trips)):
            trips[at] -= length_ns

    def cleared(self, level_ns: int) -> None:
        """Note that the carrier was cleared.

        The newest marks, as far as none came back sooner than `level_ns`, may have been late by
        what is gone now, and say nothing of chance.
        """
        first = len(self._trips) - self._row(level_ns)
        self._taken = self._trips[first:] or None
        del self._trips[first:]
        self._since_clear = 0

    def least_ns(self) -> int | None:
        """Return the shortest round trip; None while fewer are known than are remembered."""
        return min(self._trips) if len(self._trips) == TRIPS else None

    def chance_ns(self) -> int:
        """Return by how much a mark may come back sooner than all before it by chance."""
        before = sorted(self._trips[:-1])
        if len(before) < KNOWN_MIN:
            return 0
        apart_ns = before[KNOWN_MIN - 1] - before[0]
        return max(APART * apart_ns, (before[len(before) // 2] - before[0]) // 2)

    def chance(self, marks: int, level_ns: int) -> float:
        """Return how likely it is that this many of the newest marks are all as late as this.

        0 where too few are known.
        """
        known = self._trips[:-marks]
        return _chance(marks, marks, known, level_ns) if len(known) >= KNOWN_MIN else 0.0

    def likelihood(self, floor_ns: int, late_ns: int) -> tuple[int, float, float]:
        """Find the row of late marks that is least likely, and return how likely it is.

        A row ends at the newest mark, and all of it are later than the floor by `late_ns` at least.
        Returns its length, 0 if there is none; how likely chance makes that many that late; and
        how likely it makes late ones agree so well. 1.0 where nothing can be said.
        """
        trips = self._trips
        longest = min(self._row(floor_ns + late_ns), self._since_clear)
        best = 0
        least = 2.0
        all_late = 1.0
        all_alike = 1.0
        for marks in ROWS:
            if marks > longest:
                break
            known = trips[:-marks]
            row = sorted(trips[-marks:])
            late = 1.0
            alike = _alike(row, row[0] - floor_ns)
            if len(known) >= KNOWN_MIN:
                # All of them are late; or most are, or half.
                for rank in (0, marks // 4, marks // 2):
                    late = min(late, _chance(marks, marks - rank, known, row[rank]))
            all_late = min(all_late, late)
            all_alike = min(all_alike, alike)
            if min(late, alike) < least:
                best = marks
                least = min(late, alike)
                self.row_ns = row[0]
        return best, all_late, all_alike

    def lowered_ns(self) -> int:
        """Return by how much marks come back sooner than they did; 0 unless several do.

        The carrier's clock is fast then, and it has less to play than the model says.
        """
        known = self._trips[:-LOW_ROW]
        row = sorted(self._trips[-LOW_ROW:])
        return max(0, min(known) - row[LOW - 1]) if len(known) >= 2 * LOW_ROW else 0

    def _row(self, level_ns: int) -> int:
        """Return how many of the newest marks in a row came back no sooner."""
        trips = self._trips
        row = 0
        count = len(trips)
        while row < count and trips[count - 1 - row] >= level_ns:
            row += 1
        return row


def _alike(row: list[int], late_ns: int) -> float:
    """Return how likely it is that marks agree so well, all or all but a quarter.

    Chance that makes marks as late spreads them as widely.
    """
    others = len(row) - 1
    if others + 1 < ALIKE_MIN:
        return 1.0
    least = 1.0
    for count in (others, others - len(row) // 4):
        share = min(1.0, (row[count] - row[0] + ALIKE_NS) / late_ns)
        least = min(least, float(comb(others, count) * share**count))
    return least


def _chance(marks: int, least: int, known: array[int], level_ns: int) -> float:
    """Return how likely it is that at least this many of the next marks are as late as `level_ns`.

    Which share of all marks is as late is known no better than from those before: what follows is
    beta-binomial, by the prior of Krichevsky and Trofimov.
    """
    late = sum([each_ns >= level_ns for each_ns in known]) + 0.5
    soon = len(known) + 1 - late
    chance = 1.0
    for n in range(marks):
        chance *= (late + n) / (late + soon + n)
    likely = chance
    for count in range(marks, least, -1):
        # From the probability of this many late ones to that of one fewer.
        chance *= count / (marks - count + 1) * (soon + marks - count) / (late + count - 1)
        likely += chance
    return likely
