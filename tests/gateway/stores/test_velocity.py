"""Velocity limits on real servers: two nodes count together, and alone while Valkey is away."""

import asyncio
from contextlib import ExitStack

import pytest

from billing.stores.redis_client import connect, disconnect, preflight
from gateway.limits.velocity import LIMITS, Override, Use, effective, outcomes
from gateway.limits.velocity_limits import SHORT_CALLS
from gateway.stores import velocity as module
from gateway.stores.velocity import RedisVelocity
from tests.money.topologies import Cluster, master_and_replica, sentinels

SECRET = "0f" * 16
NUMBER = "+442079460018"
ONCE = Use("number_calls_hour", f"alice {NUMBER}")
SECOND_NS = 1_000_000_000


class Clock:
    """A monotonic clock that stands until it is set."""

    def __init__(self):
        self.now_ns = SECOND_NS

    def __call__(self):
        return self.now_ns


def of_account(account_id, seconds):
    """Return what a call counts as for its account."""
    return outcomes(account_id, NUMBER, seconds)[0]


def node_on(client, clock=None, **amounts):
    """Return the limits of one node; `amounts` replace defaults."""
    limits = effective([Override(name, amount) for name, amount in amounts.items()])
    return RedisVelocity(client, limits, secret=SECRET, clock_ns=clock or Clock())


async def test_two_nodes_count_together(redis):
    nodes = [node_on(redis, number_calls_hour=5) for _ in range(2)]
    answers = [await nodes[turn % 2].hit([ONCE]) for turn in range(8)]
    assert answers[:5] == [None] * 5
    for refusal in answers[5:]:
        assert refusal.limit.name == "number_calls_hour"
        assert 3590 < refusal.wait_s <= 3601
    assert nodes[0].refusals.total() + nodes[1].refusals.total() == 3


async def test_what_comes_at_once_is_counted_exactly(redis):
    nodes = [node_on(redis, number_calls_hour=50) for _ in range(2)]
    answers = await asyncio.gather(*(nodes[turn % 2].hit([ONCE]) for turn in range(200)))
    assert answers.count(None) == 50


async def test_subjects_and_limits_are_counted_apart(redis):
    node = node_on(redis, number_calls_hour=1, account_calls_hour=1)
    assert await node.hit([ONCE]) is None
    assert await node.hit([Use("number_calls_hour", "bob " + NUMBER)]) is None
    assert await node.hit([Use("account_calls_hour", ONCE.subject)]) is None
    assert (await node.hit([ONCE])).limit.name == "number_calls_hour"


async def test_of_several_limits_the_longest_wait_is_told(redis):
    node = node_on(redis, number_calls_minute=1, number_calls_hour=1)
    uses = [Use("number_calls_minute", "a"), Use("number_calls_hour", "a")]
    assert await node.hit(uses) is None
    assert (await node.hit(uses)).limit.name == "number_calls_hour"


async def test_looking_counts_nothing(redis):
    node = node_on(redis, number_calls_hour=1)
    for _ in range(5):
        assert await node.look([ONCE]) is None
    assert await node.hit([ONCE]) is None
    assert (await node_on(redis, number_calls_hour=1).look([ONCE])).wait_s > 3590


async def test_a_limit_that_is_off_refuses_nothing(redis, operator):
    node = node_on(redis, number_calls_hour=None)
    assert [await node.hit([ONCE]) for _ in range(100)] == [None] * 100
    assert await operator.keys("*") == []


async def test_no_number_address_or_account_is_stored(redis, operator):
    node = node_on(redis)
    await node.hit([ONCE, Use("address_calls_hour", "192.0.2.1"), Use("key_calls_hour", "k1")])
    await node.count(of_account("alice", 3))
    keys = await operator.keys("*")
    assert len(keys) == 4
    for key in keys:
        assert key.startswith(b"caller:velocity:{")
        for secret in (NUMBER[1:], "192.0.2.1", "alice", "k1"):
            assert secret.encode() not in key
        # Twice the window is as long as anybody is counted.
        assert 0 < await operator.ttl(key) <= 2 * 3600


async def test_a_refused_subject_costs_no_request_until_its_time_is_up(redis, operator):
    clock = Clock()
    node = node_on(redis, clock, number_calls_hour=1)
    await node.hit([ONCE])
    refusal = await node.hit([ONCE])
    before = (await redis.info("stats"))["total_commands_processed"]
    clock.now_ns += 10 * SECOND_NS
    again = await node.hit([ONCE])
    assert again == refusal._replace(wait_s=refusal.wait_s - 10)
    assert (await redis.info("stats"))["total_commands_processed"] == before + 1
    clock.now_ns += refusal.wait_s * SECOND_NS
    await operator.flushall()
    assert await node.hit([ONCE]) is None


async def test_what_is_remembered_of_refusals_is_bounded(redis, monkeypatch):
    monkeypatch.setattr(module, "REFUSED_USES_MAX", 3)
    node = node_on(redis, number_calls_hour=1)
    for subject in "abcdef":
        for _ in range(2):
            await node.hit([Use("number_calls_hour", subject)])
    assert len(node._refused) == 3


async def test_short_calls_refuse_while_they_are_more_than_the_long_ones(redis):
    nodes = [node_on(redis, **{SHORT_CALLS: 5}) for _ in range(2)]
    use = Use(SHORT_CALLS, "alice")
    for turn in range(5):
        assert await nodes[0].hit([use]) is None
        await nodes[turn % 2].count(of_account("alice", 3))
    refusal = await nodes[1].hit([use])
    assert refusal.limit.code == "short_calls_limited"
    assert 0 < refusal.wait_s <= 3601
    assert (await nodes[1].look([use])).limit.name == SHORT_CALLS
    for _ in range(5):
        await nodes[0].count(of_account("alice", 60))
    assert await nodes[1].hit([use]) is None
    await nodes[0].count(of_account("alice", 0))
    assert await nodes[1].hit([use]) is not None
    assert await nodes[1].hit([Use(SHORT_CALLS, "bob")]) is None


async def test_short_calls_are_not_counted_where_nobody_asks(redis, operator):
    await node_on(redis, **{SHORT_CALLS: None}).count(of_account("alice", 3))
    assert await operator.keys("*") == []


async def test_while_valkey_is_away_each_node_counts_for_itself_and_nobody_waits_long(
    own_valkey, monkeypatch
):
    client, clock = connect(own_valkey.url), Clock()
    node = node_on(client, clock, number_calls_hour=3)
    assert await node.hit([ONCE]) is None
    own_valkey.pause()
    with monkeypatch.context() as patch:
        patch.setattr(module, "TIMEOUT_S", 0.1)
        answers = [await node.hit([ONCE])]
    # Only the first of them waits: afterwards the server is not asked for a while.
    with monkeypatch.context() as patch:
        patch.setattr(module, "TIMEOUT_S", None)
        answers += [await node.hit([ONCE]) for _ in range(4)]
    assert answers[:3] == [None] * 3
    assert {refusal.limit.name for refusal in answers[3:]} == {"number_calls_hour"}
    own_valkey.resume()
    clock.now_ns += module.AWAY_NS
    assert await node.hit([Use("number_calls_hour", "other")]) is None
    assert node._away_until_ns <= clock.now_ns
    own_valkey.kill()
    assert await node.look([Use("number_calls_hour", "another")]) is None
    assert node._away_until_ns > clock.now_ns
    await disconnect(client)


async def test_what_a_node_counts_alone_is_bounded(monkeypatch):
    client = connect("redis://127.0.0.1:1")
    monkeypatch.setattr(module, "LOCAL_KEYS_MAX", 20)
    node = node_on(client)
    for n in range(100):
        assert await node.hit([Use("number_calls_hour", str(n))]) is None
        assert len(node._local.storage) <= 22
    await disconnect(client)


@pytest.mark.thorough
@pytest.mark.parametrize("topology", ["cluster", "sentinel"])
async def test_every_kind_of_server_counts(topology):
    with ExitStack() as stack:
        if topology == "cluster":
            servers = Cluster(3)
            stack.callback(servers.close)
            url = servers.url
        else:
            master, _ = stack.enter_context(master_and_replica())
            url, _ = stack.enter_context(sentinels(master))
        client = connect(url)
        await preflight(client)  # as a node does at its start
        node = node_on(client, number_calls_hour=2)
        uses = [ONCE, *(Use(name, "a") for name in LIMITS if name != ONCE.limit)]
        answers = [await node.hit(uses) for _ in range(3)]
        assert answers[:2] == [None] * 2
        assert answers[2].limit.name == "number_calls_hour"
        assert node._away_until_ns == 0
        assert not node._local.storage
        await disconnect(client)
