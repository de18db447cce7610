"""Queues frames for a peer that does not read: all control frames, but only the newest audio.

Two things make frames wait: the kernel's buffer is full, which stops everything, or it holds more
than the peer should be behind, which stops audio. Pure. Knows no transport; it holds finished
frames and says which one is next.
"""

from __future__ import annotations


class SendQueue:
    """Frames in sending order, bounded: a new audio frame pushes out the oldest one.

    Audio and control wait in two lists with one common numbering, so that a control message never
    overtakes the audio it was sent after.
    """

    __slots__ = (
        "_audio",
        "_audio_max",
        "_control",
        "_is_stopped",
        "_next_number",
        "control_bytes",
        "holds_audio",
    )

    def __init__(self, audio_messages_max: int) -> None:
        # Lists, because there is one of each per socket, nearly always empty, and an empty deque
        # takes 760 bytes. The few that wait are shifted as fast as a deque would give them.
        self._audio: list[tuple[int, bytes]] = []
        self._control: list[tuple[int, bytes]] = []
        self._audio_max = audio_messages_max
        self._next_number = 0
        self._is_stopped = False
        self.holds_audio = False
        """Whether audio, and what was sent behind it, waits for the peer to catch up."""
        self.control_bytes = 0
        """Bytes of all waiting control frames, headers included."""

    def __len__(self) -> int:
        return len(self._audio) + len(self._control)

    @property
    def is_free(self) -> bool:
        """Whether a frame may be written at once; `holds_audio` is for the caller to look at."""
        return not (self._is_stopped or self._audio or self._control)

    def stop(self) -> None:
        """Make every frame wait: the kernel takes no more."""
        self._is_stopped = True

    def go(self) -> None:
        """Let frames go again, except audio while it is held."""
        self._is_stopped = False

    def add_audio(self, frame: bytes) -> int:
        """Append an audio frame; return how many older ones, 0 or 1, were dropped for it."""
        dropped = 0
        if len(self._audio) >= self._audio_max:
            # The oldest is the one that is too late to be heard. Dropping the new one instead would
            # keep the delay that has built up for the rest of the call.
            self._audio.pop(0)
            dropped = 1
        self._audio.append((self._take_number(), frame))
        return dropped

    def add_control(self, frame: bytes) -> None:
        """Append a control frame; the caller watches `control_bytes`."""
        self._control.append((self._take_number(), frame))
        self.control_bytes += len(frame)

    def pop(self) -> bytes | None:
        """Remove and return the next frame; None if there is none that may go."""
        if self._is_stopped:
            return None
        audio, control = self._audio, self._control
        if audio and (not control or audio[0][0] < control[0][0]):
            # Control behind held audio waits with it: a message must not arrive before the sound
            # that it was sent after.
            return None if self.holds_audio else audio.pop(0)[1]
        if not control:
            return None
        frame = control.pop(0)[1]
        self.control_bytes -= len(frame)
        return frame

    def clear(self) -> None:
        """Forget everything; the connection is gone."""
        self._audio.clear()
        self._control.clear()
        self.control_bytes = 0

    def _take_number(self) -> int:
        number = self._next_number
        self._next_number = number + 1
        return number
