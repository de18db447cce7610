"""Settings, fault plans, number scripts, the debugger: small tables and their bounds."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.carrier.debugger import ENTRIES_MAX, Debugger
from simulators.carrier.errors import SimulatorSettingsError
from simulators.carrier.faults import CallbackFault, FaultPlan, Faults, RestFault, parse_plan
from simulators.carrier.numbers import is_dialable
from simulators.carrier.scripts import ANY_OTHER, SCRIPTS, Outcome, create_fault, script_for
from simulators.carrier.settings import SimulatorSettings

from .peer import ACCOUNT


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("account_sid", "AC1"),
        ("auth_token", ""),
        ("region", "ireland"),
        ("port", -1),
        ("port", 65536),
        ("cps", 0),
        ("ring_s", -1),
        ("ring_s", float("nan")),
        ("concurrency_max", 0),
        ("heard_s_max", 301),
    ],
)
def test_refuses_a_setting_out_of_bounds_by_name(knob: str, value: Any) -> None:
    fields = {"account_sid": ACCOUNT, "auth_token": "t", knob: value}
    with pytest.raises(SimulatorSettingsError) as caught:
        SimulatorSettings(**fields)
    assert caught.value.name == knob


def test_every_scripted_number_can_be_dialled() -> None:
    assert all(is_dialable(number) for number in SCRIPTS)
    assert [int(number[-4:]) for number in SCRIPTS] == list(range(1000, 1027))
    assert script_for("+442071838750") is ANY_OTHER


def test_sip_codes_are_those_of_the_outcomes() -> None:
    codes = {number[-4:]: script.outcome.value for number, script in SCRIPTS.items()}
    assert (codes["1004"], codes["1005"], codes["1006"]) == (486, 487, 404)
    assert codes["1000"] == Outcome.ANSWERED.value


def test_create_faults_follow_the_script() -> None:
    once = script_for("+15005551016")
    assert create_fault(once, 1, 9) == RestFault(status=429)
    assert create_fault(once, 2, 9) is None
    assert create_fault(once, 3, 9) == RestFault(status=429)
    assert create_fault(script_for("+15005551018"), 1, 9) == RestFault(hold_s=9)
    assert create_fault(script_for("+15005551019"), 1, 9) == RestFault(status=500)
    assert create_fault(script_for("+15005551020"), 1, 9) == RestFault(status=401)
    assert create_fault(ANY_OTHER, 1, 9) is None


def test_a_rest_fault_is_used_up() -> None:
    faults = Faults()
    assert faults.rest("create") is None
    faults.replace(FaultPlan(rest=RestFault(status=500, count=2, operation="create")))
    assert faults.rest("fetch") is None
    assert [faults.rest("create") is None for _ in range(3)] == [False, False, True]


def test_callback_faults_add_up() -> None:
    both = CallbackFault(drop=("ringing",), delay_s=1).merged(
        CallbackFault(drop=("completed",), delay_s=2, duplicate=True)
    )
    assert both == CallbackFault(drop=("ringing", "completed"), delay_s=2, duplicate=True)


def test_reads_a_plan() -> None:
    body = b'{"rest":{"status":503,"count":2},"callbacks":{"drop":["completed"],"reorder":true}}'
    plan = parse_plan(body)
    assert plan.rest == RestFault(status=503, count=2)
    assert plan.callbacks == CallbackFault(drop=("completed",), reorder=True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"rests":{}}',
        b'{"rest":{"status":200}}',
        b'{"rest":{"hold_s":9999}}',
        b'{"rest":{"operation":"all"}}',
        b'{"callbacks":{"delay_s":-1}}',
    ],
)
def test_refuses_a_plan_that_is_none(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec's errors are ValueErrors
        parse_plan(body)


def test_the_debugger_keeps_the_newest() -> None:
    debugger = Debugger()
    for n in range(ENTRIES_MAX + 5):
        debugger.note(31951, n, call_sid="CA1" if n % 2 else "CA2")
    assert len(debugger.codes()) == ENTRIES_MAX
    assert debugger.entries()[0]["at_ns"] == 5
    assert set(debugger.codes("CA1")) == {31951}
    debugger.clear()
    assert debugger.entries() == []
    with pytest.raises(KeyError):
        debugger.note(1, 0)
