"""Models what a carrier has yet to play, from what it was sent and when.

The carrier takes whole 20 ms frames and plays all of them, in order and without a limit, so the
time at which it runs dry can be computed. Marks correct that time (`media.marks`).
"""

from __future__ import annotations

from media.clock import NEVER_NS
from media.g711 import FRAME_NS, FRAME_SAMPLES, SAMPLE_NS
from media.marks import Marks
from media.whole_frames import SILENCE, WholeFrames


class CarrierModel:
    """The carrier of one stream. What is written goes into a list of pieces to send at once."""

    __slots__ = ("cut_until_ns", "end_ns", "gap_ns", "marks", "whole_frames")

    # What each frame touches comes first: compiled, attributes lie in this order.
    end_ns: int

    def __init__(self) -> None:
        self.end_ns = -NEVER_NS
        """When the carrier runs dry."""
        self.gap_ns = 0
        """Silence to come between that and the next frame, which gives a start its lead. It is
        waited for while it is less than a frame."""
        self.cut_until_ns = -NEVER_NS
        """Frames that arrive before this are dropped: the carrier has more than enough to play."""
        self.whole_frames = WholeFrames()
        self.marks = Marks()

    def lead_ns(self, now_ns: int) -> int:
        """Return what the carrier has yet to play."""
        return max(0, self.end_ns - now_ns)

    def delay_ns(self, now_ns: int) -> int:
        """Return what comes before audio that is written next, if the gap is kept."""
        return self.lead_ns(now_ns) + self.gap_ns + len(self.whole_frames.rest) * SAMPLE_NS

    def write(self, audio: bytes, output: list[bytes]) -> None:
        """Send whole frames; what is left over waits for the audio that follows."""
        if whole := self.whole_frames.write(audio):
            output.append(whole)
            self.end_ns += len(whole) * SAMPLE_NS

    def insert(self, audio: bytes) -> bytes:
        """Return audio that does not continue the stream, completed to whole frames, to send."""
        audio = self.whole_frames.complete(audio)
        self.end_ns += len(audio) * SAMPLE_NS
        return audio

    def complete(self, output: list[bytes]) -> None:
        """Complete what is left over with silence."""
        self.write(SILENCE * self.whole_frames.missing, output)

    def end_gap(self, waited_ns: int, output: list[bytes]) -> int:
        """End the gap: send as silence what was not waited for; return what was, in ns."""
        gap_ns, self.gap_ns = self.gap_ns, 0
        missing = self.whole_frames.missing
        # The frame that the rest has begun is completed first. What is left is rounded to whole
        # frames, because the carrier takes no others.
        left_ns = gap_ns - waited_ns - missing * SAMPLE_NS
        frames = max(0, left_ns + FRAME_NS // 2) // FRAME_NS
        self.write(SILENCE * (missing + frames * FRAME_SAMPLES), output)
        return min(waited_ns, gap_ns)

    def catch_up(self, now_ns: int) -> int:
        """If the carrier has run dry, begin again at this time; return how long it was dry."""
        dry_ns = now_ns - self.end_ns
        if dry_ns <= 0:
            return 0
        self.end_ns = now_ns
        self.marks.relearn()
        return dry_ns

    def cut_above(self, lead_ns: int) -> None:
        """Drop the frames that arrive until the carrier has only this much to play."""
        self.cut_until_ns = self.end_ns - lead_ns

    def is_clear_due(self, now_ns: int) -> bool:
        """Return whether to clear the carrier: a doubt is to end, and no frames are being cut."""
        # A carrier that was dry may have begun up to a frame later than the model says.
        lead_ns = self.lead_ns(now_ns) + FRAME_NS
        is_due = self.marks.clear_control.is_due(now_ns, lead_ns)
        return is_due and not self.gap_ns and now_ns >= self.cut_until_ns

    def cleared(self, now_ns: int) -> None:
        """Note that the carrier has dropped all it had to play, and returns its marks."""
        self.marks.cleared(now_ns)
        self.end_ns = now_ns
        self.cut_until_ns = -NEVER_NS
