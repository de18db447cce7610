"""Codes of numbers on a real server: so many tries, so long."""

import asyncio

import pytest

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.buttons.ports import CODE_LIFETIME_S, CODE_TRIES_MAX, Comparison
from gateway.buttons.proof_code_store import RedisProofCodes


@pytest.fixture
def codes(redis):
    return RedisProofCodes(redis)


async def test_a_code_is_right_until_it_is_forgotten(codes, redis, operator):
    await codes.keep("p1", "right")
    assert 0 < await operator.ttl("caller:proof-code:1:p1") <= CODE_LIFETIME_S
    assert await codes.compare("p1", "wrong") is Comparison.WRONG
    assert await codes.compare("p1", "right") is Comparison.RIGHT
    assert await codes.compare("p1", "right") is Comparison.RIGHT
    await codes.forget("p1")
    assert await codes.compare("p1", "right") is Comparison.OVER
    assert await redis.exists("caller:proof-code:1:p1") == 0


async def test_so_many_tries_and_no_more_also_at_once(codes):
    await codes.keep("p2", "right")
    tries = await asyncio.gather(*(codes.compare("p2", "wrong") for _ in range(50)))
    assert tries.count(Comparison.WRONG) == CODE_TRIES_MAX
    assert await codes.compare("p2", "right") is Comparison.OVER
    # Another call brings another code, with tries of its own.
    await codes.keep("p2", "next")
    assert await codes.compare("p2", "right") is Comparison.WRONG
    assert await codes.compare("p2", "next") is Comparison.RIGHT


async def test_without_valkey_nothing_is_right(own_valkey):
    client = connect(own_valkey.url)
    codes = RedisProofCodes(client)
    await codes.keep("p3", "right")
    own_valkey.kill()
    with pytest.raises(StoreUnavailableError):
        await codes.compare("p3", "right")
    with pytest.raises(StoreUnavailableError):
        await codes.keep("p3", "right")
    await disconnect(client)
