"""Sockets that are read past their transports: by whom, and who hears of it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from tests.gateway.sockets.socket_peers import BINARY, TEXT, frame

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="It stands on Linux's epoll."),
    pytest.mark.usefixtures("past_the_transport"),
]


def reader_of(server: Any) -> Any:
    return server.engine.reader


async def unread(leg: Any, count: int) -> None:
    """Let the loop look for a while; nothing more than this comes of it."""
    await asyncio.sleep(0.02)
    assert len(leg.events) == count


async def test_a_paced_reader_reads_when_it_is_told_to(serve):
    server = await serve()
    reader = reader_of(server)
    peer, leg = await server.open()
    peer.send(frame(TEXT, b"before"))
    await leg.wait(1)
    reader.pace(True)
    peer.send(frame(TEXT, b"paced"))
    await unread(leg, 1)
    reader.read()
    assert leg.events[1:] == [("text", b"paced")]
    peer.send(frame(BINARY, b"waiting"))
    await unread(leg, 2)
    reader.pace(False)
    assert (await leg.wait(3))[2] == ("binary", b"waiting")


async def test_a_socket_that_comes_or_goes_meanwhile_is_read_as_the_others(serve):
    server = await serve()
    reader = reader_of(server)
    reader.pace(True)
    reader.read()
    for _ in range(2):  # the last to go takes the poller along
        peer, leg = await server.open()
        peer.send(frame(TEXT, b"a"))
        await unread(leg, 0)
        reader.read()
        assert leg.events == [("text", b"a")]
        leg.connection.abort()
        await server.gone()
    reader.pace(False)
    peer, leg = await server.open()
    peer.send(frame(TEXT, b"b"))
    assert await leg.wait(1) == [("text", b"b")]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_leg_may_exchange_its_handlers_at_any_time(serve, opcode):
    server = await serve()
    peer, leg = await server.open()
    media, heard = leg.connection, []

    def hear(payload: bytes) -> None:
        heard.append(payload)
        media.on_text = media.on_binary = lambda payload: leg._note("again", payload)

    media.on_text = media.on_binary = hear
    peer.send(frame(opcode, b"a") + frame(opcode, b"b"))
    assert await leg.wait(1) == [("again", b"b")]
    assert heard == [b"a"]
    assert media.on_text is media.on_binary
    peer.send(frame(opcode, b"c"))
    assert (await leg.wait(2))[1] == ("again", b"c")


async def test_texts_of_one_call_leave_in_one_write_and_in_order(serve):
    server = await serve()
    peer, leg = await server.open()
    leg.connection.send_audio_binary(b"audio")
    leg.connection.send_text(b"one", b"two", b"x" * 5_000)
    leg.connection.send_audio_text(b"more")
    got = [await peer.frame() for _ in range(5)]
    assert got == [
        (BINARY, b"audio"),
        (TEXT, b"one"),
        (TEXT, b"two"),
        (TEXT, b"x" * 5_000),
        (TEXT, b"more"),
    ]
    assert leg.connection.counters.messages_out == 5
