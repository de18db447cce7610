"""Answers as an operator reads them."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from caller_client.remote.lines import (
    Changes,
    alarm_lines,
    call_line,
    call_lines,
    json_line,
    missing_lines,
    money,
    node_lines,
    plain,
)
from caller_client.shapes import (
    AccountCall,
    Alarms,
    AlarmView,
    CallRow,
    CallView,
    FeedDelta,
    FeedSnapshot,
    FleetCalls,
    Money,
    NodeFacts,
    SilencedView,
)
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import calls as own_calls
from gateway.cli import nodes as own_nodes
from gateway.fleet.roster import NodeFacts as OwnNodeFacts
from gateway.watching.rows import CallRow as OwnCallRow

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def call(call_id="c1", **more):
    usual = {
        "id": call_id,
        "state": "live",
        "destination": "+442079460018",
        "country": "GB",
        "codec": "pcmu",
        "node": "n1",
        "created_at": AT,
        "cost": Money(micros=70_000, currency="USD", text="$0.07"),
        "seconds": 7,
    }
    return AccountCall(account_id="ada", call=CallView(**usual | more))


def row(call_id="c1", state="answered", account_id="ada", **more):
    usual = {
        "id": call_id,
        "node": "n1",
        "account_id": account_id,
        "key_id": "",
        "destination": "+442079460018",
        "country": "GB",
        "origin": "",
        "state": state,
        "created_at": AT,
    }
    return CallRow(**usual | more)


def snapshot(*rows):
    lists = {key: [] for key in ("nodes", "alarms", "warnings", "samples")}
    return FeedSnapshot(at=AT, audience="all", calls=[*rows], totals=None, **lists)


def delta(*rows, gone=()):
    return FeedDelta(at=AT, calls=[*rows], gone=[*gone])


def alarm(**more):
    usual = {
        "name": "node_lost:n2",
        "rule": "node_lost",
        "subject": "n2",
        "title": "Node n2 is gone.",
        "action": "Start it.",
        "value": 1,
        "unit": "",
        "since": AT,
        "state": "raised",
        "by": "",
        "reason": "",
        "until": None,
    }
    return AlarmView(**usual | more)


def heads_of(table):
    return [column.header for column in table.columns]


def test_live_calls_stand_in_the_columns_of_the_gateway_s_command():
    found = FleetCalls(
        calls=[
            call(),
            call("c2", answered_at=AT, seconds=100),
            call("c3", ended_at=AT, cost=None),
        ],
        more=2,
        silent_nodes=["n2"],
    )
    head, *rows = call_lines(found)
    assert head.split() == " ".join(heads_of(own_calls._table([]))).split()
    assert (
        rows[0]
        == "c1    ada      +442079460018  n1    ringing        7  $0.07  2026-03-01 12:30:00"
    )
    assert [line.split()[4] for line in rows] == ["ringing", "talking", "ending"]
    assert list(missing_lines(found)) == [
        "2 more are live.",
        "Node n2 does not answer: its calls are missing.",
    ]
    nothing = FleetCalls(calls=[], more=0, silent_nodes=[])
    assert (list(call_lines(nothing)), list(missing_lines(nothing))) == (["No call is live."], [])


def test_nodes_stand_in_the_columns_and_words_of_the_gateway_s_command():
    said = {
        "node": "n1",
        "process": "p",
        "origin": "o",
        "release": "1.0",
        "started_at": "2026-03-01T12:30:00Z",
        "calls": 3,
        "calls_max": 500,
        "is_draining": True,
        "lag_ms": 1.25,
        "log_level": "debug",
        "log_level_until": "2026-03-01T13:00:00Z",
    }
    table = own_nodes._table([OwnNodeFacts(**said)])
    head, line = node_lines([NodeFacts(**said)])
    assert head.split() == " ".join(heads_of(table)).split()
    assert line.split() == " ".join(str(next(iter(c.cells))) for c in table.columns).split()
    assert list(node_lines([])) == ["No node runs."]


def test_alarms_are_told_with_who_is_at_them_and_what_is_silenced():
    silenced = [
        SilencedView(name=name, by="key 7", reason="repair", until=AT)
        for name in ("node_lost:n2", "node_full:n3")
    ]
    by = {"state": "silenced", "by": "key 7", "reason": "repair", "until": AT}
    lines = list(alarm_lines(Alarms(alarms=[alarm(), alarm(**by)], silenced=silenced)))
    assert lines[1].split("  ")[-1] == "Node n2 is gone. Start it."
    assert lines[2].startswith("silenced until 2026-03-01 12:30:00 by key 7 (repair)  ")
    assert lines[3:] == ["Silenced until 2026-03-01 12:30:00 by key 7 (repair): node_full:n3"]
    assert list(alarm_lines(Alarms(alarms=[], silenced=[]))) == ["No alarm stands."]


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0.00 USD"),
        (13_000, "0.013 USD"),
        (1_500_000, "1.50 USD"),
        (-1, "-0.000001 USD"),
        (12_345_678_900_000, "12345678.90 USD"),
    ],
)
def test_an_amount_has_all_its_digits(micros, text):
    assert money(micros, "USD") == text


def test_a_call_is_told_as_the_gateway_s_command_tells_it_but_for_the_money():
    said = msgspec.to_builtins(
        row(
            state="ended",
            ended_at=AT,
            seconds=7,
            cost_micros=13_000,
            currency="USD",
            cause=16,
            cause_name="NORMAL_CLEARING",
            ended_by="caller",
        )
    )
    own = str(own_calls._line(msgspec.convert(said, OwnCallRow)))
    assert call_line(msgspec.convert(said, CallRow)) == own.replace("$0.0130", "0.013 USD")


def test_a_call_is_told_when_its_state_changes():
    changes = Changes()
    told = [
        [(each.id, each.state) for each in changes.take(event)]
        for event in (
            snapshot(row("c1"), row("c2", "ringing")),
            delta(row("c1"), row("c2", "answered")),
            delta(row("c3", "ringing"), gone=["c1"]),
            # A gateway that was started again, and what has happened meanwhile.
            snapshot(row("c2", "ended"), row("c3", "ringing")),
            delta(row("c2", "ended"), row("c3", "answered"), gone=["c2"]),
        )
    ]
    assert told == [
        [("c1", "answered"), ("c2", "ringing")],
        [("c2", "answered")],
        [("c3", "ringing")],
        [("c2", "ended")],
        [("c3", "answered")],
    ]
    assert changes._states == {"c2": "ended", "c3": "answered"}


def test_only_calls_of_the_account_that_is_meant_are_told():
    changes = Changes("bob")
    told = changes.take(snapshot(row("c1"), row("c2", account_id="bob")))
    assert [each.id for each in told] == ["c2"]


@given(st.text())
def test_nothing_in_a_text_commands_a_terminal(text):
    said = plain(text)
    assert (said.isprintable(), len(said)) == (True, len(text))
    line = json_line([text])
    assert line.isprintable()
    assert json.loads(line) == [text]


def test_what_is_harmless_stays_as_it_is():
    assert plain("CHF\xa01.00 é 日本") == "CHF 1.00 é 日本"
    assert json_line("é\u202e\U000e0001") == '"é\\u202e\\udb40\\udc01"'


def test_no_cell_of_a_table_commands_the_terminal():
    found = FleetCalls(calls=[call("\x1b[31m")], more=0, silent_nodes=["\r"])
    _, line = call_lines(found)
    assert line.startswith("?[31m  ada")
    assert list(missing_lines(found)) == ["Node ? does not answer: its calls are missing."]
