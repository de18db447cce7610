"""Reports the calls of a real browser: the table, the limits, the record of the history. Pure.

Knows figures, not how they were taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median

from rich.table import Table

from benchmarks.report import Limit

WEBRTC, SOCKET, LOSSY = "WebRTC", "WebSocket", "WebRTC, 5 % lost, 5 ms jitter"

LIKENESS_MIN = {WEBRTC: 0.99, SOCKET: 0.99, LOSSY: 0.98}
ECHO_MS_MAX = 100
"""With a frame of the phone's own, and what it has yet to play."""
PESQ_LOSS_MAX = 0.05
"""Below G.711 alone."""
PACKET_MS = 20


@dataclass(frozen=True, slots=True)
class Heard:
    """What the phone heard of one call."""

    path: str
    likeness: float
    """Median of windows of 0.4 s."""
    disturbed: bool


@dataclass(frozen=True, slots=True)
class Echo:
    """What came back of one call, from the microphone to the loudspeaker."""

    delays_ms: Sequence[float]
    """Of windows of 0.4 s."""
    buffer_ms: float
    """Mean time in the browser's jitter buffer."""
    target_ms: float
    """What the browser wanted that to be."""
    backlog_ms: float
    """Audio that waited at the carrier to be played."""
    concealed_ms: float
    disturbed: bool

    @property
    def round_trip_ms(self) -> float:
        """The median over the windows."""
        # No window recognised is worse than any delay: no limit accepts it.
        return median(self.delays_ms) if self.delays_ms else float("inf")

    @property
    def rest_ms(self) -> float:
        """What is in no other part: network, gateway, and the phone's own frame."""
        return self.round_trip_ms - PACKET_MS - self.buffer_ms - self.backlog_ms


@dataclass(frozen=True, slots=True)
class Quality:
    """PESQ-NB of what the phone heard by the socket, and of G.711 alone over the same words."""

    heard: float
    g711: float
    disturbed: bool


@dataclass(slots=True)
class Results:
    """Everything a run has found."""

    heard: list[Heard] = field(default_factory=list)
    echoes: list[Echo] = field(default_factory=list)
    quality: Quality | None = None
    """None where PESQ is not installed."""


def tables(results: Results) -> list[Table]:
    """Return the result as two tables."""
    heard = Table("path", "likeness", title="Speech of a real Chromium, at the phone")
    for one in results.heard:
        heard.add_row(_named(one.path, disturbed=one.disturbed), f"{one.likeness:.3f}")
    if results.quality is not None:
        name = _named("WebSocket, PESQ-NB", disturbed=results.quality.disturbed)
        heard.add_row(name, f"{results.quality.heard:.2f}")
        heard.add_row("G.711 alone, PESQ-NB", f"{results.quality.g711:.2f}")
    echoes = Table(
        "call",
        "round trip",
        "packet",
        "browser's buffer",
        "it wants",
        "backlog",
        "rest",
        "windows",
        title="Echo by WebRTC, microphone to loudspeaker, ms",
        caption="* measured while other work kept the machine busy",
    )
    for number, echo in enumerate(results.echoes, 1):
        echoes.add_row(
            _named(f"{number}", disturbed=echo.disturbed),
            f"{echo.round_trip_ms:.0f}",
            f"{PACKET_MS}",
            f"{echo.buffer_ms:.0f}",
            f"{echo.target_ms:.0f}",
            f"{echo.backlog_ms:.0f}",
            f"{echo.rest_ms:.0f}",
            f"{len(echo.delays_ms)}",
        )
    return [heard, echoes]


def _named(name: str, *, disturbed: bool) -> str:
    return name + (" *" if disturbed else "")


def limits(results: Results) -> list[Limit]:
    """Return the promises that this run can judge."""
    found = []
    for one in results.heard:
        text = f"unlikeness at the phone, {one.path}, per mille"
        # Turned round: a limit is a maximum, likeness has a minimum.
        most = 1000 * (1 - LIKENESS_MIN[one.path])
        found.append(Limit(text, 1000 * (1 - one.likeness), most, one.disturbed))
    if results.echoes:
        text = "echo by WebRTC of a phone that plays in real time, median of calls, ms"
        round_trip_ms = median(echo.round_trip_ms for echo in results.echoes)
        disturbed = any(echo.disturbed for echo in results.echoes)
        found.append(Limit(text, round_trip_ms, ECHO_MS_MAX, disturbed))
    quality = results.quality
    if quality is not None:
        lost = quality.g711 - quality.heard
        text = "PESQ-NB on the socket, below G.711 alone"
        found.append(Limit(text, lost, PESQ_LOSS_MAX, quality.disturbed))
    return found


def history_record(results: Results) -> dict[str, object]:
    """Return one run as it is kept in the history."""
    return {
        "heard": [_rounded(asdict(one)) for one in results.heard],
        "echoes": [
            _rounded(
                # The single delays are left out; their median and their number tell enough.
                {name: value for name, value in asdict(echo).items() if name != "delays_ms"}
                | {"round_trip_ms": echo.round_trip_ms, "windows": len(echo.delays_ms)}
            )
            for echo in results.echoes
        ],
        "quality": None if results.quality is None else _rounded(asdict(results.quality)),
    }


def _rounded(row: dict[str, object]) -> dict[str, object]:
    return {
        name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()
    }
