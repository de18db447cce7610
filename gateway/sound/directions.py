"""Carries the two directions of a call's audio, one function call per frame.

Each frame is forwarded as it arrives: no task, queue or log line. Speech detection runs after the
frame has been written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.sound.outlets import (
    NOWHERE,
    BrowserAudio,
    CarrierAudio,
    Mix,
    MixedCarrier,
    MixedPackets,
    PacketAudio,
)
from media.g711 import SAMPLES_PER_MS
from media.lead_control import FRAME_BYTES_MAX, FRAME_BYTES_MIN
from media.pacing import Pacer
from media.playout import Playout
from media.quality import JitterMeter
from media.speech_repair import RepairBudget
from media.vad import TalkDetector
from media.way_back import WayBack

FRAME_MS = 20
FRAME_BYTES = 160
"""20 ms of mu-law at 8 kHz."""

PACKET_MS_MIN = 10
"""Shorter audio waits for the next message: a packet's headers would outweigh it."""

SOURCE_SILENT_NS = 100_000_000
"""How long one path must be silent before the caller's voice is taken from the other, so that no
word is heard twice during a switch."""

JITTER_STRIDE = 5
"""Jitter is sampled every fifth frame: it changes slowly, and a sample costs as much as a frame."""

GAP_MS = 60
"""Difference between the carrier's timestamps and the audio sent from which it counts as a gap; the
timestamps wander by some ten milliseconds."""

Convert = Callable[[bytes], bytes]
SendAudio = Callable[[bytes], None]


class CallerListener(Protocol):
    """Receives events of the caller's voice."""

    def caller_talks(self, talking: bool, /) -> None:
        """Note that the caller has begun to talk, or paused."""

    def bad_frame(self) -> None:
        """Note a frame of another codec than was ordered."""


class PhoneListener(Protocol):
    """Receives events of the phone's voice."""

    def phone_talks(self, talking: bool, /) -> None:
        """Note that the phone's side has begun to talk, or paused."""


class Uplink:
    """The caller's voice on its way to the phone, through the playout model.

    The carrier plays everything it receives, in order, so every frame that arrives early would stay
    as delay for the rest of the call; `media.playout` keeps that from growing.
    """

    __slots__ = (
        "_carrier",
        "_clock_ns",
        "_convert",
        "_frame_bytes",
        "_is_open",
        "_is_packets",
        "_leg",
        "_listener",
        "dropped",
        "frames",
        "jitter",
        "last_in_ns",
        "playout",
        "sent",
        "talk",
    )

    # What each frame touches.
    _is_open: bool
    _is_packets: bool
    _frame_bytes: int
    _clock_ns: Callable[[], int]
    last_in_ns: int
    _convert: Convert | None
    _carrier: CarrierAudio
    playout: Playout
    talk: TalkDetector
    frames: int
    sent: int

    def __init__(
        self,
        *,
        clock_ns: Callable[[], int],
        frame_bytes: int,
        convert: Convert | None,
        listener: CallerListener,
        repairs: RepairBudget | None = None,
    ) -> None:
        self._clock_ns = clock_ns
        self._frame_bytes = frame_bytes
        self._convert = convert
        self._listener = listener
        self._leg: CarrierAudio = NOWHERE
        self._carrier = self._leg
        self._is_open = False
        self._is_packets = False
        self.last_in_ns = 0
        """When the caller's audio was last accepted, on either path."""
        self.playout = Playout(repairs=repairs)
        self.talk = TalkDetector()
        self.jitter = JitterMeter()
        """Of frames from the socket; a session measures the jitter of its own packets."""
        self.frames = 0
        """Frames received, whether or not anyone could hear them."""
        self.sent = 0
        """Frames sent to the phone, or held back to be sent."""
        self.dropped = 0

    def join(self, carrier: CarrierAudio) -> None:
        """Send to this leg from now on."""
        self._leg = self._carrier = carrier

    def pass_through(self, mix: Mix | None) -> None:
        """Let all that the phone hears pass through a mix from now on; None: through none."""
        # In place of the leg: without a mix no frame pays for the question.
        self._carrier = self._leg if mix is None else MixedCarrier(self._leg, mix)

    @property
    def is_open(self) -> bool:
        """Whether the phone hears the caller: not while muted, on hold or not joined."""
        return self._is_open

    @is_open.setter
    def is_open(self, is_open: bool) -> None:
        if self._is_open and not is_open:
            # Nothing is expected while closed: without this, playout would conceal a caller who is
            # muted.
            self.playout.pause()
        self._is_open = is_open

    def frame(self, payload: bytes) -> None:
        """Take one frame of the caller's codec from the socket."""
        # The token has fixed the codec: another size is another codec, which would be noise.
        if len(payload) != self._frame_bytes:
            self._listener.bad_frame()
            return
        now_ns = self._clock_ns()
        if self._is_packets and not self._moved(now_ns, is_packets=False):
            return
        self.last_in_ns = now_ns
        self.frames = frames = self.frames + 1
        # Frames on a socket have no timestamps; their number stands in for one.
        if not frames % JITTER_STRIDE:
            self.jitter.feed(now_ns, frames * FRAME_MS)
        if self._is_open:
            if self._convert is not None:
                payload = self._convert(payload)
            self._play(now_ns, payload, None)

    def packet(self, sequence: int, _timestamp: int, payload: bytes) -> None:
        """Take one mu-law packet from a WebRTC session; one of an unexpected length is dropped."""
        now_ns = self._clock_ns()
        if not FRAME_BYTES_MIN <= len(payload) <= FRAME_BYTES_MAX:
            self.dropped += 1
            return
        if not self._is_packets and not self._moved(now_ns, is_packets=True):
            return
        self.last_in_ns = now_ns
        # Counted while closed as well: a caller who is muted still sends, and is not lost.
        self.frames += 1
        if self._is_open:
            self._play(now_ns, payload, sequence)

    def _moved(self, now_ns: int, *, is_packets: bool) -> bool:
        """Return whether to switch to the other path now."""
        # During a switch both paths deliver the same words for a moment.
        if now_ns - self.last_in_ns < SOURCE_SILENT_NS:
            if self._is_open:  # otherwise no one would have heard it anyway
                self.dropped += 1
            return False
        self._is_packets = is_packets
        # Sequence numbers and lateness of one path say nothing about the other's.
        self.playout.restart()
        return True

    def _play(self, now_ns: int, payload: bytes, sequence: int | None) -> None:
        for piece in self.playout.put(now_ns, payload, sequence):
            self._carrier.send_audio(piece)
        if self.playout.is_clear_due:
            self._clear(now_ns)
        self.sent += 1
        # After the write, so that detection delays no frame; the playout corrects in pauses.
        talking = self.talk.feed(payload)
        if talking is not None:
            self.playout.is_talking = talking
            self._listener.caller_talks(talking)

    def poll(self, now_ns: int) -> None:
        """Conceal what has not arrived in time."""
        for piece in self.playout.poll(now_ns):
            self._carrier.send_audio(piece)
        if self.playout.is_clear_due:
            self._clear(now_ns)

    def watch_carrier(self, now_ns: int, *, is_way_shorter: bool = False) -> None:
        """Ask the carrier, once a second, how much audio it has not played yet."""
        name = self.playout.mark_due(now_ns, is_way_shorter=is_way_shorter)
        if self.playout.is_clear_due:
            self._clear(now_ns)
        if name is not None:
            self._carrier.send_mark(name)

    def mark_returned(self, name: str) -> None:
        """Take a mark that the carrier returned."""
        now_ns = self._clock_ns()
        if self.playout.mark_returned(now_ns, name):
            self._clear(now_ns)

    def _clear(self, now_ns: int) -> None:
        """Take back what the carrier has yet to play: the next frame starts over."""
        self._carrier.clear()
        self.playout.cleared(now_ns)

    def play(self, tone: bytes) -> None:
        """Send a tone at once, ahead of speech; speech is discarded until it has been played."""
        # Keys must not wait behind buffered speech.
        audio = self.playout.insert(self._clock_ns(), tone)
        self._carrier.send_audio(audio)
        self.sent += len(tone) // FRAME_BYTES


class Downlink:
    """The phone's voice on its way to the caller, as frames on the socket or as packets.

    Audio that the carrier delayed and then sends in a burst goes through `media.pacing`, so that
    the burst does not stay as delay. Jitter between gateway and caller is left to the browser's
    buffer.
    """

    __slots__ = (
        "_clock_ns",
        "_connection",
        "_convert",
        "_due_ms",
        "_is_even",
        "_listener",
        "_mix",
        "_origin_ms",
        "_own_convert",
        "_own_session",
        "_rest",
        "_session",
        "_tone_ns",
        "heard_bytes",
        "is_open",
        "jitter",
        "last_in_ns",
        "pacer",
        "sent",
        "talk",
        "way_back",
    )

    # What each frame touches.
    sent: int
    heard_bytes: int
    _rest: bytes
    pacer: Pacer
    _is_even: bool
    _session: PacketAudio | None
    _convert: Convert | None
    _connection: BrowserAudio
    talk: TalkDetector
    is_open: bool
    last_in_ns: int
    _due_ms: int
    _origin_ms: int

    def __init__(
        self,
        *,
        clock_ns: Callable[[], int],
        convert: Convert | None,
        listener: PhoneListener,
        repairs: RepairBudget | None = None,
    ) -> None:
        self._clock_ns = clock_ns
        self.pacer = Pacer(repairs)
        self._is_even = False
        """Whether the last audio was paced: then the outgoing timestamps run by themselves."""
        self._connection = NOWHERE
        self._own_session: PacketAudio | None = None
        self._own_convert = convert
        self._session = None
        self._convert = convert
        self._mix: Mix | None = None
        self._listener = listener
        self._rest = b""
        self._due_ms = 0
        self._origin_ms = 0
        """Offset from the carrier's timestamps to ours, which run on from tones to speech."""
        self._tone_ns = 0
        """When the last packet was sent, if it belonged to a tone; else 0."""
        self.talk = TalkDetector()
        self.jitter = JitterMeter()
        self.way_back = WayBack()
        self.is_open = True
        self.last_in_ns = 0
        """When the carrier last sent audio."""
        self.sent = 0
        self.heard_bytes = 0
        """Bytes received from the carrier, whether or not they could be forwarded."""

    def by_socket(self, connection: BrowserAudio) -> None:
        """Send frames of the caller's codec from now on."""
        self._connection = connection
        self._own_session = self._session = None

    def by_session(self, session: PacketAudio) -> None:
        """Send mu-law packets from now on."""
        self._own_session = session
        self.pass_through(self._mix)

    def pass_through(self, mix: Mix | None) -> None:
        """Let all that the caller hears pass through a mix from now on; None: through none."""
        self._mix = mix
        session = self._own_session
        convert = self._own_convert
        # In place of both: without a mix no frame pays for the question.
        if mix is None:
            self._session = session
            self._convert = convert
            return
        self._session = None if session is None else MixedPackets(session, mix)
        self._convert = mix if convert is None else lambda payload: convert(mix(payload))

    def audio(self, payload: bytes, at_ms: int | None = None) -> None:
        """Forward audio from the carrier: mu-law, usually 160 bytes, any length by contract.

        `at_ms` is the carrier's timestamp since the stream began; None if it is not known.
        """
        self.heard_bytes += len(payload)
        self.last_in_ns = now_ns = self._clock_ns()
        # By frames sent, not received: while closed, nothing needs to be measured.
        is_looked_at = not self.sent % JITTER_STRIDE
        if at_ms is None:
            # Without a time of its own it follows on what was sent before.
            at_ms = self._due_ms - self._origin_ms
        elif is_looked_at:
            self.way_back.feed(now_ns, at_ms)
        if is_looked_at:
            self.jitter.feed(now_ns, at_ms)
        if not self.is_open:
            return
        pieces = self.pacer.put(now_ns, payload)
        # Also once after pacing has ended: the pieces still follow on what was paced.
        if self.pacer.is_even or self._is_even:
            self._hand_on(pieces)
            self._is_even = self.pacer.is_even
            # Audio that follows without pacing must continue where the paced audio ended.
            self._origin_ms = self._due_ms - at_ms - len(payload) // SAMPLES_PER_MS
        # The usual case: a whole frame, nothing left over, nothing to pace.
        elif len(payload) == FRAME_BYTES and not self._rest:
            self.frame(payload, at_ms)
        else:
            self._cut(payload, at_ms)

    def poll(self, now_ns: int) -> None:
        """Forward the held audio that is due."""
        self._hand_on(self.pacer.poll(now_ns))

    def _hand_on(self, pieces: Sequence[bytes]) -> None:
        """Forward pieces that follow on what was sent, or the gap that a stall left."""
        self._due_ms += self.pacer.gap_ms
        self.pacer.gap_ms = 0
        for piece in pieces:
            self._cut(piece, self._due_ms - self._origin_ms)

    def _cut(self, payload: bytes, at_ms: int) -> None:
        # The browser's socket takes whole frames only; packets may be shorter, in whole ms.
        least_ms = FRAME_MS if self._session is None else PACKET_MS_MIN
        # What is less than that waits for the next message; nothing is padded.
        audio = self._rest + payload
        start = 0
        while (length_ms := min(FRAME_MS, (len(audio) - start) // SAMPLES_PER_MS)) >= least_ms:
            end = start + length_ms * SAMPLES_PER_MS
            self.frame(audio[start:end], at_ms + start // SAMPLES_PER_MS)
            start = end
        self._rest = audio[start:]

    def frame(self, payload: bytes, at_ms: int) -> None:
        """Forward a frame of the phone's voice; in packets it may be shorter than 160 bytes."""
        # Asked again: a poll forwards held audio, and a beep may have begun since it was taken.
        if not self.is_open:
            return
        session = self._session
        if session is not None:
            session.send_audio(payload, self._regular_ms(at_ms, len(payload) // SAMPLES_PER_MS))
        else:
            audio = payload if self._convert is None else self._convert(payload)
            self._connection.send_audio_binary(audio)
            self._due_ms += FRAME_MS
        self.sent += 1
        talking = self.talk.feed(payload)
        if talking is not None:
            self.pacer.is_talking = talking
            self._listener.phone_talks(talking)

    def _regular_ms(self, at_ms: int, length_ms: int) -> int:
        """Return the frame's timestamp in an even stream; a real gap is kept."""
        if self._tone_ns:
            self._begin_speech(at_ms)
        at_ms += self._origin_ms
        # The carrier's timestamps wander; RTP timestamps that followed them would look like jitter.
        if abs(at_ms - self._due_ms) < GAP_MS:
            at_ms = self._due_ms
        self._due_ms = at_ms + length_ms
        return at_ms

    def _begin_speech(self, at_ms: int) -> None:
        """Follow a tone: mark the time between as a gap, so that speech does not look late.

        A browser's jitter buffer stays enlarged long after a single late packet.
        """
        waited_ms = (self._clock_ns() - self._tone_ns) // 1_000_000
        self._due_ms += max(0, waited_ms - FRAME_MS)
        self._origin_ms = self._due_ms - at_ms
        self._tone_ns = 0

    def tone(self, frame: bytes) -> None:
        """Forward one 160-byte frame of a tone of our own; it does not count as speech."""
        # A tone replaces the phone's voice; audio held from before must not follow it.
        self.pacer.restart()
        if self._session is not None:
            self._session.send_audio(frame, self._due_ms)
            self._due_ms += FRAME_MS
            self._tone_ns = self._clock_ns()
        else:
            audio = frame if self._convert is None else self._convert(frame)
            self._connection.send_audio_binary(audio)


class TonePlayer:
    """Plays a looped tone, one frame per tick."""

    __slots__ = ("_frame_at", "_index", "_send")

    def __init__(self, frame_at: Callable[[int], bytes], send: SendAudio) -> None:
        self._frame_at = frame_at
        self._send = send
        self._index = 0

    def play(self) -> None:
        """Send the next 20 ms."""
        self._send(self._frame_at(self._index))
        self._index += 1
