"""Buffers one source's audio on its way into a mix, for as short as its jitter allows.

Mu-law at 8 kHz. Knows no clock: it is filled and emptied at the same pace by others.
"""

from __future__ import annotations

from media.g711 import MULAW_SILENCE

_SILENCE = bytes([MULAW_SILENCE])


class Lane:
    """What has come of one source and has not been mixed yet, in bytes; one is 125 us."""

    __slots__ = ("_audio", "_is_filling", "_lead", "_most", "dropped")

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
        self._lead = lead
        self._most = most
        self.dropped = 0
        """Bytes that came faster than they were mixed."""

    def __len__(self) -> int:
        return len(self._audio)

    def put(self, audio: bytes) -> None:
        """Take audio of any length."""
        held = self._audio
        held += audio
        if len(held) > self._most:
            surplus = len(held) - self._lead
            del held[:surplus]
            self.dropped += surplus

    def take(self, count: int) -> bytes:
        """Return so many bytes, silence behind what there is; nothing while it fills."""
        held = self._audio
        if self._is_filling:
            if len(held) < self._lead:
                return b""
            self._is_filling = False
        audio = bytes(held[:count])
        del held[:count]
        if len(audio) < count:
            self._is_filling = True
            # A source that has paused adds nothing, not even silence.
            if not audio:
                return b""
            audio += _SILENCE * (count - len(audio))
        return audio

    def clear(self) -> None:
        """Forget what has not been mixed."""
        self._audio.clear()
        self._is_filling = True
