"""When all requests come from one private address, and when they do not."""

from __future__ import annotations

import pytest

from gateway.limits.sole_peer import REQUESTS_MIN, SolePeer, is_loopback


def noted(*hosts: str) -> SolePeer:
    peer = SolePeer()
    for host in hosts:
        peer.note(host)
    return peer


@pytest.mark.parametrize(
    "host", ["172.18.0.3", "127.0.0.1", "10.1.2.3", "100.64.0.9", "fd00::7", "::1", "fe80::1%eth0"]
)
def test_a_row_of_requests_from_one_private_address_names_it(host: str) -> None:
    peer = noted(*[host] * (REQUESTS_MIN - 1))
    assert not peer.private_address
    peer.note(host)
    assert peer.private_address == host


@pytest.mark.parametrize("host", ["8.8.8.8", "2001:4860:4860::8888", "", "unknown"])
def test_a_public_address_is_a_visitor(host: str) -> None:
    assert not noted(*[host] * (2 * REQUESTS_MIN)).private_address


def test_any_other_address_begins_the_count_anew() -> None:
    peer = noted(*["10.0.0.1"] * REQUESTS_MIN, "10.0.0.2")
    assert not peer.private_address
    for _ in range(REQUESTS_MIN - 2):
        peer.note("10.0.0.2")
    assert not peer.private_address
    peer.note("10.0.0.2")
    assert peer.private_address == "10.0.0.2"


def test_a_proxy_that_is_trusted_is_none_that_nobody_named() -> None:
    peer = noted(*["10.0.0.1"] * REQUESTS_MIN)
    peer.note_relayed()
    assert not peer.private_address


def test_it_remembers_one_address_whatever_comes() -> None:
    peer = noted(*(f"10.0.{high}.{low}" for high in range(8) for low in range(250)))
    assert len(vars(peer)) == 2
    assert not peer.private_address


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("calls.example.com", False),
        ("localhost.example.com", False),
    ],
)
def test_a_machine_reaches_itself_by_its_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
