"""A peer that does not read: what waits, what is dropped, and when it is given up."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.sockets.fast_lane import MediaSocket
from gateway.sockets.limits import MediaLimits
from gateway.sockets.phase import Phase
from gateway.sockets.tls import ServerTls
from tests.gateway.sockets.socket_peers import BINARY, CLOSE, TEXT, DeafPeer, Leg, MediaServer

AUDIO_BYTES = 1000


@pytest.fixture(params=["plain", "tls"])
async def deaf(serve, authority, tmp_path, request) -> AsyncIterator[Callable[..., Any]]:
    """Open a connection to a peer that does not read; limits by keyword."""
    is_tls = request.param == "tls"
    tls = ServerTls(*authority.issue(tmp_path)).context if is_tls else None
    client = authority.client() if is_tls else None
    peers: list[DeafPeer] = []

    async def open_one(**limits: int) -> tuple[MediaServer, DeafPeer, Leg]:
        server = await serve(limits=MediaLimits(**{"send_buffer_bytes": 4096, **limits}), tls=tls)
        peers.append(await DeafPeer.open(server.port, client))
        return server, peers[-1], server.legs[-1]

    yield open_one
    for peer in peers:
        peer.leave()


def audio(number: int) -> bytes:
    return b"%09d " % number + bytes(AUDIO_BYTES - 10)


def send_until_dropped(leg: Leg, drops: int) -> int:
    """Send numbered audio until `drops` messages have been dropped; return how many were sent."""
    for number in range(10_000):
        leg.connection.send_audio_binary(audio(number))
        if leg.connection.counters.audio_dropped == drops:
            return number + 1
    pytest.fail("the kernel swallowed everything")


async def test_audio_is_dropped_oldest_first_and_counted(deaf):
    _, peer, leg = await deaf()
    sent = send_until_dropped(leg, 25)
    leg.connection.send_text(b"end")
    frames = await peer.frames_until((TEXT, b"end"))
    got = [int(payload[:9]) for opcode, payload in frames if opcode == BINARY]
    # What reached the kernel, then a gap of exactly the dropped ones, then the last ten.
    before = sent - 25 - 10
    assert got == [*range(before), *range(sent - 10, sent)]
    assert frames[-1] == (TEXT, b"end")
    counters = leg.connection.counters
    assert counters.messages_out == before + 10 + 1
    assert counters.bytes_out == (before + 10) * AUDIO_BYTES + 3


async def test_the_stream_flows_again_after_a_stall(deaf):
    _, peer, leg = await deaf()
    send_until_dropped(leg, 1)
    leg.connection.send_text(b"end")
    await peer.frames_until((TEXT, b"end"))
    leg.connection.send_audio_text(b"fresh")
    assert await peer.frames_until((TEXT, b"fresh")) == [(TEXT, b"fresh")]
    assert leg.connection.counters.audio_dropped == 1


async def test_control_is_kept_in_order_with_the_audio_around_it(deaf):
    _, peer, leg = await deaf(audio_messages_waiting_max=4)
    send_until_dropped(leg, 1)
    for number in range(8):
        leg.connection.send_text(b"mark %d" % number)
        leg.connection.send_audio_text(b"audio %d" % number)
    frames = await peer.frames_until((TEXT, b"audio 7"))
    texts = [payload.decode() for opcode, payload in frames if opcode == TEXT]
    assert texts == [
        *(f"mark {number}" for number in range(4)),
        *(f"{kind} {number}" for number in range(4, 8) for kind in ("mark", "audio")),
    ]


async def test_texts_that_are_sent_together_arrive_one_by_one(deaf):
    _, peer, leg = await deaf()
    leg.connection.send_text(b"one", b"two")
    assert leg.connection.counters.messages_out == 2
    assert leg.connection.counters.bytes_out == 6
    send_until_dropped(leg, 1)
    leg.connection.send_text(b"three", b"four")
    frames = await peer.frames_until((TEXT, b"four"))
    texts = [payload for opcode, payload in frames if opcode == TEXT]
    assert texts == [b"one", b"two", b"three", b"four"]


async def test_of_texts_that_are_too_much_together_none_waits_for_a_dead_peer(deaf):
    server, _, leg = await deaf(control_bytes_waiting_max=2_500)
    send_until_dropped(leg, 1)
    leg.connection.send_text(*[bytes(1000)] * 5)
    assert leg.connection.phase is Phase.DRAINING
    assert not leg.connection._queue
    assert server.engine.counters.stalled == 1


async def test_too_much_control_waiting_aborts(deaf):
    server, _, leg = await deaf(control_bytes_waiting_max=20_000)
    send_until_dropped(leg, 1)
    for _ in range(19):
        leg.connection.send_text(bytes(1000))
    assert leg.connection.phase is Phase.OPEN
    leg.connection.send_text(bytes(1000))  # with its header, more than the limit
    assert leg.connection.phase is Phase.DRAINING
    assert leg.events == []
    assert await leg.wait(1) == [("close", 1006)]
    assert server.engine.counters.stalled == 1
    leg.connection.send_text(b"late")
    await server.gone()


async def test_pongs_to_a_peer_that_does_not_read_are_bounded_too(deaf):
    server, _, leg = await deaf(control_bytes_waiting_max=1000, control_frames_max_per_s=10_000)
    send_until_dropped(leg, 1)
    media = leg.connection
    for _ in range(100):
        media.data_received(b"\x89\xfd\0\0\0\0" + bytes(125))
    assert await leg.wait(1) == [("close", 1006)]
    assert server.engine.counters.stalled == 1


async def test_a_close_waits_for_its_turn_and_ends_the_stream(deaf):
    server, peer, leg = await deaf()
    send_until_dropped(leg, 1)
    leg.connection.send_text(b"goodbye")
    leg.connection.data_received(b"\x88\x82\0\0\0\0\x03\xe8")  # the peer closes, but does not read
    assert leg.events == [("close", 1000)]
    assert leg.connection.phase is Phase.ENDING
    frames = await peer.frames_to_end()
    assert leg.connection.phase is Phase.DRAINING
    assert frames[-2:] == [(TEXT, b"goodbye"), (CLOSE, b"\x03\xe8")]
    peer.leave()
    await server.gone()


async def test_our_close_to_a_stalled_peer_is_cut_off(deaf, clock):
    server, _, leg = await deaf()
    send_until_dropped(leg, 1)
    leg.connection.close(1000)
    server.engine.sweep(clock.advance(6))
    assert await leg.wait(1) == [("close", 1006)]
    await server.gone()


async def test_a_deaf_peer_costs_bounded_memory_even_before_it_is_noticed(deaf):
    """Behind TLS a transport of 64 KiB, which no limit of ours reaches, comes on top."""
    _, _, leg = await deaf()
    send_until_dropped(leg, 1)
    assert leg.connection.counters.bytes_out < 64 * 1024 + 32 * 1024


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="SIOCOUTQ is Linux's")


@linux_only
async def test_audio_waits_while_the_kernel_holds_too_much(deaf):
    _, peer, leg = await deaf(send_buffer_bytes=1 << 18, unsent_bytes_max=20_000)
    for number in range(50):
        leg.connection.send_audio_binary(audio(number))
    leg.connection.check_congestion()
    assert leg.connection.counters.audio_dropped == 0
    for number in range(50, 70):
        leg.connection.send_audio_binary(audio(number))
    leg.connection.check_congestion()
    assert leg.connection.counters.audio_dropped == 10
    assert leg.connection.counters.messages_out == 50
    await peer.frames_until((BINARY, audio(49)))
    await sweep_until(leg.connection, lambda: leg.connection.counters.messages_out == 60)
    frames = await peer.frames_until((BINARY, audio(69)))
    assert frames == [(BINARY, audio(number)) for number in range(60, 70)]


@linux_only
async def test_every_sweep_asks_the_kernel(deaf, clock):
    server, _, leg = await deaf(send_buffer_bytes=1 << 18, unsent_bytes_max=20_000)
    for number in range(50):
        leg.connection.send_audio_binary(audio(number))
    assert leg.connection.counters.messages_out == 50
    server.engine.sweep(clock())
    leg.connection.send_audio_binary(audio(50))
    assert leg.connection.counters.messages_out == 50


@linux_only
async def test_control_passes_congestion_but_not_the_audio_before_it(deaf):
    _, peer, leg = await deaf(send_buffer_bytes=1 << 18, unsent_bytes_max=20_000)
    for number in range(50):
        leg.connection.send_audio_binary(audio(number))
    leg.connection.check_congestion()
    leg.connection.send_text(b"passes")
    assert leg.connection.counters.messages_out == 51
    leg.connection.send_audio_text(b"waits")
    leg.connection.send_text(b"behind it")
    assert leg.connection.counters.messages_out == 51
    leg.connection.close(1000)
    assert leg.connection.counters.messages_out == 53
    frames = await peer.frames_until((CLOSE, b"\x03\xe8"))
    assert [payload for _, payload in frames[-4:-1]] == [b"passes", b"waits", b"behind it"]


async def test_the_limit_is_left_only_below_its_half(deaf):
    _, _, leg = await deaf(unsent_bytes_max=20_000)
    media = leg.connection
    for unsent_bytes, waits in (
        (20_000, False),
        (20_001, True),
        (20_000, True),
        (10_000, True),
        (9_999, False),
    ):
        media.judge_unsent(unsent_bytes)
        assert media._audio_clear is not waits


@linux_only
async def test_a_transport_that_has_failed_has_nothing_unsent(deaf, monkeypatch):
    _, _, leg = await deaf()
    media = leg.connection
    closed = socket.socket()
    closed.close()
    with open(os.devnull) as not_a_socket:
        for connection in (closed, not_a_socket, None):
            monkeypatch.setattr(media, "_transport", StubTransport(connection))
            media.check_congestion()
            assert media._audio_clear
    monkeypatch.undo()


async def test_a_closing_connection_is_not_checked(deaf):
    _, _, leg = await deaf()
    leg.connection.abort()
    leg.connection.check_congestion()
    assert await leg.wait(1) == [("close", 1006)]
    leg.connection.check_congestion()


async def test_a_connection_ends_with_our_close_half_closed_or_not(deaf):
    server, peer, leg = await deaf()
    leg.connection.data_received(b"\x88\x82\0\0\0\0\x03\xe8")
    assert leg.events == [("close", 1000)]
    assert await peer.frames_to_end() == [(CLOSE, b"\x03\xe8")]
    peer.leave()
    await server.gone()


class StubTransport:
    """A transport of which only the socket is asked for."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def get_extra_info(self, name: str) -> Any:
        assert name == "socket"
        return self._connection


async def sweep_until(media: MediaSocket, done: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not done():
            media.check_congestion()
            await asyncio.sleep(0.002)
