"""What an ended call costs in the end, whatever the spend gate has missed or lost."""

import msgspec

from billing.ports import Closing, Opening
from tests.gateway.stage import CENT, CREDIT


async def test_a_call_that_another_node_settled_ends(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(1.5)
    await stage.gate.close(Closing("c1", "alice", 2 * CENT, 2, b"{}"))
    await stage.run(1)
    assert (call.end["name"], call.end["ended_by"]) == ("NORMAL_TEMPORARY_FAILURE", "gateway")
    assert (call.end["seconds"], call.end["cost"]) == (None, None), "not what this node counted"
    await stage.until(lambda: stage.released)
    assert call.bridge.used() == (2, 2 * CENT)
    assert stage.carrier.hung_up == ["CA1"]


async def test_a_call_lost_just_before_its_end_is_charged_all_the_same(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(3.5)
    stage.gate._of("alice").calls.clear()
    stage.gate._of("alice").balances["alice"] = CREDIT
    call.says(type="hangup")
    await stage.ended(call)
    assert stage.record().seconds == 4
    assert stage.balance() == CREDIT - 4 * CENT


# First holds that nobody answered for.


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
