"""A filling that is killed, and then a book that is put back to an older copy.

What only the gate knows must be booked, or be named and stay in the gate, whatever fills it next.
"""

import asyncio
import inspect

import pytest
from structlog.testing import capture_logs

from billing.reconcile import CREDIT_UNKNOWN, Surplus
from billing.stores.gate_audit import WITHDRAWN
from billing.stores.redis import RedisSpendGate
from billing.stores.refill import SqlPositions
from gateway.charging.refilling import Refilling
from tests.money import test_rolled_back_gate as rolled_back
from tests.money.ledger_world import CENT, UNIT
from tests.money.test_restored_book import a_day, copy_of, rebuild, restore

GIFT = 3 * UNIT


class Mortal(RedisSpendGate):
    """A gate of a process that is killed after so many requests, from its first filling on."""

    def __init__(self, world, life):
        super().__init__(world.gate._redis, world.partitions)
        self.life, self.filled = life, []

    async def withdraw(self, partition, filling=""):
        self.filled.append(partition)
        return await super().withdraw(partition, filling)

    async def rebuild(self, partition, state):
        self.filled.append(partition)
        return await super().rebuild(partition, state)

    async def _bounded(self, answer, timeout_s=None):
        if not self.filled:
            return await super()._bounded(answer, timeout_s)
        if self.life == 0:
            if inspect.iscoroutine(answer):
                answer.close()
            raise asyncio.CancelledError
        self.life -= 1
        return await super()._bounded(answer, timeout_s)


@pytest.fixture
async def world(new_world, own_valkey):
    """A server of the test's own, and two accounts."""
    world = new_world(own_valkey.url, nodes=2)
    await world.open_accounts(alice=50 * UNIT, bob=50 * UNIT)
    return world


def refilling(world, gate=None):
    """Return what a node, as it starts and later, and each command do to fill the gate."""
    positions, drain = SqlPositions(world.engine), world.drainer.drain_once
    gate = gate or world.gate
    return Refilling(gate, world.book, world.records, positions, world.partitions, drain)


async def start_node(world):
    await refilling(world).fill()


async def reconcile(world):
    await world.reconcile()


COMMANDS = {"rebuild": rebuild, "a node's start": start_node, "a node's rounds": reconcile}


async def lives(world, work):
    """Do the work as a process that is killed before each of its requests; yield after each."""
    killed_in = set()
    for life in range(1000):
        mortal = Mortal(world, life)
        try:
            await work(mortal)
        except asyncio.CancelledError:
            killed_in.add(mortal.filled[-1])
            yield life
        else:
            assert killed_in == {*mortal.filled}, "killed in each partition that is filled"
            assert life > len(killed_in)
            return


@pytest.mark.by_turns
@pytest.mark.parametrize("then", COMMANDS)
@pytest.mark.parametrize("gift", [0, GIFT])
async def test_a_rebuild_killed_at_each_request_before_the_book_is_put_back(
    world, redis, then, gift
):
    """Calls, and in a second run a grant as well, that the older book lacks."""
    older = await a_day(world, drained=True)
    if gift:
        await world.credit("bob", gift, "gift", kind="grant")
    newest, gate = await copy_of(world), await rolled_back.copy_of(redis)
    withdrawn = 0
    async for life in lives(world, lambda mortal: rebuild(world, gate=mortal)):
        await restore(world, older)
        ready = await world.gate.fillings(range(world.partitions))
        withdrawn += len(ready) < world.partitions
        with capture_logs() as logs:
            await COMMANDS[then](world)
        if gift:
            await assert_gift_is_named(world, life, logs)
        else:
            assert (await rebuild(world))[1] == []
            await world.assert_in_order()
        await restore(world, newest)
        await rolled_back.restore(redis, gate)
    assert withdrawn > world.partitions, "killed before each filling, and in those of calls"


async def assert_gift_is_named(world, life, logs):
    """The calls are booked, the grant is still in the gate, and all who look at it say so."""
    assert (await rebuild(world))[1] == [Surplus("bob", 1, GIFT)], life
    assert await world.wrong_charges() == [], life
    partition = world.gate.partition("bob")
    snapshot = await world.gate.snapshot(partition)
    assert ("bob", 50 * UNIT - 16 * CENT + GIFT, 2) in snapshot.accounts, life
    ready = await world.gate.fillings(range(world.partitions))
    rules = {one.partition(":")[0] for one in await world.findings()}
    # A rebuild that refuses leaves it to nodes and other commands to put it back.
    is_whole = len(ready) == world.partitions
    assert rules == {CREDIT_UNKNOWN} | (set() if is_whole else {WITHDRAWN}), life
    for line in logs:
        if line["event"] == "withdrawn partition put back":
            assert (line["partition"], line["beyond"]) == (partition, ["bob"])
            assert partition in ready


async def test_what_a_dead_filling_has_noted_is_told_before_the_gate_is_filled(world, redis):
    """The gate was lost, and the book is put back before its filling is repeated."""
    older = await a_day(world, drained=True)
    newest = await copy_of(world)
    noted = 0
    await redis.flushall()
    async for _ in lives(world, lambda mortal: refilling(world, mortal).fill()):
        endings = [
            one
            for partition in range(world.partitions)
            for one in (await world.gate.endings(partition, 0, count_max=99)).endings
        ]
        noted += len(endings) == 6
        await restore(world, older)
        await start_node(world)
        # The partitions that were filled before tell the rest of it.
        assert (await rebuild(world))[1] == []
        for ending in endings:
            record = await world.records.get(ending.account_id, ending.call_id)
            assert record.cost_micros == ending.charged_micros
        if len(endings) == 6:
            await world.assert_in_order()
        await restore(world, newest)
        await redis.flushall()
    assert noted


async def test_an_older_copy_that_is_put_back_is_still_known_for_one(world, redis):
    """By entries that are newer than the book's, and whoever was about to fill it is killed."""
    call = await world.call("c0", "bob")
    await world.pass_seconds(2)
    copy = await rolled_back.copy_of(redis)
    await rolled_back.talk(world, 4, "c1", "bob")
    await rolled_back.restore(redis, copy)
    await world.pass_seconds(1)
    await world.hang_up(call)
    await world.drainer.drain_once()
    rolled_back.stop_nodes(world)
    copied, gate = await copy_of(world), await rolled_back.copy_of(redis)
    partition = world.gate.partition("bob")
    assert (await world.book.marks())[partition].fork_id
    async for _ in lives(world, lambda mortal: refilling(world, mortal).fill()):
        await world.gate.put_back(partition)
        await start_node(world)
        await world.assert_in_order()
        assert not (await world.book.marks())[partition].fork_id
        await restore(world, copied)
        await rolled_back.restore(redis, gate)


async def test_nodes_that_start_during_a_rebuild_do_not_stand_in_its_way(world):
    """Each has the partitions that are out of service tell what they know, with live calls."""
    calls = [await world.call(f"live-{of}", of) for of in ("alice", "bob")]
    for _ in range(5):
        await world.pass_seconds(1)
        done, *_ = await asyncio.gather(rebuild(world), *(start_node(world) for _ in range(3)))
        assert done == ([], [])
        assert len(await world.gate.fillings(range(world.partitions))) == world.partitions
    await world.pass_seconds(1)
    await world.hang_up(*calls)
    await world.drainer.drain_once()
    await world.assert_in_order()
