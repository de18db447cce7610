"""Tracks which frame of a stream is next, by RTP sequence numbers, and holds those that are early.

Finds how many turns a frame is early or late, recognises a sender that restarted its numbers, and
accounts for turns that were concealed. Early frames wait here rather than at the carrier, because
here they can still be reordered, shortened and dropped.
"""

from __future__ import annotations

from media.g711 import FRAME_SAMPLES, SAMPLE_NS
from media.rtp import SEQUENCE_MASK, sequence_delta


class Sequencer:
    """The sequence of one stream. Numbers wrap at 16 bits (RFC 3550, 5.1)."""

    __slots__ = (
        "_restart_number",
        "arriving",
        "concealed_bytes",
        "concealed_turns",
        "frame_bytes",
        "is_attached",
        "next_number",
    )

    # What each frame touches comes first: compiled, attributes lie in this order.
    next_number: int
    arriving: int
    frame_bytes: int

    def __init__(self) -> None:
        self.next_number = 0
        """The frame whose turn is next. Means nothing while detached."""
        self.arriving = 0
        """The number after the newest frame."""
        self.frame_bytes = FRAME_SAMPLES
        """Length of the latest frame; a missing one is taken to be as long."""
        self.is_attached = False
        """Whether `next_number` is known. If not, the next frame sets it."""
        self.concealed_bytes = 0
        """How much of the next frame has been concealed already."""
        self.concealed_turns = 0
        """Whole frames concealed since the last frame that was played."""
        self._restart_number = -1

    def turns_ahead(self, number: int) -> int:
        """Return how many turns after the next frame this one is; below zero, its turn is over."""
        # Detached, every frame is the next one.
        return sequence_delta(number, self.next_number) if self.is_attached else 0

    def is_restart(self, number: int) -> bool:
        """Return whether a frame far off the sequence follows another one that was as far off.

        Two such frames in a row mean that the sender restarted its numbers (RFC 3550, A.1).
        """
        if number == self._restart_number:
            return True
        # Exactly the next number: two strays far from each other prove nothing.
        self._restart_number = (number + 1) & SEQUENCE_MASK
        return False

    def attach(self, number: int) -> None:
        """Start a sequence with this frame."""
        self.is_attached = True
        self.next_number = self.arriving = number

    def detach(self) -> None:
        """Forget the sequence; frames after this belong to another one."""
        self.is_attached = False
        self.concealed_bytes = self.concealed_turns = 0

    def skip(self, turns: int) -> None:
        """Pass this many turns; nothing of the frame that is then next has been concealed."""
        self.next_number = (self.next_number + turns) & SEQUENCE_MASK
        self.concealed_bytes = 0

    def reclaim(self, number: int, ahead: int) -> None:
        """Give the next turn to a frame whose own turn was concealed: it is played after that."""
        # `ahead` is below zero: what was concealed of the turns since counts as concealed of this
        # frame.
        self.concealed_bytes -= ahead * self.frame_bytes
        self.concealed_turns = 0
        self.next_number = number

    def arrived(self, number: int, size: int) -> None:
        """Note a frame of `size` bytes that will be played."""
        self.frame_bytes = size
        # A frame that arrives out of order does not move the end of the sequence back.
        if sequence_delta(number, self.arriving) >= 0:
            self.arriving = (number + 1) & SEQUENCE_MASK

    def arrived_unplayed(self, number: int) -> None:
        """Note a frame that is dropped and whose turn does not count."""
        self.arriving = (number + 1) & SEQUENCE_MASK

    def advance(self) -> None:
        """Pass one turn."""
        self.next_number = (self.next_number + 1) & SEQUENCE_MASK

    def conceal(self, size: int) -> bool:
        """Note `size` concealed bytes; return whether that passed the turn of the next frame."""
        self.concealed_bytes += size
        # There is no next frame whose turn could pass.
        if not self.is_attached:
            self.concealed_bytes = 0
        elif self.concealed_bytes >= self.frame_bytes:
            self.concealed_bytes = 0
            self.advance()
            self.concealed_turns += 1
            return True
        return False

    def offset_ns(self, ahead: int) -> int:
        """Return the audio before a frame `ahead` turns on, from the end of what was sent."""
        return (ahead * self.frame_bytes - self.concealed_bytes) * SAMPLE_NS

    def missing_ns(self, waiting: int) -> int:
        """Return the length missing before the newest frame, if `waiting` frames wait."""
        span = (self.arriving - self.next_number) & SEQUENCE_MASK
        return (span - waiting) * self.frame_bytes * SAMPLE_NS


class JitterBuffer:
    """The waiting frames of one stream."""

    __slots__ = ("_frames", "length_ns")

    def __init__(self) -> None:
        # By number and unsorted: few frames ever wait, and the numbers wrap.
        self._frames: dict[int, bytes] = {}
        self.length_ns = 0
        """Length of all waiting frames together, without the gaps between them."""

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, number: int) -> bool:
        return number in self._frames

    def put(self, number: int, frame: bytes) -> None:
        """Add a frame whose number is not there yet."""
        self._frames[number] = frame
        self.length_ns += len(frame) * SAMPLE_NS

    def take(self, number: int) -> bytes:
        """Remove the frame of this number and return it; empty if there is none."""
        frame = self._frames.pop(number, b"")
        self.length_ns -= len(frame) * SAMPLE_NS
        return frame

    def clear(self) -> None:
        """Remove all frames."""
        self._frames.clear()
        self.length_ns = 0

    def first_after(self, number: int) -> int:
        """Return the distance from this number to the first waiting frame at or after it."""
        return min((sequence - number) & SEQUENCE_MASK for sequence in self._frames)
