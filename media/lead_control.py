"""Steers the lead of a stream: how much audio to add or remove so that frames arrive in time.

The slack of a frame is the time from its arrival until the carrier needs it; below zero it is late.
It is kept in the band of the arrival profile: lateness that repeats asks for audio to be added,
slack that stays above the band asks for audio to be removed. A profile describes how a transport
delivers frames: packets in any order, or a stream that keeps order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from media.clock import MS_NS, NEVER_NS
from media.g711 import FRAME_NS

SEND_NS: Final = 500_000
"""Time that concealment needs to leave the process. The way to the carrier is not part of it: it
is in the round trip."""
FLOOR_NS: Final = 3_500_000
"""Distance of the floor of the slack from the guard."""


@dataclass(frozen=True, slots=True)
class ArrivalProfile:
    """How the frames of one kind of transport arrive, and the band their slack is steered into.

    Raises:
        ValueError: The values contradict one another.

    """

    start_ns: int
    """Lead of a stream that begins, until its jitter is known."""
    tick_ns: int
    """Period of `poll`; a poll may be late by as much."""
    grown_ns: int
    """Target slack when audio was too late and is made longer."""
    aim_ns: int
    """Target slack when delay is taken away."""
    early_ceil_ns: int
    """Slack above which delay is taken away soon after a join or a cut."""
    ceil_ns: int
    """Slack above which delay is taken away when it lasts. It is well above `aim_ns`, because a
    talker hears a correction more easily than a few milliseconds of delay."""

    def __post_init__(self) -> None:
        # A target below the floor would ask for more audio as soon as it is reached.
        lowest_ns = min(self.start_ns, self.grown_ns)
        is_floor = self.tick_ns > 0 and self.floor_ns <= lowest_ns
        if not is_floor or not self.grown_ns <= self.aim_ns <= self.early_ceil_ns <= self.ceil_ns:
            raise ValueError("Tick, floor, start and what is aimed at, and ceilings must rise.")

    @property
    def guard_ns(self) -> int:
        """Lead at which a missing frame is concealed: the next poll could be too late."""
        return self.tick_ns + SEND_NS

    @property
    def floor_ns(self) -> int:
        """Slack below which repeated lateness makes audio longer."""
        return self.guard_ns + FLOOR_NS


PACKETS: Final = ArrivalProfile(
    # With less, ordinary jitter would ask for a whole frame more.
    start_ns=14 * MS_NS,
    tick_ns=2_500_000,
    grown_ns=10 * MS_NS,
    aim_ns=10 * MS_NS,
    early_ceil_ns=20 * MS_NS,
    ceil_ns=20 * MS_NS,
)
"""RTP packets: a late one delays no other. Most networks deliver them as evenly as they are sent;
where one does not, the lead grows within seconds."""
STREAM: Final = ArrivalProfile(
    start_ns=30 * MS_NS,
    tick_ns=2_500_000,
    grown_ns=20 * MS_NS,
    aim_ns=26 * MS_NS,
    early_ceil_ns=36 * MS_NS,
    # A talker would hear a correction sooner than this much delay.
    ceil_ns=50 * MS_NS,
)
"""Frames over TCP: a late one delays all behind it."""


def check_leads(start_ns: int, cap_ns: int, hard_ns: int) -> None:
    """Check that start lead, cap and hard limit of a playout rise by at least a frame each.

    Raises:
        ValueError: They do not.

    """
    if not start_ns <= cap_ns - FRAME_NS <= hard_ns - 2 * FRAME_NS:
        raise ValueError("Starts, cap and hard limit must rise, the last two by a frame.")


GROW_NS_MAX: Final = 60 * MS_NS
"""Most audio that is asked for at once."""

WINDOW_NS: Final = 2_000 * MS_NS
"""Slack is judged by the second smallest of such a window, about its 2 % quantile: a single late
frame is concealed, lateness that repeats makes audio longer."""
WINDOWS: Final = 5
"""Audio is removed when the slack of this many windows in a row was above the band."""
FAR_NS: Final = 70 * MS_NS
"""Above this two windows are enough: a burst has left that much. `KEPT_NS` of it stays for the next
burst."""
EPISODE_NS: Final = 100 * MS_NS
"""Late frames within this count once: over TCP a late frame delays all behind it."""
EARLY_REVIEW_NS: Final = 500 * MS_NS
"""How soon slack is judged after a join or a cut, so that what a burst left does not stay."""
REPEAT_NS: Final = 10_000 * MS_NS
"""A join within this of the last one leaves `KEPT_NS` in place for the next burst."""
KEPT_NS: Final = 20 * MS_NS


class LeadControl:
    """The slack of one stream, and what is to be done about it."""

    __slots__ = (
        "_aim_ns",
        "_ceil_ns",
        "_early_ceil_ns",
        "_early_limit_ns",
        "_floor_ns",
        "_grown_ns",
        "_is_early_review",
        "_joined_at_ns",
        "_kept_ns",
        "_least_at_ns",
        "_least_ns",
        "_past_ns",
        "_second_ns",
        "_window_end_ns",
        "excess_ns",
        "grow_ns",
        "lead_ns",
        "lead_ns_max",
        "lead_ns_min",
        "low_ns",
        "profile",
        "review_ns",
    )

    # What each frame touches comes first: compiled, attributes lie in this order.
    low_ns: int
    review_ns: int

    def __init__(self, profile: ArrivalProfile, lead_ns_max: int) -> None:
        self.lead_ns_max = lead_ns_max
        self.follow(profile)
        self.grow_ns = 0
        """Audio to add."""
        self.excess_ns = 0
        """Audio to remove, in whole frames: the carrier takes no others."""
        self.low_ns = NEVER_NS
        """A slack that is neither below this nor negative needs no `observe`."""
        self._is_early_review = False
        self._kept_ns = 0
        self._early_limit_ns = 0
        """Slack above which the early review takes delay away."""
        self.review_ns = 0
        """From this time on `observe` is due for the next frame, regardless of its slack."""
        self.reset(0)

    def follow(self, profile: ArrivalProfile) -> None:
        """Steer towards the band of this profile, and forget the lead that was learnt."""
        self.profile = profile
        self._floor_ns = profile.floor_ns
        self._grown_ns = profile.grown_ns
        self._aim_ns = profile.aim_ns
        self._early_ceil_ns = profile.early_ceil_ns
        self._ceil_ns = profile.ceil_ns
        self._joined_at_ns = -NEVER_NS
        self.lead_ns = self.lead_ns_min = profile.start_ns
        """Lead for a stream that begins: what the steered slack has amounted to."""

    def reset(self, now_ns: int, *, is_start: bool = False) -> None:
        """Forget all slack: the frames from now on have nothing to do with those before.

        `is_start` is said of a stream that begins with its lead: its first frame may have been as
        late as the lead allows, and what the others have more than that is no delay to be rid of.
        """
        self._least_ns = self._second_ns = self.low_ns = NEVER_NS
        self._least_at_ns = -NEVER_NS
        self._past_ns: tuple[int, ...] = ()
        self._window_end_ns = now_ns + WINDOW_NS
        self.grow_ns = 0
        self.review_soon(now_ns)
        if is_start:
            self._early_limit_ns = max(self._early_limit_ns, self._ceil_ns)

    def review_soon(self, now_ns: int) -> None:
        """Judge the slack `EARLY_REVIEW_NS` after a join or a cut."""
        since_ns = now_ns - self._joined_at_ns
        if since_ns >= EARLY_REVIEW_NS:
            self._joined_at_ns = now_ns
            self._kept_ns = KEPT_NS if since_ns < REPEAT_NS else 0
        self._is_early_review = True
        self._early_limit_ns = self._early_ceil_ns + self._kept_ns
        # Frames of the same burst that are late are no second event.
        self._least_ns = self._second_ns = self.low_ns = NEVER_NS
        self._least_at_ns = now_ns
        self._past_ns = ()
        self.excess_ns = 0
        self.review_ns = now_ns + EARLY_REVIEW_NS

    def is_in_time(self, slack_ns: int, cap_ns: int) -> bool:
        """Return whether a frame with this slack can be played at its turn."""
        return self._floor_ns <= slack_ns <= cap_ns

    def observe(self, now_ns: int, slack_ns: int) -> None:
        """Take the slack of a frame that arrives."""
        if now_ns >= self.review_ns:
            self._review(now_ns, slack_ns)
        # Nearly every frame: not among the two latest of its window.
        if slack_ns >= self._second_ns:
            return
        is_same_event = now_ns - self._least_at_ns < EPISODE_NS
        # A burst that gets worse replaces its own minimum instead of pushing it into second place:
        # one event counts once.
        if slack_ns < self._least_ns:
            if not is_same_event:
                self._second_ns = self._least_ns
                self._least_at_ns = now_ns
            self._least_ns = slack_ns
        elif not is_same_event:
            self._second_ns = slack_ns
        self.low_ns = max(0, self._second_ns)
        # Two separate events were too late, so lateness repeats.
        if self._second_ns < self._floor_ns:
            self.excess_ns = 0
            self.grow_ns = min(self._grown_ns - self._second_ns, GROW_NS_MAX)

    def changed(self, by_ns: int) -> None:
        """Note that audio was added; below zero, removed."""
        if by_ns > 0:
            self.grown(by_ns)
        else:
            self.shrunk(-by_ns)

    def grown(self, by_ns: int) -> None:
        """Note that audio was added: all later frames have their turns later."""
        self.grow_ns = max(0, self.grow_ns - by_ns)
        self.shift(by_ns)

    def shrunk(self, by_ns: int) -> None:
        """Note that audio was removed."""
        self._ask(self.excess_ns - by_ns)
        self.shift(-by_ns)

    def shift(self, by_ns: int) -> None:
        """Note that all turns are later by this than assumed; below zero, earlier."""
        self._least_ns += by_ns
        self._second_ns += by_ns
        self._past_ns = tuple(past_ns + by_ns for past_ns in self._past_ns)
        self.low_ns = max(0, self._second_ns)

    def _ask(self, excess_ns: int) -> None:
        """Ask for as many whole frames to be removed as leave the slack above the floor.

        It may end half a frame below what is aimed at, no more.
        """
        below_ns = min(FRAME_NS // 2, self._aim_ns - self._floor_ns)
        frames = max(0, excess_ns + below_ns) // FRAME_NS
        self.excess_ns = frames * FRAME_NS

    def _review(self, now_ns: int, slack_ns: int) -> None:
        second_ns = self._second_ns
        # Half of it, because `shift` moves NEVER_NS too.
        is_known = second_ns < NEVER_NS >> 1
        if self._is_early_review:
            self._is_early_review = False
            # The window goes on, and is judged at its own end.
            self.review_ns = max(self._window_end_ns, now_ns)
            if is_known and second_ns > self._early_limit_ns:
                self._ask(second_ns - self._aim_ns - self._kept_ns)
            return
        if is_known:
            if slack_ns > 0:
                # Smoothed: the slack of one frame must not set the lead of the next start.
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


FRAME_BYTES_MIN: Final = 8
FRAME_BYTES_MAX: Final = 960

CAP_NS: Final = 100 * MS_NS
"""Lead above which the carrier is sent nothing."""
HARD_NS: Final = 240 * MS_NS
"""Delay above which frames are dropped at once. With networks and phone more would pass 400 ms, the
most that ITU-T G.114 allows."""
BACKLOG_NS_MAX: Final = 1_000 * MS_NS
"""Lead above which the carrier is cleared."""
