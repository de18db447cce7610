"""Each beat has its frame, wherever it falls and however it trembles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.carrier.beats import FRAME_NS, Beats

TREMBLE_NS = FRAME_NS // 5


@given(st.integers(0, 2 * FRAME_NS - 1), st.lists(st.integers(-TREMBLE_NS, TREMBLE_NS), min_size=1))
def test_a_beat_that_trembles_has_one_frame_each(phase_ns: int, tremble: list[int]) -> None:
    beats = Beats()
    started_ns = 1_000 * FRAME_NS
    due = [
        beats.due(started_ns, started_ns + phase_ns + FRAME_NS * index + off)
        for index, off in enumerate([0, *tremble])
    ]
    assert due == list(range(1, len(due) + 1))


@pytest.mark.parametrize(("late_frames", "due"), [(0, 1), (1, 1), (2, 2), (100, 100)])
def test_what_was_missed_before_the_first_beat_is_due(late_frames: int, due: int) -> None:
    assert Beats().due(7, 7 + late_frames * FRAME_NS + 3) == due


def test_a_stall_is_made_up_for() -> None:
    beats = Beats()
    assert beats.due(0, FRAME_NS) == 1
    assert beats.due(0, 11 * FRAME_NS) == 11
