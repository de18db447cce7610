"""Refused visitors in Valkey: counts of all nodes, by button and day."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.buttons.visitor_refusal_store import KEPT_S, RedisVisitorRefusals
from gateway.embed.refusals import Reason

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
TODAY = "2026-11-28"


async def test_counts_of_nodes_are_added_by_button_and_day(redis, operator):
    one, other = RedisVisitorRefusals(redis), RedisVisitorRefusals(redis)
    assert await one.of_day("b1", AT) == {}
    await one.add({("b1", TODAY, Reason.BUSY): 2, ("b2", TODAY, Reason.BUSY): 1})
    await other.add({("b1", TODAY, Reason.LIMIT): 7, ("b1", TODAY, Reason.BUSY): 3})
    await other.add({("b1", "2026-11-27", Reason.CLOSED): 1})
    found = await one.of_day("b1", AT)
    assert list(found.items()) == [(Reason.LIMIT, 7), (Reason.BUSY, 5)]
    assert await one.of_day("b1", AT - timedelta(days=1)) == {Reason.CLOSED: 1}
    assert 0 < await operator.ttl(f"caller:refused-visitors:1:b1:{TODAY}") <= KEPT_S


async def test_a_reason_of_another_release_is_left_out(redis):
    await redis.hset(f"caller:refused-visitors:1:b1:{TODAY}", "weather", 3)
    assert await RedisVisitorRefusals(redis).of_day("b1", AT) == {}


async def test_a_store_that_is_away_says_so(own_valkey):
    client = connect(own_valkey.url)
    refusals = RedisVisitorRefusals(client)
    own_valkey.kill()
    with pytest.raises(StoreUnavailableError):
        await refusals.add({("b1", TODAY, Reason.BUSY): 1})
    with pytest.raises(StoreUnavailableError):
        await refusals.of_day("b1", AT)
    await disconnect(client)
