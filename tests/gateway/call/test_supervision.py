"""How far a supervisor may go."""

import pytest

from gateway.call.supervision import Mode, Rule, readable


@pytest.mark.parametrize("most", Mode)
@pytest.mark.parametrize("wanted", Mode)
def test_a_mode_allows_itself_and_all_that_is_less(most, wanted):
    order = ["listen", "whisper", "barge", "take-over"]
    assert most.allows(wanted) == (order.index(wanted) <= order.index(most))


def test_supervisors_are_announced_unless_there_is_a_reason():
    assert Rule(Mode.LISTEN).announces
    assert not Rule(Mode.LISTEN, "the law of the place asks for none").announces
    assert Rule().most is None


MODES = (None, *Mode)


@pytest.mark.parametrize("most", MODES)
@pytest.mark.parametrize("before", MODES)
def test_a_rule_allows_more_by_going_further_or_by_the_same_unannounced(most, before):
    goes_further = MODES.index(most) > MODES.index(before)
    assert Rule(most).allows_more_than(Rule(before)) == goes_further
    silent, before_silent = Rule(most, "why"), Rule(before, "why" if before else "")
    assert silent.allows_more_than(Rule(before)) == (most is not None)
    assert silent.allows_more_than(before_silent) == goes_further
    assert Rule(most).allows_more_than(before_silent) == goes_further
    assert not Rule(most, "why").allows_more_than(Rule(most, "another"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        (" \t ", ""),
        ("  by\r\n contract ", "by contract"),
        ("a\0b", ""),
        ("a\u202eb", ""),
        ("\ud800", ""),
        ("für Schulung ☎", "für Schulung ☎"),
    ],
)
def test_a_reason_is_one_line_that_a_person_can_read(text, line):
    assert readable(text) == line
