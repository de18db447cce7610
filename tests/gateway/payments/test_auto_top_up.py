"""Saved cards are charged when credit runs low: once, as much as allowed, and no more in vain."""

import asyncio
from datetime import timedelta

import pytest

from billing.payments import AutoRefusal, PaymentState
from gateway.errors import PaymentError, RequestRefusedError
from gateway.payments import auto_top_up
from tests.gateway.payments.conftest import UNIT, until

LOW = 4 * UNIT


@pytest.fixture
async def wished(shop):
    """Alice has paid once, saved her card, and wishes 25 when less than 5 is left."""
    await shop.paid(units=10, save_card=True)
    await shop.payments.set_auto(
        "alice", enabled=True, threshold_micros=5 * UNIT, amount_micros=25 * UNIT
    )
    shop.events.clear()
    return shop


async def card_does(shop, behaviour):
    """Let the saved card behave so from now on."""
    profile = await shop.store.profile("alice")
    await shop.does("PUT", f"/payment_methods/{profile.payment_method_id}", behaviour=behaviour)


async def test_a_low_balance_is_topped_up(wished):
    payment = await wished.auto.maybe_top_up("alice", LOW)
    assert (payment.kind, payment.state, payment.micros) == ("auto", PaymentState.PAID, 25 * UNIT)
    assert await wished.balance() == 35
    assert wished.event_names() == ["payment.received"]
    intent = (await wished.objects("payment_intents"))[0]
    assert intent["metadata"] == {"account": "alice", "payment": payment.id}
    assert intent["receipt_email"] is None
    await wished.payments.book_object("payment_intent", intent["id"])
    assert await wished.balance() == 35


async def test_who_wishes_nothing_or_has_enough_pays_nothing(wished):
    assert await wished.auto.maybe_top_up("bob", 0) is AutoRefusal.OFF
    assert await wished.auto.maybe_top_up("alice", 5 * UNIT) is AutoRefusal.ENOUGH_CREDIT
    await wished.ledger.freeze("alice", True)
    assert await wished.auto.maybe_top_up("alice", LOW) is AutoRefusal.FROZEN
    assert len(await wished.objects("payment_intents")) == 1


async def test_many_nodes_at_once_charge_once(wished):
    outcomes = await asyncio.gather(*(wished.auto.maybe_top_up("alice", LOW) for _ in range(6)))
    assert sum(not isinstance(each, AutoRefusal) for each in outcomes) == 1
    assert await wished.balance() == 35


async def test_charges_are_paced_and_capped(wished):
    for _ in range(4):
        assert not isinstance(await wished.auto.maybe_top_up("alice", LOW), AutoRefusal)
        assert await wished.auto.maybe_top_up("alice", LOW) is AutoRefusal.PAUSED
        wished.clock.ahead += timedelta(seconds=61)
    assert await wished.auto.maybe_top_up("alice", LOW) is AutoRefusal.DAY_CAP
    wished.clock.ahead += timedelta(hours=24)
    assert not isinstance(await wished.auto.maybe_top_up("alice", LOW), AutoRefusal)
    assert await wished.balance() == 10 + 5 * 25


async def test_a_card_that_wants_its_owner_is_left_alone_and_the_owner_is_told(wished):
    await card_does(wished, "authentication_required")
    payment = await wished.auto.maybe_top_up("alice", LOW)
    assert (payment.state, payment.failure) == (PaymentState.FAILED, "authentication_required")
    profile = await wished.store.profile("alice")
    assert (profile.auto_enabled, profile.auto_off_reason) == (False, "authentication_required")
    ((name, event),) = wished.events
    assert (name, event["reason"]) == ("auto_top_up.off", "authentication_required")
    link = (await wished.objects("checkout.sessions"))[0]
    assert (event["url"], link["amount_total"]) == (link["url"], 2_500)
    assert await wished.auto.maybe_top_up("alice", LOW) is AutoRefusal.OFF
    assert await wished.balance() == 10


@pytest.mark.parametrize("reason", ["stolen_card", "expired_card"])
async def test_a_dead_card_is_not_tried_again(wished, reason):
    await card_does(wished, reason)
    await wished.auto.maybe_top_up("alice", LOW)
    profile = await wished.store.profile("alice")
    assert (profile.auto_enabled, profile.auto_off_reason) == (False, reason)


async def test_an_empty_card_is_tried_again_ever_later_and_then_no_more(wished):
    await card_does(wished, "insufficient_funds")
    for pause_s in (121, 241):
        payment = await wished.auto.maybe_top_up("alice", LOW)
        assert payment.state is PaymentState.FAILED
        wished.clock.ahead += timedelta(seconds=pause_s - 2)
        assert await wished.auto.maybe_top_up("alice", LOW) is AutoRefusal.PAUSED
        wished.clock.ahead += timedelta(seconds=2)
    await wished.auto.maybe_top_up("alice", LOW)
    assert wished.event_names() == [*["auto_top_up.failed"] * 2, "auto_top_up.off"]
    assert (await wished.store.profile("alice")).auto_off_reason == "insufficient_funds"


async def test_a_card_that_the_service_has_lost_is_forgotten(wished):
    await wished.store.save_card("alice", "cus_gone", "pm_gone")
    payment = await wished.auto.maybe_top_up("alice", LOW)
    assert payment.state is PaymentState.FAILED
    profile = await wished.store.profile("alice")
    assert (profile.has_card, profile.auto_off_reason) == (False, "card_gone")


async def test_a_fault_of_ours_does_not_switch_anything_off(wished):
    await wished.does("PUT", "/faults", requests={"status": 401, "count": 1})
    payment = await wished.auto.maybe_top_up("alice", LOW)
    assert payment.state is PaymentState.FAILED
    assert (await wished.store.profile("alice")).auto_enabled
    assert wished.event_names() == ["auto_top_up.failed"]


@pytest.mark.parametrize("is_carried_out", [False, True])
async def test_a_charge_without_an_answer_is_found_out_and_made_once(
    wished, is_carried_out, monkeypatch
):
    monkeypatch.setattr(wished.service, "_timeout_s", 0.5)
    fault = {"count": 1, "path": "/v1/payment_intents", "method": "POST"}
    fault |= {"hold_s": 5} if is_carried_out else {"status": 503, "count": 9}
    await wished.does("PUT", "/faults", requests=fault)
    with pytest.raises(PaymentError) as unknown:
        await wished.auto.maybe_top_up("alice", LOW)
    assert unknown.value.retryable
    wished.clock.ahead += timedelta(seconds=61)
    # Nobody charges again before it is known.
    assert await wished.auto.maybe_top_up("alice", LOW) is AutoRefusal.IN_FLIGHT
    await wished.does("DELETE", "/faults")
    monkeypatch.undo()
    await wished.reconciler.reconcile()
    assert await wished.balance() == 35
    assert len(await wished.objects("charges")) == 2


async def test_a_charge_that_is_too_old_to_be_known_again_is_given_up(wished):
    payment = await wished.store.begin_charge(
        "alice", "pay_old", lambda profile, history: 25 * UNIT, wished.auto._write
    )
    wished.clock.ahead += timedelta(hours=21)
    payment = await wished.auto.charge(payment)
    assert (payment.state, payment.failure) == (PaymentState.FAILED, "abandoned")
    assert await wished.balance() == 10


# -- in the background ---------------------------------------------------------------------------


async def test_a_second_of_a_call_waits_for_nothing(wished):
    wished.auto.consider("alice", LOW)
    wished.auto.consider("alice", LOW)

    async def is_topped_up():
        return await wished.balance() == 35

    await until(is_topped_up)
    assert len(await wished.objects("charges")) == 2


async def test_what_was_found_is_believed_for_a_while(wished):
    asked = []
    profile = wished.store.profile

    async def counting(account_id):
        asked.append(account_id)
        return await profile(account_id)

    wished.store.profile = counting
    for account_id, balance in (("alice", 6 * UNIT), ("bob", 0)):
        for _ in range(3):
            wished.auto.consider(account_id, balance)
            await asyncio.gather(*wished.auto._work)
    assert asked == ["alice", "bob"]
    wished.clock.ahead += auto_top_up.ASK_AGAIN
    wished.auto.consider("bob", 0)
    wished.auto.forget("alice")
    wished.auto.consider("alice", 6 * UNIT)
    await asyncio.gather(*wished.auto._work)
    assert asked == ["alice", "bob", "bob", "alice"]


async def test_a_balance_below_what_is_set_is_not_kept_waiting(wished):
    wished.auto.consider("alice", 6 * UNIT)
    await asyncio.gather(*wished.auto._work)
    wished.auto.consider("alice", LOW)
    await asyncio.gather(*wished.auto._work)
    assert await wished.balance() == 35


async def test_what_is_remembered_and_under_way_is_bounded(wished, monkeypatch):
    monkeypatch.setattr(auto_top_up, "ACCOUNTS_MAX", 3)
    for number in range(20):
        wished.auto.consider(f"nobody-{number}", 0)
    assert len(wished.auto._work) == auto_top_up.WORK_MAX
    assert len(wished.auto._thresholds) == 3
    await asyncio.gather(*wished.auto._work)


async def test_stopping_leaves_the_rest_to_the_reconciler(wished):
    await wished.does("PUT", "/faults", requests={"hold_s": 30, "count": 1})
    wished.auto.consider("alice", LOW)

    async def is_begun():
        return (await wished.store.history("alice")).is_in_flight

    await until(is_begun)
    await wished.auto.stop()
    await wished.does("DELETE", "/faults")
    wished.clock.ahead += timedelta(seconds=61)
    await wished.reconciler.reconcile()
    assert await wished.balance() == 35


# One tap on the saved card.


async def test_a_tap_charges_the_saved_card_once(shop):
    await shop.paid(units=10, save_card=True)
    first, again = [await shop.auto.charge_now("alice", 25 * UNIT, "tap") for _ in range(2)]
    assert (first.kind, first.state, first.micros) == ("saved", PaymentState.PAID, 25 * UNIT)
    assert again.id == first.id
    assert await shop.balance() == 35
    intent = (await shop.objects("payment_intents"))[0]
    assert intent["description"] == "Top-up of calling credit by saved card"
    await shop.check()


async def test_taps_of_many_nodes_at_once_charge_once(shop):
    await shop.paid(units=10, save_card=True)

    def tap(key):
        return shop.auto.charge_now("alice", 25 * UNIT, key)

    # First, while the day's limit is whole: six of one key are one charge.
    await asyncio.gather(*(tap("same") for _ in range(6)))
    assert await shop.balance() == 35
    taps = [tap(f"tap-{n}") for n in range(6)]
    outcomes = await asyncio.gather(*taps, return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, RequestRefusedError)]
    assert {each.code for each in refused} <= {"charge_in_flight", "card_limit_reached"}
    charged = (await shop.balance() - 35) / 25
    # Each that was let in found the outcome of the one before it booked.
    assert charged == len(await shop.objects("charges")) - 2 >= 1


async def test_a_declined_tap_says_why_and_switches_nothing_off(wished):
    await card_does(wished, "authentication_required")
    payment = await wished.auto.charge_now("alice", 25 * UNIT, "tap")
    assert (payment.state, payment.failure) == (PaymentState.FAILED, "authentication_required")
    assert (await wished.store.profile("alice")).auto_enabled
    assert wished.events == []
    assert await wished.auto.charge_now("alice", 25 * UNIT, "tap") == payment
    assert await wished.balance() == 10


async def test_a_tap_on_a_card_that_the_service_has_lost_forgets_it(shop):
    await shop.store.save_card("alice", "cus_gone", "pm_gone")
    payment = await shop.auto.charge_now("alice", 25 * UNIT, "tap")
    assert payment.state is PaymentState.FAILED
    assert not (await shop.store.profile("alice")).has_card


@pytest.mark.parametrize(
    ("units", "code"), [(4, "amount_out_of_range"), (101, "card_limit_reached")]
)
async def test_a_tap_is_bounded(wished, units, code):
    with pytest.raises(RequestRefusedError) as refused:
        await wished.auto.charge_now("alice", units * UNIT, "tap")
    assert refused.value.code == code


async def test_taps_and_automatic_charges_share_the_day(wished):
    await wished.auto.charge_now("alice", 90 * UNIT, "tap")
    wished.clock.ahead += timedelta(seconds=61)
    assert await wished.auto.maybe_top_up("alice", LOW) is AutoRefusal.DAY_CAP


async def test_who_has_no_card_or_is_frozen_cannot_tap(shop):
    for expected in ("no_saved_card", "account_frozen"):
        with pytest.raises(RequestRefusedError) as refused:
            await shop.auto.charge_now("bob", 25 * UNIT, "tap")
        assert refused.value.code == expected
        await shop.ledger.freeze("bob", True)


async def test_a_key_of_another_payment_charges_nothing(shop):
    await shop.paid(units=10, save_card=True)
    await shop.auto.charge_now("alice", 25 * UNIT, "tap")
    with pytest.raises(RequestRefusedError) as refused:
        await shop.auto.charge_now("alice", 30 * UNIT, "tap")
    assert refused.value.code == "payment_key_reused"
    assert await shop.balance() == 35


async def test_the_key_of_a_charge_opens_no_page_and_that_of_a_page_charges_nothing(shop):
    """One key is one payment: a second one would take the money, and could not be credited."""
    await shop.paid(units=10, save_card=True)
    opened = len(await shop.objects("checkout.sessions"))
    await shop.auto.charge_now("alice", 25 * UNIT, "k1")
    with pytest.raises(RequestRefusedError) as refused:
        await shop.payments.start_checkout("alice", 25 * UNIT, key="k1")
    assert refused.value.code == "payment_key_reused"
    assert len(await shop.objects("checkout.sessions")) == opened
    await shop.payments.start_checkout("alice", 25 * UNIT, key="k2")
    with pytest.raises(RequestRefusedError) as refused:
        await shop.auto.charge_now("alice", 25 * UNIT, "k2")
    assert refused.value.code == "payment_key_reused"
    assert await shop.balance() == 35


@pytest.mark.parametrize("is_carried_out", [False, True])
async def test_a_tap_without_an_answer_is_found_out_by_the_next_and_made_once(
    shop, is_carried_out, monkeypatch
):
    await shop.paid(units=10, save_card=True)
    monkeypatch.setattr(shop.service, "_timeout_s", 0.5)
    fault = {"count": 1, "path": "/v1/payment_intents", "method": "POST"}
    fault |= {"hold_s": 5} if is_carried_out else {"status": 503, "count": 9}
    await shop.does("PUT", "/faults", requests=fault)
    unknown = await shop.auto.charge_now("alice", 25 * UNIT, "tap")
    assert unknown.state is PaymentState.CREATED
    with pytest.raises(RequestRefusedError):
        await shop.auto.charge_now("alice", 25 * UNIT, "another tap")
    await shop.does("DELETE", "/faults")
    monkeypatch.undo()
    paid = await shop.auto.charge_now("alice", 25 * UNIT, "tap")
    assert (paid.id, paid.state) == (unknown.id, PaymentState.PAID)
    assert await shop.balance() == 35
    assert len(await shop.objects("charges")) == 2


async def test_a_tap_without_an_answer_is_found_out_by_the_reconciler(shop, monkeypatch):
    await shop.paid(units=10, save_card=True)
    await shop.does(
        "PUT",
        "/faults",
        requests={"count": 9, "path": "/v1/payment_intents", "method": "POST", "status": 503},
    )
    await shop.auto.charge_now("alice", 25 * UNIT, "tap")
    await shop.does("DELETE", "/faults")
    shop.clock.ahead += timedelta(seconds=61)
    await shop.reconciler.reconcile()
    assert await shop.balance() == 35
