"""Refusals are counted in memory, and written whole once in a while."""

from datetime import UTC, datetime, timedelta

import pytest

from database.errors import StoreUnavailableError
from gateway.calls import refusal_counts
from gateway.calls.refusal_counts import RefusalCounts

HOUR = datetime(2026, 11, 27, 12, tzinfo=UTC)


class Book:
    def __init__(self):
        self.saved, self.is_away = [], False

    async def save_refusals(self, run, counts):
        if self.is_away:
            raise StoreUnavailableError("away")
        self.saved.append((run, dict(counts)))


class World:
    def __init__(self):
        self.book, self.now = Book(), HOUR + timedelta(minutes=59)
        self.counts = RefusalCounts(self.book, "run", lambda: self.now)


@pytest.fixture
def world():
    return World()


async def test_counts_are_of_an_account_an_hour_and_a_rule_and_written_whole(world):
    for code in ("country_closed", "country_closed", "range_limited", "insufficient_credit"):
        world.counts.note("alice", code)
    await world.counts.save()
    await world.counts.save()
    world.counts.note("alice", "country_closed")
    world.now += timedelta(minutes=1)
    world.counts.note("alice", "country_closed")
    await world.counts.save()
    first = {("alice", HOUR, "countries"): 2, ("alice", HOUR, "short-calls"): 1}
    later = HOUR + timedelta(hours=1)
    second = {("alice", HOUR, "countries"): 3, ("alice", later, "countries"): 1}
    assert world.book.saved == [("run", first), ("run", second)]


async def test_what_could_not_be_written_is_written_later(world):
    world.counts.note("alice", "country_closed")
    world.book.is_away = True
    with pytest.raises(StoreUnavailableError):
        await world.counts.save()
    await world.counts.close()
    world.now += timedelta(hours=3)
    world.book.is_away = False
    await world.counts.close()
    assert world.book.saved == [("run", {("alice", HOUR, "countries"): 1})]


async def test_a_flood_of_accounts_does_not_grow_the_process(world, monkeypatch):
    monkeypatch.setattr(refusal_counts, "COUNTS_MAX", 2)
    for name in ("a", "b", "c", "a"):
        world.counts.note(name, "country_closed")
    await world.counts.save()
    assert world.book.saved[0][1] == {
        ("a", HOUR, "countries"): 2,
        ("b", HOUR, "countries"): 1,
    }
    world.now += timedelta(hours=2)
    await world.counts.save()
    world.counts.note("c", "country_closed")
    await world.counts.save()
    assert [name for _, counts in world.book.saved for name, _, _ in counts][-1] == "c"
