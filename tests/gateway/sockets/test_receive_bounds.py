"""A peer that sends more than it may: what is dropped, when it is closed, and that it goes away."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any

import pytest

from gateway.limits.frame_budget import BudgetLimits
from gateway.nanoseconds import SECOND_NS
from gateway.sockets.limits import MediaLimits
from gateway.sockets.receive_bounds import Due, due_now
from tests.gateway.sockets.socket_peers import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Peer,
    close_frame,
    frame,
)

AUDIO = frame(BINARY, bytes(160))
BURST = BudgetLimits().burst_frames


@pytest.fixture(params=["by the transport", "past the transport"])
def read_either_way(request: pytest.FixtureRequest) -> None:
    if request.param == "past the transport":
        if sys.platform != "linux":
            pytest.skip("It stands on Linux's epoll.")
        request.getfixturevalue("past_the_transport")


pytestmark = pytest.mark.usefixtures("read_either_way")


async def pour(peer: Peer, data: bytes) -> None:
    """Send for as long as the other end takes any of it."""
    idle = 0
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(1.5):
            # Twice: once may be this process that stood still.
            while idle < 2:
                peer.writer.write(data)
                idle = 0 if await is_drained(peer) else idle + 1


async def is_drained(peer: Peer) -> bool:
    """Whether the other end still takes what is sent to it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await peer.writer.drain()
            return True
    return False


async def test_what_a_stall_held_back_is_delivered_to_the_last_frame(serve: Any) -> None:
    server = await serve()
    peer, leg = await server.open(AUDIO * 150 + frame(TEXT, b"end"))
    events = await leg.wait(151)
    assert events == [("binary", bytes(160))] * 150 + [("text", b"end")]
    assert server.engine.counters.excess_frames == 0
    assert await is_alive(peer)


async def is_alive(peer: Peer) -> bool:
    peer.send(frame(PING, b"?"))
    return await peer.frame() == (PONG, b"?")


async def test_more_at_once_is_dropped_and_the_connection_goes_on(serve: Any, clock: Any) -> None:
    server = await serve()
    peer, leg = await server.open(AUDIO * (BURST + 100))
    assert await is_alive(peer), "a ping is no audio"
    assert leg.events == [("binary", bytes(160))] * BURST
    assert server.engine.counters.excess_frames == 100
    clock.advance(1)
    peer.send(AUDIO * 50)
    await leg.wait(BURST + 50)
    assert server.engine.counters.floods == 0


@pytest.mark.parametrize("payload", [bytes(160), b"x"], ids=["audio", "tiny"])
async def test_a_flood_is_closed_with_1008_and_delivers_no_more_than_a_burst(
    serve: Any, payload: bytes
) -> None:
    server = await serve()
    peer, leg = await server.open(frame(BINARY, payload) * (BURST + 5_000))
    assert await peer.closed() == 1008
    assert leg.events == [("binary", payload)] * BURST + [("close", 1008)]
    assert server.engine.counters.floods == 1
    assert server.engine.counters.excess_frames == BudgetLimits().excess_frames_max + 1


async def test_who_floods_on_and_reads_nothing_is_not_read_and_is_gone_in_time(
    serve: Any, clock: Any
) -> None:
    server = await serve()
    peer, leg = await server.open()
    peer.reader._transport.pause_reading()
    await pour(peer, AUDIO * 100)
    assert leg.events[-1] == ("close", 1008)
    (media,) = server.engine.connections
    assert media._bounds.discarded <= 2 * MediaLimits().discarded_bytes_max + 2**18
    server.engine.sweep(clock.advance(6))
    await server.gone()


async def test_fragments_and_texts_are_counted_as_well(serve: Any) -> None:
    server = await serve()
    fragments = frame(TEXT, b"a", fin=False) + frame(CONT, b"a", fin=False) * 3_000
    peer, leg = await server.open(fragments)
    assert await peer.closed() == 1008
    assert leg.events == [("close", 1008)]
    peer, leg = await server.open(frame(TEXT, b"a") * 3_000)
    assert await peer.closed() == 1008
    assert leg.events == [("text", b"a")] * BURST + [("close", 1008)]


async def test_a_large_message_counts_for_what_it_has(serve: Any) -> None:
    server = await serve()
    large = frame(TEXT, b"x" * 10_240)
    peer, leg = await server.open(large * 40)
    assert await is_alive(peer)
    assert len(leg.events) == BURST // 11


async def test_who_sends_on_after_our_close_is_not_listened_to(serve: Any, clock: Any) -> None:
    server = await serve()
    peer, leg = await server.open()
    while not server.legs:
        await asyncio.sleep(0)
    leg.connection.close(1000, "call ended")
    await pour(peer, AUDIO * 100)
    assert server.engine.counters.floods == 1
    (media,) = server.engine.connections
    assert media._bounds.discarded <= 2 * MediaLimits().discarded_bytes_max + 2**18
    assert leg.events == [("close", 1000)]
    server.engine.sweep(clock.advance(6))
    await server.gone()


async def test_who_had_audio_under_way_closes_properly(serve: Any) -> None:
    server = await serve()
    peer, leg = await server.open()
    leg.connection.close(1000, "call ended")
    assert (await peer.frame())[0] == CLOSE
    peer.send(AUDIO * BURST + close_frame(1000))
    await peer.end()
    assert leg.events == [("close", 1000)]
    assert server.engine.counters.floods == 0


async def test_what_this_process_did_not_read_ends_nobody(serve: Any, clock: Any) -> None:
    server = await serve()
    peer, leg = await server.open(AUDIO)
    await leg.wait(1)
    clock.advance(50)
    peer.send(AUDIO * 2_500)
    assert await is_alive(peer)
    assert leg.events == [("binary", bytes(160))] * (1 + BURST)
    assert server.engine.counters.floods == 0
    peer.send(AUDIO * 10_000)
    assert await peer.closed() == 1008


async def test_who_is_behind_for_our_standstill_hears_our_last_words(
    serve: Any, clock: Any
) -> None:
    server = await serve()
    peer, leg = await server.open(AUDIO)
    await leg.wait(1)
    clock.advance(28)
    leg.connection.send_text(b"disconnect")
    leg.connection.close(1000, "call ended")
    peer.send(AUDIO * 1_400 + close_frame(1000))
    assert await peer.frame() == (TEXT, b"disconnect")
    assert (await peer.frame())[0] == CLOSE
    await peer.end()
    assert leg.events[1:] == [("close", 1000)]
    assert server.engine.counters.floods == 0


async def test_plain_frames_behind_our_close_count_once(serve: Any) -> None:
    server = await serve()
    peer, leg = await server.open()
    leg.connection.close(1000, "call ended")
    peer.send(AUDIO * 1_400 + close_frame(1000))
    assert (await peer.frame())[0] == CLOSE
    await peer.end()
    assert server.engine.counters.floods == 0


async def test_a_flood_leaves_the_others_their_turn(serve: Any) -> None:
    server = await serve()
    flooder, _ = await server.open()
    peer, leg = await server.open()
    pouring = asyncio.create_task(pour(flooder, AUDIO * 100))
    for count in range(1, 21):
        peer.send(AUDIO)
        await leg.wait(count)
    await pouring
    assert leg.events == [("binary", bytes(160))] * 20


LIMITS = MediaLimits(ping_interval_ns=20 * SECOND_NS, pong_timeout_ns=20 * SECOND_NS)
START_NS = 1_000 * SECOND_NS


def due(now_ns: int, arrived_ns: int, pinged_ns: int = 0) -> Due:
    return due_now(LIMITS, now_ns, arrived_ns, pinged_ns)


def test_a_talking_peer_is_never_pinged():
    for second in range(0, 300, 15):
        now_ns = START_NS + second * SECOND_NS
        assert due(now_ns, now_ns - 19 * SECOND_NS) is Due.NOTHING


def test_a_silent_peer_is_pinged_once_and_given_up():
    pinged_ns = START_NS + 20 * SECOND_NS
    assert due(pinged_ns - 1, START_NS) is Due.NOTHING
    assert due(pinged_ns, START_NS) is Due.PING
    assert due(pinged_ns + 20 * SECOND_NS - 1, START_NS, pinged_ns) is Due.NOTHING
    assert due(pinged_ns + 20 * SECOND_NS, START_NS, pinged_ns) is Due.ABORT


def test_whatever_arrives_answers_a_ping():
    pinged_ns, arrived_ns = START_NS + 20 * SECOND_NS, START_NS + 39 * SECOND_NS
    assert due(START_NS + 41 * SECOND_NS, arrived_ns, pinged_ns) is Due.NOTHING
    assert due(arrived_ns + 20 * SECOND_NS, arrived_ns, pinged_ns) is Due.PING
