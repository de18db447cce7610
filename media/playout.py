"""What a carrier that buffers without limit is given, and when, so that a call never lags.

The carrier plays what it is sent, in order, and keeps all of it: a burst sent on as it came would
be delay until the call ends. The model knows when the carrier will run dry. A missing frame is
waited for exactly that long, then concealed. What comes early beyond a cap is held here, where it
can still be shortened. How early frames come is steered: clocks may drift, networks change.

Works on mu-law at 8 kHz. Knows no network, call or clock: times are nanoseconds of one clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from media.allowance import Allowance
from media.bounds import BACKLOG_NS_MAX, CAP_NS, FRAME_BYTES_MAX, FRAME_BYTES_MIN, HARD_NS
from media.conceal import CONCEALED_NS_MAX, STEP, Concealer
from media.errors import FormatError
from media.g711 import FRAME_NS, FRAME_SAMPLES, SAMPLE_NS, SAMPLES_PER_MS
from media.held import Held
from media.marks import Marks
from media.pitch import PITCH_MAX
from media.playout_counters import PlayoutCounters
from media.rtp import JUMP_FRAMES_MAX, LATE_FRAMES_MAX, SEQUENCE_MASK, sequence_delta
from media.slack import NEVER_NS, Slack
from media.source import MS_NS, PACKETS, STREAM, Source, check_leads
from media.stretch import Stretcher
from media.waiter import Waiter
from media.whole_frames import HISTORY_PIECES, SILENCE, WholeFrames

__all__ = ["NEVER_NS", "Playout"]

_UNKNOWN: Final = -1


class Playout(Waiter):
    """One stream on its way to one carrier.

    Frames are mu-law of 8 to 960 bytes, 8 for each ms, as a rule 160. What `put`, `poll` and
    `insert` return is for the carrier, at once and in order; each piece is whole frames.

    Raises:
        ValueError: The tunables contradict one another.

    """

    __slots__ = (
        "_arriving",
        "_cap_ns",
        "_concealed_frames",
        "_concealer",
        "_end_ns",
        "_filled",
        "_gap_ns",
        "_guard_ns",
        "_hard_ns",
        "_held",
        "_history",
        "_is_concealing",
        "_is_idle",
        "_is_joining",
        "_is_straight",
        "_marks",
        "_next",
        "_out",
        "_packets",
        "_repairs",
        "_resume_ns",
        "_size",
        "_slack",
        "_stray_next",
        "_stream",
        "_stretcher",
        "counters",
        "is_clear_due",
        "is_talking",
    )

    def __init__(
        self,
        *,
        cap_ns: int = CAP_NS,
        hard_ns: int = HARD_NS,
        packets: Source = PACKETS,
        stream: Source = STREAM,
        repairs: Allowance | None = None,
    ) -> None:
        """Make a stream; `repairs` are those of all streams of the process, None for its own."""
        check_leads(max(packets.start_ns, stream.start_ns), cap_ns, hard_ns)
        super().__init__(NEVER_NS, stream.tick_ns)  # which `poll` is due by
        # What a frame touches that is simply next comes first, and so lies side by side where this
        # is compiled: with hundreds of streams, memory is fetched anew for each frame.
        self._is_straight = False
        """None of what follows applies: a frame in order passes as it is."""
        self._next = _UNKNOWN
        """Sequence number whose turn is next; unknown until the next frame tells."""
        self._arriving = 0
        """The sequence number after the newest."""
        self._end_ns = -NEVER_NS
        """When the carrier runs dry."""
        self._cap_ns, self._hard_ns = cap_ns, hard_ns
        self._slack = Slack(stream, cap_ns - FRAME_NS)
        self._follow(stream)
        self._size = FRAME_SAMPLES
        """Bytes of the latest frame; a missing one is taken to be as long."""
        self._out = WholeFrames()
        self._history = self._out.history
        self.counters = PlayoutCounters()
        self.is_talking = False
        """Whether the source talks, as its owner judges."""
        self.is_clear_due = False
        """Whether the carrier is to be cleared now; the owner does, and says so by `cleared`."""
        self._packets, self._stream = packets, stream
        self._repairs = Allowance() if repairs is None else repairs
        self._marks = Marks()
        self._stray_next = _UNKNOWN
        self._held = Held()
        self._is_idle = True
        """Nothing is due: the stream has not begun, was paused, or broke off."""
        self._is_joining = False
        """The next frame does not follow what was played, and is cross-faded in."""
        self._is_concealing = True
        self._concealer = Concealer()
        self._concealed_frames = 0
        """Frames whose turns have passed while concealing."""
        self._filled = 0
        """Bytes of the next frame that have been concealed already."""
        self._gap_ns = 0
        """Silence before the next frame: waited for while it is less than a frame."""
        self._resume_ns = -NEVER_NS
        """Frames before this are cut: the carrier has more than enough to play."""
        self._stretcher = Stretcher()

    @property
    def carrier_rtt_ns(self) -> int | None:
        """Round trip to the carrier, by the floor of its marks; None before the first came back."""
        return self._marks.rtt_ns

    def put(self, now_ns: int, frame: bytes, sequence: int | None = None) -> Sequence[bytes]:
        """Take a frame as it arrives; return what the carrier is to be given now.

        `sequence` is that of the RTP packet; None stands for a transport that keeps order. The
        first frame of a source tells which it is.

        Raises:
            FormatError: The frame is shorter than 8 bytes or longer than 960.

        """
        counters, size = self.counters, len(frame)
        number = self._arriving if sequence is None else sequence
        if (
            self._is_straight
            and number == self._next
            and self._slack.low_ns <= self._end_ns - now_ns <= self._cap_ns
            and now_ns < self._slack.review_ns
            and FRAME_SAMPLES <= size <= FRAME_BYTES_MAX
            and not size % FRAME_SAMPLES
        ):
            self._next = self._arriving = (number + 1) & SEQUENCE_MASK
            self._size = size
            self._end_ns = end_ns = self._end_ns + size * SAMPLE_NS
            self.deadline_ns = end_ns - self._guard_ns
            history = self._history
            history.append(frame)
            if len(history) > HISTORY_PIECES:
                history.pop(0)
            counters.frames_in += 1
            counters.frames_out += 1
            return (frame,)
        if not FRAME_BYTES_MIN <= size <= FRAME_BYTES_MAX:
            raise FormatError("A frame must have 8 to 960 bytes.")
        counters.frames_in += 1
        source = self._stream if sequence is None else self._packets
        return self._put_aside(now_ns, frame, number, source)

    def poll(self, now_ns: int) -> Sequence[bytes]:
        """Do what is due: conceal what has not come, hand on what was held."""
        if now_ns < self.deadline_ns:
            return ()
        return self._drain(now_ns, is_due=True)

    def insert(self, now_ns: int, audio: bytes) -> bytes:
        """Return our own audio for the carrier, which plays it ahead of speech.

        Speech is cut until no more of it waits than the lead of a stream.
        """
        self._detach()
        self._catch_up(now_ns)
        audio = self._out.complete(audio)
        self._end_ns += len(audio) * SAMPLE_NS
        self._resume_ns = self._end_ns - self._slack.lead_ns
        if not self._is_idle:
            self._is_concealing = False
            self.deadline_ns = self._end_ns - self._guard_ns
        return audio

    def pause(self) -> None:
        """Expect nothing until the next frame, which starts the stream anew."""
        self._detach()
        self._out.rest = b""
        self._stop()

    def restart(self) -> None:
        """Take the next frame as the first from another source of the same voice."""
        self._detach()

    def mark_due(self, now_ns: int, *, is_way_shorter: bool = False) -> str | None:
        """Return the name of a mark to send now, if any: at most one a second.

        `is_way_shorter` tells that what the carrier sends comes sooner than before.
        """
        name = self._marks.due(now_ns, self._end_ns, is_way_shorter=is_way_shorter)
        self._judge(now_ns)
        return name

    def mark_returned(self, now_ns: int, name: str) -> bool:
        """Correct the model by a mark that came back; a name that is not ours says nothing.

        Returns whether the carrier is to be cleared: it has over a second to play, or the time has
        come to end a doubt.
        """
        surplus_ns = self._marks.returned(now_ns, name)
        # What was inserted may be long; it is not backlog.
        if surplus_ns + min(self.lead_ns(now_ns), self._cap_ns) > BACKLOG_NS_MAX:
            return True
        correction_ns = self._marks.correct(now_ns, surplus_ns)
        self._end_ns += correction_ns
        self._slack.shift(correction_ns)
        if correction_ns > 0:
            self._slack.settle(now_ns)
            if self._end_ns - now_ns > self._hard_ns:
                self._detach()
                self._resume_ns = self._end_ns - self._slack.lead_ns
        self._judge(now_ns)
        return self.is_clear_due

    def cleared(self, now_ns: int) -> None:
        """Take note that the carrier has nothing left to play, and that its marks are void."""
        self.counters.cleared_ms += self.lead_ns(now_ns) // MS_NS
        self._marks.cleared(now_ns)
        self._end_ns = now_ns
        self.is_clear_due = False
        self._resume_ns = -NEVER_NS
        self.pause()

    def lead_ns(self, now_ns: int) -> int:
        """Return what the carrier has yet to play, by the model."""
        return max(0, self._end_ns - now_ns)

    def delay_ns(self, now_ns: int) -> int:
        """Return what is before a frame that comes now: with the carrier, and here."""
        delay_ns = self.lead_ns(now_ns) + self._gap_ns + self._held.length_ns
        delay_ns += len(self._out.rest) * SAMPLE_NS
        if self._held:
            span = (self._arriving - self._next) & SEQUENCE_MASK
            delay_ns += (span - len(self._held)) * self._size * SAMPLE_NS
        return delay_ns

    # -- a frame that is not simply next ---------------------------------------------------------

    def _put_aside(self, now_ns: int, frame: bytes, number: int, source: Source) -> Sequence[bytes]:
        if now_ns < self._resume_ns:
            self._arriving = (number + 1) & SEQUENCE_MASK
            self.counters.cut_ms += len(frame) // SAMPLES_PER_MS
            return ()
        self._is_straight = False
        ahead = 0 if self._next == _UNKNOWN else sequence_delta(number, self._next)
        behind_max = self._concealed_frames if self._is_idle else LATE_FRAMES_MAX
        if not -behind_max <= ahead <= JUMP_FRAMES_MAX:
            if number != self._stray_next:
                self._stray_next = (number + 1) & SEQUENCE_MASK
                self.counters.late += 1
                return ()
            self.counters.reset += 1
            self._detach()
        if self._next == _UNKNOWN:
            self._begin(now_ns, number, source, len(frame))
            ahead = 0
        elif self._is_idle:
            self._rejoin(now_ns, number, ahead)
            ahead = 0
        turn_ns = self._end_ns + self._gap_ns + (ahead * self._size - self._filled) * SAMPLE_NS
        self._slack.observe(now_ns, turn_ns - now_ns)
        if ahead < 0:
            if not self._slack.grow_ns or ahead < -self._concealed_frames:
                self.counters.late += 1
                return ()
            # Lateness repeats: played after its concealment, the frame makes the lead longer.
            self._filled -= ahead * self._size
            self._concealed_frames = 0
            self._next = number
        elif number in self._held:
            self.counters.duplicate += 1
            return ()
        self._size = len(frame)
        self._held.put(number, frame)
        if sequence_delta(number, self._arriving) >= 0:
            self._arriving = (number + 1) & SEQUENCE_MASK
        if self.delay_ns(now_ns) > self._hard_ns:
            self._cut(now_ns)
        return self._drain(now_ns, is_due=False)

    def _follow(self, source: Source) -> None:
        """Expect what comes from now on of this kind of source."""
        self._guard_ns = source.guard_ns
        self.tick_ns = source.tick_ns
        self._slack.follow(source)

    def _begin(self, now_ns: int, sequence: int, source: Source, size: int) -> None:
        """Start with this frame: with a lead, unless another source has left some."""
        is_another_kind = source is not self._slack.source
        if is_another_kind:
            self._follow(source)
        self._next = self._arriving = sequence
        lead_ns = self.lead_ns(now_ns)
        self._catch_up(now_ns)
        if self._is_idle or not lead_ns:
            self._gap_ns = max(0, self._slack.lead_ns - lead_ns + self._out.over_ns(size))
        self._is_idle = False
        self._slack.begin(now_ns)
        if is_another_kind and not self._gap_ns:
            self._slack.grow_ns = max(0, self._slack.lead_ns - lead_ns)

    def _rejoin(self, now_ns: int, sequence: int, ahead: int) -> None:
        """Go on with this frame after the stream broke off: at its turn, if that is to come."""
        start_ns = turn_ns = self._end_ns + (ahead * self._size - self._filled) * SAMPLE_NS
        self._catch_up(now_ns)
        if not self._slack.is_in_time(turn_ns - now_ns, self._cap_ns):
            start_ns = max(self._end_ns, now_ns + self._slack.lead_ns)
        self._gap_ns = start_ns - self._end_ns
        self._slack.shift(start_ns - turn_ns)
        self._slack.settle(now_ns)
        self.counters.lost += max(0, ahead)
        self._next = sequence
        self._filled = 0
        self._is_idle = False

    def _cut(self, now_ns: int) -> None:
        """Drop the oldest that is held until the delay is within the cap."""
        while self._held and self.delay_ns(now_ns) > self._cap_ns:
            frame = self._held.take(self._next)
            self.counters.lost += not frame
            self.counters.cut_ms += len(frame) // SAMPLES_PER_MS
            self._next = (self._next + 1) & SEQUENCE_MASK
        self._filled = 0
        self._is_joining = True
        self._slack.begin(now_ns)  # how late what was cut came says nothing of what follows

    def _detach(self) -> None:
        """Forget the sequence, and what is held of it."""
        self.counters.cut_ms += self._held.length_ns // MS_NS
        self._held.clear()
        self._gap_ns = self._filled = self._concealed_frames = 0
        self.tick_ns = self._slack.source.tick_ns
        self._next = _UNKNOWN
        self._is_joining = True
        self._is_straight = False

    def _stop(self) -> None:
        """Expect nothing; what comes then fades in from silence."""
        self._is_idle = self._is_concealing = True
        self._concealer.finish()
        self.deadline_ns = NEVER_NS

    def _judge(self, now_ns: int) -> None:
        """Say whether to clear: the model is in doubt, and nobody hears it, or it cannot wait."""
        if self._marks.is_in_doubt:
            self._is_straight = False
            is_due = self._marks.is_clear_due(now_ns, self.lead_ns(now_ns)) and not self._gap_ns
            self.is_clear_due = is_due and not self._is_idle and now_ns >= self._resume_ns

    # -- what the carrier is given ---------------------------------------------------------------

    def _drain(self, now_ns: int, *, is_due: bool) -> list[bytes]:
        """Give what has its turn, conceal what is missing; set the next deadline."""
        given: list[bytes] = []
        slack = self._slack
        while not self._is_idle:
            lead_ns = self._end_ns - now_ns
            if self._next in self._held:
                cap_ns = self._cap_ns - (PITCH_MAX * SAMPLE_NS if slack.grow_ns else 0)
                start_ns = self._end_ns - cap_ns
                if self._gap_ns:
                    start_ns = self._end_ns + self._gap_ns % FRAME_NS
                    self.tick_ns = self._packets.tick_ns
                if now_ns < start_ns:
                    self.deadline_ns = start_ns
                    break
                frame = self._held.take(self._next)
                self._next = (self._next + 1) & SEQUENCE_MASK
                self._go_on(now_ns, given)
                self._give(now_ns, frame, given)
            elif lead_ns + self._gap_ns > self._guard_ns or not (self._held or is_due):
                self.deadline_ns = self._end_ns + self._gap_ns - self._guard_ns
                break
            elif lead_ns < -CONCEALED_NS_MAX or (self._is_concealing and self._concealer.is_over):
                self._break_off(given)
            else:
                self._go_on(now_ns, given)
                self._write(self._conceal(now_ns), given)
        is_odd = self._is_idle or self._is_concealing or self._is_joining or bool(self._held)
        is_odd = is_odd or self._gap_ns > 0 or bool(self._out.rest)
        self._is_straight = not (is_odd or slack.grow_ns or slack.excess_ns)
        self._judge(now_ns)
        return given

    def _write(self, audio: bytes, given: list[bytes]) -> None:
        """Give the carrier this, in whole frames; what is left over waits for what follows."""
        if whole := self._out.write(audio):
            given.append(whole)
            self._end_ns += len(whole) * SAMPLE_NS

    def _catch_up(self, now_ns: int) -> None:
        """Let the model begin anew from now if the carrier has run dry."""
        if self._end_ns < now_ns:
            dry_ns, self._end_ns = now_ns - self._end_ns, now_ns
            self._marks.relearn()
            if not (self._is_idle or self._gap_ns):
                self.counters.underruns += 1
                self._slack.shift(dry_ns)
                self._slack.settle(now_ns)

    def _go_on(self, now_ns: int, given: list[bytes]) -> None:
        """End the gap before what is given next: what was not waited is frames of silence."""
        waited_ns = max(0, now_ns - self._end_ns)
        self._catch_up(now_ns)
        if self._gap_ns:
            self.counters.waited_ms += min(waited_ns, self._gap_ns) // MS_NS
            missing = self._out.missing
            left_ns, self._gap_ns = self._gap_ns - waited_ns - missing * SAMPLE_NS, 0
            frames = max(0, left_ns + FRAME_NS // 2) // FRAME_NS
            self.tick_ns = self._slack.source.tick_ns
            self._write(SILENCE * (missing + frames * FRAME_SAMPLES), given)

    def _break_off(self, given: list[bytes]) -> None:
        """Concealing on would be silence: go on with what is held, or wait for the next frame."""
        if not self._held:
            self.counters.underruns += 1
            self._write(SILENCE * self._out.missing, given)
            self._stop()
            return
        skipped = self._held.first_after(self._next)
        self.counters.lost += skipped
        self._next = (self._next + skipped) & SEQUENCE_MASK
        self._filled = 0
        self._is_joining = True

    def _conceal(self, now_ns: int) -> bytes:
        """Fill in for the next frame: whole if one after it is held, else for a step of it."""
        if not self._is_concealing:
            concealer = self._concealer
            start = concealer.start if self._repairs.take(now_ns) else concealer.start_roughly
            start(b"".join(self._history))
            self._is_concealing = True
        samples = max(SAMPLES_PER_MS, self._size - self._filled)
        audio = self._concealer.take(samples if self._held else min(STEP, samples))
        self.counters.concealed_ms += len(audio) // SAMPLES_PER_MS
        self._filled += len(audio)
        if self._next == _UNKNOWN:
            self._filled = 0
        elif self._filled >= self._size:
            self._filled = 0
            self._next = (self._next + 1) & SEQUENCE_MASK
            self._concealed_frames += 1
            self.counters.lost += 1
        return audio

    def _give(self, now_ns: int, frame: bytes, given: list[bytes]) -> None:
        """Give one frame, joined and corrected as need be and may be."""
        slack = self._slack
        if self._marks.is_in_doubt:
            is_quiet = self._stretcher.is_quiet(frame, self.is_talking)
            self._marks.gave(len(frame) * SAMPLE_NS, is_quiet=is_quiet)
        size = max(0, len(frame) - self._filled)
        if self._filled and not slack.grow_ns:
            frame = frame[self._filled :]
        self._filled = 0
        if self._is_joining or self._is_concealing:
            if self._repairs.take(now_ns):
                if not self._is_concealing:
                    self._concealer.start(b"".join(self._history))
                frame = self._concealer.join(frame)
            self._is_joining = self._is_concealing = False
            self._concealed_frames = 0
        # A pause to take a rest away in is looked for in each eighth frame: looking costs five.
        uneven = self._out.rest and not (self.is_talking or self._next % 8 or size % FRAME_SAMPLES)
        if (slack.grow_ns or slack.excess_ns or uneven) and self._repairs.take(now_ns):
            excess, rest = slack.excess_ns // SAMPLE_NS, len(self._out.rest)
            change = self._stretcher.change
            frame = change(frame, slack.grow_ns > 0, excess, rest, is_talking=self.is_talking)
            self._is_joining = not frame
            self.counters.stretched_ms = self._stretcher.added // SAMPLES_PER_MS
            self.counters.shortened_ms = self._stretcher.removed // SAMPLES_PER_MS
        later = self._out.due(len(frame)) - self._out.due(size)
        if later:
            slack.changed(later * SAMPLE_NS)
        if frame:
            self._write(frame, given)
            self.counters.frames_out += 1
