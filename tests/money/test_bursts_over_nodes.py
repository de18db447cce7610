"""Calls of one account on several nodes, each with a beat of its own, end together.

Time passes in tenths of a second: nodes charge at different moments, phones are answered at any.
"""

import random

import pytest

from billing.rating import Rate
from gateway.nanoseconds import SECOND_NS
from tests.money.ledger_world import CENT

pytestmark = pytest.mark.by_turns

CALLS_MAX = 20
CENT_A_SECOND = (Rate(per_minute_micros=60 * CENT),)
TENTH_NS = SECOND_NS // 10


async def pass_tenth(world):
    """Let a tenth of a second pass; every node charges once a second, each at its own tenth."""
    world.now_ns += TENTH_NS
    world._wake_sleepers()
    await world.calm()
    tenth = world.now_ns // TENTH_NS
    for n, node in enumerate(world.nodes):
        node.begin_second()
        await world.calm()
        if tenth % 10 == 10 * n // len(world.nodes):
            await node.round()
            await world.calm()


async def run(world, split, *, rates=CENT_A_SECOND, stagger=0, seed=0, may_be_refused=False):
    """Place as many calls on each node as `split` says, some tenths apart; return when they end."""
    chance = random.Random(seed)
    nodes = [n for n, count in enumerate(split) for _ in range(count)]
    chance.shuffle(nodes)
    calls = []
    for place, node in enumerate(nodes):
        for _ in range(chance.randint(0, stagger)):
            await pass_tenth(world)
        rate = rates[place % len(rates)]
        calls.append(await world.call(f"c{place}", node=node, rate=rate))
    for _ in range(20_000):
        if not world.live:
            break
        await pass_tenth(world)
    assert not world.live
    if not may_be_refused:
        assert [call.refusal for call in calls] == [""] * len(calls)
    await world.drainer.drain_once()
    return calls


def spread_s(calls):
    ends = [call.ended_ns for call in calls]
    return (max(ends) - min(ends)) / SECOND_NS


SPLITS = [(20,), (10, 10), (1, 19), (19, 1), (7, 7, 6), (1, 1, 18), (1, 1, 1, 1, 16)]


@pytest.fixture
async def new_burst(new_world, valkey_url):
    """Make a world with nodes for a split, and credit for so many cents."""

    async def make(split, cents):
        world = new_world(valkey_url, nodes=len(split), account_calls_max=CALLS_MAX)
        await world.open_accounts(alice=cents * CENT)
        return world

    return make


@pytest.mark.parametrize("stagger", [0, 1, 4])
@pytest.mark.parametrize("split", SPLITS)
async def test_calls_end_within_a_second(new_burst, split, stagger):
    world = await new_burst(split, 317)
    calls = await run(world, split, stagger=stagger, seed=stagger)
    assert sum(call.seconds for call in calls) == 317
    assert spread_s(calls) <= 1
    assert await world.gate.balance("alice") == 0
    await world.assert_in_order()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("split", [(20,), (1, 19), (3, 9, 8)])
async def test_calls_at_different_rates_end_within_a_second(new_burst, split, seed):
    rates = [Rate(per_minute_micros=60 * CENT * factor) for factor in (1, 2, 3)]
    world = await new_burst(split, 700)
    calls = await run(world, split, rates=rates, stagger=1, seed=seed)
    assert sum(call.rate.cost(call.seconds) for call in calls) <= 700 * CENT
    assert spread_s(calls) <= 1
    await world.assert_in_order()


ODD_RATES = {
    "1:50": [Rate(per_minute_micros=60_000 * factor) for factor in (1, 50)],
    "50:1:1": [Rate(per_minute_micros=60_000 * factor) for factor in (50, 1, 1)],
    "1:2:3": [Rate(per_minute_micros=60_000 * factor) for factor in (1, 2, 3)],
}


@pytest.mark.parametrize("way", [(0, 0, 110), (1, 0, 200), (2, 3, 200)])
@pytest.mark.parametrize("split", [(10, 10), (7, 7, 6)])
@pytest.mark.parametrize("rates", ODD_RATES.values(), ids=ODD_RATES)
async def test_cheap_calls_end_with_the_dear_ones(new_burst, rates, split, way):
    seed, stagger, cents = way
    world = await new_burst(split, cents)
    calls = await run(world, split, rates=rates, stagger=stagger, seed=seed, may_be_refused=True)
    placed = [call for call in calls if not call.refusal]
    assert sum(call.rate.cost(call.seconds) for call in placed) <= cents * CENT
    assert spread_s(placed) <= 1
    await world.assert_in_order()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("split", [(10, 10), (7, 7, 6)])
async def test_calls_begun_one_after_another_end_within_a_second(new_burst, split, seed):
    world = await new_burst(split, 50)
    calls = await run(world, split, stagger=2, seed=seed, may_be_refused=True)
    placed = [call for call in calls if not call.refusal]
    assert sum(call.seconds for call in placed) <= 50
    assert spread_s(placed) <= 1
    await world.assert_in_order()


@pytest.mark.parametrize("increment_s", [6, 60])
async def test_an_increment_that_has_begun_is_used(new_burst, increment_s):
    whole = Rate(per_minute_micros=60 * CENT, first_s=increment_s, next_s=increment_s)
    world = await new_burst((1, 1), increment_s + 12)
    calls = await run(world, (1, 1), rates=[whole, *CENT_A_SECOND])
    assert calls[0].seconds % increment_s == 0
    assert calls[0].end.ended_by == calls[1].end.ended_by == "credit"
    assert await world.gate.balance("alice") >= 0
    await world.assert_in_order()
