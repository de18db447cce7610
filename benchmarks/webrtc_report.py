"""What a run of the WebRTC benchmark found: its samples, the table, the limits, the history.

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

LEG, AIORTC_PCMU, AIORTC_OPUS, GATEWAY = "leg", "aiortc PCMU", "aiortc Opus", "gateway"

AIORTC_RATIO_MAX = 1 / 15
CALLS_HELD_MIN = 500
CONNECT_MS_MAX = 100
UPLINK_P99_US_MAX = 2_000
RATIO_LOAD = 300
"""Where the leg, as aiortc at its own load, uses a third of a core or so."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One server at one load."""

    server: str
    round: int
    """Counted from 1; 0 on the ladder."""
    calls: int
    cpu_ms: float
    """CPU milliseconds per call and second."""
    core_share: float
    foreign_share: float
    """Of the server's core, used by whoever else runs on this machine."""
    resident_kb: float
    """Growth of the server, per call."""
    connect_ms: tuple[float, ...]
    """From a browser's offer to its keys, of each call that is up."""
    uplink: Heard
    """What browsers said; heard by themselves again, or by the phone."""
    downlink: Heard | None
    """What the phone said."""
    pace: Pace
    dropped: int
    """Datagrams that the kernel dropped at the server's sockets during the window."""
    closed: int = 0
    """Control sockets that the server ended."""

    @property
    def faults(self) -> dict[str, int]:
        """Everything that was wrong with the audio, with its count."""
        found = dict(self.uplink.tally.faults)
        for name, count in ({} if self.downlink is None else self.downlink.tally.faults).items():
            found[name] = found.get(name, 0) + count
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
    ladder: list[Sample] = field(default_factory=list)
    ceiling_calls: int = 0
    """What the generator alone can pace, its browsers joined to each other."""

    def of(self, server: str, calls: int | None = None) -> list[Sample]:
        """Return the samples of a server, those that were not disturbed if any."""
        every = [s for s in self.samples if s.server == server and calls in (None, s.calls)]
        return [s for s in every if not s.disturbed] or every

    @property
    def calls_held(self) -> int:
        """The highest load that the leg held whenever the machine let it."""
        held = [s.calls for s in (*self.samples, *self.ladder) if s.server == LEG and s.held]
        return max(held, default=0)

    @property
    def ratios(self) -> list[float]:
        """The leg's CPU in aiortc's with PCMU, of each round."""
        ours = self.of(LEG, RATIO_LOAD)
        theirs = {s.round: s.cpu_ms for s in self.of(AIORTC_PCMU)}
        return [s.cpu_ms / theirs[s.round] for s in ours if s.round in theirs]


def sample_line(sample: Sample) -> str:
    """Return one sample as a line of progress."""
    stage = f"round {sample.round}" if sample.round else "ladder "
    line = (
        f"{stage}  {sample.server:<12}{sample.calls:>5} calls{sample.cpu_ms:>7.2f} ms"
        f"  p99{sample.uplink.p99_us:>8.0f} µs  core{sample.core_share:>5.0%}"
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
    uplink_p50_us: float | None
    uplink_p99_us: float | None
    downlink_p99_us: float | None
    core_share: float
    resident_kb: float
    lost: int
    dropped: int
    disturbed: bool


def rows(results: Results) -> list[Row]:
    """Sum the samples up, in the order of measurement."""
    keys = dict.fromkeys((s.server, s.calls) for s in results.samples)
    return [_row(results.of(*key)) for key in keys]


def _row(samples: Sequence[Sample]) -> Row:
    connect_ms = sorted(ms for s in samples for ms in s.connect_ms)
    down = [s.downlink.p99_us for s in samples if s.downlink is not None]
    up = [s.uplink for s in samples if s.uplink.max_us < float("inf")]
    return Row(
        server=samples[0].server,
        calls=samples[0].calls,
        cpu_ms=statistics.median(s.cpu_ms for s in samples),
        connect_p50_ms=statistics.median(connect_ms),
        connect_p99_ms=connect_ms[len(connect_ms) * 99 // 100],
        uplink_p50_us=statistics.median(heard.p50_us for heard in up) if up else None,
        uplink_p99_us=statistics.median(heard.p99_us for heard in up) if up else None,
        downlink_p99_us=statistics.median(down) if down else None,
        core_share=statistics.median(s.core_share for s in samples),
        resident_kb=statistics.median(s.resident_kb for s in samples),
        lost=sum(s.uplink.tally.lost for s in samples),
        dropped=sum(s.dropped for s in samples),
        disturbed=all(s.disturbed for s in samples),
    )


def table(results: Results) -> Table:
    """Return the result as a table."""
    found = Table(
        *("server", "calls", "CPU ms", "connect ms", "p99", "up µs", "p99"),
        *("down p99", "core", "RSS KB", "lost"),
        title="WebRTC, per call: 50 packets a second each way (CPU per call-second)",
        caption="* measured while other work kept the machine busy",
    )
    for row in rows(results):
        found.add_row(
            row.server + (" *" if row.disturbed else ""),
            *(f"{row.calls}", f"{row.cpu_ms:.2f}"),
            *(_number(row.connect_p50_ms), _number(row.connect_p99_ms)),
            *(_number(row.uplink_p50_us), _number(row.uplink_p99_us)),
            *(_number(row.downlink_p99_us), f"{row.core_share:.0%}", f"{row.resident_kb:.0f}"),
            f"{row.lost}",
        )
    return found


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def limits(results: Results) -> list[Limit]:
    """Return the promises that this run can judge."""
    by_key = {(row.server, row.calls): row for row in rows(results)}
    found = []
    ours = by_key.get((LEG, RATIO_LOAD))
    theirs = next((row for row in by_key.values() if row.server == AIORTC_PCMU), None)
    if ours is not None and theirs is not None and results.ratios:
        text = f"CPU of the leg at {RATIO_LOAD} calls, in aiortc's with PCMU"
        disturbed = ours.disturbed or theirs.disturbed
        ratio = statistics.median(results.ratios)
        found.append(Limit(text, ratio, AIORTC_RATIO_MAX, disturbed))
    for row in by_key.values():
        if row.server in {LEG, GATEWAY}:
            text = f"WebRTC connect, {row.server} at {row.calls} calls, p99 ms"
            found.append(Limit(text, row.connect_p99_ms, CONNECT_MS_MAX, row.disturbed))
    gateway = next((row for row in by_key.values() if row.server == GATEWAY), None)
    if gateway is not None and gateway.uplink_p99_us is not None:
        text = f"browser to carrier at {gateway.calls} calls, p99 µs"
        found.append(Limit(text, gateway.uplink_p99_us, UPLINK_P99_US_MAX, gateway.disturbed))
        text = f"packets lost or dropped at {gateway.calls} calls"
        found.append(Limit(text, gateway.lost + gateway.dropped, 0, gateway.disturbed))
    if results.ladder:
        text = f"WebRTC calls held on one core, short of {CALLS_HELD_MIN}"
        short = max(0, CALLS_HELD_MIN - results.calls_held)
        found.append(Limit(text, short, 0, results.ladder[-1].disturbed))
    return found


def broken(results: Results) -> list[Sample]:
    """Return our samples, at the loads compared, in which a listener would have heard a fault."""
    ours = (s for s in results.samples if s.server in {LEG, GATEWAY})
    return [s for s in ours if s.faults and not s.disturbed]


def history_record(results: Results) -> dict[str, object]:
    """Return one run as it is kept in the history."""
    return {
        "calls_held": results.calls_held,
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
