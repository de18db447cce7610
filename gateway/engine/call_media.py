"""The sound of one call: both directions, its tones, mute and hold.

Knows neither why a call rings or ends nor what it costs; the bridge says when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from billing.cdr import LegQuality
from gateway import browser_media as wire
from gateway.engine.paths import FRAME_BYTES, Convert, Downlink, TonePlayer, Uplink
from gateway.engine.ticker import Ticker
from gateway.legs.carrier import CarrierLeg
from gateway.ports import MediaConnection
from media import tones
from media.resample import Downsampler, Upsampler


def converters(codec: str) -> tuple[Convert | None, Convert | None]:
    """Return what turns the caller's frames into mu-law and back; None is the identity."""
    return (Downsampler().convert, Upsampler().convert) if codec == "pcm16" else (None, None)


class Beep:
    """Plays the warning beep once, one frame a beat."""

    __slots__ = ("_frames", "_on_end", "_send")

    def __init__(self, send: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        audio = tones.warning_beep()
        cuts = range(0, len(audio), FRAME_BYTES)
        self._frames: Iterator[bytes] = (audio[at : at + FRAME_BYTES] for at in cuts)
        self._send = send
        self._on_end = on_end

    def play(self) -> None:
        """Send the next 20 ms, or say that all has been sent."""
        frame = next(self._frames, None)
        if frame is None:
            self._on_end()
        else:
            self._send(frame)


class CallMedia:
    """What the caller and the phone hear."""

    def __init__(
        self,
        browser: MediaConnection,
        *,
        codec: str,
        country: str,
        lead_ns_max: int,
        ticker: Ticker,
        tell: Callable[[wire.GatewayMessage], None],
        on_bad_frame: Callable[[], None],
    ) -> None:
        to_mulaw, from_mulaw = converters(codec)
        self._ticker = ticker
        self._country = country
        self._leg: CarrierLeg | None = None
        self._player: TonePlayer | None = None
        self._beep: Beep | None = None
        self._is_muted = False
        self._is_on_hold = False
        self._is_over = False
        self._uplink = Uplink(
            clock_ns=ticker.clock_ns,
            lead_ns_max=lead_ns_max,
            frame_bytes=wire.FRAME_BYTES[codec],
            convert=to_mulaw,
            on_talk=lambda talking: tell(wire.Talk(leg="browser", talking=talking)),
            on_bad_frame=on_bad_frame,
        )
        self._downlink = Downlink(
            send=browser.send_audio_binary,
            convert=from_mulaw,
            on_talk=lambda talking: tell(wire.Talk(leg="carrier", talking=talking)),
        )
        self.take_frame = self._uplink.frame
        """Takes the caller's frames, from the first to the last."""

    @property
    def last_heard_ns(self) -> int | None:
        """When the carrier's socket last said anything; None before the stream has begun."""
        return None if self._leg is None else self._leg.connection.counters.last_in_ns

    @property
    def volume(self) -> wire.Volume:
        """Both levels of late."""
        return wire.Volume(
            input_dbov=self._uplink.talk.level_dbov, output_dbov=self._downlink.talk.level_dbov
        )

    def join(self, leg: CarrierLeg) -> None:
        """Connect both legs: from now on the caller and the phone hear each other."""
        self._leg = leg
        self._uplink.join(leg.connection.send_audio_text, leg.outbound)
        leg.on_audio = self._downlink.audio
        self._open()

    def mute(self, muted: bool) -> None:
        """Keep the caller's voice from the phone, or let it through again."""
        self._is_muted = muted
        self._open()

    def hold(self) -> None:
        """Part the two; the phone hears the comfort tone."""
        self._is_on_hold = True
        self._open()
        if self._leg is not None:
            self._play(tones.hold().frame, self._uplink.play)

    def resume(self) -> None:
        """Join the two again."""
        self._is_on_hold = False
        self.stop_tone()
        self._open()

    def press(self, digits: str) -> None:
        """Let the phone hear keys, ahead of speech."""
        if self._leg is not None and not self._is_over:
            self._uplink.play(tones.dtmf(digits))

    def play_to_caller(self, name: wire.ToneName) -> None:
        """Play a call-progress tone of the destination's country until it is stopped."""
        self._play(_PROGRESS[name](self._country).frame, self._downlink.tone)

    def stop_tone(self) -> None:
        """End whatever tone plays."""
        if self._player is not None:
            self._ticker.remove_player(self._player)
            self._player = None

    def beep(self) -> None:
        """Let the caller alone hear a short beep, in place of what the phone says meanwhile."""
        if self._beep is None and not self._is_over:
            self._beep = Beep(self._downlink.tone, self._end_beep)
            self._ticker.add_player(self._beep)
            self._open()

    def _end_beep(self) -> None:
        if self._beep is not None:
            self._ticker.remove_player(self._beep)
            self._beep = None
            self._open()

    def part(self) -> None:
        """End all sound between the legs for good."""
        self._is_over = True
        self.stop_tone()
        self._end_beep()
        self._open()

    def quality(self) -> tuple[LegQuality, LegQuality]:
        """Return what the browser leg and the carrier leg have carried."""
        up, down = self._uplink, self._downlink
        browser = LegQuality(
            frames_in=up.sent + up.dropped,
            frames_out=down.sent,
            frames_dropped=up.dropped,
            talk_ms=up.talk.talk_ms,
            silence_ms=up.talk.silence_ms,
        )
        dropped = 0 if self._leg is None else self._leg.connection.counters.audio_dropped
        carrier = LegQuality(
            frames_in=down.sent,
            frames_out=up.sent,
            frames_dropped=dropped,
            talk_ms=down.talk.talk_ms,
            silence_ms=down.talk.silence_ms,
        )
        return browser, carrier

    def _open(self) -> None:
        can_talk = self._leg is not None and not self._is_on_hold and not self._is_over
        self._uplink.is_open = can_talk and not self._is_muted
        self._downlink.is_open = can_talk and self._beep is None

    def _play(self, frame_at: Callable[[int], bytes], send: Callable[[bytes], None]) -> None:
        self.stop_tone()
        self._player = TonePlayer(frame_at, send)
        self._ticker.add_player(self._player)


_PROGRESS: dict[wire.ToneName, Callable[[str], tones.Tone]] = {
    "ringback": tones.ringback,
    "busy": tones.busy,
    "congestion": tones.congestion,
    "cut-off": tones.congestion,
}
"""The sound of a tone in a country; E.180 has none of its own for a call that is cut off."""
