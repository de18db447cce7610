"""One call, from its token to its record, with everybody else played and time virtual."""

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from billing.ports import Closing
from billing.rating import Rate
from gateway.call.machine import Ringing, State
from gateway.call.resume_token import generation_of
from gateway.calls.live_view import live_view
from gateway.calls.polling import QUIET_NS
from gateway.cause import CarrierRefusal, Cause
from gateway.errors import CarrierError
from gateway.logs import call_events
from gateway.ports import SessionState, StreamEnd
from gateway.watching.call_row import row_of
from media import tones
from media.g711 import FRAME_NS
from media.lead_control import STREAM
from tests.gateway.sound.test_media_path import Endpoint
from tests.gateway.stage import CENT, CREDIT, RESUME_KEY, SILENT_FRAME, SPEECH_FRAME
from tests.gateway.virtual_time import virtual_loop

LEAD = b"\xff" * (STREAM.start_ns // FRAME_NS * 160)
"""The silence that the caller's voice begins with."""

RINGBACK = [tones.ringback("US").frame(n) for n in range(500)]
NO_ANSWER = CarrierError("?", cause=Cause.RECOVERY_ON_TIMER_EXPIRE, ambiguous=True)


async def has_begun(call, after=0):
    """Whether the caller's voice was heard: a lead, then a frame that is faded in."""
    await call.stage.run(0.025)
    heard = call.heard_by_phone[after:]
    return len(heard) == 2 and heard[0] == LEAD and heard[1][80:] == SPEECH_FRAME[80:]


def refused(cause):
    return CarrierError("no", cause=cause, status=400)


# The ordinary life of a call.


async def test_a_call_tells_its_story_in_order(stage):
    call = stage.call()
    await stage.run(0.1)
    assert call.kinds == ["ready"]
    assert stage.balance() == CREDIT - 8 * CENT
    call.status("dialling")
    call.status("ringing")
    call.status("answered")
    call.opens_stream()
    call.phone_speaks()
    await stage.run(2.5)
    call.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert call.kinds == ["ready", "tone", "ringing", "accept", "disconnect"]
    assert call.browser.closed == (1000, "call ended")
    assert call.carrier.closed == (1000, "call ended")
    assert stage.carrier.hung_up == ["CA1"]
    assert stage.balance() == CREDIT - 3 * CENT


async def test_ready_says_what_the_call_costs_and_how_it_sounds(stage):
    rate = Rate(per_minute_micros=90_000, connect_fee_micros=5_000, first_s=60, next_s=6)
    call = stage.call(rate=rate, codec="pcm16")
    (ready,) = call.browser.of("ready")
    assert (ready["version"], ready["call_id"], ready["codec"]) == (1, "c1", "pcm16")
    assert ready["frame_bytes"] == 640
    assert ready["destination"] == "+15005551000"
    assert ready["rate"]["per_minute"] == {"micros": 90_000, "currency": "USD", "text": "$0.09"}
    assert (ready["rate"]["first_increment_s"], ready["rate"]["next_increment_s"]) == (60, 6)
    assert ready["rate"]["description"] == "United States"


async def test_the_record_tells_the_whole_call(stage):
    call = await stage.call(media_silence_s=60).answered(speaks=False)
    call.speaks(5)
    for _ in range(7):
        call.phone_speaks()
        await stage.run(0.02)
    await stage.run(4.06)
    call.status("completed", seconds=5)
    await stage.until(lambda: stage.released)
    record = stage.record()
    assert (record.seconds, record.cause, record.cause_name) == (5, 16, "NORMAL_CLEARING")
    assert (record.ended_by, record.carrier_call_id, record.carrier_seconds) == (
        "callee",
        "CA1",
        5,
    )
    assert record.ringing_at <= record.answered_at < record.ended_at
    assert round((record.ended_at - record.answered_at).total_seconds(), 1) == 4.2
    assert (record.browser.frames_in, record.browser.frames_out) == (5, 7)
    assert (record.carrier.frames_in, record.carrier.frames_out) == (7, 5)
    assert record.browser.talk_ms + record.browser.silence_ms == 100
    assert record.carrier.talk_ms + record.carrier.silence_ms == 140
    assert stage.balance() == CREDIT - 5 * CENT


async def test_dropped_frames_are_in_the_record(stage):
    call = await stage.call().answered()
    call.speaks(100)
    await stage.run(0.025)
    call.carrier.counters.audio_dropped = 4
    call.status("completed", seconds=1)
    await stage.until(lambda: stage.released)
    record = stage.record()
    kept = 100 - record.browser.frames_dropped
    assert (record.browser.frames_in, record.carrier.frames_dropped) == (100, 4)
    assert 1 <= kept <= 12, "what a burst may leave as delay"
    assert record.carrier.frames_out == kept


async def test_ringing_sounds_like_ringing_until_the_answer(stage):
    call = stage.call()
    await stage.run(0.1)
    call.status("ringing")
    call.status("ringing")
    await stage.run(3.001)
    assert call.browser.audio == RINGBACK[:150], "50 frames a second, from the first to the last"
    assert call.browser.of("tone") == [{"type": "tone", "name": "ringback"}]
    call.status("answered")
    call.browser.forget()
    await stage.run(1)
    assert call.browser.audio == []


async def test_the_callback_may_prove_the_answer(stage):
    call = stage.call()
    await stage.run(0.1)
    call.status("answered")
    answered_ns = virtual_loop().now_ns
    assert call.bridge.call.answered_ns == answered_ns
    await stage.run(1.5)
    assert call.bridge.used() == (0, 0)
    call.opens_stream()
    call.phone_speaks()
    assert call.bridge.call.answered_ns == answered_ns
    assert call.bridge.used() == (2, 2 * CENT)
    assert call.kinds.count("accept") == 1


async def test_the_stream_may_prove_the_answer(stage):
    """The callback, which comes later or never, changes nothing."""
    call = stage.call()
    await stage.run(0.1)
    call.opens_stream()
    assert call.bridge.call.state is State.ANSWERED
    call.phone_speaks()
    await stage.run(1.5)
    for late in ("dialling", "ringing", "answered"):
        call.status(late)
    assert call.kinds == ["ready", "accept"]
    assert call.bridge.used() == (2, 2 * CENT)


async def test_the_stream_may_name_the_call_before_the_reply_does(stage):
    stage.carrier.place_takes_s = 2.0
    call = stage.call()
    await stage.run(0.1)
    call.opens_stream(sid="CA9")
    await stage.run(3)
    assert call.bridge.call.carrier_call_id == "CA9"
    call.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert stage.carrier.hung_up == ["CA9"]


async def test_both_hear_each_other_only_once_the_stream_is_open(stage):
    call = stage.call()
    await stage.run(0.1)
    call.speaks(3)
    call.status("answered")
    call.speaks(3)
    call.opens_stream()
    assert call.heard_by_phone == []
    call.speaks()
    call.phone_speaks()
    assert await has_begun(call)
    assert call.browser.audio == [SPEECH_FRAME]


async def test_wide_audio_both_ways(stage):
    call = await stage.call(codec="pcm16").answered(speaks=False)
    call.speaks(frame=bytes(640))
    call.phone_speaks()
    await stage.run(0.025)
    assert [len(audio) for audio in call.heard_by_phone] == [len(LEAD), 160]
    assert [len(audio) for audio in call.browser.audio] == [640]


async def test_a_frame_of_the_wrong_size_ends_the_leg(stage):
    call = await stage.call().answered()
    call.speaks(frame=bytes(640))
    assert call.browser.of("error")[0]["code"] == "bad_message"
    assert call.browser.closed == (4400, "bad_message")
    call.browser.end()
    await stage.until(lambda: stage.released)
    assert stage.record().ended_by == "caller"


async def test_costs_and_levels_are_told_each_second(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(5.01)
    costs, credits = call.browser.of("cost"), call.browser.of("credit")
    assert len(costs) == len(credits) == 5
    assert [c["seconds"] for c in costs] == [1, 2, 3, 4, 5]
    assert costs[-1]["cost"] == {"micros": 5 * CENT, "currency": "USD", "text": "$0.05"}
    # What has been used when the gate was last asked; what it holds beyond that is not spent.
    assert CREDIT - 5 * CENT <= credits[-1]["balance"]["micros"] <= CREDIT - 4 * CENT
    assert credits[-1]["remaining_seconds"] == CREDIT // CENT - 5
    assert len(call.browser.of("volume")) == 5


async def test_nothing_is_told_by_the_clock_before_the_answer(stage):
    stage.carrier.on_fetch = "queued"
    call = stage.call()
    await stage.run(5)
    assert call.browser.kinds == ["ready", "tone"]


async def test_the_line_is_judged_each_second(stage):
    call = await stage.call(media_silence_s=60).answered()
    for _ in range(250):
        call.speaks()
        call.phone_speaks()
        await stage.run(0.02)
    samples = call.browser.of("sample")
    assert len(samples) == 5
    assert {sample["path"] for sample in samples} == {"websocket"}
    assert samples[-1]["browser"]["mos"] > 4
    assert samples[-1]["browser"]["loss_percent"] == 0
    assert call.browser.of("warning") == []


async def test_what_is_wrong_with_the_line_is_told_until_it_is_right(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(4.1)
    named = [warning["name"] for warning in call.browser.of("warning")]
    assert named == ["no-audio-from-browser"]
    for _ in range(110):
        call.speaks()
        await stage.run(0.02)
    assert [w["name"] for w in call.browser.of("warning-cleared")] == named


async def test_nobody_is_sampled_before_the_answer(stage):
    call = stage.call()
    await stage.run(0.1)
    call.status("ringing")
    await stage.run(3)
    assert call.browser.of("sample") == []


async def test_marks_measure_the_carrier_once_a_second(stage):
    call = await stage.call(media_silence_s=60).answered()
    sent = []
    for n in range(300):
        call.speaks()
        marks = [m["mark"]["name"] for m in call.carrier.messages if m["event"] == "mark"]
        if len(marks) > len(sent):
            sent = marks
        if sent and not n % 50:
            call.carrier.say({"event": "mark", "streamSid": "MZ1", "mark": {"name": sent[-1]}})
        await stage.run(0.02)
    assert 5 <= len(sent) <= 6
    assert call.browser.of("sample")[-1]["carrier_rtt_ms"] is not None


# The caller's ways.


def connect(call):
    """Let the caller's WebRTC connect and be chosen; return the session."""
    call.says(type="offer", id=1, sdp="offer")
    session = call.stage.endpoint.sessions[-1]
    session.heard = []
    session.send_audio = lambda payload, _timestamp_ms=None: session.heard.append(payload)
    session.become(SessionState.CONNECTED)
    call.says(type="media", path="webrtc")
    return session


async def speak(call, session, seconds, first=0):
    """Let packets come by the session, one each 20 ms."""
    for sequence in range(first, first + round(seconds * 50)):
        session.last_in_ns = call.stage.clock_ns()
        session.on_audio(sequence, 160 * sequence, SPEECH_FRAME)
        await call.stage.run(0.02)


async def test_without_webrtc_an_offer_is_refused_and_the_call_goes_on(stage):
    call = await stage.call().answered()
    assert not call.browser.of("ready")[0]["webrtc"]
    call.says(type="offer", id=3, sdp="offer")
    call.says(type="media", path="webrtc")
    (refused,) = call.browser.of("offer-refused")
    assert (refused["id"], refused["code"]) == (3, "webrtc_off")
    assert call.browser.of("media") == [{"type": "media", "path": "websocket"}]
    assert call.bridge.call.is_live


async def test_audio_moves_to_webrtc_and_back(stage):
    stage.endpoint = Endpoint()
    call = await stage.call(media_silence_s=60).answered(speaks=False)
    assert call.browser.of("ready")[0]["webrtc"]
    session = connect(call)
    assert call.browser.of("answer") == [{"type": "answer", "id": 1, "sdp": "answer offer"}]
    assert call.browser.of("media") == [{"type": "media", "path": "webrtc"}]
    call.phone_speaks()
    await speak(call, session, 1.1)
    assert (session.heard, call.browser.audio) == ([SPEECH_FRAME], [])
    assert SPEECH_FRAME in call.heard_by_phone
    assert call.browser.of("sample")[-1]["path"] == "webrtc"
    session.become(SessionState.FAILED)
    assert call.browser.of("media")[-1] == {"type": "media", "path": "websocket"}
    call.phone_speaks()
    assert call.browser.audio == [SPEECH_FRAME]
    await stage.run(0.2)
    call.carrier.forget()
    call.speaks()
    await stage.run(0.025)
    assert call.heard_by_phone
    call.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert stage.record().browser.paths[0] == "webrtc"


async def test_it_rings_by_webrtc_too(stage):
    stage.endpoint = Endpoint()
    call = stage.call()
    session = connect(call)
    await stage.run(0.1)
    call.status("ringing")
    await stage.run(0.2)
    assert session.heard[:10] == RINGBACK[:10]
    assert call.browser.audio == []


async def test_keys_of_the_session_are_pressed(stage):
    stage.endpoint = Endpoint()
    call = await stage.call().answered()
    connect(call).listener.pressed("7", 100)
    assert call.heard_by_phone == [tones.dtmf("7")]


async def test_the_end_closes_the_session(stage):
    stage.endpoint = Endpoint()
    call = await stage.call().answered()
    session = connect(call)
    call.says(type="hangup")
    assert session.closed == 1


async def test_reports_of_the_browser_are_in_its_samples(stage):
    call = await stage.call(media_silence_s=60).answered()
    for second in range(4):
        call.says(type="report", packets=50 * second, buffer_ms=45, jitter_ms=3, rtt_ms=31)
        await stage.run(1)
    sample = call.browser.of("sample")[-1]
    assert sample["rtt_ms"] == 31
    assert (sample["carrier"]["backlog_ms"], sample["carrier"]["jitter_ms"]) == (45, 3)


# A caller whose socket is lost.


def noise(count):
    return [tones.comfort_noise().frame(n) for n in range(count)]


@pytest.mark.parametrize("code", [1001, 1006])
async def test_a_lost_socket_leaves_the_call_standing_for_a_while(stage, code):
    call = await stage.call(media_silence_s=60, resume_s=15).answered()
    await stage.run(1.2)
    call.browser.end(code)
    await stage.run(0.401)
    assert call.heard_by_phone == noise(20)
    await stage.run(14.5)
    assert call.bridge.call.state is State.ANSWERED
    await stage.until(lambda: stage.released, 2)
    record = stage.record()
    assert (record.cause_name, record.ended_by) == ("NORMAL_CLEARING", "caller")
    assert record.seconds == 17
    assert stage.balance() == CREDIT - 17 * CENT
    assert stage.carrier.hung_up == ["CA1"]


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1005, 1008, 1009, 1011, 4000, 4400])
async def test_any_other_end_of_the_socket_is_meant(stage, code):
    call = await stage.call().answered()
    call.browser.end(code)
    assert not call.bridge.call.is_live
    await stage.until(lambda: stage.released)
    assert stage.record().ended_by == "caller"


async def test_where_nobody_is_waited_for_a_lost_socket_ends_the_call(stage):
    call = await stage.call(resume_s=0).answered()
    (ready,) = call.browser.of("ready")
    assert (ready["resume_token"], ready["resume_seconds"]) == ("", 0)
    call.browser.end(1006)
    assert not call.bridge.call.is_live
    await stage.until(lambda: stage.released)


async def test_a_caller_who_is_back_goes_on(stage):
    call = await stage.call(media_silence_s=60, resume_s=15).answered()
    (ready,) = call.browser.of("ready")
    assert (generation_of(RESUME_KEY, "c1", ready["resume_token"]), ready["resume_seconds"]) == (
        0,
        15,
    )
    (accept,) = call.browser.of("accept")
    await stage.run(0.5)
    call.browser.end(1006)
    await stage.run(14.9)
    assert call.returns()
    assert call.browser.kinds == ["ready", "accept", "supervised", "media"]
    again = call.browser.messages[0]
    assert generation_of(RESUME_KEY, "c1", again["resume_token"]) == 1
    assert {**again, "resume_token": ""} == {**ready, "resume_token": ""}
    assert call.browser.messages[1:] == [
        accept,
        {"type": "supervised", "mode": None},
        {"type": "media", "path": "websocket"},
    ]
    await stage.run(0.2)
    call.carrier.forget()
    call.speaks()
    call.phone_speaks()
    assert await has_begun(call)
    assert call.browser.audio == [SPEECH_FRAME]
    await stage.run(20)
    assert call.bridge.call.is_live, "nobody is waited for any longer"
    assert call.browser.of("cost")[-1]["seconds"] >= 35, "the absence is paid for"


async def test_all_that_holds_is_told_to_a_caller_who_is_back(stage):
    call = await stage.call(media_silence_s=60).answered()
    call.says(type="mute", muted=True)
    call.says(type="hold", held=True)
    call.browser.end(1001)
    await stage.run(1)
    assert call.heard_by_phone[:40] == [tones.hold().frame(n) for n in range(40)]
    assert call.returns()
    assert call.browser.messages[2:] == [
        {"type": "supervised", "mode": None},
        {"type": "media", "path": "websocket"},
        {"type": "mute", "muted": True},
        {"type": "hold", "held": True},
    ]
    call.says(type="hold", held=False)
    await stage.run(0.2)
    call.carrier.forget()
    call.speaks()
    assert call.heard_by_phone == []
    call.says(type="mute", muted=False)
    call.speaks()
    assert await has_begun(call)


async def test_a_caller_may_leave_and_return_while_the_phone_rings(stage):
    call = stage.call()
    await stage.run(0.1)
    call.status("ringing")
    call.browser.end(1001)
    await stage.run(1)
    assert call.returns()
    assert call.browser.kinds == ["ready", "ringing", "media"]
    await stage.run(0.1)
    assert call.browser.audio, "it rings on"
    call.status("answered")
    call.opens_stream()
    call.speaks()
    assert await has_begun(call)


async def test_a_caller_may_leave_and_return_before_the_phone_rings(stage):
    stage.carrier.place_takes_s = 1.0
    call = stage.call()
    await stage.run(0.1)
    call.browser.end(1001)
    await stage.run(0.5)
    assert call.returns()
    assert call.browser.kinds == ["ready", "media"]
    await stage.run(1)
    call.status("ringing")
    assert call.browser.kinds[-1] == "ringing"


async def test_a_socket_that_is_lost_before_anything_is_placed_ends_the_call(stage):
    call = stage.call()
    call.browser.end(1006)
    await stage.until(lambda: stage.released)
    assert stage.carrier.placed == []
    assert stage.balance() == CREDIT


async def test_a_phone_that_answers_while_the_caller_is_away_hears_that_the_line_is_alive(stage):
    call = stage.call()
    await stage.run(0.1)
    call.status("ringing")
    call.browser.end(1001)
    await stage.run(1)
    call.status("answered")
    call.opens_stream()
    await stage.run(0.1)
    assert call.heard_by_phone == noise(5)
    assert call.returns()
    assert call.browser.kinds == ["ready", "accept", "supervised", "media"]


async def test_each_token_takes_the_call_up_once(stage):
    call = await stage.call(media_silence_s=60).answered()
    for generation in range(3):
        call.browser.end(1006)
        await stage.run(10)
        for wrong in {0, 1, 2, 3, 7} - {generation}:
            assert not call.returns(wrong)
        assert call.returns(generation)
        assert not call.returns(generation)
    assert call.bridge.call.is_live


async def test_a_call_that_is_over_is_not_taken_up(stage):
    call = await stage.call().answered()
    call.browser.end(1006)
    call.status("completed", seconds=1)
    assert not call.returns()
    await stage.until(lambda: stage.released)
    assert not call.returns()


async def test_a_second_socket_takes_the_call_from_the_first(stage):
    call = await stage.call(media_silence_s=60).answered(speaks=False)
    first, leg = call.browser, call.leg
    assert call.returns()
    assert first.closed == (1000, "taken up elsewhere")
    first.on_binary(SPEECH_FRAME)
    assert leg.listener is None
    assert call.heard_by_phone == []
    first.end(1000)
    call.speaks()
    call.phone_speaks()
    assert await has_begun(call)
    assert (first.audio, call.browser.audio) == ([], [SPEECH_FRAME])
    await stage.run(20)
    assert call.bridge.call.is_live


async def test_the_phone_may_hang_up_while_the_caller_is_away(stage):
    call = await stage.call(resume_s=15).answered()
    call.browser.end(1006)
    await stage.run(1.5)
    call.status("completed", seconds=2)
    assert call.bridge._given_up is None
    await stage.until(lambda: stage.released)
    assert (stage.record().ended_by, stage.record().seconds) == ("callee", 2)
    await stage.run(20)
    assert len(stage.released) == 1
    assert stage.ticker._deadlines == []
    assert stage.ticker._players == set()


async def test_a_busy_phone_ends_the_call_at_once_while_the_caller_is_away(stage):
    call = stage.call()
    await stage.run(0.1)
    call.browser.end(1006)
    call.status("busy")
    await stage.until(lambda: stage.released)
    assert stage.ticker._players == set()
    assert stage.balance() == CREDIT


async def test_a_session_that_lives_carries_the_call_without_its_socket(stage):
    stage.endpoint = Endpoint()
    call = await stage.call(media_silence_s=60, resume_s=15).answered()
    session = connect(call)
    await speak(call, session, 0.5)
    call.browser.end(1006)
    call.carrier.forget()
    await speak(call, session, 2, 25)
    call.phone_speaks()
    assert set(call.heard_by_phone) == {SPEECH_FRAME}, "no comfort noise"
    assert session.heard == [SPEECH_FRAME]
    assert call.returns()
    assert call.browser.messages[-1] == {"type": "media", "path": "webrtc"}
    call.carrier.forget()
    await speak(call, session, 0.5, 125)
    assert set(call.heard_by_phone) == {SPEECH_FRAME}


async def test_without_its_socket_a_session_is_waited_for_no_longer_than_any_caller(stage):
    stage.endpoint = Endpoint()
    call = await stage.call(media_silence_s=60, resume_s=5).answered()
    session = connect(call)
    call.browser.end(1006)
    await speak(call, session, 5.2)
    await stage.until(lambda: stage.released)
    assert (stage.record().ended_by, session.closed) == ("caller", 1)


async def test_a_session_that_dies_after_its_socket_leaves_comfort_noise(stage):
    stage.endpoint = Endpoint()
    call = await stage.call(media_silence_s=60).answered()
    session = connect(call)
    await speak(call, session, 0.5)
    call.browser.end(1006)
    call.carrier.forget()
    await stage.run(2.5)
    assert noise(1)[0] not in call.heard_by_phone
    await stage.run(2)
    since = call.heard_by_phone.index(noise(1)[0])
    assert call.heard_by_phone[since : since + 25] == noise(25)
    assert call.returns()
    assert call.browser.messages[-1] == {"type": "media", "path": "websocket"}
    await stage.run(0.2)
    call.carrier.forget()
    call.speaks()
    assert await has_begun(call)


async def test_a_session_that_comes_back_to_life_before_its_socket_is_heard(stage):
    stage.endpoint = Endpoint()
    call = await stage.call(media_silence_s=60).answered()
    session = connect(call)
    await speak(call, session, 0.5)
    call.browser.end(1006)
    await stage.run(5)
    assert noise(1)[0] in call.heard_by_phone
    await speak(call, session, 1.5, 25)
    call.carrier.forget()
    await speak(call, session, 0.5, 100)
    assert set(call.heard_by_phone) == {SPEECH_FRAME}


# What the caller does.


async def test_mute_keeps_the_voice_from_the_phone(stage):
    call = await stage.call().answered(speaks=False)
    call.says(type="mute", muted=True)
    call.speaks(3)
    call.phone_speaks()
    assert (call.heard_by_phone, call.browser.audio) == ([], [SPEECH_FRAME])
    call.says(type="mute", muted=False)
    call.speaks()
    assert await has_begun(call)
    assert [m["muted"] for m in call.browser.of("mute")] == [True, False]


async def test_mute_before_the_answer_holds_after_it(stage):
    call = stage.call()
    await stage.run(0.1)
    call.says(type="mute", muted=True)
    await call.answered()
    call.speaks()
    assert call.heard_by_phone == []


async def test_hold_parts_the_two_and_plays_the_hold_tone(stage):
    call = await stage.call().answered(speaks=False)
    call.says(type="hold", held=True)
    call.says(type="hold", held=True)
    await stage.run(0.401)
    call.speaks(2)
    call.phone_speaks(2)
    assert call.heard_by_phone == [tones.hold().frame(n) for n in range(20)]
    assert call.browser.audio == []
    call.says(type="hold", held=False)
    await stage.run(0.1)
    call.carrier.forget()
    call.speaks()
    call.phone_speaks()
    assert await has_begun(call)
    assert call.browser.audio == [SPEECH_FRAME]
    assert [m["held"] for m in call.browser.of("hold")] == [True, True, False]
    await stage.run(3)
    assert call.bridge.used()[0] >= 3, "a call on hold is paid for"


async def test_hold_before_the_stream_is_refused_or_kept(stage):
    call = stage.call()
    await stage.run(0.1)
    call.says(type="hold", held=True)
    call.status("answered")
    call.says(type="hold", held=True)
    assert [m["held"] for m in call.browser.of("hold")] == [False, True]
    call.opens_stream()
    call.speaks()
    await stage.run(0.05)
    assert call.heard_by_phone[0] == tones.hold().frame(0)
    assert SPEECH_FRAME not in call.heard_by_phone


async def test_hold_and_mute_are_independent(stage):
    call = await stage.call().answered()
    call.says(type="mute", muted=True)
    call.says(type="hold", held=True)
    call.says(type="hold", held=False)
    await stage.run(0.1)
    call.carrier.forget()
    call.speaks()
    assert call.heard_by_phone == []


async def test_keys_are_heard_ahead_of_speech(stage):
    call = await stage.call().answered()
    call.says(type="dtmf", digits="12#")
    keys = tones.dtmf("12#")
    await stage.run(0.2)
    call.speaks(3)
    assert call.heard_by_phone == [keys], "speech is discarded while keys are played"
    await stage.run(len(keys) / 8000)
    call.speaks()
    assert call.heard_by_phone[0] == keys
    assert await has_begun(call, after=1)


async def test_keys_without_a_stream_go_nowhere(stage):
    call = stage.call()
    call.says(type="dtmf", digits="1")
    await call.answered()
    call.says(type="hangup")
    call.says(type="dtmf", digits="2")
    assert call.heard_by_phone == []


async def test_the_phones_keys_are_told(stage):
    call = await stage.call().answered()
    call.carrier.say({"event": "dtmf", "streamSid": "MZ1", "dtmf": {"digit": "7"}})
    assert call.browser.of("dtmf") == [{"type": "dtmf", "digit": "7"}]


# How calls end.


@pytest.mark.parametrize("way", ["hangup", "close"])
async def test_the_caller_gives_up_before_the_answer(stage, way):
    stage.carrier.on_fetch = "ringing"
    call = stage.call()
    await stage.run(0.1)
    call.status("ringing")
    if way == "hangup":
        call.says(type="hangup")
        assert call.end["type"] == "cancel"
        assert call.end["name"] == "ORIGINATOR_CANCEL"
    else:
        call.browser.end(1001)
    await stage.until(lambda: stage.released)
    assert stage.carrier.hung_up == ["CA1"]
    record = stage.record()
    assert (record.cause_name, record.ended_by, record.seconds) == (
        "ORIGINATOR_CANCEL",
        "caller",
        0,
    )
    assert stage.balance() == CREDIT


async def test_the_caller_hangs_up_while_the_hold_is_being_placed(stage):
    call = stage.call()
    call.says(type="hangup")
    assert call.end["type"] == "cancel"
    await stage.until(lambda: stage.released)
    assert stage.carrier.placed == []
    assert stage.balance() == CREDIT


async def test_the_caller_hangs_up_while_the_call_is_being_placed(stage):
    """The carrier may take the call after that; it is ended as soon as it has a name."""
    stage.carrier.place_takes_s = 1.0
    call = stage.call()
    await stage.run(0.1)
    call.says(type="hangup")
    assert call.end["type"] == "cancel"
    await stage.run(0.5)
    assert stage.carrier.hung_up == []
    await stage.until(lambda: stage.released)
    assert stage.carrier.hung_up == ["CA1"]


async def test_a_hang_up_while_a_call_fails_to_be_placed(stage):
    stage.carrier.place_takes_s = 1.0
    stage.carrier.on_place = refused(Cause.CALL_REJECTED)
    call = stage.call()
    await stage.run(0.1)
    call.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert stage.carrier.hung_up == []
    assert stage.record().cause_name == "ORIGINATOR_CANCEL"


@pytest.mark.parametrize(
    ("cause", "tone"),
    [
        (Cause.UNALLOCATED_NUMBER, "congestion"),
        (Cause.NETWORK_OUT_OF_ORDER, "congestion"),
        (Cause.RECOVERY_ON_TIMER_EXPIRE, None),
    ],
)
async def test_the_carrier_refuses(stage, cause, tone):
    stage.carrier.on_place = refused(cause)
    call = stage.call()
    await stage.until(lambda: call.browser.closed)
    assert call.end["cause"] == cause
    assert call.end["ended_by"] == "carrier"
    assert [t["name"] for t in call.browser.of("tone")] == [tone] * (tone is not None)
    assert stage.balance() == CREDIT


async def test_what_the_carrier_answers_is_kept_for_the_operator_and_told_in_the_callers_words(
    stage,
):
    told = {"en": "All lines are in use.", "de": "Alle Leitungen sind belegt."}
    stage.carrier.on_place = CarrierError(
        "no",
        cause=Cause.NORMAL_CIRCUIT_CONGESTION,
        refusal=CarrierRefusal(10004, "Call concurrency limit exceeded", told),
        status=400,
    )
    call = stage.call()
    await stage.until(lambda: call.browser.closed)
    assert (call.end["message"], call.end["messages"]) == (told["en"], told)
    assert "concurrency" not in json.dumps(call.end)
    record = stage.record()
    assert (record.carrier_code, record.carrier_text) == (10004, "Call concurrency limit exceeded")


async def test_a_call_that_was_not_refused_has_no_answer_of_the_carrier(stage):
    stage.carrier.on_place = refused(Cause.NETWORK_OUT_OF_ORDER)
    call = stage.call()
    await stage.until(lambda: call.browser.closed)
    assert call.end["messages"] == {}
    assert (stage.record().carrier_code, stage.record().carrier_text) == (None, None)


@pytest.mark.parametrize(
    ("status", "sip", "cause", "tone"),
    [
        ("busy", 486, Cause.USER_BUSY, "busy"),
        ("no_answer", 487, Cause.NO_ANSWER, None),
        ("failed", 404, Cause.UNALLOCATED_NUMBER, "congestion"),
        ("failed", 0, Cause.NORMAL_TEMPORARY_FAILURE, None),
        ("cancelled", 0, Cause.ORIGINATOR_CANCEL, None),
    ],
)
async def test_the_phone_is_not_reached(stage, status, sip, cause, tone):
    call = stage.call()
    await stage.run(0.1)
    call.status("ringing")
    call.status(status, sip_response=sip)
    await stage.until(lambda: stage.released)
    await stage.until(lambda: call.browser.closed)
    assert call.end["cause"] == cause
    heard = [t["name"] for t in call.browser.of("tone")]
    assert heard == ["ringback"] + [tone] * (tone is not None)
    assert stage.carrier.hung_up == [], "the carrier has ended the call itself"
    assert stage.record().carrier_seconds == 0
    assert stage.balance() == CREDIT


NO_ROUTE = CarrierRefusal(13227, "No international authorization", {"en": "Not switched on."})


def ending(stage, status="failed", **fields):
    call = stage.call()
    return lambda: call.status(status, **fields)


async def test_a_call_that_was_taken_and_then_failed_is_explained_to_the_operator(stage):
    stage.carrier.on_why = NO_ROUTE
    fails = ending(stage, sip_response=404)
    await stage.run(0.1)
    with capture_logs() as logs:
        fails()
        await stage.until(lambda: stage.released)
    assert stage.carrier.asked_why == ["CA1"]
    record = stage.record()
    assert (record.carrier_code, record.carrier_text) == (13227, "No international authorization")
    assert record.cause_name == "UNALLOCATED_NUMBER"
    (line,) = [each for each in logs if each["event"] == "call failed at the carrier"]
    assert (line["carrier_code"], line["call_id"], line["carrier_call_id"]) == (13227, "c1", "CA1")
    assert stage.balance() == CREDIT


@pytest.mark.parametrize("trouble", [None, refused(Cause.NETWORK_OUT_OF_ORDER), "silence"])
async def test_whatever_becomes_of_that_question_the_call_is_settled_within_two_seconds(
    stage, trouble
):
    if trouble == "silence":
        stage.carrier.why_takes_s = 3600
    else:
        stage.carrier.on_why = trouble
    fails = ending(stage)
    await stage.run(0.1)
    fails()
    await stage.run(2.1)
    assert len(stage.released) == 1
    assert stage.carrier.asked_why == ["CA1"]
    assert (stage.record().carrier_code, stage.record().carrier_text) == (None, None)
    assert stage.balance() == CREDIT


@pytest.mark.parametrize("status", ["busy", "no_answer", "cancelled", "completed"])
async def test_what_explains_itself_is_not_asked_for(stage, status):
    ends = ending(stage, status)
    await stage.run(0.1)
    ends()
    await stage.until(lambda: stage.released)
    assert stage.carrier.asked_why == []


async def test_a_call_that_was_answered_or_never_placed_is_not_asked_for(stage):
    call = await stage.call().answered()
    call.status("completed", seconds=1)
    await stage.until(lambda: stage.released)
    stage.carrier.on_place = refused(Cause.NETWORK_OUT_OF_ORDER)
    stage.call("c2")
    await stage.until(lambda: len(stage.released) == 2)
    assert stage.carrier.asked_why == []


async def test_words_of_a_failed_stream_stay_unless_the_carrier_knows_a_code(stage):
    words = CarrierRefusal(0, "handshake", {"en": "No sound."})
    for call_id, known, kept in (("c1", None, (0, "handshake")), ("c2", NO_ROUTE, None)):
        stage.carrier.on_why, before = known, len(stage.released)
        call = stage.call(call_id)
        await stage.run(0.1)
        call.bridge.stream_failed("CA1", words)
        await stage.until(lambda before=before: len(stage.released) == before + 1)
        record = call.bridge.closed(0)
        assert (record.carrier_code, record.carrier_text) == (
            kept or (NO_ROUTE.code, NO_ROUTE.text)
        )
        assert call.end["messages"] == {"en": "No sound."}


async def test_a_busy_tone_is_heard_before_the_words(stage):
    call = stage.call()
    await stage.run(0.1)
    call.status("busy")
    call.browser.forget()
    await stage.run(2.3)
    assert "disconnect" not in call.kinds
    assert 110 <= len(call.browser.audio) <= 116
    assert call.browser.audio[:50] == [tones.busy("US").frame(n) for n in range(50)]
    await stage.run(0.2)
    assert call.end["name"] == "USER_BUSY"
    before = len(call.browser.audio)
    await stage.run(1)
    assert len(call.browser.audio) == before


async def test_a_caller_who_leaves_during_the_busy_tone_is_sent_nothing_more(stage):
    call = stage.call()
    await stage.run(0.1)
    call.status("busy")
    await stage.run(0.5)
    call.browser.end(1001)
    await stage.run(5)
    assert stage.ticker._players == set()


async def test_hanging_up_during_the_busy_tone_ends_it_at_once(stage):
    call = stage.call()
    await stage.run(0.1)
    call.status("busy")
    await stage.run(0.5)
    call.says(type="hangup")
    assert call.end["name"] == "USER_BUSY"
    assert call.browser.closed == (1000, "call ended")
    await stage.run(5)
    assert call.kinds.count("disconnect") == 1


async def test_the_callee_hangs_up(stage):
    call = await stage.call().answered()
    await stage.run(1.5)
    call.carrier.say({"event": "stop", "streamSid": "MZ1"})
    assert (call.end["name"], call.end["ended_by"]) == ("NORMAL_CLEARING", "callee")
    call.carrier.end(1000)
    call.status("completed", seconds=2)
    await stage.until(lambda: stage.released)
    assert (stage.record().seconds, stage.record().carrier_seconds) == (2, 2)


async def test_the_carriers_socket_is_lost(stage):
    call = await stage.call().answered()
    await stage.run(1.5)
    call.carrier.end(1006)
    assert (call.end["name"], call.end["ended_by"]) == ("NETWORK_OUT_OF_ORDER", "carrier")
    await stage.until(lambda: stage.released)
    assert stage.carrier.hung_up == ["CA1"]


async def test_a_program_ends_the_call(stage):
    call = await stage.call().answered()
    call.bridge.end(Cause.MANAGER_REQUEST, "operator")
    call.bridge.end(Cause.SYSTEM_SHUTDOWN, "gateway")
    assert call.end["name"] == "MANAGER_REQUEST"
    await stage.until(lambda: stage.released)
    call.bridge.end(Cause.SYSTEM_SHUTDOWN, "gateway")
    assert stage.record().ended_by == "operator"


async def test_the_end_is_told_and_charged_once_whoever_repeats_it(stage):
    call = await stage.call().answered()
    await stage.run(1.5)
    call.says(type="hangup")
    for _ in range(2):
        call.status("completed", seconds=2)
        call.bridge.end(Cause.MANAGER_REQUEST, "operator")
    call.carrier.end(1000)
    call.browser.end()
    await stage.run(70)
    for late in ("ringing", "answered", "completed"):
        call.status(late)
    assert call.kinds.count("disconnect") == 1
    assert len(stage.released) == 1
    assert (stage.record().seconds, stage.record().ended_by) == (2, "caller")
    assert stage.balance() == CREDIT - 2 * CENT


async def test_a_lost_completed_is_asked_for(stage):
    stage.carrier.on_hang_up = ["answered", "answered", "completed"]
    call = await stage.call().answered()
    call.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert len(stage.carrier.hung_up) == 3
    assert stage.record().carrier_seconds is None


async def test_a_carrier_that_never_confirms_is_given_up(stage):
    stage.carrier.on_hang_up = [NO_ANSWER] * 99
    call = await stage.call().answered()
    await stage.run(0.5)
    call.says(type="hangup")
    await stage.until(lambda: stage.released, 90)
    assert stage.balance() == CREDIT - CENT


@pytest.mark.parametrize("closes_with", [1000, 1008, None])
@pytest.mark.parametrize("payload", [b"{", b'{"event":"media","streamSid":"MZ1","media":{}}'])
async def test_a_message_that_cannot_be_read_ends_the_call_as_what_it_is(
    stage, payload, closes_with
):
    """At once, whatever the carrier says of its closing: it is charged for what was heard."""
    call = await stage.call(media_silence_s=60).answered()
    call.phone_speaks()
    await stage.run(2.5)
    call.carrier.say(payload)
    assert (call.end["name"], call.end["ended_by"]) == ("PROTOCOL_ERROR", "carrier")
    assert call.end["cause"] == 111
    await stage.run(5)
    call.carrier.end(closes_with)
    await stage.until(lambda: stage.released)
    record = stage.record()
    assert (record.cause_name, record.ended_by, record.seconds) == ("PROTOCOL_ERROR", "carrier", 3)
    assert stage.carrier.hung_up == ["CA1"]
    assert stage.balance() == CREDIT - 3 * CENT


async def test_an_unreadable_message_before_any_sound_costs_nothing(stage):
    call = await stage.call(media_silence_s=60).answered(speaks=False)
    await stage.run(2)
    call.carrier.say(b"[]")
    await stage.until(lambda: stage.released)
    assert (stage.record().cause_name, stage.record().seconds) == ("PROTOCOL_ERROR", 0)
    assert stage.balance() == CREDIT


# What the carrier says too late, twice, or to the wrong call.


async def test_a_callback_of_another_carrier_call_is_none_of_ours(stage):
    call = await stage.call().answered()
    with capture_logs() as logs:
        call.status("completed", sid="CA2", seconds=9)
    assert call.bridge.call.state is State.ANSWERED
    (told,) = logs
    assert told["event"] == "callback of another carrier call"
    assert told["carrier_call_id"] == "CA2"


async def test_the_first_callback_names_a_call_without_an_answer(stage):
    stage.carrier.on_place = NO_ANSWER
    call = stage.call()
    await stage.run(0.1)
    call.status("ringing", sid="CA5")
    call.status("answered", sid="CA5")
    call.opens_stream(sid="CA5")
    await stage.run(1)
    assert call.bridge.call.carrier_call_id == "CA5"
    assert call.bridge.call.state is State.ANSWERED


async def test_callbacks_out_of_order_lose_nothing(stage):
    call = stage.call()
    await stage.run(0.1)
    call.opens_stream()
    call.phone_speaks()
    await stage.run(1.5)
    call.status("completed", seconds=2)
    for late in ("answered", "ringing", "dialling"):
        call.status(late)
    await stage.until(lambda: stage.released)
    assert stage.record().seconds == 2
    assert call.kinds == ["ready", "accept", "disconnect"]


async def test_a_stream_of_another_carrier_call_is_refused(stage):
    call = stage.call()
    await stage.run(0.1)
    call.opens_stream(sid="CA2")
    assert call.carrier.closed == (1008, "protocol error")
    assert call.bridge.call.state is State.DIALLING


async def test_a_second_stream_is_refused_and_the_first_goes_on(stage):
    call = await stage.call().answered()
    first = call.carrier
    call.opens_stream()
    call.speaks()
    assert first.closed is None
    assert await has_begun(call)


async def test_a_stream_that_comes_after_the_end_is_refused(stage):
    stage.carrier.on_hang_up = ["answered"] * 9
    call = stage.call()
    await stage.run(0.1)
    call.says(type="hangup")
    call.opens_stream()
    assert call.carrier.closed is not None
    assert call.bridge.call.answered_ns is None


# Watchdogs.


async def test_a_call_without_news_is_asked_for(stage):
    call = stage.call()
    await stage.run(2.9)
    assert stage.carrier.fetched == []
    await stage.run(0.3)
    assert stage.carrier.fetched == ["CA1"]
    assert call.bridge.call.state is State.ANSWERED, "the poll found the answer"


async def test_a_call_is_asked_for_no_more_often_than_needed(stage):
    stage.carrier.on_fetch = "queued"
    stage.call()
    await stage.run(31)
    assert 9 <= len(stage.carrier.fetched) <= 10


async def test_news_puts_off_the_asking(stage):
    stage.carrier.on_fetch = "ringing"
    call = stage.call()
    await stage.run(2)
    call.status("ringing")
    await stage.run(2.9)
    assert stage.carrier.fetched == []
    await stage.run(0.3)
    assert stage.carrier.fetched == ["CA1"]


async def test_a_call_whose_stream_proves_it_is_not_asked_for(stage):
    call = await stage.call().answered()
    for _ in range(100):
        call.phone_speaks()
        await stage.run(0.1)
    assert call.bridge.call.state is State.ANSWERED
    assert stage.carrier.fetched == []


# Callbacks lost, all of them: the end is known within eight seconds of the carrier's.


KNOWN_WITHIN_S = 8.0


async def until_ended(stage, call, begun_ns):
    await stage.until(lambda: not call.bridge.call.is_live)
    assert (call.bridge.call.ended_ns - begun_ns) / 1e9 <= KNOWN_WITHIN_S
    await stage.until(lambda: stage.released)
    assert (stage.clock_ns() - begun_ns) / 1e9 <= KNOWN_WITHIN_S
    return stage.record()


@pytest.mark.parametrize("rings", [False, True])
@pytest.mark.parametrize(
    ("status", "cause"),
    [
        ("busy", "USER_BUSY"),
        ("no_answer", "NO_ANSWER"),
        ("failed", "NORMAL_TEMPORARY_FAILURE"),
        ("cancelled", "ORIGINATOR_CANCEL"),
    ],
)
async def test_a_call_that_is_not_answered_without_any_callback(stage, status, cause, rings):
    stage.carrier.on_fetch = "ringing" if rings else "queued"
    call = stage.call()
    await stage.run(20.5)
    assert ("ringing" in call.kinds) == rings
    begun_ns = stage.clock_ns()
    stage.carrier.on_fetch = status
    record = await until_ended(stage, call, begun_ns)
    assert (record.cause_name, record.seconds) == (cause, 0)


async def test_a_cancelled_call_without_any_callback(stage):
    """The carrier's reply still shows it ringing, and so do the next ones."""
    stage.carrier.on_fetch = "ringing"
    stage.carrier.on_hang_up = ["ringing", NO_ANSWER, "unknown", "cancelled"]
    call = stage.call()
    await stage.run(10)
    begun_ns = stage.clock_ns()
    call.says(type="hangup")
    record = await until_ended(stage, call, begun_ns)
    assert (record.cause_name, record.ended_by) == ("ORIGINATOR_CANCEL", "caller")


async def test_an_end_that_shows_late_is_recorded_soon_after_it_shows(stage):
    stage.carrier.on_fetch = "ringing"
    stage.carrier.on_hang_up = ["answered"] * 99
    call = await stage.call().answered()
    call.says(type="hangup")
    await stage.run(20)
    begun_ns = stage.clock_ns()
    stage.carrier.on_hang_up.clear()
    await stage.until(lambda: stage.released)
    assert (stage.clock_ns() - begun_ns) / 1e9 <= KNOWN_WITHIN_S


@pytest.mark.parametrize("stops", [True, False])
async def test_the_callee_hangs_up_without_any_callback(stage, stops):
    call = stage.call(media_silence_s=3)
    await stage.run(0.5)
    call.opens_stream()
    for _ in range(50):
        call.phone_speaks()
        await stage.run(0.02)
    begun_ns = stage.clock_ns()
    if stops:
        call.carrier.say({"event": "stop", "streamSid": "MZ1"})
    record = await until_ended(stage, call, begun_ns)
    assert record.cause_name == "NORMAL_CLEARING" if stops else "MEDIA_TIMEOUT"


async def test_the_callee_hangs_up_before_the_stream_without_any_callback(stage):
    call = stage.call()
    await stage.run(4)
    assert call.bridge.call.state is State.ANSWERED
    begun_ns = stage.clock_ns()
    stage.carrier.on_fetch = "completed"
    record = await until_ended(stage, call, begun_ns)
    assert record.cause_name == "NORMAL_CLEARING"


# A carrier that hangs: the caller hears something, and in the end an answer.


@pytest.mark.parametrize("hangs", ["the carrier", "the credit store"])
async def test_the_caller_hears_something_within_two_seconds(stage, monkeypatch, hangs):
    if hangs == "the carrier":
        stage.carrier.place_takes_s = 1_000
    else:
        monkeypatch.setattr(stage.gate, "open", lambda _: asyncio.sleep(1_000))
    call = stage.call()
    await stage.run(1.4)
    assert call.browser.audio == []
    await stage.run(0.6)
    assert call.browser.of("tone") == [{"type": "tone", "name": "connecting"}]
    heard = call.browser.audio
    assert heard[:3] == [tones.connecting().frame(n) for n in range(3)]
    await stage.run(10)
    assert len(call.browser.audio) == pytest.approx(50 * 10.5, abs=2), "and goes on hearing it"


async def test_a_phone_that_rings_soon_is_heard_ringing_and_nothing_else(stage):
    call = stage.call()
    await stage.run(1)
    call.status("ringing")
    await stage.run(2)
    assert [tone["name"] for tone in call.browser.of("tone")] == ["ringback"]


async def test_ringback_takes_the_place_of_the_tone_before_it(stage):
    stage.carrier.on_fetch = "queued"
    call = stage.call()
    await stage.run(2)
    call.status("ringing")
    frames = len(call.browser.audio)
    await stage.run(0.2)
    assert [tone["name"] for tone in call.browser.of("tone")] == ["connecting", "ringback"]
    ringback = tones.ringback("US")
    assert call.browser.audio[frames:][:5] == [ringback.frame(n) for n in range(5)]


async def test_a_call_that_ends_meanwhile_plays_no_such_tone(stage):
    stage.carrier.place_takes_s = 1_000
    call = stage.call()
    await stage.run(1)
    call.says(type="hangup")
    await stage.run(2)
    assert call.browser.of("tone") == []
    assert call.browser.audio == []


async def test_a_carrier_that_gives_no_answer_gets_the_caller_one(stage):
    """Five seconds of the request and four for a proof that the call was placed."""
    stage.carrier.place_takes_s, stage.carrier.on_place = 5.0, NO_ANSWER
    call = stage.call()
    await stage.run(8.9)
    assert call.bridge.call.is_live
    await stage.run(0.3)
    assert call.bridge.call.cause is Cause.RECOVERY_ON_TIMER_EXPIRE
    assert stage.balance() == CREDIT


# Which of the carrier's calls a call lives on.


async def test_a_call_lives_on_the_first_that_proves_it(stage):
    call = stage.call()
    await stage.run(0.1)
    assert call.bridge.owns("CA1")
    assert not call.bridge.owns("CA2")
    assert not call.bridge.owns("")


async def test_before_it_is_dialled_a_call_lives_on_none(stage):
    call = stage.call()
    assert call.bridge.call.state is State.FUNDING
    assert not call.bridge.owns("CA1")


async def test_a_call_that_was_given_up_lives_on_none(stage):
    stage.carrier.on_place = NO_ANSWER
    call = stage.call()
    await stage.run(0.1)
    stage.gate.is_away = True
    await stage.until(lambda: call.bridge.call.state is State.SETTLING)
    assert not call.bridge.owns("CA9"), "a callback that comes now is of a phone ringing for nobody"


async def test_a_reply_of_another_carrier_call_than_the_callback_is_a_stray(stage):
    stage.carrier.place_takes_s = 0.5
    call = stage.call()
    await stage.run(0.1)
    call.status("ringing", sid="CA5")
    await stage.run(1)
    assert stage.strays == [("CA1", "c1")]
    assert call.bridge.call.carrier_call_id == "CA5"
    assert call.bridge.call.state is State.RINGING


async def test_late_callbacks_of_a_call_that_is_over_are_its_own_and_change_nothing(stage):
    call = await stage.call().answered()
    await stage.run(0.5)
    stage.gate.is_away = True
    call.status("completed", seconds=1)
    assert call.bridge.call.state is State.SETTLING
    with capture_logs() as logs:
        call.status("answered")
        call.status("busy")
    assert {line["log_level"] for line in logs} == {"debug"}
    assert call.bridge.call.state is State.SETTLING
    assert not call.bridge.owns("CA1"), "a phone that rings or talks on is looked into"


@pytest.mark.parametrize("word", ["completed", "busy", "no_answer", "failed", "cancelled"])
async def test_a_callback_of_the_end_whose_stream_goes_on_is_looked_into(stage, word):
    call = await stage.call().answered()
    await stage.run(0.5)
    call.status(word, seconds=1)
    assert stage.strays == [("CA1", "c1")]
    call.status(word, seconds=1)
    assert len(stage.strays) == 1


async def test_a_callback_of_the_end_is_believed_where_the_stream_has_stopped(stage):
    call = await stage.call().answered()
    await stage.run(0.5)
    call.carrier.end(1000)
    call.status("completed", seconds=1)
    await stage.run(1)
    assert stage.strays == []


async def test_a_carrier_that_never_confirms_is_asked_by_others_from_then_on(stage):
    stage.carrier.on_hang_up = [NO_ANSWER] * 99
    call = await stage.call().answered()
    call.says(type="hangup")
    await stage.until(lambda: stage.released, 90)
    assert stage.strays == [("CA1", "c1")]
    assert not call.bridge.owns("CA1")


async def test_a_phone_that_rings_for_ever_is_given_up(stage):
    stage.carrier.on_fetch = "ringing"
    call = stage.call(ring_timeout_s=5)
    await stage.run(0.1)
    call.status("ringing")
    await stage.run(34)
    assert call.bridge.call.is_live
    await stage.run(3)
    assert (call.end["name"], call.end["ended_by"]) == ("NO_ANSWER", "limit")


async def test_an_answered_call_without_a_stream_is_given_up(stage):
    """Nobody was heard, so nothing is charged, connect fee and first minute included."""
    fee = Rate(per_minute_micros=60 * CENT, first_s=60, next_s=60, connect_fee_micros=25 * CENT)
    call = stage.call(rate=fee)
    await stage.run(0.1)
    call.status("answered")
    await stage.run(30)
    assert call.bridge.call.is_live
    assert set(stage.carrier.fetched) == {"CA1"}
    assert 3 <= len(stage.carrier.fetched) <= 30_000_000_000 // QUIET_NS
    assert call.browser.of("cost")[-1]["cost"]["micros"] == 0
    await stage.run(1.1)
    assert (call.end["name"], call.end["ended_by"]) == ("MEDIA_TIMEOUT", "carrier")
    await stage.until(lambda: stage.released)
    record = stage.record()
    assert (record.seconds, record.answered_at is not None) == (0, True)
    assert (record.browser.mos, record.carrier.mos) == (None, None)
    assert stage.balance() == CREDIT


@pytest.mark.parametrize("stream_after_s", [8, 12, 25])
async def test_a_late_stream_is_waited_for_and_charged_from_the_answer(stage, stream_after_s):
    """As with a trial account, whose announcement comes first and wants a key pressed."""
    call = stage.call(media_silence_s=60)
    await stage.run(0.1)
    call.status("answered")
    await stage.run(stream_after_s)
    assert stage.balance() < CREDIT, "credit is held for what may still be owed"
    call.opens_stream()
    call.phone_speaks()
    await stage.run(0.5)
    call.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert stage.record().seconds == stream_after_s + 1
    assert stage.balance() == CREDIT - (stream_after_s + 1) * CENT


@pytest.mark.parametrize("told", ["queued", "unknown", NO_ANSWER])
async def test_a_stream_is_waited_for_while_the_carrier_cannot_say_how_it_stands(stage, told):
    stage.carrier.on_fetch = told
    call = stage.call()
    await stage.run(0.1)
    call.status("answered")
    await stage.run(29.5)
    assert call.bridge.call.is_live
    await stage.run(1.6)
    assert call.end["name"] == "MEDIA_TIMEOUT"
    await stage.until(lambda: stage.released)
    assert stage.balance() == CREDIT


async def test_a_caller_hears_that_a_late_stream_is_waited_for(stage):
    call = stage.call()
    await stage.run(0.1)
    call.status("answered")
    await stage.run(1.4)
    before = len(call.browser.audio)
    await stage.run(1)
    assert len(call.browser.audio) > before + 20
    call.opens_stream()
    await stage.run(0.1)
    heard = len(call.browser.audio)
    await stage.run(1)
    assert len(call.browser.audio) == heard, "the tone ends where the phone can be heard"


async def test_a_caller_who_toys_with_hold_does_not_shorten_the_wait(stage):
    call = stage.call()
    await stage.run(0.1)
    call.status("answered")
    for n in range(14):
        call.says(type="hold", held=bool(n % 2))
        await stage.run(2)
    assert call.bridge.call.is_live


async def test_a_call_that_ends_while_its_stream_is_waited_for_costs_nothing(stage):
    stage.carrier.on_fetch = "completed"
    call = stage.call()
    await stage.run(0.1)
    call.status("answered")
    await stage.until(lambda: stage.released, 8)
    assert call.end["name"] == "NORMAL_CLEARING"
    assert stage.balance() == CREDIT


async def test_a_stream_that_carries_no_sound_costs_nothing(stage):
    call = await stage.call(media_silence_s=5).answered(speaks=False)
    call.speaks(3)
    await stage.run(3)
    call.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert (stage.record().seconds, stage.balance()) == (0, CREDIT)
    assert stage.record().carrier.mos is None


@pytest.mark.parametrize("state", ["dialled", "ringing", "answered"])
async def test_a_stream_that_cannot_be_opened_ends_the_call_at_once(stage, state):
    call = stage.call()
    await stage.run(0.1)
    if state != "dialled":
        call.status(state)
    call.bridge.stream_failed("CA9")
    assert call.bridge.call.is_live, "of another carrier call"
    await stage.run(0.5)
    call.bridge.stream_failed("CA1")
    assert (call.end["name"], call.end["ended_by"]) == ("BEARERCAPABILITY_NOTAVAIL", "carrier")
    call.bridge.stream_failed("CA1")
    await stage.until(lambda: stage.released)
    assert stage.carrier.hung_up == ["CA1"]
    assert (stage.record().seconds, stage.balance()) == (0, CREDIT)


async def test_an_error_of_a_stream_that_has_begun_is_its_sockets_affair(stage):
    call = await stage.call(media_silence_s=60).answered()
    call.bridge.stream_failed("CA1")
    await stage.run(1)
    assert call.bridge.call.is_live


async def test_the_wait_for_a_stream_can_be_shortened(stage):
    call = stage.call(stream_timeout_s=10)
    await stage.run(0.1)
    call.status("answered")
    await stage.run(10)
    assert call.bridge.call.is_live
    await stage.run(1.1)
    assert (call.end["name"], call.end["ended_by"]) == ("MEDIA_TIMEOUT", "carrier")


async def test_a_silent_carrier_socket_counts_as_lost(stage):
    call = await stage.call(media_silence_s=3).answered()
    for _ in range(500):
        call.phone_speaks(frame=SILENT_FRAME)
        await stage.run(0.02)
    assert call.bridge.call.is_live, "digital silence is not a silent socket"
    await stage.run(2.9)
    assert call.bridge.call.is_live
    await stage.run(1.3)
    assert call.end["name"] == "MEDIA_TIMEOUT"
    assert call.end["seconds"] in (10, 11), "the seconds end with the last sound"


async def test_marks_that_come_back_prove_no_live_stream(stage):
    call = await stage.call(media_silence_s=3).answered()
    await stage.run(1)
    for _ in range(180):
        call.carrier.say({"event": "mark", "streamSid": "MZ1", "mark": {"name": "m"}})
        call.carrier.say({"event": "dtmf", "streamSid": "MZ1", "dtmf": {"digit": "7"}})
        await stage.run(0.02)
    assert (call.end["name"], call.end["ended_by"]) == ("MEDIA_TIMEOUT", "carrier")
    assert call.end["seconds"] <= 3


async def test_a_call_on_hold_is_watched_too(stage):
    call = await stage.call(media_silence_s=3).answered()
    call.says(type="hold", held=True)
    await stage.run(5)
    assert call.end["name"] == "MEDIA_TIMEOUT"


# What must not happen to a bridge.


async def test_an_event_out_of_place_is_logged_and_the_call_lives(stage):
    call = stage.call()
    with capture_logs() as logs:
        call.bridge.receive(Ringing())
    (told,) = logs
    assert told["event"] == "unexpected call event"
    assert (told["received"], told["state"]) == ("Ringing", "FUNDING")
    await stage.run(0.1)
    assert call.bridge.call.state is State.DIALLING


async def test_a_released_call_leaves_nothing_behind(stage):
    for n in range(3):
        call = await stage.call(f"c{n}").answered()
        await stage.run(1)
        call.says(type="hangup")
        await stage.until(lambda n=n: len(stage.released) == n + 1)
    await stage.run(20)
    left = {duty for duties in stage.ticker._duties for duty in duties}
    assert left == {stage.polling.look}, "which is the node's"
    assert stage.polling._calls == {}
    assert stage.ticker._players == set()
    assert stage.metering._partitions == stage.metering._held == {}
    assert stage.ticker._deadlines == []
    assert len(asyncio.all_tasks()) <= 2


# A process that stood still.


@pytest.mark.parametrize("stood_s", [0.4, 3, 12])
async def test_a_phone_whose_audio_waits_is_not_silent(stage, stood_s):
    """Timers wake before the sockets are read, and a beat makes up for those that were missed."""
    call = await stage.call().answered()
    for _ in range(150):
        call.phone_speaks()
        await stage.run(0.02)
    for _ in range(3):
        stage.stand_still(stood_s)
        await stage.run(1)
        call.phone_speaks(round(stood_s * 50))
        await stage.run(0.5)
    assert call.bridge.call.state is State.ANSWERED
    call.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert stage.record().cause_name == "NORMAL_CLEARING"


async def test_a_phone_that_is_gone_is_missed_once_all_has_been_read(stage):
    call = await stage.call().answered()
    for _ in range(50):
        call.phone_speaks()
        await stage.run(0.02)
    stage.stand_still(8)
    await stage.until(lambda: stage.released, 7)
    record = stage.record()
    assert (record.cause_name, record.seconds) == ("MEDIA_TIMEOUT", 1)


async def test_a_stream_that_waits_to_be_accepted_is_not_late(stage):
    call = stage.call(stream_timeout_s=5)
    await stage.run(0.02)
    call.status("answered")
    await stage.run(1)
    stage.stand_still(10)
    await stage.run(1)
    call.opens_stream()
    call.phone_speaks()
    await stage.run(1)
    assert call.bridge.call.state is State.ANSWERED


async def test_a_caller_who_is_back_while_the_process_stood_still_is_taken(stage):
    call = await stage.call(media_silence_s=60, resume_s=5).answered()
    call.browser.end(1006)
    await stage.run(1)
    stage.stand_still(10)
    await stage.run(1)
    assert call.returns()
    await stage.run(10)
    assert call.bridge.call.state is State.ANSWERED


async def test_callbacks_that_wait_are_not_missed(stage):
    """The carrier's record says that the phone was answered, and the word of it is in a socket."""
    call = stage.call()
    await stage.run(0.1)
    stage.stand_still(10)
    await stage.run(2)
    assert call.bridge.call.is_live
    call.status("ringing")
    call.status("answered")
    await stage.run(1)
    assert call.bridge.call.state is State.ANSWERED


async def test_what_another_node_may_have_settled_is_not_told(stage):
    """Beyond horizon and grace, and the lease of this node, its own figures prove nothing."""
    call = await stage.call().answered()
    for _ in range(150):
        call.phone_speaks()
        await stage.run(0.02)
    stage.stand_still(30)
    await stage.until(lambda: stage.released)
    assert (call.end["cause"], call.end["ended_by"]) == (41, "gateway")
    assert (call.end["seconds"], call.end["cost"]) == (None, None)


class Shown:
    """Everything of a call's figures that leaves its process."""

    def __init__(self, stage):
        self.stage = stage
        self.rows, self.views, self.metered, self.traced = [], [], [], []
        # What is told each time that a call has changed.
        stage.changed = self

    def append(self, bridge):
        row, view = row_of(bridge)[0], live_view(bridge)
        self.rows.append((row.state, row.seconds, row.cost_micros))
        self.views.append((view.seconds, view.cost_micros))

    def note(self, event, fields):
        self.metered.append((event, dict(fields)))

    def figures(self, call):
        """Return all seconds and prices that anybody was told."""
        pages = [m for m in call.browser.messages if m.get("cost") and m["type"] != "ready"]
        told = {(m["seconds"], m["cost"]["micros"]) for m in pages}
        of_rows = {(seconds, micros) for _, seconds, micros in self.rows}
        of_programs = {data["seconds"] for _, data in self.stage.events if "seconds" in data}
        return told | of_rows | set(self.views), of_programs - {None}


WAKING = {
    "nothing": lambda _call: None,
    "hangup": lambda call: call.says(type="hangup"),
    "the carrier's last callback": lambda call: call.status("completed", seconds=2),
    "the end of the stream": lambda call: call.bridge.stream_ended(StreamEnd.STOPPED),
    "the page is gone": lambda call: call.browser.end(1001),
    "an operator": lambda call: call.bridge.end(Cause.MANAGER_REQUEST, "operator"),
}


@pytest.mark.parametrize("has_credit", [True, False])
@pytest.mark.parametrize("first", WAKING)
async def test_of_a_call_that_another_node_has_settled_only_what_that_has_posted_is_told(
    stage, first, has_credit
):
    """Whatever comes first when the process wakes: log, page, programs, metrics, live rows."""
    if not has_credit:
        stage.gate.fill(alice=5 * CENT)
    shown = Shown(stage)
    call = await stage.call(media_silence_s=3_600, resume_s=0).answered()
    call.phone_speaks()
    await stage.run(1.5)
    before, _ = shown.figures(call)
    assert max(before)[0] == 2
    stage.stand_still(25)
    await stage.gate.close(Closing("c1", "alice", CENT, 1, b"{}"))
    call_events.LISTENERS.add(shown.note)
    try:
        with capture_logs() as logs:
            # Somebody may look before the first beat, and that beat may bill.
            shown.append(call.bridge)
            assert call.bridge.charge.bill(stage.clock_ns()) == ()
            WAKING[first](call)
            await stage.until(lambda: stage.released)
            await stage.until(lambda: call.browser.closed or first == "the page is gone")
    finally:
        call_events.LISTENERS.discard(shown.note)
    figures, of_programs = shown.figures(call)
    assert figures - before <= {(0, 0), (1, CENT)}
    assert of_programs == set()
    assert shown.rows[-1] == ("ended", 1, CENT)
    posted = [line for line in logs if "settled" in line["event"]]
    assert [(line["event"], line["seconds"], line["cost_micros"]) for line in posted] == [
        ("call was settled by another node", 1, CENT)
    ]
    assert shown.metered[-1] == (posted[0]["event"], {"seconds": 1, "cost_micros": CENT})
    assert [event for event, _ in shown.metered] == ["call ended", posted[0]["event"]]


async def test_a_call_whose_settlement_was_answered_too_late_is_this_nodes_own(stage):
    """The gate has closed it, and the repetition finds it closed."""
    call = await stage.call(media_silence_s=60).answered()
    call.phone_speaks()
    await stage.run(1.5)
    with capture_logs() as logs:
        stage.gate.loses_answers = True
        call.says(type="hangup")
        await stage.run(0.3)
        stage.gate.loses_answers = False
        await stage.until(lambda: stage.released)
    posted = [line["event"] for line in logs if "settled" in line["event"]]
    assert posted[-1] == "call settled"
    assert set(posted[:-1]) == {"call not settled yet"}


async def test_what_an_account_could_not_pay_is_no_part_of_the_posted_price(stage):
    call = await stage.call(media_silence_s=60).answered()
    call.phone_speaks()
    await stage.run(3.5)
    stage.gate._of("alice").calls.clear()
    stage.gate._of("alice").balances["alice"] = 3 * CENT
    with capture_logs() as logs:
        call.says(type="hangup")
        await stage.ended(call)
    (settled,) = [line for line in logs if line["event"] == "call settled"]
    assert (settled["seconds"], settled["cost_micros"]) == (4, 3 * CENT)


async def test_a_call_that_ends_for_want_of_its_credit_store_is_told_what_it_cost(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(2)
    stage.gate.is_away = True
    await stage.until(lambda: not call.bridge.call.is_live)
    assert (call.end["cause"], call.end["ended_by"]) == (41, "gateway")
    assert call.end["seconds"] == call.bridge.used()[0] > 0
    stage.gate.is_away = False
    await stage.until(lambda: stage.released)
