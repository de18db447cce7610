"""Collects figures that a process has anyway, at the moment of a scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """Functions that return current values, by name of the metric without its prefix."""

    gauges: Mapping[str, tuple[str, Callable[[], float]]] = field(default_factory=dict)
    """Name -> its help text, and the figure."""
    counters: Mapping[str, tuple[str, str, Callable[[], Mapping[str, float]]]] = field(
        default_factory=dict
    )
    """Name -> its help text, its one label, and the counts by that label."""
    raised: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    """Name of an alarm of this process -> whether it is raised."""


class _Collector(Collector):
    def __init__(self, figures: ProcessFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Return all of them at their current values."""
        for name, (what, figure) in self._figures.gauges.items():
            yield GaugeMetricFamily(f"caller_{name}", what, value=figure())
        for name, (what, label, counts) in self._figures.counters.items():
            family = CounterMetricFamily(f"caller_{name}", what, labels=[label])
            for key, count in counts().items():
                family.add_metric([key], count)
            yield family
        raised = GaugeMetricFamily(
            "caller_alarm_raised", "Whether an alarm of this process is raised.", labels=["alarm"]
        )
        for key, is_raised in self._figures.raised.items():
            raised.add_metric([key], float(is_raised()))
        yield raised


def register(registry: CollectorRegistry, figures: ProcessFigures) -> None:
    """Collect these figures, and those of the operating system about the process."""
    registry.register(_Collector(figures))
    ProcessCollector(registry=registry)
