"""Odd ways to write requests, and how many of them a strict reader of RFC 9112 finds in each."""

from __future__ import annotations

from dataclasses import dataclass

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
"""What must be taken for a body, or not at all; never for a request."""
HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
_SIZE = b"Content-Length: %d\r\n" % len(SMUGGLED)
_CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: x\r\n"


@dataclass(frozen=True)
class Framing:
    """What one client sends."""

    name: str
    data: bytes
    requests: int = 1
    """The most that a strict reader answers, a last one that is at fault included."""
    is_answered: bool = True
    """Whether an answer is due to the whole of it."""
    is_uvicorns: bool = True
    """Whether uvicorn by itself gives the very same answers, however the data is cut."""


def _post(fields: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"POST /echo HTTP/%s\r\nHost: x\r\n%s\r\n%s" % (version, fields, body)


def _upgrades() -> list[Framing]:
    ways = {
        "an upgrade": _UPGRADE,
        "an upgrade to h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "a websocket": b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "an upgrade in two fields": b"Connection: x\r\nUpgrade: x\r\nConnection: Upgrade\r\n",
    }
    found = []
    for name, fields in ways.items():
        found += [
            Framing(
                name, b"GET /hello HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n", is_uvicorns=False
            ),
            Framing(f"{name}, then a request", _post(fields) + SMUGGLED, is_uvicorns=False),
            Framing(f"{name} with a body", _post(fields + _SIZE, SMUGGLED), is_uvicorns=False),
            Framing(
                f"{name} with chunks",
                _post(fields + _CHUNKED, _CHUNK),
                is_uvicorns=False,
            ),
            Framing(
                f"{name} behind a request",
                HELLO + _post(fields + _SIZE, SMUGGLED),
                2,
                is_uvicorns=False,
            ),
        ]
    return found


FRAMINGS = [
    Framing("a request", HELLO),
    Framing("three at once", HELLO * 3, 3),
    Framing("empty lines in front", b"\r\n\r\n" + HELLO),
    Framing("a body", _post(_SIZE, SMUGGLED)),
    Framing("a body, then a request", _post(_SIZE, SMUGGLED) + HELLO, 2),
    Framing("chunks", _post(_CHUNKED, _CHUNK)),
    Framing("chunks, then a request", _post(_CHUNKED, _CHUNK) + HELLO, 2),
    *_upgrades(),
    Framing("an upgrade without its option", _post(b"Upgrade: x\r\n" + _SIZE, SMUGGLED)),
    Framing("the option without an upgrade", _post(b"Connection: Upgrade\r\n" + _SIZE, SMUGGLED)),
    Framing("CONNECT", b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED, is_uvicorns=False),
    Framing(
        "CONNECT to a path",
        b"CONNECT /hello HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
        is_uvicorns=False,
    ),
    # Two lengths, or none that is one.
    Framing("chunks and a length", _post(_CHUNKED + _SIZE, _CHUNK)),
    Framing("a length and chunks", _post(_SIZE + _CHUNKED, _CHUNK)),
    Framing("a length twice", _post(_SIZE + _SIZE, SMUGGLED)),
    Framing("two lengths", _post(b"Content-Length: 0\r\n" + _SIZE, SMUGGLED)),
    Framing("a list of lengths", _post(b"Content-Length: 36, 36\r\n", SMUGGLED)),
    Framing("a length with plus", _post(b"Content-Length: +36\r\n", SMUGGLED)),
    Framing("a length with minus", _post(b"Content-Length: -1\r\n", SMUGGLED)),
    Framing("a length with a space inside", _post(b"Content-Length: 3 6\r\n", SMUGGLED)),
    Framing("a length in hexadecimal", _post(b"Content-Length: 0x24\r\n", SMUGGLED)),
    Framing("a length over 64 bits", _post(b"Content-Length: 18446744073709551617\r\n", SMUGGLED)),
    Framing("no length at all", _post(b"Content-Length: \r\n", SMUGGLED)),
    Framing("a space before the colon", _post(b"Content-Length : 36\r\n", SMUGGLED)),
    Framing("an encoding of no meaning", _post(b"Transfer-Encoding: x\r\n", _CHUNK)),
    Framing("an encoding behind chunks", _post(b"Transfer-Encoding: chunked, x\r\n", _CHUNK)),
    Framing("chunks behind an encoding", _post(b"Transfer-Encoding: gzip, chunked\r\n", _CHUNK)),
    Framing("a tab before the encoding", _post(b"Transfer-Encoding:\tchunked\r\n", _CHUNK)),
    Framing("chunks twice", _post(_CHUNKED * 2, _CHUNK)),
    # Chunks.
    Framing(
        "a chunk's extension",
        _post(_CHUNKED, b'2;a=b;c="d"\r\nhi\r\n0;e\r\n\r\n') + HELLO,
        2,
    ),
    *(
        Framing(f"a chunk of {size!r}", _post(_CHUNKED, size + SMUGGLED), 1)
        for size in (b"-1\r\n", b"+1\r\n", b"0x1\r\n", b" 1\r\n", b"g\r\n", b"\r\n", b"1" * 20)
    ),
    Framing("a chunk too short", _post(_CHUNKED, b"1\r\n" + SMUGGLED)),
    Framing("a bare LF behind a chunk's size", _post(_CHUNKED, b"1\nx")),
    Framing(
        "a trailer",
        _post(_CHUNKED, b"0\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n") + HELLO,
        2,
    ),
    Framing(
        "a length in a trailer",
        _post(_CHUNKED, b"0\r\nContent-Length: 36\r\n\r\n") + HELLO,
        2,
        is_uvicorns=False,  # llhttp takes it for a second length
    ),
    # Lines.
    Framing("a folded line", b"GET /hello HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"),
    Framing("a folded length", _post(b"Content-Length:\r\n 36\r\n", SMUGGLED)),
    Framing("a bare CR in a value", b"GET /hello HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n"),
    Framing("bare LFs", HELLO.replace(b"\r\n", b"\n")),
    Framing("a bare LF behind the first line", HELLO.replace(b"1.1\r\n", b"1.1\n")),
    Framing("a NUL in a value", b"GET /hello HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n"),
    Framing("a line without a colon", b"GET /hello HTTP/1.1\r\nHost: x\r\nA\r\n\r\n"),
    Framing("a line that begins with a space", b"GET /hello HTTP/1.1\r\n Host: x\r\n\r\n"),
    # First lines.
    Framing("an absolute address", b"GET http://x/hello HTTP/1.1\r\nHost: x\r\n\r\n"),
    Framing("another host's address", b"GET http://y/hello HTTP/1.1\r\nHost: x\r\n\r\n"),
    Framing("an asterisk", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
    Framing("two spaces", b"GET  /hello HTTP/1.1\r\nHost: x\r\n\r\n"),
    Framing("HTTP/0.9", b"GET /hello\r\n", is_answered=False),  # the parser waits for more
    Framing("HTTP/0.9, then a request", b"GET /hello\r\n" + SMUGGLED),
    Framing("no host", b"GET /hello HTTP/1.1\r\n\r\n" + SMUGGLED, is_uvicorns=False),
    Framing(
        "two hosts",
        b"GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + SMUGGLED,
        is_uvicorns=False,
    ),
    Framing("HTTP/1.0", b"GET /hello HTTP/1.0\r\n\r\n"),
    Framing(
        "HTTP/1.0 that is to stay",
        b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + SMUGGLED,
    ),
    Framing("HTTP/1.0 with chunks", _post(_CHUNKED, _CHUNK, b"1.0")),
    Framing("HTTP/1.2", b"GET /hello HTTP/1.2\r\nHost: x\r\n\r\n"),
    Framing("HTTP/2.0", b"GET /hello HTTP/2.0\r\nHost: x\r\n\r\n"),
    Framing("the preface of h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)),
    Framing("a TLS handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)),
    Framing("garbage behind a request", HELLO + b"\x00\x01\x02\r\n\r\n", 2, is_uvicorns=False),
    # Waiting, and the end.
    Framing("a body on demand", _post(b"Expect: 100-continue\r\n" + _SIZE, SMUGGLED)),
    Framing(
        "a body on demand that is not wanted",
        _post(b"Expect: 100-continue\r\n" + _SIZE, SMUGGLED).replace(b"/echo", b"/hello"),
    ),
    Framing("an unread body", _post(_SIZE, SMUGGLED).replace(b"/echo", b"/hello") + HELLO, 2),
    Framing("an end", HELLO.replace(b"Host", b"Connection: close\r\nHost") + SMUGGLED),
    Framing("an end with a body", _post(b"Connection: close\r\n" + _SIZE, SMUGGLED) + SMUGGLED),
    Framing(
        "a fault in a body that is not read",
        _post(_CHUNKED, b"zz\r\n").replace(b"/echo", b"/hello"),
        is_uvicorns=False,
    ),
]
