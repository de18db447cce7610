"""Scripts of the spend gate on a real server: known to it or not, one or several at a time."""

import pytest
from redis.exceptions import ResponseError

from billing.stores.gate_script import Script, evaluate, evaluate_all
from billing.stores.redis_client import connect, disconnect


@pytest.fixture
async def redis(own_valkey):
    client = connect(own_valkey.url)
    yield client
    await disconnect(client)


def keys_of(partition):
    return [b"{cr:%d}:%d" % (partition, n) for n in range(14)]


async def test_a_script_that_the_server_does_not_know_is_sent(redis, own_valkey):
    def is_known():
        return own_valkey.command("SCRIPT", "EXISTS", script.sha) == b"*1\r\n:1\r\n"

    script = Script("withdraw")
    assert await evaluate(redis, script, keys_of(0), [""]) == 1
    assert is_known()
    assert own_valkey.command("SCRIPT", "FLUSH") == b"+OK\r\n"
    assert not is_known()
    requests = [(keys_of(0), ["another filling"]), (keys_of(1), [""])]
    assert await evaluate_all(redis, script, requests) == [0, 1]
    assert is_known()


async def test_a_script_that_fails_stops_none_of_the_others(redis):
    script = Script("withdraw")
    await redis.set(keys_of(1)[7], "no hash")
    answers = await evaluate_all(redis, script, [(keys_of(n), [""]) for n in range(3)])
    assert (answers[0], answers[2]) == (1, 1)
    assert isinstance(answers[1], ResponseError)
    with pytest.raises(ResponseError):
        await evaluate(redis, script, keys_of(1), [""])
