"""Nodes that die or come back from the dead: another settles their calls, each of them once."""

import asyncio

import pytest

from billing.rating import Rate
from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.charging.node_watch import LEASE_S_MIN, NodeWatch
from gateway.charging.recovery import Settler
from gateway.charging.sweeper import Sweeper
from gateway.stores.leases import RedisNodeLeases
from tests.money.ledger_world import CENT, CENT_A_SECOND, GRACE_S, HORIZON_S, UNIT


class Carrier:
    """A carrier that knows how long its calls were, and ends those that it is told to."""

    def __init__(self):
        self.seconds = {}
        self.over = set()
        self.hung_up = []

    async def fetch(self, name):
        state = CarrierState.COMPLETED if name in self.over else CarrierState.ANSWERED
        return CarrierStatus(name, state, self.seconds[name] if name in self.over else None)

    async def hang_up(self, name):
        self.hung_up.append(name)
        self.over.add(name)
        return await self.fetch(name)


class Watch:
    """The sweepers of a world's nodes."""

    def __init__(self, world):
        self.world, self.carrier = world, Carrier()
        client = world.nodes[0].client
        self.watches = [
            NodeWatch(RedisNodeLeases(client), node.name, world.clock_ns) for node in world.nodes
        ]
        settler = Settler(
            world.gate, world.records, self.carrier, world.drainer.drain_once, clock=world.date
        )
        self.sweepers = [
            Sweeper(
                settler,
                watch,
                is_live_here=node.calls.__contains__,
                clock_ns=world.clock_ns,
            )
            for node, watch in zip(world.nodes, self.watches, strict=True)
        ]

    async def sweep(self):
        """Let the nodes that run renew and sweep at once, until they must have missed the dead."""
        running = [n for n, node in enumerate(self.world.nodes) if node.is_running]
        for _ in range(0, 20, 5):
            await asyncio.gather(*(self.watches[n].renew() for n in running))
            await asyncio.gather(*(self.sweepers[n].sweep() for n in running))
            await self.world.leap(5)

    async def crash(self, node):
        """End a node, and let its lease run out."""
        await self.watches[node].renew()
        self.world.crash(node)
        await self.world.nodes[0].client.delete(f"caller:lease:{self.world.nodes[node].name}")


@pytest.fixture
async def watch(new_world, valkey_url):
    """Three nodes that watch one another."""
    world = new_world(valkey_url, nodes=3)
    await world.open_accounts(alice=50 * UNIT)
    return Watch(world)


async def test_calls_of_a_dead_node_are_settled_once_and_a_zombie_is_refused(watch):
    world, carrier = watch.world, watch.carrier
    ended, lasting, nameless = [await world.call(f"c{n}", node=2) for n in range(3)]
    other = await world.call("other", node=0)
    for call, name, seconds in ((ended, "CA1", 22), (lasting, "CA2", 4_000)):
        await call.charge.name_carrier_call(name)
        carrier.seconds[name] = seconds
    carrier.over.add("CA1")
    await world.pass_seconds(21)
    await watch.crash(2)
    assert await world.findings() == []
    await watch.sweep()
    assert carrier.hung_up == ["CA2"]
    # What the carrier carried beyond the last confirmed second was heard by nobody.
    used = {"c0": 21, "c1": 21, "c2": 21}
    assert [call.call_id for call in await world.gate.open_calls()] == ["other"]
    left = 50 * UNIT - (sum(used.values()) + 41 + HORIZON_S) * CENT
    assert await world.gate.balance("alice") == left
    assert await world.findings() == []

    # It was only asleep: the process goes on where it was, and learns that its calls are over.
    world.nodes[2].is_running = True
    await world.pass_seconds()
    assert [call.end.ended_by for call in (ended, lasting, nameless)] == ["gateway"] * 3
    await world.hang_up(other)
    await world.drainer.drain_once()
    assert await world.gate.balance("alice") == 50 * UNIT - (sum(used.values()) + 42) * CENT
    for call_id, seconds in used.items():
        record = await world.records.get("alice", call_id)
        assert (record.closed.seconds, record.cost_micros) == (seconds, seconds * CENT)
    assert await world.findings() == []


async def test_calls_of_an_account_that_is_spent_cost_no_more_than_there_is(watch):
    world = watch.world
    await world.book.add_credit("alice", -50 * UNIT + 30 * CENT, reference="re:1", kind="refund")
    await world.reconciler.round()
    call = await world.call("c1", node=2)
    await call.charge.name_carrier_call("CA1")
    watch.carrier.over.add("CA1")
    watch.carrier.seconds["CA1"] = 35
    await world.pass_seconds(21)
    await watch.crash(2)
    await watch.sweep()
    assert await world.gate.balance("alice") == 9 * CENT
    await world.drainer.drain_once()
    record = await world.records.get("alice", "c1")
    assert (record.cost_micros, record.written_off_micros) == (21 * CENT, 0)
    assert await world.findings() == []


async def test_a_node_cut_off_from_the_gate_has_ended_its_calls_before_they_are_settled(watch):
    """A lease outlasts what a call may use alone, so that nobody settles a call that lives."""
    world = watch.world
    call = await world.call("c1", node=2)
    await world.pass_seconds(5)
    await world.nodes[2].turn_to("unix:///nowhere")
    await world.pass_seconds(HORIZON_S + GRACE_S)
    assert (call.is_live, call.seconds) == (False, 5 + HORIZON_S + GRACE_S)
    assert call.seconds - 5 < LEASE_S_MIN


async def test_what_the_gate_forgot_of_an_ended_call_is_settled_from_the_book(watch, valkey_server):
    """The store lost a call's end before the book knew of it: the last booked second counts."""
    world = watch.world
    call = await world.call("c1")
    await world.pass_seconds(9)
    await world.drainer.drain_once()
    await world.pass_seconds()
    await world.hang_up(call)
    valkey_server.command("FLUSHALL")
    await world.reconciler.round()
    await watch.sweep()
    assert await world.gate.open_calls() == []
    assert await world.gate.balance("alice") == 50 * UNIT - 9 * CENT
    await world.drainer.drain_once()
    assert await world.findings() == []


async def test_a_new_rate_is_for_new_calls(watch):
    """A call, and whoever settles it, keeps the rate that it was quoted."""
    world = watch.world
    orphan = await world.call("c1", node=2)
    kept = await world.call("c2", node=0)
    await world.pass_seconds(10)
    dear = Rate(per_minute_micros=120 * CENT)
    new = await world.call("c3", node=0, rate=dear)
    await world.pass_seconds(10)
    await watch.crash(2)
    await watch.sweep()
    await world.hang_up(kept, new)
    assert orphan.is_live
    assert await world.gate.balance("alice") == 50 * UNIT - (20 + 40 + 2 * 30) * CENT
    await world.drainer.drain_once()
    costs = [await world.records.get("alice", f"c{n}") for n in (1, 2, 3)]
    assert [record.cost_micros for record in costs] == [20 * CENT, 40 * CENT, 60 * CENT]
    assert [Rate.from_json(r.opened.rate) for r in costs] == [CENT_A_SECOND, CENT_A_SECOND, dear]
    assert await world.findings() == []


async def test_a_filling_from_the_book_knows_the_carriers_calls(watch, valkey_server):
    """A node that dies as the gate loses its data has no time to tell it anything."""
    world, carrier = watch.world, watch.carrier
    talking = await world.call("talking", node=2)
    ringing = await world.call("ringing", node=2, is_heard=False)
    for call, name in ((talking, "CA1"), (ringing, "CA2")):
        await call.charge.name_carrier_call(name)
        carrier.seconds[name] = 60
    await world.pass_seconds(5)
    await world.drainer.drain_once()
    world.crash(2)
    valkey_server.command("FLUSHALL")
    await world.reconcile()
    names = {open_.call_id: open_.carrier_call_id for open_ in await world.gate.open_calls()}
    assert names == {"talking": "CA1", "ringing": "CA2"}
    await watch.sweep()
    assert set(carrier.hung_up) == {"CA1", "CA2"}
    await world.drainer.drain_once()
    record = await world.records.get("alice", "talking")
    assert (record.closed.seconds, record.closed.carrier_call_id) == (5, "CA1")
    assert await world.findings() == []


async def test_a_gate_filled_anew_knows_the_carriers_calls_again(watch, valkey_server):
    """Of a call that was named since the outbox was drained, its node tells it."""
    world, carrier = watch.world, watch.carrier
    call = await world.call("c1", node=2)
    carrier.seconds["CA1"] = 11
    carrier.over.add("CA1")
    await world.pass_seconds(5)
    await world.drainer.drain_once()
    await call.charge.name_carrier_call("CA1")
    valkey_server.command("FLUSHALL")
    # Between two rounds of the node, which therefore never finds the gate empty.
    await world.reconcile()
    assert [open_.carrier_call_id for open_ in await world.gate.open_calls()] == [""]
    await world.pass_seconds()
    assert [open_.carrier_call_id for open_ in await world.gate.open_calls()] == ["CA1"]
    await watch.crash(2)
    await watch.sweep()
    await world.drainer.drain_once()
    record = await world.records.get("alice", "c1")
    assert (record.closed.seconds, record.closed.carrier_seconds) == (6, 11)
    assert await world.findings() == []


DEAR = Rate(per_minute_micros=60 * CENT, first_s=60, next_s=60, connect_fee_micros=25 * CENT)


async def test_a_call_of_a_dead_node_that_nobody_heard_costs_nothing(watch, valkey_server):
    """Whatever the carrier carried, and whether or not the gate has lost the call meanwhile."""
    world, carrier = watch.world, watch.carrier
    unheard = [await world.call(f"c{n}", node=2, rate=DEAR, is_heard=False) for n in range(3)]
    heard = await world.call("heard", node=2, rate=DEAR)
    for n, call in enumerate((*unheard, heard)):
        await call.charge.name_carrier_call(f"CA{n}")
        carrier.seconds[f"CA{n}"] = 70
    carrier.over |= {"CA0", "CA3"}
    await world.pass_seconds(5)
    assert [call.seconds for call in await world.gate.open_calls()].count(0) == 3
    await world.drainer.drain_once()
    valkey_server.command("FLUSHALL")
    await world.reconcile()
    await world.pass_seconds()
    assert await world.findings() == []
    await watch.crash(2)
    await watch.sweep()
    await world.drainer.drain_once()
    for call in unheard:
        record = await world.records.get("alice", call.call_id)
        assert (record.closed.seconds, record.cost_micros) == (0, 0)
    record = await world.records.get("alice", "heard")
    assert record.cost_micros == DEAR.cost(record.closed.seconds) == DEAR.cost(20)
    assert await world.gate.balance("alice") == 50 * UNIT - record.cost_micros
    assert await world.findings() == []


async def test_a_call_that_nobody_heard_gives_all_it_held_back(watch, valkey_server):
    world = watch.world
    calls = [await world.call(f"c{n}", node=n, rate=DEAR, is_heard=False) for n in range(2)]
    await world.pass_seconds(6)
    assert await world.gate.balance("alice") == 50 * UNIT - 2 * DEAR.cost(14)
    assert await world.findings() == []
    calls[0].charge.heard()
    await world.pass_seconds()
    valkey_server.command("FLUSHALL")
    await world.reconcile()
    await world.pass_seconds()
    await world.hang_up(*calls)
    await world.drainer.drain_once()
    records = [await world.records.get("alice", call.call_id) for call in calls]
    assert [record.closed.seconds for record in records] == [8, 0]
    assert [record.cost_micros for record in records] == [DEAR.cost(8), 0]
    assert await world.gate.balance("alice") == 50 * UNIT - DEAR.cost(8)
    assert await world.findings() == []
