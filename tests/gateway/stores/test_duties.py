"""A duty of the whole deployment has one holder at a time, and another after that one is gone."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.stores.duties import LEASE, SqlDuties
from tests.clock import Clock

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def clock():
    return Clock(START)


@pytest.fixture
def two(engine, clock):
    return [SqlDuties(engine, name, clock=clock) for name in ("first", "second")]


async def test_one_holds_it_until_it_is_done(two, clock):
    first, second = two
    assert await first.is_due("d", DAY)
    assert await first.take("d")
    assert await first.take("d")
    assert not await second.take("d")
    assert await second.take("another")
    await first.done("d")
    assert not await second.is_due("d", DAY)
    assert await second.take("d")
    clock.now += DAY
    assert await second.is_due("d", DAY)


async def test_until_when_another_holds_it_can_be_asked(two, clock):
    first, second = two
    assert await second.held_until("d") is None
    assert await first.take("d")
    assert await first.held_until("d") is None
    assert await second.held_until("d") == START + LEASE
    clock.now += timedelta(seconds=30)
    assert await first.take("d")
    assert await second.held_until("d") == clock.now + LEASE
    clock.now += LEASE
    assert await second.held_until("d") is None


async def test_who_is_silent_loses_it_and_changes_nothing_afterwards(two, clock):
    first, second = two
    assert await first.take("d")
    clock.now += LEASE - timedelta(seconds=1)
    assert not await second.take("d")
    assert await first.take("d")
    clock.now += LEASE
    assert await second.take("d")
    assert not await first.take("d")
    await first.done("d")
    assert await second.is_due("d", DAY)
    assert not await first.take("d")
