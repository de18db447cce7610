"""Reports a run: one line per sample, the table, the limits, the line of history.

Pure except for the history file. Knows results, not how they were measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bridge import Results, Sample

OURS = "gateway"
FLOOR = "haproxy"
PLAIN = "starlette"

HAPROXY_RATIO_MAX = 1.6
"""At 400 calls: what WebSockets, talk detection and metering may cost beside a byte relay."""
STARLETTE_RATIO_MAX = 1 / 2.5
CALLS_HELD_MIN = 550
P99_US_MAX_AT_200 = 1_000
RESIDENT_KB_MAX = 24
REQUEST_RATIO_MAX = 2
"""A request with 200 calls, in what it takes with hardly any."""
_LATENCY_LOAD = 200
_CPU_LOAD = 400


@dataclass(frozen=True, slots=True)
class Row:
    """One server at one load: medians over the rounds, those that were not disturbed if any."""

    peer: str
    calls: int
    cpu_ms: float
    ratio: float | None
    """To HAProxy's CPU at the same load in the same round; None where it was not measured."""
    p50_us: float
    p99_us: float
    core_share: float
    resident_kb: float
    beside_ms: Mapping[str, float]
    """CPU of the server's other parts."""
    request_ms: float | None
    """A request beside the calls; None for a server that takes none."""
    request_ratio: float | None
    disturbed: bool
    """In every round, so that the figures say more of the machine than of the server."""
    held: bool
    """In every round."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A promised figure."""

    text: str
    value: float
    most: float
    disturbed: bool = False
    """Measured only while the machine was busy with other work."""

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return self.value <= self.most


def _ratios(samples: Sequence[Sample], results: Results) -> Iterator[float]:
    for sample in samples:
        for floor in results.samples:
            # Of the same round: both met the same minutes of the machine.
            if (floor.peer, floor.round, floor.calls) == (FLOOR, sample.round, sample.calls):
                yield sample.cpu_ms[sample.peer] / floor.cpu_ms[FLOOR]


def rows(results: Results) -> list[Row]:
    """Sum the samples up, by load and then by server, in the order of measurement."""
    measured = [sample for sample in results.samples if sample.seen is not None]
    keys = dict.fromkeys((sample.calls, sample.peer) for sample in measured)
    return [
        _row([s for s in measured if (s.calls, s.peer) == key], results)
        for key in sorted(keys, key=lambda key: key[0])
    ]


def _row(every: Sequence[Sample], results: Results) -> Row:
    first = every[0]
    # Disturbed windows count only where there is nothing else.
    samples = [sample for sample in every if not sample.disturbed] or every
    ratios = list(_ratios(samples, results))
    requests_ms = [sample.request_ms for sample in samples if sample.request_ms is not None]
    request_ratios = [s.request_ratio for s in samples if s.request_ratio is not None]
    seen = [sample.seen for sample in samples if sample.seen is not None]
    return Row(
        peer=first.peer,
        calls=first.calls,
        cpu_ms=median(sample.cpu_ms[first.peer] for sample in samples),
        ratio=median(ratios) if ratios else None,
        p50_us=median(one.p50_us for one in seen),
        p99_us=median(one.p99_us for one in seen),
        core_share=median(sample.core_share for sample in samples),
        resident_kb=median(sample.resident_bytes for sample in samples) / 1024,
        beside_ms={
            part: median(sample.cpu_ms[part] for sample in samples)
            for part in first.cpu_ms
            if part != first.peer
        },
        request_ms=median(requests_ms) if requests_ms else None,
        request_ratio=median(request_ratios) if request_ratios else None,
        disturbed=first.disturbed and samples is every,
        # In each window: a server that loses frames now and then does not hold the load.
        held=all(sample.held for sample in every),
    )


def sample_line(sample: Sample) -> str:
    """Return one sample as a line of progress."""
    head = f"round {sample.round}  {sample.peer:<10}{sample.calls:>6} calls"
    # Calls did not come up: there is no window to tell of.
    if sample.seen is None:
        return f"{head}  {sample.trouble}"
    line = (
        f"{head}{sample.cpu_ms[sample.peer]:>7.2f} ms  p50{sample.seen.p50_us:>7.0f}"
        f"  p99{sample.seen.p99_us:>8.0f} µs  core{sample.core_share:>5.0%}"
    )
    if sample.disturbed:
        line += (
            f"  (disturbed: generator late by p99 {sample.seen.late_p99_us / 1000:.1f} ms, "
            f"at most {sample.seen.late_max_us / 1000:.1f} ms, "
            f"others on the core {sample.foreign_share:.0%})"
        )
    return line if sample.held else f"{line}  NOT HELD: {sample.trouble}"


def table(results: Results) -> str:
    """Return the result as a table."""
    lines = [
        f"{'':<11}{'calls':>6}{'CPU ms per':>12}{'times':>9}{'added':>9}{'latency':>9}"
        f"{'one':>6}{'RSS KB':>9}{'held up':>9}",
        f"{'':<11}{'':>6}{'call-second':>12}{'HAProxy':>9}{'p50 µs':>9}{'p99 µs':>9}"
        f"{'core':>6}{'per call':>9}{'to calls':>9}",
    ]
    calls = None
    for row in rows(results):
        if calls not in (None, row.calls):
            lines.append("")
        calls = row.calls
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        held = results.calls_held.get(row.peer, 0)
        lines.append(
            f"{row.peer:<11}{row.calls:>6}{row.cpu_ms:>12.2f}{ratio:>9}{row.p50_us:>9.0f}"
            f"{row.p99_us:>9.0f}{row.core_share:>6.0%}{row.resident_kb:>9.1f}{held:>9}"
            + ("" if row.held else "  not held")
            + ("  disturbed" if row.disturbed else "")
        )
        if row.beside_ms:
            beside = ", ".join(f"{part} {ms:.3f}" for part, ms in row.beside_ms.items())
            lines.append(f"{'':<11}beside it, ms per call-second: {beside}")
        if row.request_ms is not None:
            lines.append(f"{'':<11}a request to its API meanwhile: {row.request_ms:.1f} ms")
    return "\n".join(lines)


def limits(results: Results) -> list[Limit]:
    """Return the promises that this run can judge."""
    by_key = {(row.peer, row.calls): row for row in rows(results)}
    found = []
    at_cpu_load = by_key.get((OURS, _CPU_LOAD))
    if at_cpu_load is not None and at_cpu_load.ratio is not None:
        text = f"CPU at {_CPU_LOAD} calls, in HAProxy's"
        disturbed = at_cpu_load.disturbed
        found.append(Limit(text, at_cpu_load.ratio, HAPROXY_RATIO_MAX, disturbed))
    ours, plain = by_key.get((OURS, _LATENCY_LOAD)), by_key.get((PLAIN, _LATENCY_LOAD))
    if ours is not None and plain is not None:
        text = f"CPU at {_LATENCY_LOAD} calls, in the Starlette relay's"
        ratio, disturbed = ours.cpu_ms / plain.cpu_ms, ours.disturbed or plain.disturbed
        found.append(Limit(text, ratio, STARLETTE_RATIO_MAX, disturbed))
    if ours is not None:
        text = f"added latency at {_LATENCY_LOAD} calls, p99 µs"
        found.append(Limit(text, ours.p99_us, P99_US_MAX_AT_200, ours.disturbed))
        if ours.request_ratio is not None:
            text = f"a request at {_LATENCY_LOAD} calls, in an idle node's"
            found.append(Limit(text, ours.request_ratio, REQUEST_RATIO_MAX, ours.disturbed))
    largest = max((row for row in by_key.values() if row.peer == OURS), key=_calls, default=None)
    if largest is not None:
        text = f"RSS KB per call at {largest.calls} calls"
        # Memory does not depend on who else runs, so that this one is never unsure.
        found.append(Limit(text, largest.resident_kb, RESIDENT_KB_MAX))
    steps = [sample for sample in results.ladder if sample.peer == OURS]
    if steps:
        text = f"calls held on one core, short of {CALLS_HELD_MIN}"
        # As a shortfall, for a limit is a maximum and this promise is a minimum.
        short = CALLS_HELD_MIN - results.calls_held[OURS]
        found.append(Limit(text, max(0, short), 0, steps[-1].disturbed))
    return found


def _calls(row: Row) -> int:
    return row.calls


def limit_line(limit: Limit) -> str:
    """Return a promise and what became of it; unsure where the machine may be the cause."""
    # A miss in a disturbed run accuses nobody; a promise that is kept all the same is kept.
    missed = "unsure" if limit.disturbed else "MISSED"
    verdict = "kept" if limit.kept else missed
    return f"{verdict:<8}{limit.text}: {limit.value:.2f} (at most {limit.most:.2f})"


def faulty(results: Results) -> list[Sample]:
    """Return our samples, at the loads compared, in which a listener would have heard a fault."""
    return [s for s in results.samples if s.peer == OURS and s.faulty]


def history_record(results: Results, context: Mapping[str, object]) -> dict[str, object]:
    """Return one run as JSON; `context` says when, where and of which version it was."""
    peers: dict[str, dict[str, object]] = {}
    for row in rows(results):
        peer = peers.setdefault(
            row.peer, {"calls_held": results.calls_held.get(row.peer, 0), "loads": {}}
        )
        loads = peer["loads"]
        assert isinstance(loads, dict)
        loads[str(row.calls)] = {
            "cpu_ms": round(row.cpu_ms, 3),
            "haproxy_ratio": None if row.ratio is None else round(row.ratio, 3),
            "p50_us": round(row.p50_us),
            "p99_us": round(row.p99_us),
            "rss_kb": round(row.resident_kb, 1),
            "held": row.held,
            "disturbed": row.disturbed,
            "request_ms": None if row.request_ms is None else round(row.request_ms, 2),
            **{f"{part}_ms": round(ms, 4) for part, ms in row.beside_ms.items()},
        }
    return {**context, "generator_calls": results.ceiling_calls, "peers": peers}


def read_history(path: Path) -> list[dict[str, Any]]:
    """Return the runs that the history holds, oldest first; none where there is no file yet."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def append_history(path: Path, record: Mapping[str, object]) -> None:
    """Add one line to the history."""
    with path.open("a", encoding="utf-8") as file:
        # One line for each run: what was measured before is never rewritten.
        file.write(json.dumps(record, separators=(",", ":")) + "\n")
