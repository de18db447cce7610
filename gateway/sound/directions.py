"""The two directions of one call's audio: planned at answer, then one call per frame.

A frame is handed on as it arrives: no task, queue or log. Whatever observes speech runs after the
frame has been written. Knows no call state and no money.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from gateway.twilio.outbound import Outbound
from media.bounds import FRAME_BYTES_MAX, FRAME_BYTES_MIN
from media.g711 import SAMPLES_PER_MS
from media.pacing import Pacer
from media.playout import Playout
from media.quality import JitterMeter
from media.repair_budget import RepairBudget
from media.vad import TalkDetector
from media.way_back import WayBack

FRAME_MS = 20
FRAME_BYTES = 160
"""20 ms of mu-law at 8 kHz."""

PACKET_MS_MIN = 10
"""What is less waits for the message that follows: a packet's headers weigh as much."""

SOURCE_SILENT_NS = 100_000_000
"""How long one way of the caller's voice is silent before the other is listened to, so that no word
is heard twice while it moves."""

JITTER_STRIDE = 5
"""Jitter is taken of each fifth frame: it moves slowly, and looking costs what a frame does."""

GAP_MS = 60
"""Difference between the carrier's own time and the audio it has sent from which it is a gap: its
timestamps wander by some ten milliseconds."""

Convert = Callable[[bytes], bytes]
SendAudio = Callable[[bytes], None]


class AudioConnection(Protocol):
    """What audio is sent through; `gateway.ports.MediaConnection` is one.

    It is held whole: a bound method of its own would be one more object to fetch for each frame.
    """

    def send_audio_text(self, payload: bytes) -> None:
        """Send audio in a text message."""

    def send_audio_binary(self, payload: bytes) -> None:
        """Send audio in a binary message."""

    def send_text(self, payload: bytes) -> None:
        """Send a text message without audio."""


SendPacket = Callable[[bytes, int | None], None]


class Uplink:
    """The caller's voice on its way to the phone, by way of the playout model.

    The carrier plays whatever it is sent, in order, so every frame that comes early stays as delay
    for the rest of the call; `media.playout` keeps that from growing.
    """

    __slots__ = (
        "_clock_ns",
        "_connection",
        "_convert",
        "_frame_bytes",
        "_is_open",
        "_is_packets",
        "_on_bad_frame",
        "_on_talk",
        "_outbound",
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
    _connection: AudioConnection
    _outbound: Outbound
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
        on_talk: Callable[[bool], None],
        on_bad_frame: Callable[[], None],
        repairs: RepairBudget | None = None,
    ) -> None:
        self._clock_ns = clock_ns
        self._frame_bytes = frame_bytes
        self._convert = convert
        self._on_talk = on_talk
        self._on_bad_frame = on_bad_frame
        self._connection = _NOWHERE
        self._outbound = Outbound("")
        self._is_open = False
        self._is_packets = False
        self.last_in_ns = 0
        """When the caller was last listened to, by whichever way."""
        self.playout = Playout(repairs=repairs)
        self.talk = TalkDetector()
        self.jitter = JitterMeter()
        """Of frames from the socket; packets are judged by their session."""
        self.frames = 0
        """Frames that came, whether or not anybody was to hear them."""
        self.sent = 0
        """Frames that went to the phone, or were held back to go there."""
        self.dropped = 0

    def join(self, connection: AudioConnection, outbound: Outbound) -> None:
        """Send to this stream from now on."""
        self._connection = connection
        self._outbound = outbound

    @property
    def is_open(self) -> bool:
        """Whether the phone hears the caller; closed while muted, on hold or not joined."""
        return self._is_open

    @is_open.setter
    def is_open(self, is_open: bool) -> None:
        if self._is_open and not is_open:
            self.playout.pause()
        self._is_open = is_open

    def frame(self, payload: bytes) -> None:
        """Take one frame of the caller's codec from the socket."""
        if len(payload) != self._frame_bytes:
            self._on_bad_frame()
            return
        now_ns = self._clock_ns()
        if self._is_packets and not self._moved(now_ns, is_packets=False):
            return
        self.last_in_ns = now_ns
        self.frames = frames = self.frames + 1
        if not frames % JITTER_STRIDE:
            self.jitter.feed(now_ns, frames * FRAME_MS)
        if self._is_open:
            if self._convert is not None:
                payload = self._convert(payload)
            self._play(now_ns, payload, None)

    def packet(self, sequence: int, _timestamp: int, payload: bytes) -> None:
        """Take one packet of mu-law from a WebRTC session; one of another length is dropped."""
        now_ns = self._clock_ns()
        if not FRAME_BYTES_MIN <= len(payload) <= FRAME_BYTES_MAX:
            self.dropped += 1
            return
        if not self._is_packets and not self._moved(now_ns, is_packets=True):
            return
        self.last_in_ns = now_ns
        self.frames += 1
        if self._is_open:
            self._play(now_ns, payload, sequence)

    def _moved(self, now_ns: int, *, is_packets: bool) -> bool:
        """Whether to listen to the other way from now on."""
        if now_ns - self.last_in_ns < SOURCE_SILENT_NS:
            self.dropped += 1
            return False
        self._is_packets = is_packets
        self.playout.restart()
        return True

    def _play(self, now_ns: int, payload: bytes, sequence: int | None) -> None:
        for piece in self.playout.put(now_ns, payload, sequence):
            self._connection.send_audio_text(self._outbound.media(piece))
        if self.playout.is_clear_due:
            self._clear(now_ns)
        self.sent += 1
        talking = self.talk.feed(payload)
        if talking is not None:
            self.playout.is_talking = talking
            self._on_talk(talking)

    def poll(self, now_ns: int) -> None:
        """Conceal what has not come in time."""
        for piece in self.playout.poll(now_ns):
            self._connection.send_audio_text(self._outbound.media(piece))
        if self.playout.is_clear_due:
            self._clear(now_ns)

    def watch_carrier(self, now_ns: int, *, is_way_shorter: bool = False) -> None:
        """Ask the carrier, once a second, how much it has yet to play."""
        name = self.playout.mark_due(now_ns, is_way_shorter=is_way_shorter)
        if self.playout.is_clear_due:
            self._clear(now_ns)
        if name is not None:
            self._connection.send_text(self._outbound.mark(name))

    def mark_returned(self, name: str) -> None:
        """Take a mark that the carrier returns."""
        now_ns = self._clock_ns()
        if self.playout.mark_returned(now_ns, name):
            self._clear(now_ns)

    def _clear(self, now_ns: int) -> None:
        """Take back what the carrier has yet to play: the next frame begins anew with it."""
        self._connection.send_text(self._outbound.clear())
        self.playout.cleared(now_ns)

    def play(self, tone: bytes) -> None:
        """Send a tone at once, ahead of speech; speech is discarded until it has been played."""
        audio = self.playout.insert(self._clock_ns(), tone)
        self._connection.send_audio_text(self._outbound.media(audio))
        self.sent += len(tone) // FRAME_BYTES


class Downlink:
    """The phone's voice on its way to the caller, as frames of the socket or as packets.

    What the carrier held up and then sends at once goes by way of `media.pacing`, so that no burst
    of it stays as delay. What the network between here and the caller does is evened there.
    """

    __slots__ = (
        "_clock_ns",
        "_connection",
        "_convert",
        "_due_ms",
        "_is_even",
        "_on_talk",
        "_origin_ms",
        "_rest",
        "_send_packet",
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
    _send_packet: SendPacket | None
    _convert: Convert | None
    _connection: AudioConnection
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
        on_talk: Callable[[bool], None],
        repairs: RepairBudget | None = None,
    ) -> None:
        self._clock_ns = clock_ns
        self.pacer = Pacer(repairs)
        self._is_even = False
        """Whether the last audio was not handed on as it came: our own time goes on by itself."""
        self._connection = _NOWHERE
        self._send_packet = None
        self._convert = convert
        self._on_talk = on_talk
        self._rest = b""
        self._due_ms = 0
        self._origin_ms = 0
        """From the carrier's time to ours, which goes on from tones to speech."""
        self._tone_ns = 0
        """When the last packet was sent, if it was a tone's; else 0."""
        self.talk = TalkDetector()
        self.jitter = JitterMeter()
        self.way_back = WayBack()
        self.is_open = True
        self.last_in_ns = 0
        """When the carrier last sent audio."""
        self.sent = 0
        self.heard_bytes = 0
        """What the carrier has sent, whether it could be handed on or not."""

    def by_socket(self, connection: AudioConnection) -> None:
        """Send frames of the caller's codec from now on."""
        self._connection = connection
        self._send_packet = None

    def by_session(self, send: SendPacket) -> None:
        """Send packets of mu-law from now on."""
        self._send_packet = send

    def audio(self, payload: bytes, at_ms: int | None = None) -> None:
        """Hand on what the carrier sent: mu-law, 160 bytes as a rule, any length by contract.

        `at_ms` is its own time, since its stream began; None where it is not known.
        """
        self.heard_bytes += len(payload)
        self.last_in_ns = now_ns = self._clock_ns()
        is_looked_at = not self.sent % JITTER_STRIDE
        if at_ms is None:
            at_ms = self._due_ms - self._origin_ms
        elif is_looked_at:
            self.way_back.feed(now_ns, at_ms)
        if is_looked_at:
            self.jitter.feed(now_ns, at_ms)
        if not self.is_open:
            return
        pieces = self.pacer.put(now_ns, payload)
        if self.pacer.is_even or self._is_even:
            self._hand_on(pieces)
            self._is_even = self.pacer.is_even
            self._origin_ms = self._due_ms - at_ms - len(payload) // SAMPLES_PER_MS
        elif len(payload) == FRAME_BYTES and not self._rest:
            self.frame(payload, at_ms)
        else:
            self._cut(payload, at_ms)

    def poll(self, now_ns: int) -> None:
        """Hand on what has its turn."""
        self._hand_on(self.pacer.poll(now_ns))

    def _hand_on(self, pieces: Sequence[bytes]) -> None:
        """Hand on what follows what was sent before, or the gap that a stall has left."""
        self._due_ms += self.pacer.gap_ms
        self.pacer.gap_ms = 0
        for piece in pieces:
            self._cut(piece, self._due_ms - self._origin_ms)

    def _cut(self, payload: bytes, at_ms: int) -> None:
        # A browser's socket takes whole frames only; packets go as they come, in whole ms.
        least_ms = FRAME_MS if self._send_packet is None else PACKET_MS_MIN
        audio = self._rest + payload
        start = 0
        while (length_ms := min(FRAME_MS, (len(audio) - start) // SAMPLES_PER_MS)) >= least_ms:
            end = start + length_ms * SAMPLES_PER_MS
            self.frame(audio[start:end], at_ms + start // SAMPLES_PER_MS)
            start = end
        self._rest = audio[start:]

    def frame(self, payload: bytes, at_ms: int) -> None:
        """Hand on a frame of the phone's voice; packets may have less than its 160 bytes."""
        if not self.is_open:
            return
        send_packet = self._send_packet
        if send_packet is not None:
            send_packet(payload, self._regular_ms(at_ms, len(payload) // SAMPLES_PER_MS))
        else:
            audio = payload if self._convert is None else self._convert(payload)
            self._connection.send_audio_binary(audio)
            self._due_ms += FRAME_MS
        self.sent += 1
        talking = self.talk.feed(payload)
        if talking is not None:
            self.pacer.is_talking = talking
            self._on_talk(talking)

    def _regular_ms(self, at_ms: int, length_ms: int) -> int:
        """Return the frame's place in an even stream; a real gap stays visible."""
        if self._tone_ns:
            self._begin_speech(at_ms)
        at_ms += self._origin_ms
        if abs(at_ms - self._due_ms) < GAP_MS:
            at_ms = self._due_ms
        self._due_ms = at_ms + length_ms
        return at_ms

    def _begin_speech(self, at_ms: int) -> None:
        """Follow a tone: what lies between is a gap, or the browser would take speech for late.

        A browser's jitter buffer stays larger long after one packet was late.
        """
        waited_ms = (self._clock_ns() - self._tone_ns) // 1_000_000
        self._due_ms += max(0, waited_ms - FRAME_MS)
        self._origin_ms = self._due_ms - at_ms
        self._tone_ns = 0

    def tone(self, frame: bytes) -> None:
        """Hand on one 160-byte frame of our own; it is not speech."""
        self.pacer.restart()
        if self._send_packet is not None:
            self._send_packet(frame, self._due_ms)
            self._due_ms += FRAME_MS
            self._tone_ns = self._clock_ns()
        else:
            audio = frame if self._convert is None else self._convert(frame)
            self._connection.send_audio_binary(audio)


class TonePlayer:
    """Plays a looped tone, one frame a beat."""

    __slots__ = ("_frame_at", "_index", "_send")

    def __init__(self, frame_at: Callable[[int], bytes], send: SendAudio) -> None:
        self._frame_at = frame_at
        self._send = send
        self._index = 0

    def play(self) -> None:
        """Send the next 20 ms."""
        self._send(self._frame_at(self._index))
        self._index += 1


class _Nowhere:
    """Stands in for a connection that is not there yet."""

    def send_audio_text(self, _payload: bytes) -> None:
        pass

    def send_audio_binary(self, _payload: bytes) -> None:
        pass

    def send_text(self, _payload: bytes) -> None:
        pass


_NOWHERE: Final = _Nowhere()
