"""Parses the origins of pages that may show a button: exact, in the form that browsers compare.

An origin is scheme, host and port (RFC 6454). They are written into `frame-ancestors` (W3C Content
Security Policy Level 3, 6.4.2), so a host may contain only the characters of a name.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

import idna

ORIGIN_CHARS_MAX: Final = 255
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1"})
"""Hosts whose pages need no TLS: browsers trust them as well (W3C Secure Contexts)."""

_NAME: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.ASCII)
_ADDRESS: Final = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)|.*:.*", re.ASCII)
"""What browsers parse as an address: anything that ends in a number (WHATWG URL, "ends in a number
checker")."""
_PORTS: Final = {"https": 443, "http": 80}


class OriginError(ValueError):
    """Not an origin that a button can have; `code` names what is wrong with it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def parse_origin(text: str) -> str:
    """Return an origin as browsers write it; names of other scripts as A-labels (RFC 5890).

    Raises OriginError: `origin_invalid`, `origin_wildcard`, `origin_path`, `origin_insecure`,
    `origin_address`.
    """
    given = text.strip()
    if "*" in given:
        raise OriginError("origin_wildcard")
    parts = _split(given)
    # An origin copied from an address bar ends in a slash, which means nothing.
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise OriginError("origin_path")
    host, port = _host(parts), parts.port
    if parts.scheme != "https" and host not in LOOPBACK:
        raise OriginError("origin_insecure")
    # Browsers omit the scheme's default port (RFC 6454, 6.1), and compare the text.
    place = host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"
    return f"{parts.scheme}://{place}"


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        # Both are parsed on access: a port that is not a number raises only here.
        host, port = parts.hostname, parts.port
    except ValueError:
        raise OriginError("origin_invalid") from None
    # `urlsplit` silently drops tabs and line breaks within an address.
    is_plain = len(text) <= ORIGIN_CHARS_MAX and text.isprintable() and " " not in text
    if not is_plain or parts.scheme not in _PORTS or not host or port == 0 or "@" in parts.netloc:
        raise OriginError("origin_invalid")
    return parts


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    if host in LOOPBACK:
        return host
    try:
        name = host if ":" in host else idna.encode(host, uts46=True, std3_rules=True).decode()
    except idna.IDNAError:
        raise OriginError("origin_invalid") from None
    # No page's policy can name one (CSP 3, 6.7.2.8: the only address that matches is 127.0.0.1).
    if _ADDRESS.fullmatch(name):
        raise OriginError("origin_address")
    if not _NAME.fullmatch(name):
        raise OriginError("origin_invalid")
    return name
