"""The hold of one call at the spend gate: first, and again where the gate has lost it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from billing.errors import MoneyError
from database.errors import StoreUnavailableError
from gateway.nanoseconds import SECOND_NS
from tests.gateway.stage import CENT, CREDIT
from tests.gateway.virtual_time import virtual_loop
from tests.limits import limits

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


async def test_a_fault_of_the_gate_ends_the_call_in_a_sentence(stage):
    stage.gate.fault = MoneyError("beyond")
    call = stage.call()
    await stage.run(0.1)
    assert call.browser.of("error")[0]["code"] == "internal_error"
    assert call.browser.closed == (1011, "internal_error")
    await stage.until(lambda: stage.released)
    assert stage.carrier.placed == []


# A gate that forgets.


async def test_a_lost_call_is_opened_again_with_all_it_has_used(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(3.5)
    part = stage.gate._of("alice")
    part.calls.clear()
    part.balances["alice"] = CREDIT
    with capture_logs() as logs:
        await stage.run(2)
    assert call.bridge.call.is_live
    (held,) = await stage.gate.open_calls()
    assert held.carrier_call_id == "CA1"
    await stage.run(2)
    call.says(type="hangup")
    await stage.ended(call)
    assert call.end["seconds"] == 8
    assert stage.balance() == CREDIT - 8 * CENT
    assert [line["event"] for line in logs] == ["call lost by the spend gate"]
    assert logs[0]["result"] == "opened"


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


async def test_a_call_that_has_ended_meanwhile_is_not_opened_again(stage):
    """The gate forgets it, and keeps the answer back until the caller has hung up."""
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(3.5)
    open_, release = stage.gate.open, asyncio.Event()

    async def waits(opening):
        await release.wait()
        return await open_(opening)

    stage.gate.open = waits
    part = stage.gate._of("alice")
    part.calls.clear()
    part.balances["alice"] = CREDIT
    await stage.run(2.5)
    call.says(type="hangup")
    await stage.run(0.5)
    release.set()
    await stage.ended(call)
    assert await stage.gate.open_calls() == []
    assert stage.balance() == CREDIT - call.end["seconds"] * CENT


async def test_a_lost_call_that_was_settled_elsewhere_ends(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(3.5)
    part = stage.gate._of("alice")
    del part.calls["c1"]
    call.bridge.charge.reopen()
    part.closed["c1"] = 4 * CENT
    await stage.ended(call)
    assert not call.bridge.call.is_live


# The carrier's id of the call.


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
    await call.bridge.charge.name_carrier_call("CA1")
    assert name_at_gate(stage) == ""
    await stage.run(1.1)
    assert name_at_gate(stage) == "CA1"


async def test_a_name_that_takes_long_to_note_is_told_once(stage):
    await stage.call(media_silence_s=60).answered()
    (part,) = [part for part in stage.gate._partitions if part.calls]
    note, asked, may_answer = stage.gate.name_carrier_call, [], asyncio.Event()

    async def note_slowly(*names):
        asked.append(names)
        await may_answer.wait()
        return await note(*names)

    stage.gate.name_carrier_call = note_slowly
    part.calls["c1"] = replace(part.calls["c1"], carrier_call_id="")
    part.filling = "another"
    await stage.run(4.1)
    assert asked == [("c1", "alice", "CA1")]
    may_answer.set()
    await stage.run(1.1)
    assert name_at_gate(stage) == "CA1"
    assert len(asked) == 1


@pytest.mark.parametrize("state", ["placed", "ringing", "ending"])
@pytest.mark.parametrize("is_lost", [True, False])
async def test_a_call_without_rounds_is_told_again_to_a_gate_filled_anew(stage, state, is_lost):
    """Also one that the book did not know yet: the gate has lost it, and no claim says so."""
    call = stage.call()
    await stage.run(0.2)
    if state == "ringing":
        call.status("ringing")
    elif state == "ending":
        stage.carrier.on_hang_up = ["answered"] * 99
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


async def test_a_call_is_cut_off_at_its_own_cap(stage):
    call = stage.call(limits=limits(call=12 * CENT + 5), media_silence_s=60)
    await call.answered()
    await stage.ended(call)
    assert (call.end["ended_by"], call.end["cut_off"], call.end["seconds"]) == ("limit", "cap", 12)
    assert "spending limit" in call.end["message"]
    assert call.warned == [(11, "cap"), (10, "cap")]
    assert stage.balance() == CREDIT - 12 * CENT


async def test_a_cap_of_the_day_ends_all_calls_of_the_account(stage):
    caps = {"limits": limits(day=40 * CENT, month=4_000 * CENT), "media_silence_s": 60}
    calls = [await stage.call(f"c{n}", **caps).answered() for n in range(2)]
    await stage.ended(*calls)
    assert {call.end["cut_off"] for call in calls} == {"cap"}
    assert sum(call.end["seconds"] for call in calls) == 40
    ends_ns = [call.bridge.call.ended_ns for call in calls]
    assert max(ends_ns) - min(ends_ns) <= 1.5 * SECOND_NS
    assert {cause for call in calls for _, cause in call.warned} == {"cap"}
    later = stage.call("c9", **caps)
    await stage.until(lambda: len(stage.released) == 3)
    assert later.browser.closed == (1008, "cap_reached")


async def test_a_cap_of_the_day_is_warned_of_at_its_seconds(stage):
    call = await stage.call(limits=limits(day=12 * CENT), media_silence_s=60).answered()
    await stage.ended(call)
    assert (call.end["cut_off"], call.end["seconds"]) == ("cap", 12)
    assert call.warned[-1] == (10, "cap")


async def test_a_cap_of_a_key_leaves_other_keys_alone(stage):
    bounds = limits(key_id="k1", key_day=20 * CENT)
    call = await stage.call("c1", key_id="k1", limits=bounds, media_silence_s=99).answered()
    other = stage.call("c2", key_id="k2", media_silence_s=99)
    await other.answered()
    await stage.until(lambda: call.browser.closed)
    assert (call.end["cut_off"], call.end["seconds"]) == ("cap", 20)
    assert other.bridge.call.is_live
    assert other.browser.of("credit")[-1]["remaining_seconds"] > 900


async def test_a_call_below_its_first_second_is_refused_for_its_cap(stage):
    call = stage.call(limits=limits(call=CENT - 1))
    await stage.until(lambda: stage.released)
    assert call.browser.closed == (1008, "cap_reached")
    assert stage.balance() == CREDIT


async def test_a_new_day_is_a_new_cap(stage):
    call = await stage.call(limits=limits(day=40 * CENT), media_silence_s=99).answered()
    charging = call.bridge.charge
    now_ns = virtual_loop().now_ns
    today = datetime.now(UTC).date()
    left = datetime.combine(today + timedelta(days=1), datetime.min.time(), UTC) - datetime.now(UTC)
    (before,) = charging.caps(now_ns)
    (after,) = charging.caps(now_ns + (left // timedelta(microseconds=1) + 2_000_000) * 1000)
    assert before.name == f"account:alice:day:{today}"
    assert after.name == f"account:alice:day:{today + timedelta(days=1)}"
    assert after.limit_micros == 40 * CENT
