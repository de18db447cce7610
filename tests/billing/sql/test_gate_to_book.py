"""The spend gate and the book of record together: a real Valkey, a real database, a real outbox.

However the two lose touch, they agree on every balance once the outbox is drained.
"""

import random

import msgspec
import pytest
import sqlalchemy as sa

from billing.drain import Drainer
from billing.ports import Closing, CreditResult, OpenCall, Opening, OpenResult, Tick, partition_of
from billing.rating import Rate
from billing.stores import tables
from billing.stores.audit import audit
from billing.stores.redis import RedisSpendGate, connect, disconnect
from billing.stores.sql import SqlCdrStore
from database.errors import StoreUnavailableError
from tests.billing.outbox_entries import BOOKED_AT, START, OneByOne, closing, opening
from tests.limits import limits
from tests.thorough import first_of

PARTITIONS = 4
ACCOUNTS = ("alice", "bob")


@pytest.fixture
async def gate(valkey_url, store):
    """A gate filled from the book of `store`."""
    redis = connect(valkey_url)
    gate = RedisSpendGate(redis, PARTITIONS)
    await fill(gate, store)
    yield gate
    await disconnect(redis)


@pytest.fixture
def drainer(gate, store):
    return Drainer(gate, store, PARTITIONS)


async def fill(gate, store):
    return [
        await gate.rebuild(p, await store.partition_state(p, PARTITIONS)) for p in range(PARTITIONS)
    ]


async def open_call(gate, call_id, account_id="alice", want=80_000):
    detail = msgspec.json.encode(opening(call_id, account_id))
    outcome = await gate.open(Opening(call_id, account_id, "n1", 10_000, want, 50, detail))
    return outcome.result


async def tick(gate, second, call_ids, account_id="alice"):
    ticks = [Tick(c, account_id, (second + 8) * 10_000, second) for c in call_ids]
    return await gate.tick(partition_of(account_id, PARTITIONS), ticks)


async def close_call(gate, call_id, seconds, account_id="alice"):
    detail = msgspec.json.encode(closing(seconds))
    return await gate.close(Closing(call_id, account_id, seconds * 10_000, seconds, detail))


async def assert_agreed(engine, store, gate):
    assert await audit(engine) == []
    for account_id in ACCOUNTS:
        assert await store.balance(account_id) == await gate.balance(account_id)


async def test_a_call_reaches_the_book(engine, store, gate, drainer):
    assert await open_call(gate, "c1") is OpenResult.OPENED
    await tick(gate, 1, ["c1"])
    assert await drainer.drain_once() == 2
    await assert_agreed(engine, store, gate)
    record = await SqlCdrStore(engine).get("alice", "c1")
    assert (record.opened, record.closed, record.cost_micros) == (opening("c1"), None, 10_000)

    await tick(gate, 2, ["c1"])
    await close_call(gate, "c1", 3)
    await drainer.drain_once()
    await assert_agreed(engine, store, gate)
    record = await SqlCdrStore(engine).get("alice", "c1")
    assert (record.closed, record.cost_micros) == (closing(3), 30_000)
    assert await drainer.drain_once() == 0


async def test_what_the_balance_could_not_pay_is_written_off(engine, store, gate, drainer):
    store._clock = lambda: BOOKED_AT
    await open_call(gate, "c1", want=1_000_000)
    await close_call(gate, "c1", 104)
    await drainer.drain_once()
    record = await SqlCdrStore(engine).get("alice", "c1")
    assert (record.cost_micros, record.written_off_micros) == (1_000_000, 40_000)
    await assert_agreed(engine, store, gate)


async def test_a_credit_goes_to_the_book_first_and_then_to_the_gate(engine, store, gate):
    sequence = await store.add_credit("bob", 500, reference="pi_1", kind="top-up")
    assert await gate.balance("bob") == 0
    for number, micros in await store.credits_after("bob", await gate.credit_sequence("bob")):
        assert await gate.credit("bob", number, micros) is CreditResult.APPLIED
    assert await gate.credit("bob", sequence, 500) is CreditResult.DUPLICATE
    await assert_agreed(engine, store, gate)


async def test_a_gate_that_lost_everything_is_rebuilt_from_the_book(
    engine, store, gate, drainer, valkey_server
):
    await store.freeze("bob", True)
    for call_id in ("live", "ended"):
        await open_call(gate, call_id)
        await tick(gate, 3, [call_id])
    await open_call(gate, "ringing")
    for call_id, name in (("live", "CA1"), ("ringing", "CA2")):
        await gate.name_carrier_call(call_id, "alice", name)
    await close_call(gate, "ended", 3)
    await drainer.drain_once()
    before = await gate.balance("alice")
    valkey_server.command("FLUSHALL")
    with pytest.raises(StoreUnavailableError):
        await tick(gate, 4, ["live"])

    assert await fill(gate, store) == [True] * PARTITIONS
    assert await fill(gate, store) == [False] * PARTITIONS
    assert await gate.balance("alice") == before
    assert await open_call(gate, "ended") is OpenResult.ALREADY_CLOSED
    assert await open_call(gate, "c3", "bob") is OpenResult.FROZEN
    assert sorted(await gate.open_calls("n1"), key=lambda call: call.call_id) == [
        OpenCall("live", "alice", "n1", 110_000, 3, "CA1", 600_000),
        OpenCall("ringing", "alice", "n1", 80_000, 0, "CA2", 600_000),
    ]
    assert (await tick(gate, 5, ["live"])).lost == []
    await close_call(gate, "live", 6)
    await close_call(gate, "ringing", 0)
    await drainer.drain_once()
    assert await store.balance("alice") == 1_000_000 - 30_000 - 60_000
    await assert_agreed(engine, store, gate)


async def test_a_rebuilt_gate_knows_what_its_caps_have_let_through(
    engine, store, gate, drainer, valkey_server
):
    async with engine.begin() as connection:
        await connection.execute(sa.update(tables.accounts).values(day_cap_micros=200_000))
    (cap,) = limits(day=200_000).caps(START)
    rate = Rate(per_minute_micros=600_000)
    for call_id in ("live", "ended"):
        detail = msgspec.structs.replace(opening(call_id), rate=rate.to_json())
        first = Opening(
            call_id,
            "alice",
            "n1",
            10_000,
            80_000,
            50,
            msgspec.json.encode(detail),
            caps=[cap],
            per_minute_micros=rate.per_minute_micros,
        )
        assert (await gate.open(first)).granted_micros == 80_000
    partition = partition_of("alice", PARTITIONS)
    await gate.tick(partition, [Tick("live", "alice", 90_000, 1, [cap])])
    await close_call(gate, "ended", 3)
    await drainer.drain_once()
    before = await gate.snapshot(partition)
    assert before.spent == [(cap.name, 120_000)]
    valkey_server.command("FLUSHALL")
    await fill(gate, store)
    assert await gate.snapshot(partition) == before
    outcome = await gate.tick(partition, [Tick("live", "alice", 300_000, 2, [cap])])
    assert (outcome.short, outcome.capped) == ({"live": 170_000}, ["live"])
    assert outcome.burns == {"alice": 600_000}


async def test_an_outage_of_the_book_costs_nothing(engine, store, gate, drainer):
    class Away:
        async def apply_outboxes(self, batch):
            raise StoreUnavailableError

    await open_call(gate, "c1")
    with pytest.raises(StoreUnavailableError):
        await Drainer(gate, Away(), PARTITIONS).drain_once()
    await tick(gate, 2, ["c1"])
    await close_call(gate, "c1", 2)
    assert await drainer.drain_once() == 3
    await assert_agreed(engine, store, gate)
    assert await store.balance("alice") == 1_000_000 - 20_000


class DyingGate(OneByOne):
    """A gate whose reader dies between the commit and the trim, by chance."""

    def __init__(self, gate, chance):
        self._gate = gate
        self._chance = chance

    async def read_outbox(self, partition, count_max):
        return await self._gate.read_outbox(partition, self._chance.randrange(1, 7))

    async def trim_outbox(self, partition, entry_ids):
        if self._chance.random() < 0.3:
            raise StoreUnavailableError
        await self._gate.trim_outbox(partition, entry_ids)


@pytest.mark.parametrize("seed", first_of(range(3)))
async def test_random_calls_with_a_dying_drainer(engine, store, gate, drainer, seed):
    chance = random.Random(seed)
    dying = Drainer(DyingGate(gate, chance), store, PARTITIONS)
    for number, micros in [(1, 700_000)]:
        await store.add_credit("bob", micros, reference="b1", kind="top-up")
        await gate.credit("bob", number, micros)
    live, costs = {}, {}
    for second in range(1, 25):
        call_id, account_id = f"c{second}", chance.choice(ACCOUNTS)
        if await open_call(gate, call_id, account_id) is OpenResult.OPENED:
            live[call_id] = (account_id, second)
        for call_id, (account_id, start) in list(live.items()):
            if chance.random() < 0.2:
                del live[call_id]
                outcome = await close_call(gate, call_id, second - start, account_id)
                costs[call_id] = outcome.charged_micros
            else:
                await tick(gate, second - start, [call_id], account_id)
        try:
            await dying.drain_once()
        except StoreUnavailableError:
            # In mid-run the book lags behind the gate, and still agrees with itself.
            assert await audit(engine) == []
    await drainer.drain_once()
    await assert_agreed(engine, store, gate)
    records = SqlCdrStore(engine)
    closed_costs = {
        record.opened.call_id: record.cost_micros
        for account_id in ACCOUNTS
        for record in await records.page(account_id, limit=100)
        if record.closed
    }
    assert closed_costs == costs
