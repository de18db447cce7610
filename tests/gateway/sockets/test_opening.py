"""Request heads, fed in every way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.http11 import Request
from websockets.server import ServerProtocol

from gateway.ports import Acceptance, Refusal
from gateway.sockets.opening import HeaderMap, OpeningHandshake, answer, refuse
from tests.gateway.sockets.socket_peers import PATH, handshake

HEAD = handshake()


def test_nothing_behind_the_head_is_taken_wherever_it_is_cut():
    for cut in range(len(HEAD) + 3):
        protocol = ServerProtocol()
        opening = OpeningHandshake(protocol, 1000)
        stream = HEAD + b"frames"
        taken, request = opening.receive(stream[:cut])
        if request is None:
            assert taken == cut
            taken, request = opening.receive(stream[cut:])
            taken += cut
        assert isinstance(request, Request)
        assert taken == len(HEAD)
        assert protocol.reader.buffer == b""


@given(st.lists(st.integers(1, 40), max_size=30))
def test_any_split_gives_the_request(sizes):
    opening = OpeningHandshake(ServerProtocol(), 1000)
    at, request = 0, None
    for size in [*sizes, len(HEAD)]:
        if request is None:
            taken, request = opening.receive(HEAD[at : at + size])
            at += taken
    assert request is not None
    assert request.path == PATH
    assert at == len(HEAD)


@pytest.mark.parametrize("piece_bytes", [1, 100, 100_000])
def test_a_head_over_the_limit_is_answered_431(piece_bytes):
    protocol = ServerProtocol()
    opening = OpeningHandshake(protocol, 2000)
    head = b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 3000
    for at in range(0, len(head), piece_bytes):
        opening.receive(head[at : at + piece_bytes])
        if protocol.eof_sent:
            break
    else:
        pytest.fail("never refused")
    assert at <= 2000 + piece_bytes
    assert b"".join(protocol.data_to_send()).startswith(b"HTTP/1.1 431 ")


def read(head: bytes) -> tuple[ServerProtocol, Request]:
    protocol = ServerProtocol()
    _, request = OpeningHandshake(protocol, 10_000).receive(head)
    assert request is not None
    return protocol, request


def test_an_invalid_handshake_does_not_reach_the_router():
    protocol, request = read(handshake(Sec_WebSocket_Key="short"))
    response, acceptance = answer(protocol, request, pytest.fail, "peer")
    assert (response.status_code, acceptance) == (400, None)


@pytest.mark.parametrize("version", ["7", "12", "14", "13, 13", "x"])
def test_another_version_is_told_the_one_that_is_spoken(version):
    protocol, request = read(handshake(Sec_WebSocket_Version=version))
    response, acceptance = answer(protocol, request, pytest.fail, "peer")
    assert (response.status_code, acceptance) == (426, None)
    assert response.headers["Sec-WebSocket-Version"] == "13"
    assert response.headers["Upgrade"] == "websocket"


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(b"Host: ", b"X-Host: "),
        HEAD.replace(b"Host: ", b"Host: other\r\nHost: "),
        HEAD.replace(b"\r\n\r\n", b"\r\nhost: other\r\n\r\n"),
    ],
)
def test_a_handshake_names_one_host(head):
    assert head != HEAD
    protocol, request = read(head)
    response, acceptance = answer(protocol, request, pytest.fail, "peer")
    assert (response.status_code, acceptance) == (400, None)
    assert response.headers["Connection"] == "close"
    assert response.headers["Cache-Control"] == "no-store"


def test_the_router_decides():
    protocol, request = read(HEAD)
    acceptance = Acceptance(lambda connection: None)
    response, got = answer(protocol, request, lambda _: acceptance, "peer")
    assert (response.status_code, got) == (101, acceptance)
    response, got = answer(protocol, request, lambda _: Refusal(403, "No."), "peer")
    assert (response.status_code, got) == (403, None)


def test_a_refusal_has_its_length_and_headers():
    response = refuse(ServerProtocol(), Refusal(404, "Näh.", {"X-Why": "because"}))
    assert response.status_code == 404
    assert response.headers["Content-Length"] == str(len("Näh.\n".encode()))
    assert response.headers["X-Why"] == "because"


def test_headers_ignore_case_and_join_repeats():
    headers = HeaderMap([("Host", "a"), ("X", "1"), ("x", "2")])
    assert headers["HOST"] == "a"
    assert headers["X"] == "1, 2"
    assert dict(headers) == {"host": "a", "x": "1, 2"}
    assert len(headers) == 2
    assert "y" not in headers


def test_a_handshake_that_is_too_large_is_refused_with_the_fields_of_every_answer() -> None:
    protocol = ServerProtocol()
    opening = OpeningHandshake(protocol, 100, {"Strict-Transport-Security": "max-age=1"})
    opening.receive(b"GET / HTTP/1.1\r\nA: " + b"x" * 200)
    said = b"".join(protocol.data_to_send())
    assert said.startswith(b"HTTP/1.1 431 ")
    assert b"\r\nStrict-Transport-Security: max-age=1\r\n" in said
