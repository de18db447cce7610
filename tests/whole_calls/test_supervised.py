"""A whole call that somebody supervises: what the parties hear, and how late the supervisor does.

The clock is virtual: what is late is late by the gateway, to the nanosecond.
"""

from __future__ import annotations

import pytest

from gateway.call.supervision import Mode, Rule
from media.g711 import SILENCE_FRAME
from media.mixer import Mixer
from tests.whole_calls.browser import Browser, speech
from tests.whole_calls.test_stories import hangs_up
from tests.whole_calls.world import URL, assert_charged, assert_nothing_lost

ADDED_NS_MAX = 60_000_000
"""What a supervisor may hear a word later by than the party it is said to."""
HEARD = Mixer().mix(bytes(range(256)), b"\xff" * 256)
"""What each byte of one voice is in a mix with silence."""


async def supervisor_of(world, allowed):
    """Let a supervisor into the call that goes on, by a network as the caller's."""
    world.grants.allowed = allowed
    call_id = world.browser.of("ready")[0]["call_id"]
    supervisor = Browser(URL, world.browser_delay_ns, 0, world.rng)
    await supervisor.opened()
    supervisor.say(type="start", version=1, token=world.grants.issue(call_id))
    await supervisor.wait("supervision-ready")
    return supervisor


def first_ns(browser, frame):
    """Return when a frame was heard."""
    return browser.frames_ns[browser.frames.index(frame)]


@pytest.mark.parametrize("path", ["websocket", "webrtc"])
async def test_who_listens_changes_no_byte_and_hears_in_time(world, path):
    browser = await world.dials()
    if path == "webrtc":
        await browser.moves_to_webrtc(world.media.endpoint)
    await world.is_answered()
    supervisor = await supervisor_of(world, Rule(Mode.LISTEN, "no tone in what is compared"))
    told = speech(5, world.rng)
    world.phone.callee.play(b"".join(told))
    await world.run(6)
    heard = b"".join(browser.frames)
    assert b"".join(told) in heard
    mixed = [frame.translate(HEARD) for frame in told]
    # The first and the last word, and one in the middle: nothing piles up.
    for number in (0, 125, 249):
        at_caller = first_ns(browser, told[number])
        assert 0 <= first_ns(supervisor, mixed[number]) - at_caller < ADDED_NS_MAX
    assert b"".join(mixed) in b"".join(supervisor.frames)
    said, _ = await world.talk(3)
    assert said in world.phone.heard
    supervisor.stop()
    end, record = await hangs_up(world)
    assert_charged(world, end, record)
    assert_nothing_lost(world, record)


async def test_a_whisper_is_heard_whole_and_in_time_and_not_by_the_phone(world):
    await world.connected()
    supervisor = await supervisor_of(world, Rule(Mode.WHISPER, "no tone in what is compared"))
    supervisor.say(type="supervise", mode="whisper")
    await supervisor.wait("supervise")
    await world.run(1)
    words, before = speech(3, world.rng), len(world.phone.heard)
    supervisor.speaks(words)
    begun_ns = world.loop.now_ns
    await world.run(4)
    # The microphone's own beat and both networks are not the gateway's.
    own_ns = 20_000_000 + 2 * world.browser_delay_ns
    mixed = [frame.translate(HEARD) for frame in words]
    assert first_ns(world.browser, mixed[0]) - begun_ns - own_ns < ADDED_NS_MAX
    assert b"".join(mixed) in b"".join(world.browser.frames)
    assert set(world.phone.heard[before:]) == set(SILENCE_FRAME)
    supervisor.stop()
    await hangs_up(world)


async def test_a_take_over_is_heard_whole_and_the_caller_comes_back(world):
    await world.connected()
    supervisor = await supervisor_of(world, Rule(Mode.TAKE_OVER, "no tone in what is compared"))
    supervisor.say(type="supervise", mode="take-over")
    await world.run(1)
    words = speech(5, world.rng)
    supervisor.speaks(words)
    await world.run(6)
    mixed = b"".join(frame.translate(HEARD) for frame in words)
    assert mixed in world.phone.heard
    supervisor.loses_socket()
    await world.run(1)
    said, told = await world.talk(3)
    assert said in world.phone.heard
    assert told in b"".join(world.browser.frames)
    supervisor.stop()
    end, record = await hangs_up(world)
    assert_charged(world, end, record)
