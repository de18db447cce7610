"""Challenges of two nodes over one Valkey: good once, for one key and network."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from altcha import v1 as altcha

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.buttons.challenge import CALM, LIFETIME_S, NUMBERS_MAX, NUMBERS_MIN
from gateway.buttons.challenge_store import RedisChallenges
from gateway.buttons.ports import SolutionVerdict

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LIVE, TEST, TURNED = "pk_live_a", "pk_test_a", "pk_live_b"
"""Of one button."""
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

    async def solved(self, key=LIVE, address=ADDRESS, **changes):
        given = await self.one.give(key, address)
        solution = altcha.solve_challenge(
            altcha.Challenge(
                given.algorithm, given.challenge, given.maxnumber, given.salt, given.signature
            )
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
        *(node.spend(LIVE, ADDRESS, solution) for node in (nodes.one, nodes.other) * 5)
    )
    assert sorted(spent, key=str) == [SolutionVerdict.RIGHT] + [SolutionVerdict.USED] * 9


async def test_it_is_good_for_its_key_and_network_and_for_two_minutes(nodes):
    solution = await nodes.solved()
    for other in (TEST, TURNED):
        assert await nodes.one.spend(other, ADDRESS, solution) is SolutionVerdict.WRONG
        assert (
            await nodes.one.spend(LIVE, ADDRESS, await nodes.solved(other)) is SolutionVerdict.WRONG
        )
    assert await nodes.one.spend(LIVE, STRANGER, solution) is SolutionVerdict.WRONG
    nodes.now = NOW + timedelta(seconds=LIFETIME_S + 1)
    assert await nodes.one.spend(LIVE, ADDRESS, solution) is SolutionVerdict.WRONG
    nodes.now = NOW + timedelta(seconds=LIFETIME_S)
    assert await nodes.other.spend(LIVE, NEIGHBOUR, solution) is SolutionVerdict.RIGHT


async def test_midnight_makes_no_solution_wrong(nodes):
    nodes.now = NOW.replace(hour=23, minute=59, second=30)
    solution = await nodes.solved()
    nodes.now += timedelta(seconds=60)
    assert await nodes.one.spend(LIVE, ADDRESS, solution) is SolutionVerdict.RIGHT


@pytest.mark.parametrize("signature", ["", "0" * 64])
async def test_a_forged_one_is_wrong(nodes, signature):
    assert await nodes.one.spend(LIVE, ADDRESS, await nodes.solved(signature=signature)) is (
        SolutionVerdict.WRONG
    )


async def test_another_secret_or_another_number_is_wrong(nodes, redis):
    foreign = RedisChallenges(redis, nodes.new_bytes, secret="other", clock=lambda: NOW)
    assert await foreign.spend(LIVE, ADDRESS, await nodes.solved()) is SolutionVerdict.WRONG
    assert await nodes.one.spend(LIVE, ADDRESS, await nodes.solved(number=NUMBERS_MIN)) is (
        SolutionVerdict.WRONG
    )


async def test_what_a_challenge_names_cannot_be_moved_into_its_number(nodes):
    """CVE-2025-68113: the end of the salt, as a number, would take its time away."""
    solution = json.loads(base64.b64decode(await nodes.solved()))
    head, _, tail = solution["salt"].partition("&")
    moved = {"salt": f"{head}&", "number": f"{tail}{solution['number']}"}
    text = base64.b64encode(json.dumps(solution | moved).encode()).decode()
    assert await nodes.one.spend(LIVE, ADDRESS, text) is SolutionVerdict.WRONG


async def flooded(nodes, count, second):
    """Ask for challenges from the networks of a range at a second; return the last one's work."""
    nodes.now = NOW + timedelta(seconds=second)
    for n in range(count):
        given = await (nodes.one, nodes.other)[n % 2].give(LIVE, f"10.0.{n % 250}.1")
    return given.maxnumber


@pytest.mark.thorough
async def test_work_doubles_with_a_flood_from_a_range_and_falls_when_it_is_over(nodes):
    minute = 60
    costs = [
        await flooded(nodes, CALM * 2**n - (CALM * 2 ** (n - 1) if n else 0), second=1)
        for n in range(5)
    ]
    assert costs == [NUMBERS_MIN * 2**n for n in range(5)]
    # Whoever comes half a minute later finds what is left of it, and after two minutes nothing.
    assert (await flooded(nodes, 1, minute + 30)) == 8 * NUMBERS_MIN
    assert (await flooded(nodes, 1, 2 * minute)) == NUMBERS_MIN
    # No flood makes it harder than a phone can do.
    assert await flooded(nodes, 2_000, 5 * minute) == NUMBERS_MAX
    assert (await nodes.one.give(TURNED, "10.0.0.1")).maxnumber == NUMBERS_MIN
    # People elsewhere wait no longer for it: not in the next range, nor far away.
    for elsewhere in ("10.1.0.1", ADDRESS, "2001:db8::1"):
        assert (await nodes.other.give(LIVE, elsewhere)).maxnumber == NUMBERS_MIN


async def test_one_network_makes_it_hard_for_itself_alone(nodes):
    own = [await nodes.one.give(LIVE, ADDRESS) for _ in range(8 * CALM)]
    assert own[0].maxnumber == NUMBERS_MIN
    assert own[-1].maxnumber == 8 * NUMBERS_MIN
    assert (await nodes.other.give(LIVE, NEIGHBOUR)).maxnumber == 8 * NUMBERS_MIN
    assert (await nodes.other.give(LIVE, STRANGER)).maxnumber == NUMBERS_MIN


@pytest.mark.thorough
async def test_what_nobody_solves_is_kept_nowhere_and_keeps_nobody_out(nodes, redis, operator):
    networks = 250
    for _ in range(1_000):
        await nodes.one.give(LIVE, ADDRESS)
    await flooded(nodes, networks, second=1)
    kept = [name async for name in operator.scan_iter(match="*challenge*")]
    # One count for each network and one for each of the two ranges, whatever was asked for.
    assert len(kept) == (networks + 1) + 2
    assert all([0 < await operator.ttl(name) <= 2 * 60 for name in kept])
    solution = await nodes.solved(address=STRANGER)
    assert await nodes.other.spend(LIVE, STRANGER, solution) is SolutionVerdict.RIGHT


async def test_a_visitor_has_one_name_a_day_on_all_nodes(nodes, redis, operator):
    name = await nodes.one.visitor("b1", ADDRESS)
    assert name == await nodes.other.visitor("b1", ADDRESS)
    neighbour = await nodes.other.visitor("b1", NEIGHBOUR)
    assert neighbour.name != name.name
    assert neighbour.network == name.network
    assert (await nodes.one.visitor("b2", ADDRESS)).name != name.name
    left_s = await operator.ttl("caller:visitor-salt:1:2026-11-24")
    assert 12 * 3_600 < left_s <= 12 * 3_600 + 300
    nodes.now += timedelta(days=1)
    assert (await nodes.one.visitor("b1", ADDRESS)).name != name.name


async def test_without_valkey_nothing_is_given_and_nothing_let_in(own_valkey):
    client = connect(own_valkey.url)
    nodes = Nodes(client)
    solution = await nodes.solved()
    own_valkey.kill()
    with pytest.raises(StoreUnavailableError):
        await nodes.one.give(LIVE, ADDRESS)
    with pytest.raises(StoreUnavailableError):
        await nodes.one.spend(LIVE, ADDRESS, solution)
    with pytest.raises(StoreUnavailableError):
        await nodes.other.visitor("b1", ADDRESS)
    await disconnect(client)
