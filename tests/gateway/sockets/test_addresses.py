"""Addresses of connections, which their transports are not to keep."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.ports import Acceptance, HandshakeRequest, Refusal
from gateway.sockets.addresses import Proxies, own_of, peer_of
from gateway.sockets.closing import HalfClosing
from gateway.sockets.opening import HeaderMap


class Transport:
    """A transport that is asked for its socket alone."""

    def __init__(self, connection: socket.socket | None) -> None:
        self._connection = connection

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        assert name in {"socket", "sslcontext"}
        return self._connection if name == "socket" else default


@pytest.fixture(params=["127.0.0.1", "::1"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return our end of a connection and the peer's."""
    host = request.param
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.create_server((host, 0), family=family) as server,
        socket.create_connection(server.getsockname()[:2]) as peer,
    ):
        ours, _ = server.accept()
        with ours:
            yield ours, peer


def test_the_kernel_is_asked_and_the_connection_stays_open(ends: Any) -> None:
    ours, peer = ends
    assert peer_of(Transport(ours)) == peer.getsockname()
    assert own_of(Transport(ours)) == peer.getpeername()
    ours.sendall(b"still here")
    assert peer.recv(100) == b"still here"


def test_what_closes_in_halves_has_addresses_but_no_socket(ends: Any) -> None:
    ours, peer = ends
    closing = HalfClosing(Transport(ours), lambda: None)
    assert closing.get_extra_info("socket") is None
    assert closing.get_extra_info("peername") == peer.getsockname()[:2]
    assert closing.get_extra_info("sockname") == peer.getpeername()[:2]
    assert closing.get_extra_info("sslcontext", "none") == "none"


def test_of_a_peer_that_has_gone_nothing_is_known(ends: Any) -> None:
    ours, _ = ends
    ours.close()
    assert peer_of(Transport(ours)) is None
    assert HalfClosing(Transport(ours), lambda: None).get_extra_info("peername", "?") == "?"


def test_a_transport_without_a_socket_says_what_it_knows() -> None:
    class Memory:
        def get_extra_info(self, name: str) -> Any:
            return ("192.0.2.1", 5000) if name == "peername" else None

    assert peer_of(Memory()) == ("192.0.2.1", 5000)
    assert own_of(Memory()) is None


TRUSTED = ("10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32")


def route(peer: str, forwarded: str | None, trusted: tuple[str, ...] = TRUSTED) -> tuple[str, str]:
    """Return the peer that the router is told of, and the one that its acceptance names."""
    seen: list[str] = []

    def router(request: HandshakeRequest) -> Acceptance:
        seen.append(request.peer)
        return Acceptance(lambda _: None, is_authenticated=True)

    headers = HeaderMap([] if forwarded is None else [("X-Forwarded-For", forwarded)])
    request = HandshakeRequest("/", "", headers, peer)
    verdict = Proxies(trusted).wrap(router)(request)
    assert isinstance(verdict, Acceptance)
    assert verdict.is_authenticated
    return seen[0], verdict.peer or peer


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.1.2.3:5000", "203.0.113.9", "203.0.113.9:0"),
        ("10.1.2.3:5000", "203.0.113.9:81", "203.0.113.9:81"),
        ("[2001:db8::5]:5000", "[2001:DB9::1]:82", "[2001:db9::1]:82"),
        ("192.0.2.1:5000", "2001:db9::1", "[2001:db9::1]:0"),
        # What stands before the last one that is not trusted, anyone could have written.
        ("10.1.2.3:5000", "198.51.100.1, 203.0.113.9, 10.9.9.9", "203.0.113.9:0"),
        ("10.1.2.3:5000", "10.4.4.4, 10.9.9.9", "10.4.4.4:0"),
        ("10.1.2.3:5000", None, "10.1.2.3:5000"),
        ("10.1.2.3:5000", "", "10.1.2.3:5000"),
        ("10.1.2.3:5000", "unknown", "10.1.2.3:5000"),
        ("10.1.2.3:5000", "203.0.113.9, <b>" + "x" * 9000, "10.1.2.3:5000"),
        ("203.0.113.5:5000", "198.51.100.1", "203.0.113.5:5000"),
        ("[2001:db9::5]:5000", "198.51.100.1", "[2001:db9::5]:5000"),
        ("", "198.51.100.1", ""),
    ],
)
def test_only_a_trusted_proxy_names_the_client(peer, forwarded, client):
    assert route(peer, forwarded) == (client, client)


def test_without_trusted_proxies_nobody_is_believed():
    assert route("127.0.0.1:1", "198.51.100.1", trusted=()) == ("127.0.0.1:1", "127.0.0.1:1")


def test_a_refusal_passes():
    refusal = Refusal(404, "No.")
    router = Proxies(TRUSTED).wrap(lambda _: refusal)
    assert router(HandshakeRequest("/", "", HeaderMap([]), "10.0.0.1:1")) is refusal
