"""What no webhook told is found, and what fails does not keep the rest waiting."""

from datetime import timedelta

import pytest

from billing.payments import PaymentState
from gateway.errors import PaymentError
from gateway.payments import reconciler
from tests.gateway.payments.conftest import SECRET, UNIT, open_shop

LATER = timedelta(seconds=61)


@pytest.fixture
async def unheard(sqlite_engine):
    """A shop whose webhooks go where nobody listens."""
    async with open_shop(
        sqlite_engine,
        webhook_url="http://127.0.0.1:9/stripe/webhook",
        webhook_secret=SECRET,
        webhook_retries_s=(),
    ) as shop:
        yield shop


async def test_a_payment_without_webhook_and_without_return_is_found(shop):
    await shop.pays()
    assert await shop.reconciler.reconcile() == 0
    shop.clock.ahead += LATER
    assert await shop.reconciler.reconcile() == 1
    assert await shop.balance() == 25
    shop.clock.ahead += LATER
    assert await shop.reconciler.reconcile() == 0


async def test_refunds_and_disputes_that_no_webhook_told_are_found(unheard):
    first, second = await unheard.paid(), await unheard.paid(units=10)
    await unheard.does("POST", "/refunds", payment_intent=first.payment_intent_id, amount=500)
    await unheard.does("POST", "/disputes", payment_intent=second.payment_intent_id)
    await unheard.reconciler.reconcile()
    assert (await unheard.balance(), unheard.frozen) == (20, {"alice": True})


async def test_missed_events_are_read_page_by_page_and_once(unheard, monkeypatch):
    monkeypatch.setattr("gateway.payments.stripe_client.LIST_MAX", 2)
    monkeypatch.setattr(reconciler, "PAGES_MAX", 2)
    for units in (10, 20, 30):
        await unheard.pays(units=units)
    # Two events for each payment, four of them in a round.
    rounds = [await unheard.reconciler.reconcile() for _ in range(2)]
    assert (rounds, await unheard.balance()) == ([4, 2], 60)
    # They stay in the list; a round reads what is new, and a little more.
    unheard.clock.ahead += timedelta(hours=1)
    rounds = [await unheard.reconciler.reconcile() for _ in range(3)]
    assert rounds == [4, 2, 0]
    assert unheard.event_names() == ["payment.received"] * 3


async def test_what_could_not_be_booked_is_read_again(unheard):
    await unheard.pays()
    await unheard.does("PUT", "/faults", requests={"status": 500, "count": 99, "path": "/v1/pay"})
    with pytest.raises(PaymentError):
        await unheard.reconciler.reconcile()
    await unheard.does("DELETE", "/faults")
    await unheard.reconciler.reconcile()
    assert await unheard.balance() == 25


async def test_a_service_that_is_away_is_asked_once_a_round_and_for_another_payment(shop):
    await shop.pays(units=10)
    await shop.pays(units=20)
    shop.clock.ahead += LATER
    await shop.does("PUT", "/faults", requests={"status": 503, "count": 3})
    with pytest.raises(PaymentError):
        await shop.reconciler.reconcile()
    await shop.reconciler.reconcile()
    assert await shop.balance() == 20
    shop.clock.ahead += LATER
    await shop.reconciler.reconcile()
    assert await shop.balance() == 30


async def test_one_that_the_service_has_lost_is_closed_and_the_others_go_on(shop):
    payment = await shop.store.create("pay_gone", "alice", "checkout", UNIT, "USD")
    await shop.store.record(payment.id, PaymentState.OPEN, checkout_id="cs_gone")
    await shop.pays()
    shop.clock.ahead += LATER
    await shop.reconciler.reconcile()
    assert (await shop.store.find("pay_gone")).state is PaymentState.EXPIRED
    assert await shop.balance() == 25


async def test_a_checkout_that_never_came_about_leads_nowhere(shop):
    await shop.store.create("pay_1", "alice", "checkout", UNIT, "USD")
    shop.clock.ahead += LATER
    await shop.reconciler.reconcile()
    assert (await shop.store.find("pay_1")).state is PaymentState.CREATED
    shop.clock.ahead += reconciler.LOST_AFTER
    await shop.reconciler.reconcile()
    assert (await shop.store.find("pay_1")).state is PaymentState.EXPIRED
