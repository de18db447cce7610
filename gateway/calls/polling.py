"""Asks the carrier for calls of which it has said nothing for a while: callbacks may be lost.

The whole node asks at a bounded rate, the call without news for longest first. Knows no carrier.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

QUIET_NS = 3_000_000_000
"""How long a call may be without news: a record that says a call has ended within eight seconds
of its end leaves five for a request that is answered late, or is repeated once."""

INTERVAL_BEATS = 5
"""Beats of the heartbeat between two looks: a tenth of a second."""

POLLS_PER_LOOK = 2
"""Twenty requests a second at most: 100 calls are then asked for every five seconds."""

POLLS_AT_ONCE_MAX = 40
"""Requests that may wait for their answers, so that a carrier that hangs is not asked for more."""


class PolledCall(Protocol):
    """A call that wants news of the carrier."""

    news_ns: int
    """When the carrier was last heard of, or last asked."""

    @property
    def wants_news(self) -> bool:
        """Whether there is anything to ask for now."""

    async def poll(self) -> None:
        """Ask the carrier once."""


class Polling:
    """The questions of one node."""

    def __init__(self, spawn: Callable[..., None]) -> None:
        """`spawn` runs a coroutine in the background."""
        self._spawn = spawn
        self._calls: dict[PolledCall, None] = {}
        self._asking = 0

    def add(self, call: PolledCall) -> None:
        """Ask for a call from now on, whenever it wants news."""
        self._calls[call] = None

    def remove(self, call: PolledCall) -> None:
        """Ask for it no longer."""
        self._calls.pop(call, None)

    def look(self, now_ns: int) -> None:
        """Ask for the calls that have been without news for longest."""
        due = [
            call for call in self._calls if now_ns - call.news_ns >= QUIET_NS and call.wants_news
        ]
        due.sort(key=lambda call: call.news_ns)
        for call in due[: min(POLLS_PER_LOOK, POLLS_AT_ONCE_MAX - self._asking)]:
            call.news_ns = now_ns
            self._asking += 1
            self._spawn(self._ask(call))

    async def _ask(self, call: PolledCall) -> None:
        try:
            await call.poll()
        finally:
            self._asking -= 1
