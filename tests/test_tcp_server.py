"""A test's own TCP server leaves no connection behind, whatever its peers do."""

import asyncio
import contextlib
import socket

import pytest

from tests.tcp_server import HOST, tcp_server


async def reads_all(reader, _writer):
    await reader.read()


async def ended(reader):
    with contextlib.suppress(ConnectionError):
        return await reader.read() == b""
    return True


async def test_a_connection_that_says_nothing_ends_with_the_block():
    async with tcp_server(reads_all) as port:
        reader, writer = await asyncio.open_connection(HOST, port)
    async with asyncio.timeout(5):
        assert await ended(reader)
    writer.close()


@pytest.mark.parametrize("turns", range(6))
async def test_one_that_comes_at_the_last_moment_does_too(turns):
    """However far asyncio has come with it."""
    with socket.socket() as peer:
        async with tcp_server(reads_all) as port:
            peer.connect((HOST, port))
            for _ in range(turns):
                await asyncio.sleep(0)
        peer.settimeout(5)
        with contextlib.suppress(ConnectionError):
            assert peer.recv(1) == b""


async def test_who_does_not_read_is_not_waited_for():
    async def floods(_reader, writer):
        writer.write(bytes(1 << 24))

    async with asyncio.timeout(5), tcp_server(floods) as port:
        _, writer = await asyncio.open_connection(HOST, port, limit=1)
    writer.close()


async def test_a_connection_is_closed_once_it_is_served():
    async def greets(_reader, writer):
        writer.write(b"hello")

    async with tcp_server(greets) as port:
        reader, writer = await asyncio.open_connection(HOST, port)
        assert await reader.read() == b"hello"
        writer.close()


async def test_what_serving_raises_is_raised_unless_the_peer_was_gone():
    async def doubts(reader, _writer):
        assert await reader.readexactly(2) == b"no"

    async with tcp_server(doubts) as port:
        _, gone = await asyncio.open_connection(HOST, port)
        gone.close()
    context = tcp_server(doubts)
    reader, writer = await asyncio.open_connection(HOST, await context.__aenter__())
    writer.write(b"hi")
    await reader.read()
    writer.close()
    with pytest.raises(AssertionError):
        await context.__aexit__(None, None, None)
