"""Whole calls, told as stories: every byte, every cent, every second.

Nothing here is a bound: the clock is virtual, so a frame is heard whole or the test fails.
"""

from __future__ import annotations

import itertools

import pytest

from billing.meter import THRESHOLDS_S
from gateway.nanoseconds import SECOND_NS
from media import tones
from simulators.carrier.calls import Status
from simulators.carrier.faults import CallbackFault, FaultPlan, RestFault
from tests.gateway.stage import CENT
from tests.thorough import first_of
from tests.whole_calls.network import ROUNDING_NS
from tests.whole_calls.world import (
    assert_charged,
    assert_counted,
    assert_nothing_lost,
    tone_of,
)

KEYS = "+15005551008"
BEAT_NS = 20_000_000
FRAME_MS = 20
BACKLOG_MS_MAX = 60
"""What is not taken away of a lead: the ceiling of a stream's slack, in whole frames."""


async def hangs_up(world):
    """Let the caller hang up; return the last word and the record."""
    world.browser.say(type="hangup")
    return await ending(world)


async def ending(world, complaints=()):
    """Return the last word on a call that ends, and its record."""
    end = await world.browser.wait("disconnect")
    return end, await world.settled(complaints)


async def assert_heard(world, seconds=3):
    """What each says from now on is heard by the other, byte for byte."""
    said, told = await world.talk(seconds)
    assert said in world.phone.heard
    assert told in world.browser.heard


# As it should be.


@pytest.mark.parametrize(("path", "seconds"), first_of([("webrtc", 30), ("websocket", 60)]))
async def test_a_long_talk_is_heard_byte_for_byte(world, path, seconds):
    browser = await world.dials()
    if path == "webrtc":
        await browser.moves_to_webrtc(world.media.endpoint)
    await world.is_answered()
    await assert_heard(world, seconds)
    end, record = await hangs_up(world)
    assert (end["cause"], end["ended_by"]) == (16, "caller")
    assert_charged(world, end, record)
    assert_nothing_lost(world, record)
    order = ["ready", "tone", "ringing", "accept", "disconnect"]
    assert [kind for kind in browser.kinds if kind in order] == order
    assert browser.of("warning") == []
    assert (browser.close_code, world.phone.stream.close_code) == (1000, 1000)
    assert record.browser.paths == (path,)


async def test_where_webrtc_is_off_a_call_stays_on_its_socket(world_of):
    world = await world_of(CALLER_WEBRTC="off")
    browser = await world.connected()
    assert not browser.of("ready")[0]["webrtc"]
    browser.say(type="offer", id=1, sdp="v=0")
    assert (await browser.wait("offer-refused"))["id"] == 1
    await assert_heard(world)
    end, record = await hangs_up(world)
    assert_charged(world, end, record)
    assert_nothing_lost(world, record)


async def test_what_is_muted_reaches_nobody(world):
    browser = await world.connected()
    await assert_heard(world)
    await browser.asks("mute", muted=True)
    secret, told = await world.talk(3)
    assert told in browser.heard
    await browser.asks("mute", muted=False)
    await world.run(1)
    await assert_heard(world)
    heard = world.phone.heard
    assert not any(secret[at : at + 160] in heard for at in range(0, len(secret), 160))
    end, record = await hangs_up(world)
    assert_charged(world, end, record)
    assert_counted(record, dropped=0, concealed_ms=0)


async def test_hold_parts_the_two_and_plays_the_hold_tone_to_the_phone(world):
    browser = await world.connected()
    await browser.asks("hold", held=True)
    frames = len(browser.frames)
    said, told = await world.talk(6)
    assert len(browser.frames) == frames
    await browser.asks("hold", held=False)
    await world.run(1)
    assert tone_of(tones.hold(), seconds=5) in world.phone.heard
    assert said[:160] not in world.phone.heard
    assert told[:160] not in browser.heard
    await assert_heard(world)
    end, record = await hangs_up(world)
    assert_charged(world, end, record)
    assert_counted(record, dropped=0, concealed_ms=0)


async def test_keys_are_heard_at_the_phone_and_told_from_it(world):
    browser = await world.connected(number=KEYS)
    await world.run(4)
    assert [key["digit"] for key in browser.of("dtmf")] == list("1234#")
    pressed_s = [at_ns / SECOND_NS for at_ns in browser.when("dtmf")]
    assert {round(b - a, 6) for a, b in itertools.pairwise(pressed_s)} == {0.5}
    browser.say(type="dtmf", digits="42#")
    await world.run(2)
    assert tones.dtmf("42#") in world.phone.heard
    await assert_heard(world)
    await hangs_up(world)


async def test_the_audio_moves_to_webrtc_in_mid_call_and_back(world):
    browser = await world.connected()
    await assert_heard(world)
    await browser.moves_to_webrtc(world.media.endpoint)
    await world.run(1)
    await assert_heard(world)
    await browser.moves_to_socket()
    await world.run(1)
    await assert_heard(world)
    end, record = await hangs_up(world)
    assert_charged(world, end, record)
    assert record.browser.paths == ("websocket", "webrtc")
    # Each move costs four frames, for a while both ways might carry the same words; 40 ms of the
    # gap are bridged in the one direction, in the other 100 ms, with the longer lead of a stream.
    assert_counted(record, dropped=8, concealed_ms=140)


# How a call ends.


async def test_the_phone_hangs_up(world):
    await world.connected()
    await assert_heard(world, 5)
    world.phone.line.end()
    end, record = await ending(world)
    assert (end["cause"], end["ended_by"], record.cause) == (16, "callee", 16)
    assert_charged(world, end, record)
    assert_nothing_lost(world, record)
    assert record.carrier_seconds == record.seconds


@pytest.mark.parametrize(
    ("status", "sip", "cause", "ended_by", "tone"),
    [
        (Status.BUSY, 486, 17, "callee", tones.busy),
        (Status.NO_ANSWER, 487, 19, "callee", None),
        (Status.FAILED, 404, 1, "carrier", tones.congestion),
    ],
)
async def test_a_phone_that_is_not_reached_costs_nothing(world, status, sip, cause, ended_by, tone):
    browser = await world.dials()
    await browser.wait("ringing")
    world.phone.line.end(status, sip)
    end, record = await ending(world)
    assert (end["cause"], end["ended_by"], end["seconds"]) == (cause, ended_by, 0)
    assert (record.seconds, record.answered_at, world.balance) == (0, None, world.credit)
    if tone is not None:
        assert tone_of(tone("US"), seconds=2) in browser.heard


async def test_a_call_that_fails_at_the_carrier_has_its_code_in_the_record(world):
    browser = await world.dials()
    await browser.wait("ringing")
    line = world.phone.line
    line._note(13227)
    line.end(Status.FAILED, 404)
    end, record = await browser.wait("disconnect"), await world.settled([13227])
    assert (end["cause"], record.cause, record.carrier_code) == (1, 1, 13227)
    assert record.carrier_text == "Dial: no international authorization"
    assert (record.seconds, world.balance) == (0, world.credit)


async def test_the_caller_gives_up_while_it_rings(world):
    browser = await world.dials()
    await browser.wait("ringing")
    await world.run_until(browser.when("ringing")[0] + 3 * SECOND_NS)
    browser.say(type="hangup")
    end = await browser.wait("cancel")
    record = await world.settled()
    assert (end["name"], record.seconds, record.answered_at) == ("ORIGINATOR_CANCEL", 0, None)
    assert world.phone.line.call.status is Status.CANCELED
    assert browser.heard == tone_of(tones.ringback("US"), seconds=4)[: len(browser.heard)]
    assert len(browser.frames) == 151, "50 a second, until the gateway heard of it"


async def test_the_operator_ends_the_call(world):
    await world.connected()
    await assert_heard(world)
    call_id = world.browser.of("ready")[0]["call_id"]
    await world.media.calls.end("alice", call_id)
    end, record = await ending(world)
    assert (end["ended_by"], record.ended_by) == ("operator", "operator")
    assert_charged(world, end, record)
    assert_nothing_lost(world, record)


@pytest.mark.parametrize(
    "fault",
    [
        RestFault(operation="update", status=500, count=3),
        RestFault(operation="update", status=429, count=3),
        RestFault(operation="update", status=404, count=1),
        RestFault(operation="update", hold_s=8, count=1),
        RestFault(operation="update", status=503, count=7),
    ],
    ids=["500", "429", "404", "no answer", "503 for long"],
)
async def test_an_end_that_the_carrier_does_not_take_is_told_at_once_and_costs_no_second(
    world, fault
):
    browser = await world.connected()
    await assert_heard(world)
    world.phone.faults.replace(FaultPlan(rest=fault))
    begun_ns = world.loop.now_ns
    end, record = await hangs_up(world)
    told_ns = browser.when("disconnect")[-1]
    assert abs(told_ns - begun_ns - 2 * world.browser_delay_ns) <= ROUNDING_NS
    assert_charged(world, end, record)
    assert world.phone.line.call.status is Status.COMPLETED
    assert record.carrier_seconds in (None, record.seconds), "its stream's end has ended it"


@pytest.mark.parametrize(("status", "cause"), [(404, 38), (429, 42), (500, 38), (401, 38)])
async def test_a_carrier_that_refuses_the_call_costs_nothing(world, status, cause):
    fault = RestFault(operation="create", status=status, count=9)
    world.phone.faults.replace(FaultPlan(rest=fault))
    browser = await world.dials()
    end = await browser.wait("disconnect")
    assert (end["cause"], end["ended_by"], end["seconds"]) == (cause, "carrier", 0)
    await world.until(lambda: not len(world.media.calls))
    assert (world.balance, world.phone.exchange.lines()) == (world.credit, [])


# Credit.


async def test_credit_runs_out_at_the_exact_second(world_of):
    world = await world_of(credit=66 * CENT + 999)
    browser = await world.connected()
    await assert_heard(world)
    end, record = await ending(world)
    assert (end["cause"], end["ended_by"], end["cut_off"]) == (602, "credit", "credit")
    assert (record.seconds, world.balance) == (66, 999)
    assert (record.ended_at - record.answered_at).total_seconds() == 66
    assert_charged(world, end, record)
    assert_nothing_lost(world, record)
    left_s = [warning["seconds_left"] for warning in browser.of("credit-warning")]
    assert left_s == list(THRESHOLDS_S)
    # Of a threshold the caller is warned in the beat of the call in which it is passed.
    (answer_ns,) = browser.when("accept")
    for at_ns, seconds in zip(browser.when("credit-warning"), left_s, strict=True):
        assert 0 <= at_ns - answer_ns - (65 - seconds) * SECOND_NS < SECOND_NS
    warned_s = [at_ns / SECOND_NS for at_ns in browser.when("credit-warning")]
    assert [round(b - a, 6) for a, b in itertools.pairwise(warned_s)] == [30, 20]
    assert browser.heard.count(tones.warning_beep()) == len(THRESHOLDS_S)
    assert [tone["name"] for tone in browser.of("tone")][-1] == "cut-off"


async def test_a_top_up_in_the_last_second_saves_the_call(world_of):
    world = await world_of(credit=12 * CENT)
    browser = await world.connected()
    (answer_ns,) = browser.when("accept")
    await world.run_until(answer_ns + round(11.5 * SECOND_NS))
    await world.tops_up(20 * CENT)
    await browser.wait("credit-warning-cleared")
    await assert_heard(world)
    end, record = await ending(world)
    assert (end["seconds"], end["ended_by"], world.balance) == (32, "credit", 0)
    assert_charged(world, end, record)


# What breaks on the caller's side.


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_stall_of_the_browsers_network_leaves_no_loss_behind(world, direction):
    browser = await world.connected()
    await assert_heard(world)
    up, down = browser.ways
    (up if direction == "up" else down).stall(0.3)
    said, told = await world.talk(12)
    if direction == "up":
        assert told in browser.heard, "nothing of a stall is noticed in the other direction"
    else:
        assert said in world.phone.heard
        assert told in browser.heard, "what the network kept is heard, late and whole"
    await assert_heard(world, 10)
    end, record = await hangs_up(world)
    assert_charged(world, end, record)
    if direction == "up":
        # Fifteen frames came late: some in place of concealment, the rest was not played.
        assert 0 < record.browser.concealed_ms <= 300
        assert 0 < record.browser.frames_dropped <= 15
        assert world.phone.stream.playout.backlog_ms <= BACKLOG_MS_MAX
    else:
        assert_nothing_lost(world, record)


async def test_a_call_is_taken_up_on_another_socket(world):
    browser = await world.connected()
    await assert_heard(world)
    before = len(world.phone.heard)
    browser.loses_socket()
    await world.run(5)
    assert tone_of(tones.comfort_noise(), seconds=4) in world.phone.heard[before:]
    await browser.reopens()
    await browser.wait("accept")
    await world.run(1)
    await assert_heard(world)
    ready, again = browser.of("ready")
    assert ready["call_id"] == again["call_id"]
    assert ready["resume_token"] != again["resume_token"]
    end, record = await hangs_up(world)
    assert (end["cause"], end["ended_by"]) == (16, "caller")
    assert_charged(world, end, record)


async def test_a_caller_who_does_not_come_back_is_waited_for_and_charged(world):
    browser = await world.connected()
    await assert_heard(world)
    lost_ns = world.loop.now_ns + world.browser_delay_ns
    answer_ns = browser.when("accept")[0] - world.browser_delay_ns
    browser.loses_socket()
    record = await world.settled()
    assert (record.cause, record.ended_by) == (16, "caller")
    waited_ns = lost_ns + world.settings.resume_s * SECOND_NS - answer_ns
    lasted_ns = round((record.ended_at - record.answered_at).total_seconds() * SECOND_NS)
    assert 0 <= lasted_ns - waited_ns < 2 * BEAT_NS
    assert record.seconds == -(-lasted_ns // SECOND_NS)


async def test_audio_by_webrtc_goes_on_while_the_socket_is_away(world):
    browser = await world.dials()
    await browser.moves_to_webrtc(world.media.endpoint)
    await world.is_answered()
    await assert_heard(world)
    browser.loses_socket()
    await assert_heard(world, 6)
    await browser.reopens()
    assert (await browser.wait("media"))["path"] == "webrtc"
    await assert_heard(world)
    end, record = await hangs_up(world)
    assert_charged(world, end, record)
    assert_nothing_lost(world, record)
    assert record.browser.paths == ("webrtc",)


# What breaks on the carrier's side.


async def test_a_carrier_that_drops_its_stream_ends_the_call_at_once(world):
    await world.connected()
    await assert_heard(world)
    world.phone.stream.drop()
    dropped_ns = world.loop.now_ns
    end, record = await ending(world, complaints=[31903])
    assert (end["cause"], end["ended_by"]) == (38, "carrier")
    told_ns = world.browser.when("disconnect")[0]
    delay_ns = world.carrier_delay_ns + world.browser_delay_ns
    assert abs(told_ns - dropped_ns - delay_ns) <= ROUNDING_NS
    assert_charged(world, end, record)
    assert_counted(record, dropped=0, concealed_ms=0)


async def test_a_stream_that_freezes_is_paid_for_until_its_last_sound(world):
    await world.connected()
    await assert_heard(world)
    world.phone.stream.frozen = True
    end, record = await ending(world)
    assert (end["cause"], end["ended_by"]) == (604, "carrier")
    silence_s = world.settings.media_silence_s
    silent_ns = world.browser.when("disconnect")[0] - world.browser.frames_ns[-1]
    assert 0 <= silent_ns - silence_s * SECOND_NS < SECOND_NS + BEAT_NS
    assert_charged(world, end, record, silent_s=silence_s + 1)


async def test_a_carrier_that_does_not_read_loses_only_sound(world):
    await world.connected()
    await assert_heard(world)
    world.phone.line.conversation.stall(world.phone.stream, 1.0)
    await world.talk(10)
    await assert_heard(world, 10)
    stream = world.phone.stream
    assert stream.counters.clears == 1
    assert max(list(stream.backlog_ms_history)[-8:]) <= BACKLOG_MS_MAX, "no delay is left"
    end, record = await hangs_up(world)
    assert_charged(world, end, record)
    assert record.carrier.frames_dropped == 0


@pytest.mark.parametrize("path", ["websocket", "webrtc"])
async def test_stalls_that_come_back_leave_no_delay_at_the_carrier(world, path):
    browser = await world.dials()
    if path == "webrtc":
        await browser.moves_to_webrtc(world.media.endpoint)
    await world.is_answered()
    stream = world.phone.stream
    for _ in range(3):
        world.phone.line.conversation.stall(stream, 0.4)
        await world.talk(3)
    assert stream.playout.counters.backlog_bytes_max // 8 > 200
    await world.talk(10)
    assert max(list(stream.backlog_ms_history)[-4:]) <= BACKLOG_MS_MAX
    await assert_heard(world)
    shown = [sample["browser"]["backlog_ms"] for sample in browser.of("sample")]
    assert max(shown[-4:]) <= BACKLOG_MS_MAX + FRAME_MS, (
        "what waits in the gateway is counted as well"
    )
    end, record = await hangs_up(world)
    assert_charged(world, end, record)
    assert record.carrier.frames_dropped == 0


@pytest.mark.parametrize(
    "fault",
    [
        CallbackFault(duplicate=True, reorder=True),
        CallbackFault(drop=("initiated", "ringing", "answered", "completed")),
        CallbackFault(delay_s=4),
    ],
    ids=["twice and out of order", "never", "late"],
)
@pytest.mark.parametrize("ended_by", ["caller", "callee"])
async def test_callbacks_that_come_badly_change_nothing(world, fault, ended_by):
    world.phone.faults.replace(FaultPlan(callbacks=fault))
    browser = await world.dials()
    await world.run(6)
    world.phone.line.answer()
    await world.is_joined()
    await assert_heard(world)
    if ended_by == "callee":
        world.phone.line.end()
    else:
        browser.say(type="hangup")
    end, record = await ending(world)
    assert (end["cause"], end["ended_by"], record.cause) == (16, ended_by, 16)
    assert_charged(world, end, record)
    assert_nothing_lost(world, record)
    assert record.carrier_seconds in (record.seconds, record.seconds + 1)
    assert browser.kinds.count("accept") == 1
    assert browser.kinds.count("ringing") <= 1
