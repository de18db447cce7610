"""Decides when to retry a webhook, what an answer means, and when to disable an endpoint.

Source: Standard Webhooks 1.0.0, "Reliability" and "Deliverability". Pure: time and chance are
arguments.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final

DELAYS: Final = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
"""Pause before each attempt, from the one before it: 75 hours and 35 minutes in all."""
TRIES_MAX: Final = len(DELAYS)
JITTER: Final = 0.1
"""Each pause is up to this share longer, so that what failed together is not retried together."""
RETRY_AFTER_MAX: Final = timedelta(hours=1)
"""Longest pause that a receiver can ask for; a longer one, or nonsense, counts as this or none."""

FAILURES_CLOSE: Final = 5
"""After this many failures in a row an endpoint is left alone between attempts."""
REST_MIN: Final = timedelta(seconds=30)
REST_MAX: Final = timedelta(minutes=5)
"""Longest rest of a failing endpoint: short enough for its messages to keep their `DELAYS`."""
NEW_FOR: Final = timedelta(hours=1)
"""How long an endpoint counts as new, because it is not known yet how it answers."""
FAILING_MAX: Final = timedelta(days=5)
"""How long an endpoint may fail without a single success before it is disabled. Longer than one
message is retried, so that it survives an outage over a long weekend."""


class Verdict(Enum):
    """The result of one attempt."""

    TAKEN = "taken"
    FAILED = "failed"
    THROTTLED = "throttled"
    """Failed because the endpoint is overloaded; it is left alone for a while."""
    GONE = "gone"
    """The receiver wants no more events, so the endpoint is disabled."""


def verdict_of(status: int) -> Verdict:
    """Return what an HTTP status means; a redirect is a failure, and never followed."""
    if 200 <= status < 300:
        return Verdict.TAKEN
    if status == 410:
        return Verdict.GONE
    # 429 says so itself; 502 and 504 come from a proxy whose server does not keep up.
    return Verdict.THROTTLED if status in {429, 502, 504} else Verdict.FAILED


def read_retry_after(text: str | None, at: datetime) -> timedelta | None:
    """Return the pause of a Retry-After header (RFC 9110, 10.2.3), seconds or a date, bounded.

    None if there is none, or it lies in the past or cannot be read.
    """
    if text is None or len(text) > 64:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        # A number of 64 digits would overflow a timedelta.
        pause = timedelta(seconds=min(int(text), int(RETRY_AFTER_MAX.total_seconds())))
    else:
        try:
            date = parsedate_to_datetime(text)
            pause = (date if date.tzinfo else date.replace(tzinfo=UTC)) - at
        except (ValueError, OverflowError):
            return None
    return min(pause, RETRY_AFTER_MAX) if pause > timedelta(0) else None


def next_try_at(
    tries: int, at: datetime, chance: float, *, retry_after: timedelta | None = None
) -> datetime | None:
    """Return when a message that was not taken is tried again; None if it is given up.

    Args:
        tries: How often it was tried, this one included.
        at: Now.
        chance: From 0 up to 1.
        retry_after: What the receiver asked for.

    """
    if tries >= TRIES_MAX:
        return None
    pause = DELAYS[tries] * (1 + JITTER * chance)
    # A receiver can ask for a longer pause, never for a shorter one.
    return at + max(pause, retry_after or pause)


def rest_of(failures: int, verdict: Verdict, retry_after: timedelta | None) -> timedelta:
    """Return how long an endpoint is left alone after an attempt; nothing after a success.

    Args:
        failures: Failures in a row, this one included; 0 after a success.
        verdict: The result of the attempt.
        retry_after: What the receiver asked for.

    """
    if not failures:
        return timedelta(0)
    rest = timedelta(0)
    if failures >= FAILURES_CLOSE:
        # Bounded before it is raised: a timedelta would overflow.
        rest = min(REST_MIN * 2 ** min(failures - FAILURES_CLOSE, 10), REST_MAX)
    elif verdict is Verdict.THROTTLED:
        rest = REST_MIN
    return max(rest, retry_after or rest)


def is_given_up(failing_since: datetime | None, at: datetime) -> bool:
    """Return whether an endpoint has failed for so long that it is disabled."""
    return failing_since is not None and at - failing_since >= FAILING_MAX
