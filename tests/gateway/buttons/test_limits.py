"""Tokens asked for in masses: what a button allows holds on all nodes together."""

import asyncio

import pytest

from billing.stores.redis_client import connect, disconnect
from gateway.limits.velocity import LIMITS, button_uses, visitor_network_uses, visitor_uses
from gateway.stores.velocity import RedisVelocity

AMOUNTS = {
    "visitor_hour": 4,
    "visitor_day": 1_000,
    "network_hour": 12,
    "network_day": 1_000,
    "button_hour": 30,
    "button_day": 1_000,
}


class Clock:
    """Monotonic time, which stands still."""

    def __call__(self):
        return 1


@pytest.fixture
async def nodes(own_valkey):
    client = connect(own_valkey.url)
    yield [RedisVelocity(client, LIMITS, secret="s", clock_ns=Clock()) for _ in range(2)]
    await disconnect(client)


async def admitted(nodes, visitors, times):
    """Return how many of these calls begin, asked for at once on both nodes."""

    async def ask(node, visitor, network):
        for uses in (
            visitor_uses(visitor, AMOUNTS),
            visitor_network_uses(network, AMOUNTS),
            button_uses("b1", AMOUNTS),
        ):
            if await node.hit(uses) is not None:
                return False
        return True

    asked = [
        ask(nodes[n % 2], visitor, network) for visitor, network in visitors for n in range(times)
    ]
    return sum(await asyncio.gather(*asked))


async def test_one_visitor_gets_their_own_calls_and_no_more(nodes):
    assert await admitted(nodes, [("v1", "n1")], 40) == 4
    assert await admitted(nodes, [("v1", "n1")], 40) == 0
    # Another one of the same network still gets some.
    assert await admitted(nodes, [("v2", "n1")], 3) == 3


async def test_a_network_full_of_visitors_is_bounded_as_one(nodes):
    visitors = [(f"v{n}", "n1") for n in range(60)]
    assert await admitted(nodes, visitors, 1) == 12
    assert await admitted(nodes, [("other", "n2")], 2) == 2


async def test_all_networks_together_stay_within_the_button(nodes):
    visitors = [(f"v{n}", f"n{n}") for n in range(80)]
    assert await admitted(nodes, visitors, 1) == 30


async def test_another_amount_counts_anew_and_a_button_by_itself(nodes):
    assert await admitted(nodes, [("v1", "n1")], 10) == 4
    more = AMOUNTS | {"visitor_hour": 6}
    hits = [await nodes[0].hit(visitor_uses("v1", more)) for _ in range(10)]
    assert hits.count(None) == 6
    assert await nodes[1].hit(button_uses("b2", AMOUNTS)) is None
