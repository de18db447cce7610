"""The way from a carrier: what comes sooner is a shorter way, what comes later says nothing."""

from __future__ import annotations

import pytest

from media.way_back import SECONDS, SHORTER_NS_MIN, WayBack

MS = 1_000_000
SECOND = 1_000 * MS


def second(way: WayBack, at: int, *transits_ms: float, clock_ms: float = 0) -> bool:
    """Let audio come that took so long each; return whether the way is shorter."""
    for index, transit_ms in enumerate(transits_ms):
        sent_ms = at * 1_000 + index * 100
        way.feed(int((sent_ms + transit_ms + clock_ms) * MS), sent_ms)
    return way.is_shorter()


def test_a_way_that_stays_is_not_shorter() -> None:
    way = WayBack()
    assert not any(second(way, at, 60, 62, 75, 61) for at in range(60))


@pytest.mark.parametrize("clock_ms", [-90_000, 0, 90_000])
def test_audio_that_comes_sooner_tells_of_a_shorter_way_once(clock_ms: int) -> None:
    way = WayBack()
    for at in range(10):
        assert not second(way, at, 60, 62, clock_ms=clock_ms)
    shorter_ms = 60 - SHORTER_NS_MIN / MS
    assert not second(way, 10, 60, shorter_ms, clock_ms=clock_ms)
    way = WayBack()
    second(way, 0, 60, clock_ms=clock_ms)
    assert second(way, 1, 60, shorter_ms - 1, clock_ms=clock_ms)
    assert not second(way, 2, shorter_ms - 1, clock_ms=clock_ms)


def test_a_stall_is_no_longer_way_until_it_has_lasted() -> None:
    way = WayBack()
    second(way, 0, 60)
    assert not any(second(way, at, 1_060) for at in range(1, SECONDS))
    assert not second(way, SECONDS, 60), "it was as short within the last seconds"


def test_clocks_that_drift_are_no_way() -> None:
    way = WayBack()
    assert not any(second(way, at, 200 - at * 0.4) for at in range(400))


def test_seconds_without_audio_are_forgotten_one_by_one() -> None:
    way = WayBack()
    second(way, 0, 60)
    second(way, 1, 60)
    assert not way.is_shorter()
    assert second(way, 3, 10), "one is left to compare with"
    way = WayBack()
    second(way, 0, 60)
    for _ in range(SECONDS):
        assert not way.is_shorter()
    assert not second(way, SECONDS, 10)
