"""The mark that the outbox was drained: its age is the server's word."""

import asyncio

import pytest

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.stores.drain_mark import RedisDrainMark
from tests.valkey import free_port


async def test_a_mark_ages_until_it_is_set_again(valkey_url):
    redis = connect(valkey_url)
    mark = RedisDrainMark(redis)
    assert await mark.age_s() is None
    await mark.set()
    first = await mark.age_s()
    await asyncio.sleep(0.05)
    later = await mark.age_s()
    assert first is not None
    assert later is not None
    assert first + 0.05 <= later + 0.002
    await redis.pexpire("caller:drained", 1_000)
    old = await mark.age_s()
    assert old is not None
    assert old > 29 * 86_400
    await disconnect(redis)


async def test_a_server_that_is_away_is_an_outage():
    redis = connect(f"redis://127.0.0.1:{free_port()}/0")
    for ask in (RedisDrainMark(redis).set, RedisDrainMark(redis).age_s):
        with pytest.raises(StoreUnavailableError):
            await ask()
    await disconnect(redis)
