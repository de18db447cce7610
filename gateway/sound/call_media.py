"""Controls the audio of one call: both directions, tones, mute, hold and the media path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from billing.cdr import LegQuality
from gateway.browser import messages as wire
from gateway.call.supervision import Mode
from gateway.heartbeat.ticker import Ticker
from gateway.ports import AudioSession, CarrierLeg, MediaConnection
from gateway.sound.directions import FRAME_BYTES, FRAME_MS, Convert, Downlink, TonePlayer, Uplink
from gateway.sound.line_quality import LineQuality, Measured
from gateway.sound.media_path import Network
from gateway.sound.outlets import BrowserAudio
from gateway.sound.stalls import StallWatch, WatchedVoice
from gateway.sound.supervised import SupervisedSound
from media import tones
from media.resample import Downsampler, Upsampler
from media.speech_repair import RepairBudget

CALLER_STALLED_NS = 700_000_000
"""Silence on WebRTC after which the caller's voice counts as lost. A browser sends 50 packets a
second even in silence; radio networks pause for up to a third of a second now and then."""
PHONE_STALLED_NS = 300_000_000
"""Silence of the carrier after which the browser is notified, before it suspects its own path."""


def converters(codec: str) -> tuple[Convert | None, Convert | None]:
    """Return the converters of the caller's codec to and from mu-law; None means no conversion."""
    # Made for each call: the filters carry samples over from one frame to the next.
    return (Downsampler().convert, Upsampler().convert) if codec == "pcm16" else (None, None)


class Beep:
    """Plays the warning beep once, one frame per tick."""

    __slots__ = ("_frames", "_on_end", "_send")

    def __init__(self, send: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        audio = tones.warning_beep()
        cuts = range(0, len(audio), FRAME_BYTES)
        self._frames: Iterator[bytes] = (audio[at : at + FRAME_BYTES] for at in cuts)
        self._send = send
        self._on_end = on_end

    def play(self) -> None:
        """Send the next 20 ms, or report that all of it has been sent."""
        frame = next(self._frames, None)
        if frame is None:
            self._on_end()
        else:
            self._send(frame)


class SoundListener(Protocol):
    """Acts on what is heard of a call."""

    def tell(self, message: wire.GatewayMessage, /) -> None:
        """Tell the caller."""

    def sound_began(self) -> None:
        """Note the first audio from the phone; called once."""

    def bad_frame(self) -> None:
        """Note that the caller sends another codec than was ordered."""


class CallMedia:
    """What the caller and the phone hear of each other and of the gateway."""

    def __init__(
        self,
        browser: MediaConnection,
        *,
        codec: str,
        country: str,
        packet_ms: int,
        ticker: Ticker,
        listener: SoundListener,
        repairs: RepairBudget | None = None,
    ) -> None:
        to_mulaw, from_mulaw = converters(codec)
        self._ticker = ticker
        self._country = country
        self._packet_ms = packet_ms
        self._leg: CarrierLeg | None = None
        self._player: TonePlayer | None = None
        self._beep: Beep | None = None
        self._is_muted = False
        self._is_on_hold = False
        self._is_away = False
        self._is_over = False
        self._has_begun = False
        """Whether the phone's audio has."""
        self._supervised: SupervisedSound | None = None
        self._listener = listener
        self._heard_bytes = self._heard_ns = 0
        self.line = LineQuality()
        self._uplink = Uplink(
            clock_ns=ticker.clock_ns,
            frame_bytes=wire.FRAME_BYTES[codec],
            convert=to_mulaw,
            listener=self,
            repairs=repairs,
        )
        self._downlink = Downlink(
            clock_ns=ticker.clock_ns,
            convert=from_mulaw,
            listener=self,
            repairs=repairs,
        )
        self._stalls: tuple[StallWatch, ...] = ()
        """Watch for what a browser on WebRTC cannot notice by itself; made when it first is."""
        self._is_by_session = False
        self.hear_by_socket(browser)

    @property
    def take_frame(self) -> Callable[[bytes], None]:
        """What receives the caller's frames from the socket, for the whole call."""
        return self._uplink.frame

    @property
    def take_packet(self) -> Callable[[int, int, bytes], None]:
        """What receives the caller's packets from a WebRTC session."""
        return self._uplink.packet

    def heard_ns(self) -> int | None:
        """Return when the phone last sent audio, even silence; None before its stream has begun.

        Called once a second. If audio arrived since, it arrived no later than the socket's last
        message. Twilio sends 160 bytes every 20 ms for the whole call, so other messages, such as
        returned marks, do not prove a live stream.
        """
        if self._leg is None:
            return None
        heard_bytes = self._downlink.heard_bytes
        if heard_bytes != self._heard_bytes:
            self._heard_bytes = heard_bytes
            self._heard_ns = self._leg.counters.last_in_ns
        return self._heard_ns

    @property
    def volume(self) -> wire.Volume:
        """The current level of both directions."""
        return wire.Volume(
            input_dbov=self._uplink.talk.level_dbov, output_dbov=self._downlink.talk.level_dbov
        )

    def join(self, leg: CarrierLeg) -> None:
        """Connect both legs, so that the caller and the phone hear each other."""
        self._leg = leg
        # A stream that never brings a sound is silent since it began.
        self._heard_ns = self._ticker.clock_ns()
        self._uplink.join(leg)
        leg.on_audio = self._first_audio
        leg.on_mark = self._uplink.mark_returned
        self._ticker.add_waiter(self._uplink.playout, self._uplink)
        self._ticker.add_waiter(self._downlink.pacer, self._downlink)
        self._watch_stalls()
        self._open()
        self._reassure()

    def _first_audio(self, payload: bytes, at_ms: int | None) -> None:
        """Handle the phone's first audio, then step aside: later frames bypass this."""
        # An empty payload does not prove that anything can be heard.
        if payload and self._leg is not None:
            self._has_begun = True
            self._take_phone()
            self._listener.sound_began()
            self._leg.on_audio(payload, at_ms)

    def _take_phone(self) -> None:
        """Let the phone's audio go where it is heard."""
        if self._leg is not None and self._has_begun:
            is_alone = self._supervised is None
            self._leg.on_audio = self._downlink.audio if is_alone else self._tapped

    def _tapped(self, payload: bytes, at_ms: int | None) -> None:
        """Let the caller and the supervisor hear the phone."""
        self._downlink.audio(payload, at_ms)
        if self._supervised is not None:
            self._supervised.of_phone(payload)

    @property
    def can_supervise(self) -> bool:
        """Whether a supervisor can take part: both parties are there, and no other supervisor."""
        return self._leg is not None and not self._is_over and self._supervised is None

    @property
    def told_mode(self) -> Mode | None:
        """What the caller's page shows about a supervisor; None if there is nothing to show."""
        supervised = self._supervised
        return supervised.mode if supervised is not None and supervised.announces else None

    def supervise(
        self,
        supervisor: BrowserAudio,
        *,
        announces: bool,
        on_over: Callable[[], None],
        on_stuck: Callable[[], None],
    ) -> SupervisedSound:
        """Let a supervisor take part, who listens at first; `can_supervise` must hold.

        The arguments are those of `SupervisedSound`.
        """
        self._supervised = supervised = SupervisedSound(
            supervisor,
            to_caller=self._downlink.tone,
            to_phone=self._uplink.play,
            announces=announces,
            on_over=on_over,
            on_stuck=on_stuck,
        )
        self._uplink.pass_through(supervised.for_phone)
        self._downlink.pass_through(supervised.for_caller)
        self._take_phone()
        self._ticker.add_player(supervised)
        return supervised

    def set_mode(self, mode: Mode) -> None:
        """Let others hear the supervisor, or speak with the phone in the caller's place."""
        if self._supervised is not None:
            self._supervised.set_mode(mode)
            self._open()

    def supervise_no_more(self) -> None:
        """Let the parties alone again."""
        if self._supervised is not None:
            self._ticker.remove_player(self._supervised)
            self._supervised = None
            self._uplink.pass_through(None)
            self._downlink.pass_through(None)
            self._take_phone()
            self._open()

    def hear_by_socket(self, browser: MediaConnection) -> None:
        """Send the phone's voice as frames on this socket."""
        self._downlink.by_socket(browser)
        self._is_by_session = False
        self._watch_stalls()

    def hear_by_session(self, session: AudioSession) -> None:
        """Send the phone's voice as packets of this WebRTC session."""
        self._downlink.by_session(session)
        self._is_by_session = True
        if not self._stalls:
            self._stalls = (
                StallWatch(CALLER_STALLED_NS, self._uplink, self),
                StallWatch(PHONE_STALLED_NS, self._downlink, self),
            )
        self._watch_stalls()

    def _watch_stalls(self) -> None:
        """Watch both voices as long as the browser hears by WebRTC."""
        for watch in self._stalls:
            if self._is_by_session and self._leg is not None and not self._is_over:
                # Started again at every move: what a move takes is no stall.
                watch.start(self._ticker.clock_ns())
                self._ticker.add_waiter(watch, watch)
            else:
                self._ticker.remove_waiter(watch)

    # What the voices tell.

    def tell(self, message: wire.GatewayMessage) -> None:
        """Tell the caller."""
        self._listener.tell(message)

    def caller_talks(self, talking: bool) -> None:
        """Tell the page that the caller has begun to talk, or paused."""
        self.tell(wire.Talk(leg="browser", talking=talking))

    def phone_talks(self, talking: bool) -> None:
        """Tell the page that the phone's side has begun to talk, or paused."""
        self.tell(wire.Talk(leg="carrier", talking=talking))

    def bad_frame(self) -> None:
        """Pass on that the caller sends another codec than was ordered."""
        self._listener.bad_frame()

    def stalled(self, voice: WatchedVoice, is_stalled: bool) -> None:
        """Tell the page that a voice has stalled, or is back."""
        leg: wire.Leg = "browser" if voice is self._uplink else "carrier"
        self.tell(wire.Stalled(leg=leg, stalled=is_stalled))

    # Who hears what.

    def away(self) -> None:
        """Note that the caller cannot be heard; the phone hears that the line is alive."""
        if not self._is_away:
            self._is_away = True
            self._open()
            self._reassure()

    def _reassure(self) -> None:
        # On hold the phone has a tone already, and without a leg there is no one to reassure.
        if self._is_away and self._leg is not None and not self._is_on_hold and not self._is_over:
            self._play(tones.comfort_noise().frame, self._uplink.play)

    def back(self) -> None:
        """Note that the caller can be heard again."""
        if self._is_away:
            self._is_away = False
            # The tone is comfort noise then. On hold it is the hold tone, and before the answer a
            # tone for the caller.
            if not self._is_on_hold and self._leg is not None:
                self.stop_tone()
            self._open()

    @property
    def is_muted(self) -> bool:
        """Whether the caller is muted."""
        return self._is_muted

    def mute(self, muted: bool) -> None:
        """Mute or unmute the caller."""
        self._is_muted = muted
        self._open()

    def hold(self) -> None:
        """Separate the two parties; the phone hears the hold tone."""
        self._is_on_hold = True
        self._open()
        if self._leg is not None:
            self._play(tones.hold().frame, self._uplink.play)

    def resume(self) -> None:
        """Reconnect the two parties."""
        self._is_on_hold = False
        self.stop_tone()
        self._open()
        # The caller may have lost the connection while the call was on hold.
        self._reassure()

    def press(self, digits: str) -> None:
        """Play keys to the phone, ahead of speech."""
        if self._leg is not None and not self._is_over:
            self._uplink.play(tones.dtmf(digits))

    def play_to_caller(self, name: wire.ToneName) -> None:
        """Play a call-progress tone of the destination's country until it is stopped."""
        self._play(_PROGRESS[name](self._country).frame, self._downlink.tone)

    def stop_tone(self) -> None:
        """Stop the tone that is playing, if any."""
        if self._player is not None:
            self._ticker.remove_player(self._player)
            self._player = None

    def beep(self) -> None:
        """Play a short beep to the caller only; it replaces the phone's voice meanwhile."""
        # Not through `_play`: a tone to the phone, as on hold, goes on beside it.
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
        """End all audio between the legs for good."""
        self._is_over = True
        if (supervised := self._supervised) is not None:
            self.supervise_no_more()
            supervised.on_over()
        # No longer polled, or the playout would conceal a caller who is not expected any more.
        self._ticker.remove_waiter(self._uplink.playout)
        self._ticker.remove_waiter(self._downlink.pacer)
        self._watch_stalls()
        self.stop_tone()
        self._end_beep()
        self._open()

    def watch_delay(self, now_ns: int) -> None:
        """Ask the carrier, once a second, how much audio it has not played yet."""
        if self._leg is not None and not self._is_over:
            is_way_shorter = self._downlink.way_back.is_shorter()
            self._uplink.watch_carrier(now_ns, is_way_shorter=is_way_shorter)

    def measure(self, now_ns: int, network: Network) -> list[wire.GatewayMessage]:
        """Return this second's quality sample, and the warnings raised or cleared by it.

        Empty until both legs are joined.
        """
        if self._leg is None:
            return []
        up = self._uplink
        down = self._downlink
        playout = self._uplink.playout
        session = network.session
        rtt_ns = playout.carrier_rtt_ns
        return self.line.each_second(
            Measured(
                path=network.path,
                rtt_ms=network.rtt_ms,
                carrier_rtt_ms=None if rtt_ns is None else rtt_ns / 1e6,
                # On the socket the gateway counts frames itself; on WebRTC the session counts
                # packets, which may be lost before they get here.
                packet_ms=FRAME_MS if session is None else self._packet_ms,
                uplink_frames=up.frames,
                uplink_packets=up.frames if session is None else session.packets,
                uplink_lost=0 if session is None else session.lost,
                uplink_jitter_ms=up.jitter.ms if session is None else session.jitter_ms,
                concealed_ms=playout.counters.concealed_ms,
                delay_ms=playout.delay_ns(now_ns) / 1e6,
                uplink_level_dbov=up.talk.level_dbov,
                carrier_frames=down.heard_bytes // FRAME_BYTES,
                downlink_frames=down.sent,
                downlink_jitter_ms=down.jitter.ms,
                downlink_held_ms=down.pacer.held_ms(),
                downlink_level_dbov=down.talk.level_dbov,
                report=network.report,
                is_muted=self._is_muted or self._is_taken_over,
                is_on_hold=self._is_on_hold,
                is_away=self._is_away,
            )
        )

    def quality(self) -> tuple[LegQuality, LegQuality]:
        """Return the figures of the browser leg and of the carrier leg for the call record."""
        up, down = self._uplink, self._downlink
        playout = up.playout.counters
        # Frames that playout threw away came in but never went out: dropped on the browser's side.
        cut = playout.late + playout.cut_ms // FRAME_MS
        browser = LegQuality(
            frames_in=up.sent + up.dropped,
            frames_out=down.sent,
            frames_dropped=up.dropped + cut,
            talk_ms=up.talk.talk_ms,
            silence_ms=up.talk.silence_ms,
        )
        # Behind the playout, where the carrier did not read; the leg counts that itself.
        dropped = 0 if self._leg is None else self._leg.counters.audio_dropped
        cut_down = down.pacer.cut_ms // FRAME_MS
        carrier = LegQuality(
            frames_in=down.sent + cut_down,
            frames_out=up.sent - cut,
            frames_dropped=dropped + cut_down,
            talk_ms=down.talk.talk_ms,
            silence_ms=down.talk.silence_ms,
        )
        return self.line.legs(browser, carrier)

    def _open(self) -> None:
        can_talk = self._leg is not None and not self._is_on_hold and not self._is_over
        can_talk = can_talk and not self._is_taken_over
        # The one place that decides who hears whom; every change of state ends here.
        self._uplink.is_open = can_talk and not self._is_muted and not self._is_away
        self._downlink.is_open = can_talk and self._beep is None

    @property
    def _is_taken_over(self) -> bool:
        return self._supervised is not None and self._supervised.mode is Mode.TAKE_OVER

    def _play(self, frame_at: Callable[[int], bytes], send: Callable[[bytes], None]) -> None:
        # One at a time, whichever party it is for: comfort noise and hold tone replace each other.
        self.stop_tone()
        self._player = TonePlayer(frame_at, send)
        self._ticker.add_player(self._player)


_PROGRESS: dict[wire.ToneName, Callable[[str], tones.Tone]] = {
    "connecting": lambda _country: tones.connecting(),
    "ringback": tones.ringback,
    "busy": tones.busy,
    "congestion": tones.congestion,
    "cut-off": tones.congestion,
}
"""Tone name -> its sound in a country; E.180 has none for a call that is cut off."""
