"""Money that comes, goes back and is disputed: booked once, and at the gate whatever happens."""

import asyncio

import pytest

from billing.ports import CreditResult
from database.errors import StoreUnavailableError
from gateway.charging.recovery import bring_credits
from tests.limits import limits
from tests.money.ledger_world import CENT, HORIZON_S, UNIT


async def add(world, micros, reference, kind="top-up"):
    return await world.book.add_credit("alice", micros, reference=reference, kind=kind)


async def test_a_payment_told_eight_times_at_once_is_one_credit(world):
    sequences = await asyncio.gather(*(add(world, 5 * UNIT, "pi:1") for _ in range(8)))
    assert sorted(sequences, key=str) == [2] + [None] * 7
    await asyncio.gather(*(bring_credits(world.gate, world.book, "alice") for _ in range(4)))
    assert await world.gate.balance("alice") == 55 * UNIT
    again = await world.gate.credit("alice", 2, 5 * UNIT)
    assert again is CreditResult.DUPLICATE
    assert await world.gate.credit("alice", 4, 5 * UNIT) is CreditResult.GAP
    assert await world.gate.balance("alice") == 55 * UNIT
    assert await world.findings() == []


async def test_credits_that_a_crash_kept_from_the_gate_are_brought_in_order(world):
    """Booked, and then the process died; another credit came by, and a third that was refunded."""
    call = await world.call("c1")
    await add(world, 3 * UNIT, "pi:2")
    await add(world, 2 * UNIT, "pi:3")
    await add(world, -2 * UNIT, "re:3", kind="refund")
    held = HORIZON_S * CENT
    assert await world.gate.balance("alice") == 50 * UNIT - held
    assert await world.gate.credit("alice", 3, 2 * UNIT) is CreditResult.GAP
    await world.reconcile()
    assert await world.gate.balance("alice") == 53 * UNIT - held
    assert await world.gate.credit_sequence("alice") == 4
    assert await world.findings() == []
    await world.hang_up(call)
    await world.assert_in_order()


async def test_credit_in_the_last_second_saves_the_call(new_world, valkey_url):
    world = new_world(valkey_url)
    await world.open_accounts(alice=10 * CENT)
    call = await world.call("c1")
    await world.pass_seconds(9)
    # Booked and brought to the gate only; the call itself asks again at its end.
    await add(world, 10 * CENT, "pi:late")
    await bring_credits(world.gate, world.book, "alice")
    await world.pass_seconds(5)
    assert call.is_live
    await world.pass_seconds(10)
    assert (call.is_live, call.seconds, call.end.ended_by) == (False, 20, "credit")
    await world.assert_in_order()


async def test_a_refund_takes_back_what_a_call_has_not_used(new_world, valkey_url):
    world = new_world(valkey_url)
    await world.open_accounts(alice=100 * CENT)
    call = await world.call("c1")
    await world.pass_seconds(10)
    await world.credit("alice", -70 * CENT, "re:1", kind="refund")
    assert await world.findings() == []
    while call.is_live:
        await world.pass_seconds()
        assert await world.lowest_balance() >= 0
    assert call.seconds == 30
    await world.assert_in_order()


async def test_a_dispute_may_take_more_than_there_is_and_then_nobody_calls(world):
    """Only the book's own reversals go below zero; calls never do."""
    call = await world.call("c1")
    await world.pass_seconds(10)
    await world.credit("alice", -60 * UNIT, "du:1", kind="dispute")
    debt = -10 * UNIT - 18 * CENT
    assert await world.gate.balance("alice") == debt
    assert await world.findings() == []
    assert (await world.call("c2")).refusal == "insufficient_credit"
    await world.pass_seconds(20)
    # It had paid for so much in advance.
    assert (call.is_live, call.seconds) == (False, 18)
    assert await world.gate.balance("alice") == debt
    await world.credit("alice", 60 * UNIT, "du:1:won", kind="dispute")
    assert not (await world.call("c3")).refusal
    await world.hang_up(*world.live)
    await world.assert_in_order()


async def test_the_account_of_a_running_call_is_frozen(world):
    """The call ends within a second and is charged; nobody calls until the account is thawed."""
    call = await world.call("c1")
    await world.pass_seconds(4)
    # The process died before it told the gate.
    await world.book.freeze("alice", True)
    await world.pass_seconds()
    assert call.is_live
    await world.reconcile()
    await world.pass_seconds()
    assert (call.is_live, call.seconds, call.end.ended_by) == (False, 6, "operator")
    assert (await world.call("c2")).refusal == "account_frozen"
    assert await world.findings() == []
    await world.book.freeze("alice", False)
    await world.reconcile()
    assert not (await world.call("c3")).refusal
    await world.hang_up(*world.live)
    await world.assert_in_order()


async def test_an_account_that_is_gone_from_the_gate_in_mid_call(world):
    """Its rows were deleted by mistake; the book has them, and the call goes on."""
    call = await world.call("c1")
    await world.pass_seconds(4)
    await world.drainer.drain_once()
    partition, client = world.gate.partition("alice"), world.nodes[0].client
    for name in ("bal", "cseq", "call", "own"):
        await client.hdel(f"{{cr:{partition}}}:{name}", "alice", "c1")
    await client.hdel(f"{{cr:{partition}}}:meta", "ready")
    with pytest.raises(StoreUnavailableError):
        await world.gate.balance("alice")
    await world.reconcile()
    await world.pass_seconds(2)
    assert await world.findings() == []
    await world.hang_up(call)
    assert await world.gate.balance("alice") == 50 * UNIT - 6 * CENT
    await world.assert_in_order()


async def test_what_a_call_gives_back_is_room_under_its_cap(world):
    """Calls of a day under a cap, one after another: the cap counts what they cost."""
    terms = {"limits": limits(day=20 * CENT)}
    first = await world.call("c1", **terms)
    await world.pass_seconds(5)
    await world.hang_up(first)
    second = await world.call("c2", **terms)
    await world.pass_seconds(5)
    await world.hang_up(second)
    third = await world.call("c3", **terms)
    await world.pass_seconds(20)
    assert (third.seconds, third.end.ended_by) == (10, "limit")
    assert (await world.call("c4", **terms)).refusal == "cap_reached"
    (cap,) = limits(day=20 * CENT).caps(world.date())
    state = await world.gate.snapshot(world.gate.partition("alice"))
    assert state.spent == [(cap.name, 20 * CENT)]
    await world.assert_in_order()
