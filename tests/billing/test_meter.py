"""One call's meter: every schedule ends with the price of the seconds it was allowed, no more."""

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.meter import (
    RISE_S,
    THRESHOLDS_S,
    CallMeter,
    CutOff,
    EndWarnings,
    MeterState,
    WarningChange,
    horizon_within,
    share_out,
)
from billing.ports import SpendCap, Tick
from billing.rating import Rate
from tests.strategies import rates

S = 1_000_000_000
START = 7 * S + 123
CENT_A_SECOND = Rate(per_minute_micros=600_000)
CENT = 10_000


def new_meter(granted=8 * CENT, rate=CENT_A_SECOND, *, seconds_max=3_600, **knobs):
    return CallMeter("c1", "alice", rate, granted, seconds_max=seconds_max, **knobs)


def answered_meter(granted=8 * CENT, **knobs):
    meter = new_meter(granted, **knobs)
    meter.answered(START)
    meter.heard()
    return meter


def test_nothing_is_charged_before_answer():
    meter = new_meter()
    assert meter.state is MeterState.BEFORE_ANSWER
    assert meter.cut_off_ns is None
    assert meter.tick(START + 60 * S) == Tick("c1", "alice", 8 * CENT, 0)
    assert meter.cost_micros(START + 60 * S) == 0
    assert meter.final(START + 60 * S) == (0, 0)
    assert meter.state is MeterState.ENDED


@pytest.mark.parametrize(
    ("after_ns", "seconds"),
    [(-S, 0), (0, 0), (1, 1), (S - 1, 1), (S, 1), (S + 1, 2), (5 * S, 5), (9 * S, 8)],
)
def test_a_second_counts_when_it_has_begun(after_ns, seconds):
    """And none counts beyond the cut-off, however late the call is ended."""
    meter = answered_meter()
    assert meter.elapsed_s(START + after_ns) == seconds
    assert meter.final(START + after_ns) == (seconds, seconds * CENT)


def test_the_gate_is_told_of_the_answer_with_the_first_second_until_it_has_it():
    meter = new_meter()
    meter.answered(START, 1_780_000_000_123)
    now_ns = START + 1
    assert meter.tick(now_ns).answered_ms == 0, "nobody has been heard"
    meter.granted(None, now_ns)
    meter.heard()
    for _ in range(2):
        assert meter.tick(now_ns).answered_ms == 1_780_000_000_123
        meter.unavailable(now_ns)
    meter.tick(now_ns)
    meter.granted(None, now_ns)
    assert meter.tick(now_ns + S).answered_ms == 0


def test_nothing_is_owed_before_sound_has_come_but_credit_is_held_for_it():
    meter = new_meter()
    meter.answered(START)
    now_ns = START + 5 * S
    assert (meter.elapsed_s(now_ns), meter.owed_s(now_ns), meter.cost_micros(now_ns)) == (5, 0, 0)
    assert meter.tick(now_ns) == Tick("c1", "alice", 13 * CENT, 0)
    meter.granted(None, now_ns)
    meter.heard()
    assert (meter.owed_s(now_ns), meter.cost_micros(now_ns)) == (5, 5 * CENT)
    assert meter.tick(now_ns) == Tick("c1", "alice", 13 * CENT, 5)


def test_what_is_held_is_unused_until_its_seconds_have_begun():
    meter = new_meter(8 * CENT)
    assert meter.unused_micros(START) == 8 * CENT
    meter.answered(START)
    assert meter.unused_micros(START + 3 * S) == 8 * CENT
    meter.heard()
    assert meter.unused_micros(START + 3 * S) == 5 * CENT
    meter.final(START + 4 * S)
    assert meter.unused_micros(START + 60 * S) == 4 * CENT


def test_sound_after_the_end_changes_nothing():
    meter = new_meter(rate=Rate(per_minute_micros=600_000, connect_fee_micros=CENT))
    meter.answered(START)
    assert meter.final(START + 5 * S) == (0, 0)
    meter.heard()
    assert meter.final(START + 5 * S) == (0, 0)


def test_answer_counts_once():
    meter = answered_meter()
    meter.answered(START + 3 * S)
    assert meter.elapsed_s(START + 3 * S) == 3


def test_the_final_price_stands():
    meter = answered_meter()
    assert meter.final(START + 2 * S) == meter.final(START + 5 * S) == (2, 2 * CENT)
    meter.granted(None, START + 5 * S)
    meter.unavailable(START + 5 * S)
    meter.answered(START + 5 * S)
    assert meter.final(START + 6 * S) == (2, 2 * CENT)


def test_an_ended_call_is_not_ticked():
    meter = answered_meter()
    meter.final(START)
    with pytest.raises(AssertionError):
        meter.tick(START)


def test_full_grants_move_the_cut_off_on():
    meter = answered_meter()
    for second in range(1, 30):
        now_ns = START + second * S
        assert meter.tick(now_ns) == Tick("c1", "alice", (second + 8) * CENT, second)
        meter.granted(None, now_ns)
        assert meter.state is MeterState.RUNNING
        assert meter.cut_off_ns == START + (second + 8) * S
        assert meter.cut_off is CutOff.CREDIT


def test_a_grant_never_takes_back_what_was_held():
    meter = answered_meter(granted=20 * CENT)
    meter.tick(START + S)
    meter.granted(None, START + S)
    assert meter.granted_micros == 20 * CENT
    assert meter.cut_off_ns == START + 20 * S


def test_a_short_grant_fixes_the_cut_off_at_the_last_paid_second():
    meter = answered_meter()
    meter.tick(START + 3 * S)
    meter.granted(10 * CENT + CENT // 2, START + 3 * S)
    assert meter.state is MeterState.SHORT
    assert meter.granted_micros == 10 * CENT + CENT // 2
    assert meter.paid_seconds == 10
    assert meter.cut_off_ns == START + 10 * S
    assert meter.cut_off is CutOff.CREDIT
    assert meter.final(START + 10 * S + 2_000_000) == (10, 10 * CENT)


def test_credit_in_the_last_second_saves_the_call():
    meter = answered_meter(granted=3 * CENT)
    assert meter.state is MeterState.SHORT
    now_ns = START + 3 * S - 1
    assert meter.tick(now_ns).want_micros == 11 * CENT
    meter.granted(None, now_ns)
    assert meter.state is MeterState.RUNNING
    assert meter.cut_off_ns == START + 11 * S


def test_an_outage_is_outlived_by_horizon_and_grace():
    meter = answered_meter()
    for second in range(1, 10):
        meter.tick(START + second * S)
        meter.unavailable(START + second * S)
    assert meter.state is MeterState.AWAY
    assert meter.cut_off is CutOff.GRACE
    assert meter.cut_off_ns == START + (8 + 6) * S
    assert meter.final(START + 20 * S) == (14, 14 * CENT)


def test_a_spent_account_has_no_grace():
    meter = answered_meter(granted=5 * CENT)
    meter.unavailable(START + S)
    assert meter.state is MeterState.SHORT
    assert meter.cut_off is CutOff.CREDIT
    assert meter.cut_off_ns == START + 5 * S


def test_seconds_run_on_grace_stay_owed_when_the_store_returns_empty_handed():
    meter = answered_meter()
    meter.unavailable(START + 2 * S)
    now_ns = START + 10 * S + S // 2
    meter.tick(now_ns)
    meter.granted(9 * CENT, now_ns)
    assert meter.cut_off_ns == START + 11 * S
    assert meter.final(START + 12 * S) == (11, 11 * CENT)


def test_a_returning_store_that_grants_all_ends_the_outage():
    meter = answered_meter()
    meter.unavailable(START + 9 * S)
    meter.tick(START + 10 * S)
    meter.granted(None, START + 10 * S)
    assert meter.state is MeterState.RUNNING
    assert meter.cut_off_ns == START + 18 * S


def test_the_longest_call_is_neither_paid_nor_graced_beyond():
    meter = answered_meter(seconds_max=10)
    assert meter.tick(START + 5 * S).want_micros == 10 * CENT
    meter.granted(None, START + 5 * S)
    assert meter.cut_off is CutOff.DURATION
    assert meter.cut_off_ns == START + 10 * S
    meter.unavailable(START + 6 * S)
    assert meter.cut_off_ns == START + 10 * S
    assert meter.final(START + 11 * S) == (10, 10 * CENT)


def test_the_older_of_two_claims_under_way_is_what_an_answer_grants():
    meter = answered_meter()
    meter.tick(START + 1 * S)
    meter.tick(START + 2 * S)
    meter.granted(None, START + 2 * S)
    assert meter.granted_micros == 9 * CENT


def test_an_answer_without_a_claim_grants_nothing():
    meter = answered_meter()
    meter.granted(None, START + S)
    assert meter.granted_micros == 8 * CENT


def test_remaining_counts_on_what_is_granted_and_the_share():
    meter = answered_meter()
    now_ns = START + 3 * S
    assert meter.remaining_s(now_ns) == 5
    for share, remaining_s, end in (
        (0, 5, CutOff.CREDIT),
        (2 * CENT + 1, 7, CutOff.CREDIT),
        (10**9, 3_600 - 3, CutOff.DURATION),
    ):
        meter.share(share)
        assert (meter.remaining_s(now_ns), meter.runs_out_of) == (remaining_s, end)
    meter.share(2 * CENT, is_capped=True)
    assert meter.runs_out_of is CutOff.CAP


def test_the_horizon_shrinks_with_what_is_left():
    meter = answered_meter()
    now_ns = START + 3 * S
    wanted = {}
    for left_s in (100, 32, 31, 20, 8, 4, 3, 0):
        meter.share(max(0, (left_s - 5) * CENT))
        wanted[meter.remaining_s(now_ns)] = meter.want_micros(now_ns) // CENT - 3
    assert wanted == {100: 8, 32: 8, 31: 7, 20: 5, 8: 2, 5: 1}
    assert [horizon_within(left_s, 8) for left_s in (40, 32, 31, 7, 3, 0)] == [8, 8, 7, 1, 1, 1]
    assert horizon_within(40, 0) == 0


@given(rates(), st.integers(0, 120), st.integers(1, 30), st.integers(0, 10**9))
def test_plenty_is_never_too_little_for_the_whole_horizon(rate, elapsed_s, horizon_s, more):
    meter = CallMeter("c1", "alice", rate, rate.cost(120), seconds_max=10_000, horizon_s=horizon_s)
    meter.answered(START)
    now_ns = START + elapsed_s * S
    meter.share(meter._plenty_micros + more)
    assert horizon_within(meter.remaining_s(now_ns), horizon_s) == horizon_s


def test_grace_does_not_go_beyond_the_credit_last_heard_of():
    meter = answered_meter()
    meter.share(2 * CENT)
    meter.unavailable(START + S)
    assert meter.cut_off is CutOff.CREDIT
    assert meter.cut_off_ns == START + 10 * S
    meter = answered_meter()
    meter.share(100 * CENT)
    meter.unavailable(START + S)
    assert meter.cut_off_ns == START + 14 * S


def test_a_first_hold_that_was_meant_to_be_small_is_not_short():
    meter = answered_meter(granted=2 * CENT, asked_micros=2 * CENT)
    assert meter.state is MeterState.RUNNING
    assert answered_meter(granted=CENT, asked_micros=2 * CENT).state is MeterState.SHORT


def test_a_cap_of_the_call_is_a_limit_like_its_duration():
    meter = answered_meter(seconds_max=10, limit=CutOff.CAP)
    assert not meter.is_at_limit
    meter.tick(START + 5 * S)
    meter.granted(None, START + 5 * S)
    assert meter.is_at_limit
    assert (meter.cut_off, meter.runs_out_of) == (CutOff.CAP, CutOff.CAP)


def test_caps_travel_with_the_claim():
    caps = (SpendCap("account:alice:day:2026-11-24", 5 * CENT),)
    assert answered_meter().tick(START, caps).caps is caps


@pytest.mark.parametrize(
    ("balance", "calls", "shares"),
    [
        (0, [(60, 5), (60, 5)], [0, 0]),
        (-9, [(60, 0)], [0]),
        (10, [(60, 5)], [10]),
        (10, [(60, 5), (60, 5)], [5, 5]),
        (10, [(60, 8), (60, 2), (60, 2)], [0, 5, 5]),
        (16, [(60, 8), (60, 2), (60, 5)], [2, 8, 5]),
        (12, [(60, 1), (120, 1)], [4, 8]),
        (7, [(0, 100), (60, 3)], [0, 7]),
        (7, [(0, 100), (0, 3)], [0, 0]),
        (5, [], []),
    ],
)
def test_a_balance_is_divided_so_that_all_end_together(balance, calls, shares):
    assert share_out(balance, calls) == shares


@given(
    st.integers(-(10**6), 10**9),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 3_600)), min_size=1, max_size=8),
)
def test_shares_are_fair_and_never_more_than_there_is(balance, calls):
    shares = share_out(balance, calls)
    assert min(shares) >= 0
    assert sum(shares) <= max(0, balance)
    ends = [
        (ahead_s + 60 * share / rate, 60 / rate, share)
        for (rate, ahead_s), share in zip(calls, shares, strict=True)
        if rate
    ]
    if ends:
        assert sum(shares) >= balance - len(calls), "only fractions of a micro are left over"
    # Nobody who is given anything ends later than somebody who has paid less far ahead.
    for end_s, _, share in ends:
        if share:
            assert all(end_s <= other_s + a_micro_s + 1e-6 for other_s, a_micro_s, _ in ends)


class Gate:
    """The least gate there can be: one account, absolute claims."""

    def __init__(self, balance):
        self.balance = balance
        self.held = 0

    def tick(self, tick):
        take = max(0, min(tick.want_micros - self.held, self.balance))
        self.held += take
        self.balance -= take
        return None if self.held == tick.want_micros else self.held


def run(meter, gate, fates):
    """Tick each half second; end at the cut-off, as the engine's timer would, or after `fates`."""
    meter.answered(START)
    meter.heard()
    now_ns = START
    for fate in fates:
        now_ns += S // 2
        if now_ns >= meter.cut_off_ns:
            return meter.cut_off_ns
        tick = meter.tick(now_ns)
        if fate == "lost":
            meter.unavailable(now_ns)
        elif fate == "late":  # the gate acted, its answer came too late
            gate.tick(tick)
            meter.unavailable(now_ns)
        elif fate == "top-up":
            gate.balance += 2 * CENT
            meter.granted(gate.tick(tick), now_ns)
        else:
            meter.granted(gate.tick(tick), now_ns)
    return min(now_ns, meter.cut_off_ns)


def assert_promises_kept(meter, gate, credit, end_ns, grace_s):
    seconds, micros = meter.final(end_ns + 5_000_000)
    assert seconds * S >= end_ns - START
    assert micros == meter.rate.cost(seconds)
    # The gate pays what it holds; the rest is what grace exposed.
    exposed = max(0, micros - gate.held - gate.balance)
    last_paid_s = meter.rate.affordable_seconds(credit)
    assert exposed <= meter.rate.cost(last_paid_s + grace_s) - meter.rate.cost(last_paid_s)


@pytest.mark.thorough
def test_every_short_schedule_of_a_small_world():
    """All schedules of seven half-second ticks and four fates, with little credit: 4^7 x 4."""
    for start, fates in product(range(0, 4 * CENT, CENT), product(FATES, repeat=7)):
        gate = Gate(start)
        meter = new_meter(0, horizon_s=2, grace_s=1)
        meter.granted(gate.tick(meter.tick(0)), 0)
        end_ns = run(meter, gate, fates)
        credit = start + 2 * CENT * fates.count("top-up")
        assert_promises_kept(meter, gate, credit, end_ns, grace_s=1)
        if not {"lost", "late"} & set(fates):
            assert meter.final(0)[1] <= credit


FATES = ("granted", "lost", "late", "top-up")


@given(
    rates(),
    st.integers(0, 5 * 10**6),
    st.integers(0, 10),
    st.integers(0, 8),
    st.lists(st.sampled_from(FATES), max_size=80),
)
def test_no_schedule_breaks_the_promises(rate, credit, horizon_s, grace_s, fates):
    gate = Gate(credit)
    knobs = {"horizon_s": horizon_s, "grace_s": grace_s, "seconds_max": 30}
    meter = CallMeter("c1", "alice", rate, 0, **knobs)
    meter.granted(gate.tick(meter.tick(0)), 0)
    end_ns = run(meter, gate, fates)
    seconds, micros = meter.final(end_ns)
    assert micros == rate.cost(seconds)
    assert seconds <= 30
    exposed = max(0, micros - gate.held - gate.balance)
    assert exposed == 0 or exposed <= rate.cost(seconds) - rate.cost(max(0, seconds - grace_s))
    if not {"lost", "late"} & set(fates):
        assert exposed == 0
        assert seconds == 0 or micros <= credit + 2 * CENT * fates.count("top-up")


@pytest.mark.parametrize(
    ("late_ns", "is_overdue"), [(0, False), (7 * S, False), (7 * S + 1, True), (3_600 * S, True)]
)
def test_an_end_that_passed_beyond_all_grace_was_noticed_by_nobody(late_ns, is_overdue):
    meter = answered_meter()
    assert meter.is_overdue(START + 8 * S + late_ns) is is_overdue
    assert meter.final(START + 8 * S + late_ns) == (8, 8 * CENT)
    assert not meter.is_overdue(START + 8 * S + late_ns)


def test_grace_that_was_given_is_not_given_twice():
    meter = answered_meter()
    meter.unavailable(START + 8 * S)
    end_ns = START + (8 + 6) * S
    assert meter.cut_off_ns == end_ns
    assert not meter.is_overdue(end_ns + S)
    assert meter.is_overdue(end_ns + S + 1)


def test_a_call_that_was_not_answered_is_never_overdue():
    assert not new_meter().is_overdue(START + 3_600 * S)


def heard(lefts):
    """Return the (seconds left, change) told for these seconds left, one reading after another."""
    warnings = EndWarnings()
    changes = [(left_s, warnings.note(left_s)) for left_s in lefts]
    return [(left_s, change) for left_s, change in changes if change is not None]


GIVEN, TAKEN_BACK = WarningChange.GIVEN, WarningChange.TAKEN_BACK


@pytest.mark.parametrize(
    ("lefts", "told"),
    [
        (range(100, -1, -1), [(60, GIVEN), (30, GIVEN), (10, GIVEN)]),
        (range(61, 50, -1), [(60, GIVEN)]),
        # What begins below a threshold is warned of at the first look, once.
        (range(60, 25, -1), [(60, GIVEN), (30, GIVEN)]),
        (range(45, 25, -1), [(45, GIVEN), (30, GIVEN)]),
        (range(30, 5, -1), [(30, GIVEN), (10, GIVEN)]),
        (range(11, 5, -1), [(11, GIVEN), (10, GIVEN)]),
        (range(10, -1, -1), [(10, GIVEN)]),
        ([3, 2, 8, 3], [(3, GIVEN)]),
        ([9, 80, 60], [(9, GIVEN), (80, TAKEN_BACK), (60, GIVEN)]),
        # A fall past several is warned of once, by what is left.
        ([100, 25, 24], [(25, GIVEN)]),
        ([100, 3], [(3, GIVEN)]),
        # A balance that swings is one fall.
        ([62, 60, 63, 59, 64, 58, 60], [(60, GIVEN)]),
        # Credit that rises takes the warning back; it may come again.
        ([62, 60, 65, 60], [(60, GIVEN), (65, TAKEN_BACK), (60, GIVEN)]),
        (
            [40, 30, 10, 40, 41, 30],
            [(40, GIVEN), (30, GIVEN), (10, GIVEN), (40, TAKEN_BACK), (30, GIVEN)],
        ),
        ([40, 10, 16, 10], [(40, GIVEN), (10, GIVEN), (16, TAKEN_BACK), (10, GIVEN)]),
    ],
)
def test_what_is_told(lefts, told):
    assert heard(lefts) == told


@given(st.lists(st.integers(0, 100), max_size=60))
def test_no_course_breaks_the_promises(lefts):
    told = heard(lefts)
    for (_, before), (_, after) in pairwise(told):
        assert (before, after) != (TAKEN_BACK, TAKEN_BACK)
    if told:
        assert told[0][1] is GIVEN
        assert told[0][0] <= max(THRESHOLDS_S)


@given(st.integers(0, 100), st.lists(st.integers(0, 3), max_size=120))
def test_a_fall_is_warned_of_at_each_threshold_it_passes_once(start, steps):
    lefts = [start]
    for step in steps:
        lefts.append(max(0, lefts[-1] - step))
    told = heard(lefts)
    assert {change for _, change in told} <= {GIVEN}
    if start <= max(THRESHOLDS_S):
        assert told.pop(0) == (start, GIVEN)
    passed = [t for t in THRESHOLDS_S if start > t >= lefts[-1]]
    assert len(told) == len(passed)
    for threshold_s, (left_s, _) in zip(passed, told, strict=True):
        assert threshold_s - 3 < left_s <= threshold_s


@pytest.mark.parametrize("threshold_s", THRESHOLDS_S)
def test_a_swing_below_the_rise_neither_clears_nor_repeats(threshold_s):
    swing = [threshold_s + 1, threshold_s, threshold_s + RISE_S - 1] * 3 + [threshold_s]
    before = [(threshold_s + 1, GIVEN)] if threshold_s < max(THRESHOLDS_S) else []
    assert heard(swing) == [*before, (threshold_s, GIVEN)]
