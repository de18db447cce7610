"""A world around the playout model in virtual time: a talker, a network, a shared tick, a carrier.

All times are nanoseconds. The carrier behaves as the simulated one does: it plays all it is sent in
order, 20 ms at a time by its own clock, keeps any backlog, returns marks and can be cleared; it is
written in closed form here, so that hours pass in seconds.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from media.g711 import FRAME_SAMPLES
from media.playout import Playout
from tests.media.signals import Wave, from_mulaw, to_mulaw, voice

MS = 1_000_000
SECOND = 1_000 * MS
FRAME = 20 * MS
NETWORK = 20 * MS
"""Least delay of the network between talker and gateway."""
SAMPLE = 125_000

Network = Callable[[int, int, random.Random], list[int]]
"""(index, sent at) -> arrivals of copies of a frame; none for a loss."""


# -- networks --------------------------------------------------------------------------------------


def jitter(ms: float, *, loss: float = 0.0, copies: float = 0.0) -> Network:
    """Delays that are the magnitude of a normal deviate; frames overtake one another."""

    def network(_index: int, sent: int, chance: random.Random) -> list[int]:
        count = (chance.random() >= loss) * (1 + (chance.random() < copies))
        return [sent + NETWORK + int(abs(chance.gauss(0, ms)) * MS) for _ in range(count)]

    return network


def bursts(ms: float, loss: float, length: float = 3.0) -> Network:
    """Losses that come in runs of `length` on average (Gilbert's model)."""
    state = {"bad": False}

    def network(_index: int, sent: int, chance: random.Random) -> list[int]:
        turn = 1 / length if state["bad"] else loss / (1 - loss) / length
        state["bad"] ^= chance.random() < turn
        return [] if state["bad"] else [sent + NETWORK + int(abs(chance.gauss(0, ms)) * MS)]

    return network


def stalls(at: tuple[float, ...], seconds: float, ms: float = 2) -> Network:
    """What is sent during a stall arrives together at its end."""

    def network(_index: int, sent: int, chance: random.Random) -> list[int]:
        for start in at:
            if start <= sent / SECOND < start + seconds:
                sent = int((start + seconds) * SECOND)
        return [sent + NETWORK + int(abs(chance.gauss(0, ms)) * MS)]

    return network


def spikes(ms: float, share: float, spike_ms: float) -> Network:
    """TCP: a frame that is late, by `spike_ms` on average, keeps all behind it."""
    last = {"at": 0}

    def network(_index: int, sent: int, chance: random.Random) -> list[int]:
        late = chance.expovariate(1 / spike_ms) if chance.random() < share else 0.0
        arrival = sent + NETWORK + int((abs(chance.gauss(0, ms)) + late) * MS)
        last["at"] = max(last["at"], arrival)
        return [last["at"]]

    return network


# -- the carrier -----------------------------------------------------------------------------------


@dataclass
class Carrier:
    """Plays what it is sent, and remembers when."""

    rtt: int = 40 * MS
    ppm: float = 0.0
    """How much faster than the gateway's clock it plays."""
    stalls: dict[float, float] = field(default_factory=dict)
    """Second -> seconds: it accepts audio, and plays none of it."""
    grid: int = FRAME
    """When it is dry it begins to play at the next multiple of this."""
    moves: dict[float, int] = field(default_factory=dict)
    """Second -> round trip in ms from then on."""
    keeps_audio: bool = True
    end: int = 0
    dry: int = 0
    underruns: int = 0
    played: list[tuple[int, bytes]] = field(default_factory=list)
    """When each piece begins to be heard."""

    def _next_beat(self, at: int) -> int:
        beat = self.grid / (1 + self.ppm * 1e-6)
        return int(-(-at // beat) * beat)

    def take(self, now: int, audio: bytes) -> int:
        """Take audio sent now; return when it begins to be heard."""
        for second in [second for second in self.moves if now >= second * SECOND]:
            self.rtt = self.moves.pop(second) * MS
        at = now + self.rtt // 2
        if self.end < at:
            start = self._next_beat(at)
            if self.end:
                self.dry += start - self.end
                self.underruns += 1
            self.end = start
        for second, seconds in tuple(self.stalls.items()):
            if self.end >= second * SECOND:
                del self.stalls[second]
                self.end += int(seconds * SECOND)
        start = self.end
        self.end += int(len(audio) * SAMPLE / (1 + self.ppm * 1e-6))
        if self.keeps_audio:
            self.played.append((start, audio))
        return start

    def mark(self, now: int) -> int:
        """Take a mark sent now; return when it comes back."""
        at = now + self.rtt // 2
        due = self._next_beat(self.end) if self.end > at else at
        return due + self.rtt // 2

    def clear(self, now: int) -> None:
        at = now + self.rtt // 2
        self.end = min(self.end, at)
        while self.played and self.played[-1][0] >= at:
            self.played.pop()


# -- the whole -------------------------------------------------------------------------------------


@dataclass
class World:
    """One call from mouth to ear."""

    network: Network
    seconds: float = 300.0
    seed: int = 1
    reliable: bool = False
    """The transport keeps order and says no sequence."""
    ppm: float = 0.0
    """How much faster than the gateway's clock the talker's is."""
    carrier: Carrier = field(default_factory=Carrier)
    speech: bytes = b""
    frame_ms: int = 20
    first: int = 65_000
    sequence_of: Callable[[int], int] | None = None
    silent: tuple[tuple[float, float], ...] = ()
    """Spans of seconds in which the talker sends nothing, and the owner pauses the model."""
    restarts: tuple[float, ...] = ()
    """Seconds at which the talker goes on by another source."""
    moves: tuple[float, ...] = ()
    """Seconds at which that source is of the other kind."""
    naive: bool = False
    """Whether frames are sent on as they come, with no model at all."""
    tick_late: int = 0
    playout: Playout = field(default_factory=Playout)
    delays: list[tuple[int, int]] = field(default_factory=list)
    """(sent, mouth-to-ear delay) of each frame that was played as it was."""
    lead_max: int = 0
    marks: int = 0
    clears: int = 0

    def run(self) -> World:
        chance = random.Random(self.seed)
        speech = self.speech or SPEECH
        size = self.frame_ms * 8
        frames = [speech[at : at + size] for at in range(0, len(speech) - size + 1, size)]
        for now, index, sent in self._arrivals(chance):
            frame = frames[index % len(frames)]
            self._sent[id(frame)] = sent
            if self.naive:
                self._send(now, [frame])
                continue
            self._pass_time(now, chance)
            if self.restarts and sent >= self.restarts[0] * SECOND:
                self.restarts = self.restarts[1:]
                self.playout.restart()
            if self.moves and sent >= self.moves[0] * SECOND:
                self.moves = self.moves[1:]
                self.reliable = not self.reliable
                self.playout.restart()
            sequence = None if self.reliable else (self.first + index) & 0xFFFF
            if self.sequence_of is not None:
                sequence = self.sequence_of(index) & 0xFFFF
            self._send(now, self.playout.put(now, frame, sequence))
            self.lead_max = max(self.lead_max, self.playout.lead_ns(now))
        return self

    def _arrivals(self, chance: random.Random) -> Iterator[tuple[int, int, int]]:
        """Yield (arrival, index, sent) in the order of arrival."""
        waiting: list[tuple[int, int, int]] = []
        period = self.frame_ms * MS / (1 + self.ppm * 1e-6)
        for index in range(int(self.seconds * SECOND / period)):
            sent = 5 * SECOND + int(index * period)
            while waiting and waiting[0][0] < sent:
                yield heapq.heappop(waiting)
            at = (sent - 5 * SECOND) / SECOND
            if not any(start <= at < end for start, end in self.silent):
                for arrival in self.network(index, sent - 5 * SECOND, chance):
                    heapq.heappush(waiting, (arrival + 5 * SECOND, index, sent))
        while waiting:
            yield heapq.heappop(waiting)

    def _send(self, now: int, given: Sequence[bytes]) -> None:
        for audio in given:
            assert not len(audio) % FRAME_SAMPLES, "the carrier is given whole frames"
            if not self.carrier.end:
                self._first_waited_ms = self.playout.counters.waited_ms
            start = self.carrier.take(now, audio)
            sent = self._sent.get(id(audio))
            if sent is not None:
                self.delays.append((sent, start - sent + self.frame_ms * MS))

    _sent: dict[int, int] = field(default_factory=dict)
    """When the frame that is this very object was sent."""
    _now: int = 0
    _second: int = 0
    _echoes: deque[tuple[int, str]] = field(default_factory=deque)
    _paused: bool = False
    _first_waited_ms: int = 0

    def _pass_time(self, until: int, chance: random.Random) -> None:
        """Let the ticks and seconds before `until` happen."""
        playout = self.playout
        if until <= self._second and until <= playout.deadline_ns and not self._echoes:
            return
        while True:
            due = min(playout.deadline_ns, until)
            period = playout.tick_ns
            tick = max(self._now, -(-due // period) * period + self.tick_late)
            second = self._second
            echo = self._echoes[0][0] if self._echoes else until
            now = min(tick, second, echo)
            if now >= until:
                return
            self._now = now
            if now == echo:
                if playout.mark_returned(now, self._echoes.popleft()[1]):
                    self.clears += 1
                    self.carrier.clear(now)
                    playout.cleared(now)
                    back = now + self.carrier.rtt
                    self._echoes = deque((min(at, back), name) for at, name in self._echoes)
            elif now == second:
                self._each_second(now)
            else:
                self._send(now, playout.poll(now))
                self._now = now + 1
                self.lead_max = max(self.lead_max, playout.lead_ns(now))

    def _each_second(self, now: int) -> None:
        self._second = now + SECOND // 10
        at = (now - 5 * SECOND) / SECOND
        is_silent = any(start + 0.05 <= at < end for start, end in self.silent)
        if is_silent and not self._paused:
            self.playout.pause()
        self._paused = is_silent
        name = self.playout.mark_due(now)
        if name is not None:
            self.marks += 1
            self._echoes.append((self.carrier.mark(now), name))

    # -- what was heard ----------------------------------------------------------------------------

    def delay_ms(self, start: float = 0, end: float = 1e9) -> float:
        """Return the median mouth-to-ear delay of what was said in this span of seconds."""
        first, last = (start + 5) * SECOND, (end + 5) * SECOND
        return median(delay for sent, delay in self.delays if first <= sent < last) / MS

    @property
    def last_delay_ms(self) -> float:
        return self.delay_ms(self.seconds - 5)

    @property
    def dry_s(self) -> float:
        """Return what the carrier filled with silence, but for the silence that a start is to have.

        That is waited for, where it is less than a frame.
        """
        waited_ms = self.playout.counters.waited_ms - self._first_waited_ms
        return self.carrier.dry / SECOND - waited_ms / 1_000

    def heard(self) -> Wave:
        """Return what the ear heard, by the carrier's clock, from the moment the talker began."""
        origin = 5 * SECOND
        sample = SAMPLE / (1 + self.carrier.ppm * 1e-6)
        wave = np.zeros(int((self.carrier.end - origin) / sample) + FRAME_SAMPLES * 8)
        for start, audio in self.carrier.played:
            at = round((start - origin) / sample)
            wave[at : at + len(audio)] = from_mulaw(audio)
        return wave


def similarity(said: Wave, heard: Wave, *, seconds: float = 0.4, delay_ms_max: int = 400) -> float:
    """Return the median, over windows of what was said, of its best correlation with the heard."""
    size, reach = int(seconds * 8_000), delay_ms_max * 8
    found = []
    for at in range(0, min(len(said), len(heard) - reach) - size, size):
        window = said[at : at + size]
        if np.abs(window).mean() < 100:
            continue
        field_ = heard[at : at + size + reach]
        cross = np.correlate(field_, window, "valid")
        energies = np.concatenate(([0.0], np.cumsum(field_ * field_)))
        energy = (energies[size:] - energies[:-size]) * float(window @ window)
        found.append(float((cross / np.sqrt(energy + 1)).max()))
    return median(found)


def talk(seconds: float, seed: int = 3) -> Wave:
    """Return somebody who talks: phrases of changing pitch, pauses, faint noise throughout."""
    chance = np.random.default_rng(seed)
    parts: list[Wave] = []
    while sum(map(len, parts)) < seconds * 8_000:
        phrase = voice(chance.uniform(0.6, 2.5), pitch_hz=chance.uniform(95, 220))
        edge = np.minimum(1, np.minimum(np.arange(len(phrase)), np.arange(len(phrase))[::-1]) / 400)
        parts += [phrase * edge, np.zeros(int(chance.uniform(0.2, 0.9) * 8_000))]
    wave = np.concatenate(parts)[: int(seconds * 8_000)]
    return np.asarray(wave + chance.normal(0, 20, len(wave)), np.float64)


SPEECH = to_mulaw(talk(60))
