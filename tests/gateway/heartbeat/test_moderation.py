"""A busy node's media are read in batches, a calm one's as they come."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from gateway.heartbeat.moderation import BUSY_PER_S, CALM_PER_S, LOOKS_MAX, PERIOD_NS, Moderation

TENTH_NS = 100_000_000


class Reader:
    """Has something to read, so many looks long."""

    def __init__(self) -> None:
        self.is_paced: bool | None = None
        self.looks = 0
        self.left = 0
        self.count = 0

    def pace(self, paced: bool) -> None:
        assert paced is not self.is_paced, "told what it knows"
        self.is_paced = paced

    def read(self) -> bool:
        self.looks += 1
        self.left -= 1
        return self.left < 0

    def take_count(self) -> int:
        count, self.count = self.count, 0
        return count


class Interval:
    """Fires when a test says so."""

    def __init__(self) -> None:
        self.fire: Callable[[], None] | None = None

    def start(self, period_ns: int, action: Callable[[], None]) -> None:
        assert period_ns == PERIOD_NS
        self.fire = action

    def stop(self) -> None:
        self.fire = None


class Node:
    """Two readers under one moderation."""

    def __init__(self) -> None:
        self.interval = Interval()
        self.moderation = Moderation(self.interval)
        self.readers = Reader(), Reader()
        self.now_ns = 10**15
        self.moderation.add(*self.readers)
        self.moderation.judge(self.now_ns)

    def judge(self, per_s: float, tenths: int = 1) -> bool:
        """So much is read by both together; return whether batches are read from now on."""
        self.now_ns += tenths * TENTH_NS
        total = round(per_s * tenths / 10)
        self.readers[0].count = total // 2
        self.readers[1].count = total - total // 2
        self.moderation.judge(self.now_ns)
        assert len({reader.is_paced for reader in self.readers}) == 1
        assert (self.interval.fire is not None) == self.readers[0].is_paced
        return self.interval.fire is not None


@pytest.fixture
def node() -> Node:
    return Node()


def test_it_begins_when_it_is_busy_and_ends_when_it_is_calm(node: Node) -> None:
    assert not node.judge(BUSY_PER_S - 10)
    assert node.judge(BUSY_PER_S)
    assert node.judge(CALM_PER_S)
    assert not node.judge(CALM_PER_S - 10)
    assert not node.judge(BUSY_PER_S - 10)
    assert node.judge(10 * BUSY_PER_S)


def test_a_late_judgement_counts_by_the_time_that_has_passed(node: Node) -> None:
    assert not node.judge(BUSY_PER_S / 2, tenths=20)
    assert node.judge(BUSY_PER_S, tenths=7)


def test_the_interval_reads_each_once(node: Node) -> None:
    node.judge(BUSY_PER_S)
    for reader in node.readers:
        reader.left = 5
    assert node.interval.fire is not None
    node.interval.fire()
    assert [reader.looks for reader in node.readers] == [1, 1]


def test_all_that_has_come_is_read_before_somebody_misses_it(node: Node) -> None:
    node.moderation.read()
    assert [reader.looks for reader in node.readers] == [0, 0], "the loop reads by itself"
    node.judge(BUSY_PER_S)
    node.readers[0].left = 3
    node.moderation.read()
    assert [reader.looks for reader in node.readers] == [4, 1]
    node.readers[0].left = 10**6
    node.moderation.read()
    assert node.readers[0].looks == 4 + LOOKS_MAX, "a flood leaves the loop to others"


def test_one_that_fails_keeps_none_from_its_turn(node: Node) -> None:
    node.judge(BUSY_PER_S)
    node.readers[0].read = lambda: 1 // 0 == 0
    assert node.interval.fire is not None
    with capture_logs() as logs:
        node.interval.fire()
    assert node.readers[1].looks == 1
    assert [line["event"] for line in logs] == ["media reader failed"]


def test_without_a_timer_the_loop_reads_on(node: Node) -> None:
    start = node.interval.start

    def fail(period_ns: int, action: Callable[[], None]) -> None:
        raise OSError(errno.EMFILE, "no descriptor")

    node.interval.start = fail
    assert not node.judge(BUSY_PER_S)
    node.interval.start = start
    assert node.judge(BUSY_PER_S)


def test_who_comes_later_reads_as_the_others(node: Node) -> None:
    late = Reader()
    node.judge(BUSY_PER_S)
    node.moderation.add(late)
    assert late.is_paced


def test_stopping_gives_the_reading_back_to_the_loop(node: Node) -> None:
    node.moderation.stop()
    node.judge(0)
    node = Node()
    node.judge(BUSY_PER_S)
    node.moderation.stop()
    assert [reader.is_paced for reader in node.readers] == [False, False]
    assert node.interval.fire is None
    node.moderation.stop()
