"""Decides what audio to send to a carrier that buffers without limit, and when.

The carrier plays all it is sent, in order, and drops nothing, so a burst that is forwarded at once
stays as delay until the call ends. A model of the carrier says when it runs dry. A missing frame is
waited for until just before that and then concealed. Frames that come early are sent up to a cap;
the rest waits here, where it can be reordered, shortened and dropped. The lead is steered, because
clocks drift and networks change.

The parts: `Sequencer` (which frame is next), `JitterBuffer` (frames before their turns),
`CarrierModel` and `ClearControl` (what the carrier has), `LeadControl` (how early frames come),
`SpeechRepair` (how audio is altered), and `PlayoutPhase` (what the next frame is joined to).

Times are nanoseconds of one clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from media.carrier_model import CarrierModel
from media.clock import MS_NS, NEVER_NS, Waiter
from media.conceal import CONCEALED_NS_MAX, STEP
from media.errors import FormatError
from media.g711 import FRAME_NS, FRAME_SAMPLES, SAMPLE_NS, SAMPLES_PER_MS
from media.lead_control import (
    BACKLOG_NS_MAX,
    CAP_NS,
    FRAME_BYTES_MAX,
    FRAME_BYTES_MIN,
    HARD_NS,
    PACKETS,
    STREAM,
    ArrivalProfile,
    LeadControl,
    check_leads,
)
from media.pitch import PITCH_MAX
from media.playout_state import (
    CONCEALING,
    IDLE,
    JOINING,
    ON_ARRIVAL,
    ON_BROKEN,
    ON_INSERTED,
    ON_MISSING,
    ON_PLAYED,
    ON_STOPPED,
    PLAYING,
    STARTING,
    PlayoutCounters,
)
from media.rtp import JUMP_FRAMES_MAX, LATE_FRAMES_MAX, SEQUENCE_MASK
from media.sequencer import JitterBuffer, Sequencer
from media.speech_repair import RepairBudget, SpeechRepair
from media.whole_frames import HISTORY_PIECES


class Playout(Waiter):
    """One stream on its way to one carrier.

    Frames are mu-law of 8 to 960 bytes, 8 for each ms, usually 160. What `put`, `poll` and `insert`
    return is to be sent to the carrier at once and in order; each piece is a multiple of 160 bytes.
    Raises ValueError where the tunables contradict one another.
    """

    __slots__ = (
        "_buffer",
        "_cap_ns",
        "_carrier",
        "_clear_control",
        "_counters",
        "_forwarded",
        "_guard_ns",
        "_hard_ns",
        "_history",
        "_lead_control",
        "_low_ns",
        "_on_fast_path",
        "_packets",
        "_phase",
        "_repair",
        "_review_ns",
        "_sequencer",
        "_stream",
        "_whole_frames",
        "is_clear_due",
        "is_talking",
    )

    def __init__(
        self,
        *,
        cap_ns: int = CAP_NS,
        hard_ns: int = HARD_NS,
        packets: ArrivalProfile = PACKETS,
        stream: ArrivalProfile = STREAM,
        repairs: RepairBudget | None = None,
    ) -> None:
        """Make a stream; `repairs` is the budget of the process, None for one of its own."""
        check_leads(max(packets.start_ns, stream.start_ns), cap_ns, hard_ns)
        super().__init__(NEVER_NS, stream.tick_ns)  # of `poll`
        # What `put` touches on the fast path comes first: compiled, attributes lie in this order,
        # and with hundreds of streams each frame finds its stream outside the processor's cache.
        self._on_fast_path = False
        """Whether a frame that is next is sent as it is: PLAYING, and nothing to correct."""
        self._sequencer = Sequencer()
        self._carrier = CarrierModel()
        self._cap_ns = cap_ns
        self._guard_ns = stream.guard_ns
        self._low_ns = self._review_ns = 0
        """Of the lead control, as of the last event that changed it."""
        self._forwarded = 0
        """Frames sent on the fast path that `counters` does not have yet."""
        self._history = self._carrier.whole_frames.history
        self.is_talking = False
        """Whether the source talks; set by the owner."""
        self.is_clear_due = False
        """Whether to clear the carrier now; the owner does, and calls `cleared`."""
        self._hard_ns = hard_ns
        self._whole_frames = self._carrier.whole_frames
        self._packets = packets
        self._stream = stream
        self._counters = PlayoutCounters()
        self._lead_control = LeadControl(stream, cap_ns - FRAME_NS)
        self._lead_control.follow(stream)  # the first start repeats no join at any time
        self._phase = IDLE
        self._buffer = JitterBuffer()
        self._clear_control = self._carrier.marks.clear_control
        budget = RepairBudget() if repairs is None else repairs
        self._repair = SpeechRepair(self._history, self._counters, budget)

    @property
    def carrier_rtt_ns(self) -> int | None:
        """Round trip to the carrier, by the floor of its marks; None before the first came back."""
        return self._carrier.marks.rtt_ns

    @property
    def counters(self) -> PlayoutCounters:
        """What has been done to the stream so far."""
        counters = self._counters
        counters.frames_in += self._forwarded
        counters.frames_out += self._forwarded
        self._forwarded = 0
        return counters

    # -- events ----------------------------------------------------------------------------------

    def put(self, now_ns: int, frame: bytes, sequence: int | None = None) -> Sequence[bytes]:
        """Take a frame as it arrives; return what to send to the carrier now.

        `sequence` is that of the RTP packet, None on a transport that keeps order. The first frame
        of a source sets which kind it is.

        Raises:
            FormatError: The frame is shorter than 8 bytes or longer than 960.

        """
        sequencer = self._sequencer
        size = len(frame)
        number = sequencer.arriving if sequence is None else sequence
        if self._on_fast_path and number == sequencer.next_number:
            carrier = self._carrier
            end_ns = carrier.end_ns
            if (
                self._low_ns <= end_ns - now_ns <= self._cap_ns
                and now_ns < self._review_ns
                and FRAME_SAMPLES <= size <= FRAME_BYTES_MAX
                and not size % FRAME_SAMPLES
            ):
                sequencer.next_number = sequencer.arriving = (number + 1) & SEQUENCE_MASK
                sequencer.frame_bytes = size
                carrier.end_ns = end_ns = end_ns + size * SAMPLE_NS
                self.deadline_ns = end_ns - self._guard_ns
                history = self._history
                history.append(frame)
                if len(history) > HISTORY_PIECES:
                    history.pop(0)
                self._forwarded += 1
                return (frame,)
        if not FRAME_BYTES_MIN <= size <= FRAME_BYTES_MAX:
            raise FormatError("A frame must have 8 to 960 bytes.")
        self._counters.frames_in += 1
        profile = self._stream if sequence is None else self._packets
        return self._put_slow(now_ns, frame, number, profile)

    def poll(self, now_ns: int) -> Sequence[bytes]:
        """Return what is due: concealment of a missing frame, or a frame that waited."""
        if now_ns < self.deadline_ns:
            return ()
        return self._advance(now_ns, is_due=True)

    def insert(self, now_ns: int, audio: bytes) -> bytes:
        """Return our own audio for the carrier, which plays it ahead of speech.

        Speech is dropped until the carrier has no more to play than the lead of a stream.
        """
        carrier = self._carrier
        self._detach()
        self._catch_up(now_ns)
        audio = carrier.insert(audio)
        carrier.cut_above(self._lead_control.lead_ns)
        self._phase = ON_INSERTED[self._phase]
        if self._phase is not IDLE:
            self.deadline_ns = carrier.end_ns - self._guard_ns
        return audio

    def pause(self) -> None:
        """Expect nothing until the next frame, which starts a new sequence with a new lead."""
        self._detach()
        self._whole_frames.rest = b""
        self._stop()

    def restart(self) -> None:
        """Take the next frame as the first from another source of the same voice."""
        self._detach()

    def mark_due(self, now_ns: int, *, is_way_shorter: bool = False) -> str | None:
        """Return the name of a mark to send now, if one is due: at most one a second.

        `is_way_shorter` tells that what the carrier sends arrives sooner than before.
        """
        carrier = self._carrier
        name = carrier.marks.due(now_ns, carrier.end_ns, is_way_shorter=is_way_shorter)
        self._review_doubt(now_ns)
        return name

    def mark_returned(self, now_ns: int, name: str) -> bool:
        """Correct the model by a mark that came back; return whether to clear the carrier now.

        An unknown name changes nothing.
        """
        carrier = self._carrier
        lead = self._lead_control
        surplus_ns = carrier.marks.returned(now_ns, name)
        # A second of backlog is believed on one mark. Inserted audio may be long, and is none.
        if surplus_ns + min(self.lead_ns(now_ns), self._cap_ns) > BACKLOG_NS_MAX:
            return True
        correction_ns = carrier.marks.correct(now_ns, surplus_ns)
        carrier.end_ns += correction_ns
        lead.shift(correction_ns)
        if correction_ns > 0:
            lead.review_soon(now_ns)
            if carrier.end_ns - now_ns > self._hard_ns:
                self._detach()
                carrier.cut_above(lead.lead_ns)
        self._low_ns, self._review_ns = lead.low_ns, lead.review_ns
        self._review_doubt(now_ns)
        return self.is_clear_due

    def cleared(self, now_ns: int) -> None:
        """Note that the carrier has dropped all it had to play, and that its marks are void."""
        self._counters.cleared_ms += self.lead_ns(now_ns) // MS_NS
        self._carrier.cleared(now_ns)
        self.is_clear_due = False
        self.pause()

    # -- delay -----------------------------------------------------------------------------------

    def lead_ns(self, now_ns: int) -> int:
        """Return what the carrier has yet to play, by the model."""
        return self._carrier.lead_ns(now_ns)

    def delay_ns(self, now_ns: int) -> int:
        """Return the audio ahead of a frame that arrives now: at the carrier and here."""
        buffer = self._buffer
        delay_ns = self._carrier.delay_ns(now_ns) + buffer.length_ns
        if buffer:
            delay_ns += self._sequencer.missing_ns(len(buffer))
        return delay_ns

    # -- a frame arrives that the fast path does not take ----------------------------------------

    def _put_slow(
        self, now_ns: int, frame: bytes, number: int, profile: ArrivalProfile
    ) -> Sequence[bytes]:
        carrier = self._carrier
        sequencer = self._sequencer
        counters = self._counters
        if now_ns < carrier.cut_until_ns:
            sequencer.arrived_unplayed(number)
            counters.cut_ms += len(frame) // SAMPLES_PER_MS
            return ()
        self._on_fast_path = False
        ahead = sequencer.turns_ahead(number)
        is_idle = self._phase is IDLE
        # Before a stream that broke off, only turns that were concealed may still be filled.
        behind_max = sequencer.concealed_turns if is_idle else LATE_FRAMES_MAX
        if not -behind_max <= ahead <= JUMP_FRAMES_MAX:
            if not sequencer.is_restart(number):
                counters.late += 1
                return ()
            counters.reset += 1
            self._detach()
        if not sequencer.is_attached:
            self._begin(now_ns, number, profile, len(frame))
            ahead = 0
        elif is_idle:
            self._resume(now_ns, ahead)
            ahead = 0
        turn_ns = carrier.end_ns + carrier.gap_ns + sequencer.offset_ns(ahead)
        self._lead_control.observe(now_ns, turn_ns - now_ns)
        if ahead < 0:
            # Late once: its concealment has been heard, and it would only be repeated.
            if not self._lead_control.grow_ns or ahead < -sequencer.concealed_turns:
                counters.late += 1
                return ()
            # Lateness repeats. Played after its own concealment, the frame makes the lead longer.
            sequencer.reclaim(number, ahead)
        elif number in self._buffer:
            counters.duplicate += 1
            return ()
        sequencer.arrived(number, len(frame))
        self._buffer.put(number, frame)
        if self.delay_ns(now_ns) > self._hard_ns:
            self._cut(now_ns)
        return self._advance(now_ns, is_due=False)

    def _begin(self, now_ns: int, number: int, profile: ArrivalProfile, size: int) -> None:
        """Start a sequence with this frame: with a lead, unless another source has left some."""
        lead = self._lead_control
        carrier = self._carrier
        is_another_kind = profile is not lead.profile
        if is_another_kind:
            self._guard_ns, self.tick_ns = profile.guard_ns, profile.tick_ns
            lead.follow(profile)
        self._sequencer.attach(number)
        lead_ns = self.lead_ns(now_ns)
        self._catch_up(now_ns)
        if self._phase is IDLE or not lead_ns:
            carrier.gap_ns = max(0, lead.lead_ns - lead_ns + self._whole_frames.over_ns(size))
        self._phase = ON_ARRIVAL[self._phase]
        lead.reset(now_ns, is_start=carrier.gap_ns > 0)
        # What is there may do; if frames come late nevertheless, the lead grows as ever.
        if is_another_kind and not carrier.gap_ns and lead_ns < profile.grown_ns:
            lead.grow_ns = lead.lead_ns - lead_ns

    def _resume(self, now_ns: int, ahead: int) -> None:
        """Continue a sequence that broke off: at the frame's turn, if that is still to come."""
        carrier = self._carrier
        lead = self._lead_control
        start_ns = turn_ns = carrier.end_ns + self._sequencer.offset_ns(ahead)
        self._catch_up(now_ns)
        if not lead.is_in_time(turn_ns - now_ns, self._cap_ns):
            start_ns = max(carrier.end_ns, now_ns + lead.lead_ns)
        carrier.gap_ns = start_ns - carrier.end_ns
        lead.shift(start_ns - turn_ns)
        lead.review_soon(now_ns)
        self._counters.lost += max(0, ahead)
        self._sequencer.skip(ahead)
        self._phase = ON_ARRIVAL[self._phase]

    def _cut(self, now_ns: int) -> None:
        """Drop the oldest waiting frames until the delay is within the cap."""
        counters = self._counters
        sequencer = self._sequencer
        while self._buffer and self.delay_ns(now_ns) > self._cap_ns:
            frame = self._buffer.take(sequencer.next_number)
            counters.lost += not frame
            counters.cut_ms += len(frame) // SAMPLES_PER_MS
            sequencer.advance()
        sequencer.concealed_bytes = 0
        self._phase = ON_BROKEN[self._phase]
        self._lead_control.reset(now_ns)  # the slack of dropped frames says nothing of later ones

    def _detach(self) -> None:
        """Forget the sequence, and drop its waiting frames."""
        self._counters.cut_ms += self._buffer.length_ns // MS_NS
        self._buffer.clear()
        self._sequencer.detach()
        self._carrier.gap_ns = 0
        self._phase = ON_BROKEN[self._phase]
        self._on_fast_path = False

    def _stop(self) -> None:
        """Expect nothing; the next frame fades in from silence."""
        self._phase = ON_STOPPED[self._phase]
        self._repair.stop_concealment()
        self.deadline_ns = NEVER_NS

    def _review_doubt(self, now_ns: int) -> None:
        """Leave the fast path while the model is in doubt, and say whether to clear."""
        if self._clear_control.is_in_doubt:
            self._on_fast_path = False
            self.is_clear_due = self._carrier.is_clear_due(now_ns) and self._phase is not IDLE

    # -- what the carrier is sent ----------------------------------------------------------------

    def _advance(self, now_ns: int, *, is_due: bool) -> list[bytes]:
        """Send the frames whose turn it is, conceal what is missing; set the next deadline."""
        output: list[bytes] = []
        carrier = self._carrier
        sequencer = self._sequencer
        buffer = self._buffer
        lead = self._lead_control
        while self._phase is not IDLE:
            lead_ns = carrier.end_ns - now_ns
            if sequencer.next_number in buffer:
                start_ns = carrier.end_ns - self._cap_ns
                if carrier.gap_ns or lead.grow_ns:
                    start_ns = self._start_ns()
                if now_ns < start_ns:
                    self.deadline_ns = start_ns
                    break
                frame = buffer.take(sequencer.next_number)
                sequencer.advance()
                if carrier.gap_ns or lead_ns < 0:
                    self._end_gap(now_ns, output)
                self._play(now_ns, frame, output)
            elif lead_ns + carrier.gap_ns > self._guard_ns or not (buffer or is_due):
                self.deadline_ns = carrier.end_ns + carrier.gap_ns - self._guard_ns
                break
            elif lead_ns < -CONCEALED_NS_MAX or self._is_concealment_over():
                self._break_off(output)
            else:
                if carrier.gap_ns or lead_ns < 0:
                    self._end_gap(now_ns, output)
                carrier.write(self._conceal(now_ns), output)
        # A frame that is not plain, or not at its turn, comes back to this function.
        is_plain = self._phase is PLAYING and not (buffer or self._whole_frames.rest)
        is_plain = is_plain and not carrier.gap_ns
        self._on_fast_path = is_plain and not (lead.grow_ns or lead.excess_ns)
        self._low_ns, self._review_ns = lead.low_ns, lead.review_ns
        if self._clear_control.is_in_doubt:
            self._review_doubt(now_ns)
        return output

    def _start_ns(self) -> int:
        """Return when a frame may be sent that ends a gap, or is to be made longer."""
        carrier = self._carrier
        if carrier.gap_ns:
            return carrier.end_ns + carrier.gap_ns % FRAME_NS
        return carrier.end_ns - self._cap_ns + PITCH_MAX * SAMPLE_NS

    def _is_concealment_over(self) -> bool:
        """Return whether nothing but silence is left to conceal with."""
        phase = self._phase
        if phase is CONCEALING:
            return self._repair.is_concealment_over
        return phase is STARTING

    def _catch_up(self, now_ns: int) -> None:
        """Let the model begin again from now if the carrier has run dry."""
        dry_ns = self._carrier.catch_up(now_ns)
        if dry_ns and not (self._phase is IDLE or self._carrier.gap_ns):
            self._counters.underruns += 1
            self._lead_control.shift(dry_ns)
            self._lead_control.review_soon(now_ns)

    def _end_gap(self, now_ns: int, output: list[bytes]) -> None:
        """End the gap before the next frame: what was not waited for is sent as silence."""
        carrier = self._carrier
        waited_ns = max(0, now_ns - carrier.end_ns)
        self._catch_up(now_ns)
        if carrier.gap_ns:
            self._counters.waited_ms += carrier.end_gap(waited_ns, output) // MS_NS

    def _break_off(self, output: list[bytes]) -> None:
        """End concealment: skip to the first frame that waits, or stop until one arrives."""
        if not self._buffer:
            self._counters.underruns += 1
            self._carrier.complete(output)
            self._stop()
            return
        skipped = self._buffer.first_after(self._sequencer.next_number)
        self._counters.lost += skipped
        self._sequencer.skip(skipped)
        self._phase = ON_BROKEN[self._phase]

    def _conceal(self, now_ns: int) -> bytes:
        """Return audio for the missing frame: all of it if a later one waits, else one step."""
        if self._phase is not CONCEALING:
            self._repair.start_concealment(now_ns)
            self._phase = ON_MISSING[self._phase]
        sequencer = self._sequencer
        samples = max(SAMPLES_PER_MS, sequencer.frame_bytes - sequencer.concealed_bytes)
        audio = self._repair.conceal(samples if self._buffer else min(STEP, samples))
        self._counters.lost += sequencer.conceal(len(audio))
        return audio

    def _play(self, now_ns: int, frame: bytes, output: list[bytes]) -> None:
        """Send one frame, joined and stretched where that is needed and the budget allows it."""
        sequencer = self._sequencer
        lead = self._lead_control
        repair = self._repair
        whole_frames = self._whole_frames
        rest = len(whole_frames.rest)
        if self._clear_control.is_in_doubt:
            is_quiet = repair.is_quiet(frame, is_talking=self.is_talking)
            self._clear_control.sent(len(frame) * SAMPLE_NS, is_quiet=is_quiet)
        size = max(0, len(frame) - sequencer.concealed_bytes)
        if sequencer.concealed_bytes and not lead.grow_ns:
            frame = frame[sequencer.concealed_bytes :]
        sequencer.concealed_bytes = 0
        if self._phase is not PLAYING:
            is_concealing = self._phase is not JOINING
            frame = repair.join(now_ns, frame, is_concealing=is_concealing)
            sequencer.concealed_turns = 0
        self._phase = ON_PLAYED[self._phase]
        # A pause in which to take a rest away is looked for in each eighth frame: looking costs as
        # much as forwarding five.
        is_uneven = rest > 0 and not (
            self.is_talking or sequencer.next_number % 8 or size % FRAME_SAMPLES
        )
        if (lead.grow_ns or lead.excess_ns or is_uneven) and repair.budget.take(now_ns):
            frame = repair.stretch(frame, lead, rest, is_talking=self.is_talking)
            if not frame:
                self._phase = ON_BROKEN[self._phase]
        later = whole_frames.due(len(frame)) - whole_frames.due(size)
        if later:
            lead.changed(later * SAMPLE_NS)
        if frame:
            self._carrier.write(frame, output)
            self._counters.frames_out += 1
