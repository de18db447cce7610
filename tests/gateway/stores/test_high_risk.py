"""The carrier's list of high-risk prefixes on both databases: whole, for every node."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from billing.stores import tables
from database.engine import create_engine
from database.errors import StoreUnavailableError
from gateway.calls.closed_destinations import ClosedDestinations
from gateway.stores.high_risk import KEPT_VERSIONS, SqlHighRiskLists, SyncedList
from tests.clock import Clock
from tests.postgres import sqlite_threads_ended

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATVIA = {"37181": "LV", "3719000": "LV"}


@pytest.fixture
def clock():
    return Clock(START)


@pytest.fixture
def lists(engine, clock):
    return SqlHighRiskLists(engine, clock=clock)


async def test_none_is_in_force_until_one_was_synced(lists):
    assert (await lists.version(), await lists.newest()) == (None, None)


async def test_the_newest_list_is_in_force(lists, clock):
    assert await lists.replace(LATVIA) == 1
    assert await lists.newest() == SyncedList(1, LATVIA, START)
    clock.now += timedelta(days=1)
    assert await lists.replace({"37181": "LV"}) == 2
    assert await lists.newest() == SyncedList(2, {"37181": "LV"}, clock.now)


async def test_the_same_list_again_keeps_its_version_and_is_younger(lists, clock):
    await lists.replace(LATVIA)
    clock.now += timedelta(days=1)
    assert await lists.replace(dict(reversed(LATVIA.items()))) == 1
    assert (await lists.newest()).synced_at == clock.now


async def test_syncs_at_once_get_versions_of_their_own(engine):
    stores = [SqlHighRiskLists(engine) for _ in range(6)]
    different = [store.replace({f"3718{n}": "LV"}) for n, store in enumerate(stores)]
    assert sorted(await asyncio.gather(*different)) == [1, 2, 3, 4, 5, 6]
    assert await asyncio.gather(*(store.replace(LATVIA) for store in stores)) == [7] * 6


async def test_old_lists_are_let_go(engine, lists):
    for n in range(KEPT_VERSIONS + 3):
        await lists.replace({f"371{n + 10}": "LV"})
    async with engine.connect() as connection:
        kept = await connection.execute(sa.select(tables.high_risk_lists.c.version))
        assert sorted(kept.scalars()) == list(range(4, KEPT_VERSIONS + 4))


@pytest.mark.parametrize("content", ["", "[]", '{"+371":"LV"}', '{"":"LV"}', '{"371":1}'])
async def test_a_row_that_cannot_be_read_is_told(engine, lists, content):
    async with engine.begin() as connection:
        row = {"version": 1, "content": content, "synced_at": START}
        await connection.execute(sa.insert(tables.high_risk_lists), row)
    with pytest.raises(StoreUnavailableError, match="sync it again"):
        await lists.newest()
    assert await lists.replace(LATVIA) == 2
    assert (await lists.newest()).prefixes == LATVIA


async def test_every_node_follows(lists):
    nodes = [ClosedDestinations(lists, opened) for opened in ([], ["37181"])]
    for node in nodes:
        await node.load()
    await lists.replace(LATVIA)
    for node in nodes:
        await node.refresh()
    assert [node.closed.closes("37181123456") for node in nodes] == [True, False]
    assert [node.closed.closes("37190001234") for node in nodes] == [True, True]


async def test_a_database_that_is_away_is_told(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/nowhere/book.db")
    lists = SqlHighRiskLists(engine)
    for work in (lists.version(), lists.newest(), lists.replace(LATVIA)):
        with pytest.raises(StoreUnavailableError):
            await work
    await engine.dispose()
    await sqlite_threads_ended()
