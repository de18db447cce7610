"""Composes the metrics of a process for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from prometheus_client import CollectorRegistry, disable_created_metrics

from gateway.heartbeat.ticker import Ticker
from gateway.http.access import DeclaredRoute
from gateway.http.admin_routes import AdminRoutes
from gateway.http.metrics import RequestMeter, metrics_routes
from gateway.logs import call_events
from gateway.ports import NodeLoad
from gateway.roles.periodic_tasks import BookingAlarms
from gateway.roles.port import Port
from gateway.telemetry.call_meters import CallMeters
from gateway.telemetry.process_figures import ProcessFigures, register


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The metrics of one process."""

    registry: CollectorRegistry
    requests: RequestMeter
    calls: CallMeters

    def start(self) -> None:
        """Begin to count the outcomes of calls."""
        call_events.LISTENERS.add(self.calls.note)

    async def stop(self) -> None:
        """Stop counting."""
        call_events.LISTENERS.discard(self.calls.note)

    def routes(self, routing: AdminRoutes, node: str) -> list[DeclaredRoute]:
        """Return the routes that serve the metrics; `node` is empty for no node."""
        return metrics_routes(routing, self.registry, node)


def compose_telemetry(
    port: Port,
    load: NodeLoad,
    alarms: BookingAlarms,
    refusals: Mapping[str, int],
    *,
    calls_max: int,
    viewers: Callable[[], int],
    spans: Mapping[str, int] | None = None,
) -> Telemetry:
    """Return the metrics of a process; `viewers` says how many watch live calls at it.

    `spans` counts the outcomes of trace spans; None without traces.
    """
    # Creation times of series would double the output, and no one uses them.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    # Not the library's default one: in tests there are several processes in one.
    registry = CollectorRegistry()
    ticker: Ticker = port.ticker
    figures = ProcessFigures(
        gauges={
            "calls": ("Calls that this process holds.", lambda: len(load)),
            "calls_max": ("Calls that it holds at most.", lambda: calls_max),
            "draining": ("Whether it takes no new calls.", lambda: load.is_draining),
            "viewers": ("Viewers of live calls at this process.", lambda: float(viewers())),
            "loop_lag_seconds": (
                "Longest delay of its loop in the last one to two minutes.",
                lambda: ticker.lag_ns_max() / 1e9,
            ),
            "outbox_drained_age_seconds": (
                "Since when entries may wait for the book of record.",
                lambda: alarms.drainer.age_s,
            ),
            "mails_waiting": ("Mails that have not left.", lambda: float(alarms.mails.waiting)),
        },
        counters={
            "velocity_refusals": ("Uses refused as too frequent.", "limit", lambda: refusals),
            "media_sockets": (
                "What has happened to media sockets.",
                "what",
                lambda: asdict(port.engine.counters),
            ),
            **_of_traces(spans),
        },
        raised={
            "outbox": lambda: alarms.outbox.is_raised,
            "drainer": lambda: alarms.drainer.is_raised,
            "mails": lambda: alarms.mails.is_raised,
        },
    )
    register(registry, figures)
    return Telemetry(registry, RequestMeter(registry), CallMeters(registry))


def _of_traces(
    spans: Mapping[str, int] | None,
) -> dict[str, tuple[str, str, Callable[[], Mapping[str, float]]]]:
    if spans is None:
        return {}
    return {"spans": ("Spans of traces: sent to the collector or dropped.", "what", lambda: spans)}
