"""Failovers that lose acknowledged writes: the gate is repaired, every call is charged exactly."""

import asyncio

import pytest
from redis.asyncio import Redis
from redis.asyncio.sentinel import SentinelConnectionPool

from billing.rating import Rate
from billing.stores.redis import RedisSpendGate, connect, disconnect
from database.errors import StoreUnavailableError
from tests.money.ledger_world import CENT, UNIT
from tests.money.topologies import master_and_replica, sentinels, until
from tests.valkey import free_port

RATE = Rate(per_minute_micros=60 * CENT, connect_fee_micros=2 * CENT)


async def test_a_replica_that_lacks_three_seconds_takes_over(new_world):
    """Split brain: the old master goes on acknowledging, and the book is drained from it."""
    with master_and_replica() as (master, replica):
        world = new_world(master.url)
        await world.open_accounts(alice=50 * UNIT)
        calls = [await world.call(f"c{n}", rate=RATE) for n in range(5)]
        await world.pass_seconds(10)
        before = await world.gate.balance("alice")
        # On the connection that has written, which no node may do.
        master.command("ACL", "SETUSER", "caller", "+wait")
        assert await world.nodes[0].client.execute_command("WAIT", 1, 5_000) == 1
        replica.command("REPLICAOF", "NO", "ONE")
        await world.pass_seconds(3)
        await world.credit("alice", 2 * UNIT, "pi:lost")
        await world.drainer.drain_once()
        await world.hang_up(calls[4])
        new = await world.call("new", rate=RATE)
        await world.drainer.drain_once()
        await world.pass_seconds()
        master.kill()
        with pytest.raises(StoreUnavailableError):
            await world.reconciler.round()
        await world.turn_to(replica.url)
        assert await world.gate.balance("alice") == before
        await world.pass_seconds()
        await world.drainer.drain_once()
        await world.reconciler.round()
        assert await world.findings() == []
        await world.pass_seconds(2)
        await world.hang_up(*calls[:4], new)
        spent = 4 * RATE.cost(17) + RATE.cost(13) + RATE.cost(4)
        assert await world.gate.balance("alice") == 52 * UNIT - spent
        await world.assert_in_order()


async def test_sentinels_replace_a_master_that_was_killed_in_mid_call(new_world):
    """Calls live on what they have paid until there is a master again, and are charged exactly."""
    with master_and_replica() as (master, replica), sentinels(master) as (url, watching):
        world = new_world(url, timeout_s=1.0)
        await world.open_accounts(alice=50 * UNIT)
        calls = [await world.call(f"c{n}") for n in range(5)]
        await world.pass_seconds(2)
        paid = await world.gate.balance("alice")
        assert paid < 50 * UNIT - 5 * 9 * CENT
        master.kill()
        # Whether these rounds fail depends on how soon there is another master.
        await world.pass_seconds(3)
        assert world.live == calls
        until(lambda: all(b"%d" % replica.port in named(sentinel) for sentinel in watching))
        assert b"role:master" in replica.command("INFO", "replication")
        await world.pass_seconds(2)
        assert not world.nodes[0].metering.is_gate_away
        assert await world.gate.balance("alice") < paid
        await world.reconcile()
        assert await world.findings() == []
        assert world.live == calls
        await world.hang_up(*calls)
        assert world.is_settled
        assert await world.gate.balance("alice") == 50 * UNIT - 5 * 7 * CENT
        await world.assert_in_order()


def named(sentinel):
    """Return which master a sentinel names."""
    return sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")


async def test_no_sentinel_is_forgotten_by_those_who_ask_at_once():
    """After a failover many connections look for the master at the same time."""
    with master_and_replica() as (master, _), sentinels(master) as (url, _):
        client = connect(url)
        assert isinstance(client, Redis)
        assert isinstance(client.connection_pool, SentinelConnectionPool)
        asked = client.connection_pool.sentinel_manager
        # The first is gone, so that everybody goes on to the next.
        asked.sentinels[0] = Redis(host="127.0.0.1", port=free_port(), **asked.sentinel_kwargs)
        found = await asyncio.gather(*(asked.discover_master("main") for _ in range(16)))
        assert set(found) == {("127.0.0.1", master.port)}
        assert len({id(sentinel) for sentinel in asked.sentinels}) == 3
        await disconnect(client)


async def test_a_sentinel_that_is_silent_is_passed_over_in_time():
    """Its host may be the one that failed, together with the master's."""
    with master_and_replica() as (master, _), sentinels(master) as (url, servers):
        client = connect(url)
        gate = RedisSpendGate(client)
        servers[0].pause()
        assert await gate.is_ready(0) is False
        servers[0].resume()
        await disconnect(client)
