"""Checks the machine for `caller check`: its clock, and how many connections it allows.

Takes the time from the Date header of services we talk to (RFC 9110, 6.6.1), which needs no
credentials.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from gateway.carriers.known import chosen
from gateway.finding import Finding, wrong
from gateway.payments.signature import TOLERANCE_S
from gateway.roles import descriptors
from gateway.settings import Settings

OFF_S_MAX: Final = 5.0
"""How far the clock may be off. Signatures, sessions and 30 s codes depend on it."""
_TIMEOUT_S: Final = 4.0
_DATE_S: Final = 1.0
"""A Date header has whole seconds."""
_SET: Final = (
    "Let it be set by NTP: `timedatectl set-ntp true`, or chrony; in a container, on its host."
)


async def findings(
    settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> list[Finding]:
    """Check the clock and the limit of descriptors."""
    return [*await _clock(settings, clock), descriptor_limit(settings)]


async def _clock(settings: Settings, clock: Callable[[], datetime]) -> list[Finding]:
    origins = [chosen(settings).api_origin(settings)]
    if settings.stripe_api_key:
        origins.append(settings.stripe_url)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session:
        asked = await asyncio.gather(*(_off_s(session, origin, clock) for origin in origins))
    hosts = [urlsplit(origin).netloc for origin in origins]
    known = [(host, off) for host, off in zip(hosts, asked, strict=True) if off is not None]
    if not known:
        text = (
            f"Not compared: {' and '.join(hosts)} did not say what time it is. `date` tells ours."
        )
        return [Finding("clock", text)]
    return [clock_finding(*max(known, key=lambda each: abs(each[1])))]


async def _off_s(
    session: aiohttp.ClientSession, origin: str, clock: Callable[[], datetime]
) -> float | None:
    """Return how many seconds our clock is at least ahead of a service's; None if unknown."""
    before = clock()
    try:
        async with session.head(origin, allow_redirects=False) as reply:
            date = parsedate_to_datetime(reply.headers["Date"])
    # No answer, one without a date, or with an invalid one.
    except (aiohttp.ClientError, OSError, KeyError, ValueError):
        return None
    return ahead_s(before, date.replace(tzinfo=UTC), clock())


def ahead_s(before: datetime, date: datetime, after: datetime) -> float:
    """Return how far ahead (below 0: behind) a clock is that was read before and after the answer.

    Only what is certain: the answer was made at some time in between, and its date is rounded down
    to a second. 0 if both may be right.
    """
    latest = date + timedelta(seconds=_DATE_S)
    if before > latest:
        return (before - latest).total_seconds()
    if after < date:
        return (after - date).total_seconds()
    return 0.0


def clock_finding(host: str, off_s: float) -> Finding:
    """Assess how far our clock is ahead of a service's."""
    if abs(off_s) <= OFF_S_MAX:
        return Finding("clock", f"Agrees with that of {host}.")
    way = "ahead of" if off_s > 0 else "behind"
    text = f"The clock of this machine is {abs(off_s):.0f} s {way} that of {host}. {_SET}"
    if abs(off_s) > TOLERANCE_S:
        text += " As it is, neither webhooks nor codes for signing in are accepted."
        return wrong("clock", text)
    return Finding("clock", text, is_weak=True)


def descriptor_limit(settings: Settings) -> Finding:
    """Check that the hard limit of open files allows for `CALLER_CALLS_MAX`."""
    needed = descriptors.needed(settings.calls_max)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return Finding("descriptors", f"As many as CALLER_CALLS_MAX needs ({needed}).")
    text = (
        f"A process may hold {hard} files and connections here, and CALLER_CALLS_MAX="
        f"{settings.calls_max} needs {needed}: write LimitNOFILE={needed} below [Service] of the"
        f" systemd unit, `--ulimit nofile={needed}` for a container, or `* hard nofile {needed}` in"
        " /etc/security/limits.conf for a login."
    )
    return Finding("descriptors", text, is_weak=True)
