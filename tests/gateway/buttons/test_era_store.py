"""Eras of buttons in Valkey: each is another one, and gone with what it could still end."""

import pytest

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.buttons.era_store import KEPT_S, RedisButtonEras


async def test_each_end_begins_an_era_that_no_other_is(redis, operator):
    one, other = RedisButtonEras(redis), RedisButtonEras(redis)
    assert await one.current(["b1", "b2"]) == {}
    assert await one.current([]) == {}
    await one.end("b1")
    first = (await other.current(["b1", "b2"]))["b1"]
    await other.end("b1")
    await other.end("b2")
    eras = await one.current({"b1", "b2"})
    assert len({first, *eras.values()}) == 3
    assert 0 < await operator.ttl("caller:button-era:1:b1") <= KEPT_S


async def test_a_store_that_is_away_says_so(own_valkey):
    client = connect(own_valkey.url)
    eras = RedisButtonEras(client)
    await eras.end("b1")
    own_valkey.kill()
    with pytest.raises(StoreUnavailableError):
        await eras.current(["b1"])
    with pytest.raises(StoreUnavailableError):
        await eras.end("b1")
    await disconnect(client)
