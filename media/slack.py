"""How long before their turns the frames of a stream come, and what correction that asks for.

The slack of a frame is the time from its arrival until the carrier needs it; below zero it is late.
Steers the slack into a band by telling how much audio is to be added or removed. Knows no
frame, no carrier and no clock.
"""

from __future__ import annotations

from typing import Final

from media.g711 import FRAME_NS
from media.source import MS_NS, Source

NEVER_NS: Final = 1 << 62

GROW_NS_MAX: Final = 60 * MS_NS

WINDOW_NS: Final = 2_000 * MS_NS
"""Slack is judged by the second smallest of such a window, some 2 % quantile: one late frame is
concealed, lateness that repeats makes audio grow."""
WINDOWS: Final = 5
"""Audio shrinks when the slack of so many windows was above the band."""
FAR_NS: Final = 70 * MS_NS
"""Two windows are enough where the slack is above this: a burst has left it, but for what is kept
lest it comes again."""
EPISODE_NS: Final = 100 * MS_NS
"""Late frames within this count once: over TCP all frames behind a late one are late."""
SETTLE_NS: Final = 500 * MS_NS
"""After a join or a cut the slack is judged as soon as this, lest what a burst has left stays."""
REPEAT_NS: Final = 10_000 * MS_NS
"""A join that repeats within this leaves what follows, for the next one to find."""
KEPT_NS: Final = 20 * MS_NS


class Slack:
    """The slack of one stream."""

    __slots__ = (
        "_aim_ns",
        "_ceil_ns",
        "_floor_ns",
        "_grown_ns",
        "_is_settling",
        "_kept_ns",
        "_least_at_ns",
        "_least_ns",
        "_past_ns",
        "_second_ns",
        "_settled_at_ns",
        "_settled_ns",
        "_window_end_ns",
        "excess_ns",
        "grow_ns",
        "lead_ns",
        "lead_ns_max",
        "lead_ns_min",
        "low_ns",
        "review_ns",
        "source",
    )

    low_ns: int
    review_ns: int

    def __init__(self, source: Source, lead_ns_max: int) -> None:
        self.lead_ns_max = lead_ns_max
        self.follow(source)
        self.grow_ns = 0
        """Audio to add."""
        self.excess_ns = 0
        """Audio to remove: whole frames, for the carrier is given no others."""
        self.low_ns = NEVER_NS
        """A slack that is neither below this nor negative needs no `observe`."""
        self._is_settling = False
        self._kept_ns = 0
        self.review_ns = 0
        """`observe` is due for the first frame at or after this, whatever its slack."""
        self.begin(0)

    def follow(self, source: Source) -> None:
        """Steer the slack of this kind of source from now on, as if nothing was learnt of it."""
        self.source = source
        self._floor_ns = source.floor_ns
        self._grown_ns = source.grown_ns
        self._aim_ns = source.aim_ns
        self._settled_ns = source.settled_ns
        self._ceil_ns = source.ceil_ns
        self._settled_at_ns = -NEVER_NS
        self.lead_ns = self.lead_ns_min = source.start_ns
        """The lead that the steered slack has amounted to; a stream that begins takes it up."""

    def begin(self, now_ns: int) -> None:
        """Forget all slack: what comes now has nothing to do with it."""
        self._least_ns = self._second_ns = self.low_ns = NEVER_NS
        self._least_at_ns = -NEVER_NS
        self._past_ns: tuple[int, ...] = ()
        self._window_end_ns = now_ns + WINDOW_NS
        self.grow_ns = 0
        self.settle(now_ns)

    def settle(self, now_ns: int) -> None:
        """Judge soon what a join or a cut has left."""
        since_ns = now_ns - self._settled_at_ns
        if since_ns >= SETTLE_NS:
            self._settled_at_ns = now_ns
            self._kept_ns = KEPT_NS if since_ns < REPEAT_NS else 0
        self._is_settling = True
        # What is late of the same burst is no second event.
        self._least_ns = self._second_ns = self.low_ns = NEVER_NS
        self._least_at_ns = now_ns
        self._past_ns = ()
        self.excess_ns = 0
        self.review_ns = now_ns + SETTLE_NS

    def is_in_time(self, slack_ns: int, cap_ns: int) -> bool:
        """Return whether a frame that comes so long before its turn need not wait for it."""
        return self._floor_ns <= slack_ns <= cap_ns

    def observe(self, now_ns: int, slack_ns: int) -> None:
        """Note the slack of a frame that arrives."""
        if now_ns >= self.review_ns:
            self._review(now_ns, slack_ns)
        if slack_ns >= self._second_ns:
            return
        is_same_event = now_ns - self._least_at_ns < EPISODE_NS
        if slack_ns < self._least_ns:
            if not is_same_event:
                self._second_ns = self._least_ns
                self._least_at_ns = now_ns
            self._least_ns = slack_ns
        elif not is_same_event:
            self._second_ns = slack_ns
        self.low_ns = max(0, self._second_ns)
        if self._second_ns < self._floor_ns:
            self.excess_ns = 0
            self.grow_ns = min(self._grown_ns - self._second_ns, GROW_NS_MAX)

    def changed(self, by_ns: int) -> None:
        """Take note that audio was added, or removed where it is less than nothing."""
        if by_ns > 0:
            self.grown(by_ns)
        else:
            self.shrunk(-by_ns)

    def grown(self, by_ns: int) -> None:
        """Take note that audio was added: all that follows has its turn later."""
        self.grow_ns = max(0, self.grow_ns - by_ns)
        self.shift(by_ns)

    def shrunk(self, by_ns: int) -> None:
        """Take note that audio was removed."""
        self._ask(self.excess_ns - by_ns)
        self.shift(-by_ns)

    def shift(self, by_ns: int) -> None:
        """Take note that all turns are so much later than was believed, or earlier."""
        self._least_ns += by_ns
        self._second_ns += by_ns
        self._past_ns = tuple(past_ns + by_ns for past_ns in self._past_ns)
        self.low_ns = max(0, self._second_ns)

    def _ask(self, excess_ns: int) -> None:
        """Ask for whole frames to be removed, as many as leave the slack above the floor."""
        frames = max(0, excess_ns + self._aim_ns - self._floor_ns) // FRAME_NS
        self.excess_ns = frames * FRAME_NS

    def _review(self, now_ns: int, slack_ns: int) -> None:
        second_ns = self._second_ns
        is_known = second_ns < NEVER_NS >> 1
        if self._is_settling:
            self._is_settling = False
            self.review_ns = max(self._window_end_ns, now_ns)
            if is_known and second_ns > self._settled_ns + self._kept_ns:
                self._ask(second_ns - self._aim_ns - self._kept_ns)
            return
        if is_known:
            if slack_ns > 0:
                lead_ns = self.lead_ns + (slack_ns - self.lead_ns) // 4
                self.lead_ns = min(max(lead_ns, self.lead_ns_min), self.lead_ns_max)
            self._past_ns = (*self._past_ns, second_ns)[-WINDOWS:]
            low_ns = min(self._past_ns)
            if low_ns > self._ceil_ns and len(self._past_ns) == WINDOWS:
                self._ask(low_ns - self._aim_ns)
            elif min(self._past_ns[-2:]) > FAR_NS and len(self._past_ns) > 1:
                self._ask(min(self._past_ns[-2:]) - self._aim_ns - KEPT_NS)
        self._least_ns = self._second_ns = self.low_ns = NEVER_NS
        self._least_at_ns = -NEVER_NS
        self._window_end_ns = self.review_ns = now_ns + WINDOW_NS
