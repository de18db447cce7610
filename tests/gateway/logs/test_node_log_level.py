"""A node's log level: its setting, another one for a while, and the setting again."""

from datetime import UTC, datetime, timedelta

import pytest
import structlog

from gateway import settings_variables
from gateway.fleet.messages import LogLevel
from gateway.logs import formats
from gateway.logs.node_log_level import NodeLogLevel
from tests.gateway.logs.levels import kept_levels

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


class Timers:
    """Timers that go off by hand."""

    def __init__(self):
        self.set = []

    def call_later(self, seconds, act):
        timer = Timer(seconds, act)
        self.set.append(timer)
        return timer

    @property
    def standing(self):
        return [timer for timer in self.set if not timer.is_cancelled]


class Timer:
    def __init__(self, seconds, act):
        self.seconds, self.act = seconds, act
        self.is_cancelled = False

    def cancel(self):
        self.is_cancelled = True


@pytest.fixture
def timers():
    return Timers()


@pytest.fixture
def applied():
    return []


@pytest.fixture
def logged(timers, applied):
    return NodeLogLevel("info", applied.append, timers.call_later, lambda: NOW)


def test_it_is_another_one_for_a_while(logged, timers, applied):
    assert (logged.level, logged.until, applied) == ("info", None, [])
    logged.set_for("debug", 15)
    assert (logged.level, logged.until) == ("debug", NOW + timedelta(minutes=15))
    (timer,) = timers.standing
    assert timer.seconds == 900
    timer.act()
    assert (logged.level, logged.until) == ("info", None)
    assert applied == ["debug", "info"]


def test_what_was_said_last_holds(logged, timers, applied):
    logged.set_for("debug", 15)
    logged.set_for("error", 60)
    # Else the first would end the second.
    assert [timer.seconds for timer in timers.standing] == [3600]
    logged.set_for("info", 5)
    assert logged.until == NOW + timedelta(minutes=5)
    logged.restore()
    logged.restore()
    assert (logged.level, logged.until, timers.standing) == ("info", None, [])
    assert applied == ["debug", "error", "info", "info", "info"]


def test_each_change_is_logged_where_the_more_is_logged(timers):
    levels = ["info"]
    logged = NodeLogLevel("info", levels.append, timers.call_later, lambda: NOW)
    seen = []

    def note(_logger, _method, line):
        seen.append((levels[-1], line["log_level"]))
        raise structlog.DropEvent

    with structlog.testing.capture_logs() as _:
        structlog.configure(processors=[note])
        logged.set_for("debug", 15)
        logged.set_for("error", 15)
        logged.restore()
    assert seen == [("debug", "debug"), ("debug", "error"), ("info", "info")]


def test_what_can_be_asked_for_is_what_can_be_set():
    for level in set(LogLevel) - {LogLevel.SETTING}:
        assert settings_variables.from_mapping({"CALLER_LOG_LEVEL": level}).log_level == level
        with kept_levels():
            formats.set_level(level)
