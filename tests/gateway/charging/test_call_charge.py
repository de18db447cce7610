"""What one call pays, with everybody else played and time virtual."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from billing.errors import MoneyError, StoreUnavailableError
from billing.ports import Closing, Opening
from billing.rating import Rate
from media import tones
from tests.gateway.stage import CENT, CREDIT, SPEECH_FRAME
from tests.gateway.virtual_time import SECOND_NS, virtual_loop

BEEP = tones.warning_beep()
BEEP_FRAMES = [BEEP[at : at + 160] for at in range(0, len(BEEP), 160)]


# The first hold.


async def test_no_credit_no_call(stage):
    stage.gate.fill(alice=CENT - 1)
    call = stage.call()
    await stage.until(lambda: stage.released)
    assert call.browser.of("error")[0]["code"] == "insufficient_credit"
    assert call.browser.closed == (1008, "insufficient_credit")
    assert stage.carrier.placed == []
    assert "disconnect" not in call.kinds


async def test_a_frozen_account_places_no_call(stage):
    await stage.gate.freeze("alice", True)
    call = stage.call()
    await stage.until(lambda: stage.released)
    assert call.browser.closed == (1008, "account_frozen")


async def test_too_many_calls_of_one_account(stage):
    await stage.call("c1", account_calls_max=1).answered()
    call = stage.call("c2", account_calls_max=1)
    await stage.until(lambda: stage.released)
    assert call.browser.of("error")[0]["code"] == "too_many_calls"


async def test_a_gate_that_is_away_refuses_new_calls(stage):
    stage.gate.is_away = True
    call = stage.call()
    await stage.run(0.1)
    assert call.browser.of("error")[0] == {
        "type": "error",
        "code": "store_unavailable",
        "message": "Credits cannot be checked right now.",
        "action": "Try again in a moment.",
        "retry": True,
    }
    assert call.browser.closed == (1013, "store_unavailable")
    assert stage.carrier.placed == []
    stage.gate.is_away = False
    await stage.until(lambda: stage.released)


async def test_a_hold_whose_answer_was_lost_is_given_back(stage):
    """The credit is set aside and the call counted, though nobody will ever speak on it."""
    stage.gate.loses_answers = True
    call = stage.call()
    await stage.run(0.1)
    assert call.browser.closed == (1013, "store_unavailable")
    assert "O" in [entry.kind for entry in stage.gate._of("alice").outbox.values()]
    stage.gate.loses_answers = False
    await stage.run(30)
    assert stage.balance() == CREDIT
    assert await stage.gate.open_calls("n1") == []
    assert stage.record().seconds == 0


async def test_a_hold_whose_answer_was_lost_is_given_back_when_the_caller_left_too(stage):
    stage.gate.loses_answers = True
    call = stage.call()
    call.says(type="hangup")
    await stage.run(0.1)
    stage.gate.loses_answers = False
    await stage.run(30)
    assert stage.balance() == CREDIT


async def test_a_hold_that_is_placed_after_its_time_out_is_given_back(stage):
    """The request was on its way for longer than anybody waited for it."""
    stage.gate.is_away = True
    call = stage.call()
    await stage.run(0.1)
    stage.gate.is_away = False
    await stage.run(1)
    await stage.gate.open(
        Opening("c1", "alice", "n1", CENT, 8 * CENT, 10, msgspec.json.encode(call.bridge.opened))
    )
    await stage.run(10)
    assert stage.balance() == CREDIT


async def test_a_fault_of_the_gate_ends_the_call_in_a_sentence(stage):
    stage.gate.fault = MoneyError("beyond")
    call = stage.call()
    await stage.run(0.1)
    assert call.browser.of("error")[0]["code"] == "internal_error"
    assert call.browser.closed == (1011, "internal_error")
    await stage.until(lambda: stage.released)
    assert stage.carrier.placed == []


# The end of the credit.


async def test_credit_ends_at_its_last_paid_second(stage):
    stage.gate.fill(alice=5 * CENT)
    await stage.run(0.0137)
    call = await stage.call().answered()
    answered_ns = call.bridge.call.answered_ns
    assert answered_ns % 20_000_000, "between two beats"
    while not call.carrier.closed:
        call.phone_speaks()
        await stage.run(0.02)
    assert 5 * SECOND_NS <= virtual_loop().now_ns - answered_ns < 5 * SECOND_NS + 60_000_000
    assert call.bridge.call.ended_ns == answered_ns + 5 * SECOND_NS, "the cut-off itself, to the ns"
    await stage.until(lambda: stage.released and call.browser.closed)
    assert (call.end["name"], call.end["ended_by"]) == ("ALLOTTED_TIMEOUT", "credit")
    assert (call.end["seconds"], call.end["cost"]["micros"]) == (5, 5 * CENT)
    assert stage.balance() == 0


async def test_a_top_up_moves_the_cut_off(stage):
    stage.gate.fill(alice=5 * CENT)
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(3)
    await stage.gate.credit("alice", 2, 5 * CENT)
    await stage.run(6)
    assert call.bridge.call.is_live
    await stage.until(lambda: stage.released)
    assert stage.record().seconds == 10
    assert stage.balance() == 0


async def test_the_longest_call_ends_at_its_limit(stage):
    call = await stage.call(call_duration_max_s=10, media_silence_s=60).answered()
    await stage.until(lambda: stage.released and call.browser.closed)
    assert (call.end["name"], call.end["ended_by"]) == ("ALLOTTED_TIMEOUT", "limit")
    assert (call.end["cut_off"], stage.record().seconds) == ("duration", 10)
    assert warned(call) == [(9, "duration")]


async def test_a_gate_that_stays_away_costs_no_more_than_the_grace(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(4.5)
    stage.gate.is_away = True
    await stage.run(6)
    assert call.bridge.call.is_live, "the horizon is paid for"
    await stage.until(lambda: call.browser.closed)
    seconds = call.end["seconds"]
    assert (call.end["name"], call.end["ended_by"]) == ("NORMAL_TEMPORARY_FAILURE", "gateway")
    assert 4 + 8 + 6 <= seconds <= 5 + 8 + 6
    await stage.run(30)
    assert stage.released == [], "it waits to be settled"
    stage.gate.is_away = False
    await stage.until(lambda: stage.released)
    assert stage.balance() == CREDIT - seconds * CENT


async def test_a_gate_that_comes_back_in_time_is_not_noticed(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(4.5)
    stage.gate.is_away = True
    await stage.run(10)
    stage.gate.is_away = False
    await stage.run(10)
    call.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert stage.record().seconds == 25
    assert stage.balance() == CREDIT - 25 * CENT


async def test_a_call_that_another_node_settled_ends(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(1.5)
    await stage.gate.close(Closing("c1", "alice", 2 * CENT, 2, b"{}"))
    await stage.run(1)
    assert (call.end["name"], call.end["ended_by"]) == ("NORMAL_TEMPORARY_FAILURE", "gateway")
    await stage.until(lambda: stage.released)
    assert stage.carrier.hung_up == ["CA1"]


async def test_a_free_call_leaves_no_trail_of_timers(stage):
    """Its cut-off is hours away and never moves."""
    await stage.call(rate=Rate(per_minute_micros=0), media_silence_s=60).answered()
    await stage.run(50)
    assert len(stage.ticker._deadlines) < 20


async def test_an_unanswered_call_is_never_charged(stage):
    stage.carrier.on_fetch = "ringing"
    call = stage.call(rate=Rate(per_minute_micros=60 * CENT, connect_fee_micros=CENT))
    await stage.run(5)
    assert call.bridge.used() == (0, 0)
    call.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert stage.balance() == CREDIT


async def ended(stage, *calls):
    """Let time pass until these calls have been settled and told of their end."""
    await stage.until(
        lambda: len(stage.released) == len(calls) and all(c.browser.closed for c in calls), 120
    )


async def test_a_cut_off_is_heard_and_then_told_in_words(stage):
    stage.gate.fill(alice=3 * CENT)
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(3.02)
    assert call.carrier.closed, "the phone is let go at once"
    assert call.browser.of("tone")[-1] == {"type": "tone", "name": "cut-off"}
    await stage.run(1)
    heard = [frame for frame in call.browser.audio if frame not in BEEP_FRAMES]
    assert heard[1:51] == [tones.congestion("US").frame(n) for n in range(50)]
    await ended(stage, call)
    assert call.end["message"] == "The call was cut off because the credit is used up."
    assert call.end["action"] == "Top up the account, then call again."
    assert (call.end["cut_off"], call.end["seconds"]) == ("credit", 3)


async def test_a_top_up_in_the_last_moment_saves_the_call(stage):
    """It comes after the last round that could have seen it, and before the paid second is over."""
    stage.gate.fill(alice=5 * CENT)
    call = await stage.call(media_silence_s=60).answered()
    due_ns = call.bridge.call.answered_ns + 5 * SECOND_NS
    await stage.run((due_ns - virtual_loop().now_ns) / 1e9 - 0.001)
    rounds = len(stage.gate.ticks)
    await stage.gate.credit("alice", 2, 4 * CENT)
    await stage.run(0.05)
    assert call.bridge.call.is_live
    assert len(stage.gate.ticks) == rounds + 1
    await ended(stage, call)
    assert call.end["seconds"] == 9
    assert stage.balance() == 0


@pytest.mark.parametrize("fault", ["away", "slow"])
async def test_no_word_at_the_cut_off_is_a_no(stage, fault):
    """The gate is given 300 ms; nothing beyond the paid second is charged."""
    stage.gate.fill(alice=5 * CENT)
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(4.9)
    if fault == "away":
        stage.gate.is_away = True
    else:
        stage.gate.held_back = held_back = asyncio.Event()
    await stage.run(0.48)
    assert call.carrier.closed
    assert call.bridge.call.ended_ns == call.bridge.call.answered_ns + 5 * SECOND_NS
    stage.gate.is_away = False
    if fault == "slow":
        held_back.set()
    await ended(stage, call)
    assert (call.end["seconds"], call.end["cut_off"]) == (5, "credit")
    assert stage.balance() == 0


async def test_the_longest_call_is_cut_off_without_asking(stage):
    call = await stage.call(call_duration_max_s=10, media_silence_s=60).answered()
    due_ns = call.bridge.call.answered_ns + 10 * SECOND_NS
    await stage.run((due_ns - virtual_loop().now_ns) / 1e9 - 0.001)
    stage.gate.held_back = asyncio.Event()
    await stage.run(0.03)
    assert call.carrier.closed
    stage.gate.held_back.set()
    await ended(stage, call)


async def test_a_frozen_account_has_its_calls_ended(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(2.5)
    await stage.gate.freeze("alice", True)
    await stage.run(1.01)
    await ended(stage, call)
    assert (call.end["name"], call.end["ended_by"]) == ("MANAGER_REQUEST", "operator")
    assert call.end["seconds"] <= 4


# Calls that share an account.


@pytest.mark.parametrize("credit", range(18, 31))
async def test_calls_of_one_account_end_together(stage, credit):
    """Whenever they began, they count down to the same end, and not a second is left unused."""
    stage.gate.fill(alice=credit * CENT)
    calls = []
    for n in range(3):
        changes = {"balance_micros": stage.balance(), "media_silence_s": 60}
        calls.append(await stage.call(f"c{n}", **changes).answered())
        await stage.run(0.3)
    await stage.run(1.02)
    left = [call.browser.of("credit")[-1]["remaining_seconds"] for call in calls]
    assert max(left) - min(left) <= 1
    await ended(stage, *calls)
    ends_ns = [call.bridge.call.ended_ns for call in calls]
    assert max(ends_ns) - min(ends_ns) <= 1.5 * SECOND_NS
    assert sum(call.end["seconds"] for call in calls) == credit
    assert stage.balance() == 0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("credit", [100, 250, 400])
async def test_calls_that_are_answered_first_leave_their_part_to_those_that_ring(
    stage, seed, credit
):
    """Their seconds begin at other moments, and one more or less is whose turn it was."""
    chance = random.Random(seed)
    stage.gate.fill(alice=credit * CENT)
    settings = {"account_calls_max": 20, "media_silence_s": 600}
    calls = [stage.call(f"c{n}", **settings) for n in range(20)]

    async def answer(call):
        await stage.run(chance.random() * 3)
        await call.answered()

    await asyncio.gather(*map(answer, calls))
    await ended(stage, *calls)
    ends_ns = [call.bridge.call.ended_ns for call in calls]
    assert max(ends_ns) - min(ends_ns) <= 2 * SECOND_NS
    assert sum(call.end["seconds"] for call in calls) == credit
    assert stage.balance() == 0


async def test_calls_of_different_price_end_together(stage):
    stage.gate.fill(alice=60 * CENT)
    cheap = await stage.call("c1", balance_micros=60 * CENT, media_silence_s=60).answered()
    rate = Rate(per_minute_micros=180 * CENT)
    dear = stage.call("c2", rate=rate, balance_micros=60 * CENT, media_silence_s=60)
    await dear.answered()
    await ended(stage, cheap, dear)
    assert abs(cheap.bridge.call.ended_ns - dear.bridge.call.ended_ns) <= 1.5 * SECOND_NS
    assert 14 <= dear.end["seconds"] <= 16
    assert stage.balance() < CENT


async def test_two_calls_share_their_accounts_last_credit(stage):
    stage.gate.fill(alice=20 * CENT)
    calls = [await stage.call(f"c{n}", media_silence_s=60).answered() for n in range(2)]
    await ended(stage, *calls)
    assert sum(call.end["seconds"] for call in calls) == 20
    assert stage.balance() == 0


async def test_the_end_of_one_call_prolongs_the_other_at_once(stage):
    stage.gate.fill(alice=16 * CENT)
    one, other = [await stage.call(f"c{n}", media_silence_s=60).answered() for n in range(2)]
    await stage.run(4.5)
    one.says(type="hangup")
    await stage.until(lambda: stage.released)
    await stage.run(0.01)
    (tick,) = stage.gate.ticks[-1][1]
    assert tick.call_id == "c1"
    assert other.bridge._charging.meter.remaining_s(virtual_loop().now_ns) == 16 - 5 - 5
    await stage.until(lambda: other.browser.closed)
    assert other.end["seconds"] == 16 - 5


async def test_a_call_that_rings_holds_a_part_of_what_little_there_is(stage):
    stage.gate.fill(alice=20 * CENT)
    """However many calls come after it: no more than the first increment of so little."""
    stage.call(balance_micros=20 * CENT)
    await stage.run(0.1)
    assert stage.balance() == 19 * CENT


# Warnings.


def warned(call):
    return [(w["seconds_left"], w["cause"]) for w in call.browser.of("credit-warning")]


async def test_the_end_of_the_credit_is_warned_of_three_times(stage):
    stage.gate.fill(alice=65 * CENT)
    call = await stage.call(media_silence_s=99).answered()
    await ended(stage, call)
    assert warned(call) == [(60, "credit"), (30, "credit"), (10, "credit")]
    told = [name for name, _ in stage.notices]
    assert told == ["call.credit_warning"] * 3 + ["call.cut_off"]
    data = {"account_id": "alice", "call_id": "c1", "cause": "credit"}
    assert stage.notices[-2][1] == {**data, "seconds_left": 10}
    assert stage.notices[-1][1] == {**data, "seconds": 65}


async def test_a_warning_is_a_beep_that_the_caller_alone_hears(stage):
    stage.gate.fill(alice=12 * CENT)
    call = await stage.call(media_silence_s=99).answered()
    await stage.until(lambda: warned(call))
    call.browser.forget()
    call.carrier.forget()
    for _ in range(10):
        call.phone_speaks()
        await stage.run(0.02)
    assert [f for f in call.browser.audio if f != SPEECH_FRAME] == BEEP_FRAMES
    assert call.browser.audio[-1] == SPEECH_FRAME, "the phone is heard again"
    assert call.carrier.audio == []


@pytest.mark.parametrize(
    ("seconds", "told"), [(61, [60, 30, 10]), (60, [59, 30, 10]), (45, [44, 30, 10]), (9, [8])]
)
async def test_a_call_short_from_the_start_is_warned_at_once(stage, seconds, told):
    stage.gate.fill(alice=seconds * CENT)
    call = await stage.call(media_silence_s=99).answered()
    await stage.run(1.5)
    assert [left_s for left_s, _ in warned(call)] == told[:1]
    await ended(stage, call)
    assert [left_s for left_s, _ in warned(call)] == told


async def test_a_caller_who_is_back_is_told_of_a_warning_that_holds(stage):
    stage.gate.fill(alice=45 * CENT)
    call = await stage.call(media_silence_s=99, resume_s=15).answered()
    await stage.run(3)
    call.browser.end(1006)
    assert call.returns()
    (told,) = call.browser.of("credit-warning")
    assert (told["cause"], 40 < told["seconds_left"] < 44) == ("credit", True)


async def test_a_top_up_takes_the_warning_back(stage):
    stage.gate.fill(alice=12 * CENT)
    call = await stage.call(media_silence_s=99).answered()
    await stage.until(lambda: (10, "credit") in warned(call))
    await stage.gate.credit("alice", 2, 30 * CENT)
    await stage.run(2)
    (cleared,) = call.browser.of("credit-warning-cleared")
    assert 36 <= cleared["seconds_left"] <= 40
    await ended(stage, call)
    assert [left_s for left_s, _ in warned(call)] == [11, 10, 30, 10]


async def test_the_longest_time_allowed_is_warned_of_too(stage):
    call = await stage.call(call_duration_max_s=33, media_silence_s=99).answered()
    await ended(stage, call)
    assert warned(call) == [(32, "duration"), (30, "duration"), (10, "duration")]
    assert call.end["message"].endswith("as long as a call may.")


async def test_every_call_of_the_account_is_warned_in_the_same_second(stage):
    stage.gate.fill(alice=50 * CENT)
    changes = {"balance_micros": 50 * CENT, "media_silence_s": 99}
    calls = [await stage.call(f"c{n}", **changes).answered() for n in range(3)]
    times_ns = []
    for call in calls:
        await stage.until(lambda call=call: (10, "credit") in warned(call))
        times_ns.append(virtual_loop().now_ns)
    assert times_ns[-1] - times_ns[0] <= SECOND_NS
    await ended(stage, *calls)


# Spend caps.


async def test_a_call_is_cut_off_at_its_own_cap(stage):
    call = stage.call(call_cap_micros=12 * CENT + 5, media_silence_s=60)
    await call.answered()
    await ended(stage, call)
    assert (call.end["ended_by"], call.end["cut_off"], call.end["seconds"]) == ("limit", "cap", 12)
    assert "spending limit" in call.end["message"]
    assert warned(call) == [(11, "cap"), (10, "cap")]
    assert stage.balance() == CREDIT - 12 * CENT


async def test_a_cap_of_the_day_ends_all_calls_of_the_account(stage):
    caps = {"day_cap_micros": 40 * CENT, "month_cap_micros": 4_000 * CENT, "media_silence_s": 60}
    calls = [await stage.call(f"c{n}", **caps).answered() for n in range(2)]
    await ended(stage, *calls)
    assert {call.end["cut_off"] for call in calls} == {"cap"}
    assert sum(call.end["seconds"] for call in calls) == 40
    ends_ns = [call.bridge.call.ended_ns for call in calls]
    assert max(ends_ns) - min(ends_ns) <= 1.5 * SECOND_NS
    assert {cause for call in calls for _, cause in warned(call)} == {"cap"}
    later = stage.call("c9", **caps)
    await stage.until(lambda: len(stage.released) == 3)
    assert later.browser.closed == (1008, "cap_reached")


async def test_a_cap_of_a_key_leaves_other_keys_alone(stage):
    caps = {"key_id": "k1", "key_day_cap_micros": 20 * CENT, "media_silence_s": 99}
    call = await stage.call("c1", **caps).answered()
    other = stage.call("c2", **{**caps, "key_id": "k2", "key_day_cap_micros": None})
    await other.answered()
    await stage.until(lambda: call.browser.closed)
    assert (call.end["cut_off"], call.end["seconds"]) == ("cap", 20)
    assert other.bridge.call.is_live
    assert other.browser.of("credit")[-1]["remaining_seconds"] > 900


async def test_a_call_below_its_first_second_is_refused_for_its_cap(stage):
    call = stage.call(call_cap_micros=CENT - 1)
    await stage.until(lambda: stage.released)
    assert call.browser.closed == (1008, "cap_reached")
    assert stage.balance() == CREDIT


async def test_a_new_day_is_a_new_cap(stage):
    call = await stage.call(day_cap_micros=40 * CENT, media_silence_s=99).answered()
    charging = call.bridge._charging
    now_ns = virtual_loop().now_ns
    today = datetime.now(UTC).date()
    left = datetime.combine(today + timedelta(days=1), datetime.min.time(), UTC) - datetime.now(UTC)
    (before,) = charging.caps(now_ns)
    (after,) = charging.caps(now_ns + (left // timedelta(microseconds=1) + 2_000_000) * 1000)
    assert before.name == f"account:alice:day:{today}"
    assert after.name == f"account:alice:day:{today + timedelta(days=1)}"
    assert after.limit_micros == 40 * CENT


# A gate that forgets, and one that remembers.


async def test_a_lost_call_is_opened_again_with_all_it_has_used(stage, caplog):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(3.5)
    part = stage.gate._of("alice")
    part.calls.clear()
    part.balances["alice"] = CREDIT
    await stage.run(2)
    assert call.bridge.call.is_live
    (held,) = await stage.gate.open_calls()
    assert held.carrier_call_id == "CA1"
    await stage.run(2)
    call.says(type="hangup")
    await ended(stage, call)
    assert call.end["seconds"] == 8
    assert stage.balance() == CREDIT - 8 * CENT
    assert caplog.text.count("lost by the credit store") == 1


async def test_opening_again_is_tried_until_it_succeeds(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(3.5)
    stage.gate._of("alice").calls.clear()
    stage.gate._of("alice").balances["alice"] = CREDIT
    opens, open_ = [], stage.gate.open

    async def fails_twice(opening):
        opens.append(opening)
        stage.gate.is_away = len(opens) < 3
        try:
            return await open_(opening)
        finally:
            stage.gate.is_away = False

    stage.gate.open = fails_twice
    await stage.run(4)
    assert [opening.is_running for opening in opens] == [True] * 3
    assert [held.call_id for held in await stage.gate.open_calls()] == ["c1"]
    assert call.bridge.call.is_live


async def test_a_call_lost_just_before_its_end_is_charged_all_the_same(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(3.5)
    stage.gate._of("alice").calls.clear()
    stage.gate._of("alice").balances["alice"] = CREDIT
    call.says(type="hangup")
    await ended(stage, call)
    assert stage.record().seconds == 4
    assert stage.balance() == CREDIT - 4 * CENT


async def test_the_gate_learns_the_carriers_name_of_the_call(stage):
    call = await stage.call().answered()
    await stage.run(0.1)
    (held,) = await stage.gate.open_calls()
    assert held.carrier_call_id == call.bridge.call.carrier_call_id == "CA1"
    assert held.per_minute_micros == 60 * CENT


async def test_a_name_that_cannot_be_noted_costs_nothing(stage):
    stage.carrier.place_takes_s = 0.5
    call = stage.call()
    await stage.run(0.2)
    stage.gate.is_away = True
    await stage.run(0.5)
    stage.gate.is_away = False
    await call.answered()
    assert call.bridge.call.is_live


# A gate that was filled anew, a process that stood still.


def name_at_gate(stage):
    (part,) = [part for part in stage.gate._partitions if part.calls]
    return next(iter(part.calls.values())).carrier_call_id


async def test_a_gate_filled_from_the_book_is_told_the_carriers_name_again(stage):
    await stage.call(media_silence_s=60).answered()
    (part,) = [part for part in stage.gate._partitions if part.calls]
    assert name_at_gate(stage) == "CA1"
    part.calls["c1"] = replace(part.calls["c1"], carrier_call_id="")
    await stage.run(2)
    # It is the same filling: it must have heard.
    assert name_at_gate(stage) == ""
    part.filling = "another"
    await stage.run(1.1)
    assert name_at_gate(stage) == "CA1"


async def test_a_name_that_could_not_be_noted_is_told_in_the_next_round(stage):
    call = await stage.call(media_silence_s=60).answered()
    (part,) = [part for part in stage.gate._partitions if part.calls]
    part.calls["c1"] = replace(part.calls["c1"], carrier_call_id="")
    stage.gate.fault = StoreUnavailableError("the spend gate is away")
    await call.bridge._charging.name_carrier_call("CA1")
    assert name_at_gate(stage) == ""
    await stage.run(1.1)
    assert name_at_gate(stage) == "CA1"


@pytest.mark.parametrize("state", ["placed", "ringing", "ending"])
@pytest.mark.parametrize("is_lost", [True, False])
async def test_a_call_without_rounds_is_told_again_to_a_gate_filled_anew(stage, state, is_lost):
    """Also one that the book did not know yet: the gate has lost it, and no claim says so."""
    call = stage.call()
    await stage.run(0.2)
    if state == "ringing":
        call.status("ringing")
    elif state == "ending":
        stage.carrier.on_hang_up = ["in-progress"] * 99
        call.says(type="hangup")
    await stage.run(0.1)
    assert name_at_gate(stage) == "CA1"
    (part,) = [part for part in stage.gate._partitions if part.calls]
    held_micros = part.calls["c1"].held_micros
    if is_lost:
        del part.calls["c1"]
        part.balances["alice"] = CREDIT
    else:
        part.calls["c1"] = replace(part.calls["c1"], carrier_call_id="")
    part.filling = "another"
    for _ in range(2):
        await stage.metering.remind()
        await stage.run(0.1)
    assert name_at_gate(stage) == "CA1"
    assert CREDIT - stage.balance() == part.calls["c1"].held_micros <= held_micros
    call.says(type="hangup")
    await stage.until(lambda: stage.released, 70)
    assert stage.balance() == CREDIT
    await stage.metering.remind()
    await stage.run(0.1)
    assert stage.metering._held == part.calls == {}


@pytest.mark.parametrize("stood_still_s", [16, 600])
async def test_a_process_that_stood_still_past_a_calls_end_cuts_it_there(stage, stood_still_s):
    """Nothing is claimed first, although there is credit enough."""
    call = await stage.call(media_silence_s=3_600).answered()
    await stage.run(2.5)
    held = stage.gate.ticks[-1][1][0].want_micros
    stage.gate.ticks.clear()
    virtual_loop().now_ns += stood_still_s * SECOND_NS
    await ended(stage, call)
    assert stage.gate.ticks == []
    assert (call.end["ended_by"], call.end["cut_off"]) == ("gateway", None)
    assert call.end["seconds"] * CENT == held
    assert stage.balance() == CREDIT - held


async def test_a_spent_call_that_is_found_late_ended_for_want_of_credit(stage):
    stage.gate.fill(alice=5 * CENT)
    call = await stage.call(media_silence_s=3_600).answered()
    await stage.run(4.5)
    virtual_loop().now_ns += 30 * SECOND_NS
    await stage.gate.credit("alice", 2, CREDIT)
    await ended(stage, call)
    assert (call.end["seconds"], call.end["cut_off"]) == (5, "credit")
    assert stage.balance() == CREDIT
