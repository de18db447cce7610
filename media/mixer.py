"""Mixes voices: adds them without clipping, and buffers each until its audio is due.

A sum that would be too loud is turned down, and the gain then rises again. A lane holds the audio
of one source for as short a time as its jitter allows. Mu-law at 8 kHz.
"""

from __future__ import annotations

from typing import Final

from media.errors import FormatError
from media.g711 import MULAW_PEAK, MULAW_SILENCE, SAMPLE_BYTES, audioop

RELEASE_PER_FRAME: Final = 0.05
"""By how much the gain rises again in each piece: back from the half within ten, a fifth of a
second, which is no faster than syllables and so is not heard as a flutter."""


class Mixer:
    """The sum of two sources, and its gain from piece to piece."""

    __slots__ = ("_gain",)

    def __init__(self) -> None:
        self._gain = 1.0

    def mix(self, first: bytes, second: bytes) -> bytes:
        """Return the sum of two pieces of mu-law of one length.

        Raises:
            FormatError: They differ in length.

        """
        if len(first) != len(second):
            raise FormatError("Only pieces of one length can be added.")
        # Halves, whose sum always fits into 16 bits.
        half = audioop.add(
            audioop.mul(audioop.ulaw2lin(first, SAMPLE_BYTES), SAMPLE_BYTES, 0.5),
            audioop.mul(audioop.ulaw2lin(second, SAMPLE_BYTES), SAMPLE_BYTES, 0.5),
            SAMPLE_BYTES,
        )
        peak = 2 * audioop.max(half, SAMPLE_BYTES)
        # Down at once, so that not one sample clips, and up step by step.
        gain = min(1.0, self._gain + RELEASE_PER_FRAME)
        if peak * gain > MULAW_PEAK:
            gain = MULAW_PEAK / peak
        self._gain = gain
        return audioop.lin2ulaw(audioop.mul(half, SAMPLE_BYTES, 2 * gain), SAMPLE_BYTES)


_SILENCE = bytes([MULAW_SILENCE])

LATE_TAKES_MAX: Final = 10
"""A source that is back within this many pieces was late; after more it had paused."""
GROWN_TAKES_MAX: Final = 2
"""Pieces by which one gap makes the lead longer, at most: a stall alone is soon forgotten."""
WINDOW_TAKES: Final = 250
"""What was too much in all of this many pieces, five seconds of 20 ms, is more than is needed."""
QUIET_PEAK: Final = 500
"""A piece whose samples stay below this, some -36 dBov, may go without being missed."""


class Lane:
    """What has come of one source and has not been mixed yet, in bytes; one is 125 us.

    The lead follows the jitter of the source: each gap makes it longer, up to half of what is held
    at most; what was not needed for a while is taken away in a pause.
    """

    __slots__ = (
        "_audio",
        "_dry_takes",
        "_is_filling",
        "_lead",
        "_lead_min",
        "_least",
        "_most",
        "_takes",
        "dropped",
    )

    def __init__(self, lead: int, most: int) -> None:
        """Make an empty lane.

        Args:
            lead: Bytes that must have come before any are given, again after each gap.
            most: Bytes that are held; beyond them the oldest go, down to the lead.

        Raises ValueError where the two contradict one another.

        """
        if not 0 < lead <= most:
            raise ValueError("a lane holds at least its lead")
        self._audio = bytearray()
        self._is_filling = True
        self._lead = self._lead_min = lead
        self._most = most
        self._dry_takes = LATE_TAKES_MAX
        """Pieces that were not given, or not whole, since there was nothing left."""
        self._takes = 0
        self._least = most
        """The least that was left in this window."""
        self.dropped = 0
        """Bytes that came faster than they were mixed, or were more than jitter needs."""

    def __len__(self) -> int:
        return len(self._audio)

    def put(self, audio: bytes) -> None:
        """Take audio of any length."""
        held = self._audio
        held += audio
        if len(held) > self._most:
            self._drop(len(held) - self._lead)

    def take(self, count: int) -> bytes:
        """Return `count` bytes, padded with silence; nothing while the lane fills."""
        held = self._audio
        if self._is_filling:
            if held and self._dry_takes < LATE_TAKES_MAX:
                self._grow(count)
            if len(held) < self._lead:
                self._dry_takes += not held
                return b""
            self._is_filling = False
        audio = bytes(held[:count])
        del held[:count]
        if len(audio) < count:
            self._is_filling = True
            self._dry_takes = 1
            # A source that has paused adds nothing, not even silence.
            if not audio:
                return b""
            return audio + _SILENCE * (count - len(audio))
        self._shrink(count)
        return audio

    def clear(self) -> None:
        """Forget what has not been mixed."""
        self._audio.clear()
        self._is_filling = True
        self._dry_takes = LATE_TAKES_MAX

    def _grow(self, count: int) -> None:
        """Take a longer lead: the source was late by what was not given."""
        late = count * min(self._dry_takes, GROWN_TAKES_MAX)
        self._lead = max(self._lead, min(self._lead + late, self._most // 2))
        self._dry_takes = LATE_TAKES_MAX
        self._takes, self._least = 0, self._most

    def _shrink(self, count: int) -> None:
        """Leave out a quiet piece where more than one was left over for long."""
        self._takes += 1
        self._least = min(self._least, len(self._audio))
        if self._takes < WINDOW_TAKES:
            return
        next_ = bytes(self._audio[:count])
        if self._least < 2 * count or self._lead - count < self._lead_min:
            self._takes, self._least = 0, self._most
        elif audioop.max(audioop.ulaw2lin(next_, SAMPLE_BYTES), SAMPLE_BYTES) < QUIET_PEAK:
            self._drop(count)
            self._lead -= count
            self._takes, self._least = 0, self._most

    def _drop(self, count: int) -> None:
        del self._audio[:count]
        self.dropped += count
