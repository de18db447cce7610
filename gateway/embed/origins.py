"""Reads the origins of pages that may show a button: exact, and in the form that browsers compare.

An origin is scheme, host and port (RFC 6454). They end up in `frame-ancestors` (W3C Content
Security Policy Level 3, 6.4.2), so that a host has no other characters than those of a name. Knows
no button.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

import idna

ORIGIN_CHARS_MAX: Final = 255
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1"})
"""Hosts of pages that may come without TLS: browsers trust them as well (W3C Secure Contexts)."""

_NAME: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.ASCII)
_ADDRESS: Final = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)|.*:.*", re.ASCII)
"""What browsers read as one: whatever ends in a number (WHATWG URL, "ends in a number checker")."""
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
    # Copied from an address bar it has a slash behind it, which says nothing.
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise OriginError("origin_path")
    host, port = _host(parts), parts.port
    if parts.scheme != "https" and host not in LOOPBACK:
        raise OriginError("origin_insecure")
    # Browsers leave the scheme's own port out (RFC 6454, 6.1), and compare the text.
    place = host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"
    return f"{parts.scheme}://{place}"


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        # Both are parsed when they are read: a port that is no number raises only here.
        host, port = parts.hostname, parts.port
    except ValueError:
        raise OriginError("origin_invalid") from None
    # `urlsplit` drops tabs and line breaks within an address without a word.
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
    # No policy of a page can name one (CSP 3, 6.7.2.8: of all addresses 127.0.0.1 matches alone).
    if _ADDRESS.fullmatch(name):
        raise OriginError("origin_address")
    if not _NAME.fullmatch(name):
        raise OriginError("origin_invalid")
    return name
