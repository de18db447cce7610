"""A credit store that dies, forgets, stalls or refuses: calls live on, and every cent is right."""

import asyncio
import itertools
import os
import resource
import subprocess
import time
from copy import copy
from dataclasses import replace
from functools import partial

import pytest

from billing.rating import Rate
from billing.stores.redis import Script
from database.errors import StoreUnavailableError
from gateway.charging import cut_off
from gateway.nanoseconds import SECOND_NS
from tests.money.ledger_world import CENT, GRACE_S, HORIZON_S, UNIT
from tests.valkey import ValkeyServer

WAIT_S = 20


@pytest.fixture
async def own_world(new_world, own_valkey):
    """A world on a server that the test may kill."""
    world = new_world(own_valkey.url)
    await world.open_accounts(alice=50 * UNIT)
    return world


async def until_it_takes_writes(gate):
    """Wait until the gate is as before."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            await gate.freeze("nobody", False)
        except StoreUnavailableError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        else:
            return


async def until_it_has_written(server):
    """Wait until the kernel has all that the server holds back while a slow disk syncs."""
    deadline = time.monotonic() + WAIT_S
    while b"aof_buffer_length:0\r\n" not in server.command("INFO", "persistence"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def write_for_ever(gate):
    for n in itertools.count():
        await gate.freeze("nobody", n % 2 == 0)


async def test_a_killed_server_loses_nothing_and_no_call_ends(own_world, own_valkey):
    world = own_world
    calls = [await world.call(f"c{n}") for n in range(5)]
    await world.pass_seconds(20)
    before = await world.gate.balance("alice")
    own_valkey.kill()
    await world.pass_seconds(5)
    assert world.nodes[0].metering.is_gate_away
    assert world.live == calls
    own_valkey.start()
    assert await world.gate.balance("alice") == before
    await world.pass_seconds(5)
    assert await world.findings() == []
    await world.hang_up(*calls)
    assert await world.gate.balance("alice") == 50 * UNIT - 5 * 30 * CENT
    await world.assert_in_order()


def append_only_file(server):
    (path,) = (server.directory / "appendonlydir").glob("*.incr.aof")
    return path


async def test_three_seconds_that_a_power_loss_took_are_had_again(own_world, own_valkey):
    """Debits, an end and a top-up are gone from the gate; the book had seen them already."""
    world = own_world
    calls = [await world.call(f"c{n}") for n in range(5)]
    await world.pass_seconds(10)
    file = append_only_file(own_valkey)
    size = file.stat().st_size
    await world.pass_seconds(3)
    await world.drainer.drain_once()
    await world.hang_up(calls[4])
    await world.credit("alice", 1_000_000, "pi:lost")
    late = await world.call("late")
    await world.drainer.drain_once()
    before = await world.gate.balance("alice")
    own_valkey.kill()
    # In the midst of a command, as a power loss leaves it.
    os.truncate(file, size + 17)
    with pytest.raises(StoreUnavailableError):
        await world.reconciler.round()
    own_valkey.start()
    assert await world.gate.balance("alice") != before
    await world.pass_seconds()
    await world.drainer.drain_once()
    await world.reconciler.round()
    assert await world.findings() == []
    await world.pass_seconds(4)
    assert world.live == [*calls[:4], late]
    await world.hang_up(*world.live)
    spent = (4 * 18 + 13 + 5) * CENT
    assert await world.gate.balance("alice") == 51 * UNIT - spent
    await world.assert_in_order()


async def test_a_minute_without_a_server_costs_at_most_the_grace(new_world, own_valkey):
    world = new_world(own_valkey.url)
    await world.open_accounts(alice=50 * UNIT, bob=7 * CENT, carol=11 * CENT)
    rich, poor, exact = [await world.call(name, name) for name in ("alice", "bob", "carol")]
    await world.pass_seconds(3)
    assert await world.findings() == []
    own_valkey.kill()
    refused = await world.call("new")
    await world.pass_seconds(60)
    assert refused.refusal == "store_unavailable"
    assert [c.seconds for c in (rich, poor, exact)] == [3 + HORIZON_S + GRACE_S, 7, 11]
    assert rich.end.ended_by == "gateway"
    own_valkey.start()
    await world.pass_seconds(25)
    assert await world.lowest_balance() == 0
    await world.assert_in_order()
    for call in (rich, poor, exact):
        record = await world.records.get(call.account_id, call.call_id)
        assert (record.cost_micros, record.written_off_micros) == (call.seconds * CENT, 0)


async def test_the_grace_that_others_made_unpayable_is_written_off(new_world, own_valkey):
    """Two nodes are cut off from a gate on which a third spends the account's last cents."""
    world = new_world(own_valkey.url, nodes=3)
    await world.open_accounts(alice=80 * CENT)
    calls = [await world.call(f"c{n}", node=n) for n in range(2)]
    await world.pass_seconds(2)
    own_valkey.kill()
    await world.pass_seconds(20)
    assert max(call.seconds for call in calls) == 2 + HORIZON_S + GRACE_S
    own_valkey.start()
    dear = Rate(per_minute_micros=60 * 5 * CENT, first_s=12)
    greedy = await world.call("greedy", node=2, rate=dear)
    assert await world.findings() == []
    while greedy.is_live:
        await world.pass_seconds()
    await world.pass_seconds(10)
    assert await world.gate.balance("alice") == 0
    await world.assert_in_order()
    records = [await world.records.get("alice", call.call_id) for call in calls]
    assert 0 < sum(record.written_off_micros for record in records) <= 2 * GRACE_S * CENT


@pytest.mark.parametrize("drained", [True, False])
async def test_a_flushed_server_is_filled_again_and_calls_go_on(own_world, own_valkey, drained):
    world = own_world
    calls = [await world.call(f"c{n}") for n in range(3)]
    await world.pass_seconds(7)
    if drained:
        await world.drainer.drain_once()
    unseen = await world.call("unseen")
    await world.pass_seconds(3)
    own_valkey.command("FLUSHALL")
    await world.pass_seconds(2)
    assert (await world.call("new")).refusal == "store_unavailable"
    with pytest.raises(StoreUnavailableError):
        await world.gate.balance("alice")
    for _ in range(2):
        await world.reconciler.round()
    await world.pass_seconds(2)
    # Two seconds without a server, and the hold that was refused meanwhile is void.
    assert await world.findings() == []
    assert world.live == [*calls, unseen]
    await world.pass_seconds(3)
    await world.hang_up(*calls, unseen)
    assert await world.gate.balance("alice") == 50 * UNIT - (3 * 17 + 10) * CENT
    await world.pass_seconds(10)
    await world.assert_in_order()


async def test_two_nodes_that_fill_a_gate_at_once_fill_it_once(own_world, own_valkey):
    world = own_world
    await world.call("c1")
    await world.pass_seconds(2)
    await world.drainer.drain_once()
    before = await world.gate.balance("alice")
    own_valkey.command("FLUSHALL")
    await asyncio.gather(*(world.reconciler.round() for _ in range(4)), return_exceptions=True)
    assert await world.gate.balance("alice") == before
    # Who has read the book before the others filled the gate comes too late.
    stale = await world.book.partition_state(world.gate.partition("alice"), world.partitions)
    await world.call("c2")
    await world.pass_seconds()
    await world.drainer.drain_once()
    assert not await world.gate.rebuild(world.gate.partition("alice"), stale)
    assert [call.call_id for call in await world.gate.open_calls()] == ["c1", "c2"]
    assert await world.findings() == []


async def test_answers_that_come_too_late_change_nothing(own_world, own_valkey):
    """The server stalls; what was given up happens all the same, or not."""
    world = own_world
    gate = world.nodes[0].gate
    lasting, ending = [await world.call(f"c{n}") for n in range(2)]
    for _ in range(3):
        await world.pass_seconds(3)
        gate._timeout_s = 0.2
        own_valkey.pause()
        await world.pass_seconds()
        assert world.nodes[0].metering.is_gate_away
        refused = await world.call(f"new{world.now_ns}")
        if ending.is_live:
            await world.hang_up(ending)
        own_valkey.resume()
        gate._timeout_s = 5
        assert refused.refusal == "store_unavailable"
    # The hold that came late is void once it is known to have come.
    await world.pass_seconds(20)
    assert await world.gate.balance("alice") == 50 * UNIT - (4 + 32 + HORIZON_S) * CENT
    assert await world.findings() == []
    await world.hang_up(lasting)
    assert (lasting.seconds, ending.seconds) == (32, 4)
    await world.assert_in_order()


@pytest.fixture
def short_of_space(monkeypatch):
    """A server whose files may be kept from growing, as by a full disk."""
    # Python ignores the signal of an oversized file, and so must the server to see the error.
    popen = partial(subprocess.Popen, restore_signals=False)
    monkeypatch.setattr("tests.valkey.subprocess.Popen", popen)
    server = ValkeyServer("--appendfsync", "everysec").start()
    monkeypatch.undo()
    yield server
    server.close()


async def test_a_full_disk_is_an_outage_that_ends_when_there_is_space(new_world, short_of_space):
    world = new_world(short_of_space.url)
    await world.open_accounts(alice=50 * UNIT)
    calls = [await world.call(f"c{n}") for n in range(3)]
    await world.pass_seconds(5)
    assert await world.findings() == []
    pid = short_of_space._process.pid
    size = append_only_file(short_of_space).stat().st_size
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 100, hard))
    with pytest.raises(StoreUnavailableError):
        await write_for_ever(world.gate)
    await world.pass_seconds(4)
    assert world.live == calls
    assert (await world.call("new")).refusal == "store_unavailable"
    # What reads only is not concerned.
    assert await world.gate.balance("alice") == 50 * UNIT - 3 * (5 + HORIZON_S) * CENT
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    await until_it_takes_writes(world.gate)
    await world.pass_seconds(10)
    assert await world.findings() == []
    await world.hang_up(*calls)
    await until_it_has_written(short_of_space)
    short_of_space.kill()
    short_of_space.start()
    assert await world.gate.balance("alice") == 50 * UNIT - 3 * 19 * CENT
    await world.assert_in_order()


async def test_a_master_without_its_replica_refuses_and_is_had_back(own_world, own_valkey):
    world = own_world
    calls = [await world.call(f"c{n}") for n in range(3)]
    await world.pass_seconds(2)
    own_valkey.command("CONFIG", "SET", "min-replicas-to-write", "1")
    await world.pass_seconds(6)
    assert world.nodes[0].metering.is_gate_away
    assert world.live == calls
    await world.hang_up(calls[0])
    own_valkey.command("CONFIG", "SET", "min-replicas-to-write", "0")
    await world.pass_seconds(2)
    assert await world.findings() == []
    await world.hang_up(*world.live)
    assert [call.seconds for call in calls] == [8, 10, 10]
    await world.pass_seconds(10)
    await world.assert_in_order()


async def test_two_versions_of_the_scripts_charge_the_same_calls(new_world, own_valkey):
    """Two releases of the gateway run side by side, and the server forgets both in between."""
    world = new_world(own_valkey.url, nodes=2)
    await world.open_accounts(alice=50 * UNIT)
    newer = world.nodes[1].gate
    scripts = [name for name, value in vars(newer).items() if isinstance(value, Script)]
    for name in scripts:
        script = copy(getattr(newer, name))
        script.source += b"\n-- another release\n"
        script.sha = await world.nodes[1].client.script_load(script.source)
        setattr(newer, name, script)
    assert newer._tick.sha != world.gate._tick.sha
    calls = [await world.call(f"c{n}", node=n % 2) for n in range(4)]
    for second in range(12):
        await world.pass_seconds()
        if second == 5:
            own_valkey.command("SCRIPT", "FLUSH")
            assert await world.findings() == []
    # The one knows and ends what the other has begun.
    charge = calls[0].charge
    opening = charge._hold.opening(CENT)
    assert (await newer.open(opening)).granted_micros == (12 + HORIZON_S) * CENT
    context = charge._context
    charge._context = replace(context, services=replace(context.services, gate=newer))
    await world.hang_up(*calls)
    assert await world.gate.balance("alice") == 50 * UNIT - 4 * 12 * CENT
    await world.assert_in_order()


async def test_a_call_near_its_end_waits_for_a_silent_server_as_far_as_its_credit_reaches(
    new_world, valkey_url, monkeypatch
):
    world = new_world(valkey_url)
    monkeypatch.setattr(cut_off, "ASK_AGAIN_S", 0.05)
    await world.open_accounts(alice=12 * CENT, bob=30 * CENT)
    calls = [await world.call(f"c-{name}", name) for name in ("alice", "bob")]
    await world.pass_seconds(9)

    async def say_nothing(claims):
        await asyncio.sleep(0.2)
        return dict.fromkeys(claims, StoreUnavailableError("away"))

    gate = world.nodes[0].gate
    heard, gate.tick_all = gate.tick_all, say_nothing
    for _ in range(4 + HORIZON_S + GRACE_S):
        world.now_ns += SECOND_NS
        world.nodes[0].begin_second()
        await world.calm()
        await world.nodes[0].round()
        if not world.live:
            break
    gate.tick_all = heard
    await world.calm()
    assert [call.end.ended_by for call in calls] == ["credit", "gateway"]
    assert calls[0].seconds == 12
    assert 9 + GRACE_S <= calls[1].seconds < 30
    await world.assert_in_order()
