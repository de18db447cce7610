"""Judges whether a request that changes something comes from a page of ours.

A browser adds the cookie of a session to requests that other sites make. It also says where they
come from, in fields that no script can set: `Sec-Fetch-Site` (W3C Fetch Metadata), and `Origin`
(RFC 6454, 7) in browsers or on connections without it. OWASP's CSRF Prevention Cheat Sheet has this
as a complete defence, beside `SameSite`. Pure: takes a method and fields' values.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110, 9.2.1)."""


def is_from_us(
    method: str, sites: Sequence[str], origins: Sequence[str], own_origins: Collection[str]
) -> bool:
    """Return whether a request may be believed to be meant by whoever is signed in.

    Args:
        method: As it was sent, in upper case.
        sites: Values of all its fields `Sec-Fetch-Site`.
        origins: Values of all its fields `Origin`.
        own_origins: Origins of our own pages.

    """
    if method in SAFE_METHODS:
        return True
    # A request with neither is made by no browser of this decade, and no page of ours.
    if not sites and not origins:
        return False
    # Not `same-site`: a neighbour's subdomain is somebody else. Not `none` either, which an address
    # typed by hand has: nobody types a change. Each field must agree: which of two a proxy has
    # looked at is not known.
    return all(site == "same-origin" for site in sites) and all(
        origin in own_origins for origin in origins
    )
