"""A stream of events on real sockets, plain and with TLS: what its peer gets, and what it costs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.sockets.event_stream import INPUT_BYTES_MAX, PIECE_BYTES, EventStream
from gateway.watching.board import Board
from gateway.watching.channel import Audience
from gateway.watching.feed import UNREAD_NS, Feed
from tests.certificates import Authority
from tests.gateway.sockets.socket_peers import Peer
from tests.gateway.watching.played import AT

Begin = Callable[[], Awaitable[tuple[EventStream, Peer]]]
BIG = b"".join(b"%08d" % n for n in range(1_000_000))
"""Eight megabytes: more than the kernel takes of a peer that does not read."""


@pytest.fixture(params=["plain", "tls"])
async def begin(
    request: pytest.FixtureRequest, authority: Authority, tmp_path: Path
) -> AsyncIterator[Begin]:
    """Begin a stream and return it with its peer, who has read nothing."""
    streams: list[EventStream] = []

    def new_stream() -> EventStream:
        streams.append(EventStream())
        return streams[-1]

    ours = theirs = None
    if request.param == "tls":
        pair = authority.issue(tmp_path)
        ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ours.load_cert_chain(*pair)
        theirs = authority.client()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(new_stream, "127.0.0.1", 0, ssl=ours)
    async with AsyncExitStack() as stack:

        async def begin() -> tuple[EventStream, Peer]:
            peer = await Peer.connect(server.sockets[0].getsockname()[1], theirs)
            stack.push_async_callback(peer.leave)
            # With TLS a protocol has no connection before the handshake is over.
            await until(lambda: streams and streams[-1]._transport is not None)
            return streams.pop(), peer

        yield begin
    server.close()


async def at_rest(count: Callable[[], int]) -> int:
    """Return a count once it rests: the kernel takes what it has room for in its own time."""
    async with asyncio.timeout(20):
        before, now = -1, count()
        while now != before:
            await asyncio.sleep(0.05)
            before, now = now, count()
    return now


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


async def test_the_answer_is_a_stream_that_nothing_keeps_or_collects(begin: Begin) -> None:
    stream, peer = await begin()
    status, fields = await peer.head()
    assert status == 200
    assert fields["content-type"] == "text/event-stream; charset=utf-8"
    assert (fields["cache-control"], fields["x-content-type-options"]) == ("no-store", "nosniff")
    assert (fields["connection"], fields["x-accel-buffering"]) == ("close", "no")
    assert fields["date"].endswith(" GMT")
    assert not fields.keys() & {"content-length", "transfer-encoding", "server"}
    assert not stream.is_behind
    stream.close()
    assert await peer.end() == b""


@pytest.mark.parametrize("sizes", [[1, 2, 3], [PIECE_BYTES, PIECE_BYTES + 1, 1], [0, 5_000_000, 7]])
async def test_texts_come_whole_and_in_order(begin: Begin, sizes: list[int]) -> None:
    stream, peer = await begin()
    await peer.head()
    texts = [bytes([n + 65]) * size for n, size in enumerate(sizes)]
    for text in texts:
        stream.send(text)
    async with asyncio.timeout(5):
        assert await peer.reader.readexactly(sum(sizes)) == b"".join(texts)
    await until(lambda: not stream.is_behind)
    stream.send(b"and on")
    stream.close()
    assert await peer.end() == b"and on"


async def test_what_is_not_read_is_kept_but_not_copied(begin: Begin) -> None:
    stream, peer = await begin()
    await peer.head()
    for _ in range(4):
        stream.send(BIG)
    assert stream.is_behind
    handed_on = await at_rest(lambda: stream.handed_on)
    assert stream.is_behind, "nothing is read"
    assert {id(piece.obj) for piece in stream._pieces or ()} == {id(BIG)}
    assert stream._transport is not None
    assert stream._transport.get_write_buffer_size() <= 4 * PIECE_BYTES
    async with asyncio.timeout(20):
        assert await peer.reader.readexactly(len(BIG)) == BIG
        assert stream.handed_on > handed_on
        for _ in range(3):
            assert await peer.reader.readexactly(len(BIG)) == BIG
    await until(lambda: not stream.is_behind)


async def test_a_stream_that_is_closed_goes_once_all_is_read(begin: Begin) -> None:
    stream, peer = await begin()
    await peer.head()
    closed: list[int] = []
    stream.on_close = lambda: closed.append(1)
    stream.send(BIG)
    stream.send(b"the end")
    stream.close()
    stream.close()
    stream.send(b"too late")
    assert closed == []
    async with asyncio.timeout(20):
        assert await peer.reader.read(-1) == BIG + b"the end"
    await peer.leave()
    await until(lambda: closed)
    assert closed == [1]


async def test_a_closed_stream_is_behind_until_its_peer_is_gone(begin: Begin) -> None:
    """Else one that reads nothing would stay for ever: nobody sends to it any more."""
    stream, peer = await begin()
    await peer.head()
    stream.send(BIG)
    await until(lambda: len(peer.reader._buffer) > 0)  # type: ignore[attr-defined]
    while stream._pieces:  # until the rest lies in the transport
        await peer.reader.read(PIECE_BYTES)
        await asyncio.sleep(0)
    stream.close()
    assert stream.is_behind
    await peer.end()


async def test_a_peer_that_reads_nothing_of_its_end_is_dropped_after_a_minute(
    begin: Begin,
) -> None:
    stream, peer = await begin()
    feed, closed = Feed(Board(), "e1"), asyncio.Event()
    viewer = feed.join(Audience("alice"), "", stream, 0, AT)
    stream.on_close = closed.set
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    # Some of it lies in the transport, but less than makes it say that it is full.
    transport = stream._transport
    assert transport is not None
    while not transport.get_write_buffer_size():
        stream.send(b"x" * 4_096)
        await asyncio.sleep(0)
    feed.end(viewer, "unauthorized")
    feed.serve(viewer, 1, AT)
    await asyncio.sleep(0.05)
    assert not closed.is_set()
    feed.serve(viewer, 1 + UNREAD_NS, AT)
    async with asyncio.timeout(5):
        await closed.wait()


@pytest.mark.parametrize("how", ["leaves", "resets", "is cut off", "is closed"])
async def test_its_end_is_told_once_however_it_comes(begin: Begin, how: str) -> None:
    stream, peer = await begin()
    await peer.head()
    closed: list[int] = []
    stream.on_close = lambda: closed.append(1)
    if how == "leaves":
        await peer.leave()
    elif how == "resets":
        peer.reset()
    elif how == "is cut off":
        stream.abort()
    else:
        stream.close()
        await peer.end()
    await until(lambda: closed)
    for _ in range(2):
        stream.send(b"nobody reads this")
        stream.close()
        stream.abort()
    await asyncio.sleep(0.01)
    assert closed == [1]
    assert not stream._pieces


async def test_a_peer_that_leaves_in_the_middle_takes_what_is_unread_with_it(begin: Begin) -> None:
    stream, peer = await begin()
    closed = asyncio.Event()
    stream.on_close = closed.set
    stream.send(BIG)
    peer.reset()
    async with asyncio.timeout(5):
        await closed.wait()
    assert not stream._pieces


async def test_what_a_peer_says_is_dropped_and_who_says_much_is(begin: Begin) -> None:
    stream, peer = await begin()
    await peer.head()
    closed = asyncio.Event()
    stream.on_close = closed.set
    peer.send(b"x" * (INPUT_BYTES_MAX // 2))
    await asyncio.sleep(0.02)
    stream.send(b"still here")
    async with asyncio.timeout(5):
        assert await peer.reader.readexactly(10) == b"still here"
        peer.send(b"x" * (INPUT_BYTES_MAX // 2 + 1))
        await closed.wait()


async def test_before_and_after_its_connection_nothing_is_sent() -> None:
    stream = EventStream()
    stream.send(b"x" * (PIECE_BYTES + 1))
    stream.close()
    stream.abort()
    assert not stream._pieces
