"""What all streams may spend on repairs: a burst at once, then a rate, whoever asks."""

from hypothesis import given
from hypothesis import strategies as st

from media.repair_budget import REPAIR_NS, REPAIRS_MAX, RepairBudget


def test_a_burst_is_allowed_and_then_one_each_half_a_millisecond() -> None:
    budget = RepairBudget()
    assert [budget.take(0) for _ in range(REPAIRS_MAX + 2)] == [True] * REPAIRS_MAX + [False] * 2
    assert not budget.take(REPAIR_NS - 1)
    assert budget.take(REPAIR_NS)
    assert not budget.take(REPAIR_NS)
    later = 1_000 * REPAIR_NS
    assert sum(budget.take(later) for _ in range(100)) == REPAIRS_MAX, "no more is ever saved"


@given(st.lists(st.integers(0, 3 * REPAIR_NS), max_size=300))
def test_no_more_is_allowed_than_time_has_filled(steps: list[int]) -> None:
    budget, now_ns, taken = RepairBudget(), 0, 0
    for step in steps:
        now_ns += step
        taken += budget.take(now_ns)
        assert taken <= REPAIRS_MAX + now_ns // REPAIR_NS
