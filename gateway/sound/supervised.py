"""Carries the sound of one supervisor: what they hear of a call, and which parties hear them.

Nothing is kept: audio passes through lanes that are as short as jitter allows. The frames of the
call never wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.call.supervision import Mode
from gateway.sound.directions import FRAME_BYTES
from gateway.sound.outlets import BrowserAudio
from media import tones
from media.g711 import MULAW_SILENCE, SAMPLES_PER_MS, SILENCE_FRAME
from media.mixer import Lane, Mixer

HEARD_LEAD: Final = 20 * SAMPLES_PER_MS
"""Of both parties' voices, while they come evenly: the beat that mixes them comes 20 ms apart."""
HEARD_MOST: Final = 240 * SAMPLES_PER_MS
VOICE_LEAD: Final = 40 * SAMPLES_PER_MS
"""Of the supervisor's own voice, which comes over a network."""
VOICE_MOST: Final = 240 * SAMPLES_PER_MS
IDLE_BEATS: Final = 3
"""Beats without a frame of the call after which a voice gets frames of its own to ride on."""
STUCK_BEATS: Final = 150
"""Beats of a take-over in which nothing comes of the supervisor, not even silence, after which the
caller is back: three seconds in which a phone hears no one are long."""
TONE_BEATS: Final = 750
"""Every 15 s, as the announcing tones of telephone companies under 47 CFR 64.501."""
_SILENCE: Final = bytes([MULAW_SILENCE])


class _Party:
    """One who may hear the supervisor: their voice rides on the frames that go there anyway."""

    __slots__ = ("_idle", "_mixer", "_play", "_rides", "_tone", "lane")

    def __init__(self, play: Callable[[bytes], None]) -> None:
        self._play = play
        self._mixer = Mixer()
        self.lane = Lane(VOICE_LEAD, VOICE_MOST)
        self._tone = b""
        self._idle = 0
        self._rides = False

    def announce(self, tone: bytes) -> None:
        """Let the party hear a tone from the next frame on."""
        self._tone = tone

    def add(self, frame: bytes) -> bytes:
        """Return a frame for this party with what it is to hear besides."""
        if not self._rides:
            self._idle = 0
        count = len(frame)
        if voice := self.lane.take(count):
            frame = self._mixer.mix(frame, voice)
        if tone := self._tone[:count]:
            self._tone = self._tone[count:]
            frame = self._mixer.mix(frame, tone + _SILENCE * (count - len(tone)))
        return frame

    def beat(self) -> None:
        """Send silence to ride on where the call sends nothing: on hold, muted, taken over."""
        self._idle += 1
        if self._idle > IDLE_BEATS and (len(self.lane) or self._tone):
            self._rides = True
            self._play(SILENCE_FRAME)
            self._rides = False


class SupervisedSound:
    """One supervisor's part in the sound of a call."""

    def __init__(
        self,
        supervisor: BrowserAudio,
        *,
        to_caller: Callable[[bytes], None],
        to_phone: Callable[[bytes], None],
        announces: bool,
        on_over: Callable[[], None],
        on_stuck: Callable[[], None],
    ) -> None:
        """Begin by listening.

        Args:
            supervisor: Where the supervisor hears: frames of 160 bytes of mu-law.
            to_caller: Sends the caller a frame of our own, where nothing else is sent to them.
            to_phone: The same to the phone.
            announces: Whether both parties hear a tone at once, and again and again.
            on_over: Called when the call's sound is over.
            on_stuck: Called when a take-over has brought nothing for `STUCK_BEATS`.

        """
        self._supervisor = supervisor
        self.announces = announces
        self.on_over = on_over
        self._on_stuck = on_stuck
        self.mode = Mode.LISTEN
        self._caller_voice = Lane(HEARD_LEAD, HEARD_MOST)
        self._phone_voice = Lane(HEARD_LEAD, HEARD_MOST)
        self._mixer = Mixer()
        self._caller, self._phone = _Party(to_caller), _Party(to_phone)
        self._beats = self._quiet_beats = 0

    def set_mode(self, mode: Mode) -> None:
        """Let others hear the supervisor from now on, and forget what was said to them before."""
        self.mode = mode
        self._quiet_beats = 0
        for party in (self._caller, self._phone):
            party.lane.clear()

    def voice(self, frame: bytes) -> None:
        """Take a frame of the supervisor's voice; while they only listen, no one hears it."""
        self._quiet_beats = 0
        if self.mode in (Mode.WHISPER, Mode.BARGE):
            self._caller.lane.put(frame)
        if self.mode in (Mode.BARGE, Mode.TAKE_OVER):
            self._phone.lane.put(frame)

    def for_phone(self, frame: bytes) -> bytes:
        """Take what goes to the phone, and return what it is to hear."""
        self._caller_voice.put(frame)
        return self._phone.add(frame)

    def for_caller(self, frame: bytes) -> bytes:
        """Take what goes to the caller, and return what they are to hear."""
        return self._caller.add(frame)

    def of_phone(self, audio: bytes) -> None:
        """Take the phone's voice as it comes."""
        self._phone_voice.put(audio)

    def play(self) -> None:
        """Send the supervisor the next 20 ms of both; called at each beat."""
        if self.announces and not self._beats % TONE_BEATS:
            for party in (self._caller, self._phone):
                party.announce(tones.supervision())
        self._beats += 1
        caller, phone = self._caller_voice.take(FRAME_BYTES), self._phone_voice.take(FRAME_BYTES)
        both = self._mixer.mix(caller, phone) if caller and phone else caller or phone
        self._supervisor.send_audio_binary(both or SILENCE_FRAME)
        for party in (self._caller, self._phone):
            party.beat()
        self._quiet_beats += 1
        if self.mode is Mode.TAKE_OVER and self._quiet_beats > STUCK_BEATS:
            self._on_stuck()
