"""The life of a media socket: who closes it, when, and what the leg is told."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import socket
import weakref

import pytest
from structlog.testing import capture_logs
from websockets.utils import apply_mask

from gateway.ports import Acceptance, MediaConnection
from gateway.sockets.fast_lane import MediaSocket
from gateway.sockets.limits import MediaLimits
from gateway.sockets.phase import Phase
from tests.gateway.sockets.socket_peers import (
    BINARY,
    CLOSE,
    CONT,
    MASK,
    PING,
    PONG,
    TEXT,
    EchoLeg,
    Peer,
    close_frame,
    frame,
    handshake,
)


async def test_it_is_the_connection_that_legs_expect(serve):
    server = await serve()
    await server.open()
    connection: MediaConnection = server.legs[0].connection
    assert isinstance(connection, MediaSocket)
    assert connection.phase is Phase.OPEN
    assert not getattr(connection, "__dict__", None), "all it holds has its slot"


async def test_counters_count_messages_and_payload_bytes(serve, clock):
    server = await serve(leg=EchoLeg)
    peer, leg = await server.open()
    assert leg.connection.counters.last_in_ns == clock.now_ns
    clock.advance(1)
    peer.send(frame(BINARY, bytes(160)) + frame(TEXT, b"x" * 300) + frame(PING))
    peer.send(frame(TEXT, b"frag", fin=False) + frame(CONT, b"ment"))
    for _ in range(4):
        await peer.frame()
    counters = leg.connection.counters
    assert (counters.messages_in, counters.bytes_in) == (3, 468)
    assert (counters.messages_out, counters.bytes_out) == (3, 468)
    assert counters.last_in_ns == clock.now_ns
    assert counters.audio_dropped == 0


@pytest.mark.parametrize("before", [b"", frame(TEXT, b"before")])
async def test_a_frame_that_comes_in_pieces_is_not_taken_for_what_it_carries(serve, before):
    server = await serve()
    inner = frame(TEXT, b"inner")
    outer = frame(BINARY, apply_mask(inner, MASK))
    assert outer.endswith(inner)
    peer, leg = await server.open(before + outer[: -len(inner)])
    expected = [("text", b"before")] if before else []
    assert await leg.wait(len(expected)) == expected
    peer.send(inner)
    expected.append(("binary", apply_mask(inner, MASK)))
    assert await leg.wait(len(expected)) == expected
    peer.send(outer[: -len(inner)])
    await asyncio.sleep(0.05)
    peer.send(inner + frame(TEXT, b"behind"))
    expected += [("binary", apply_mask(inner, MASK)), ("text", b"behind")]
    assert await leg.wait(len(expected)) == expected


async def test_a_process_without_descriptors_left_serves_those_it_has(serve):
    server = await serve(leg=EchoLeg)
    peer = await server.connect()
    while not server.engine.connections:
        await asyncio.sleep(0.002)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        peer.send(handshake() + frame(TEXT, b"a"))
        assert (await peer.head())[0] == 101
        assert await peer.frame() == (TEXT, b"a")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    peer.send(frame(TEXT, b"b"))
    assert await peer.frame() == (TEXT, b"b")


async def test_an_unplugged_connection_ignores_messages(serve):
    server = await serve(router=lambda _: Acceptance(lambda connection: None))
    peer = await server.connect(handshake() + frame(TEXT, b"a") + frame(BINARY, b"b") + frame(PING))
    assert (await peer.head())[0] == 101
    assert await peer.frame() == (PONG, b"")


async def test_an_ipv6_peer_is_named_in_brackets(clock, serve):
    server = await serve()
    loop = asyncio.get_running_loop()
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    async with await loop.create_server(server.engine.protocol_factory, sock=listener):
        reader, writer = await asyncio.open_connection("::1", listener.getsockname()[1])
        peer = Peer(reader, writer)
        peer.send(handshake())
        assert (await peer.head())[0] == 101
        port = writer.get_extra_info("sockname")[1]
        assert server.legs[0].connection.peer == f"[::1]:{port}"
        await peer.leave()
        await server.gone()


# We close.


async def test_our_close_is_done_when_the_peer_echoes_it(serve):
    server = await serve()
    peer, leg = await server.open()
    leg.connection.close(4400, "bad message")
    assert await peer.frame() == (CLOSE, b"\x11\x30bad message")
    assert leg.events == []
    peer.send(close_frame(4400))
    assert await leg.wait(1) == [("close", 4400)]
    assert await peer.end() == b""
    await server.gone()
    assert leg.events == [("close", 4400)]


async def test_after_our_close_pings_are_answered_and_messages_dropped(serve):
    server = await serve()
    peer, leg = await server.open(frame(TEXT, b"be", fin=False))
    peer.send(frame(PING))
    await peer.frame()
    leg.connection.close(1000)
    leg.connection.send_text(b"late")
    leg.connection.send_audio_binary(b"late")
    leg.connection.close(1001)
    peer.send(frame(CONT, b"gun") + frame(TEXT, b"more") + frame(PING, b"?") + close_frame(1000))
    assert await peer.frame() == (CLOSE, b"\x03\xe8")
    assert await peer.frame() == (PONG, b"?")
    assert await peer.end() == b""
    assert leg.events == [("close", 1000)]


async def test_a_leg_may_close_between_two_frames_of_one_read(serve):
    server = await serve()
    peer, leg = await server.open()
    leg.connection.on_text = lambda payload: leg.connection.close(4400)
    peer.send(
        frame(TEXT, b"bad") + frame(BINARY, b"more") + frame(TEXT, b"bad") + close_frame(4400)
    )
    assert await peer.closed() == 4400
    await server.gone()
    assert leg.events == [("close", 4400)]


async def test_a_close_that_is_not_echoed_is_cut_off(serve, clock):
    server = await serve()
    peer, leg = await server.open()
    leg.connection.close()
    assert (await peer.frame())[0] == CLOSE
    server.engine.sweep(clock.advance(4.9))
    assert leg.connection.phase is Phase.CLOSING
    server.engine.sweep(clock.advance(1))
    assert await leg.wait(1) == [("close", 1006)]
    await server.gone()


async def test_a_failed_peer_that_stays_is_cut_off(serve, clock):
    server = await serve()
    peer, leg = await server.open(frame(3))
    assert await peer.frame() == (CLOSE, b"\x03\xea" + b"invalid opcode")
    await leg.wait(1)
    peer.send(frame(TEXT, b"still here") * 100)
    server.engine.sweep(clock.advance(6))
    await server.gone()
    assert leg.events == [("close", 1002)]


async def test_a_long_reason_is_cut_at_a_code_point(serve):
    server = await serve()
    peer, leg = await server.open()
    leg.connection.close(1000, "é" * 100)
    assert await peer.frame() == (CLOSE, b"\x03\xe8" + ("é" * 61).encode())


async def test_abort_tells_the_leg_and_is_final(serve):
    server = await serve()
    _, leg = await server.open()
    leg.connection.abort()
    leg.connection.abort()
    leg.connection.send_text(b"late")
    leg.connection.close()
    assert await leg.wait(1) == [("close", 1006)]
    await server.gone()
    leg.connection.abort()
    leg.connection.send_audio_text(b"late")
    assert leg.events == [("close", 1006)]


async def test_shutdown_closes_what_is_open_and_drops_what_is_not(serve):
    server = await serve()
    peer, leg = await server.open()
    half = await server.connect(handshake()[:40])
    async with asyncio.timeout(5):
        while len(server.engine.connections) < 2:
            await asyncio.sleep(0.002)
    for media in tuple(server.engine.connections):
        media.shutdown()
    assert await peer.frame() == (CLOSE, b"\x03\xe9")
    peer.send(close_frame(1001))
    assert await peer.end() == b""
    assert leg.events == [("close", 1001)]
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await half.head()
    await server.gone()


# The peer goes.


async def test_a_peer_that_ends_without_a_close_frame_vanished(serve):
    server = await serve()
    peer, leg = await server.open(frame(TEXT, b"last") + b"\x82")
    peer.writer.write_eof()
    assert await leg.wait(2) == [("text", b"last"), ("close", 1006)]
    await server.gone()


async def test_a_peer_that_resets_vanished(serve):
    server = await serve()
    peer, leg = await server.open()
    peer.reset()
    assert await leg.wait(1) == [("close", 1006)]
    for _ in range(10):
        leg.connection.send_text(b"x")
        leg.connection.send_audio_binary(b"x")
    await server.gone()


async def test_sending_to_a_peer_that_has_reset_raises_nothing(serve):
    server = await serve()
    peer, leg = await server.open()
    peer.reset()
    # Written before the loop reports the reset, so that the transport meets the error itself.
    for _ in range(50):
        leg.connection.send_audio_binary(bytes(160))
        leg.connection.send_text(b"x")
    leg.connection.close(1000)
    assert await leg.wait(1) == [("close", 1006)]
    await server.gone()


# Faults of ours.


@pytest.mark.parametrize("data", [frame(TEXT, b"a"), frame(BINARY, b"a"), frame(TEXT)])
async def test_a_handler_that_raises_ends_its_own_connection_only(serve, data):
    server = await serve()
    other, other_leg = await server.open()
    peer, leg = await server.open()

    def fail(payload: bytes) -> None:
        raise ZeroDivisionError

    leg.connection.on_text = leg.connection.on_binary = fail
    with capture_logs() as logs:
        peer.send(data + frame(TEXT, b"not delivered"))
        assert await peer.closed() == 1011
    assert leg.events == [("close", 1011)]
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("media handler failed", "error")
    ]
    assert logs[0]["exc_info"]
    assert server.engine.counters.handler_faults == 1
    other.send(frame(TEXT, b"alive"))
    assert await other_leg.wait(1) == [("text", b"alive")]


async def test_a_handler_that_raises_after_it_aborted_is_logged(serve):
    server = await serve()
    peer, leg = await server.open()

    def fail(payload: bytes) -> None:
        leg.connection.abort()
        raise ZeroDivisionError

    leg.connection.on_text = fail
    with capture_logs() as logs:
        peer.send(frame(TEXT, b"a"))
        assert await leg.wait(1) == [("close", 1006)]
    assert len(logs) == 1


async def test_a_failing_attach_closes_the_connection(serve):
    def fail(connection: MediaConnection) -> None:
        raise ZeroDivisionError

    server = await serve(router=lambda _: Acceptance(fail))
    peer = await server.connect(handshake())
    with capture_logs():
        assert (await peer.head())[0] == 101
        assert await peer.closed() == 1011


async def test_a_failing_close_handler_is_logged_and_harms_nothing(serve):
    server = await serve()
    peer, leg = await server.open()

    def fail(code: int) -> None:
        raise ZeroDivisionError

    leg.connection.on_close = fail
    with capture_logs() as logs:
        peer.send(close_frame(1000))
        assert await peer.closed() == 1000
        await server.gone()
    assert [entry["event"] for entry in logs] == ["media close handler failed"]


# Deadlines, by the sweep.


@pytest.mark.parametrize("sent", [b"", handshake()[:-2], b"GET /n/one/me"])
async def test_a_slow_handshake_is_dropped_at_its_deadline(serve, clock, sent):
    server = await serve()
    peer = await server.connect(sent)
    async with asyncio.timeout(5):
        while not server.engine.connections:
            await asyncio.sleep(0.002)
    server.engine.sweep(clock.advance(4.9))
    assert [media.phase for media in server.engine.connections] == [Phase.OPENING]
    server.engine.sweep(clock.advance(0.1))
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await peer.head()
    await server.gone()
    assert server.engine.counters.late == 1


async def test_dripping_bytes_does_not_extend_the_deadline(serve, clock):
    server = await serve()
    peer = await server.connect()
    for value in handshake()[:9]:
        peer.send(bytes((value,)))
        await asyncio.sleep(0.01)
        server.engine.sweep(clock.advance(0.5))
        assert len(server.engine.connections) == 1
    server.engine.sweep(clock.advance(0.5))
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await peer.head()
    await server.gone()
    assert server.engine.counters.late == 1


async def test_a_silent_peer_is_pinged_and_kept_while_it_answers(serve, clock):
    server = await serve()
    peer, leg = await server.open()
    server.engine.sweep(clock.advance(19))
    for _ in range(3):
        server.engine.sweep(clock.advance(21))
        assert await peer.frame() == (PING, b"")
        peer.send(frame(PONG) + frame(TEXT, b"here"))
        await leg.wait(len(leg.events) + 1)
        server.engine.sweep(clock.advance(2))
        assert leg.connection._library._protocol is None
    server.engine.sweep(clock.advance(19))
    assert await peer.frame() == (PING, b"")


async def test_a_half_open_connection_is_dropped(serve, clock):
    server = await serve()
    peer, leg = await server.open()
    server.engine.sweep(clock.advance(20))
    assert await peer.frame() == (PING, b"")
    server.engine.sweep(clock.advance(19))
    assert leg.connection.phase is Phase.OPEN
    server.engine.sweep(clock.advance(1))
    assert await leg.wait(1) == [("close", 1006)]
    assert server.engine.counters.unanswered == 1


async def test_a_peer_whose_answer_waits_is_not_dropped(serve, clock):
    """A sweep is told until when all was read: after a standstill that is its beginning."""
    server = await serve()
    peer, leg = await server.open()
    server.engine.sweep(clock.advance(20))
    assert await peer.frame() == (PING, b"")
    stood_ns = clock.advance(1)
    peer.send(frame(PONG))
    clock.advance(30)
    server.engine.sweep(stood_ns)
    assert leg.connection.phase is Phase.OPEN


async def test_a_talking_peer_is_never_pinged(serve, clock):
    server = await serve()
    peer, leg = await server.open()
    for turn in range(5):
        peer.send(frame(BINARY, b"audio"))
        await leg.wait(turn + 1)
        server.engine.sweep(clock.advance(15))
    leg.connection.send_text(b"first frame")
    assert await peer.frame() == (TEXT, b"first frame")


# Floods.


@pytest.mark.parametrize(
    "idle",
    [frame(PING), frame(PONG, b"x"), frame(TEXT), frame(BINARY, b"", length_bytes=2)],
    ids=["ping", "pong", "empty text", "empty binary"],
)
async def test_idle_frames_are_limited_per_second(serve, clock, idle):
    server = await serve(limits=MediaLimits(control_frames_max_per_s=5))
    peer, leg = await server.open(idle * 5)
    peer.send(frame(TEXT, b"mark"))
    await leg.wait(1)
    clock.advance(1)
    peer.send(idle * 5 + frame(TEXT, b"mark"))
    while ("text", b"mark") not in leg.events[1:]:
        leg.got.clear()
        await leg.got.wait()
    assert server.engine.counters.floods == 0
    peer.send(idle)
    opcode, payload = await peer.frame()
    while opcode == PONG:
        opcode, payload = await peer.frame()
    assert (opcode, payload[:2]) == (CLOSE, b"\x03\xf0")
    assert leg.events[-1] == ("close", 1008)
    assert server.engine.counters.floods == 1


async def test_empty_fragments_are_idle_frames(serve):
    server = await serve(limits=MediaLimits(control_frames_max_per_s=5))
    data = frame(TEXT, b"", fin=False) + frame(CONT, b"", fin=False) * 5
    peer, _ = await server.open(data)
    assert await peer.closed() == 1008


# What must not stay or leak.


async def test_no_payload_reaches_a_log_at_any_level(serve, caplog):
    caplog.set_level(logging.DEBUG)
    server = await serve()
    peer, _ = await server.open(frame(TEXT, b"secret") + frame(PING, b"secret"))
    peer.send(frame(TEXT, b"secret", fin=False) + close_frame(1000, b"secret"))
    assert (await peer.frame())[0] == PONG
    assert await peer.closed() == 1002
    assert "secret" not in caplog.text
    assert "Sec-WebSocket" not in caplog.text


async def test_the_library_is_released_once_the_handshake_is_done(serve):
    server = await serve()
    _, leg = await server.open(frame(TEXT, b"a"))
    await leg.wait(1)
    assert leg.connection._library._protocol is None


async def test_a_lost_connection_is_freed_without_the_collector(serve):
    server = await serve()
    peer, leg = await server.open(frame(TEXT, b"a", fin=False) + frame(CONT, b"b"))
    await leg.wait(1)
    library = weakref.ref(leg.connection._library._protocol)
    gc.collect()
    gc.disable()
    try:
        await peer.leave()
        await server.gone()
        server.legs.clear()
        del leg.connection
        await asyncio.sleep(0.01)
        assert library() is None
    finally:
        gc.enable()


async def test_a_leg_is_let_go_when_its_connection_ends(serve):
    server = await serve()
    peer, leg = await server.open()
    connection = leg.connection
    peer.send(close_frame(1000))
    await leg.wait(1)
    gone = weakref.ref(leg)
    server.legs.clear()
    del leg
    assert gone() is None
    assert connection.phase is Phase.DRAINING
