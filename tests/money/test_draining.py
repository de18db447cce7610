"""A drainer that dies, two at once, a book that is away for long: everything is booked once."""

import asyncio
import random

import pytest

from billing.drain import Drainer
from billing.stores import redis as redis_store
from billing.stores.sql import SqlLedgerStore
from database.engine import create_engine
from database.errors import StoreUnavailableError
from tests.billing.outbox_entries import OneByOne
from tests.money.ledger_world import CENT, PARTITIONS, UNIT


class DyingOutbox(OneByOne):
    """The gate of a drainer that dies by chance between the commit and the trim."""

    def __init__(self, gate, chance):
        self._gate, self._chance = gate, chance

    async def read_outbox(self, partition, count_max):
        return await self._gate.read_outbox(partition, self._chance.randrange(1, 6))

    async def trim_outbox(self, partition, entry_ids):
        if self._chance.random() < 0.4:
            raise StoreUnavailableError("the drainer died")
        await self._gate.trim_outbox(partition, entry_ids)


@pytest.mark.parametrize("seed", range(2))
async def test_a_drainer_that_dies_after_its_commit_books_nothing_twice(world, seed):
    dying = [
        Drainer(DyingOutbox(world.gate, random.Random(seed + n)), world.book, PARTITIONS)
        for n in range(2)
    ]
    calls = [await world.call(f"c{n}") for n in range(3)]
    for second in range(12):
        await world.pass_seconds()
        await asyncio.gather(*(d.drain_once() for d in dying), return_exceptions=True)
        if second == 6:
            await world.hang_up(calls[0])
        # In mid-call, not only at the end: a hold added twice is undone by the end of its call.
        assert await world.findings() == []
    await world.hang_up(*calls[1:])
    assert await world.gate.balance("alice") == 50 * UNIT - (7 + 12 + 12) * CENT
    await world.assert_in_order()


async def test_two_drainers_at_once(world):
    calls = [await world.call(f"c{n}") for n in range(3)]
    others = [Drainer(world.gate, world.book, PARTITIONS) for _ in range(3)]
    for _ in range(5):
        await world.pass_seconds(2)
        await asyncio.gather(*(drainer.drain_once() for drainer in others))
        assert await world.findings() == []
    await world.hang_up(*calls)
    await world.assert_in_order()


async def test_a_book_that_is_away_for_long_gets_all_that_counts(world, monkeypatch, tmp_path):
    """Ticks cease to fill the outbox; openings and ends are kept, and everything is exact."""
    monkeypatch.setattr(redis_store, "TICK_ENTRIES_MAX", 30)
    nowhere = create_engine(f"postgresql://caller@/book?host={tmp_path}")
    cut_off = Drainer(world.gate, SqlLedgerStore(nowhere), PARTITIONS)
    lasting = [await world.call(f"lasting{n}") for n in range(3)]
    before = await world.book.balance("alice")
    for n in range(20):
        passing = await world.call(f"c{n}")
        await world.pass_seconds(5)
        await world.hang_up(passing)
        if n % 10 == 0:
            with pytest.raises(StoreUnavailableError):
                await cut_off.drain_once()
    assert await world.book.balance("alice") == before == 50 * UNIT
    assert await world.gate.balance("alice") == 50 * UNIT - (100 + 3 * 108) * CENT
    kinds = [e.kind for e in await world.gate.read_outbox(world.gate.partition("alice"), 1_000)]
    assert (kinds.count("O"), kinds.count("C")) == (23, 20)
    assert len(kinds) <= 30 + 43

    assert await world.drainer.drain_once() == len(kinds)
    records = [await world.records.get("alice", f"c{n}") for n in range(20)]
    assert {record.cost_micros for record in records} == {5 * CENT}
    await world.pass_seconds()
    assert await world.findings() == []
    await world.hang_up(*lasting)
    assert await world.gate.balance("alice") == 50 * UNIT - (100 + 3 * 101) * CENT
    await world.assert_in_order()
    await nowhere.dispose()
