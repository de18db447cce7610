"""Describes how a transport delivers frames: packets in any order, or a stream that keeps order.

The profile says how much lead a stream needs and how often a missing frame must be looked for. Lead
is audio that the carrier has and has not played yet. The slack of a frame is the time from its
arrival until the carrier needs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from media.g711 import FRAME_NS
from media.nanoseconds import MS_NS

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
