"""The two directions of one call's audio: planned at answer, then one call per frame.

A frame is handed on as it arrives: no task, queue or log. Whatever observes speech runs after the
frame has been written. Knows no call state and no money.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.twilio_media import Outbound
from media.vad import TalkDetector

FRAME_NS = 20_000_000
FRAME_BYTES = 160
"""20 ms of mu-law at 8 kHz."""

Convert = Callable[[bytes], bytes]


class Uplink:
    """The caller's voice on its way to the phone.

    The carrier plays whatever it is sent, in order, so every frame that comes early stays as delay
    for the rest of the call. The uplink therefore keeps count of the audio that the carrier has yet
    to play, and discards a frame that would make it more than `lead_ns_max`.
    """

    __slots__ = (
        "_clock_ns",
        "_convert",
        "_end_ns",
        "_frame_bytes",
        "_lead_ns_max",
        "_media",
        "_on_bad_frame",
        "_on_talk",
        "_send",
        "_tone_end_ns",
        "dropped",
        "is_open",
        "sent",
        "talk",
    )

    def __init__(
        self,
        *,
        clock_ns: Callable[[], int],
        lead_ns_max: int,
        frame_bytes: int,
        convert: Convert | None,
        on_talk: Callable[[bool], None],
        on_bad_frame: Callable[[], None],
    ) -> None:
        self._clock_ns = clock_ns
        self._lead_ns_max = lead_ns_max
        self._frame_bytes = frame_bytes
        self._convert = convert
        self._on_talk = on_talk
        self._on_bad_frame = on_bad_frame
        self._send: Callable[[bytes], None] = _nowhere
        self._media = Outbound("").media
        self._end_ns = 0
        """When the carrier will have played all that it was sent."""
        self._tone_end_ns = 0
        self.talk = TalkDetector()
        self.is_open = False
        """Closed while muted, on hold or not joined: frames are then discarded, not counted."""
        self.sent = 0
        self.dropped = 0

    def join(self, send: Callable[[bytes], None], outbound: Outbound) -> None:
        """Send to this stream from now on."""
        self._send = send
        self._media = outbound.media

    def frame(self, payload: bytes) -> None:
        """Hand on one frame of the caller's codec."""
        if len(payload) != self._frame_bytes:
            self._on_bad_frame()
            return
        if not self.is_open:
            return
        now_ns = self._clock_ns()
        end_ns = self._end_ns
        if end_ns < now_ns:
            end_ns = now_ns
        elif end_ns - now_ns > self._lead_ns_max or now_ns < self._tone_end_ns:
            self.dropped += 1
            return
        if self._convert is not None:
            payload = self._convert(payload)
        self._end_ns = end_ns + FRAME_NS
        self._send(self._media(payload))
        self.sent += 1
        talking = self.talk.feed(payload)
        if talking is not None:
            self._on_talk(talking)

    def play(self, tone: bytes) -> None:
        """Send a tone at once, ahead of speech; speech is discarded until it has been played."""
        now_ns = self._clock_ns()
        frames = len(tone) // FRAME_BYTES
        self._end_ns = max(self._end_ns, now_ns) + frames * FRAME_NS
        self._tone_end_ns = self._end_ns
        self._send(self._media(tone))
        self.sent += frames


class Downlink:
    """The phone's voice on its way to the caller."""

    __slots__ = ("_convert", "_on_talk", "_rest", "_send", "is_open", "sent", "talk")

    def __init__(
        self,
        *,
        send: Callable[[bytes], None],
        convert: Convert | None,
        on_talk: Callable[[bool], None],
    ) -> None:
        self._send = send
        self._convert = convert
        self._on_talk = on_talk
        self._rest = b""
        self.talk = TalkDetector()
        self.is_open = True
        self.sent = 0

    def audio(self, payload: bytes) -> None:
        """Hand on what the carrier sent: mu-law, 160 bytes as a rule, any length by contract."""
        if len(payload) == FRAME_BYTES and not self._rest:
            self.frame(payload)
            return
        audio = self._rest + payload
        whole = len(audio) - len(audio) % FRAME_BYTES
        self._rest = audio[whole:]
        for offset in range(0, whole, FRAME_BYTES):
            self.frame(audio[offset : offset + FRAME_BYTES])

    def frame(self, payload: bytes) -> None:
        """Hand on one 160-byte frame."""
        if not self.is_open:
            return
        self._send(payload if self._convert is None else self._convert(payload))
        self.sent += 1
        talking = self.talk.feed(payload)
        if talking is not None:
            self._on_talk(talking)

    def tone(self, frame: bytes) -> None:
        """Hand on one 160-byte frame of our own; it is not speech."""
        self._send(frame if self._convert is None else self._convert(frame))


class TonePlayer:
    """Plays a looped tone, one frame a beat."""

    __slots__ = ("_frame_at", "_index", "_send")

    def __init__(self, frame_at: Callable[[int], bytes], send: Callable[[bytes], None]) -> None:
        self._frame_at = frame_at
        self._send = send
        self._index = 0

    def play(self) -> None:
        """Send the next 20 ms."""
        self._send(self._frame_at(self._index))
        self._index += 1


def _nowhere(message: bytes) -> None:
    """Audio that has nowhere to go yet."""
