"""Rate decks on both databases: which one is in force, and two imports at once."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from billing.errors import RateDeckError
from billing.rate_deck import COLUMNS, RateDeck
from billing.stores import tables
from billing.stores.rate_decks import PAGE_ROWS_MAX, DeckVersion, SqlRateDeckStore
from database.engine import create_engine
from database.errors import StoreUnavailableError
from gateway.charging.current_rates import CurrentRates
from tests.billing.outbox_entries import START

HEADER = ",".join(COLUMNS) + "\n"
HOUR = timedelta(hours=1)


def deck(price):
    return f"{HEADER}44 49,Somewhere,,{price},0,1,1\n"


@pytest.fixture
def decks(engine):
    return SqlRateDeckStore(engine, clock=lambda: START)


async def test_the_deck_activated_last_is_in_force(decks):
    assert await decks.in_force(START) is None
    assert await decks.version_in_force(START) is None
    for version, (price, at) in enumerate([("1", START), ("3", START + 3 * HOUR)], start=1):
        assert await decks.add(deck(price), "file", at) == version
    assert await decks.add(deck("2"), "file", START + 2 * HOUR) == 3
    for hours, version in ((-1, None), (0, 1), (1, 1), (2, 3), (3, 2), (9, 2)):
        at = START + hours * HOUR
        assert await decks.version_in_force(at) == version
        held = await decks.in_force(at)
        assert held == (version and (version, deck("132"[version - 1])))


async def test_of_two_activated_at_once_the_later_version_holds(decks):
    await decks.add(deck("1"), "file", START)
    await decks.add(deck("2"), "file", START)
    assert await decks.version_in_force(START) == 2


async def test_a_version_says_where_it_came_from(decks):
    elsewhere = START.astimezone(tz=None) + HOUR
    await decks.add(deck("1"), "rates.csv", elsewhere)
    (found,) = await decks.list(9)
    assert found == DeckVersion(
        1, found.digest, "rates.csv", 2, START, START + HOUR, withdrawn_at=None
    )
    assert len(found.digest) == 64
    assert await decks.content(1) == deck("1")
    assert await decks.content(2) is None


async def test_a_deck_that_changes_nothing_is_not_kept_again(decks):
    assert await decks.add(deck("1"), "a", START) == 1
    assert await decks.add(deck("1"), "b", START + HOUR) == 1
    assert await decks.add(deck("2"), "c", START + 2 * HOUR) == 2
    # It would be back after another deck: that is a change.
    assert await decks.add(deck("1"), "d", START + 3 * HOUR) == 3
    assert await decks.add(deck("1"), "e", START + HOUR) == 1
    assert [d.version for d in await decks.list(9)] == [3, 2, 1]


async def test_withdrawing_brings_back_the_one_before_for_good(decks):
    for price in ("1", "2"):
        await decks.add(deck(price), "file", START)
    assert await decks.withdraw(2)
    assert not await decks.withdraw(2)
    assert not await decks.withdraw(7)
    assert await decks.version_in_force(START) == 1
    assert (await decks.list(1))[0].withdrawn_at == START
    # A withdrawn number is not used again, nor its deck taken for the one in force.
    assert await decks.add(deck("2"), "file", START) == 3
    await decks.add(deck("3"), "file", START + HOUR)
    assert await decks.withdraw(4)
    assert await decks.version_in_force(START + HOUR) == 3


@pytest.mark.parametrize("content", ["", "x", HEADER, deck("-1"), deck("1") + deck("1")])
async def test_what_is_no_deck_is_not_kept(decks, content):
    with pytest.raises(RateDeckError):
        await decks.add(content, "file", START)
    assert await decks.list(9) == []


async def test_imports_at_once_get_versions_of_their_own(engine):
    stores = [SqlRateDeckStore(engine, clock=lambda: START) for _ in range(6)]
    different = [s.add(deck(n + 1), "file", START) for n, s in enumerate(stores)]
    assert sorted(await asyncio.gather(*different)) == [1, 2, 3, 4, 5, 6]
    same = [s.add(deck(9), "file", START) for s in stores]
    assert await asyncio.gather(*same) == [7] * 6


async def test_a_node_follows_what_is_imported_and_withdrawn(decks):
    fallback = RateDeck.from_csv(deck("9"))
    rates = CurrentRates(decks, fallback=fallback, clock=lambda: START)
    await rates.load()
    prices = [rates.lookup("+442079460018").rate.per_minute_micros]
    for change in (
        decks.add(deck("1"), "file", START),
        decks.add(deck("2"), "file", START),
        decks.withdraw(2),
        decks.withdraw(1),
    ):
        await change
        await rates.refresh()
        prices.append(rates.lookup("+442079460018").rate.per_minute_micros)
    assert prices == [9_000_000, 1_000_000, 2_000_000, 1_000_000, 9_000_000]


async def test_lists_are_bounded(engine, decks):
    rows = [
        {
            "version": n,
            "digest": "",
            "source": "",
            "prefixes": 0,
            "content": "",
            "imported_at": START,
            "activates_at": START + HOUR,
        }
        for n in range(1, PAGE_ROWS_MAX + 2)
    ]
    async with engine.begin() as connection:
        await connection.execute(sa.insert(tables.rate_decks), rows)
    assert len(await decks.list(10**9)) == PAGE_ROWS_MAX
    assert [d.version for d in await decks.list(1)] == [PAGE_ROWS_MAX + 1]
    assert await decks.list(-1) == []


@pytest.mark.thorough
async def test_a_large_deck_is_kept_whole(decks):
    rows = "".join(f"1{n:07},Somewhere,,0.01,0,1,1\n" for n in range(50_000))
    await decks.add(HEADER + rows, "file", START)
    assert await decks.in_force(START) == (1, HEADER + rows)


async def test_a_database_that_is_away_is_told(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/nowhere/book.db")
    decks = SqlRateDeckStore(engine)
    for work in (
        decks.in_force(START),
        decks.version_in_force(START),
        decks.list(1),
        decks.content(1),
        decks.withdraw(1),
        decks.add(deck("1"), "", START),
    ):
        with pytest.raises(StoreUnavailableError):
            await work
    await engine.dispose()
