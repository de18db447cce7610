"""Checks whether a request that changes something comes from a page of ours.

A browser adds a session's cookie to requests from other sites too. It also says where they come
from, in fields that no script can set: `Sec-Fetch-Site` (W3C Fetch Metadata), and `Origin` (RFC
6454, 7) in browsers or on connections without it. OWASP's CSRF Prevention Cheat Sheet lists this as
a complete defence, beside `SameSite`. Pure: takes a method and fields' values.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110, 9.2.1)."""


def is_from_us(
    method: str, sites: Sequence[str], origins: Sequence[str], own_origins: Collection[str]
) -> bool:
    """Return whether the signed-in person can be assumed to have meant a request.

    Args:
        method: As it was sent, in upper case.
        sites: Values of all its fields `Sec-Fetch-Site`.
        origins: Values of all its fields `Origin`.
        own_origins: Origins of our own pages.
    """
    if method in SAFE_METHODS:
        return True
    # A request with neither comes from no browser of this decade, and no page of ours.
    if not sites and not origins:
        return False
    # Not `same-site`: a sibling subdomain may belong to someone else. Not `none` either, which a
    # typed URL has: no one types a change. All fields must agree, because a proxy may have checked
    # another one of them.
    return all(site == "same-origin" for site in sites) and all(
        origin in own_origins for origin in origins
    )
