"""The deck in use follows the decks that were imported, and nothing that fails takes it away."""

from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from billing.errors import RateDeckError
from billing.rate_deck import COLUMNS, RateDeck
from database.errors import StoreUnavailableError
from gateway.charging.current_rates import CurrentRates

START = datetime(2026, 3, 1, tzinfo=UTC)
NUMBER = "+442079460018"


def csv(price):
    return f"{','.join(COLUMNS)}\n44,UK,GB,{price},0,1,1\n"


class Decks:
    """Decks by the time they are activated."""

    def __init__(self):
        self.versions = {}
        self.read_count = 0
        self.is_away = False

    async def version_in_force(self, at):
        if self.is_away:
            raise StoreUnavailableError("away")
        return max((v for v, (_, since) in self.versions.items() if since <= at), default=None)

    async def in_force(self, at):
        self.read_count += 1
        version = await self.version_in_force(at)
        return None if version is None else (version, self.versions[version][0])


class World:
    def __init__(self):
        self.now = START
        self.decks = Decks()
        self.rates = CurrentRates(
            self.decks, fallback=RateDeck.from_csv(csv("0.01")), clock=lambda: self.now
        )

    def price(self):
        return self.rates.lookup(NUMBER).rate.per_minute_micros


@pytest.fixture
def world():
    return World()


async def test_without_an_imported_deck_the_fallback_holds(world):
    await world.rates.load()
    assert (world.price(), world.rates.version) == (10_000, None)
    assert world.rates.lookup("+4930123456") is None


async def test_a_deck_holds_from_its_time_on_and_is_read_once(world):
    world.decks.versions = {1: (csv("0.02"), START), 2: (csv("0.03"), START + timedelta(hours=1))}
    for hours, price, version, reads in ((0, 20_000, 1, 1), (0, 20_000, 1, 1), (1, 30_000, 2, 2)):
        world.now = START + timedelta(hours=hours)
        await world.rates.refresh()
        assert (world.price(), world.rates.version) == (price, version)
        assert world.decks.read_count == reads


async def test_a_deck_that_is_withdrawn_gives_way_to_the_one_before_and_to_the_fallback(world):
    world.decks.versions = {1: (csv("0.02"), START), 2: (csv("0.03"), START)}
    await world.rates.refresh()
    for price in (20_000, 10_000):
        world.decks.versions.popitem()
        await world.rates.refresh()
        assert world.price() == price


async def test_a_deck_that_cannot_be_read_leaves_the_present_one_and_is_told_once(world):
    world.decks.versions = {1: (csv("0.02"), START)}
    await world.rates.refresh()
    world.decks.versions[2] = ("no deck", START)
    with capture_logs() as lines:
        for _ in range(3):
            await world.rates.refresh()
    assert (world.price(), world.rates.version) == (20_000, 1)
    assert [(line["log_level"], line["code"]) for line in lines] == [("error", "bad_rate_deck")]
    assert world.decks.read_count == 2
    world.decks.versions[3] = (csv("0.04"), START)
    await world.rates.refresh()
    assert world.price() == 40_000


async def test_a_store_that_is_away_leaves_the_present_one_and_is_told_once_each_time(world):
    with capture_logs() as lines:
        for is_away in (True, True, False, True):
            world.decks.is_away = is_away
            await world.rates.refresh()
    assert [line["code"] for line in lines] == ["store_unavailable"] * 2
    assert world.price() == 10_000


async def test_a_node_does_not_start_on_prices_that_may_be_wrong(world):
    world.decks.versions = {1: ("no deck", START)}
    with pytest.raises(RateDeckError):
        await world.rates.load()
    world.decks.is_away = True
    with pytest.raises(StoreUnavailableError):
        await world.rates.load()
