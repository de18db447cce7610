"""Detects within a fraction of a second that a voice has stopped arriving, and reports it once.

A browser sees what it receives but not what happens to what it sends. If packets are lost on the
uplink only, the caller would speak to no one until ICE gives up many seconds later. The watch is
started from outside and asks when the voice last arrived.
"""

from __future__ import annotations

from typing import Final, Protocol

from media.clock import NEVER_NS, Waiter

TICK_NS: Final = 10_000_000
RECHECK_NS: Final = 100_000_000
"""How often a stalled voice is checked."""


class WatchedVoice(Protocol):
    """What is watched."""

    last_in_ns: int
    """When it last arrived."""


class StallListener(Protocol):
    """Receives reports of stalls."""

    def stalled(self, voice: WatchedVoice, is_stalled: bool, /) -> None:
        """Note that a voice has stalled (True), or is back (False)."""


class StallWatch(Waiter):
    """Watches one voice."""

    __slots__ = ("_is_stalled", "_limit_ns", "_listener", "_since_ns", "_voice")

    def __init__(self, limit_ns: int, voice: WatchedVoice, listener: StallListener) -> None:
        """Create a watch that does nothing until it is started.

        `limit_ns` is the silence after which the voice counts as stalled.
        """
        super().__init__(NEVER_NS, TICK_NS)
        self._limit_ns = limit_ns
        self._voice = voice
        self._listener = listener
        self._since_ns = 0
        self._is_stalled = False

    def start(self, now_ns: int) -> None:
        """Expect the voice from now on; forget what was reported before."""
        self._since_ns = now_ns
        self._is_stalled = False
        self.deadline_ns = now_ns + self._limit_ns

    def poll(self, now_ns: int) -> None:
        """Report a change; to be called when the deadline has passed."""
        # Asked for here and not passed with each frame: while the voice arrives, a frame costs the
        # watch nothing, and a poll only moves the deadline on.
        due_ns = max(self._voice.last_in_ns, self._since_ns) + self._limit_ns
        is_stalled = now_ns >= due_ns
        self.deadline_ns = now_ns + RECHECK_NS if is_stalled else due_ns
        if is_stalled != self._is_stalled:
            self._is_stalled = is_stalled
            self._listener.stalled(self._voice, is_stalled)
