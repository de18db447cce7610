"""What is said of a public origin: by real servers, with real certificates."""

import asyncio
import contextlib
import re
import socket
import ssl

import pytest

from gateway.fleet.instances import proof_of
from gateway.roles import public_origin
from tests.certificates import DAY, Authority
from tests.tcp_server import tcp_server
from tests.valkey import free_port

HEALTHY = b'{"status":"ok","instance":"0123456789abcdef"}'


@contextlib.asynccontextmanager
async def serving(status=200, body=HEALTHY, pair=None, fields=""):
    """Answer every request like this; yields the port."""
    context = None
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status} X\r\n{fields}Content-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()

    async with tcp_server(serve, tls=context) as port:
        yield port


async def test_a_gateway_is_known_by_its_instance():
    async with serving() as port:
        answer = await public_origin.ask(f"http://127.0.0.1:{port}")
    assert (answer.instance, answer.fault) == ("0123456789abcdef", "")


async def test_a_gateway_says_whether_it_is_one_of_those_that_are_known_and_not_which():
    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        nonce = re.search(rb"nonce=([0-9a-f]{32}) ", head)[1].decode()
        body = b'{"status":"ok","proof":"%s"}' % proof_of("n1's", nonce).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
        await writer.drain()

    async with tcp_server(serve) as port:
        origin = f"http://127.0.0.1:{port}"
        found = [
            (await public_origin.ask(origin, known=known)).instance
            for known in (["n2's", "n1's"], ["n2's"], [])
        ]
    assert found == ["n1's", public_origin.UNKNOWN, public_origin.UNKNOWN]


async def test_an_answer_in_pieces_is_one_and_an_endless_one_is_none():
    async def serve(reader, writer):
        endless = b"/endless" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for part in [b"x" * 4096] * 1000 if endless else [HEALTHY[:20], HEALTHY[20:]]:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)

    async with tcp_server(serve) as port:
        origin = f"http://127.0.0.1:{port}"
        assert (await public_origin.ask(origin)).instance == "0123456789abcdef"
        assert "is not this gateway" in (await public_origin.ask(f"{origin}/endless")).fault


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (502, b"Bad Gateway", "is not this gateway (HTTP 502)"),
        (200, b"<html>", "is not this gateway (HTTP 200)"),
        (200, b'{"status":"ok"}', "is not this gateway (HTTP 200)"),
        (200, b'{"instance":7}', "is not this gateway (HTTP 200)"),
        (301, b"", "redirects elsewhere"),
    ],
)
async def test_what_is_no_gateway_is_said(status, body, words):
    async with serving(status, body, fields="Location: http://127.0.0.1:9/\r\n") as port:
        answer = await public_origin.ask(f"http://127.0.0.1:{port}")
    assert words in answer.fault
    assert answer.instance == ""
    assert not answer.is_silent


async def test_nothing_and_nobody(monkeypatch):
    answer = await public_origin.ask(f"http://127.0.0.1:{free_port()}")
    assert answer.fault.startswith("Nothing listens at")
    assert answer.is_silent
    answer = await public_origin.ask("https://calls.example.invalid")
    assert answer.fault == "The name calls.example.invalid is not known to DNS."
    monkeypatch.setattr(public_origin, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = await public_origin.ask(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert "does not answer within" in answer.fault


async def test_what_speaks_no_tls_is_said():
    async def serve(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with tcp_server(serve) as port:
        answer = await public_origin.ask(f"https://127.0.0.1:{port}")
    assert "does not speak TLS" in answer.fault


@pytest.mark.parametrize(
    ("issue", "is_trusted", "words"),
    [
        ({}, True, ""),
        ({}, False, "of an unknown authority"),
        ({"age": 3 * DAY, "life": -DAY}, True, "has expired"),
        ({"age": -DAY}, True, "is not valid yet"),
        ({"hosts": ("calls.example.com",)}, True, "is for another"),
    ],
)
async def test_each_fault_of_a_certificate_is_said_plainly(tmp_path, issue, is_trusted, words):
    authority = Authority(tmp_path)
    pair = authority.issue(tmp_path, **issue)
    context = authority.client() if is_trusted else None
    async with serving(pair=pair) as port:
        answer = await public_origin.ask(f"https://127.0.0.1:{port}", context)
    assert words in answer.fault
    assert bool(answer.fault) is bool(words)


async def test_a_self_signed_certificate_is_called_so(tmp_path):
    authority = Authority(tmp_path)
    pair = authority.issue(tmp_path, self_signed=True)
    async with serving(pair=pair) as port:
        answer = await public_origin.ask(f"https://127.0.0.1:{port}")
    assert "is self-signed" in answer.fault
