"""Whose calls are settled, and when: in virtual time, on a spend gate in memory."""

import asyncio

import pytest

from billing.ports import Opening, Tick
from billing.rating import Rate
from database.errors import StoreUnavailableError
from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.cause import Cause
from gateway.charging import sweeper
from gateway.charging.node_watch import NodeWatch
from gateway.charging.recovery import Settler
from gateway.charging.sweeper import Sweeper
from gateway.errors import CarrierError
from tests.gateway.memory_gate import MemorySpendGate
from tests.gateway.stage import CENT, CREDIT
from tests.gateway.virtual_time import virtual_loop

RATE = Rate(per_minute_micros=60 * CENT)


class Leases:
    """Leases that the test gives and takes."""

    def __init__(self):
        self.lives = {"n1": True, "n2": True}
        self.is_away = False

    async def renew(self, node):
        if self.is_away:
            raise StoreUnavailableError("the leases of nodes cannot be reached")
        is_held, self.lives[node] = self.lives.get(node, False), True
        return is_held

    async def nodes(self):
        if self.is_away:
            raise StoreUnavailableError("the leases of nodes cannot be reached")
        return dict(self.lives)

    async def forget(self, node):
        del self.lives[node]


class Records:
    """A book that knows no call: each costs what it held."""

    async def get_with_forgotten(self, account_id, call_id):
        return None


class Carrier:
    """A carrier that does not answer until it does."""

    def __init__(self):
        self.is_away = False
        self.asked = []

    async def fetch(self, carrier_call_id):
        self.asked.append(carrier_call_id)
        if self.is_away:
            raise CarrierError("no answer", cause=Cause.NETWORK_OUT_OF_ORDER)
        return CarrierStatus(carrier_call_id, CarrierState.COMPLETED, 3)


class World:
    """One node that sweeps, and the calls of others."""

    def __init__(self):
        self.gate = MemorySpendGate().fill(alice=CREDIT)
        self.leases, self.carrier = Leases(), Carrier()
        self.drained = 0
        self.live = set()
        settler = Settler(self.gate, Records(), self.carrier, self.drain)
        clock_ns = virtual_loop().clock_ns
        self.watch = NodeWatch(self.leases, "n1", clock_ns)
        self.sweeper = Sweeper(
            settler,
            self.watch,
            is_live_here=self.live.__contains__,
            clock_ns=clock_ns,
        )

    async def drain(self):
        self.drained += 1
        return 0

    async def open(self, call_id, node, carrier_call_id=""):
        opening = Opening(call_id, "alice", node, CENT, 8 * CENT, 500, b"{}")
        await self.gate.open(opening)
        await self.gate.tick(self.gate.partition("alice"), [Tick(call_id, "alice", 11 * CENT, 3)])
        if carrier_call_id:
            await self.gate.name_carrier_call(call_id, "alice", carrier_call_id)

    async def open_ids(self):
        return [call.call_id for call in await self.gate.open_calls()]

    async def sweep_for(self, seconds):
        """Sweep as a node does; return how long it took until no call was open."""
        for elapsed_s in range(0, seconds + 1, int(sweeper.INTERVAL_S)):
            await self.sweeper.sweep()
            if not await self.open_ids():
                return elapsed_s
            await asyncio.sleep(sweeper.INTERVAL_S)
        return None

    async def live_for(self, seconds):
        """Renew the lease and sweep, as a node does, while the store is as it should be."""
        for elapsed_s in range(seconds):
            if elapsed_s % 5 == 0:
                await self.watch.renew()
            await self.sweeper.sweep()
            await asyncio.sleep(1)


@pytest.fixture
async def world():
    return World()


async def test_calls_of_living_nodes_are_left_alone(world):
    await world.open("c1", "n1")
    await world.open("c2", "n2")
    world.live.add("c1")
    assert await world.sweep_for(300) is None
    assert await world.open_ids() == ["c1", "c2"]
    assert world.drained == 0


async def test_calls_of_a_node_that_is_gone_are_settled_once_it_is_missed_for_long(world):
    await world.open("c2", "n2")
    await world.sweeper.sweep()
    world.leases.lives["n2"] = False
    assert await world.sweep_for(60) == 10
    assert await world.gate.balance("alice") == CREDIT - 11 * CENT


async def test_a_node_that_is_gone_is_forgotten_with_its_last_call(world):
    await world.open("c2", "n2", "CA2")
    world.leases.lives["n2"] = False
    world.carrier.is_away = True
    await world.sweep_for(30)
    assert "n2" in world.leases.lives
    world.carrier.is_away = False
    await world.sweep_for(30)
    await world.sweep_for(5)
    assert world.leases.lives == {"n1": True}


async def test_a_node_whose_lease_was_lost_with_the_store_has_time_to_renew_it(world):
    await world.open("c2", "n2")
    world.leases.lives.clear()
    await world.sweeper.sweep()
    await asyncio.sleep(9)
    await world.sweeper.sweep()
    world.leases.lives["n2"] = True
    assert await world.sweep_for(60) is None


async def test_an_outage_makes_nobody_missing(world):
    await world.open("c2", "n2")
    world.leases.lives["n2"] = False
    await world.sweeper.sweep()
    await asyncio.sleep(9)
    world.leases.is_away = True
    with pytest.raises(StoreUnavailableError):
        await world.sweeper.sweep()
    world.leases.is_away = False
    await asyncio.sleep(5)
    assert await world.sweeper.sweep() == 0
    assert await world.sweep_for(60) == 10


async def test_a_node_that_nobody_knows_is_found_within_a_minute(world):
    await world.sweeper.sweep()
    await world.open("c9", "n9")
    assert await world.sweep_for(120) == pytest.approx(65, abs=10)


async def test_own_calls_that_are_not_live_are_settled_at_once(world):
    await world.open("lost", "n1")
    await world.open("live", "n1")
    world.live.add("live")
    await world.sweeper.sweep()
    assert await world.open_ids() == ["live"]


async def test_the_carrier_is_waited_for_and_not_for_ever(world):
    await world.open("c1", "n1", "CA1")
    world.carrier.is_away = True
    assert await world.sweep_for(120) == 60
    assert len(world.carrier.asked) == 13
    assert await world.gate.balance("alice") == CREDIT - 11 * CENT


async def test_one_sweep_settles_a_bounded_number(world, monkeypatch):
    monkeypatch.setattr(sweeper, "CALLS_PER_SWEEP_MAX", 5)
    for n in range(12):
        await world.open(f"c{n}", "n1")
    assert await world.sweeper.sweep() == 5
    assert len(await world.open_ids()) == 7


async def test_where_the_store_has_proved_itself_a_lease_that_ran_out_is_believed_at_once(world):
    await world.open("c2", "n2", "CA2")
    await world.live_for(30)
    world.leases.lives["n2"] = False
    assert await world.sweep_for(60) == 0
    assert world.carrier.asked == ["CA2"]


async def test_a_store_that_lost_its_data_gives_the_living_time_to_renew(world):
    await world.open("c2", "n2")
    await world.live_for(30)
    world.leases.lives.clear()
    for _ in range(9):
        assert await world.sweeper.sweep() == 0
        await asyncio.sleep(1)
    world.leases.lives["n2"] = True
    assert await world.sweep_for(60) is None


async def test_a_node_that_dies_again_is_seen_again(world):
    await world.live_for(30)
    for call_id in ("c2", "c3"):
        world.leases.lives["n2"] = True
        await world.open(call_id, "n2")
        await world.live_for(2)
        world.leases.lives["n2"] = False
        assert await world.sweep_for(60) == 0


async def test_the_carrier_is_asked_every_five_seconds_while_it_does_not_answer(world):
    await world.open("c2", "n2", "CA2")
    await world.live_for(30)
    world.leases.lives["n2"] = False
    world.carrier.is_away = True
    await world.live_for(30)
    assert 5 <= len(world.carrier.asked) <= 7


async def test_a_node_that_died_with_the_store_is_known_by_its_calls(world):
    """The list of nodes is lost, and it never writes itself down again."""
    world.live.add("c1")
    await world.open("c1", "n1")
    await world.live_for(30)
    world.leases.lives.clear()
    await world.open("c2", "n2", "CA2")
    for elapsed_s in range(60):
        if elapsed_s % 5 == 4:
            await world.watch.renew()
        await world.sweeper.sweep()
        if "c2" not in await world.open_ids():
            break
        await asyncio.sleep(1)
    assert elapsed_s <= 15
    assert await world.open_ids() == ["c1"]


async def test_calls_that_come_with_a_filling_are_looked_for_at_once(world):
    await world.live_for(30)
    await world.open("c9", "n9")
    await world.live_for(10)
    assert await world.open_ids() == ["c9"]
    world.sweeper.gate_filled()
    assert await world.sweep_for(5) == 0


async def test_a_filling_is_looked_at_once(world):
    looks = []
    await world.live_for(30)
    open_calls = world.gate.open_calls

    async def counted(node=None):
        looks.append(node)
        return await open_calls(node)

    world.gate.open_calls = counted
    world.sweeper.gate_filled()
    await world.live_for(20)
    assert len(looks) == 1
