"""What an operator is told to do first where a line of the log rings."""

import ast
from pathlib import Path

import pytest

from gateway.watching.alarms import BY_NAME, ERRORS, Alarm, action_of
from gateway.watching.next_steps import NEXT_STEPS

ROOT = Path(__file__).parents[3]


def alarm_of(subject, rule=ERRORS):
    return Alarm(rule=rule, subject=subject, title="t", value=1.0, unit="", since_s=0.0)


def events():
    """Return the texts of all lines that are logged as errors."""
    found = set()
    for package in ("gateway", "billing"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") != "error":
                    continue
                for each in node.args[:1]:
                    found |= {n.value for n in ast.walk(each) if isinstance(n, ast.Constant)}
    return found


# `older copy not refilled` is chosen before it is logged.
@pytest.mark.parametrize("line", sorted(NEXT_STEPS))
def test_each_line_is_logged_and_documented_and_its_alarm_names_the_next_step(line):
    assert line in events() or line == "older copy not refilled"
    assert f"`{line}`" in (ROOT / "docs/operations.md").read_text()
    assert action_of(alarm_of(line)) == NEXT_STEPS[line]
    assert NEXT_STEPS[line].endswith(".")


def test_of_the_drainer_and_of_shared_data_it_says_what_to_run():
    for line in ("drainer overdue", "outbox too long", "shared data not refreshed"):
        assert "`caller check`" in NEXT_STEPS[line]
        assert "Calls go on" in NEXT_STEPS[line]


def test_other_lines_are_looked_up_and_what_another_release_knows_says_nothing():
    assert action_of(alarm_of("it broke")) == BY_NAME[ERRORS].action
    assert action_of(alarm_of("drainer overdue", "spend")) == BY_NAME["spend"].action
    assert action_of(alarm_of("", "gone")) == ""
