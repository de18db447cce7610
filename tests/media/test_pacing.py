"""Bursts of a sender in virtual time, and how late a listener hears them who trims nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.clock import NEVER_NS
from media.g711 import FRAME_NS, SAMPLE_NS
from media.pacing import LOOSE_NS, RESERVE_NS, Pacer
from tests.media.playout_world import SPEECH
from tests.media.signals import Wave, from_mulaw, to_mulaw, voice
from tests.thorough import first_of

MS = 1_000_000
SECOND = 1_000 * MS
FRAMES = 50
BUFFER = 40 * MS
"""What the listener begins to play with, each time there was nothing."""
DELAY_MS_MAX = 150

CHATTER = to_mulaw(voice(7))
"""Somebody who makes no pause."""
NOISE = to_mulaw(np.random.default_rng(5).normal(0, 3_000, 40_000))
"""A sound that has no period."""


@dataclass
class Listener:
    """Plays all that comes, in order, and never catches up by itself."""

    stalls: list[tuple[float, float]]
    """(second, seconds): what is sent meanwhile comes together at the end of it."""
    sound: bytes = CHATTER
    seconds: float = 30.0
    jitter_ms: float = 2.0
    ppm: float = 0.0
    seed: int = 1
    piece: int = 160
    is_paced: bool = True
    pacer: Pacer = field(default_factory=Pacer)
    delays: list[tuple[float, float]] = field(default_factory=list)
    """(second, ms) between when something was said and heard, each time something was given."""
    gaps_ms: list[int] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    """When each piece was given."""
    heard: bytearray = field(default_factory=bytearray)
    dry_ns: int = 0
    _end: int = -1
    _in: int = 0

    def run(self) -> Listener:
        chance = random.Random(self.seed)
        period = int(self.piece * SAMPLE_NS / (1 + self.ppm * 1e-6))
        latest = 0
        for index in range(int(self.seconds * SECOND / period)):
            at = self._arrival(index * period, chance)
            latest = max(latest, at)
            self._wait(latest)
            start = index * self.piece % (len(self.sound) - self.piece)
            piece = self.sound[start : start + self.piece]
            self._in += period
            self._play(latest, self.pacer.put(latest, piece) if self.is_paced else (piece,))
        return self

    def _arrival(self, said: int, chance: random.Random) -> int:
        at = said
        for start, length in self.stalls:
            if start * SECOND <= said < (start + length) * SECOND:
                at = int((start + length) * SECOND)
        return at + int(abs(chance.gauss(0, self.jitter_ms)) * MS)

    def _wait(self, until: int) -> None:
        tick = 10 * MS
        while self.pacer.deadline_ns < until:
            now = -(-self.pacer.deadline_ns // tick) * tick
            if now >= until:
                return
            self._play(now, self.pacer.poll(now))
            if self.pacer.deadline_ns <= now:
                self.pacer.deadline_ns = now + 1

    def _play(self, now: int, pieces: Sequence[bytes]) -> None:
        if self.pacer.gap_ms:
            self.gaps_ms.append(self.pacer.gap_ms)
            self.pacer.gap_ms = 0
        for piece in pieces:
            if self._end < now:
                self.dry_ns += 0 if self._end < 0 else now - self._end
                self._end = now + BUFFER
            self._end += len(piece) * SAMPLE_NS
            self.heard += piece
            self.sent.append(now)
        if pieces:
            content = self._in - int(self.pacer.held_ms() * MS)
            self.delays.append((now / SECOND, (self._end - content) / MS))

    def delay_ms(self, first: float, last: float) -> float:
        return max((ms for at, ms in self.delays if first <= at < last), default=0.0)


def test_without_pacing_a_burst_stays_for_good():
    assert Listener([(5.0, 0.5)], is_paced=False).run().delay_ms(9, 30) > 400


def test_even_frames_are_handed_on_as_they_come():
    listener = Listener([], jitter_ms=8).run()
    assert bytes(listener.heard[:8_000]) == CHATTER[:8_000]
    assert (listener.pacer.cut_ms, listener.pacer.shortened_ms, listener.gaps_ms) == (0, 0, [])
    assert not listener.pacer.is_even


@pytest.mark.parametrize("sound", [CHATTER, SPEECH, NOISE], ids=["chatter", "speech", "noise"])
@pytest.mark.parametrize("length", [0.1, 0.2, 0.3, 0.5, 1.0, 1.5, 3.0])
def test_a_burst_is_gone_within_three_seconds(sound, length):
    listener = Listener([(5.0, length)], sound).run()
    before = listener.delay_ms(2, 5)
    assert listener.delay_ms(5 + length + 3, 30) <= before + 45
    assert listener.delay_ms(5 + length + 0.2, 30) <= before + 250
    assert [abs(gap - 1_000 * length) < 25 for gap in listener.gaps_ms] == [True]
    assert not listener.pacer.is_even


def pattern(seed: int) -> list[tuple[float, float]]:
    """Stalls of any length at any distance."""
    chance = random.Random(seed)
    shortest = chance.choice([0.02, 0.3, 1, 3, 10])
    stalls, at = [], 3.0
    while at < 56:
        length = chance.choice([chance.uniform(0.1, 3), chance.uniform(0.1, 0.5), 0.1, 3.0])
        stalls.append((at, length))
        at += length + chance.uniform(shortest, 3 * shortest)
    return stalls


@pytest.mark.thorough
@pytest.mark.parametrize("first", first_of(range(0, 180, 60)))
def test_after_any_pattern_of_bursts_the_delay_is_small(first):
    for seed in range(first, first + 60):
        stalls = pattern(seed)
        sound = (CHATTER, SPEECH, NOISE)[seed % 3]
        listener = Listener(stalls, sound, 60, ppm=(0, 200, -200)[seed % 3], seed=seed).run()
        ends = [start + length for start, length in stalls]
        starts = [start for start, _ in stalls[1:]] + [60.0]
        for end, start in zip(ends, starts, strict=True):
            late = listener.delay_ms(end + 3, start)
            assert late <= DELAY_MS_MAX, (seed, end, late)
        assert listener.pacer.held_ms() <= 240


def test_audio_sent_ahead_of_its_time_is_not_delay_for_long():
    """Three seconds of speech come at once, and the stream goes on from there."""
    pacer, now, given = Pacer(), SECOND, 0
    for _ in range(150):
        given += sum(map(len, pacer.put(now, CHATTER[:160])))
    for index in range(1, 200):
        now = SECOND + index * FRAME_NS
        given += sum(map(len, pacer.poll(now)))
        given += sum(map(len, pacer.put(now, CHATTER[index * 160 : index * 160 + 160])))
    assert given * SAMPLE_NS + pacer.held_ms() * MS - 200 * FRAME_NS <= LOOSE_NS


def test_a_stall_that_repeats_finds_something_kept():
    once = Listener([(5.0, 0.1)], jitter_ms=0).run()
    often = Listener([(at, 0.1) for at in np.arange(5.0, 28.0, 2.0)], jitter_ms=0).run()
    assert often.dry_ns <= 12 * (once.dry_ns - RESERVE_NS // 2)
    assert often.delay_ms(0, 30) <= DELAY_MS_MAX + 100


def test_what_a_stall_held_up_is_given_evenly():
    listener = Listener([(5.0, 0.3)], jitter_ms=0).run()
    burst = [at for at in listener.sent if 5.3 * SECOND <= at < 6 * SECOND]
    steps = np.diff(burst)
    assert np.count_nonzero(steps < 0.5 * FRAME_NS) <= 1, "the last of it goes with the one before"
    assert np.median(steps) == pytest.approx(FRAME_NS, abs=5 * MS)


@pytest.mark.parametrize("ppm", [200, -200])
def test_clocks_that_drift_are_followed(ppm):
    listener = Listener([], seconds=600, ppm=ppm, jitter_ms=5).run()
    assert (listener.pacer.cut_ms, listener.pacer.shortened_ms, listener.gaps_ms) == (0, 0, [])


def steps_of(wave: Wave) -> float:
    return float(np.abs(np.diff(wave)).max())


@pytest.mark.parametrize("length", [0.1, 0.2, 0.5, 3.0])
def test_what_is_cut_and_shortened_makes_no_click(length):
    """No step between two samples is larger than those of the sound itself."""
    hum = to_mulaw(8_000 * np.sin(2 * np.pi * 110 * np.arange(80_000) / 8_000))
    listener = Listener([(2.0, length)], hum, 8).run()
    assert listener.pacer.shortened_ms + listener.pacer.cut_ms > 0
    wave = from_mulaw(bytes(listener.heard))
    # The first frame after the stall follows what the listener's own buffer made up.
    joint = int(2.0 * 8_000) + 160
    assert steps_of(wave[joint:]) <= 1.3 * steps_of(from_mulaw(hum))


def test_a_restart_forgets_what_waits():
    pacer = Pacer()
    for _ in range(20):
        pacer.put(SECOND, CHATTER[:160])
    assert pacer.held_ms() > 0
    pacer.restart()
    assert (pacer.held_ms(), pacer.is_even, pacer.deadline_ns) == (0, False, NEVER_NS)
    assert pacer.put(9 * SECOND, CHATTER[:160]) == (CHATTER[:160],)
    assert pacer.gap_ms == 0


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3_000 * MS) | st.integers(0, 40 * MS),
            st.sampled_from(["put", "put", "put", "poll", "restart"]),
            st.sampled_from([160, 160, 80, 8, 960, 161]),
        ),
        max_size=200,
    )
)
def test_whatever_comes_little_waits_and_nothing_is_invented(steps):
    pacer, now, given, taken = Pacer(), SECOND, 0, 0
    for wait, step, size in steps:
        now += wait
        if step == "restart":
            pacer.restart()
        elif step == "poll":
            given += sum(map(len, pacer.poll(now)))
        else:
            taken += size
            given += sum(map(len, pacer.put(now, CHATTER[:size])))
        assert pacer.held_ms() <= 240 + 120
        assert (pacer.deadline_ns < NEVER_NS) == (pacer.held_ms() > 0)
        assert 0 <= given <= taken


def test_a_frame_within_the_looseness_is_not_held():
    pacer = Pacer()
    pacer.put(SECOND, CHATTER[:160])
    assert pacer.put(SECOND + FRAME_NS + LOOSE_NS - 1, CHATTER[:160]) == (CHATTER[:160],)
    assert not pacer.is_even
