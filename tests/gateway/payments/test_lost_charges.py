"""A saved card whose charge got no answer is charged once, whatever changes before it is known."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from billing.payments import REPEATED_MAX, SETTLED_AFTER, AutoRefusal, Payment, PaymentState
from billing.stores import saved_cards, tables
from database.engine import writing
from gateway.errors import PaymentError, RequestRefusedError
from gateway.payments import stripe_objects
from gateway.payments.ports import Charge
from gateway.payments.service import payment_id_of
from tests.gateway.payments.conftest import UNIT

LOW = 4 * UNIT
LATER = timedelta(seconds=61)
INTENTS = {"path": "/v1/payment_intents", "method": "POST"}


@pytest.fixture
async def card(shop):
    """Alice has saved a card, and wishes 25 when less than 5 is left."""
    await shop.paid(units=10, save_card=True)
    await shop.payments.set_auto(
        "alice", enabled=True, threshold_micros=5 * UNIT, amount_micros=25 * UNIT
    )
    shop.events.clear()
    return shop


@pytest.fixture
async def lost(card, monkeypatch):
    """The service has charged 25, and its answer was lost; nobody hears its events."""
    await lose_answer(card, monkeypatch)
    assert (await card.auto.charge_now("alice", 25 * UNIT, "tap")).state is PaymentState.CREATED
    await card.does("DELETE", "/faults")
    return card


async def lose_answer(shop, monkeypatch):
    monkeypatch.setattr(shop.service, "_timeout_s", 0.3)
    await shop.does("PUT", "/faults", requests={**INTENTS, "hold_s": 60, "count": 1})


async def charges(shop):
    """Return how often the saved card was charged."""
    intents = await shop.objects("payment_intents")
    return sum(bool(each["description"]) and bool(each["amount_received"]) for each in intents)


async def request_of(shop, key="tap"):
    return await shop.store.charge_request(payment_id_of("alice", key))


async def set_account(shop, **values):
    async with writing(shop.engine, 5) as connection:
        row = sa.update(tables.accounts).where(tables.accounts.c.id == "alice")
        await connection.execute(row.values(**values))


# -- what may change between the first request and its repetition --------------------------------


async def another_address(shop):
    await set_account(shop, email="alice@elsewhere.example")


async def another_payer(shop):
    profile = await shop.store.profile("alice")
    await shop.store.save_card(
        "alice", profile.customer_id, profile.payment_method_id, "bob@example.com"
    )


async def another_card(shop):
    profile = await shop.store.profile("alice")
    await shop.store.save_card("alice", profile.customer_id, "pm_other")


async def another_customer(shop):
    await shop.store.save_card("alice", "cus_other", "pm_other")


async def no_card(shop):
    await shop.payments.forget_card("alice")


async def other_limits(shop):
    await set_account(shop, day_cap_micros=UNIT, month_cap_micros=UNIT)
    await shop.payments.set_auto(
        "alice", enabled=True, threshold_micros=6 * UNIT, amount_micros=30 * UNIT
    )


async def other_words(shop):
    """Another release describes charges otherwise."""
    for kind in stripe_objects._DESCRIPTIONS:
        stripe_objects._DESCRIPTIONS[kind] += "!"


async def other_shape(shop):
    """Another release asks for more in the same request."""
    shop.service.charge_request = lambda charge: '{"amount": 1}'


async def nothing(shop):
    pass


CHANGES = [
    nothing,
    another_address,
    another_payer,
    another_card,
    another_customer,
    no_card,
    other_limits,
    other_words,
    other_shape,
]


@pytest.fixture
def words(monkeypatch):
    monkeypatch.setattr(stripe_objects, "_DESCRIPTIONS", dict(stripe_objects._DESCRIPTIONS))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.usefixtures("words")
async def test_a_tap_that_is_repeated_is_the_first_one_whatever_changed(lost, change):
    await change(lost)
    paid = await lost.auto.charge_now("alice", 25 * UNIT, "tap")
    assert (paid.state, await lost.balance(), await charges(lost)) == (PaymentState.PAID, 35, 1)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.usefixtures("words")
async def test_a_request_is_sent_again_as_it_was_whatever_changed(card, change, monkeypatch):
    """The service answers neither by list nor by event: only the repetition itself can tell."""
    await lose_answer(card, monkeypatch)
    begun = await card.auto.charge_now("alice", 25 * UNIT, "tap")
    await card.does("DELETE", "/faults")
    await change(card)

    async def knows_none(payment, request):
        return None

    monkeypatch.setattr(card.service, "find_charge", knows_none)
    paid = await card.auto.charge(begun)
    assert (paid.state, await card.balance(), await charges(card)) == (PaymentState.PAID, 35, 1)


@pytest.mark.parametrize("change", [another_address, another_card, no_card])
async def test_an_automatic_charge_is_found_out_without_any_event(card, change, monkeypatch):
    await lose_answer(card, monkeypatch)
    with pytest.raises(PaymentError):
        await card.auto.maybe_top_up("alice", LOW)
    # Neither webhooks nor the list of events say anything from now on.
    await card.does("PUT", "/faults", requests={"path": "/v1/events", "status": 500, "count": 99})
    await change(card)
    for _ in range(3):
        card.clock.ahead += LATER
        with pytest.raises(PaymentError):
            await card.reconciler.reconcile()
    assert (await card.balance(), await charges(card)) == (35, 1)
    history = await card.store.history("alice")
    assert (history.charged_micros, history.failures, history.is_in_flight) == (25 * UNIT, 0, False)


async def test_another_tap_waits_until_it_is_known_and_counts_what_was_charged(lost):
    with pytest.raises(RequestRefusedError) as refused:
        await lost.auto.charge_now("alice", 25 * UNIT, "other")
    assert refused.value.code == "charge_in_flight"
    lost.clock.ahead += LATER
    await lost.reconciler.reconcile()
    with pytest.raises(RequestRefusedError) as refused:
        await lost.auto.charge_now("alice", 76 * UNIT, "other")
    assert refused.value.code == "card_limit_reached"
    assert (await lost.balance(), await charges(lost)) == (35, 1)


# -- what the service says of a key ---------------------------------------------------------------


async def test_a_key_of_another_request_is_no_decline(card):
    """The book was restored from a copy that lacks the payment: its tap comes again."""
    profile, now = await card.store.profile("alice"), card.clock()
    gone = Payment(
        payment_id_of("alice", "tap"),
        "alice",
        "saved",
        25 * UNIT,
        "USD",
        PaymentState.CREATED,
        now,
        now,
    )
    before = Charge(gone, 2_500, profile.customer_id, profile.payment_method_id)
    await card.service.charge(gone.id, card.service.charge_request(before))
    await another_card(card)
    card.clock.ahead += timedelta(hours=3)
    paid = await card.auto.charge_now("alice", 25 * UNIT, "tap")
    assert (paid.state, await card.balance(), await charges(card)) == (PaymentState.PAID, 35, 1)


async def test_a_key_in_use_leaves_it_pending_at_any_age(card, monkeypatch):
    await lose_answer(card, monkeypatch)
    begun = await card.auto.charge_now("alice", 25 * UNIT, "tap")
    card.clock.ahead += SETTLED_AFTER * 2

    async def knows_none(payment, request):
        return None

    with monkeypatch.context() as patched:
        patched.setattr(card.service, "find_charge", knows_none)
        patched.setattr(card.service, "_timeout_s", 20)
        assert (await card.auto.charge(begun)).state is PaymentState.CREATED
    await card.does("DELETE", "/faults")
    assert (await card.auto.charge(begun)).state is PaymentState.PAID
    assert (await card.balance(), await charges(card)) == (35, 1)


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_failure_of_the_service_itself_is_asked_about(card, is_kept):
    """Its key repeats it from then on, whether or not the card was charged."""
    fault = {"status": 500, "is_kept": is_kept, "count": 1 if is_kept else 3}
    await card.does("PUT", "/faults", requests={**INTENTS, **fault})
    begun = await card.auto.charge_now("alice", 25 * UNIT, "tap")
    await card.does("DELETE", "/faults")
    for _ in range(2):
        card.clock.ahead += LATER
        await card.reconciler.reconcile()
    assert (await card.store.find(begun.id)).state is PaymentState.PAID
    assert (await card.balance(), await charges(card)) == (35, 1)


async def test_a_charge_that_is_never_answered_keeps_no_other_payment_waiting(card):
    await card.does("PUT", "/faults", requests={**INTENTS, "status": 500, "count": 10**6})
    await card.auto.charge_now("alice", 25 * UNIT, "tap")
    await card.pays("bob", units=20)
    for _ in range(2):
        card.clock.ahead += LATER
        with pytest.raises(PaymentError):
            await card.reconciler.reconcile()
    assert await card.balance("bob") == 20
    assert (await card.store.history("alice")).is_in_flight
    await card.does("DELETE", "/faults")
    card.clock.ahead += LATER
    await card.reconciler.reconcile()
    assert (await card.balance(), await charges(card)) == (35, 1)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refusal_of_the_repetition_does_not_say_that_nothing_was_charged(lost, status):
    await lost.does("PUT", "/faults", requests={"status": status, "count": 99})
    again = await lost.auto.charge_now("alice", 25 * UNIT, "tap")
    assert again.state is PaymentState.CREATED
    await lost.does("DELETE", "/faults")
    again = await lost.auto.charge_now("alice", 25 * UNIT, "tap")
    assert (again.state, await lost.balance(), await charges(lost)) == (PaymentState.PAID, 35, 1)


async def test_a_decline_whose_answer_was_lost_is_told_of_all_the_same(card, monkeypatch):
    profile = await card.store.profile("alice")
    path = f"/payment_methods/{profile.payment_method_id}"
    await card.does("PUT", path, behaviour="expired_card")
    await lose_answer(card, monkeypatch)
    with pytest.raises(PaymentError):
        await card.auto.maybe_top_up("alice", LOW)
    await card.does("DELETE", "/faults")
    card.clock.ahead += LATER
    await card.reconciler.reconcile()
    assert card.event_names() == ["auto_top_up.off"]
    assert not (await card.store.profile("alice")).auto_enabled
    assert await card.balance() == 10


# -- when the key is forgotten --------------------------------------------------------------------


async def test_a_key_that_may_be_forgotten_is_never_used_again(lost):
    lost.clock.ahead += timedelta(hours=25)
    # From now on the same request under the same key would be another charge.
    await lost.does("PUT", "/clock", offset_s=25 * 3600.0)
    await lost.reconciler.reconcile()
    assert (await lost.balance(), await charges(lost)) == (35, 1)


async def test_a_charge_that_was_never_made_is_given_up_once_nothing_can_be_under_way(card):
    await card.does("PUT", "/faults", requests={**INTENTS, "status": 503, "count": 99})
    begun = await card.auto.charge_now("alice", 25 * UNIT, "tap")
    card.clock.ahead += REPEATED_MAX - timedelta(minutes=1)
    await card.auto.charge_now("alice", 25 * UNIT, "tap")
    await card.does("DELETE", "/faults")
    card.clock.ahead += timedelta(minutes=2)
    await card.reconciler.reconcile()
    # Requested three minutes ago: it may still be worked on.
    assert (await card.store.find(begun.id)).state is PaymentState.CREATED
    card.clock.ahead += SETTLED_AFTER
    await card.reconciler.reconcile()
    ended = await card.store.find(begun.id)
    assert (ended.state, ended.failure) == (PaymentState.FAILED, "abandoned")
    assert (await card.balance(), await charges(card)) == (10, 0)
    assert await request_of(card) is None


async def test_a_process_that_dies_before_it_asks_has_another_one_make_the_charge(card):
    def decide(profile, history):
        return 25 * UNIT

    begun = await card.store.begin_charge("alice", "pay_1", decide, card.auto._write)
    card.clock.ahead += LATER
    await card.reconciler.reconcile()
    assert (await card.store.find(begun.id)).state is PaymentState.PAID
    assert (await card.balance(), await charges(card)) == (35, 1)


@pytest.mark.parametrize("is_charged", [True, False])
async def test_two_nodes_that_find_out_at_once_charge_once(card, monkeypatch, is_charged):
    if is_charged:
        await lose_answer(card, monkeypatch)
    else:
        await card.does("PUT", "/faults", requests={**INTENTS, "status": 503, "count": 99})
    await card.auto.charge_now("alice", 25 * UNIT, "tap")
    await card.does("DELETE", "/faults")
    monkeypatch.undo()
    card.clock.ahead += LATER
    nodes = [card.new_reconciler() for _ in range(4)]
    await asyncio.gather(*(node.reconcile() for node in nodes))
    card.clock.ahead += LATER
    await nodes[0].reconcile()
    assert (await card.balance(), await charges(card)) == (35, 1)


# -- accounts that are charged no more ------------------------------------------------------------


@pytest.mark.parametrize("is_charged", [True, False])
async def test_a_frozen_account_is_asked_about_and_not_charged(card, monkeypatch, is_charged):
    if is_charged:
        await lose_answer(card, monkeypatch)
    else:
        await card.does("PUT", "/faults", requests={**INTENTS, "status": 503, "count": 99})
    await card.auto.charge_now("alice", 25 * UNIT, "tap")
    await card.does("DELETE", "/faults")
    await card.ledger.freeze("alice", True)
    for pause in (LATER, SETTLED_AFTER):
        card.clock.ahead += pause
        await card.reconciler.reconcile()
    payment = await card.store.find(payment_id_of("alice", "tap"))
    expected = (PaymentState.PAID, 35, 1) if is_charged else (PaymentState.FAILED, 10, 0)
    assert (payment.state, await card.balance(), await charges(card)) == expected


async def test_a_card_that_a_stranger_saved_is_not_requested_again(card):
    await card.does("PUT", "/faults", requests={**INTENTS, "status": 503, "count": 99})
    await card.auto.charge_now("alice", 25 * UNIT, "tap")
    await card.does("DELETE", "/faults")
    async with writing(card.engine, 5) as connection:
        await saved_cards.forget_card(connection, "alice")
    assert await request_of(card) is None
    card.clock.ahead += SETTLED_AFTER + LATER
    await card.reconciler.reconcile()
    assert (await card.balance(), await charges(card)) == (10, 0)


# -- what is stored -------------------------------------------------------------------------------


async def test_a_request_names_no_address_and_goes_with_the_outcome(lost):
    request = await request_of(lost)
    assert "@" not in request.body
    assert request.tried_at is not None
    await lost.auto.charge_now("alice", 25 * UNIT, "tap")
    assert await request_of(lost) is None


async def test_a_request_goes_with_a_decline(card):
    profile = await card.store.profile("alice")
    path = f"/payment_methods/{profile.payment_method_id}"
    await card.does("PUT", path, behaviour="insufficient_funds")
    await card.auto.charge_now("alice", 25 * UNIT, "tap")
    assert await request_of(card) is None


# -- what was called failed -----------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["idempotency_error", "abandoned"])
async def test_a_charge_that_was_called_failed_is_found_by_the_next_process(lost, failure):
    payment_id = payment_id_of("alice", "tap")
    await lost.store.record(payment_id, PaymentState.FAILED, failure=failure)
    lost.clock.ahead += LATER
    assert await lost.new_reconciler().reconcile() == 1
    assert (await lost.store.find(payment_id)).state is PaymentState.PAID
    assert (await lost.balance(), await charges(lost)) == (35, 1)
    assert (await lost.store.history("alice")).charged_micros == 25 * UNIT
    assert await lost.new_reconciler().reconcile() == 0


async def test_a_charge_that_has_failed_is_asked_about_once(card):
    payment = await card.store.create("pay_1", "alice", "saved", 25 * UNIT, "USD")
    await card.store.record(payment.id, PaymentState.FAILED, failure="abandoned")
    asked = []
    find_charge = card.service.find_charge

    async def counting(payment, request):
        asked.append(payment.id)
        return await find_charge(payment, request)

    card.service.find_charge = counting
    for _ in range(2):
        assert await card.reconciler.reconcile() == 0
    assert asked == ["pay_1"]


async def test_the_daily_limit_counts_what_only_we_call_failed(card, monkeypatch):
    """The card was charged, the service says nothing of it, and the account was frozen."""
    await lose_answer(card, monkeypatch)
    await card.auto.charge_now("alice", 60 * UNIT, "tap")
    await card.does("DELETE", "/faults")
    await card.ledger.freeze("alice", True)
    card.clock.ahead += SETTLED_AFTER + LATER
    with monkeypatch.context() as patched:

        async def knows_none(payment, request):
            return None

        patched.setattr(card.service, "find_charge", knows_none)
        payment = await card.store.find(payment_id_of("alice", "tap"))
        assert (await card.auto.charge(payment)).failure == "abandoned"
    await card.ledger.freeze("alice", False)
    assert (await card.store.history("alice")).charged_micros == 60 * UNIT
    with pytest.raises(RequestRefusedError) as refused:
        await card.auto.charge_now("alice", 41 * UNIT, "other")
    assert refused.value.code == "card_limit_reached"
    await card.payments.set_auto(
        "alice", enabled=True, threshold_micros=5 * UNIT, amount_micros=50 * UNIT
    )
    # Past the pause after a failure.
    card.clock.ahead += timedelta(minutes=10)
    assert await card.auto.maybe_top_up("alice", LOW) is AutoRefusal.DAY_CAP
    assert (await card.auto.charge_now("alice", 40 * UNIT, "other")).state is PaymentState.PAID
    assert await charges(card) == 2


async def test_the_daily_limit_counts_no_decline(card):
    profile = await card.store.profile("alice")
    path = f"/payment_methods/{profile.payment_method_id}"
    await card.does("PUT", path, behaviour="insufficient_funds")
    await card.auto.charge_now("alice", 60 * UNIT, "tap")
    assert (await card.store.history("alice")).charged_micros == 0


# -- refunds --------------------------------------------------------------------------------------


async def test_a_refund_whose_key_repeats_a_failure_keeps_its_credit(card):
    payment = await card.auto.charge_now("alice", 25 * UNIT, "tap")
    fault = {"path": "/v1/refunds", "method": "POST", "status": 500, "is_kept": True, "count": 1}
    await card.does("PUT", "/faults", requests=fault)
    with pytest.raises(PaymentError):
        await card.refunds.send_back(payment.id, 5 * UNIT, reference="r1")
    assert await card.balance() == 30
    await card.refunds.send_back(payment.id, 5 * UNIT, reference="r1")
    assert (await card.balance(), len(await card.objects("refunds"))) == (30, 1)
