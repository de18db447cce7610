"""An account that leaves is paid no more: open pages are closed, and what was paid is booked."""

from datetime import timedelta

import httpx
import pytest

from billing.payments import SETTLED_AFTER, PaymentState
from gateway.errors import PaymentError
from gateway.payments.last_payments import LastPayments
from tests.gateway.payments.conftest import UNIT


@pytest.fixture
def last(shop):
    return LastPayments(shop.payments, shop.service, shop.store, shop.auto.charge)


async def try_to_pay(url):
    async with httpx.AsyncClient() as browser:
        return await browser.post(url, data={"method": "card", "email": "alice@example.com"})


async def state_of(shop, payment):
    return (await shop.store.find(payment.id)).state


async def test_a_page_that_is_open_cannot_be_paid_any_more(shop, last):
    payment, url = await shop.payments.start_checkout("alice", 25 * UNIT)
    bobs, _ = await shop.payments.start_checkout("bob", 25 * UNIT)
    for _ in range(2):
        await last.settle("alice")
        assert await state_of(shop, payment) is PaymentState.EXPIRED
    await try_to_pay(url)
    assert await shop.objects("payment_intents") == []
    assert (await shop.service.checkout(bobs.checkout_id)).status == "open"


async def test_what_was_paid_on_a_page_and_not_told_of_is_booked(shop, last):
    payment = await shop.pays()
    assert payment.state is PaymentState.OPEN
    for _ in range(2):
        await last.settle("alice")
        assert (await state_of(shop, payment), await shop.balance()) == (PaymentState.PAID, 25)


async def test_a_page_that_was_opened_and_not_noted_is_closed_too(shop, last, monkeypatch):
    """Its process died in between; its payer has the address."""
    record = shop.store.record

    async def die(*_arguments, **_values):
        raise ConnectionError

    monkeypatch.setattr(shop.store, "record", die)
    with pytest.raises(ConnectionError):
        await shop.payments.start_checkout("alice", 25 * UNIT)
    monkeypatch.setattr(shop.store, "record", record)
    (page,) = await shop.objects("checkout.sessions")
    assert page["status"] == "open"
    await last.settle("alice")
    (page,) = await shop.objects("checkout.sessions")
    assert page["status"] == "expired"


async def test_one_that_nobody_has_opened_is_left_alone(shop, last):
    payment = await shop.store.create("pay_1", "alice", "checkout", UNIT, "USD")
    await last.settle("alice")
    assert await state_of(shop, payment) is PaymentState.CREATED


async def test_a_service_that_is_away_is_asked_again_and_one_that_refuses_holds_up_nobody(
    shop, last
):
    strange = await shop.store.create("pay_1", "alice", "auto", UNIT, "USD")
    await shop.store.record(strange.id, PaymentState.PROCESSING, payment_intent_id="pi_gone")
    payment, _ = await shop.payments.start_checkout("alice", 25 * UNIT)
    await shop.does("PUT", "/faults", requests={"status": 500, "count": 99, "path": "/v1/checkout"})
    with pytest.raises(PaymentError):
        await last.settle("alice")
    assert await state_of(shop, payment) is PaymentState.OPEN
    await shop.does("DELETE", "/faults")
    await last.settle("alice")
    assert await state_of(shop, payment) is PaymentState.EXPIRED
    assert await state_of(shop, strange) is PaymentState.PROCESSING


async def begin_charge(shop):
    await shop.paid(units=10, save_card=True)
    payment = await shop.store.begin_charge(
        "alice", "pay_auto", lambda profile, history: 25 * UNIT, shop.auto._write
    )
    await shop.ledger.freeze("alice", True)
    return payment


async def test_a_charge_that_may_be_under_way_is_waited_for_and_not_made(shop, last):
    payment = await begin_charge(shop)
    with pytest.raises(PaymentError) as waiting:
        await last.settle("alice")
    assert waiting.value.retryable
    shop.clock.ahead += SETTLED_AFTER + timedelta(seconds=1)
    await last.settle("alice")
    assert (await state_of(shop, payment), await shop.balance()) == (PaymentState.FAILED, 10)


async def test_a_charge_whose_answer_was_lost_is_booked(shop, last):
    payment = await begin_charge(shop)
    request = await shop.store.charge_request(payment.id)
    await shop.service.charge(payment.id, request.body)
    await last.settle("alice")
    assert (await state_of(shop, payment), await shop.balance()) == (PaymentState.PAID, 35)
