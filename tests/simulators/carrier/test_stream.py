"""The media stream on real sockets: handshake, frames, pacing, playout, violations, ends."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import socket
import struct
from itertools import pairwise
from typing import Any

import pytest

from media.g711 import FRAME_MS
from simulators.carrier.clock import Clock
from simulators.carrier.errors import StreamError
from simulators.carrier.media_socket import dial
from simulators.carrier.playout import FRAME_BYTES, SILENCE
from tests.tcp_server import tcp_server

from .conftest import Carrier, Start
from .peer import Media, Peer, until

ECHO = "+15005551000"
SPOKEN = b"\x12" * FRAME_BYTES


async def talk(carrier: Carrier, to: str = ECHO, **fields: Any) -> tuple[str, Media]:
    """Place a call and wait for its stream."""
    call = await carrier.place(to, **fields)
    return call.sid, await carrier.peer.media()


async def test_the_handshake_is_that_of_a_real_one(carrier: Carrier) -> None:
    await talk(carrier)
    (path, headers, signed) = carrier.peer.handshakes[0]
    assert (path, signed) == ("/media", True)
    assert list(headers) == [
        "Host",
        "User-Agent",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Upgrade",
        "X-Twilio-Signature",
    ]
    assert headers["User-Agent"] == "Twilio.TmeWs/1.0"


async def test_connected_then_start_then_media_in_sequence(carrier: Carrier) -> None:
    parameters = '<Parameter name="token" value="a&lt;b"/><Parameter name="x" value="ü"/>'
    sid, media = await talk(carrier, twiml=carrier.peer.twiml(parameters=parameters))
    await until(lambda: len(media.messages) > 12)
    assert [m["event"] for m in media.messages[:3]] == ["connected", "start", "media"]
    assert media.start["start"]["callSid"] == sid
    assert media.start["start"]["customParameters"] == {"token": "a<b", "x": "ü"}
    numbered = [m for m in media.messages if "sequenceNumber" in m]
    assert [int(m["sequenceNumber"]) for m in numbered] == list(range(1, len(numbered) + 1))
    sounds = [m["media"] for m in media.events("media")]
    assert [int(s["chunk"]) for s in sounds] == list(range(1, len(sounds) + 1))
    stamps = [int(s["timestamp"]) for s in sounds]
    assert 40 <= stamps[0] <= 230
    assert stamps == sorted(stamps)
    assert all(len(base64.b64decode(s["payload"])) == FRAME_BYTES for s in sounds)


async def test_fifty_frames_a_second_without_drift(carrier: Carrier) -> None:
    began_s = asyncio.get_running_loop().time()
    _, media = await talk(carrier)
    await until(lambda: len(media.events("media")) > 75)
    took_ms = (asyncio.get_running_loop().time() - began_s) * 1000
    stamps_ms = [int(sound["media"]["timestamp"]) for sound in media.events("media")]
    at_once = stamps_ms.count(stamps_ms[0])
    for sent, (stamp_ms, following_ms) in enumerate(pairwise(stamps_ms), start=1):
        # Of what a busy machine sends late, all at once, the last is within half a frame of its
        # time, and a millisecond of rounding.
        if following_ms > stamp_ms:
            late_ms = stamp_ms - stamps_ms[0] - FRAME_MS * (sent - at_once)
            assert abs(late_ms) <= FRAME_MS // 2 + 1
    # The timestamps follow the clock, which has not gone on for longer than this.
    assert stamps_ms[-1] - stamps_ms[0] <= took_ms + 1


async def test_a_person_hears_themselves(carrier: Carrier) -> None:
    sid, media = await talk(carrier)
    for _ in range(5):
        await media.play(SPOKEN)
    await until(lambda: media.audio.count(b"\x12") == 5 * FRAME_BYTES)
    await media.socket.close()
    await carrier.over(sid)
    heard = await carrier.control.get(f"/calls/{sid}/heard")
    assert heard.headers["Content-Type"] == "application/octet-stream"
    assert heard.content.count(b"\x12") == 5 * FRAME_BYTES
    assert len(heard.content) == int(heard.headers["X-Frames"]) * FRAME_BYTES
    assert int(heard.headers["X-Started-At-Ns"]) > 0


async def test_marks_come_back_in_order_when_heard(carrier: Carrier) -> None:
    sid, media = await talk(carrier)
    await media.mark("now")
    await until(lambda: media.events("mark"))
    await media.play(SPOKEN * 10)
    await media.mark("a")
    await media.play(SPOKEN)
    await media.mark("b")
    await until(lambda: len(media.events("mark")) == 3)
    await until(lambda: media.audio.count(SPOKEN) == 11)
    # An echo leaves after the marks that its frame has brought back.
    spoken, echoed = 0, {}
    for message in media.messages:
        if message["event"] == "mark":
            echoed[message["mark"]["name"]] = spoken
        elif message["event"] == "media":
            spoken += SPOKEN in base64.b64decode(message["media"]["payload"])
    assert list(echoed.items()) == [("now", 0), ("a", 9), ("b", 10)]
    stream = (await carrier.look(sid))["streams"][0]
    assert stream["marks"][0]["waited_ms"] == 0
    assert 150 < stream["marks"][1]["waited_ms"] < 4000
    assert stream["marks_waiting"] == 0


async def test_clear_empties_the_buffer_and_returns_the_marks(carrier: Carrier) -> None:
    sid, media = await talk(carrier)
    await media.play(SPOKEN * 500)
    await media.mark("a")
    await until(lambda: media.audio.count(b"\x12"))
    assert (await carrier.look(sid))["streams"][0]["backlog_ms"] > 8000
    await media.send("clear")
    await until(lambda: media.events("mark"))
    stream = (await carrier.look(sid))["streams"][0]
    assert (stream["backlog_ms"], stream["clears"], stream["underruns"]) == (0, 1, 0)


async def test_a_burst_becomes_backlog_and_shows_in_the_history(carrier: Carrier) -> None:
    sid, media = await talk(carrier)
    await media.play(SPOKEN * 100)
    await until(lambda: len(media.events("media")) > 55)
    stream = (await carrier.look(sid))["streams"][0]
    assert stream["backlog_ms_max"] == 2000
    assert 800 < stream["backlog_ms_history"][0] <= 2000
    assert carrier.codes() == []


async def test_gaps_and_underruns_are_counted(carrier: Carrier) -> None:
    sid, media = await talk(carrier)
    await media.play(SPOKEN)
    await until(lambda: media.audio.count(b"\x12") == FRAME_BYTES)
    await until(lambda: media.audio.endswith(SILENCE * 3))
    # The frames of a late beat arrive together, so they alone do not say how much time has passed.
    await asyncio.sleep(0.06)
    await media.play(SPOKEN)
    await until(lambda: media.audio.count(b"\x12") == 2 * FRAME_BYTES)
    stream = (await carrier.look(sid))["streams"][0]
    assert stream["underruns"] >= 1
    assert stream["starved_frames"] >= 3
    assert (stream["media_in"], stream["late_gaps"]) == (2, 1)
    assert stream["gap_ms_max"] > 50


# --- violations --------------------------------------------------------------------------------


async def test_more_than_ten_minutes_is_warned_once(carrier: Carrier) -> None:
    sid, media = await talk(carrier)
    for _ in range(5):
        await media.play(b"\x12" * 1_200_000)
    await until(carrier.codes)
    await media.send("clear")
    await media.mark("after")
    await until(lambda: media.events("mark"))
    assert carrier.codes() == [31931]
    stream = (await carrier.look(sid))["streams"][0]
    assert stream["refused_bytes"] == 1_200_000


async def test_invalid_and_malformed_messages_are_warned_once_each(carrier: Carrier) -> None:
    sid, media = await talk(carrier)
    for text in ("hello", '{"event":"hello"}', json.dumps({"event": "clear", "streamSid": "MZ1"})):
        await media.socket.send(text)
    for _ in range(2):
        await media.socket.send(b"\xff" * 160)
    await media.mark("still alive")
    await until(lambda: media.events("mark"))
    assert carrier.codes() == [31951, 31950]
    entries = (await carrier.control.get("/debugger")).json()["entries"]
    assert [(e["code"], e["level"], e["call_sid"]) for e in entries] == [
        (31951, "warning", sid),
        (31950, "warning", sid),
    ]
    assert (await carrier.control.delete("/debugger")).status_code == 204
    assert carrier.codes() == []


async def test_fragmented_text_and_pings_are_fine(carrier: Carrier) -> None:
    _, media = await talk(carrier)
    text = json.dumps({"event": "mark", "streamSid": media.sid, "mark": {"name": "parts"}})
    await media.socket.send([text[:10], text[10:40], text[40:]])
    await (await media.socket.ping(b"hello"))
    await until(lambda: media.events("mark"))
    assert carrier.codes() == []


async def test_a_fragmented_control_frame_is_a_protocol_error(carrier: Carrier) -> None:
    sid, media = await talk(carrier)
    # RFC 6455 5.5: control frames must not be fragmented. 0x09 is a ping without FIN.
    media.socket.transport.write(b"\x09\x00")
    seen = await carrier.over(sid)
    assert seen["streams"][0]["close_code"] == 1002
    assert carrier.codes() == [31924]
    await until(lambda: len(carrier.peer.streams()) == 2)
    assert carrier.peer.streams()[1]["StreamEvent"] == "stream-error"
    assert carrier.peer.streams()[1]["StreamError"].startswith("31924")


async def test_an_application_that_does_not_read_loses_audio(carrier: Carrier) -> None:
    sid, media = await talk(carrier, "+15005551001")
    small = struct.pack("i", 4096)
    raw = media.socket.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, small)
    media.socket.transport.pause_reading()
    # What the carrier has to say is made to fill the kernel's buffers: marks come at once.
    for batch in range(60):
        for n in range(50):
            await media.mark(f"{batch}-{n}-{'x' * 2000}")
        await asyncio.sleep(0)
        if 31930 in carrier.codes():
            break
    await until(lambda: 31930 in carrier.codes())
    async with asyncio.timeout(20):
        while (await carrier.look(sid))["streams"][0]["congested_frames"] < 3:
            await asyncio.sleep(0.01)
    assert carrier.codes() == [31930]
    media.socket.transport.resume_reading()
    await carrier.act(sid, "hangup")
    await carrier.over(sid)


# --- ends ------------------------------------------------------------------------------------


async def test_hanging_up_sends_stop_then_closes(carrier: Carrier) -> None:
    sid, media = await talk(carrier)
    await carrier.update(sid, status="completed")
    await media.closed.wait()
    seen = await carrier.over(sid)
    stop = media.messages[-1]
    assert stop["event"] == "stop"
    assert stop["stop"]["callSid"] == sid
    assert media.close_code == 1000
    assert seen["streams"][0]["close_code"] == 1000
    assert 0 <= seen["completed_to_close_ms"] < 1000
    await until(lambda: carrier.peer.statuses()[-1] == "completed")
    assert [s["StreamEvent"] for s in carrier.peer.streams()] == [
        "stream-started",
        "stream-stopped",
    ]
    assert carrier.codes() == []


async def test_closing_the_socket_ends_the_call(carrier: Carrier) -> None:
    """Nothing follows Connect, so the call ends; the debugger shows a close error all the same."""
    sid, media = await talk(carrier)
    await media.socket.close(1000)
    await carrier.over(sid)
    assert carrier.codes() == [31921]
    assert not media.events("stop")
    assert [s["StreamEvent"] for s in carrier.peer.streams()] == [
        "stream-started",
        "stream-stopped",
    ]


async def test_closing_the_socket_runs_the_next_verb(carrier: Carrier) -> None:
    twiml = carrier.peer.twiml(extra='<Pause length="40"/>')
    sid, media = await talk(carrier, twiml=twiml)
    await media.socket.close(1000)
    await until(lambda: 31921 in carrier.codes())
    assert (await carrier.fetch(sid)).status == "in-progress"


async def test_a_broken_socket_is_a_stream_error(carrier: Carrier) -> None:
    sid, media = await talk(carrier)
    media.socket.transport.abort()
    await carrier.over(sid)
    assert carrier.codes() == [31903]
    await until(lambda: len(carrier.peer.streams()) == 2)
    assert carrier.peer.streams()[1]["StreamError"].startswith("31903")


@pytest.mark.parametrize(("ends", "status"), [(False, "in-progress"), (True, "completed")])
async def test_what_follows_a_broken_socket_is_a_setting(
    start: Start, ends: bool, status: str
) -> None:
    async with start(broken_stream_ends_call=ends) as carrier:
        twiml = carrier.peer.twiml(extra='<Pause length="40"/>')
        sid, media = await talk(carrier, twiml=twiml)
        media.socket.transport.abort()
        await until(lambda: len(carrier.peer.streams()) == 2)
        async with asyncio.timeout(20):
            while (await carrier.fetch(sid)).status != status:
                await asyncio.sleep(0.01)


async def test_an_application_that_never_finishes_the_close_is_dropped(carrier: Carrier) -> None:
    sid, media = await talk(carrier)
    media.socket.transport.pause_reading()
    await carrier.act(sid, "hangup")
    assert (await carrier.over(sid))["streams"][0]["close_code"] == 1006


# --- handshakes that fail -------------------------------------------------------------------


async def test_a_refused_handshake_is_reported(carrier: Carrier) -> None:
    carrier.peer.refuse_handshake = 403
    call = await carrier.place(ECHO)
    await carrier.over(call.sid)
    assert carrier.codes() == [31920]
    await until(carrier.peer.streams)
    assert carrier.peer.streams()[0]["StreamEvent"] == "stream-error"
    assert carrier.peer.streams()[0]["StreamError"].startswith("31920")


async def test_streams_that_cannot_be_opened(carrier: Carrier) -> None:
    urls = [
        ("ws://127.0.0.1:1/media", 31922),
        ("wss://127.0.0.1:x/media", 31923),
        ("wss://127.0.0.1:1/media?token=1", 31920),
        ("wss://127.0.0.1:1/media", 31902),
    ]
    for url, code in urls:
        twiml = f'<Response><Connect><Stream url="{url}"/></Connect></Response>'
        call = await carrier.place(ECHO, twiml=twiml)
        await carrier.over(call.sid)
        assert carrier.service.debugger.codes(call.sid) == [code]


async def test_a_socket_speaks_tls_unless_the_streams_callback_is_plain_http(
    carrier: Carrier,
) -> None:
    for callback in ("", ' statusCallback="https://127.0.0.1:1/stream"'):
        stream = f'<Stream url="{carrier.peer.media_url}"{callback}/>'
        call = await carrier.place(ECHO, twiml=f"<Response><Connect>{stream}</Connect></Response>")
        await carrier.over(call.sid)
        # What listens there speaks none.
        assert carrier.service.debugger.codes(call.sid) == [31910]


class _Owner:
    def on_text(self, payload: bytes) -> None: ...

    def on_binary(self, payload: bytes) -> None: ...

    def on_close(self, code: int) -> None: ...


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b"", 31920),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 31920),
        (b"SSH-2.0\r\n", 31920),
    ],
)
async def test_servers_that_are_no_websocket(reply: bytes, code: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)

    async with tcp_server(serve) as port:
        with pytest.raises(StreamError) as caught:
            await dial(f"wss://127.0.0.1:{port}/m", "s", _Owner(), None)
    assert caught.value.code == code


async def test_a_silent_server_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.carrier.media_socket.OPEN_TIMEOUT_S", 0.1)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        port = listening.getsockname()[1]
        with pytest.raises(StreamError) as caught:
            await dial(f"wss://127.0.0.1:{port}/m", "s", _Owner(), None)
    assert caught.value.code == 31901


# --- the beat -------------------------------------------------------------------------------


async def test_a_clock_that_jumps_is_caught_up_with_in_bounds(peer: Peer, start: Start) -> None:
    """After a stall of this process frames are sent at once, a second's worth at most."""
    jump_ns = itertools.count()
    jumped = [0]
    clock = Clock(monotonic_ns=lambda: Clock().monotonic_ns() + jumped[0] + next(jump_ns))
    async with start(clock=clock) as carrier:
        _, media = await talk(carrier)
        await until(lambda: media.events("media"))
        count = len(media.events("media"))
        jumped[0] = 10_000_000_000
        await until(lambda: len(media.events("media")) > count + 45)
        assert len(media.events("media")) < count + 200
