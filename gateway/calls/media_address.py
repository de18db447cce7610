"""Decides at which address a page opens the media socket of a node. Pure."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from gateway.settings import Settings

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost"})


def media_url(settings: Settings, node: str, page_origin: str) -> str:
    """Return the address of a node's socket, on the page's own origin if it has one."""
    own = urlsplit(settings.origin)
    page = urlsplit(page_origin)
    is_own_page = page_origin and page.port == own.port and page.scheme == own.scheme
    # A gateway on this machine has two names, and its page's policy is `connect-src 'self'`: the
    # socket must have the name by which the page was opened.
    netloc = page.netloc if is_own_page and own.hostname in _LOOPBACK else own.netloc
    scheme = "wss" if own.scheme == "https" else "ws"
    return f"{scheme}://{netloc}/n/{node}/media/browser"
