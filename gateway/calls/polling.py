"""Polls the carrier for calls that it has been silent about for a while: callbacks may be lost.

A node asks at a bounded rate, the call longest without news first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

QUIET_NS = 3_000_000_000
"""How long a call may be without news. Its end must be known within eight seconds, which leaves
five for a request that is answered late or repeated once."""

INTERVAL_BEATS = 5
"""Beats of the ticker between two looks: a tenth of a second."""

POLLS_PER_LOOK = 2
"""Twenty requests a second at most: 100 calls are then asked for every five seconds."""

POLLS_AT_ONCE_MAX = 40
"""Requests that may wait for an answer at once; a carrier that hangs gets no more of them."""


class PolledCall(Protocol):
    """A call that may need news from the carrier."""

    news_ns: int
    """When the carrier last reported it or was last asked about it; monotonic."""

    @property
    def wants_news(self) -> bool:
        """Whether there is anything to ask about now."""

    async def poll(self) -> None:
        """Ask the carrier once."""


class Polling:
    """The polling of one node."""

    def __init__(self, spawn: Callable[..., None]) -> None:
        """`spawn` runs a coroutine in the background."""
        self._spawn = spawn
        # A dict as an ordered set: of calls equally long without news the oldest comes first.
        self._calls: dict[PolledCall, None] = {}
        self._asking = 0

    def add(self, call: PolledCall) -> None:
        """Poll for a call from now on, whenever it wants news."""
        self._calls[call] = None

    def remove(self, call: PolledCall) -> None:
        """Stop polling for it."""
        self._calls.pop(call, None)

    def look(self, now_ns: int) -> None:
        """Ask about the calls that have been without news for longest."""
        due = [
            call for call in self._calls if now_ns - call.news_ns >= QUIET_NS and call.wants_news
        ]
        due.sort(key=lambda call: call.news_ns)
        for call in due[: min(POLLS_PER_LOOK, POLLS_AT_ONCE_MAX - self._asking)]:
            # Being asked counts as news: the next look asks about others, and a request that hangs
            # is not sent again before QUIET_NS.
            call.news_ns = now_ns
            self._asking += 1
            self._spawn(self._ask(call))

    async def _ask(self, call: PolledCall) -> None:
        try:
            await call.poll()
        finally:
            self._asking -= 1
