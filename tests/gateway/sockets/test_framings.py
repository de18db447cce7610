"""One request, one answer: odd framings, cut anywhere, fed to the port and to uvicorn by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.gateway.sockets.framings import FRAMINGS, HELLO, SMUGGLED, Framing
from tests.gateway.sockets.memory_port import PASSES, House, Transport, answers, statuses
from tests.thorough import one_in


def cuts(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the data whole, and in two pieces in every way."""
    return [(data[:at], data[at:]) for at in range(len(data))]


def named(framing: Framing) -> str:
    return framing.name


@pytest.fixture(autouse=True)
def silence(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "uvicorn.error")


@pytest.mark.parametrize("framing", one_in(4, FRAMINGS), ids=named)
async def test_there_are_never_more_answers_than_requests(framing: Framing) -> None:
    house = House()
    for pieces in cuts(framing.data):
        found = await answers(house.port(), *pieces)
        assert len(found) <= framing.requests, pieces
        assert found or not framing.is_answered, pieces
    assert "/smuggled" not in {path for path, _ in house.asked}
    assert {body for _, body in house.asked} <= {None, SMUGGLED, b"hi", b""}
    assert house.clients == []
    assert len(house.engine.strangers) == 0
    assert not house.engine.watched


@pytest.mark.parametrize("framing", [one for one in FRAMINGS if one.is_uvicorns], ids=named)
async def test_answers_are_uvicorns(framing: Framing) -> None:
    house = House()
    for pieces in cuts(framing.data):
        port = await answers(house.port(), *pieces)
        assert port == await answers(house.uvicorn(), *pieces), pieces


async def test_three_pieces_change_nothing_of_an_upgrade() -> None:
    house = House()
    data = (
        b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n"
        b"Content-Length: 36\r\n\r\n" + SMUGGLED
    )
    head = data.index(b"\r\n\r\n") + 4
    for first in range(1, head):
        for second in (head - 1, head, head + 1, len(data) - 1):
            if first < second:
                pieces = (data[:first], data[first:second], data[second:], HELLO)
                assert await answers(house.port(), *pieces) == [400], pieces
    assert house.asked == []


@pytest.mark.parametrize("name", ["connection", "content-length"])
async def test_the_last_answer_says_that_it_is(name: str) -> None:
    protocol, transport = House().port(), Transport()
    protocol.connection_made(transport)
    protocol.data_received(
        b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    )
    for _ in range(PASSES):
        await asyncio.sleep(0)
    assert b"\r\n%s: " % name.encode() in transport.sent
    assert b"\r\nconnection: close\r\n" in transport.sent
    assert transport.has_ended
    sent = bytes(transport.sent)
    protocol.data_received(HELLO)
    await asyncio.sleep(0)
    assert transport.sent == sent
    protocol.connection_lost(None)


async def test_a_fault_behind_a_request_waits_for_its_answer() -> None:
    house = House()
    assert await answers(house.port(), HELLO + b"\x00\r\n\r\n") == [200]
    assert await answers(house.port(), HELLO, b"\x00\r\n\r\n") == [200, 400]
    chunk = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    assert await answers(house.port(), HELLO + chunk) == [200, 400]


@pytest.mark.parametrize("size", [200, 20_000])
async def test_requests_in_line_are_bounded(size: int) -> None:
    found = await in_passes(House().port, HELLO * size, 2000)
    assert found == [200] * 17  # one that is answered, and those that wait


async def in_passes(port: Callable[[], asyncio.Protocol], data: bytes, passes: int) -> list[int]:
    protocol, transport = port(), Transport()
    protocol.connection_made(transport)
    protocol.data_received(data)
    for _ in range(passes):
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    return statuses(bytes(transport.sent))


@pytest.mark.parametrize(
    "piece",
    [
        b"1;" + b"e" * 1000 + b"\r\nx\r\n",
        b"0\r\n" + b"A: b\r\n" * 300,
        b"0\r\nA:" + b"b" * 999,
    ],
)
async def test_chunks_that_carry_more_framing_than_body_are_a_fault(piece: bytes) -> None:
    protocol, transport = House().port(), Transport()
    protocol.connection_made(transport)
    protocol.data_received(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    taken = 0
    while not transport.has_ended and taken < 1 << 20:
        protocol.data_received(piece if piece.startswith(b"1") or not taken else b"b" * 1000)
        taken += len(piece)
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    await asyncio.sleep(0)
    assert statuses(bytes(transport.sent)) == [400]
    assert taken < 64 * 1024
