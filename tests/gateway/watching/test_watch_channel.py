"""What nodes say reaches all who listen, and nobody who does not listen is waited for."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.watching import watch_channel
from gateway.watching.rows import COUNTED_BYTES_MAX
from gateway.watching.watch_channel import RedisWatchChannel
from tests.valkey import free_port

PATIENCE_S = 20
"""Longer than anything here takes: what hangs fails."""


async def first(messages):
    async with asyncio.timeout(PATIENCE_S):
        return await anext(messages)


@asynccontextmanager
async def channel_of(url):
    """A channel with connections of its own, as each process has."""
    redis = connect(url)
    try:
        yield RedisWatchChannel(redis)
    finally:
        await disconnect(redis)


async def subscribers(operator):
    return (await operator.pubsub_numsub(watch_channel._CHANNEL))[0][1]


async def nobody_subscribes(operator):
    """Return once the server has seen that connections are closed."""
    async with asyncio.timeout(PATIENCE_S):
        while await subscribers(operator):
            await asyncio.sleep(0)


async def test_all_who_listen_hear_everything_in_order_from_then_on(redis):
    channel = RedisWatchChannel(redis)
    await channel.publish(b"too early")
    async with channel.listen() as one, channel.listen() as other:
        said = [b"", b"one", bytes(range(256)), b"x" * 500_000]
        for message in said:
            await channel.publish(message)
        for messages in (one, other):
            assert [await first(messages) for _ in said] == said


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://h/0", "caller/watch/1"),
        ("redis://h", "caller/watch/1"),
        ("redis://h/3", "caller/watch/1/3"),
        ("unix:///s?db=3", "caller/watch/1/3"),
        ("redis+sentinel://h:1/m/5", "caller/watch/1/5"),
        ("redis+cluster://h:1", "caller/watch/1"),
    ],
)
async def test_each_database_of_a_server_has_a_channel_of_its_own(url, name):
    assert RedisWatchChannel(connect(url)).name == name


async def test_two_deployments_on_one_server_do_not_hear_each_other(redis):
    one, other = RedisWatchChannel(redis), RedisWatchChannel(redis)
    # Who may choose another database has a right that our user lacks.
    other.name = RedisWatchChannel(connect("redis://h/3")).name
    async with one.listen() as heard_by_one, other.listen() as heard_by_other:
        await one.publish(b"one")
        await other.publish(b"other")
        assert await first(heard_by_one) == b"one"
        assert await first(heard_by_other) == b"other"
        await one.publish(b"last")
        assert await first(heard_by_one) == b"last"


async def test_nothing_is_kept_in_the_store(redis, operator):
    channel = RedisWatchChannel(redis)
    async with channel.listen() as messages:
        await channel.publish(b"x")
        assert await first(messages) == b"x"
        assert await operator.dbsize() == 0


async def test_who_stops_listening_leaves_no_subscription_and_no_connection(redis, operator):
    channel = RedisWatchChannel(redis)
    for _ in range(40):  # more often than there are connections
        async with channel.listen():
            assert await subscribers(operator) == 1
        await nobody_subscribes(operator)


@pytest.mark.parametrize("has_heard", [False, True])
async def test_who_is_cancelled_in_the_middle_leaves_nothing_either(redis, operator, has_heard):
    channel, heard = RedisWatchChannel(redis), asyncio.Event()

    async def listen():
        async with channel.listen() as messages:
            heard.set() if not has_heard else None
            async for _ in messages:
                heard.set()

    for _ in range(5):
        listening = asyncio.ensure_future(listen())
        while has_heard and not await subscribers(operator):
            await asyncio.sleep(0)
        if has_heard:
            await channel.publish(b"x")
        async with asyncio.timeout(PATIENCE_S):
            await heard.wait()
        heard.clear()
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening
    await nobody_subscribes(operator)


async def test_silence_is_no_fault(redis, monkeypatch):
    monkeypatch.setattr(watch_channel, "_WAIT_S", 0.02)
    monkeypatch.setattr(watch_channel, "_SILENT_S", 0.05)
    channel = RedisWatchChannel(redis)
    async with channel.listen() as messages:
        waiting = asyncio.ensure_future(first(messages))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        await channel.publish(b"at last")
        assert await waiting == b"at last"


async def test_a_server_that_is_killed_is_an_outage_and_is_listened_to_when_it_is_back(own_valkey):
    async with channel_of(own_valkey.url) as channel:
        async with AsyncExitStack() as stack:
            messages = await stack.enter_async_context(channel.listen())
            await channel.publish(b"before")
            assert await first(messages) == b"before"
            own_valkey.kill()
            with pytest.raises(StoreUnavailableError, match="calls"):
                await first(messages)
        with pytest.raises(StoreUnavailableError):
            await channel.publish(b"lost")
        with pytest.raises(StoreUnavailableError):
            async with channel.listen():
                pytest.fail("nobody is there")
        own_valkey.start()
        async with channel.listen() as messages:
            await channel.publish(b"after")
            assert await first(messages) == b"after"


async def test_a_server_that_says_nothing_any_more_is_an_outage(own_valkey, monkeypatch):
    """Its machine has vanished: no connection breaks, and what nodes say is heard by nobody."""
    monkeypatch.setattr(watch_channel, "_WAIT_S", 0.05)
    monkeypatch.setattr(watch_channel, "_SILENT_S", 0.2)
    async with channel_of(own_valkey.url) as channel, channel.listen() as messages:
        own_valkey.pause()
        with pytest.raises(StoreUnavailableError):
            await first(messages)
        own_valkey.resume()


async def test_a_server_that_does_not_answer_holds_nobody_up_for_long(own_valkey, monkeypatch):
    monkeypatch.setattr("accounts.stores.valkey.TIMEOUT_S", 0.2)
    async with channel_of(own_valkey.url) as channel:
        await channel.publish(b"x")
        own_valkey.pause()
        try:
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(StoreUnavailableError):
                    await channel.publish(b"x")
                with pytest.raises(StoreUnavailableError):
                    async with channel.listen():
                        pytest.fail("nobody has answered")
        finally:
            own_valkey.resume()


async def test_who_listens_too_slowly_is_cut_off_and_listens_again(own_valkey):
    """The server would keep for it what others say, until it has no memory left.

    Over a Unix socket: the kernel keeps 200 KB of it, and over TCP up to 36 MB.
    """
    text, count = b"x" * COUNTED_BYTES_MAX, 640
    url = own_valkey.url
    own_valkey.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0")
    heard = []

    async def hears(messages):
        while not heard or heard[-1] != b"again":
            heard.append(await first(messages))

    async with channel_of(url) as channel, channel_of(url) as node, asyncio.TaskGroup() as tasks:

        async def goes_on():
            while b"again" not in heard:
                await node.publish(b"again")
                await asyncio.sleep(0.05)

        async with AsyncExitStack() as stack:
            messages = await stack.enter_async_context(channel.listen())
            for _ in range(count):
                await node.publish(text)
            tasks.create_task(goes_on())
            # It is told, or has subscribed anew before it could be.
            try:
                await hears(messages)
            except StoreUnavailableError:
                async with channel.listen() as messages:
                    await hears(messages)
    assert heard.count(text) < count


async def test_a_server_that_is_away_is_an_outage():
    async with channel_of(f"redis://127.0.0.1:{free_port()}/0") as channel:
        with pytest.raises(StoreUnavailableError, match="calls"):
            await channel.publish(b"x")
        with pytest.raises(StoreUnavailableError, match="calls"):
            async with channel.listen():
                pytest.fail("nobody is there")
