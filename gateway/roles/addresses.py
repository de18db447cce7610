"""Finds the addresses at which browsers can reach this machine's UDP port. Sends no packets."""

from __future__ import annotations

import contextlib
import socket
from ipaddress import ip_address

from gateway.settings import Settings

_OUTSIDE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses reserved for documentation (RFC 5737, RFC 3849), to query the routing table with."""


def webrtc_addresses(settings: Settings) -> tuple[tuple[str, ...], int]:
    """Return the addresses and the UDP port that go into the ICE candidates of answers."""
    addresses = settings.public_ips or reachable_addresses(settings.host)
    return addresses, settings.udp_port or settings.port


def reachable_addresses(host: str) -> tuple[str, ...]:
    """Return the addresses of a host to listen on; for a wildcard, those with a route outside.

    On a machine without a network that is its loopback address.
    """
    with contextlib.suppress(ValueError):
        if not ip_address(host).is_unspecified:
            return (host,)
        # Browsers cannot send to a wildcard address.
        return tuple(_outward(only_v4=host != "::")) or ("127.0.0.1",)
    with contextlib.suppress(OSError):
        # A blocking DNS look-up is fine here: it runs before there are calls.
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
        return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    return ("127.0.0.1",)


def _outward(*, only_v4: bool) -> list[str]:
    addresses = []
    for family, outside in _OUTSIDE[:1] if only_v4 else _OUTSIDE:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            # Connecting a datagram socket only chooses a route.
            probe.connect((outside, 9))
            addresses.append(str(probe.getsockname()[0]))
    return addresses
