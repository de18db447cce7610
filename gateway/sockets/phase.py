"""Defines the life of a media socket as a table: what each phase allows, and what follows it.

RFC 6455, 7: the closing handshake, and the end of the TCP connection behind it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


class Phase(enum.Enum):
    """The phase of a media socket; it only moves forward."""

    OPENING = "opening"
    """The opening handshake is incomplete."""
    OPEN = "open"
    CLOSING = "closing"
    """We sent a close frame and read on for the peer's."""
    ENDING = "ending"
    """Nothing more is read; our end of the stream follows what still waits to be written."""
    DRAINING = "draining"
    """We have ended the stream; waiting for the peer to close the TCP connection."""
    LOST = "lost"


class Reads(enum.Enum):
    """What becomes of the bytes that arrive."""

    HANDSHAKE = "handshake"
    FRAMES = "frames"
    CLOSE = "close"
    """Frames are read for the sake of the peer's close frame; messages are not delivered."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class PhaseRules:
    """What one phase allows."""

    reads: Reads
    sends: bool
    """Whether a leg's messages go out."""
    speaks: bool
    """Whether the protocol may still send: a refusal, a pong, a close frame."""
    has_deadline: bool
    """Whether the sweep aborts a socket that stays too long; strangers have a deadline of their
    own while they are opening."""
    followers: frozenset[Phase]


def _rules(
    reads: Reads, *followers: Phase, sends: bool = False, speaks: bool = False, ends: bool = False
) -> PhaseRules:
    # The transport may vanish at any moment, so LOST follows every phase.
    return PhaseRules(reads, sends, speaks, ends, frozenset({*followers, Phase.LOST}))


RULES: Final[Mapping[Phase, PhaseRules]] = {
    # ENDING: the handshake is refused, and the refusal is the last that we send.
    Phase.OPENING: _rules(Reads.HANDSHAKE, Phase.OPEN, Phase.ENDING, Phase.DRAINING, speaks=True),
    # Straight to ENDING where the peer closed first, or we fail the connection: the close frame
    # that the library answers with is our last one, and there is no other to read on for.
    Phase.OPEN: _rules(
        Reads.FRAMES, Phase.CLOSING, Phase.ENDING, Phase.DRAINING, sends=True, speaks=True
    ),
    Phase.CLOSING: _rules(Reads.CLOSE, Phase.ENDING, Phase.DRAINING, speaks=True, ends=True),
    Phase.ENDING: _rules(Reads.NOTHING, Phase.DRAINING, ends=True),
    Phase.DRAINING: _rules(Reads.NOTHING, Phase.DRAINING, ends=True),
    Phase.LOST: _rules(Reads.NOTHING),
}
"""Aborting takes any phase to DRAINING, itself included: it begins the deadline again."""
