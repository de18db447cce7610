"""The events of calls in the log: each once, with its fields, and as the documentation says."""

import re
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.call import machine
from gateway.cause import Cause
from gateway.errors import CarrierError
from gateway.logs import call_events
from tests.gateway.stage import CENT

DOCUMENT = Path(__file__).parents[3] / "docs" / "operations.md"


@pytest.fixture
def lines():
    """The events of calls written so far."""
    with capture_logs() as written:
        yield written


def of_calls(lines):
    return [line for line in lines if line["event"] in call_events.EVENTS]


def events(lines):
    return [line["event"].removeprefix("call ") for line in of_calls(lines)]


def test_the_documentation_names_each_event_and_its_fields():
    text = DOCUMENT.read_text().partition("## Events of calls")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(call [\w ]+)` \|[^|]*\| ([^|]*) \|$", text, re.MULTILINE)
    told = {name: tuple(re.findall(r"`(\w+)`", fields)) for name, fields in rows}
    assert told == call_events.EVENTS
    common = text.partition("Each line has")[2].partition(".")[0]
    assert tuple(re.findall(r"`(\w+)`", common)) == call_events.FIELDS


async def test_a_call_that_goes_as_it_should(stage, lines):
    caller = await stage.call(key_id="k1", country="GB").answered()
    await stage.run(2)
    caller.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert events(lines) == ["requested", "placed", "answered", "ended", "settled"]
    requested, placed, answered, ended, settled = of_calls(lines)
    for line in of_calls(lines):
        assert (line["call_id"], line["node"], line["account"]) == ("c1", "n1", "alice")
        assert line["log_level"] == "info"
    assert (requested["key"], requested["country"]) == ("k1", "GB")
    assert requested["carrier_call_id"] == ""
    for line in (placed, answered, ended, settled):
        assert line["carrier_call_id"] == "CA1"
    assert placed["after_s"] <= answered["after_s"] < 1
    assert (ended["cause"], ended["cause_name"], ended["ended_by"]) == (
        16,
        "NORMAL_CLEARING",
        "caller",
    )
    assert 2 <= ended["seconds"] < 2.2
    record = stage.record()
    assert (settled["cause"], settled["seconds"]) == (16, record.seconds)
    assert settled["cost_micros"] == caller.bridge.used()[1] > 0
    assert not re.search(r"\+?\d{7,}", str(lines))


@pytest.mark.parametrize(
    ("failure", "code"),
    [("no credit", "insufficient_credit"), ("store away", "store_unavailable")],
)
async def test_a_refused_hold(stage, lines, failure, code):
    if failure == "no credit":
        stage.gate.fill(alice=-stage.balance())
    else:
        stage.gate.is_away = True
    stage.call()
    await stage.until(lambda: stage.released)
    assert events(lines) == ["requested", "refused"]
    refused = of_calls(lines)[-1]
    assert (refused["code"], refused["call_id"]) == (code, "c1")


async def test_a_carrier_that_does_not_take_the_call(stage, lines):
    stage.carrier.on_place = CarrierError("no", cause=Cause.CALL_REJECTED)
    stage.call()
    await stage.until(lambda: stage.released)
    assert events(lines) == ["requested", "ended", "settled"]
    *_, ended, settled = of_calls(lines)
    assert (ended["cause"], ended["seconds"]) == (21, 0)
    assert settled["cost_micros"] == 0


async def test_a_caller_who_gives_up_before_the_hold(stage, lines):
    caller = stage.call()
    caller.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert events(lines) == ["requested", "ended", "settled"]
    assert of_calls(lines)[1]["cause"] == 487


async def test_at_debug_level_whatever_comes_for_a_call_is_a_line(stage, lines):
    caller = await stage.call(resume_s=15).answered()
    caller.says(type="mute", muted=True)
    caller.browser.end(1006)
    assert caller.returns()
    caller.says(type="hangup")
    await stage.until(lambda: stage.released)
    came = [line for line in lines if line["event"] == "call received"]
    assert {line["log_level"] for line in came} == {"debug"}
    assert {(line["call_id"], line["account"]) for line in came} == {("c1", "alice")}
    told = [line["received"] for line in came]
    assert told[:3] == ["Requested", "HoldPlaced", "DialAccepted"]
    said = [each for each in told if each in ("Mute", "socket closed with 1006", "another socket")]
    assert said == ["Mute", "socket closed with 1006", "another socket"]
    assert (told[-1], came[-1]["state"]) == ("Settled", "SETTLED")
    assert "+1" not in str(came)


async def test_callbacks_twice_and_out_of_order_are_one_event(stage, lines):
    caller = await stage.call().answered()
    for status in ("ringing", "answered", "dialling", "completed", "completed", "ringing"):
        caller.status(status)
    await stage.until(lambda: stage.released)
    assert events(lines) == ["requested", "placed", "answered", "ended", "settled"]


def test_a_call_of_another_node(lines):
    call_events.settled_late(
        "c9",
        node="n2",
        account="bob",
        carrier_call_id="CA9",
        cause=Cause.NORMAL_TEMPORARY_FAILURE,
        seconds=7,
        cost_micros=CENT,
    )
    (line,) = of_calls(lines)
    assert (line["event"], line["node"], line["seconds"]) == ("call settled", "n2", 7)


class Follower:
    """Is told of a call; fails at one of its events."""

    def __init__(self, fails_at=None):
        self.told = []
        self.fails_at = fails_at

    def requested(self, call_id, country):
        self.told.append((call_id, country))

    def advanced(self, call, before, event, _at_ns):
        self.told.append((before.name, call.state.name, type(event).__name__))
        if self.fails_at is type(event):
            raise RuntimeError("ours")


async def test_whoever_follows_a_call_is_told_of_each_event(stage):
    follower = Follower()
    call_events.FOLLOWER.set(follower)
    caller = await stage.call(country="GB").answered()
    caller.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert follower.told[:3] == [
        ("c1", "GB"),
        ("NEW", "FUNDING", "Requested"),
        ("FUNDING", "DIALLING", "HoldPlaced"),
    ]
    assert follower.told[-1] == ("SETTLING", "SETTLED", "Settled")


async def test_a_follower_that_fails_is_told_no_more_and_the_call_goes_on(stage, lines):
    follower = Follower(fails_at=machine.Answered)
    call_events.FOLLOWER.set(follower)
    caller = await stage.call().answered()
    caller.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert follower.told[-1][-1] == "Answered"
    assert events(lines) == ["requested", "placed", "answered", "ended", "settled"]
    (fault,) = [line for line in lines if line["log_level"] == "error"]
    assert (fault["event"], fault["call_id"]) == ("call no longer followed", "c1")


async def test_what_a_context_is_about_is_told_its_refusal(lines):
    told = []
    token = call_events.ON_REFUSAL.set(told.append)
    call_events.refused("gateway_full", node="n1", account="alice")
    call_events.ON_REFUSAL.reset(token)
    call_events.refused("gateway_draining", node="n1", account="alice")
    assert told == ["gateway_full"]
    assert events(lines) == ["refused", "refused"]
