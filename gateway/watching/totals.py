"""Sums up live calls, and those that ended within a quarter of an hour. Pure: time is an argument.

ASR and ACD are those of ITU-T E.425: the share of attempts that were answered, including calls
still in progress, and the mean length of answered calls that have ended.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import datetime
from heapq import nsmallest
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from gateway.cause import Cause
from gateway.nanoseconds import SECOND_NS
from gateway.watching.rows import LIVE, TALKING, CallRow, Sound

WINDOW_S: Final = 900
STEP_S: Final = 10
"""The precision with which the window ends."""
COUNTRIES_MAX: Final = 30
"""Countries that are shown: those with the most attempts."""
COUNTRIES_KEPT_MAX: Final = 300
"""There are fewer; further ones are somebody's invention."""
PREFIXES_MAX: Final = 30
"""Prefixes that are shown, of all countries together: those with the most attempts. All others
count only in the figures of their country."""
PREFIXES_KEPT_MAX: Final = 1000
"""Further ones count only in the figures of their country, until another has expired."""
DURATIONS_S: Final = (10, 30, 60, 180, 600, 1800, 3600)
"""Bounds of the counts of live calls by their length; one more count is above the last."""
SPOKEN_DBOV: Final = -45
"""Level from which somebody speaks: a room is quieter (ITU-T P.56 has speech some 20 dB above)."""
NO_NETWORK: Final = frozenset(
    {
        Cause.NORMAL_CIRCUIT_CONGESTION,
        Cause.NETWORK_OUT_OF_ORDER,
        Cause.SWITCH_CONGESTION,
        Cause.RECOVERY_ON_TIMER_EXPIRE,
        Cause.GATEWAY_DOWN,
    }
)
"""Causes of calls that found no phone network, whatever their destination."""
_PDD_STEP_MS: Final = 250
_PDD_STEPS_MAX: Final = 240
"""A minute: longer than any phone rings before the carrier reports it."""
_RTT_STEPS_MAX: Final = 2000

_Prefix = tuple[str, str]
"""Country and prefix: +1 alone has the same price in two dozen countries."""
_Key = TypeVar("_Key", str, _Prefix)
_Live = tuple[int, int, int, float]
"""Running calls, answered ones, those with a MOS, and the sum of it."""
_NOBODY: Final[_Live] = 0, 0, 0, 0.0


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Some calls: running ones, and those that ended within the window."""

    calls: int
    attempts: int
    asr_percent: float | None
    pdd_ms: int | None
    mos: float | None
    failed: int
    """Attempts that were neither answered nor ended by their caller."""


class PrefixRow(Health, frozen=True, kw_only=True):
    """Calls to one country that one prefix of the rate deck prices."""

    prefix: str
    """With its plus sign."""


class CountryRow(Health, frozen=True, kw_only=True):
    """Calls to one country."""

    country: str
    prefixes: tuple[PrefixRow, ...] = ()
    """Those of its prefixes that are shown, the ones with the most attempts first."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """All calls of an audience in figures; None where there is nothing to measure."""

    calls: int
    by_state: dict[str, int]
    begun_per_minute: int
    spend_micros_per_minute: dict[str, int]
    """By currency, of running calls."""
    asr_percent: float | None
    acd_s: float | None
    pdd_ms: int | None
    """Median."""
    rtt_p95_ms: int | None
    mos: float | None
    talk_percent: float | None
    """Share of the seconds of calls in which either side spoke."""
    durations: tuple[int, ...]
    countries: tuple[CountryRow, ...]


class LastMinute(NamedTuple):
    """Attempts that ended within it."""

    attempts: int = 0
    without_network: int = 0
    """Those that found no phone network."""


class _Ended:
    """Attempts of one step of the window: of all countries, one country, or a prefix."""

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
        # Counts that have dropped to zero are removed.
        self.pdd -= other.pdd

    def asr_percent(self, on: int) -> float | None:
        """Return the share that was answered, including `on` calls still in progress."""
        attempts = self.attempts + on
        return round(100 * (self.answered + on) / attempts, 1) if attempts else None

    @property
    def acd_s(self) -> float | None:
        return round(self.seconds / self.answered, 1) if self.answered else None

    @property
    def pdd_ms(self) -> int | None:
        step = _quantile(self.pdd, 0.5)
        return None if step is None else step * _PDD_STEP_MS + _PDD_STEP_MS // 2


class _Step:
    """What happened within `STEP_S`."""

    __slots__ = ("begun", "countries", "ended", "number", "prefixes", "seconds", "spoken")

    def __init__(self, number: int) -> None:
        self.number = number
        self.begun = self.seconds = self.spoken = 0
        self.ended = LastMinute()
        self.countries: dict[str, _Ended] = {}
        self.prefixes: dict[_Prefix, _Ended] = {}


class Window:
    """The last quarter of an hour of an audience."""

    def __init__(self) -> None:
        self._steps: deque[_Step] = deque()
        # Updated as calls end and steps expire: adding up a thousand steps of countries at each
        # look would delay the calls of the same process.
        self._ended = _Ended()
        self._countries: dict[str, _Ended] = {}
        self._prefixes: dict[_Prefix, _Ended] = {}

    def begun(self, now_ns: int) -> None:
        """Count a call that was not known before."""
        self._step(now_ns).begun += 1

    def ended(self, row: CallRow, now_ns: int) -> None:
        """Count a call that has ended."""
        step, country = self._step(now_ns), row.country
        attempts, without_network = step.ended
        finds_none = row.answered_at is None and row.cause in NO_NETWORK
        step.ended = LastMinute(attempts + 1, without_network + finds_none)
        if country not in self._countries and len(self._countries) >= COUNTRIES_KEPT_MAX:
            return
        self._ended.add(row)
        for countries in (self._countries, step.countries):
            countries.setdefault(country, _Ended()).add(row)
        prefix = country, row.prefix
        is_known = prefix in self._prefixes
        if row.prefix and (is_known or len(self._prefixes) < PREFIXES_KEPT_MAX):
            for prefixes in (self._prefixes, step.prefixes):
                prefixes.setdefault(prefix, _Ended()).add(row)

    def heard(self, sound: Sound, now_ns: int) -> None:
        """Count a second of a call in which people talk, or could."""
        step = self._step(now_ns)
        step.seconds += 1
        step.spoken += max(sound.caller_dbov, sound.phone_dbov) >= SPOKEN_DBOV

    def last_minute(self, now_ns: int) -> LastMinute:
        """Return how calls have ended within the last minute, to the step."""
        ended = [step.ended for step in self._of_late(now_ns)]
        return LastMinute(
            sum(each.attempts for each in ended), sum(each.without_network for each in ended)
        )

    def sum_up(self, live: LiveSums, now_ns: int) -> Totals:
        """Return the totals, including these sums of live calls."""
        self._expire(now_ns // (STEP_S * SECOND_NS))
        ended = self._ended
        seconds = sum(step.seconds for step in self._steps)
        spoken = sum(step.spoken for step in self._steps)
        return Totals(
            calls=live.calls,
            by_state=dict(live.by_state),
            begun_per_minute=sum(step.begun for step in self._of_late(now_ns)),
            spend_micros_per_minute=dict(live.spend),
            asr_percent=ended.asr_percent(sum(live.by_state[state] for state in TALKING)),
            acd_s=ended.acd_s,
            pdd_ms=ended.pdd_ms,
            rtt_p95_ms=_quantile(live.rtt, 0.95),
            mos=_mean(*live.mos),
            talk_percent=round(100 * spoken / seconds, 1) if seconds else None,
            durations=tuple(live.durations),
            countries=_countries(self._countries, self._prefixes, live),
        )

    def _of_late(self, now_ns: int) -> Iterator[_Step]:
        """Yield the steps of the last minute."""
        last = now_ns // (STEP_S * SECOND_NS) - 60 // STEP_S
        return (step for step in self._steps if step.number > last)

    def _step(self, now_ns: int) -> _Step:
        number = now_ns // (STEP_S * SECOND_NS)
        if not self._steps or self._steps[-1].number < number:
            self._steps.append(_Step(number))
            self._expire(number)
        return self._steps[-1]

    def _expire(self, number: int) -> None:
        while self._steps and self._steps[0].number <= number - WINDOW_S // STEP_S:
            step = self._steps.popleft()
            for each in step.countries.values():
                self._ended.take_out(each)
            _take_out(self._countries, step.countries)
            _take_out(self._prefixes, step.prefixes)


class LiveSums:
    """Sums of live calls, which may be thousands: added a few at a time."""

    def __init__(self) -> None:
        self.calls = self.silent = 0
        """`silent` are those in which one side should be heard and is not."""
        self.by_state: Counter[str] = Counter()
        self.spend: Counter[str] = Counter()
        self.rtt: Counter[int] = Counter()
        self.mos = (0, 0.0)
        self.durations = [0] * (len(DURATIONS_S) + 1)
        self.countries: dict[str, _Live] = {}
        self.prefixes: dict[_Prefix, _Live] = {}

    def add(self, rows: Iterable[CallRow], at: datetime) -> None:
        """Add live calls; others are skipped."""
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
            if row.mos is not None:
                self.mos = self.mos[0] + 1, self.mos[1] + row.mos
            _count(self.countries, row.country, row)
            if row.prefix:
                _count(self.prefixes, (row.country, row.prefix), row)


def _take_out(all_of: dict[_Key, _Ended], lapsed: Mapping[_Key, _Ended]) -> None:
    for key, each in lapsed.items():
        all_of[key].take_out(each)
        if not all_of[key].attempts:
            del all_of[key]


def _count(found: dict[_Key, _Live], key: _Key, row: CallRow) -> None:
    calls, on, rated, total = found.get(key, _NOBODY)
    on += row.state in TALKING
    rated, total = (rated, total) if row.mos is None else (rated + 1, total + row.mos)
    found[key] = calls + 1, on, rated, total


def _countries(
    countries: Mapping[str, _Ended], prefixes: Mapping[_Prefix, _Ended], live: LiveSums
) -> tuple[CountryRow, ...]:
    shown = _busiest(countries, live.countries, COUNTRIES_MAX)
    parts: dict[str, list[PrefixRow]] = {country: [] for country in shown}
    for country, prefix in _busiest(prefixes, live.prefixes, PREFIXES_MAX, parts):
        key = country, prefix
        parts[country].append(PrefixRow(prefix=prefix, **_health(key, prefixes, live.prefixes)))
    return tuple(
        CountryRow(
            country=country,
            prefixes=tuple(parts[country]),
            **_health(country, countries, live.countries),
        )
        for country in shown
    )


def _busiest(
    past: Mapping[_Key, _Ended],
    live: Mapping[_Key, _Live],
    count: int,
    within: Container[str] | None = None,
) -> list[_Key]:
    """Return those with the most attempts, including running calls; only of these countries."""
    # Negative, so that equal ones are ordered by name.
    weighed = [(-each.attempts - live.get(key, _NOBODY)[0], key) for key, each in past.items()]
    weighed += [(-each[0], key) for key, each in live.items() if key not in past]
    if within is not None:
        weighed = [each for each in weighed if each[1][0] in within]
    return [key for _, key in nsmallest(count, weighed)]


def _health(key: _Key, past: Mapping[_Key, _Ended], live: Mapping[_Key, _Live]) -> dict[str, Any]:
    ended = past.get(key) or _Ended()
    calls, on, rated, mos = live.get(key, _NOBODY)
    return {
        "calls": calls,
        "attempts": ended.attempts,
        "asr_percent": ended.asr_percent(on),
        "pdd_ms": ended.pdd_ms,
        "mos": _mean(rated, mos),
        "failed": ended.failed,
    }


def _mean(count: int, total: float) -> float | None:
    return round(total / count, 2) if count else None


def _quantile(counts: Counter[int], share: float) -> int | None:
    """Return the least value that this share of all does not exceed; None for no values."""
    left = share * sum(counts.values())
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return None
