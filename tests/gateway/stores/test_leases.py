"""Leases on a real server: who lives, and what a server that is away means."""

import asyncio
import time

import pytest
import structlog

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.stores import leases as module
from gateway.stores.leases import RedisNodeLeases


async def test_nobody_lives_at_first(redis):
    leases = RedisNodeLeases(redis)
    assert await leases.nodes() == {}
    assert await leases.alive() == frozenset()


async def test_a_lease_is_renewed_and_runs_out(redis):
    leases = RedisNodeLeases(redis, ttl_s=20)
    await leases.renew("n1")
    await leases.renew("n2")
    assert 19_000 < await redis.pttl("caller:lease:n1") <= 20_000
    await redis.pexpire("caller:lease:n1", 1_000)
    await leases.renew("n1")
    assert await redis.pttl("caller:lease:n1") > 19_000
    assert await leases.alive() == {"n1", "n2"}
    await redis.pexpire("caller:lease:n2", 1)
    async with asyncio.timeout(5):
        while len(await leases.alive()) == 2:
            await asyncio.sleep(0.001)
    assert await leases.nodes() == {"n1": True, "n2": False}


async def test_a_lease_that_nobody_holds_is_claimed_at_once(redis):
    leases, told = RedisNodeLeases(redis, instance="a"), []
    assert await leases.claim("n1", 60, lambda: told.append(1))
    assert await leases.alive() == {"n1"}
    assert await leases.instances() == {"a"}
    assert await leases.renew("n1"), "it is as the claim left it"
    await leases.forget("n1")
    assert await RedisNodeLeases(redis, instance="b").claim("n1", 60)
    assert told == []


async def test_the_lease_of_a_process_that_lives_is_not_claimed(redis):
    living, other, told = RedisNodeLeases(redis), RedisNodeLeases(redis), []
    await living.renew("n1")
    claiming = asyncio.ensure_future(other.claim("n1", 60, lambda: told.append(1)))
    async with asyncio.timeout(20):
        while not told:
            await asyncio.sleep(0.01)
        assert await living.renew("n1")
        assert not await claiming
    assert await living.renew("n1"), "it was left alone"


async def test_the_lease_of_a_dead_process_is_claimed_by_one_when_it_has_been_silent(redis):
    await RedisNodeLeases(redis).renew("n1")
    heirs = [RedisNodeLeases(redis, instance=name) for name in "abc"]
    claims = await asyncio.gather(*(heir.claim("n1", 0.5) for heir in heirs))
    assert sorted(claims) == [False, False, True]
    assert await heirs[claims.index(True)].renew("n1")


async def test_a_lease_that_is_given_back_meanwhile_is_claimed(redis):
    living, told = RedisNodeLeases(redis), []
    await living.renew("n1")
    claiming = asyncio.ensure_future(RedisNodeLeases(redis).claim("n1", 60, lambda: told.append(1)))
    async with asyncio.timeout(20):
        while not told:
            await asyncio.sleep(0.01)
        await living.forget("n1")
        assert await claiming


async def test_a_node_id_that_is_used_twice_is_logged(redis, capsys):
    one, other = RedisNodeLeases(redis, instance="one"), RedisNodeLeases(redis, instance="two")
    with structlog.testing.capture_logs() as said:
        await one.renew("n1")
        await other.renew("n1")
        await one.renew("n1")
    assert [line["event"] for line in said] == ["another process serves as this node"]


async def test_a_renewal_says_whether_the_one_before_was_held(redis, operator):
    """What a store that was emptied, rolled back or whose clock was set does not."""
    leases, key = RedisNodeLeases(redis, ttl_s=20), "caller:lease:n1"
    assert not await leases.renew("n1"), "there was none"
    assert await leases.renew("n1")
    held = await redis.get(key)
    assert await leases.renew("n1")
    for spoil in (
        redis.delete(key),
        redis.set(key, held, px=20_000),
        redis.pexpire(key, 16_000),
        redis.pexpire(key, 24_000),
        operator.persist(key),
    ):
        await spoil
        assert not await leases.renew("n1")
        assert await leases.renew("n1")
    assert not await RedisNodeLeases(redis, ttl_s=20).renew("n1"), "of another process"
    assert not await leases.renew("n1")


async def test_a_renewal_of_unknown_fate_proves_nothing(redis, monkeypatch):
    leases = RedisNodeLeases(redis)
    await leases.renew("n1")

    async def no_answer(*_):
        raise StoreUnavailableError("the leases of nodes cannot be reached")

    with monkeypatch.context() as patch:
        patch.setattr(leases, "_pipeline", no_answer)
        with pytest.raises(StoreUnavailableError):
            await leases.renew("n1")
    assert not await leases.renew("n1")
    assert await leases.renew("n1")


async def test_a_lease_is_given_back(redis, operator):
    leases = RedisNodeLeases(redis)
    await leases.renew("n1")
    for _ in range(2):
        await leases.forget("n1")
    assert await leases.nodes() == {}
    assert await operator.keys("*") == []


async def test_nodes_that_never_came_back_are_forgotten_after_a_week(redis, monkeypatch):
    leases = RedisNodeLeases(redis)
    now_s = [1_000_000_000]
    monkeypatch.setattr(time, "time", lambda: now_s[0])
    await leases.renew("old")
    now_s[0] += 7 * 86_400 - 1
    await leases.renew("new")
    assert set(await leases.nodes()) == {"old", "new"}
    now_s[0] += 1
    await leases.renew("new")
    assert set(await leases.nodes()) == {"new"}


async def test_a_server_that_is_away_is_said_soon(own_valkey, monkeypatch):
    client = connect(own_valkey.url)
    leases = RedisNodeLeases(client)
    await leases.renew("n1")
    own_valkey.pause()
    monkeypatch.setattr(module, "_TIMEOUT_S", 0.1)
    for attempt in (leases.renew("n1"), leases.nodes(), leases.alive(), leases.forget("n1")):
        with pytest.raises(StoreUnavailableError):
            await attempt
    own_valkey.resume()
    own_valkey.kill()
    with pytest.raises(StoreUnavailableError):
        await leases.renew("n1")
    await disconnect(client)


async def test_living_processes_are_known_by_what_they_call_themselves(redis):
    first, second = (RedisNodeLeases(redis, instance=name) for name in ("aa", "bb"))
    assert await first.instances() == frozenset()
    await first.renew("n1")
    await second.renew("n2")
    assert await first.instances() == {"aa", "bb"}
    # A process that was restarted has another name.
    await RedisNodeLeases(redis, instance="cc").renew("n1")
    await second.forget("n2")
    assert await first.instances() == {"cc"}
