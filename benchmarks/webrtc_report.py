"""Reports a run of the WebRTC benchmark: its samples, the table, the limits, the history.

Pure. Knows results, not how they were measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from rich.table import Table

from benchmarks.browsers import Heard, Pace
from benchmarks.limits import FOREIGN_SHARE_MAX, LATE_P99_US_MAX, P99_US_MAX
from benchmarks.report import Limit

AIORTC, GATEWAY = "aiortc", "gateway"

LOAD = 200
"""Calls at which the gateway is judged."""
CPU_MS_MAX = 2.0
"""Per call and second."""
RESIDENT_KB_MAX = 30
AIORTC_RATIO_MAX = 1 / 10
CONNECT_MS_MAX = 100
UPLINK_P99_US_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One server at one load."""

    server: str
    round: int
    """Counted from 1."""
    calls: int
    cpu_ms: float
    """CPU milliseconds per call and second."""
    core_share: float
    foreign_share: float
    """Share of the server's core that other processes used."""
    resident_kb: float
    """Growth of the server, per call."""
    connect_ms: tuple[float, ...]
    """From a browser's offer to its keys, of each call that is up."""
    uplink: Heard
    """What browsers said, and phones heard."""
    downlink: Heard
    """What phones said, and browsers heard."""
    pace: Pace
    dropped: int
    """Datagrams that the kernel dropped at the server's sockets during the window."""
    closed: int = 0
    """Control sockets that the server ended."""

    @property
    def faults(self) -> dict[str, int]:
        """Everything that was wrong with the audio, with its count."""
        found = dict(self.uplink.tally.faults)
        for name, count in self.downlink.tally.faults.items():
            found[name] = found.get(name, 0) + count
        # Dropped by the kernel, before the server could see them: a fault all the same.
        found |= {"dropped": self.dropped} if self.dropped else {}
        return found | ({"sockets closed": self.closed} if self.closed else {})

    @property
    def held(self) -> bool:
        """Whether every packet arrived, unchanged, once, in order and before the next was due."""
        return not self.faults and self.uplink.p99_us <= P99_US_MAX

    @property
    def disturbed(self) -> bool:
        """Whether other work on this machine delayed the generator or the server."""
        late = self.pace.late_p99_us > LATE_P99_US_MAX
        return late or self.foreign_share > FOREIGN_SHARE_MAX


@dataclass(slots=True)
class Results:
    """Everything measured in a run."""

    samples: list[Sample] = field(default_factory=list)
    ceiling_calls: int = 0
    """What the generator alone can pace, its browsers joined to each other."""

    def of(self, server: str, calls: int | None = None) -> list[Sample]:
        """Return the samples of a server, those that were not disturbed if any."""
        every = [s for s in self.samples if s.server == server and calls in (None, s.calls)]
        # Disturbed windows count only where there is nothing else.
        return [s for s in every if not s.disturbed] or every

    @property
    def ratios(self) -> list[float]:
        """The gateway's CPU in aiortc's, of each round."""
        theirs = {s.round: s.cpu_ms for s in self.of(AIORTC)}
        # Within a round: both met the same minutes of the machine.
        return [s.cpu_ms / theirs[s.round] for s in self.of(GATEWAY, LOAD) if s.round in theirs]


def sample_line(sample: Sample) -> str:
    """Return one sample as a line of progress."""
    line = (
        f"round {sample.round}  {sample.server:<10}{sample.calls:>6} calls{sample.cpu_ms:>7.2f} ms"
        f"  p99{sample.uplink.p99_us:>8.0f} µs  core{sample.core_share:>5.0%}"
        f"  {sample.resident_kb:.0f} KB"
    )
    if sample.disturbed:
        line += (
            f"  (disturbed: generator late by p99 {sample.pace.late_p99_us / 1000:.1f} ms, "
            f"others on the core {sample.foreign_share:.0%})"
        )
    faults = ", ".join(f"{count} {name}" for name, count in sample.faults.items())
    return f"{line}  {faults}".rstrip()


@dataclass(frozen=True, slots=True)
class Row:
    """One server at one load: medians over its samples."""

    server: str
    calls: int
    cpu_ms: float
    connect_p50_ms: float
    connect_p99_ms: float
    uplink_p50_us: float
    uplink_p99_us: float
    downlink_p99_us: float
    core_share: float
    resident_kb: float
    lost: int
    altered: int
    """Pieces that a playout made up or changed, or damage."""
    dropped: int
    disturbed: bool


def rows(results: Results) -> list[Row]:
    """Sum the samples up, in the order of measurement."""
    keys = dict.fromkeys((s.server, s.calls) for s in results.samples)
    return [_row(results.of(*key)) for key in keys]


def _row(samples: Sequence[Sample]) -> Row:
    connect_ms = sorted(ms for s in samples for ms in s.connect_ms)
    tallies = [heard.tally for s in samples for heard in (s.uplink, s.downlink)]
    return Row(
        server=samples[0].server,
        calls=samples[0].calls,
        cpu_ms=statistics.median(s.cpu_ms for s in samples),
        connect_p50_ms=statistics.median(connect_ms),
        connect_p99_ms=connect_ms[len(connect_ms) * 99 // 100],
        uplink_p50_us=statistics.median(s.uplink.p50_us for s in samples),
        uplink_p99_us=statistics.median(s.uplink.p99_us for s in samples),
        downlink_p99_us=statistics.median(s.downlink.p99_us for s in samples),
        core_share=statistics.median(s.core_share for s in samples),
        resident_kb=statistics.median(s.resident_kb for s in samples),
        lost=sum(tally.lost for tally in tallies),
        altered=sum(tally.altered for tally in tallies),
        dropped=sum(s.dropped for s in samples),
        disturbed=all(s.disturbed for s in samples),
    )


def table(results: Results) -> Table:
    """Return the result as a table."""
    found = Table(
        "server",
        "calls",
        "CPU ms",
        "connect ms",
        "p99",
        "up µs",
        "p99",
        "down p99",
        "core",
        "RSS KB",
        "lost",
        "altered",
        title="Whole calls by WebRTC: 50 packets a second each way (CPU per call-second)",
        caption="* measured while other work kept the machine busy",
    )
    for row in rows(results):
        found.add_row(
            row.server + (" *" if row.disturbed else ""),
            f"{row.calls}",
            f"{row.cpu_ms:.2f}",
            f"{row.connect_p50_ms:.0f}",
            f"{row.connect_p99_ms:.0f}",
            f"{row.uplink_p50_us:.0f}",
            f"{row.uplink_p99_us:.0f}",
            f"{row.downlink_p99_us:.0f}",
            f"{row.core_share:.0%}",
            f"{row.resident_kb:.0f}",
            f"{row.lost}",
            f"{row.altered}",
        )
    return found


def limits(results: Results) -> list[Limit]:
    """Return the promises that this run can judge."""
    by_key = {(row.server, row.calls): row for row in rows(results)}
    ours = by_key.get((GATEWAY, LOAD))
    if ours is None:
        return []
    at, disturbed = f"at {LOAD} WebRTC calls", ours.disturbed
    found = [
        Limit(f"CPU ms per call-second {at}", ours.cpu_ms, CPU_MS_MAX, disturbed),
        # Memory does not depend on who else runs, so that this one is never unsure.
        Limit(f"RSS KB per call {at}", ours.resident_kb, RESIDENT_KB_MAX),
        Limit(f"connect {at}, p99 ms", ours.connect_p99_ms, CONNECT_MS_MAX, disturbed),
        Limit(f"browser to carrier {at}, p99 µs", ours.uplink_p99_us, UPLINK_P99_US_MAX, disturbed),
        Limit(f"packets lost or dropped {at}", ours.lost + ours.dropped, 0, disturbed),
        Limit(f"frames altered {at}", ours.altered, 0, disturbed),
    ]
    theirs = next((row for row in by_key.values() if row.server == AIORTC), None)
    if theirs is not None and results.ratios:
        ratio = statistics.median(results.ratios)
        text = f"CPU per call-second {at}, in the aiortc relay's at {theirs.calls}"
        found.append(Limit(text, ratio, AIORTC_RATIO_MAX, disturbed or theirs.disturbed))
    return found


def faulty(results: Results) -> list[Sample]:
    """Return the gateway's samples in which a listener would have heard a fault."""
    # A disturbed window accuses nobody.
    return [s for s in results.samples if s.server == GATEWAY and s.faults and not s.disturbed]


def history_record(results: Results) -> dict[str, object]:
    """Return one run as it is kept in the history."""
    return {
        "generator_calls": results.ceiling_calls,
        "aiortc_ratio": round(statistics.median(results.ratios), 4) if results.ratios else None,
        "servers": [
            {
                name: round(value, 2) if isinstance(value, float) else value
                for name, value in asdict(row).items()
            }
            for row in rows(results)
        ],
    }
