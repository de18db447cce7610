"""Repairs of one stream: what each does, what it is counted as, and what the budget refuses."""

from __future__ import annotations

from media.arrival_profile import STREAM
from media.conceal import Concealer
from media.lead_control import LeadControl
from media.nanoseconds import MS_NS
from media.playout_counters import PlayoutCounters
from media.repair_budget import REPAIRS_MAX, RepairBudget
from media.speech_repair import SpeechRepair
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
