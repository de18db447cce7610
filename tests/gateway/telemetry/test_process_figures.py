"""Figures that are read at the moment when somebody asks for them."""

from prometheus_client import CollectorRegistry

from gateway.telemetry.process_figures import ProcessFigures, register


def test_each_figure_is_as_it_is_when_it_is_asked_for():
    registry, counts, calls = CollectorRegistry(), {"a": 1}, [3]
    register(
        registry,
        ProcessFigures(
            gauges={"calls": ("Calls.", lambda: calls[0])},
            counters={"refusals": ("Refusals.", "limit", lambda: counts)},
            raised={"outbox": lambda: calls[0] > 3},
        ),
    )

    def read():
        return (
            registry.get_sample_value("caller_calls"),
            registry.get_sample_value("caller_refusals_total", {"limit": "a"}),
            registry.get_sample_value("caller_refusals_total", {"limit": "b"}),
            registry.get_sample_value("caller_alarm_raised", {"alarm": "outbox"}),
        )

    assert read() == (3, 1, None, 0)
    counts["a"], counts["b"], calls[0] = 5, 1, 4
    assert read() == (4, 5, 1, 1)
    assert (registry.get_sample_value("process_open_fds") or 0) > 2
