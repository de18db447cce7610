"""Defines the state of a playout stream: its counters, and its phases as a state machine.

    IDLE ─ arrival ─► STARTING ─ played ─► PLAYING ◄─ played ─ JOINING, CONCEALING
    PLAYING ─ broken ─► JOINING          PLAYING, JOINING ─ missing ─► CONCEALING
    any ─ stopped ─► IDLE                any but IDLE ─ inserted ─► JOINING

One table for each event says which phase follows each phase. A phase that is absent does not allow
the event, and looking it up raises KeyError. Independent of the phase the sequence may be detached
(`media.sequencer`), except while PLAYING, and the model of the carrier may be in doubt
(`media.clear_control`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class PlayoutPhase(IntEnum):
    """What the carrier was sent last, and so what the next frame has to be joined to."""

    IDLE = 0
    """Silence, and nothing is due: the stream has not begun, was paused, or broke off."""
    STARTING = 1
    """Silence. A frame has arrived and waits until its lead is there; it is faded in."""
    PLAYING = 2
    """The frame before it: it is played as it is."""
    JOINING = 3
    """Audio that it does not continue: it is cross-faded in from a continuation of that."""
    CONCEALING = 4
    """Concealment: it is cross-faded in from that."""


IDLE: Final = PlayoutPhase.IDLE
STARTING: Final = PlayoutPhase.STARTING
PLAYING: Final = PlayoutPhase.PLAYING
JOINING: Final = PlayoutPhase.JOINING
CONCEALING: Final = PlayoutPhase.CONCEALING

Transitions = dict[PlayoutPhase, PlayoutPhase]

ON_ARRIVAL: Final[Transitions] = {
    IDLE: STARTING,
    STARTING: STARTING,
    PLAYING: PLAYING,
    JOINING: JOINING,
    CONCEALING: CONCEALING,
}
"""A frame arrives that starts or resumes the stream."""
ON_BROKEN: Final[Transitions] = {
    IDLE: IDLE,
    STARTING: STARTING,
    PLAYING: JOINING,
    JOINING: JOINING,
    CONCEALING: CONCEALING,
}
"""The sequence was detached, or frames of it are skipped: what follows does not continue it."""
ON_MISSING: Final[Transitions] = {
    PLAYING: CONCEALING,
    JOINING: CONCEALING,
    CONCEALING: CONCEALING,
}
"""The carrier needs audio and the next frame is missing. At a start there is nothing to continue:
the stream stops or skips."""
ON_PLAYED: Final[Transitions] = {
    STARTING: PLAYING,
    PLAYING: PLAYING,
    JOINING: PLAYING,
    CONCEALING: PLAYING,
}
"""A frame of the stream was sent to the carrier."""
ON_INSERTED: Final[Transitions] = {
    IDLE: IDLE,
    STARTING: JOINING,
    PLAYING: JOINING,
    JOINING: JOINING,
    CONCEALING: JOINING,
}
"""Audio of our own, such as a tone, was sent to the carrier."""
ON_STOPPED: Final[Transitions] = dict.fromkeys(PlayoutPhase, IDLE)
"""The stream was paused, or concealment has faded to silence and no frame waits."""


@dataclass(slots=True)
class PlayoutCounters:
    """Counters of one stream since it began."""

    frames_in: int = 0
    frames_out: int = 0
    """Frames sent to the carrier, whole or changed."""
    lost: int = 0
    """Frames whose turn passed before they arrived."""
    late: int = 0
    """Frames that arrived after their turn, including copies of frames that were played."""
    duplicate: int = 0
    """Copies of frames that were still waiting."""
    reset: int = 0
    """Restarts of the sequence by the sender."""
    underruns: int = 0
    """Times the carrier ran dry during a stream."""
    concealed_ms: int = 0
    shortened_ms: int = 0
    """Removed inaudibly."""
    stretched_ms: int = 0
    cut_ms: int = 0
    """Dropped because the delay passed the hard limit, or because other audio came first."""
    cleared_ms: int = 0
    """Dropped by the carrier when it was cleared, by the model."""
    waited_ms: int = 0
    """Silence before a start, made by waiting while the carrier had nothing to play."""
