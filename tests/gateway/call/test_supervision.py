"""How far a supervisor may go."""

import pytest

from gateway.call.supervision import Mode, Rule


@pytest.mark.parametrize("most", Mode)
@pytest.mark.parametrize("wanted", Mode)
def test_a_mode_allows_itself_and_all_that_is_less(most, wanted):
    order = ["listen", "whisper", "barge", "take-over"]
    assert most.allows(wanted) == (order.index(wanted) <= order.index(most))


def test_supervisors_are_announced_unless_there_is_a_reason():
    assert Rule(Mode.LISTEN).announces
    assert not Rule(Mode.LISTEN, "the law of the place asks for none").announces
    assert Rule().most is None
