"""Defines the source of a connection: the one rule for everything that counts by source.

Pure: takes addresses as text.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

UNKNOWN_ADDRESS: Final = "unknown"
_ADDRESS_BYTES: Final = 8
_NETWORK_BYTES: Final = 6


class Source(NamedTuple):
    """A connection's origin at two widths; both are prefixes of its packed address.

    IPv4: the address, and its /24, which is the longest prefix that is routed on its own. IPv6: the
    /64, in which one host chooses any address (RFC 4291, 2.5.4), and the /48, the most that an end
    site is given (RFC 6177).
    """

    network: bytes
    address: bytes


_UNKNOWN: Final = Source(b"", b"\0")


def host_of(peer: str) -> str:
    """Return the address of a peer that is written as `host:port`."""
    # The last colon, because an IPv6 address has others.
    return peer.rpartition(":")[0].strip("[]")


def source_of(host: str) -> Source:
    """Return the source of an IP address; all invalid addresses share one source."""
    try:
        # Before it is cut to a prefix: all mapped addresses share one /64.
        parsed = _unmapped(ip_address(host))
    except ValueError:
        return _UNKNOWN
    packed = parsed.packed
    if isinstance(parsed, IPv4Address):
        return Source(packed[:3], packed)
    return Source(packed[:_NETWORK_BYTES], packed[:_ADDRESS_BYTES])


def subject_of(address: str) -> str:
    """Return whom an address stands for, as text: itself in IPv4, its /64 in IPv6.

    Takes `host`, `host:port` and `[host]:port`. All invalid addresses, such as the empty one of a
    unix socket, are one subject.
    """
    source = _source_named(address)
    if source is _UNKNOWN:
        return UNKNOWN_ADDRESS
    packed = source.address
    if len(packed) == _ADDRESS_BYTES:
        return str(IPv6Address(packed + bytes(_ADDRESS_BYTES)))
    return str(IPv4Address(packed))


def network_of(address: str) -> str:
    """Return the network that an address belongs to, as text: its /24 in IPv4, its /48 in IPv6.

    Takes what `subject_of` takes; all invalid addresses are one network.
    """
    packed = _source_named(address).network
    if not packed:
        return UNKNOWN_ADDRESS
    if len(packed) == _NETWORK_BYTES:
        return f"{IPv6Address(packed.ljust(16, bytes(1)))}/48"
    return f"{IPv4Address(packed.ljust(4, bytes(1)))}/24"


def range_of(address: str) -> str:
    """Return the range that an address is rented in, as text: its /16 in IPv4, its /32 in IPv6.

    The /32 is a provider's first allocation (RIPE-738, 5.1.2); a /16 has enough /24s for an
    attacker to rotate through. Takes what `subject_of` takes; all invalid addresses are one range.
    """
    packed = _source_named(address).network
    if not packed:
        return UNKNOWN_ADDRESS
    if len(packed) == _NETWORK_BYTES:
        return f"{IPv6Address(packed[:4].ljust(16, bytes(1)))}/32"
    return f"{IPv4Address(packed[:2].ljust(4, bytes(1)))}/16"


def _source_named(address: str) -> Source:
    """Return the source of an address, with or without the port of its peer."""
    source = source_of(address)
    return source_of(host_of(address)) if source is _UNKNOWN else source


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 socket shows as one of its own (RFC 4291, 2.5.5.2)."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
