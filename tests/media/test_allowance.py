"""What all streams may spend on repairs: a burst at once, then a rate, whoever asks."""

from hypothesis import given
from hypothesis import strategies as st

from media.allowance import REPAIR_NS, REPAIRS_MAX, Allowance


def test_a_burst_is_allowed_and_then_one_each_half_a_millisecond() -> None:
    allowance = Allowance()
    assert [allowance.take(0) for _ in range(REPAIRS_MAX + 2)] == [True] * REPAIRS_MAX + [False] * 2
    assert not allowance.take(REPAIR_NS - 1)
    assert allowance.take(REPAIR_NS)
    assert not allowance.take(REPAIR_NS)
    later = 1_000 * REPAIR_NS
    assert sum(allowance.take(later) for _ in range(100)) == REPAIRS_MAX, "no more is ever saved"


@given(st.lists(st.integers(0, 3 * REPAIR_NS), max_size=300))
def test_no_more_is_allowed_than_time_has_filled(steps: list[int]) -> None:
    allowance, now_ns, taken = Allowance(), 0, 0
    for step in steps:
        now_ns += step
        taken += allowance.take(now_ns)
        assert taken <= REPAIRS_MAX + now_ns // REPAIR_NS
