"""One-use call tokens on a real server: each is good once, for a while, as its key allows."""

import asyncio

import pytest

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.stores.tokens import TOKEN_PREFIX, RedisCallTokens
from tests.gateway.stage import order


class Desk:
    """Tokens, and what their key allows."""

    def __init__(self, redis):
        self.allows = True
        self.refusal = ""
        self.asked = []
        self.tokens = RedisCallTokens(redis, ttl_s=60, at_redemption=self.at_redemption)

    async def at_redemption(self, asked):
        self.asked.append(asked)
        return (asked, self.refusal) if self.allows else None


@pytest.fixture
def desk(redis):
    return Desk(redis)


async def test_a_token_is_good_once(desk):
    token = await desk.tokens.issue(order())
    assert token.startswith(TOKEN_PREFIX)
    assert await desk.tokens.redeem(token) == (order(), "")
    assert await desk.tokens.redeem(token) is None
    assert desk.asked == [order()]


async def test_orders_share_the_texts_that_recur(desk):
    tokens = [await desk.tokens.issue(order()) for _ in range(2)]
    (one, _), (other, _) = [await desk.tokens.redeem(token) for token in tokens]
    assert one.rate is other.rate
    assert one.account_id is other.account_id


async def test_of_many_who_redeem_a_token_together_one_has_it(desk):
    token = await desk.tokens.issue(order())
    redeemed = await asyncio.gather(*(desk.tokens.redeem(token) for _ in range(10)))
    assert [found for found in redeemed if found] == [(order(), "")]


async def test_tokens_are_told_apart_and_unknown_ones_are_none(desk):
    first, second = [await desk.tokens.issue(order(destination=to)) for to in ("+1", "+2")]
    assert first != second
    assert (await desk.tokens.redeem(second))[0].destination == "+2"
    assert (await desk.tokens.redeem(first))[0].destination == "+1"
    assert await desk.tokens.redeem(TOKEN_PREFIX + "x") is None


async def test_a_token_whose_key_may_call_no_more_is_burnt(desk):
    token = await desk.tokens.issue(order())
    desk.allows = False
    assert await desk.tokens.redeem(token) is None
    desk.allows = True
    assert await desk.tokens.redeem(token) is None


async def test_a_token_whose_button_takes_no_calls_says_so_and_is_burnt(desk):
    token = await desk.tokens.issue(order())
    desk.refusal = "button_paused"
    assert await desk.tokens.redeem(token) == (order(), "button_paused")
    desk.refusal = ""
    assert await desk.tokens.redeem(token) is None


async def test_a_token_that_is_looked_at_stays_good(desk):
    token = await desk.tokens.issue(order())
    looked, left_s = await desk.tokens.look(token)
    assert looked == order()
    assert 0 < left_s <= desk.tokens.ttl_s
    desk.allows = False
    assert await desk.tokens.look(token) is None
    desk.allows = True
    assert await desk.tokens.redeem(token) == (order(), "")
    assert await desk.tokens.look(token) is None
    assert await desk.tokens.look(TOKEN_PREFIX + "x") is None


async def test_a_token_runs_out_and_is_not_kept_in_clear(desk, redis, operator):
    token = await desk.tokens.issue(order())
    (key,) = [key async for key in operator.scan_iter("caller:call-token:*")]
    assert token.encode() not in key
    assert 0 < await operator.ttl(key) <= desk.tokens.ttl_s


async def test_a_store_that_is_away_is_said(desk, redis):
    token = await desk.tokens.issue(order())
    await disconnect(redis)
    away = connect("redis://127.0.0.1:1")
    tokens = RedisCallTokens(away, ttl_s=60, at_redemption=desk.at_redemption)
    with pytest.raises(StoreUnavailableError):
        await tokens.redeem(token)
    with pytest.raises(StoreUnavailableError):
        await tokens.look(token)
    with pytest.raises(StoreUnavailableError):
        await tokens.issue(order())
    await disconnect(away)
