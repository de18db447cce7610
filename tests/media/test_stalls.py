"""Whatever stands still, and however often: ten seconds later the carrier has what it should have.

Each call is one of a seed: stalls of a tenth of a second to three seconds before us, in our own
process, on the way to the carrier and back, alone and together, with ways that change meanwhile,
clocks that are off, jitter and late marks. Looked at from ten seconds after the last of all on.
"""

from __future__ import annotations

import pytest

from tests.media.stalled_world import Call, call_of, judged

BACKLOG_MS_MAX = 100
ERROR_MS_MAX = 30


def wrong(call: Call) -> bool:
    """Whether the carrier has too much, or the model says something else."""
    return judged(call).backlog_ms > BACKLOG_MS_MAX or call.error_ms > ERROR_MS_MAX


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_no_stall_leaves_a_delay(first: int) -> None:
    assert [seed for seed in range(first, first + 20) if wrong(call_of(seed))] == []


@pytest.mark.parametrize("first", range(1_000, 1_060, 20))
def test_an_owner_that_clears_only_when_a_mark_is_back_is_as_well_off(first: int) -> None:
    seeds = range(first, first + 20)
    assert [seed for seed in seeds if wrong(call_of(seed, keeps_to_marks=True))] == []


@pytest.mark.parametrize("first", range(2_000, 2_040, 20))
def test_a_carrier_without_marks_is_cleared_in_pauses(first: int) -> None:
    seeds = range(first, first + 20)
    assert [seed for seed in seeds if wrong(call_of(seed, has_marks=False))] == []


@pytest.mark.parametrize("first", range(3_000, 3_040, 20))
def test_noise_without_a_pause_is_no_excuse(first: int) -> None:
    seeds = range(first, first + 20)
    assert [seed for seed in seeds if wrong(call_of(seed, is_loud=True))] == []


@pytest.mark.parametrize(
    ("every", "length"), [(12.0, 0.3), (28.0, 1.0), (3.0, 0.1), (3.1, 3.0), (40.0, 3.0)]
)
@pytest.mark.parametrize("side", ["to the carrier", "from the carrier", "before us", "process"])
def test_stalls_that_come_back_are_no_round_trip(side: str, every: float, length: float) -> None:
    begins = [5 + every * count for count in range(int(120 / every))]
    rows = [(begin, begin + length) for begin in begins]
    call = Call(1, rows[-1][1] + 16, {side: rows})
    assert not wrong(call), (call.backlog_ms, call.error_ms)


@pytest.mark.parametrize("is_loud", [False, True])
def test_a_quiet_line_is_never_cleared(is_loud: bool) -> None:
    call = Call(1, 300, ppm=200, talker_ppm=-200, is_loud=is_loud).run((10, 299))
    assert call.clears == 0
    assert call.backlog_ms <= BACKLOG_MS_MAX
    assert call.error_ms <= ERROR_MS_MAX + 5
    counters = call.playout.counters
    assert counters.cut_ms == 0
    assert counters.concealed_ms <= 80, "the end of the call"
