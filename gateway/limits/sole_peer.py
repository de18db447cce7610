"""Detects a proxy that should be trusted but is not: all requests come from one private address.

Anything counted by address would then be counted for all visitors together. Pure: takes addresses
as text, and remembers one of them.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

REQUESTS_MIN: Final = 100
"""Requests in a row after which one address is too busy for a single visitor: some ten pages."""


class SolePeer:
    """The address that the latest requests came from, while they come from no other."""

    def __init__(self) -> None:
        self._host = ""
        self._count = 0

    def note(self, host: str) -> None:
        """Count a request from an address that is not a trusted proxy's."""
        if host == self._host:
            self._count += 1
        else:
            self._host, self._count = host, 1

    def note_relayed(self) -> None:
        """Note a request that a trusted proxy has forwarded."""
        self._host, self._count = "", 0

    @property
    def private_address(self) -> str:
        """The one address of the last `REQUESTS_MIN` requests; empty if it may be a visitor's own.

        As the socket shows it, because a setting has to name it that way.
        """
        if self._count < REQUESTS_MIN or not _is_private(self._host):
            return ""
        return self._host


def is_loopback(host: str) -> bool:
    """Return whether this is an address, or the name, by which a machine reaches itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_private(host: str) -> bool:
    try:
        # Not `is_private`, which leaves out the shared space of carriers and clouds (RFC 6598).
        return not ip_address(host).is_global
    except ValueError:
        return False
