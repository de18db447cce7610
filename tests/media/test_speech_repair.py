"""Repairs of one stream: what each does, what it is counted as, and what the budget refuses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from media.clock import MS_NS
from media.conceal import Concealer
from media.lead_control import STREAM, LeadControl
from media.playout_state import PlayoutCounters
from media.speech_repair import REPAIR_NS, REPAIRS_MAX, RepairBudget, SpeechRepair
from tests.media.playout_world import SPEECH
from tests.media.signals import sine, to_mulaw

HEARD = SPEECH[8_000:8_640]
FRAME = SPEECH[8_640:8_800]
PAUSE = to_mulaw(sine(300, 0.02, peak=20))


def repair_of(budget: RepairBudget) -> SpeechRepair:
    return SpeechRepair([HEARD], PlayoutCounters(), budget)


def spent() -> RepairBudget:
    budget = RepairBudget()
    while budget.take(1 << 62):
        pass
    return budget


def test_concealment_continues_what_was_sent_and_is_counted() -> None:
    repair, concealer = repair_of(RepairBudget()), Concealer()
    concealer.start(HEARD)
    repair.start_concealment(0)
    assert repair.conceal(160) == concealer.take(160)
    assert repair._counters.concealed_ms == 20
    assert not repair.is_concealment_over
    assert repair.join(0, FRAME, is_concealing=True) == concealer.join(FRAME)
    repair.stop_concealment()
    assert repair.is_concealment_over


def test_a_frame_is_joined_to_what_was_sent_if_nothing_was_concealed() -> None:
    repair, concealer = repair_of(RepairBudget()), Concealer()
    concealer.start(HEARD)
    assert repair.join(0, FRAME, is_concealing=False) == concealer.join(FRAME)


def test_without_budget_concealment_is_rough_and_nothing_is_joined() -> None:
    repair, concealer = repair_of(spent()), Concealer()
    concealer.start_roughly(HEARD)
    repair.start_concealment(0)
    assert repair.conceal(160) == concealer.take(160)
    assert repair.join(0, FRAME, is_concealing=True) is FRAME


def test_each_join_takes_one_repair() -> None:
    repair = repair_of(RepairBudget())
    joined = [repair.join(0, FRAME, is_concealing=False) != FRAME for _ in range(REPAIRS_MAX + 1)]
    assert joined == [True] * REPAIRS_MAX + [False]


def test_a_frame_is_stretched_as_the_lead_asks_for() -> None:
    repair, lead = repair_of(RepairBudget()), LeadControl(STREAM, 80 * MS_NS)
    lead.grow_ns = 20 * MS_NS
    longer = repair.stretch(PAUSE, lead, 0, is_talking=False)
    assert len(longer) > 160
    assert repair._counters.stretched_ms == (len(longer) - 160) // 8
    lead.grow_ns, lead.excess_ns = 0, 40 * MS_NS
    assert repair.stretch(PAUSE, lead, 0, is_talking=False) == b""
    lead.excess_ns = 20 * MS_NS
    assert len(repair.stretch(PAUSE, lead, 0, is_talking=False)) == 80
    assert repair._counters.shortened_ms == 30


def test_a_rest_is_taken_away_in_a_pause() -> None:
    repair, lead = repair_of(RepairBudget()), LeadControl(STREAM, 80 * MS_NS)
    assert repair.is_quiet(PAUSE, is_talking=False)
    assert len(repair.stretch(PAUSE, lead, 40, is_talking=False)) == 120


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
