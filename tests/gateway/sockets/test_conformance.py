"""RFC 6455 as a client can try it, over real sockets."""

from __future__ import annotations

import asyncio
import struct

import pytest
from websockets.asyncio.client import connect

from gateway.ports import Acceptance, Refusal
from gateway.sockets.limits import MediaLimits
from tests.gateway.sockets.socket_peers import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    EchoLeg,
    close_frame,
    frame,
    handshake,
)

EURO = "€".encode()
LIMITS = MediaLimits(message_bytes_max=70_000)

FAULTS = {
    "unmasked text": (frame(TEXT, b"hello", masked=False), 1002),
    "unmasked ping": (frame(PING, b"hello", masked=False), 1002),
    "unmasked binary with a 16-bit length": (frame(BINARY, bytes(300), masked=False), 1002),
    "unmasked header alone": (b"\x82\x05", 1002),
    "RSV1 on text": (frame(TEXT, b"hello", rsv=4), 1002),
    "RSV2 on binary": (frame(BINARY, b"hello", rsv=2), 1002),
    "RSV3 on ping": (frame(PING, b"hello", rsv=1), 1002),
    "reserved data opcode": (frame(3, b"hello"), 1002),
    "reserved control opcode": (frame(0xB, b"hello"), 1002),
    "reserved opcode, header alone": (b"\x8b\x85", 1002),
    "fragmented ping": (frame(PING, b"a", fin=False), 1002),
    "fragmented close": (frame(CLOSE, b"", fin=False), 1002),
    "ping of 126 bytes": (frame(PING, bytes(126)), 1002),
    "close of 126 bytes": (frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    "continuation without a start": (frame(CONT, b"a"), 1002),
    "unfinished continuation without a start": (frame(CONT, b"a", fin=False), 1002),
    "text inside a fragmented message": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "binary inside a fragmented message": (
        frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"),
        1002,
    ),
    "start inside a fragmented message": (
        frame(BINARY, b"a", fin=False) + frame(BINARY, b"b", fin=False),
        1002,
    ),
    "close inside a fragmented message": (frame(TEXT, b"a", fin=False) + close_frame(1000), 1002),
    "invalid UTF-8": (frame(TEXT, b"\xc3\x28"), 1007),
    "overlong UTF-8": (frame(TEXT, b"\xc0\x80"), 1007),
    "a surrogate in UTF-8": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "a code point above U+10FFFF": (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "UTF-8 cut at the end": (frame(TEXT, EURO[:2]), 1007),
    "invalid UTF-8 in a long-form frame": (frame(TEXT, b"\xff", length_bytes=8), 1007),
    "invalid UTF-8 in a first fragment": (frame(TEXT, b"\xff", fin=False), 1007),
    "UTF-8 cut at the last fragment": (
        frame(TEXT, EURO[:1], fin=False) + frame(CONT, EURO[1:2]),
        1007,
    ),
    "oversize, 16-bit length": (frame(BINARY, bytes(17_000)), 1009),
    "oversize, header alone": (b"\x82\xfe\xff\xff", 1009),
    "oversize, 64-bit length": (b"\x82\xff" + struct.pack("!Q", 1 << 40), 1009),
    "oversize, 64-bit length with only high bits": (
        b"\x82\xff" + struct.pack("!Q", 3 << 48) + bytes(40),
        1009,
    ),
    "a length with the highest bit set": (b"\x81\xff" + b"\xff" * 8, 1009),
    "oversize in fragments": (
        frame(BINARY, bytes(16_000), fin=False) + frame(CONT, bytes(400)),
        1009,
    ),
    "oversize in fragments, header alone": (
        frame(BINARY, bytes(16_000), fin=False) + b"\x80\xfe\x04\x00",
        1009,
    ),
    "close with one byte": (frame(CLOSE, b"\x03"), 1002),
    "close with a bad reason": (close_frame(1000, b"\xff"), 1007),
}
ILLEGAL_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]
LEGAL_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_closes_with_its_code(serve, name):
    data, code = FAULTS[name]
    server = await serve()
    peer, leg = await server.open(data)
    assert await peer.closed() == code
    assert await leg.wait(1) == [("close", code)]
    await server.gone()


@pytest.mark.parametrize("code", ILLEGAL_CODES)
async def test_an_illegal_close_code_is_a_protocol_error(serve, code):
    server = await serve()
    peer, leg = await server.open(close_frame(code))
    assert await peer.closed() == 1002
    assert await leg.wait(1) == [("close", 1002)]


@pytest.mark.parametrize("code", LEGAL_CODES)
async def test_a_legal_close_is_echoed_and_reported(serve, code):
    server = await serve()
    peer, leg = await server.open(close_frame(code, EURO))
    assert await peer.frame() == (CLOSE, struct.pack("!H", code) + EURO)
    assert await peer.end() == b""
    assert await leg.wait(1) == [("close", code)]
    await server.gone()


async def test_a_close_without_code_is_echoed_without_one(serve):
    server = await serve()
    peer, leg = await server.open(frame(CLOSE))
    assert await peer.frame() == (CLOSE, b"")
    assert await peer.end() == b""
    assert await leg.wait(1) == [("close", 1005)]


async def test_nothing_behind_a_close_frame_is_delivered(serve):
    server = await serve()
    peer, leg = await server.open(close_frame(1000) + frame(TEXT, b"late") + frame(PING))
    assert await peer.closed() == 1000
    await server.gone()
    assert leg.events == [("close", 1000)]


async def test_a_fault_ends_delivery_but_not_what_came_before(serve):
    server = await serve()
    data = frame(TEXT, b"one") + frame(TEXT, b"\xff") + frame(TEXT, b"two")
    peer, leg = await server.open(data)
    assert await peer.closed() == 1007
    await server.gone()
    assert leg.events == [("text", b"one"), ("close", 1007)]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 160, 1023, 1024, 65_535, 65_536, 69_999])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_messages_of_every_length_form_come_back(serve, opcode, length):
    server = await serve(limits=LIMITS, leg=EchoLeg)
    payload = bytes(48 + i % 64 for i in range(length))
    peer, _ = await server.open(frame(opcode, payload))
    assert await peer.frame() == (opcode, payload)


@pytest.mark.parametrize("length_bytes", [2, 8])
async def test_a_padded_length_is_tolerated(serve, length_bytes):
    server = await serve(leg=EchoLeg)
    peer, _ = await server.open(frame(BINARY, b"abc", length_bytes=length_bytes))
    assert await peer.frame() == (BINARY, b"abc")


async def test_text_beyond_ascii_is_delivered_as_its_bytes(serve):
    server = await serve()
    _, leg = await server.open(frame(TEXT, "κόσμε 🎧".encode()))
    assert await leg.wait(1) == [("text", "κόσμε 🎧".encode())]


async def test_a_fragmented_text_may_cut_a_code_point(serve):
    server = await serve()
    parts = [frame(TEXT, EURO[:1], fin=False), frame(CONT, EURO[1:2], fin=False)]
    parts += [frame(CONT, b"", fin=False), frame(CONT, EURO[2:])]
    _, leg = await server.open(b"".join(parts) + frame(BINARY, b"next"))
    assert await leg.wait(2) == [("text", EURO), ("binary", b"next")]


async def test_fragments_up_to_the_limit_make_one_message(serve):
    server = await serve(limits=MediaLimits(message_bytes_max=100))
    data = frame(BINARY, b"a" * 60, fin=False) + frame(CONT, b"b" * 40) + frame(BINARY, b"c" * 100)
    _, leg = await server.open(data)
    assert await leg.wait(2) == [("binary", b"a" * 60 + b"b" * 40), ("binary", b"c" * 100)]


async def test_a_message_at_the_limit_passes_and_one_byte_more_does_not(serve):
    server = await serve(limits=MediaLimits(message_bytes_max=200))
    peer, leg = await server.open(frame(BINARY, bytes(200)) + frame(BINARY, bytes(201)))
    assert await peer.closed() == 1009
    assert leg.events == [("binary", bytes(200)), ("close", 1009)]


async def test_a_ping_is_echoed_at_once_even_inside_a_fragmented_message(serve):
    server = await serve()
    data = frame(TEXT, b"a", fin=False) + frame(PING, b"p" * 125) + frame(CONT, b"b")
    peer, leg = await server.open(data + frame(PING))
    assert await peer.frame() == (PONG, b"p" * 125)
    assert await peer.frame() == (PONG, b"")
    assert await leg.wait(1) == [("text", b"ab")]


async def test_an_unasked_pong_is_ignored(serve):
    server = await serve()
    _, leg = await server.open(frame(PONG, b"unasked") + frame(TEXT, b"on"))
    assert await leg.wait(1) == [("text", b"on")]


async def test_everything_may_arrive_one_byte_at_a_time(serve):
    server = await serve()
    data = handshake() + frame(PING, b"hi") + frame(BINARY, bytes(160)) + frame(TEXT, EURO * 50)
    peer = await server.connect()
    for index in range(len(data)):
        peer.send(data[index : index + 1])
        await asyncio.sleep(0)
    assert (await peer.head())[0] == 101
    assert await peer.frame() == (PONG, b"hi")
    assert await server.legs[0].wait(2) == [("binary", bytes(160)), ("text", EURO * 50)]


# The opening handshake.


async def test_a_handshake_is_answered_as_in_the_rfc(serve):
    server = await serve()
    peer = await server.connect(handshake("/n/one/media/browser?x=1&y", X_Twilio_Signature="abc"))
    status, headers = await peer.head()
    assert status == 101
    assert headers["sec-websocket-accept"] == ACCEPT
    assert headers["upgrade"].lower() == "websocket"
    assert "server" not in headers
    (request,) = server.requests
    assert (request.path, request.query) == ("/n/one/media/browser", "x=1&y")
    assert request.headers["x-twilio-signature"] == "abc"
    local = peer.writer.get_extra_info("sockname")
    assert request.peer == server.legs[0].connection.peer == f"{local[0]}:{local[1]}"


async def test_compression_offered_is_not_negotiated(serve):
    server = await serve(leg=EchoLeg)
    offer = "permessage-deflate; client_max_window_bits"
    peer = await server.connect(handshake(Sec_WebSocket_Extensions=offer) + frame(TEXT, b"a" * 99))
    status, headers = await peer.head()
    assert status == 101
    assert "sec-websocket-extensions" not in headers
    assert await peer.frame() == (TEXT, b"a" * 99)


REFUSED = {
    "no Upgrade": (handshake(Upgrade=None), 426),
    "another Upgrade": (handshake(Upgrade="h2c"), 426),
    "no Connection": (handshake(Connection=None), 426),
    "Connection: close": (handshake(Connection="close"), 426),
    "no key": (handshake(Sec_WebSocket_Key=None), 400),
    "a short key": (handshake(Sec_WebSocket_Key="YQ=="), 400),
    "a key that is no base64": (handshake(Sec_WebSocket_Key="?" * 24), 400),
    "no version": (handshake(Sec_WebSocket_Version=None), 400),
    "version 8": (handshake(Sec_WebSocket_Version="8"), 426),
    "POST": (handshake(method="POST"), 405),
    "a body": (handshake(Content_Length="5"), 400),
    "chunks": (handshake(Transfer_Encoding="chunked"), 400),
    "HTTP/1.0": (handshake().replace(b"HTTP/1.1", b"HTTP/1.0"), 505),
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "a line without CR": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "a header without colon": (b"GET / HTTP/1.1\r\nnonsense\r\n\r\n", 400),
    "a line too long": (b"GET /" + b"a" * 9000, 414),
    "a header too long": (b"GET / HTTP/1.1\r\nX: " + b"a" * 9000, 431),
    "too many headers": (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
    "a huge head": (b"GET / HTTP/1.1\r\n" + (b"X: " + b"a" * 7000 + b"\r\n") * 3, 431),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_bad_handshake_is_refused_with_its_status(serve, name):
    data, status = REFUSED[name]
    server = await serve()
    peer = await server.connect(data)
    got, headers, body = await peer.response()
    assert got == status
    assert body
    assert headers["connection"] == "close"
    assert await peer.end() == b""
    await server.gone()
    assert server.requests == []
    assert server.engine.counters.refused == 1


async def test_a_refusal_is_sent_as_the_router_wrote_it(serve):
    refusal = Refusal(429, "Too many calls.", {"Retry-After": "7"})
    server = await serve(router=lambda request: refusal)
    peer = await server.connect(handshake("/elsewhere"))
    status, headers, body = await peer.response()
    assert (status, headers["retry-after"], body) == (429, "7", b"Too many calls.\n")
    assert await peer.end() == b""


async def test_repeated_headers_reach_the_router_joined(serve):
    server = await serve()
    data = handshake().replace(b"Host: ", b"X-Twice: a\r\nx-twice: b\r\nHost: ")
    peer = await server.connect(data)
    assert (await peer.head())[0] == 101
    assert server.requests[0].headers.get("X-TWICE") == "a, b"
    assert server.requests[0].headers.get("missing") is None


async def test_a_failing_router_is_our_fault(serve):
    def router(request):
        raise RuntimeError

    server = await serve(router=router)
    peer = await server.connect(handshake())
    assert (await peer.response())[0] == 500
    assert server.engine.counters.handler_faults == 1


async def test_the_socket_too_many_is_refused(serve):
    """Of those that prove themselves; others are strangers, of whom the newest stays."""
    acceptance = Acceptance(lambda _: None, is_authenticated=True)
    server = await serve(limits=MediaLimits(connections_max=1), router=lambda _: acceptance)
    first = await server.connect(handshake())
    assert (await first.head())[0] == 101
    peer = await server.connect(handshake())
    assert (await peer.response())[0] == 503
    assert len(server.engine.authenticated) == 1


# Another implementation.


async def test_the_websockets_client_agrees(serve):
    server = await serve(leg=EchoLeg)
    async with connect(f"ws://127.0.0.1:{server.port}/n/one/media/x", proxy=None) as client:
        await client.send("text ✓")
        assert await client.recv() == "text ✓"
        await client.send(bytes(1000))
        assert await client.recv() == bytes(1000)
        await client.send([b"in", b"frag", b"ments"])
        assert await client.recv() == b"infragments"
        await (await client.ping())
    assert client.close_code == 1000
    await server.gone()
    assert server.legs[0].events == [("close", 1000)]


async def test_two_hundred_connections_at_once(serve):
    server = await serve(leg=EchoLeg)

    async def talk(number: int) -> None:
        url = f"ws://127.0.0.1:{server.port}/n/one/media/{number}"
        async with connect(url, proxy=None, compression=None, open_timeout=30) as client:
            for turn in range(5):
                sent = b"%d-%d" % (number, turn)
                await client.send(sent)
                assert await client.recv() == sent

    await asyncio.gather(*(talk(number) for number in range(200)))
    assert server.engine.counters.opened == 200
    assert all(leg.connection.counters.messages_in == 5 for leg in server.legs)
