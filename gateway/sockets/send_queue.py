"""Queues frames for a peer that does not read: all control frames, but only the newest audio.

Two things make frames wait: the kernel's buffer is full, which stops everything, or it holds more
than the peer should be behind, which stops audio. The frames in it are finished.
"""

from __future__ import annotations


class SendQueue:
    """Frames in sending order, bounded: a new audio frame pushes out the oldest one.

    All wait in one line, so that a control message never overtakes the audio it was sent after.
    """

    __slots__ = (
        "_audio_count",
        "_audio_max",
        "_is_stopped",
        "_waiting",
        "control_bytes",
        "holds_audio",
    )

    def __init__(self, audio_messages_max: int) -> None:
        # A list, because there is one per socket, nearly always empty, and an empty deque takes
        # 760 bytes. The few that wait are shifted as fast as a deque would give them.
        self._waiting: list[tuple[bool, bytes]] = []
        """Frames, each with whether it is audio."""
        self._audio_count = 0
        self._audio_max = audio_messages_max
        self._is_stopped = False
        self.holds_audio = False
        """Whether audio, and what was sent behind it, waits for the peer to catch up."""
        self.control_bytes = 0
        """Bytes of all waiting control frames, headers included."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_free(self) -> bool:
        """Whether a frame may be written at once; `holds_audio` is for the caller to look at."""
        return not (self._is_stopped or self._waiting)

    def stop(self) -> None:
        """Make every frame wait: the kernel takes no more."""
        self._is_stopped = True

    def go(self) -> None:
        """Let frames go again, except audio while it is held."""
        self._is_stopped = False

    def add_audio(self, frame: bytes) -> int:
        """Append an audio frame; return how many older ones, 0 or 1, were dropped for it."""
        dropped = 0
        if self._audio_count >= self._audio_max:
            # The oldest is the one that is too late to be heard. Dropping the new one instead would
            # keep the delay that has built up for the rest of the call.
            self._waiting.pop(self._oldest_audio())
            dropped = 1
        else:
            self._audio_count += 1
        self._waiting.append((True, frame))
        return dropped

    def _oldest_audio(self) -> int:
        return next(place for place, (is_audio, _) in enumerate(self._waiting) if is_audio)

    def add_control(self, frame: bytes) -> None:
        """Append a control frame; the caller watches `control_bytes`."""
        self._waiting.append((False, frame))
        self.control_bytes += len(frame)

    def pop(self) -> bytes | None:
        """Remove and return the next frame; None if there is none that may go."""
        if self._is_stopped or not self._waiting:
            return None
        is_audio, frame = self._waiting[0]
        # Control behind held audio waits with it: a message must not arrive before the sound that
        # it was sent after.
        if is_audio and self.holds_audio:
            return None
        del self._waiting[0]
        if is_audio:
            self._audio_count -= 1
        else:
            self.control_bytes -= len(frame)
        return frame

    def clear(self) -> None:
        """Forget everything; the connection is gone."""
        self._waiting.clear()
        self._audio_count = self.control_bytes = 0
