"""Challenges of two nodes over one Valkey: good once, for one button and network."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from altcha import v1 as altcha

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.embed.challenge import CALM, LIFETIME_S, NUMBERS_MIN
from gateway.embed.ports import Spent
from gateway.stores.challenges import RedisChallenges

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ADDRESS, NEIGHBOUR, STRANGER = "192.0.2.1", "192.0.2.99", "198.51.100.1"


class Nodes:
    """Two nodes with one clock."""

    def __init__(self, redis):
        self.now, self.count = NOW, 0
        self.one, self.other = (
            RedisChallenges(redis, self.new_bytes, secret="shared", clock=lambda: self.now)
            for _ in range(2)
        )

    def new_bytes(self, count):
        self.count += 1
        return bytes([self.count]) * count

    async def solved(self, button_id="b1", address=ADDRESS, **changes):
        given = await self.one.give(button_id, address)
        solution = altcha.solve_challenge(
            given.challenge, given.salt, given.algorithm, given.maxnumber
        )
        payload = {
            "algorithm": given.algorithm,
            "challenge": given.challenge,
            "number": solution.number,
            "salt": given.salt,
            "signature": given.signature,
        }
        return base64.b64encode(json.dumps(payload | changes).encode()).decode()


@pytest.fixture
def nodes(redis):
    return Nodes(redis)


async def test_a_solution_is_good_once_on_whatever_node(nodes):
    solution = await nodes.solved()
    spent = await asyncio.gather(
        *(node.spend("b1", ADDRESS, solution) for node in (nodes.one, nodes.other) * 5)
    )
    assert sorted(spent, key=str) == [Spent.RIGHT] + [Spent.USED] * 9


async def test_it_is_good_for_its_button_and_network_and_for_two_minutes(nodes):
    solution = await nodes.solved()
    assert await nodes.one.spend("b2", ADDRESS, solution) is Spent.WRONG
    assert await nodes.one.spend("b1", STRANGER, solution) is Spent.WRONG
    nodes.now = NOW + timedelta(seconds=LIFETIME_S + 1)
    assert await nodes.one.spend("b1", ADDRESS, solution) is Spent.WRONG
    nodes.now = NOW + timedelta(seconds=LIFETIME_S)
    assert await nodes.other.spend("b1", NEIGHBOUR, solution) is Spent.RIGHT


async def test_midnight_makes_no_solution_wrong(nodes):
    nodes.now = NOW.replace(hour=23, minute=59, second=30)
    solution = await nodes.solved()
    nodes.now += timedelta(seconds=60)
    assert await nodes.one.spend("b1", ADDRESS, solution) is Spent.RIGHT


@pytest.mark.parametrize("signature", ["", "0" * 64])
async def test_a_forged_one_is_wrong(nodes, signature):
    assert await nodes.one.spend("b1", ADDRESS, await nodes.solved(signature=signature)) is (
        Spent.WRONG
    )


async def test_another_secret_or_another_number_is_wrong(nodes, redis):
    foreign = RedisChallenges(redis, nodes.new_bytes, secret="other", clock=lambda: NOW)
    assert await foreign.spend("b1", ADDRESS, await nodes.solved()) is Spent.WRONG
    assert await nodes.one.spend("b1", ADDRESS, await nodes.solved(number=NUMBERS_MIN)) is (
        Spent.WRONG
    )


async def test_what_a_challenge_names_cannot_be_moved_into_its_number(nodes):
    """CVE-2025-68113: the end of the salt, as a number, would take its time away."""
    solution = json.loads(base64.b64decode(await nodes.solved()))
    head, _, tail = solution["salt"].partition("&")
    moved = {"salt": f"{head}&", "number": f"{tail}{solution['number']}"}
    text = base64.b64encode(json.dumps(solution | moved).encode()).decode()
    assert await nodes.one.spend("b1", ADDRESS, text) is Spent.WRONG


async def test_a_button_that_is_used_much_is_harder_and_calms_down(nodes):
    nodes.now = NOW + timedelta(seconds=59)
    given = [await nodes.one.give("b1", ADDRESS) for _ in range(2 * CALM + 1)]
    assert given[0].maxnumber == NUMBERS_MIN < given[-1].maxnumber
    assert (await nodes.other.give("b2", ADDRESS)).maxnumber == NUMBERS_MIN
    nodes.now += timedelta(seconds=2)
    assert (await nodes.other.give("b1", ADDRESS)).maxnumber > NUMBERS_MIN
    nodes.now += timedelta(seconds=120)
    assert (await nodes.one.give("b1", ADDRESS)).maxnumber == NUMBERS_MIN


async def test_a_visitor_has_one_name_a_day_on_all_nodes(nodes, redis):
    name = await nodes.one.visitor("b1", ADDRESS)
    assert name == await nodes.other.visitor("b1", ADDRESS)
    neighbour = await nodes.other.visitor("b1", NEIGHBOUR)
    assert neighbour.name != name.name
    assert neighbour.network == name.network
    assert (await nodes.one.visitor("b2", ADDRESS)).name != name.name
    left_s = await redis.ttl("caller:visitor-salt:1:2026-11-24")
    assert 12 * 3_600 < left_s <= 12 * 3_600 + 300
    nodes.now += timedelta(days=1)
    assert (await nodes.one.visitor("b1", ADDRESS)).name != name.name


async def test_without_valkey_nothing_is_given_and_nothing_let_in(own_valkey):
    client = connect(own_valkey.url)
    nodes = Nodes(client)
    solution = await nodes.solved()
    own_valkey.kill()
    with pytest.raises(StoreUnavailableError):
        await nodes.one.give("b1", ADDRESS)
    with pytest.raises(StoreUnavailableError):
        await nodes.one.spend("b1", ADDRESS, solution)
    with pytest.raises(StoreUnavailableError):
        await nodes.other.visitor("b1", ADDRESS)
    await disconnect(client)
