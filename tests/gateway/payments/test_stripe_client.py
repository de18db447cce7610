"""What Stripe's SDK says in our words, and what is never said at all."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import stripe
from aiohttp import web

from billing.payments import Payment, PaymentState
from gateway.errors import PaymentError
from gateway.logs import formats
from gateway.payments import stripe_client
from gateway.payments.ports import Charge, CheckoutOrder
from gateway.payments.stripe_client import StripePayments
from tests.gateway.payments.conftest import API_KEY, UNIT


def payment(payment_id="pay_1", micros=25_000_000):
    now = datetime.now(UTC)
    return Payment(payment_id, "alice", "auto", micros, "USD", PaymentState.CREATED, now, now)


def charge(payment_method="pm_card_visa", customer_id="", minor=2_500):
    return Charge(payment(), minor, customer_id, payment_method)


async def pay(shop, order):
    return await shop.service.charge(order.payment.id, shop.service.charge_request(order))


@pytest.fixture
async def customer(shop):
    """A customer whom the service knows."""
    await shop.paid(save_card=True)
    return await shop.store.profile("alice")


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("authentication_required",) * 2,
        ("insufficient_funds",) * 2,
        ("expired_card",) * 2,
        ("processing_error",) * 2,
    ],
)
async def test_a_decline_says_why_and_what_for(shop, customer, behaviour, code):
    method = customer.payment_method_id
    await shop.does("PUT", f"/payment_methods/{method}", behaviour=behaviour)
    with pytest.raises(PaymentError) as declined:
        await pay(shop, charge(method, customer.customer_id))
    error = declined.value
    assert (error.service_code, error.status, error.retryable) == (code, 402, False)
    assert (await shop.service.intent(error.payment_intent_id)).failure == code


@pytest.mark.parametrize("name", ["ALL_PROXY", "https_proxy", "HTTP_PROXY"])
@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "http://127.0.0.1:9", "what://ever"])
async def test_no_proxy_of_the_environment_is_used(shop, monkeypatch, name, proxy):
    monkeypatch.setenv(name, proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    payments = StripePayments(api_key=API_KEY, origin=shop.simulator.origin)
    assert await payments.find_checkout(payment()) is None
    await payments.close()


async def test_a_charge_that_is_repeated_is_the_same(shop, customer):
    order = charge(customer.payment_method_id, customer.customer_id)
    first, second = [await pay(shop, order) for _ in range(2)]
    assert first == second
    assert (first.status, first.received_minor, first.currency) == ("succeeded", 2_500, "USD")
    with pytest.raises(PaymentError) as refused:
        await pay(shop, charge(customer.payment_method_id, customer.customer_id, 100))
    assert (refused.value.service_code, refused.value.retryable) == ("idempotency_error", False)


@pytest.mark.parametrize(
    ("status", "retryable"), [(401, False), (403, False), (404, False), (429, True), (500, True)]
)
async def test_what_may_work_later_is_told_from_what_will_not(shop, status, retryable):
    await shop.does("PUT", "/faults", requests={"status": status, "count": 9})
    with pytest.raises(PaymentError) as failed:
        await shop.service.intent("pi_1")
    assert (failed.value.status, failed.value.retryable) == (status, retryable)


async def test_what_is_not_there_is_missing(shop):
    with pytest.raises(PaymentError) as failed:
        await shop.service.intent("pi_none")
    assert failed.value.is_missing
    assert not failed.value.retryable


async def test_a_service_that_does_not_answer_is_waited_for_a_while(shop):
    await shop.does("PUT", "/faults", requests={"hold_s": 30, "count": 9})
    hasty = StripePayments(api_key=API_KEY, origin=shop.simulator.origin, timeout_s=0.2)
    with pytest.raises(PaymentError) as failed:
        await hasty.intent("pi_1")
    await hasty.close()
    assert failed.value.retryable
    await shop.does("DELETE", "/faults")


async def test_a_service_that_is_not_there_may_be_later(shop):
    origin = shop.simulator.origin
    await shop.simulator.stop()
    lonely = StripePayments(api_key=API_KEY, origin=origin)
    with pytest.raises(PaymentError) as failed:
        await lonely.intent("pi_1")
    await lonely.close()
    assert (failed.value.retryable, failed.value.status) == (True, 0)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"7", b"null", b'{"id": "pi_1"}', b'{"object": "list"}']
)
async def test_nonsense_is_no_answer(body):
    async def answer(request):
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    service = StripePayments(api_key=API_KEY, origin=f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        for ask in (
            service.intent("pi_1"),
            service.checkout("cs_1"),
            service.refund("pi_1", 5, "a"),
            service.missed_events(datetime.now(UTC), ""),
            service.forget_customer("cus_1"),
            service.charge("pay_1", service.charge_request(charge())),
        ):
            with pytest.raises(PaymentError) as failed:
                await ask
            assert failed.value.retryable
    finally:
        await service.close()
        await runner.cleanup()


def _one(kind, **fields):
    found = {"id": "x_1", "object": kind, "status": "succeeded", "currency": "usd", "created": 1}
    return found | fields


@pytest.mark.parametrize(
    ("kind", "reply", "name"),
    [
        ("payment_intent", _one("payment_intent", amount_received="abc"), "amount_received"),
        ("payment_intent", _one("payment_intent", amount_received=2.5), "amount_received"),
        ("refund", _one("refund", amount="7", payment_intent="pi_1"), "amount"),
        ("dispute", _one("dispute", amount=None, payment_intent="pi_1"), "amount"),
        (
            "checkout.session",
            _one(
                "checkout.session", amount_total="7", payment_intent="pi_1", payment_status="paid"
            ),
            "amount_total",
        ),
    ],
)
async def test_an_amount_that_is_no_whole_number_is_named_with_its_object(
    monkeypatch, kind, reply, name
):
    async def answer(*_):
        listed = {"object": "list", "data": [reply], "has_more": False}
        return stripe.StripeObject.construct_from(listed, None)

    service = StripePayments(api_key=API_KEY, origin="http://127.0.0.1:9")
    lists = {
        "checkout.session": service._sessions,
        "payment_intent": service._intents,
        "refund": service._refunds,
        "dispute": service._disputes,
    }
    monkeypatch.setattr(lists[kind], "list_async", answer)
    with pytest.raises(PaymentError, match=f"{kind} x_1 has no whole {name}"):
        await service.history(kind, datetime.now(UTC), "")
    await service.close()


async def test_events_that_were_not_delivered_come_in_pages(shop, monkeypatch):
    monkeypatch.setattr(stripe_client, "LIST_MAX", 1)
    page = await shop.service.missed_events(datetime.now(UTC) - timedelta(days=1), "")
    assert (page.objects, page.after) == ([], "")


async def test_nothing_of_what_is_said_is_logged(shop, capsys):
    formats.configure("debug", "text")
    await shop.paid(save_card=True)
    with pytest.raises(PaymentError):
        await shop.service.intent("pi_secret")
    said = "".join(capsys.readouterr())
    assert "resource_missing" in said
    for library in ("stripe", "httpx", "httpcore"):
        assert f"[{library}" not in said
    for secret in ("alice@example.com", "pi_secret", API_KEY, "4242", "cus_", "pm_"):
        assert secret not in said


async def test_a_failure_carries_nothing_of_stripes_into_a_traceback(shop):
    with pytest.raises(PaymentError) as failed:
        await shop.service.intent("pi_secret")
    assert failed.value.__suppress_context__
    assert "pi_secret" not in str(failed.value)


async def test_the_sdk_cannot_block_and_tells_nobody_about_this_machine(shop):
    assert stripe.enable_telemetry is False
    with pytest.raises(RuntimeError, match="synchronous"):
        await asyncio.to_thread(shop.service._customers.retrieve, "cus_1")


async def test_the_card_is_saved_only_where_that_is_ordered(shop):
    now = datetime.now(UTC)
    for save_card, usage in ((False, None), (True, "off_session")):
        order = CheckoutOrder(
            payment=payment(f"pay_{save_card}"),
            minor=2_500,
            save_card=save_card,
            customer_id="",
            email="a@example.com",
            success_url="https://calls.example.com/",
            cancel_url="https://calls.example.com/",
            expires_at=now + timedelta(hours=1),
        )
        page = await shop.service.open_checkout(order)
        await shop.does("POST", f"/sessions/{page.id}/pay", method="card")
        intent = (await shop.objects("payment_intents"))[0]
        assert (intent["setup_future_usage"], intent["receipt_email"]) == (usage, "a@example.com")
        found = await shop.service.intent(intent["id"])
        assert found.is_card_saved is save_card
        assert bool(found.customer_id) is save_card


async def test_a_page_is_found_by_its_payment_in_a_bounded_number_of_pages(shop, monkeypatch):
    monkeypatch.setattr(stripe_client, "LIST_MAX", 1)
    opened = [await shop.payments.start_checkout("alice", n * UNIT) for n in range(5, 12)]
    newest, oldest = opened[-1][0], opened[0][0]
    found = await shop.service.find_checkout(newest)
    assert (found.payment_id, found.url) == (newest.id, opened[-1][1])
    third = await shop.service.find_checkout(opened[-3][0])
    assert third.payment_id == opened[-3][0].id
    assert await shop.service.find_checkout(oldest) is None, "seven pages back"
    monkeypatch.undo()
    assert await shop.service.find_checkout(payment("pay_unknown")) is None


async def test_a_customer_is_forgotten_with_the_card(shop, customer):
    for _ in range(2):
        await shop.service.forget_customer(customer.customer_id)
    assert await shop.objects("customers") == []
    with pytest.raises(PaymentError) as refused:
        await pay(shop, charge(customer.payment_method_id, customer.customer_id))
    assert refused.value.is_missing


async def test_a_customer_who_is_not_forgotten_is_said_so(shop, customer):
    await shop.does("PUT", "/faults", requests={"status": 500, "count": 9, "path": "/v1/customers"})
    with pytest.raises(PaymentError) as refused:
        await shop.service.forget_customer(customer.customer_id)
    assert refused.value.retryable
    assert len(await shop.objects("customers")) == 1
