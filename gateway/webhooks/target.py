"""Decides which addresses webhooks may be sent to: none of our servers, nothing inside a network.

IP addresses are checked when the connection is made, not when a name is resolved, because a name
may resolve differently the next time. Pure; resolves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import Final
from urllib.parse import urlsplit

URL_CHARS_MAX: Final = 2_000
HOST_CHARS_MAX: Final = 253
"""RFC 1035, 2.3.4, as text."""
PORT_MIN: Final = 1024
"""Lowest port but 443: below it are mail, shells and the like, that an HTTP request could upset."""

# IANA IPv4 Special-Purpose Address Registry, and what clouds answer at beside it.
_INSIDE_V4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            # Azure's wire server, which has a public address.
            "168.63.129.16/32",
        ),
    )
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")
"""All that IANA has given for global unicast; loopback, mapped and compatible IPv4, link-local,
unique local and multicast lie outside."""
_INSIDE_V6: Final = tuple(
    map(
        IPv6Network,
        # Teredo and other protocols, documentation, 6to4 (which RFC 7526 has ended), AS112.
        ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""RFC 6052, 2.1: the last 32 bits are the IPv4 address that is really reached."""
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?", re.ASCII)


class Unfit(StrEnum):
    """Why an address is refused; the value is shown to its owner."""

    FORM = "form"
    """It is no `https://` address, is too long, or has spaces or letters that are not ASCII."""
    CREDENTIALS = "credentials"
    """It has a user or a password, which would end up in logs."""
    FRAGMENT = "fragment"
    PORT = "port"
    """It names a port below 1024 other than 443."""
    PRIVATE = "private"
    """It is inside a network."""


class UnfitTargetError(ValueError):
    """Webhooks must not be sent to such an address."""

    def __init__(self, why: Unfit) -> None:
        super().__init__(f"webhooks are not sent there: {why}")
        self.why = why


@dataclass(frozen=True, slots=True)
class Target:
    """Where an endpoint is."""

    url: str
    host: str
    """Name or address, in lower case, without brackets."""
    is_trusted: bool
    """Whether the operator allows the host at any IP address, and without TLS."""


def read_target(url: str, private_hosts: Collection[str] = ()) -> Target:
    """Return where an address leads. Raises UnfitTargetError.

    Args:
        url: Of an endpoint.
        private_hosts: Hosts that the operator allows inside a network, in lower case.

    """
    if len(url) > URL_CHARS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise UnfitTargetError(Unfit.FORM)
    # A backslash is a slash to browsers, and part of a name to others.
    if "\\" in url:
        raise UnfitTargetError(Unfit.FORM)
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise UnfitTargetError(Unfit.FORM) from None
    if "@" in parts.netloc:
        raise UnfitTargetError(Unfit.CREDENTIALS)
    if "#" in url:
        raise UnfitTargetError(Unfit.FRAGMENT)
    if _is_address(host):
        # In the canonical form, in which it is compared.
        host = str(ip_address(host))
    is_trusted = host in private_hosts
    if parts.scheme not in ({"https", "http"} if is_trusted else {"https"}):
        raise UnfitTargetError(Unfit.FORM)
    # What is in brackets is an IPv6 address (RFC 3986, 3.2.2), without a zone of this machine's.
    if not _is_host(host) or "%" in host or ("[" in parts.netloc and ":" not in host):
        raise UnfitTargetError(Unfit.FORM)
    if not is_trusted and _is_inside(host):
        raise UnfitTargetError(Unfit.PRIVATE)
    # For internal hosts too: what listens below is no receiver, and its silence would reveal it.
    usual = {"https": 443, "http": 80}[parts.scheme]
    if port is not None and port != usual and port < PORT_MIN:
        raise UnfitTargetError(Unfit.PORT)
    return Target(url, host, is_trusted)


def is_public(address: str) -> bool:
    """Return whether an IP address is a public one on the internet."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _INSIDE_V4)
    return _is_public_v6(parsed)


def _is_public_v6(address: IPv6Address) -> bool:
    # A zone names a link of this machine, so it is not on the internet.
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return is_public(str(IPv4Address(int(address) & 0xFFFF_FFFF)))
    return address in _GLOBAL_V6 and not any(address in network for network in _INSIDE_V6)


def _is_host(host: str) -> bool:
    """Return whether a host is a name, or an address as it is usually written."""
    if not host or len(host) > HOST_CHARS_MAX:
        return False
    if ":" in host:
        return _is_address(host)
    labels = host.split(".")
    if not all(len(label) <= 63 and _LABEL.fullmatch(label) for label in labels):
        return False
    # "127.1", "0x7f.1" and "2130706433" are addresses to some resolvers (WHATWG URL, "ends in a
    # number").
    last = labels[-1]
    is_number = last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last) is not None
    return not is_number or _is_address(host)


def _is_inside(host: str) -> bool:
    if _is_address(host):
        return not is_public(host)
    # RFC 6761, 6.3: such names mean the machine itself. A name without a dot is a local one.
    return host == "localhost" or host.endswith(".localhost") or "." not in host


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
