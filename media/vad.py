"""Detects speech in one direction, with attack, hangover and level.

Wraps WebRTC's voice activity detector. Time is measured in audio fed.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

import webrtcvad

from media.g711 import FRAME_MS, FRAME_SAMPLES, RATE_HZ, SAMPLE_BYTES, audioop, level_dbov

AGGRESSIVENESS: Final = 2
"""WebRTC's modes run from 0 (everything is speech) to 3; 2 rejects breath and line noise."""
ATTACK_FRAMES: Final = 3
ATTACK_WINDOW_FRAMES: Final = 5
"""Talk begins with 3 speech frames of 5: a click or a cough alone does not count."""
HANGOVER_MS: Final = 300
"""Silence that ends talk; shorter silences lie between words."""

STRIDE: Final = 5
"""While someone talks, every fifth frame is examined, and every frame once a pause has begun: the
end of talk is reported at most 80 ms late. The level is taken from every fifth frame in any case: a
volume meter cannot show more."""
Levels = tuple[int, int, int, int, int]
"""Levels remembered, newest first, so that one reading covers half a second. Compiled, they lie in
their owner and are no object of their own."""


SPEECH_PEAK_MIN: Final = 200
"""Frames whose samples stay below this (-44 dBov) are silence without asking the detector, which
takes a line's first noise for speech and costs ten times as much as the comparison."""

# Compiled code finds a Final of this module without a dictionary lookup.
_peak: Final = audioop.max
_rms: Final = audioop.rms
_ulaw2lin: Final = audioop.ulaw2lin


class TalkDetector:
    """Reports when one party starts and stops talking."""

    __slots__ = (
        "_attack_frames",
        "_frames",
        "_hangover_frames",
        "_quiet_frames",
        "_recent",
        "_rest",
        "_rms",
        "_talk_frames",
        "_vad",
        "_window_mask",
        "talking",
    )

    # What each frame touches.
    _frames: int
    talking: bool
    _quiet_frames: int
    _talk_frames: int
    _rest: bytes

    def __init__(
        self,
        *,
        aggressiveness: int = AGGRESSIVENESS,
        attack_frames: int = ATTACK_FRAMES,
        attack_window_frames: int = ATTACK_WINDOW_FRAMES,
        hangover_ms: int = HANGOVER_MS,
    ) -> None:
        if not 0 < attack_frames <= attack_window_frames or hangover_ms < FRAME_MS:
            raise ValueError("The attack must fit its window, and the hangover last a frame.")
        self._vad = webrtcvad.Vad(aggressiveness)
        self._attack_frames = attack_frames
        self._window_mask = (1 << attack_window_frames) - 1
        self._hangover_frames = -(-hangover_ms // FRAME_MS)
        self._recent = 0
        """One bit per recent frame, newest lowest: was it speech."""
        self._quiet_frames = 0
        """Frames since the last one with speech, while talking."""
        self._frames = 0
        self._talk_frames = 0
        self._rms: Levels = (0, 0, 0, 0, 0)
        self._rest = b""
        """Less than a frame, left over from audio of other sizes."""
        self.talking = False

    @property
    def talk_ms(self) -> int:
        """Time spent talking, including short silences between words."""
        return self._talk_frames * FRAME_MS

    @property
    def silence_ms(self) -> int:
        """Time not spent talking; with `talk_ms` all the time fed in whole frames."""
        return (self._frames - self._talk_frames) * FRAME_MS

    @property
    def level_dbov(self) -> int:
        """Level of the last half second, from -127 to 0 dBov (RFC 6464)."""
        a, b, c, d, e = self._rms
        return level_dbov(sqrt((a * a + b * b + c * c + d * d + e * e) / 5))

    def feed(self, frame: bytes) -> bool | None:
        """Take mu-law audio in order; return True when talk starts, False when it stops.

        A frame has 160 bytes (20 ms). Other lengths are cut and joined into frames; if talk both
        starts and stops within one call, the result is None.
        """
        if len(frame) != FRAME_SAMPLES or self._rest:
            return self._feed_uneven(frame)
        self._frames = frames = self._frames + 1
        is_level_due = not frames % STRIDE
        # Talk is taken to go on between the frames that are examined.
        if self.talking and not self._quiet_frames and not is_level_due:
            self._talk_frames += 1
            return None
        pcm = _ulaw2lin(frame, SAMPLE_BYTES)
        if is_level_due:
            a, b, c, d, _ = self._rms
            self._rms = (_rms(pcm, SAMPLE_BYTES), a, b, c, d)
        is_loud = _peak(pcm, SAMPLE_BYTES) >= SPEECH_PEAK_MIN
        speech = is_loud and self._vad.is_speech(pcm, RATE_HZ, FRAME_SAMPLES)
        if self.talking:
            return self._keep_talking(speech)
        self._recent = recent = (self._recent << 1 | speech) & self._window_mask
        # In silence no bit is set, and the comparison saves the count.
        if recent and recent.bit_count() >= self._attack_frames:
            self._talk_frames += 1
            self._quiet_frames = 0
            self.talking = True
            return True
        return None

    def _keep_talking(self, speech: bool) -> bool | None:
        if speech:
            self._quiet_frames = 0
        else:
            self._quiet_frames += 1
            if self._quiet_frames >= self._hangover_frames:
                # The speech before the pause must not count towards the next attack.
                self._recent = 0
                self.talking = False
                return False
        self._talk_frames += 1
        return None

    def _feed_uneven(self, audio: bytes) -> bool | None:
        audio = self._rest + audio
        # Emptied first: `feed` comes back here for as long as there is a rest.
        self._rest = b""
        was_talking = self.talking
        whole = len(audio) - len(audio) % FRAME_SAMPLES
        for offset in range(0, whole, FRAME_SAMPLES):
            self.feed(audio[offset : offset + FRAME_SAMPLES])
        self._rest = audio[whole:]
        return None if self.talking == was_talking else self.talking
