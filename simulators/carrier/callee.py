"""Simulates the called party: hears a frame, plays a frame, presses keys. Pure; steps of 20 ms.

Voices take what is heard and return what is played, or None when they have nothing left to say.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from media.g711 import FRAME_MS
from simulators.carrier import clips
from simulators.carrier.playout import FRAME_BYTES, SILENCE
from simulators.carrier.scripts import Script, Voice

DIGITS_MAX: Final = 64
"""Keys waiting to be pressed."""
_FIRST_DIGIT_FRAMES: Final = 50
_DIGIT_FRAMES: Final = 25


class Speaker(Protocol):
    """Something that plays into the call."""

    def speak(self, heard: bytes) -> bytes | None:
        """Return the next frame, or None when there is nothing left."""


class Echo:
    """Plays what it heard, some frames later."""

    def __init__(self, delay_frames: int) -> None:
        # Filled with silence, so that each frame comes out as many steps later.
        self._line: deque[bytes] = deque([SILENCE] * delay_frames)

    def speak(self, heard: bytes) -> bytes | None:
        """Return the frame heard a delay ago."""
        self._line.append(heard)
        return self._line.popleft()


class Clip:
    """Plays mu-law audio once or for ever."""

    def __init__(self, audio: bytes, *, loop: bool = False) -> None:
        self._audio = audio + SILENCE[: -len(audio) % FRAME_BYTES]
        self._loop = loop
        self._offset = 0

    def speak(self, heard: bytes) -> bytes | None:  # noqa: ARG002 - a clip does not listen
        """Return the clip's next frame."""
        if self._offset >= len(self._audio):
            if not self._loop or not self._audio:
                return None
            self._offset = 0
        frame = self._audio[self._offset : self._offset + FRAME_BYTES]
        self._offset += FRAME_BYTES
        return frame


class Chain:
    """Plays speakers one after the other, then silence."""

    def __init__(self, *speakers: Speaker) -> None:
        self._speakers = deque(speakers)

    def speak(self, heard: bytes) -> bytes | None:
        """Return a frame of the first speaker that has one."""
        while self._speakers:
            frame = self._speakers[0].speak(heard)
            if frame is not None:
                return frame
            self._speakers.popleft()
        return SILENCE


def speaker_for(voice: Voice, echo_delay_ms: int) -> Speaker:
    """Return a new speaker with this voice."""
    echo_frames = echo_delay_ms // FRAME_MS
    speaker: Speaker
    match voice:
        case Voice.ECHO:
            speaker = Echo(echo_frames)
        case Voice.DELAYED_ECHO:
            speaker = Echo(1000 // FRAME_MS)
        case Voice.GREETED_ECHO:
            greeting = clips.tone(440, 300) + clips.silence(100)
            speaker = Chain(Clip(greeting), Echo(echo_frames))
        case Voice.TONE:
            speaker = Clip(clips.tone(1000, 1000), loop=True)
        case Voice.SPEECH:
            speaker = Clip(clips.speech(12_000), loop=True)
        case Voice.VOICEMAIL:
            speaker = Chain(Clip(clips.speech(4000, 7)), Clip(clips.tone(1000, 400)))
        case Voice.SILENCE:
            speaker = Chain()
    return speaker


def prepare() -> None:
    """Compute every clip now, so that the first call to play one does not hold up the others."""
    # The clips are cached by their arguments, so that the speakers themselves can be thrown away.
    for voice in Voice:
        speaker_for(voice, 0)


class Callee:
    """One called party, from answer to hang-up, over all streams of the call."""

    def __init__(self, script: Script, echo_delay_ms: int = 0) -> None:
        self._speaker = speaker_for(script.voice, echo_delay_ms)
        self._interlude: Speaker | None = None
        self._digits: deque[str] = deque(script.digits)
        self._digit_in = _FIRST_DIGIT_FRAMES

    def step(self, heard: bytes) -> bytes:
        """Hear a frame and return the one played at the same time."""
        # Keys are pressed to the beat of the call, also while a clip is played into it.
        if self._digits:
            self._digit_in -= 1
        if self._interlude is not None:
            frame = self._interlude.speak(heard)
            if frame is not None:
                # The voice stands still meanwhile and goes on where it was.
                return frame
            self._interlude = None
        return self._speaker.speak(heard) or SILENCE

    def due_digit(self) -> str | None:
        """Return the key pressed in this step, if any."""
        if not self._digits or self._digit_in > 0:
            return None
        self._digit_in = _DIGIT_FRAMES
        return self._digits.popleft()

    def press(self, digits: str) -> None:
        """Press keys from now on, two a second; keys over the bound are lost."""
        if not self._digits:
            # In the next step; keys that wait already keep their beat.
            self._digit_in = 1
        # Bounded, for a client of the control API could queue keys for hours.
        self._digits.extend(digits[: DIGITS_MAX - len(self._digits)])

    def play(self, audio: bytes) -> None:
        """Play audio once, then go on as before."""
        self._interlude = Clip(audio)

    def fall_silent(self) -> None:
        """Play nothing from now on."""
        self._interlude = None
        self._speaker = Chain()


class Impairment:
    """Loss and jitter on the way to the gateway, the same for the same seed.

    One frame in twenty is lost; now and then the line stalls for 40 to 160 ms and what was held
    back comes in one burst.
    """

    _MULTIPLIER: Final = 6364136223846793005
    _INCREMENT: Final = 1442695040888963407

    def __init__(self, seed: int = 1) -> None:
        self._state = seed
        self._held: list[bytes] = []
        self._stall = 0

    def carry(self, frame: bytes) -> list[bytes]:
        """Take the frame of this step and return those that arrive in it."""
        # One draw decides both: the lowest 5 % lose the frame, the highest 3 % begin a stall.
        chance = self._random()
        if chance >= 0.05:
            self._held.append(frame)
        if self._stall:
            self._stall -= 1
        elif chance > 0.97:
            self._stall = 2 + int(self._random() * 7)
        if self._stall:
            return []
        # Frames of a stall were only held back: they arrive together, in the step that ends it.
        arrived, self._held = self._held, []
        return arrived

    def _random(self) -> float:
        # Knuth's MMIX congruential generator; the high bits are good enough for dice.
        self._state = (self._state * self._MULTIPLIER + self._INCREMENT) % 2**64
        return (self._state >> 33) / 2**31
