"""Random histories: whatever the order, repetition, crash or second drainer, the book agrees."""

import asyncio
import random
import zlib
from dataclasses import dataclass, field

import pytest

from billing.drain import Drainer
from billing.stores.audit import audit
from billing.stores.sql import SqlCdrStore
from database.errors import StoreUnavailableError
from tests.billing.outbox_entries import MemoryOutbox, closed, costing, opened, ticked
from tests.thorough import first_of

PARTITIONS = 4
ACCOUNTS = ("alice", "bob")


def partition_of(account_id):
    return zlib.crc32(account_id.encode()) % PARTITIONS


@dataclass
class Truth:
    """What the calls of a random history truly cost, and its entries in the order they came."""

    entries: dict[int, list] = field(default_factory=dict)
    charged: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    account_of: dict[str, str] = field(default_factory=dict)

    def balance(self, account_id, credited):
        spent = self.held | self.charged
        return credited - sum(
            micros for call_id, micros in spent.items() if self.account_of[call_id] == account_id
        )


def random_history(seed, call_count=30):
    chance = random.Random(seed)
    truth = Truth({p: [] for p in range(PARTITIONS)})
    for number in range(call_count):
        call_id, account_id = f"c{number}", chance.choice(ACCOUNTS)
        entries = truth.entries[partition_of(account_id)]
        held = chance.randrange(0, 500)
        final, lost = chance.choice([0, chance.randrange(0, 900)]), chance.choice([0, 0, 13])
        rate = costing(final + lost)
        entries.append(opened(call_id, held, account_id, rate=rate))
        truth.account_of[call_id], truth.held[call_id] = account_id, held
        for second in range(1, chance.randrange(1, 6)):
            truth.held[call_id] += chance.randrange(0, 90)
            entries.append(ticked((call_id, truth.held[call_id], second)))
        if chance.random() < 0.7:
            entries.append(closed(call_id, final, 7, account_id, written_off=lost))
            truth.charged[call_id] = final
    return truth


def shuffled(entries, chance):
    """Repeat a third of the entries and mix them all, openings before ticks at least once."""
    opens_last = sorted(entries, key=lambda entry: entry.kind != "O")
    mixed = [*entries, *chance.sample(entries, len(entries) // 3)]
    chance.shuffle(mixed)
    return [*mixed, *opens_last]


async def assert_true(store, engine, truth):
    assert await audit(engine) == []
    assert await store.balance("alice") == truth.balance("alice", 1_000_000)
    assert await store.balance("bob") == truth.balance("bob", 0)
    records = SqlCdrStore(engine)
    for call_id, account_id in truth.account_of.items():
        record = await records.get(account_id, call_id)
        assert (record.closed is not None) == (call_id in truth.charged)


@pytest.mark.parametrize("seed", first_of(range(4)))
async def test_repeated_and_reordered_batches(store, engine, seed):
    chance, truth = random.Random(seed), random_history(seed)
    for partition, entries in truth.entries.items():
        mixed = shuffled(entries, chance)
        while mixed:
            size = chance.randrange(1, 20)
            batch, mixed = mixed[:size], mixed[size:]
            await store.apply_outbox(partition, batch)
            if chance.random() < 0.2:
                assert await audit(engine) == []
    await assert_true(store, engine, truth)


class FallibleOutbox(MemoryOutbox):
    """Loses its trims, or its reads, by chance: a drainer that dies after the commit."""

    def __init__(self, chance, partitions):
        super().__init__(partitions)
        self._chance = chance

    async def read_outbox(self, partition, count_max):
        # Short reads, so that a call's entries fall into several transactions.
        await asyncio.sleep(0)
        return await super().read_outbox(partition, min(count_max, self._chance.randrange(1, 9)))

    async def trim_outbox(self, partition, entry_ids):
        await asyncio.sleep(0)
        if self._chance.random() < 0.3:
            raise StoreUnavailableError
        await super().trim_outbox(partition, entry_ids)


@pytest.mark.parametrize("seed", first_of(range(3)))
async def test_two_drainers_that_crash_between_commit_and_trim(store, engine, seed):
    chance, truth = random.Random(seed), random_history(seed)
    outbox = FallibleOutbox(chance, PARTITIONS)
    waiting = {p: list(entries) for p, entries in truth.entries.items()}
    drainers = [Drainer(outbox, store, PARTITIONS) for _ in range(2)]
    while any(waiting.values()) or any(outbox.streams):
        for partition, entries in waiting.items():
            size = chance.randrange(0, 15)
            outbox.streams[partition] += entries[:size]
            del entries[:size]
        await asyncio.gather(
            *(drainer.drain_once() for drainer in drainers), return_exceptions=True
        )
        # In mid-run, not only at the end: adding where the larger should be taken shows only here.
        assert await audit(engine) == []
    await assert_true(store, engine, truth)


async def test_auditing_while_calls_are_booked_sees_one_moment(store, engine):
    done, looked = asyncio.Event(), asyncio.Semaphore(0)

    async def book():
        for second in range(1, 40):
            alive = range(max(1, second - 5), second)
            entries = [opened(f"c{second}", 10, rate=costing(3))]
            entries += [ticked((f"c{n}", 10 + second, second)) for n in alive]
            entries += [closed(f"c{n}", 3, 7) for n in alive[:1]]
            await store.apply_outbox(3, entries)
            if second > 4:
                continue
            # Booking is quick: the first audits begin before it goes on.
            await asyncio.wait_for(looked.acquire(), 60)
        done.set()

    async def look():
        audits = 0
        while not done.is_set():
            looked.release()
            assert await audit(engine) == []
            audits += 1
        return audits

    _, audits = await asyncio.gather(book(), look())
    assert audits > 3
