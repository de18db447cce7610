"""The control API and the service around it."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from simulators.carrier.callee import DIGITS_MAX
from simulators.carrier.clock import Clock
from simulators.carrier.control import PLAY_BYTES_MAX
from simulators.carrier.playout import SILENCE
from simulators.carrier.scripts import SCRIPTS
from simulators.carrier.service import SimulatorService
from simulators.carrier.ticker import Ticker
from tests.valkey import free_port

from .conftest import FAST, Carrier, Start
from .peer import until


async def test_the_numbers_are_listed(carrier: Carrier) -> None:
    table = (await carrier.control.get("/numbers")).json()["numbers"]
    assert {row["number"] for row in table} == set(SCRIPTS)
    assert all(row["description"] for row in table)


async def test_a_call_shows_what_it_does(carrier: Carrier) -> None:
    call = await carrier.place("+15005551000")
    media = await carrier.peer.media()
    seen = await carrier.look(call.sid)
    assert (seen["status"], seen["script"]) == ("in-progress", "echoes what it hears")
    assert seen["streams"][0]["stream_sid"] == media.sid
    assert seen["streams"][0]["state"] == "streaming"
    listed = (await carrier.control.get("/calls")).json()["calls"]
    assert [c["sid"] for c in listed] == [call.sid]


async def test_unknown_calls_are_404(carrier: Carrier) -> None:
    for path in ("", "/heard"):
        assert (await carrier.control.get(f"/calls/CA1{path}")).status_code == 404
    assert await carrier.act("CA1", "hangup") == 404


async def test_plays_a_clip_to_the_application(carrier: Carrier) -> None:
    call = await carrier.place("+15005551009")
    media = await carrier.peer.media()
    reply = await carrier.control.post(
        f"/calls/{call.sid}/actions",
        content=b"\x21" * 400,
        headers={"Content-Type": "application/octet-stream"},
    )
    assert reply.status_code == 204
    await until(lambda: media.audio.count(b"\x21") == 400)
    await until(lambda: media.audio.endswith(SILENCE))


async def test_a_clip_has_a_longest_length(carrier: Carrier) -> None:
    call = await carrier.place("+15005551009")
    reply = await carrier.control.post(
        f"/calls/{call.sid}/actions",
        content=b"\0" * (PLAY_BYTES_MAX + 1),
        headers={"Content-Type": "application/octet-stream"},
    )
    assert reply.status_code == 400


async def test_presses_keys_and_falls_silent(carrier: Carrier) -> None:
    call = await carrier.place("+15005551001")
    media = await carrier.peer.media()
    assert await carrier.act(call.sid, "dtmf", digits="#") == 204
    await until(lambda: media.events("dtmf"))
    assert media.events("dtmf")[0]["dtmf"] == {"track": "inbound_track", "digit": "#"}
    assert await carrier.act(call.sid, "silence") == 204
    await until(lambda: media.audio.endswith(SILENCE))


async def test_drops_freezes_and_stalls_on_demand(carrier: Carrier) -> None:
    call = await carrier.place("+15005551000")
    media = await carrier.peer.media()
    assert await carrier.act(call.sid, "stall", seconds=0.2) == 204
    await media.mark("late")
    await until(lambda: media.events("mark"))
    assert await carrier.act(call.sid, "freeze") == 204
    assert await carrier.act(call.sid, "drop_tcp") == 204
    await media.closed.wait()
    assert media.close_code == 1006
    await carrier.over(call.sid)
    assert await carrier.act(call.sid, "drop_tcp") == 409


async def test_a_ringing_call_can_turn_out_busy(start: Start) -> None:
    async with start(ring_s=30) as carrier:
        call = await carrier.place("+15005551000")
        await until(lambda: "ringing" in carrier.peer.statuses())
        assert await carrier.act(call.sid, "busy") == 204
        assert (await carrier.over(call.sid, "busy"))["sip_code"] == 486


async def test_odd_actions_are_refused(carrier: Carrier) -> None:
    bodies = [
        b"",
        b"[]",
        b'{"action":"dance"}',
        b'{"action":"dtmf","digits":"x"}',
        b'{"action":"dtmf","digits":"%s"}' % (b"1" * (DIGITS_MAX + 1)),
        b'{"action":"hangup","extra":1}',
    ]
    call = await carrier.place("+15005551000")
    for body in bodies:
        reply = await carrier.control.post(f"/calls/{call.sid}/actions", content=body)
        assert reply.status_code == 400


async def test_odd_fault_plans_are_refused(carrier: Carrier) -> None:
    assert (await carrier.control.put("/faults", content=b"{")).status_code == 400
    assert (await carrier.control.put("/faults", json={"rest": {"status": 99}})).status_code == 400


async def test_the_webhook_log_shows_url_fields_and_attempt(carrier: Carrier) -> None:
    call = await carrier.place("+15005551004")
    await carrier.over(call.sid, "busy")
    await until(lambda: "busy" in carrier.peer.statuses())
    deliveries = (await carrier.control.get("/webhooks")).json()["deliveries"]
    assert (
        deliveries[0].items()
        >= {
            "kind": "status",
            "url": f"{carrier.peer.http}/status",
            "attempt": 1,
            "status": 200,
            "failure": "",
        }.items()
    )
    assert deliveries[0]["params"]["CallSid"] == call.sid
    assert (await carrier.control.delete("/webhooks")).status_code == 204
    assert (await carrier.control.get("/webhooks")).json()["deliveries"] == []


async def test_recordings_of_old_calls_are_forgotten(start: Start) -> None:
    async with start(recordings_kept=0) as carrier:
        call = await carrier.place("+15005551000")
        media = await carrier.peer.media()
        await until(lambda: media.events("media"))
        await carrier.act(call.sid, "hangup")
        await carrier.over(call.sid)
        heard = await carrier.control.get(f"/calls/{call.sid}/heard")
    assert heard.content == b""
    assert int(heard.headers["X-Frames"]) == int(heard.headers["X-Frames-Lost"]) > 0


# --- the service --------------------------------------------------------------------------------


async def test_stops_twice_and_frees_the_port(start: Start) -> None:
    async with start() as carrier:
        port = carrier.service.port
        await carrier.place("+15005551000")
        await carrier.peer.media()
        await carrier.service.stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_a_taken_port_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            await SimulatorService(replace(FAST, port=taken.getsockname()[1])).start()


async def test_it_serves_until_it_is_stopped() -> None:
    port = free_port()
    service = SimulatorService(replace(FAST, port=port))

    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    await service.start()
    serving = asyncio.create_task(service.serve())
    assert await answers()
    await service.stop()
    async with asyncio.timeout(20):
        await serving
    assert not await answers()


async def test_one_broken_leg_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    class Leg:
        def __init__(self, *, breaks: bool) -> None:
            self.steps = 0
            self.failed = False
            self._breaks = breaks

        def step(self, now_ns: int) -> None:
            self.steps += 1
            if self._breaks:
                raise ValueError("planned")

        def fail(self) -> None:
            self.failed = True

    ticker = Ticker(Clock())
    beating = asyncio.create_task(ticker.run())
    broken, sound = Leg(breaks=True), Leg(breaks=False)
    ticker.add(broken)
    ticker.add(sound)
    await until(lambda: sound.steps > 3)
    assert (broken.steps, broken.failed) == (1, True)
    ticker.remove(sound)
    ticker.remove(sound)
    beating.cancel()
    assert "media leg failed" in caplog.text
