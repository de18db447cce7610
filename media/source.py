"""What is expected of a kind of source: how evenly its frames come, and how soon lateness is seen.

A frame is late when the carrier has less to play than the guard: the period of `poll`, and the time
that what was concealed takes to get there. Knows no frame and no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from media.g711 import FRAME_NS

MS_NS: Final = 1_000_000
SEND_NS: Final = 500_000
"""Time left for what was concealed to leave: the way to the carrier is in its round trip."""
FLOOR_NS: Final = 3_500_000
"""Of the slack, above the guard."""


@dataclass(frozen=True, slots=True)
class Source:
    """One kind. What is steered is how long before their turns frames come: their slack.

    Raises:
        ValueError: The tunables contradict one another.

    """

    start_ns: int
    """Lead that a stream starts with, until its jitter is known."""
    tick_ns: int
    """Period of `poll`, which may come so much too late."""
    grown_ns: int
    """Slack that is aimed at from below the band."""
    aim_ns: int
    """Slack that is aimed at from above it."""
    settled_ns: int
    """Slack above which a join or a cut has left delay to take away."""
    ceil_ns: int
    """Slack above which, where it lasts, there is delay to take away. A talker hears a correction
    sooner than a few milliseconds: what lies between the two stays."""

    def __post_init__(self) -> None:
        lowest_ns = min(self.start_ns, self.grown_ns)
        is_floor = self.tick_ns > 0 and self.floor_ns <= lowest_ns
        if not is_floor or not self.grown_ns <= self.aim_ns <= self.settled_ns <= self.ceil_ns:
            raise ValueError("Tick, floor, start and what is aimed at, and ceilings must rise.")

    @property
    def guard_ns(self) -> int:
        """What the carrier has yet to play when concealment starts."""
        return self.tick_ns + SEND_NS

    @property
    def floor_ns(self) -> int:
        """Slack below which lateness that repeats makes audio grow."""
        return self.guard_ns + FLOOR_NS


PACKETS: Final = Source(
    start_ns=14 * MS_NS,
    tick_ns=2_500_000,
    grown_ns=10 * MS_NS,
    aim_ns=10 * MS_NS,
    settled_ns=20 * MS_NS,
    ceil_ns=20 * MS_NS,
)
"""Datagrams: one that is late keeps no other. They come as evenly as they are sent, and where they
do not, the lead grows within seconds."""
STREAM: Final = Source(
    start_ns=30 * MS_NS,
    tick_ns=10 * MS_NS,
    grown_ns=18 * MS_NS,
    aim_ns=24 * MS_NS,
    settled_ns=36 * MS_NS,
    ceil_ns=50 * MS_NS,
)
"""Frames on a transport that keeps order: one that is late keeps all behind it."""


def check_leads(start_ns: int, cap_ns: int, hard_ns: int) -> None:
    """See that the lead of a start, the cap and the hard limit of a playout rise.

    Raises:
        ValueError: They contradict one another.

    """
    if not start_ns <= cap_ns - FRAME_NS <= hard_ns - 2 * FRAME_NS:
        raise ValueError("Starts, cap and hard limit must rise, the last two by a frame.")
