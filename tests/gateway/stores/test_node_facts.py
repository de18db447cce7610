"""What nodes say of themselves in Valkey lapses with them, and is read by any release."""

import msgspec
import pytest

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.stores.node_facts import LAPSES_MS, NODES_MAX, RedisNodeDirectory
from tests.gateway.fleet.mailboxes import facts_of
from tests.valkey import free_port


async def test_facts_are_replaced_and_lapse(redis):
    directory = RedisNodeDirectory(redis)
    assert await directory.read() == []
    await directory.write(facts_of("n1"))
    await directory.write(facts_of("n2", calls=3))
    await directory.write(facts_of("n1", is_draining=True))
    found = {each.node: each for each in await directory.read()}
    assert found == {"n1": facts_of("n1", is_draining=True), "n2": facts_of("n2", calls=3)}
    assert 0 < await redis.pttl("caller:node:1:n1") <= LAPSES_MS
    await redis.delete("caller:node:1:n1")
    assert [each.node for each in await directory.read()] == ["n2"]


async def test_a_node_of_long_ago_is_forgotten(redis):
    directory = RedisNodeDirectory(redis)
    await redis.zadd("caller:nodes", {"old": 1})
    await directory.write(facts_of("n1"))
    assert await redis.zrange("caller:nodes", 0, -1) == [b"n1"]


async def test_an_older_and_a_newer_release_are_read(redis):
    directory = RedisNodeDirectory(redis)
    new = facts_of("n1", log_level="debug", log_level_until="2026-11-29T12:00:00Z")
    await directory.write(new)
    said = msgspec.json.decode(msgspec.json.encode(facts_of("n2")))
    del said["log_level"], said["log_level_until"]
    await directory.write(facts_of("n2"))
    await redis.set("caller:node:1:n2", msgspec.json.encode({**said, "of_later": [1]}))
    found = {each.node: each for each in await directory.read()}
    assert found == {"n1": new, "n2": facts_of("n2")}
    assert (found["n2"].log_level, found["n2"].log_level_until) == ("", None)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"node": 1}',
        b"[]",
        b'{"a":' * 5000,
        b"[" * 100_000,
        b'{"node":' * 5000 + b"1" + b"}" * 5000,
    ],
)
async def test_what_another_release_says_is_passed_over(redis, text):
    directory = RedisNodeDirectory(redis)
    await directory.write(facts_of("n1"))
    await directory.write(facts_of("n2"))
    await redis.set("caller:node:1:n2", text)
    # And a name that is no text, or too many of them, hide no node.
    names: dict[str | bytes, float] = {f"x{n}": 1 for n in range(NODES_MAX)}
    await redis.zadd("caller:nodes", {**names, b"\xff\xfe": 9e9})
    assert [each.node for each in await directory.read()] == ["n1"]


async def test_what_is_of_another_type_hides_no_node(redis):
    directory = RedisNodeDirectory(redis)
    await directory.write(facts_of("n1"))
    await redis.lpush("caller:node:1:n2", "1")
    await redis.zadd("caller:nodes", {"n2": 9e9})
    assert [each.node for each in await directory.read()] == ["n1"]
    await redis.delete("caller:node:1:n2")
    await directory.write(facts_of("n2"))
    assert [each.node for each in await directory.read()] == ["n2", "n1"]


async def test_a_server_that_is_away_is_an_outage():
    redis = connect(f"redis://127.0.0.1:{free_port()}/0")
    directory = RedisNodeDirectory(redis)
    for attempt in (directory.write(facts_of()), directory.read()):
        with pytest.raises(StoreUnavailableError, match="nodes say"):
            await attempt
    await disconnect(redis)
