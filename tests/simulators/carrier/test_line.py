"""Whole calls: each scripted number, status callbacks, time limits, machine detection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from media.g711 import audioop, mulaw_decode
from simulators.carrier import clips, courier
from simulators.carrier.webhooks import USER_AGENT

from .conftest import Carrier, Start
from .peer import ACCOUNT, FROM, until

ALL = ["initiated", "ringing", "in-progress", "completed"]


async def finish(carrier: Carrier, sid: str) -> list[str]:
    """Hang up, and return the statuses announced for the whole call."""
    await carrier.act(sid, "hangup")
    await carrier.over(sid)
    await until(lambda: "completed" in carrier.peer.statuses())
    return carrier.peer.statuses()


# --- status callbacks -------------------------------------------------------------------------


async def test_a_call_announces_its_life_in_order(carrier: Carrier) -> None:
    call = await carrier.place("+15005551000")
    await carrier.peer.media()
    assert await finish(carrier, call.sid) == ALL
    seen = await carrier.look(call.sid)
    hooks = [h for h in carrier.peer.hooks if h.path == "/status"]
    assert all(h.signed for h in carrier.peer.hooks)
    assert [h.params["SequenceNumber"] for h in hooks] == ["0", "1", "2", "3"]
    last = hooks[-1]
    assert last.headers["User-Agent"] == USER_AGENT
    assert last.headers["I-Twilio-Idempotency-Token"]
    assert last.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    assert (
        last.params.items()
        >= {
            "AccountSid": ACCOUNT,
            "ApiVersion": "2010-04-01",
            "CallDuration": str(seen["billed_seconds"]),
            "CallSid": call.sid,
            "CallbackSource": "call-progress-events",
            "Called": "+15005551000",
            "Caller": FROM,
            "Direction": "outbound-api",
            "Duration": "1",
            "SipResponseCode": "200",
            "ToCountry": "US",
        }.items()
    )
    assert "CallDuration" not in hooks[2].params


async def test_unsubscribed_events_leave_gaps_in_the_sequence(carrier: Carrier) -> None:
    call = await carrier.place("+15005551007", status_callback_event=["answered", "completed"])
    await carrier.over(call.sid)
    await until(lambda: len(carrier.peer.statuses()) == 2)
    hooks = [h for h in carrier.peer.hooks if h.path == "/status"]
    assert [h.params["SequenceNumber"] for h in hooks] == ["2", "3"]


async def test_only_the_end_is_announced_by_default(carrier: Carrier) -> None:
    call = await carrier.place("+15005551004", status_callback_event=[])
    await carrier.over(call.sid, "busy")
    await until(carrier.peer.statuses)
    assert carrier.peer.statuses() == ["busy"]


async def test_callbacks_may_be_get(carrier: Carrier) -> None:
    call = await carrier.place("+15005551004", status_callback_method="GET")
    await carrier.over(call.sid, "busy")
    await until(lambda: len(carrier.peer.statuses()) == 3)
    assert all(h.signed for h in carrier.peer.hooks)


async def test_callbacks_come_twice_and_out_of_order(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "REORDER_HOLD_S", 0.05)
    call = await carrier.place("+15005551014")
    await carrier.peer.media()
    await until(lambda: len(carrier.peer.statuses()) == 6)
    await finish(carrier, call.sid)
    await until(lambda: len(carrier.peer.statuses()) == 8)
    assert carrier.peer.statuses() == [
        *["ringing"] * 2,
        *["initiated"] * 2,
        *["in-progress"] * 2,
        *["completed"] * 2,
    ]
    tokens = [
        h.headers["I-Twilio-Idempotency-Token"] for h in carrier.peer.hooks if h.path == "/status"
    ]
    assert tokens[0::2] == tokens[1::2]
    assert len(set(tokens)) == 4


async def test_an_end_overtakes_the_answer(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "REORDER_HOLD_S", 60)
    call = await carrier.place("+15005551014")
    await carrier.peer.media()
    await carrier.act(call.sid, "hangup")
    await until(lambda: len(carrier.peer.statuses()) == 8)
    assert carrier.peer.statuses()[4::2] == ["completed", "in-progress"]


async def test_the_completed_callback_is_lost(carrier: Carrier) -> None:
    call = await carrier.place("+15005551015")
    await carrier.peer.media()
    await carrier.act(call.sid, "hangup")
    await carrier.over(call.sid)
    deliveries = (await carrier.control.get("/webhooks")).json()["deliveries"]
    assert [d["failure"] for d in deliveries if d["params"].get("CallStatus") == "completed"] == [
        "dropped"
    ]
    assert carrier.peer.statuses() == ALL[:3]


async def test_callbacks_come_late(carrier: Carrier) -> None:
    call = await carrier.place("+15005551024", twiml="<Response/>")
    seen = await carrier.over(call.sid)
    await until(lambda: carrier.peer.statuses() == ALL)
    first = (await carrier.control.get("/webhooks")).json()["deliveries"][0]
    assert first["at_ns"] - seen["created_at_ns"] >= 300_000_000


async def test_injected_callback_faults_apply_to_every_call(carrier: Carrier) -> None:
    plan = {"callbacks": {"drop": ["ringing"], "duplicate": True}}
    await carrier.control.put("/faults", json=plan)
    call = await carrier.place("+15005551007")
    await carrier.over(call.sid)
    await until(lambda: len(carrier.peer.statuses()) == 6)
    assert carrier.peer.statuses()[::2] == ["initiated", "in-progress", "completed"]


# --- the numbers ------------------------------------------------------------------------------


async def test_calls_that_are_not_answered(carrier: Carrier) -> None:
    for to, status, sip_code in (("+15005551004", "busy", 486), ("+15005551006", "failed", 404)):
        await _not_answered(carrier, to, status, sip_code)


async def _not_answered(carrier: Carrier, to: str, status: str, sip_code: int) -> None:
    call = await carrier.place(to)
    await carrier.over(call.sid, status)
    await until(lambda: status in carrier.peer.statuses())
    last = carrier.peer.hooks[-1].params
    assert (
        last.items()
        >= {
            "CallStatus": status,
            "SipResponseCode": str(sip_code),
            "CallDuration": "0",
            "Duration": "0",
            "SequenceNumber": "2",
        }.items()
    )
    seen = await carrier.fetch(call.sid)
    assert (seen.duration, seen.price) == (None, None)


@pytest.mark.parametrize("ring_s", [0.0, 60.0])
async def test_no_answer_after_timeout(start: Start, ring_s: float) -> None:
    to = "+15005551005" if ring_s == 0 else "+15005551000"
    async with start(ring_s=ring_s) as carrier:
        call = await carrier.place(to, timeout=1)
        assert (await carrier.over(call.sid, "no-answer"))["sip_code"] == 487


async def test_slow_answer_can_be_hurried(start: Start) -> None:
    async with start(slow_answer_s=30) as carrier:
        call = await carrier.place("+15005551011")
        await until(lambda: "ringing" in carrier.peer.statuses())
        assert await carrier.act(call.sid, "answer") == 204
        await carrier.peer.media()


async def test_slow_answer_answers(carrier: Carrier) -> None:
    call = await carrier.place("+15005551011")
    await carrier.peer.media()
    seen = await carrier.look(call.sid)
    assert seen["answered_at_ns"] - seen["created_at_ns"] > 400_000_000


async def test_the_callee_hangs_up(carrier: Carrier) -> None:
    call = await carrier.place("+15005551007")
    media = await carrier.peer.media()
    seen = await carrier.over(call.sid)
    talked_s = (seen["ended_at_ns"] - seen["answered_at_ns"]) / 1e9
    assert 0.2 <= talked_s < 3
    assert media.messages[-1]["event"] == "stop"


async def test_the_callee_presses_keys(carrier: Carrier) -> None:
    await carrier.place("+15005551008")
    media = await carrier.peer.media()
    await until(lambda: len(media.events("dtmf")) == 2)
    assert [m["dtmf"]["digit"] for m in media.events("dtmf")] == ["1", "2"]


async def test_the_tone_arrives(carrier: Carrier) -> None:
    await carrier.place("+15005551001")
    media = await carrier.peer.media()
    await until(lambda: len(media.audio) >= 3200)
    assert media.audio[:3200] == clips.tone(1000, 1000)[:3200]


async def test_silence_is_sent_too(carrier: Carrier) -> None:
    await carrier.place("+15005551009")
    media = await carrier.peer.media()
    await until(lambda: len(media.audio) >= 1600)
    assert set(media.audio) == {0xFF}


async def test_a_bad_line_loses_frames_but_stays_in_order(carrier: Carrier) -> None:
    call = await carrier.place("+15005551010")
    media = await carrier.peer.media()
    await until(lambda: len(media.audio) >= 8000)
    stream = (await carrier.look(call.sid))["streams"][0]
    assert stream["media_out"] < (await carrier.look(call.sid))["heard_frames"]


async def test_the_stream_is_never_opened(carrier: Carrier) -> None:
    call = await carrier.place("+15005551012")
    await until(lambda: "in-progress" in carrier.peer.statuses())
    await carrier.update(call.sid, status="completed")
    seen = await carrier.over(call.sid)
    assert (seen["streams"], carrier.peer.handshakes) == ([], [])


async def test_the_socket_is_dropped_without_stop(carrier: Carrier) -> None:
    call = await carrier.place("+15005551013")
    media = await carrier.peer.media()
    await media.closed.wait()
    assert not media.events("stop")
    assert media.close_code == 1006
    await carrier.over(call.sid)
    assert carrier.codes() == [31903]


async def test_media_freezes_with_the_socket_open(carrier: Carrier) -> None:
    call = await carrier.place("+15005551022")
    media = await carrier.peer.media()
    async with asyncio.timeout(20):
        while True:
            before = len(media.messages)
            await asyncio.sleep(0.1)
            if len(media.messages) == before:
                break
    assert not media.closed.is_set()
    assert await carrier.act(call.sid, "thaw") == 204
    await until(lambda: len(media.messages) > before)


async def test_the_socket_is_not_read_for_a_while(carrier: Carrier) -> None:
    call = await carrier.place("+15005551023")
    media = await carrier.peer.media()
    await until(lambda: len(media.events("media")) > 15)
    await media.mark("unread")
    await media.send("media", media={"payload": "////"})
    assert (await carrier.look(call.sid))["streams"][0]["media_in"] == 0
    assert not media.events("mark")
    await carrier.act(call.sid, "hangup")
    await carrier.over(call.sid)


async def test_a_trial_call_is_announced_and_cut_short(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.carrier.line.TRIAL_ANNOUNCEMENT_S", 0.2)
    async with start(trial_limit_s=1) as carrier:
        call = await carrier.place("+15005551017", time_limit=600)
        await until(lambda: "in-progress" in carrier.peer.statuses())
        assert carrier.peer.medias == []
        await carrier.peer.media()
        seen = await carrier.over(call.sid)
        assert carrier.codes() == [13805]
    assert 1 <= (seen["ended_at_ns"] - seen["answered_at_ns"]) / 1e9 < 4


async def test_any_other_number_greets_and_echoes(carrier: Carrier) -> None:
    await carrier.place("+442071838750")
    media = await carrier.peer.media()
    await media.play(b"\x12" * 8000)
    await until(lambda: media.audio.count(b"\x12") > 800)
    assert audioop.rms(mulaw_decode(bytes(media.audio[:1600])), 2) > 1000


# --- time limits and machines -----------------------------------------------------------------


async def test_the_time_limit_ends_the_call(carrier: Carrier) -> None:
    call = await carrier.place("+15005551000", time_limit=1)
    media = await carrier.peer.media()
    seen = await carrier.over(call.sid)
    assert 1 <= (seen["ended_at_ns"] - seen["answered_at_ns"]) / 1e9 < 4
    assert carrier.codes() == [32015]
    assert media.messages[-1]["event"] == "stop"


async def test_a_time_limit_set_later_counts_from_the_answer(carrier: Carrier) -> None:
    call = await carrier.place("+15005551000", time_limit=3600)
    await carrier.peer.media()
    await carrier.update(call.sid, time_limit=1)
    await carrier.over(call.sid)
    assert carrier.codes() == [32015]


@pytest.mark.parametrize(
    ("to", "detection", "answered_by"),
    [
        ("+15005551000", "Enable", "human"),
        ("+15005551003", "Enable", "machine_start"),
        ("+15005551003", "DetectMessageEnd", "machine_end_beep"),
    ],
)
async def test_machine_detection_delays_the_twiml(
    carrier: Carrier, to: str, detection: str, answered_by: str
) -> None:
    call = await carrier.place(to, machine_detection=detection)
    await carrier.peer.media()
    assert (await carrier.fetch(call.sid)).answered_by == answered_by
    await finish(carrier, call.sid)
    assert carrier.peer.hooks[-1].params["AnsweredBy"] == answered_by


async def test_asynchronous_detection_calls_back(carrier: Carrier) -> None:
    fields: dict[str, Any] = {
        "machine_detection": "Enable",
        "async_amd": "true",
        "async_amd_status_callback": f"{carrier.peer.http}/detected",
    }
    call = await carrier.place("+15005551003", **fields)
    await carrier.peer.media()
    await until(lambda: any(h.path == "/detected" for h in carrier.peer.hooks))
    found = next(h for h in carrier.peer.hooks if h.path == "/detected")
    assert found.signed
    assert found.params == {
        "AccountSid": ACCOUNT,
        "AnsweredBy": "machine_start",
        "CallSid": call.sid,
        "MachineDetectionDuration": "50",
    }
