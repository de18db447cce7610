"""Where a connection comes from: one rule for every limit that counts by source."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.source import Source, host_of, network_of, range_of, source_of, subject_of


@pytest.mark.parametrize(
    ("peer", "host"),
    [("192.0.2.1:80", "192.0.2.1"), ("[2001:db8::1]:80", "2001:db8::1"), ("", "")],
)
def test_a_peer_is_written_with_its_port(peer, host):
    assert host_of(peer) == host


@pytest.mark.parametrize(
    ("host", "network", "address"),
    [
        ("192.0.2.7", b"\xc0\x00\x02", b"\xc0\x00\x02\x07"),
        ("::ffff:192.0.2.7", b"\xc0\x00\x02", b"\xc0\x00\x02\x07"),
        ("2001:db8:1:2:3:4:5:6", b"\x20\x01\x0d\xb8\x00\x01", b"\x20\x01\x0d\xb8\x00\x01\x00\x02"),
        ("2001:db8:1:2::9", b"\x20\x01\x0d\xb8\x00\x01", b"\x20\x01\x0d\xb8\x00\x01\x00\x02"),
        ("fe80::1%eth0", b"\xfe\x80" + bytes(4), b"\xfe\x80" + bytes(6)),
        ("", b"", b"\0"),
        ("/run/socket", b"", b"\0"),
        ("192.0.2.7:80", b"", b"\0"),
        ("192.0.2\0", b"", b"\0"),
    ],
)
def test_a_source_is_an_address_and_its_network(host: str, network: bytes, address: bytes) -> None:
    assert source_of(host) == Source(network, address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:5060", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1:2::"),
        ("::1", "::"),
        ("", "unknown"),
        ("client.example", "unknown"),
        ("unix:", "unknown"),
    ],
)
def test_an_address_stands_for_its_network(address: str, expected: str) -> None:
    assert subject_of(address) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.0/24"),
        ("192.0.2.1:5060", "192.0.2.0/24"),
        ("::ffff:192.0.2.1", "192.0.2.0/24"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1::/48"),
        ("", "unknown"),
    ],
)
def test_an_address_is_in_a_network(address: str, expected: str) -> None:
    assert network_of(address) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.0.0/16"),
        ("192.0.2.1:5060", "192.0.0.0/16"),
        ("::ffff:192.0.2.1", "192.0.0.0/16"),
        ("[2001:db8:1:2::9]:443", "2001:db8::/32"),
        ("", "unknown"),
    ],
)
def test_an_address_is_in_a_range(address: str, expected: str) -> None:
    assert range_of(address) == expected


@given(st.text(max_size=60))
def test_no_address_raises(text):
    assert subject_of(text)
    assert range_of(text)
    assert network_of(text)
