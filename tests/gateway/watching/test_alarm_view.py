"""Alarms as operators see them."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from gateway.watching.alarm_desk import AlarmOrder
from gateway.watching.alarm_view import alarm_views
from gateway.watching.alarms import BY_NAME, Alarm

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
NOW_S = NOW.timestamp()
ALARM = Alarm(
    rule="node_lost", subject="n2", title="Node n2 is gone.", value=1, unit="", since_s=NOW_S - 60
)


def order(kind, until_s=None, name=ALARM.name):
    return {
        name: AlarmOrder(
            name=name, kind=kind, until_s=until_s, by="key k1", reason="repair", at_s=NOW_S
        )
    }


def seen(orders, alarm=ALARM, now_s=NOW_S):
    (view,) = alarm_views([alarm], orders, now_s)
    return view


def test_an_alarm_of_which_nothing_was_said_is_raised_and_says_what_to_do():
    view = seen({})
    assert (view.state, view.by, view.reason, view.until) == ("raised", "", "", None)
    assert (view.name, view.title, view.since) == (ALARM.name, ALARM.title, NOW - timedelta(0, 60))
    assert view.action == BY_NAME["node_lost"].action


def test_the_figure_that_is_shown_is_the_one_of_now():
    began = Alarm(
        rule="one_way_audio",
        subject="",
        title="In 50 % of calls one side is silent.",
        value=50,
        unit="%",
        since_s=NOW_S,
    )
    assert (seen({}, began).title, seen({}, began).value) == (began.title, 50)
    view = seen({}, msgspec.structs.replace(began, now=12.5))
    assert (view.title, view.value) == ("In 12.5 % of calls one side is silent.", 12.5)


def test_who_said_what_of_it_is_shown_and_until_when():
    view = seen(order("acknowledged"))
    assert (view.state, view.by, view.reason, view.until) == (
        "acknowledged",
        "key k1",
        "repair",
        None,
    )
    view = seen(order("silenced", NOW_S + 60))
    assert (view.state, view.until) == ("silenced", NOW + timedelta(minutes=1))


@pytest.mark.parametrize("passed_s", [60, 61, 1e6])
def test_a_silence_that_has_run_out_is_not_shown(passed_s):
    orders = order("silenced", NOW_S + 60)
    assert seen(orders, now_s=NOW_S + 59.9).state == "silenced"
    view = seen(orders, now_s=NOW_S + passed_s)
    assert (view.state, view.by, view.until) == ("raised", "", None)


def test_what_was_said_of_another_alarm_is_not_shown():
    assert seen(order("silenced", NOW_S + 60, "node_lost:n3")).state == "raised"


def test_an_alarm_of_a_rule_that_this_release_does_not_know_is_shown_without_advice():
    alarm = Alarm(rule="newer", subject="x", title="New.", value=1, unit="", since_s=NOW_S)
    assert seen({}, alarm).action == ""
