"""Raises the limit of file descriptors, and derives from it how many connections are accepted.

The engine enforces the limits.
"""

from __future__ import annotations

import contextlib
import resource

import structlog

from gateway.sockets.limits import MediaLimits

log = structlog.get_logger(__name__)

_RESERVED = 300
"""Descriptors for everything but the port's connections: stores, carrier, files, children."""
_PING_NS = 5_000_000_000
"""A browser silent this long is pinged, and considered gone after the same time again."""


def raise_limit(wanted: int) -> int:
    """Raise the soft limit to `wanted`, or to the hard limit; return how many may be held.

    The soft limit of getrlimit(2) is low for programs that use select(2), which this one does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS has another limit beneath
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        # Ask the system again: it may have granted less.
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else soft


def needed(calls_max: int) -> int:
    """Return how many descriptors a node needs for this many calls, strangers and its own files."""
    return _connections_max(calls_max) + _RESERVED + MediaLimits().strangers_max


def _connections_max(calls_max: int) -> int:
    return 3 * calls_max + 100


def media_limits(calls_max: int) -> MediaLimits:
    """Return the limits of the sockets, given the descriptors that the system grants."""
    connections_max = _connections_max(calls_max)
    # A program may begin all calls of a node at once, and in tests the carrier has one address.
    at_once = max(MediaLimits().connections_at_once, connections_max)
    reserved = connections_max + _RESERVED
    wished = MediaLimits().strangers_max
    # Verified sockets and our own files come first; strangers share the rest.
    given = raise_limit(needed(calls_max))
    # At least a quarter: every connection starts as a stranger.
    strangers_max = min(wished, max(given - reserved, given // 4))
    if strangers_max < wished:
        log.warning("few file descriptors", granted=given, strangers_max=strangers_max)
    return MediaLimits(
        connections_max=connections_max,
        strangers_max=strangers_max,
        strangers_per_network_max=strangers_max // 2,
        strangers_per_address_max=strangers_max // 4,
        connections_at_once=at_once,
        ping_interval_ns=_PING_NS,
        pong_timeout_ns=_PING_NS,
    )
