"""Calls whose networks, carrier and process stop now and then, in virtual time.

Everything between a talker and a carrier can stand still for a while: the network before us (what
was sent comes at once at its end), our own process, the way to the carrier, and the way back. The
carrier plays without end what it is sent, by its own clock; what it has yet to play is known here
exactly, and compared with what the model believes. All times are nanoseconds.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median

import numpy as np

from media.playout import Playout
from media.vad import TalkDetector
from media.way_back import WayBack
from tests.media.playout_world import FRAME, MS, SAMPLE, SECOND, SPEECH
from tests.media.signals import from_mulaw

Stalls = Sequence[tuple[float, float]]
"""(begin, end) in seconds, in order."""

CALM_S = 16
"""How long nothing stands still at the end of a call."""
VOICE = 5 * FRAME
"""How far apart the frames of the phone's voice are that are looked at."""
LOUD_PEAK = 500
"""A frame that anybody hears if it is missing."""
Wander = Callable[[random.Random, float], float]
"""(chance, second) -> ms."""
SIDES = ("before us", "process", "to the carrier", "from the carrier")


def _until(at: int, stalls: Stalls) -> int:
    """Return when what happens at this time gets through."""
    for begin, end in stalls:
        if begin * SECOND <= at < end * SECOND:
            at = int(end * SECOND)
    return at


def _talks(speech: bytes) -> list[tuple[bytes, bool]]:
    detector = TalkDetector()
    frames = [speech[at : at + 160] for at in range(0, len(speech), 160)]
    return [(frame, detector.feed(frame) is None and detector.talking) for frame in frames]


TALK = _talks(SPEECH)
"""Each frame, and whether the talker talks."""
LOUD = _talks(random.Random(1).randbytes(160 * 500))
"""Noise without a pause."""
SAID = {frame for frame, _ in TALK + LOUD}


def is_loud(audio: bytes) -> bool:
    """Whether anybody hears it if it is missing."""
    return bool(np.abs(from_mulaw(audio)).max() >= LOUD_PEAK)


# -- how marks wander, by a spread that is the deviation of a normal one ---------------------------


def half_normal(spread_ms: float) -> Wander:
    """Late by the magnitude of a normal deviate."""
    return lambda chance, _second: abs(chance.gauss(0, spread_ms))


def clipped(spread_ms: float) -> Wander:
    """Every other mark in time, the rest late by a normal deviate."""
    return lambda chance, _second: max(0.0, chance.gauss(0, spread_ms))


def shifted(spread_ms: float) -> Wander:
    """Around twice the deviation."""
    return lambda chance, _second: max(0.0, chance.gauss(2 * spread_ms, spread_ms))


def exponential(spread_ms: float) -> Wander:
    """Most nearly in time, few very late."""
    return lambda chance, _second: chance.expovariate(1 / spread_ms) if spread_ms else 0.0


def uniform(spread_ms: float) -> Wander:
    """Any time up to 3.5 deviations."""
    return lambda chance, _second: chance.uniform(0, spread_ms * 12**0.5)


def lasting(spread_ms: float, seconds: float = 10) -> Wander:
    """Late by the magnitude of a normal deviate that changes in so many seconds."""
    kept = math.exp(-1 / seconds)
    state = [0.0]

    def wander(chance: random.Random, _second: float) -> float:
        state[0] = kept * state[0] + math.sqrt(1 - kept**2) * chance.gauss(0, spread_ms)
        return abs(state[0])

    return wander


@dataclass
class Call:
    """One call, and what may go wrong with it."""

    seed: int
    seconds: float
    stalls: dict[str, Stalls] = field(default_factory=dict)
    """Of each side."""
    rtt_ms: tuple[tuple[float, float, float], ...] = ((0, 20, 20),)
    """From a second on: the way there and the way back, in ms."""
    jitter_ms: float = 1
    """Of the frames before us, and of both ways to the carrier."""
    bunch_ms: float = 0
    """One mark of six is held back by so much at most, until the last stall."""
    wander: Wander | None = None
    """By how much each mark is held back, alone."""
    marks_lost: float = 0
    """Share of the marks that never come back."""
    ppm: float = 0
    """How much faster than ours the carrier's clock is."""
    talker_ppm: float = 0
    beat: int = FRAME
    """A carrier that was dry begins at the next multiple of this."""
    is_packets: bool = False
    has_marks: bool = True
    keeps_to_marks: bool = False
    """Whether the owner clears only when a mark has come back."""
    is_loud: bool = False
    playout: Playout = field(default_factory=Playout)

    cleared_at: list[int] = field(default_factory=list)
    lost_loud: int = 0
    """Loud frames that a clear took away."""
    altered_loud: int = 0
    """Loud frames that the carrier was sent otherwise, but in the first and the last second."""
    end: int = 0
    """When the carrier runs dry."""
    backlogs: list[tuple[int, int, int]] = field(default_factory=list)
    """(time, what the carrier has, what the model says), each 5 ms of the observed span."""

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._count = itertools.count()
        self._last = dict.fromkeys(SIDES, 0)
        self._marks: list[tuple[int, str]] = []
        self._polls_at = -1
        self._way_back = WayBack()
        self._waiting: deque[tuple[int, bytes]] = deque()
        """What the carrier has to play, by the time at which that is over."""

    def run(self, observe: tuple[float, float]) -> Call:
        """Play the call; look at the carrier in this span of seconds."""
        frames = LOUD if self.is_loud else TALK
        offset = self._chance.randrange(len(frames))
        period = FRAME / (1 + self.talker_ppm * 1e-6)
        first = 5 * MS
        for index in range(int(self.seconds * SECOND / period)):
            sent = first + int(index * period)
            audio, is_talk = frames[(index + offset) % len(frames)]
            at = self._through("before us", sent, 10 * MS, self.is_packets)
            self._at(at, self._taker(index, audio, is_talk), is_ours=True)
        phase = self._chance.random()
        for second in range(int(self.seconds)):
            self._at(int((second + phase) * SECOND), self._each_second, is_ours=True)
        for at in range(0, int(self.seconds * SECOND), VOICE):
            self._at(at, self._speak)
        for at in range(int(observe[0] * SECOND), int(observe[1] * SECOND), 5 * MS):
            self._at(at, self._observe)
        while self._events:
            now, _, act = heapq.heappop(self._events)
            act(now)
        return self

    # -- ways ------------------------------------------------------------------------------------

    def _at(self, at: int, act: Callable[[int], None], *, is_ours: bool = False) -> None:
        if is_ours:
            at = _until(at, self.stalls.get("process", ()))
        heapq.heappush(self._events, (at, next(self._count), act))

    def _through(self, side: str, sent: int, delay: int, may_overtake: bool = False) -> int:
        """Return when something arrives that is sent this way."""
        at = _until(sent, self.stalls.get(side, ()))
        at += delay + int(abs(self._chance.gauss(0, self.jitter_ms)) * MS)
        if not may_overtake:
            at = self._last[side] = max(at, self._last[side])
        return at

    def _way(self, now: int, index: int) -> int:
        ways = [row for row in self.rtt_ms if row[0] * SECOND <= now]
        return int(ways[-1][index] * MS)

    # -- the owner of the model ------------------------------------------------------------------

    def _taker(self, index: int, audio: bytes, is_talk: bool) -> Callable[[int], None]:
        def take(now: int) -> None:
            playout = self.playout
            number = (65_000 + index) & 0xFFFF if self.is_packets else None
            self._send(now, playout.put(now, audio, number))
            playout.is_talking = is_talk
            self._look(now)

        return take

    def _look(self, now: int) -> None:
        """Clear if that is due; see that the model is asked in time."""
        playout = self.playout
        if not self.keeps_to_marks and playout.is_clear_due:
            self._clear(now)
        period = playout.tick_ns
        at = -(-max(now + 1, playout.deadline_ns) // period) * period
        if at < 1 << 60 and not now <= self._polls_at <= at:
            self._polls_at = at
            self._at(at, self._poll, is_ours=True)

    def _poll(self, now: int) -> None:
        self._polls_at = -1
        self._send(now, self.playout.poll(now))
        self._look(now)

    def _each_second(self, now: int) -> None:
        name = self.playout.mark_due(now, is_way_shorter=self._way_back.is_shorter())
        self._look(now)
        if name is not None and self.has_marks:
            at = self._through("to the carrier", now, self._way(now, 1))
            self._at(at, lambda at: self._mark(at, name))

    def _mark_back(self, now: int, name: str) -> None:
        if self.playout.mark_returned(now, name):
            self._clear(now)
        self._look(now)

    def _clear(self, now: int) -> None:
        self.cleared_at.append(now)
        at = self._through("to the carrier", now, self._way(now, 1))
        self._at(at, self._cleared)
        self.playout.cleared(now)

    def _send(self, now: int, given: Sequence[bytes]) -> None:
        for audio in given:
            if SECOND < now < (self.seconds - 1) * SECOND:
                pieces = [audio[at : at + 160] for at in range(0, len(audio), 160)]
                self.altered_loud += sum(each not in SAID and is_loud(each) for each in pieces)
            at = self._through("to the carrier", now, self._way(now, 1))
            self._at(at, partial(self._hear, audio))

    # -- the carrier -----------------------------------------------------------------------------

    def _hear(self, audio: bytes, now: int) -> None:
        if self.end < now:
            self.end = -(-now // self.beat) * self.beat
        self.end += int(len(audio) * SAMPLE / (1 + self.ppm * 1e-6))
        self._waiting.append((self.end, audio))
        while self._waiting[0][0] <= now:
            self._waiting.popleft()

    def _mark(self, now: int, name: str) -> None:
        entry = (max(now, self.end), name)
        self._marks.append(entry)
        self._at(entry[0], lambda at: self._played(at, entry))

    def _played(self, now: int, entry: tuple[int, str]) -> None:
        if entry in self._marks:
            self._marks.remove(entry)
            if now < (self.seconds - CALM_S) * SECOND and self._chance.random() < 1 / 6:
                now += int(self._chance.uniform(0, self.bunch_ms) * MS)
            if self.marks_lost and self._chance.random() < self.marks_lost:
                return
            at = self._through("from the carrier", now, self._way(now, 2))
            if self.wander is not None:
                at += int(self.wander(self._chance, now / SECOND) * MS)
            self._at(at, lambda at: self._mark_back(at, entry[1]), is_ours=True)

    def _speak(self, now: int) -> None:
        """Send a frame of the phone's voice that is looked at, by the carrier's clock."""
        at_ms = int(now * (1 + self.ppm * 1e-6)) // MS
        at = self._through("from the carrier", now, self._way(now, 2))
        self._at(at, lambda at: self._way_back.feed(at, at_ms), is_ours=True)

    def _cleared(self, now: int) -> None:
        self.end = min(self.end, now)
        # A frame of which half has been played is heard.
        while self._waiting and self._waiting[-1][0] > now + FRAME // 2:
            self.lost_loud += is_loud(self._waiting.pop()[1])
        for entry in tuple(self._marks):
            self._played(now, entry)

    # -- what is seen ----------------------------------------------------------------------------

    def _observe(self, now: int) -> None:
        self.backlogs.append((now, max(0, self.end - now), self.playout.lead_ns(now)))

    @property
    def clears(self) -> int:
        """How often the carrier was cleared."""
        return len(self.cleared_at)

    @property
    def backlog_ms(self) -> float:
        """The most that the carrier had, of the medians of 100 ms."""
        return max(_medians([has for _, has, _ in self.backlogs]))

    @property
    def error_ms(self) -> float:
        """How far the model was off at most, median over a second against median."""
        has = _medians([has for _, has, _ in self.backlogs], 200)
        says = _medians([says for *_, says in self.backlogs], 200)
        return max(abs(a - b) for a, b in zip(has, says, strict=True))


def _medians(values: Sequence[int], count: int = 20) -> list[float]:
    return [median(values[at : at + count]) / MS for at in range(0, len(values) - count + 1, count)]


# -- patterns of stalls ----------------------------------------------------------------------------


def periodic(chance: random.Random, seconds: float) -> Stalls:
    """Each as long and as far apart as the others."""
    every, length = chance.uniform(3, 30), chance.uniform(0.1, 3)
    at, found = chance.uniform(0, every), []
    while at + length < seconds:
        found.append((at, at + length))
        at += max(every, length + 0.1)
    return found


def scattered(chance: random.Random, seconds: float) -> Stalls:
    """Of any length, any time apart."""
    at, found = chance.uniform(0, 5), []
    while (length := chance.choice((0.1, 0.2, 0.3, 0.5, 1, 2, 3))) + at < seconds:
        found.append((at, at + length))
        at += length + chance.expovariate(1 / chance.choice((3, 8, 20)))
    return found


def bursts(chance: random.Random, seconds: float) -> Stalls:
    """Several in a row, then none for long."""
    at, found = chance.uniform(1, 8), []
    while at < seconds:
        for _ in range(chance.randint(2, 6)):
            length = chance.uniform(0.1, 0.8)
            if at + length < seconds:
                found.append((at, at + length))
            at += length + chance.uniform(0.1, 1)
        at += chance.uniform(8, 25)
    return found


def growing(chance: random.Random, seconds: float) -> Stalls:
    """Each longer than the one before."""
    at, length, found = chance.uniform(1, 5), 0.1, []
    while at + length < seconds:
        found.append((at, at + length))
        at += length + chance.uniform(3, 10)
        length = min(3, length * chance.uniform(1.2, 2))
    return found


def once(chance: random.Random, seconds: float) -> Stalls:
    """One."""
    at = chance.uniform(3, seconds - 3)
    return [(at, at + chance.uniform(0.1, 3))]


PATTERNS = (periodic, scattered, bursts, growing, once)


def call_of(seed: int, **changes: object) -> Call:
    """Return a call of this seed, whose last stall ends `CALM_S` before it does."""
    chance = random.Random(seed)
    span = chance.uniform(12, 90)
    sides = chance.sample(SIDES, chance.choice((1, 1, 1, 2, 2, 3)))
    shared = chance.choice(PATTERNS)(chance, span)
    stalls = {
        side: shared if chance.random() < 0.4 else chance.choice(PATTERNS)(chance, span)
        for side in sides
    }
    ends = [end for rows in stalls.values() for _, end in rows]
    ways = [(0.0, *_ways(chance))]
    while chance.random() < 0.35:
        at = chance.uniform(0, span)
        if ends and chance.random() < 0.7:
            at = chance.choice([begin for rows in stalls.values() for begin, _ in rows])
        ways.append((at, *_ways(chance)))
    last = max([*ends, *(way[0] for way in ways[1:]), 3.0])
    values: dict[str, object] = {
        "seconds": last + CALM_S,
        "stalls": stalls,
        "rtt_ms": tuple(sorted(ways)),
        "jitter_ms": chance.choice((0, 1, 2, 5)),
        "bunch_ms": chance.choice((0, 0, 100, 300)),
        "ppm": chance.uniform(-200, 200),
        "talker_ppm": chance.uniform(-200, 200),
        "beat": chance.choice((1, FRAME, FRAME)),
        "is_packets": chance.random() < 0.5,
    }
    return Call(seed, **{**values, **changes})


def _ways(chance: random.Random) -> tuple[float, float]:
    rtt = chance.choice((5, 20, 40, 80, 100, 150, 200, 300, 400))
    share = chance.choice((0.5, 0.5, chance.uniform(0.4, 0.6)))
    return rtt * share, rtt * (1 - share)


def judged(call: Call) -> Call:
    """Run it, seen from 10 s after its last stall on."""
    return call.run((call.seconds - 6, call.seconds - 1))
