"""Says where a run is worse than what runs before it have shown can be had.

Only what other machines and other hours hardly change is judged: CPU in that of a peer of the same
run, and memory. Pure: knows lines of history, not how they were measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

IN_A_ROW: Final = 3
"""Runs whose median counts: one alone may have met a good or a bad minute."""
WORSE_MAX: Final = 1.1
"""Of the best median; two runs of one build differ by as much."""

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Judged:
    """A figure of a run, and the best that it has been."""

    what: str
    value: float
    recent: float
    """Median of this run and those before it."""
    best: float
    """The lowest median of runs in a row, this one left out."""

    @property
    def is_worse(self) -> bool:
        """Whether this run says so, and those before it do not call that chance."""
        return min(self.value, self.recent) > WORSE_MAX * self.best

    def line(self) -> str:
        """Return it as a line for people."""
        verdict = "WORSE" if self.is_worse else "kept"
        most = WORSE_MAX * self.best
        return (
            f"{verdict:<8}{self.what}: {self.value:.3g}, lately {self.recent:.3g} "
            f"(best {self.best:.3g}, at most {most:.3g})"
        )


def judge(past: Sequence[Mapping[str, Any]], run: Mapping[str, Any]) -> list[Judged]:
    """Return the figures of a run beside those of runs before it, oldest first.

    Only runs of the same build of the gateway on the same Python count; a figure that was measured
    less than three times is not judged.
    """
    alike = [each for each in past if _kind(each) == _kind(run)]
    known = [figures(each) for each in alike]
    found = []
    for what, value in figures(run).items():
        before = [each[what] for each in known if what in each]
        if len(before) >= IN_A_ROW:
            recent = median([*before[1 - IN_A_ROW :], value])
            found.append(Judged(what, value, recent, min(_medians(before))))
    return found


def figures(run: Mapping[str, Any]) -> Figures:
    """Return what is judged of a line of history, by its name; the lower the better."""
    return dict(_figures(run))


def _figures(run: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    peers = run.get("peers", {})
    floors = peers.get("haproxy", {}).get("loads", {})
    for calls, load in peers.get("gateway", {}).get("loads", {}).items():
        # Of a run that other work disturbed only memory is worth anything.
        is_calm = not (load["disturbed"] or floors.get(calls, load)["disturbed"])
        if is_calm and load["haproxy_ratio"] is not None:
            yield f"CPU at {calls} calls, in HAProxy's", load["haproxy_ratio"]
        yield f"RSS KB per call at {calls} calls", load["rss_kb"]
    webrtc = run.get("webrtc", {})
    servers = webrtc.get("servers", ())
    ratio = webrtc.get("aiortc_ratio")
    if ratio is not None and not any(server["disturbed"] for server in servers):
        yield "CPU of WebRTC, in aiortc's", ratio
    for server in servers:
        if server["server"] == "gateway":
            yield f"RSS KB per call at {server['calls']} calls by WebRTC", server["resident_kb"]


def _kind(run: Mapping[str, Any]) -> tuple[str, ...]:
    python = str(run.get("python", ""))
    return str(run.get("build", "interpreted")), *python.split(".")[:2]


def _medians(values: Sequence[float]) -> Iterator[float]:
    for end in range(IN_A_ROW, len(values) + 1):
        yield median(values[end - IN_A_ROW : end])
