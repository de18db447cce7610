"""Whose word counts on who the client is."""

from __future__ import annotations

import pytest

from gateway.ports import Acceptance, HandshakeRequest, Refusal
from gateway.sockets.opening import HeaderMap
from gateway.sockets.proxies import Proxies

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
