"""Calls of many turns, drawn from a seed: networks, paths, disturbances in any order, any end.

After each disturbance the two are heard again byte for byte, every frame is accounted for, and the
charge is exact. `make test` plays a dozen seeds, `make test-all` hundreds.
"""

from __future__ import annotations

import random

import pytest

from gateway.cause import Cause
from tests.whole_calls.world import (
    MS_NS,
    assert_accounted,
    assert_charged,
    assert_counted,
    assert_nothing_lost,
)

FEW, MANY = 5, 250
SEEDS = [
    *range(FEW),
    *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(FEW, MANY)),
]
STALL_OVER_S = 12
"""After this no delay is left of a stall, and audio is sent as it comes."""


async def mutes(world, rng):
    await world.browser.asks("mute", muted=True)
    secret, told = await world.talk(rng.uniform(0.2, 2))
    assert told in world.browser.heard
    assert secret[:160] not in world.phone.heard
    await world.browser.asks("mute", muted=False)
    await world.run(1)


async def holds(world, rng):
    await world.browser.asks("hold", held=True)
    secret, hidden = await world.talk(rng.uniform(0.2, 2))
    assert secret[:160] not in world.phone.heard
    assert hidden[:160] not in world.browser.heard
    await world.browser.asks("hold", held=False)
    await world.run(1)


async def presses_keys(world, rng):
    world.browser.say(type="dtmf", digits="".join(rng.choices("0123456789*#", k=3)))
    await world.run(2)


async def stalls_up(world, rng):
    world.browser.ways[0].stall(rng.uniform(0.05, 0.6))
    await world.run(STALL_OVER_S)


async def stalls_down(world, rng):
    world.browser.ways[1].stall(rng.uniform(0.05, 2))
    _, told = await world.talk(3)
    assert told in world.browser.heard


async def is_not_read(world, rng):
    world.phone.line.conversation.stall(world.phone.stream, rng.uniform(0.1, 1.5))
    await world.run(STALL_OVER_S)


async def loses_socket(world, rng):
    world.browser.loses_socket()
    await world.run(rng.uniform(0.1, 10))
    await world.browser.reopens()
    await world.browser.wait("ready")
    await world.run(STALL_OVER_S)


async def moves(world, rng):
    if world.browser.sends_packets:
        await world.browser.moves_to_socket()
    else:
        await world.browser.moves_to_webrtc(world.media.endpoint)
    await world.run(STALL_OVER_S)


QUIET = (mutes, holds, presses_keys, stalls_down)
"""What takes no frame of the caller's away."""
TURNS = (*QUIET, stalls_up, is_not_read, loses_socket, moves)


async def caller_ends(world):
    world.browser.say(type="hangup")
    return 16, "caller"


async def callee_ends(world):
    world.phone.line.end()
    return 16, "callee"


async def operator_ends(world):
    await world.media.calls.end("alice", world.browser.of("ready")[0]["call_id"])
    return Cause.MANAGER_REQUEST, "operator"


async def played(world, rng):
    """Play one call; return what happened in it, its last word and its record."""
    world.browser_delay_ns = rng.randrange(1, 150) * MS_NS
    world.jitter_ns = rng.randrange(8) * MS_NS
    browser = await world.dials()
    if rng.random() < 0.5:
        await browser.moves_to_webrtc(world.media.endpoint)
    await world.is_answered()
    turns = rng.choices(TURNS if rng.random() < 0.7 else QUIET, k=rng.randrange(1, 4))
    for turn in turns:
        await turn(world, rng)
        said, told = await world.talk(rng.uniform(0.5, 2))
        assert said in world.phone.heard, turns
        assert told in browser.heard, turns
    cause = await rng.choice((caller_ends, callee_ends, operator_ends))(world)
    end = await browser.wait("disconnect")
    assert (end["cause"], end["ended_by"]) == cause
    return turns, end, await world.settled()


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_call_of_many_turns(world_of, seed):
    world = await world_of(seed)
    turns, end, record = await played(world, random.Random(seed))
    assert_charged(world, end, record)
    assert_accounted(record)
    if set(turns) <= {mutes, holds, stalls_down}:
        # What the carrier has left of a hold tone is played in place of the first frames after it.
        dropped = record.browser.frames_dropped
        assert dropped <= 2 * turns.count(holds)
        assert_counted(record, dropped=dropped, concealed_ms=0)
    if set(turns) == {stalls_down}:
        assert_nothing_lost(world, record)


@pytest.mark.thorough
async def test_the_same_seed_is_the_same_call(world_of):
    def story(world):
        # A loop counts in floats, which are coarser the later it is.
        told = [
            ((at_ns - world.began_ns) // 1_000_000, message["type"])
            for at_ns, message in world.browser.told
        ]
        return told, [(at_ns - world.began_ns) // 1_000_000 for at_ns in world.browser.frames_ns]

    stories = []
    for _ in range(2):
        world = await world_of(5)
        await played(world, random.Random(5))
        stories.append(story(world))
        await world.stop()
    assert stories[0] == stories[1]
