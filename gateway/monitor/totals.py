"""Sums up live calls, and those that ended within a quarter of an hour. Pure: time is an argument.

ASR and ACD are those of ITU-T E.425: the share of attempts that were answered, and the mean length
of answered calls.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from gateway.monitor.rows import LIVE, TALKING, CallRow, Sound
from gateway.nanoseconds import SECOND_NS

WINDOW_S: Final = 900
STEP_S: Final = 10
"""How exactly the window ends."""
COUNTRIES_MAX: Final = 30
"""Countries that are shown: those with the most attempts."""
COUNTRIES_KEPT_MAX: Final = 300
"""There are fewer; more are somebody's invention."""
DURATIONS_S: Final = (10, 30, 60, 180, 600, 1800, 3600)
"""Bounds of the counts of live calls by their length; one more is above the last."""
SPOKEN_DBOV: Final = -45
"""Level from which somebody speaks: quieter is a room (ITU-T P.56 has speech some 20 dB above)."""
_PDD_STEP_MS: Final = 250
_PDD_STEPS_MAX: Final = 240
"""A minute: longer than any phone rings before the carrier says so."""
_RTT_STEPS_MAX: Final = 2000


class CountryRow(msgspec.Struct, frozen=True, kw_only=True):
    """Calls to one country: those that run, and those that ended within the window."""

    country: str
    calls: int
    attempts: int
    asr_percent: float | None
    pdd_ms: int | None
    mos: float | None
    failed: int
    """Attempts that neither were answered nor ended by their caller."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """All calls of an audience in figures; None where there is nothing to say."""

    calls: int
    by_state: dict[str, int]
    begun_per_minute: int
    spend_micros_per_minute: dict[str, int]
    """By currency, of calls that run."""
    asr_percent: float | None
    acd_s: float | None
    pdd_ms: int | None
    """Median."""
    rtt_p95_ms: int | None
    mos: float | None
    talk_percent: float | None
    """Of the seconds of calls, those in which either side spoke."""
    durations: tuple[int, ...]
    countries: tuple[CountryRow, ...]


class _Ended:
    """Attempts of one step of the window, of all countries or one."""

    __slots__ = ("answered", "attempts", "failed", "pdd", "seconds")

    def __init__(self) -> None:
        self.attempts = self.answered = self.failed = self.seconds = 0
        self.pdd: Counter[int] = Counter()
        """By `_PDD_STEP_MS`."""

    def add(self, row: CallRow) -> None:
        self.attempts += 1
        if row.answered_at is not None and row.ended_at is not None:
            self.answered += 1
            self.seconds += max(0, round((row.ended_at - row.answered_at).total_seconds()))
        elif row.ended_by != "caller":
            self.failed += 1
        if row.pdd_ms is not None:
            self.pdd[min(row.pdd_ms // _PDD_STEP_MS, _PDD_STEPS_MAX)] += 1

    def take_out(self, other: _Ended) -> None:
        self.attempts -= other.attempts
        self.answered -= other.answered
        self.failed -= other.failed
        self.seconds -= other.seconds
        # What has come to nothing goes.
        self.pdd -= other.pdd

    @property
    def asr_percent(self) -> float | None:
        return round(100 * self.answered / self.attempts, 1) if self.attempts else None

    @property
    def acd_s(self) -> float | None:
        return round(self.seconds / self.answered, 1) if self.answered else None

    @property
    def pdd_ms(self) -> int | None:
        step = _quantile(self.pdd, 0.5)
        return None if step is None else step * _PDD_STEP_MS + _PDD_STEP_MS // 2


class _Step:
    """What happened within `STEP_S`."""

    __slots__ = ("begun", "countries", "number", "seconds", "spoken")

    def __init__(self, number: int) -> None:
        self.number = number
        self.begun = self.seconds = self.spoken = 0
        self.countries: dict[str, _Ended] = {}


class Window:
    """The last quarter of an hour of an audience."""

    def __init__(self) -> None:
        self._steps: deque[_Step] = deque()
        # Kept as calls end and steps lapse: added up at each look, a thousand steps of countries
        # would stand in the way of the calls of the same process.
        self._ended = _Ended()
        self._countries: dict[str, _Ended] = {}

    def begun(self, now_ns: int) -> None:
        """Count a call that was not known before."""
        self._step(now_ns).begun += 1

    def ended(self, row: CallRow, now_ns: int) -> None:
        """Count a call that has ended."""
        step, country = self._step(now_ns), row.country
        if country not in self._countries and len(self._countries) >= COUNTRIES_KEPT_MAX:
            return
        self._ended.add(row)
        for countries in (self._countries, step.countries):
            countries.setdefault(country, _Ended()).add(row)

    def heard(self, sound: Sound, now_ns: int) -> None:
        """Count a second of a call in which people talk, or could."""
        step = self._step(now_ns)
        step.seconds += 1
        step.spoken += max(sound.caller_dbov, sound.phone_dbov) >= SPOKEN_DBOV

    def sum_up(self, live: LiveSums, now_ns: int) -> Totals:
        """Return the totals, with these sums of live calls."""
        self._expire(now_ns // (STEP_S * SECOND_NS))
        ended = self._ended
        last = now_ns // (STEP_S * SECOND_NS) - 60 // STEP_S
        seconds = sum(step.seconds for step in self._steps)
        spoken = sum(step.spoken for step in self._steps)
        return Totals(
            calls=live.calls,
            by_state=dict(live.by_state),
            begun_per_minute=sum(step.begun for step in self._steps if step.number > last),
            spend_micros_per_minute=dict(live.spend),
            asr_percent=ended.asr_percent,
            acd_s=ended.acd_s,
            pdd_ms=ended.pdd_ms,
            rtt_p95_ms=_quantile(live.rtt, 0.95),
            mos=_mean(*live.mos),
            talk_percent=round(100 * spoken / seconds, 1) if seconds else None,
            durations=tuple(live.durations),
            countries=_countries(self._countries, live),
        )

    def _step(self, now_ns: int) -> _Step:
        number = now_ns // (STEP_S * SECOND_NS)
        if not self._steps or self._steps[-1].number < number:
            self._steps.append(_Step(number))
            self._expire(number)
        return self._steps[-1]

    def _expire(self, number: int) -> None:
        while self._steps and self._steps[0].number <= number - WINDOW_S // STEP_S:
            for country, each in self._steps.popleft().countries.items():
                self._ended.take_out(each)
                self._countries[country].take_out(each)
                if not self._countries[country].attempts:
                    del self._countries[country]


class LiveSums:
    """Sums of live calls, which may be thousands: added a few at a time."""

    def __init__(self) -> None:
        self.calls = self.silent = 0
        """`silent` are those in which one side is not heard that should be."""
        self.by_state: Counter[str] = Counter()
        self.spend: Counter[str] = Counter()
        self.rtt: Counter[int] = Counter()
        self.mos = (0, 0.0)
        self.durations = [0] * (len(DURATIONS_S) + 1)
        self.countries: dict[str, tuple[int, int, float]] = {}
        """Calls, those with a MOS, and the sum of it."""

    def add(self, rows: Iterable[CallRow], at: datetime) -> None:
        """Add calls that are live; others are passed over."""
        for row in rows:
            if row.state not in LIVE:
                continue
            self.calls += 1
            self.by_state[row.state] += 1
            if row.state in TALKING:
                self.spend[row.currency] += row.per_minute_micros
                self.silent += "silence" in row.tags
                since = row.answered_at or row.created_at
                length_s = (at - since).total_seconds()
                self.durations[bisect_left(DURATIONS_S, length_s)] += 1
            if row.rtt_ms is not None:
                self.rtt[min(round(row.rtt_ms), _RTT_STEPS_MAX)] += 1
            calls, rated, mos = self.countries.get(row.country, (0, 0, 0.0))
            if row.mos is not None:
                self.mos = self.mos[0] + 1, self.mos[1] + row.mos
                rated, mos = rated + 1, mos + row.mos
            self.countries[row.country] = calls + 1, rated, mos


def _countries(ended: dict[str, _Ended], live: LiveSums) -> tuple[CountryRow, ...]:
    nothing, nobody = _Ended(), (0, 0, 0.0)

    def weight(country: str) -> tuple[int, str]:
        tried = ended.get(country, nothing).attempts
        return -tried - live.countries.get(country, nobody)[0], country

    return tuple(
        _row(country, ended.get(country, nothing), live.countries.get(country, nobody))
        for country in sorted(ended.keys() | live.countries.keys(), key=weight)[:COUNTRIES_MAX]
    )


def _row(country: str, past: _Ended, live: tuple[int, int, float]) -> CountryRow:
    calls, rated, mos = live
    return CountryRow(
        country=country,
        calls=calls,
        attempts=past.attempts,
        asr_percent=past.asr_percent,
        pdd_ms=past.pdd_ms,
        mos=_mean(rated, mos),
        failed=past.failed,
    )


def _mean(count: int, total: float) -> float | None:
    return round(total / count, 2) if count else None


def _quantile(counts: Counter[int], share: float) -> int | None:
    """Return the least value that this share of all does not exceed; None of nothing."""
    left = share * sum(counts.values())
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return None
