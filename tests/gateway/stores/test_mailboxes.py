"""Mailboxes in Valkey: in order, bounded, and gone by themselves."""

import asyncio

import pytest

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.stores.mailboxes import LAPSES_MS, LETTERS_MAX, TAKEN_MAX, RedisMailboxes
from tests.valkey import free_port

KEY = "caller:mailbox:1:there"


async def test_letters_come_in_order_and_once(redis):
    mailboxes = RedisMailboxes(redis)
    letters = [b"", b"one", bytes(range(256)), b"x" * 100_000]
    for letter in letters:
        assert await mailboxes.send("there", letter)
    assert 0 < await redis.pttl(KEY) <= LAPSES_MS
    assert await mailboxes.receive("there") == letters
    assert not await redis.exists(KEY)
    await redis.rpush(KEY, *[b"x"] * (TAKEN_MAX + 1))
    assert [len(await mailboxes.receive("there")) for _ in range(2)] == [TAKEN_MAX, 1]


async def test_who_waits_gets_a_letter_as_it_comes_and_else_none(redis):
    mailboxes = RedisMailboxes(redis)
    waiting = asyncio.ensure_future(mailboxes.receive("there"))
    await asyncio.sleep(0.05)
    await mailboxes.send("elsewhere", b"not yours")
    await mailboxes.send("there", b"yours")
    assert await waiting == [b"yours"]
    assert await mailboxes.receive("there") == []


async def test_a_full_mailbox_takes_nothing_more(redis):
    mailboxes = RedisMailboxes(redis)
    await redis.rpush(KEY, *[b"x"] * (LETTERS_MAX - 1))
    assert await mailboxes.send("there", b"the last")
    assert not await mailboxes.send("there", b"one too many")
    assert await redis.llen(KEY) == LETTERS_MAX
    # One that is full and that nobody empties goes all the same.
    assert 0 < await redis.pttl(KEY) <= LAPSES_MS


async def test_what_is_no_mailbox_is_an_outage(redis):
    await redis.set(KEY, b"x")
    for attempt in (
        RedisMailboxes(redis).send("there", b"x"),
        RedisMailboxes(redis).receive("there"),
    ):
        with pytest.raises(StoreUnavailableError):
            await attempt


async def test_a_server_that_is_away_is_an_outage():
    redis = connect(f"redis://127.0.0.1:{free_port()}/0")
    mailboxes = RedisMailboxes(redis)
    for attempt in (mailboxes.send("there", b"x"), mailboxes.receive("here")):
        with pytest.raises(StoreUnavailableError, match="mailboxes"):
            await attempt
    await disconnect(redis)
