"""Checkout Sessions, from the request to the money, with Stripe's own library."""

from __future__ import annotations

import time
from typing import Any

import pytest
import stripe

from simulators.payments.account import MerchantAccount
from simulators.payments.clock import NS_PER_S
from simulators.payments.errors import ApiError

from .conftest import NOW_NS, SUCCESS, Payments, event_types, form
from .receiver import Receiver

SESSION = (
    "mode=payment&success_url=https://a.test/&line_items[0][quantity]=1"
    "&line_items[0][price_data][currency]=eur&line_items[0][price_data][unit_amount]=2500"
    "&line_items[0][price_data][product_data][name]=Credit"
)


def line(currency: str, amount: int) -> dict[str, Any]:
    product = {"name": "Credit"}
    return {"price_data": {"currency": currency, "unit_amount": amount, "product_data": product}}


async def test_a_paid_session_tells_the_whole_story(payments: Payments, receiver: Receiver) -> None:
    session = await payments.open()
    assert (session.status, session.payment_status, session.payment_intent) == (
        "open",
        "unpaid",
        None,
    )
    assert session.url.startswith(f"{payments.service.origin}/pay/cs_test_")

    reply = await payments.click(session, "card", "a@example.com")

    assert reply.status_code == 303
    assert reply.headers["Location"] == SUCCESS.replace("{CHECKOUT_SESSION_ID}", session.id)
    session = await payments.session(session.id, "payment_intent.latest_charge")
    intent = session.payment_intent
    assert (session.status, session.payment_status, session.url) == ("complete", "paid", None)
    assert (intent.status, intent.amount_received, intent.metadata["payment"]) == (
        "succeeded",
        2500,
        "p1",
    )
    assert intent.latest_charge.payment_method_details.card.last4 == "4242"
    assert session.customer_details.email == "a@example.com"
    assert session.client_reference_id == "account-1"
    await receiver.until("charge.updated")
    assert await payments.types() == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
        "charge.updated",
    ]
    assert receiver.last("checkout.session.completed").payment_status == "paid"
    assert await payments.balance() == {"eur": 2500}


async def test_a_card_that_authenticates_is_paid_after_the_banks_page(payments: Payments) -> None:
    session = await payments.open()
    reply = await payments.click(session, "authentication")
    address = f"{payments.service.origin}{reply.headers['Location']}"
    assert (await payments.session(session.id)).status == "open"

    failed = await payments.browser.post(address, data={"result": "failed"})
    assert failed.headers["Location"] == f"/pay/{session.id}"
    again = await payments.browser.get(session.url)
    assert "unable to authenticate" in again.text

    await payments.click(session, "authentication")
    proven = await payments.browser.post(address, data={"result": "proven"})
    assert proven.headers["Location"].endswith(session.id)
    paid = await payments.session(session.id, "payment_intent.latest_charge")
    assert paid.payment_status == "paid"
    card = paid.payment_intent.latest_charge.payment_method_details.card
    assert card.three_d_secure.result == "authenticated"
    assert paid.payment_intent.last_payment_error is None


async def test_a_declined_card_leaves_the_session_open(payments: Payments) -> None:
    session = await payments.open()
    reply = await payments.click(session, "declined")
    assert reply.status_code == 200
    assert "Your card was declined." in reply.text
    session = await payments.session(session.id, "payment_intent")
    assert (session.status, session.payment_intent.status) == ("open", "requires_payment_method")
    assert session.payment_intent.last_payment_error.decline_code == "generic_decline"

    await payments.click(session, "card")
    paid = await payments.session(session.id)
    assert paid.payment_status == "paid"
    assert paid.payment_intent == session.payment_intent.id
    assert "charge.failed" in await payments.types()


@pytest.mark.parametrize(
    ("button", "verdict", "payment_status"),
    [("bank", "succeeded", "paid"), ("bank_fails", "failed", "unpaid")],
)
async def test_a_bank_answers_later(
    payments: Payments, receiver: Receiver, button: str, verdict: str, payment_status: str
) -> None:
    session = await payments.open()
    reply = await payments.click(session, button)
    assert reply.status_code == 303
    completed = await receiver.until("checkout.session.completed")
    assert (completed.status, completed.payment_status) == ("complete", "unpaid")

    answered = await receiver.until(f"checkout.session.async_payment_{verdict}")

    assert answered.payment_status == payment_status
    assert (await payments.session(session.id)).payment_status == payment_status
    assert "payment_intent.processing" in receiver.types()
    assert await payments.balance() == ({"eur": 2500} if verdict == "succeeded" else {})


async def test_a_card_is_saved_only_for_a_customer_and_when_asked(payments: Payments) -> None:
    asked = {"payment_intent_data": {"setup_future_usage": "off_session"}}
    saved = await payments.paid(**asked, customer_creation="always")
    method = await payments.client.v1.payment_methods.retrieve_async(
        saved.payment_intent.payment_method
    )
    assert method.customer == saved.customer
    customer = await payments.client.v1.customers.retrieve_async(saved.customer)
    assert customer.email == "a@example.com"

    known = await payments.paid(**asked, customer=saved.customer)
    assert known.customer == saved.customer

    for session in (
        await payments.paid(customer_creation="always"),
        await payments.paid(**asked),
    ):
        method = await payments.client.v1.payment_methods.retrieve_async(
            session.payment_intent.payment_method
        )
        assert method.customer is None


async def test_a_session_can_be_expired_once(payments: Payments, receiver: Receiver) -> None:
    session = await payments.open()
    await payments.click(session, "declined")
    expired = await payments.client.v1.checkout.sessions.expire_async(session.id)
    assert (expired.status, expired.url) == ("expired", None)
    await receiver.until("checkout.session.expired")
    assert receiver.last("payment_intent.canceled").cancellation_reason == "expired"
    with pytest.raises(stripe.InvalidRequestError):
        await payments.client.v1.checkout.sessions.expire_async(session.id)
    page = await payments.browser.get(f"{payments.service.origin}/pay/{session.id}")
    assert "expired" in page.text


async def test_a_session_lives_as_long_as_it_is_told(
    payments: Payments, receiver: Receiver
) -> None:
    session = await payments.open(expires_at=int(time.time()) + 1800)
    await payments.order("PUT", "/clock", offset_s=1801)
    expired = await receiver.until("checkout.session.expired")
    assert (expired.id, expired.expires_at) == (session.id, session.expires_at)


async def test_several_lines_are_one_sum(payments: Payments) -> None:
    session = await payments.open(
        line_items=[line("eur", 2500), line("eur", 100) | {"quantity": 3}]
    )
    assert session.amount_total == 2800
    assert "Credit (+1)" in (await payments.browser.get(session.url)).text


async def test_a_known_customer_has_an_address_already(payments: Payments) -> None:
    customer = await payments.client.v1.customers.create_async({"email": "k@example.com"})
    for other in ({"customer_email": "x@example.com"}, {"customer_creation": "always"}):
        with pytest.raises(stripe.InvalidRequestError):
            await payments.open(customer=customer.id, **other)
    session = await payments.open(customer=customer.id)
    await payments.click(session, "card")
    assert (await payments.session(session.id)).customer_details.email == "k@example.com"


async def test_a_session_expires_by_itself(payments: Payments, receiver: Receiver) -> None:
    session = await payments.open()
    await payments.order("PUT", "/clock", offset_s=24 * 3600 + 1)
    expired = await receiver.until("checkout.session.expired")
    assert expired.id == session.id


async def test_sessions_are_listed_by_status_and_intent(payments: Payments) -> None:
    paid, still_open = await payments.paid(), await payments.open()
    sessions = payments.client.v1.checkout.sessions
    listed = await sessions.list_async({"status": "open"})
    assert [session.id for session in listed.data] == [still_open.id]
    listed = await sessions.list_async({"payment_intent": paid.payment_intent.id})
    assert [session.id for session in listed.data] == [paid.id]
    listed = await sessions.list_async({"customer_details": {"email": "a@example.com"}})
    assert [session.id for session in listed.data] == [paid.id]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"mode": "subscription"}, "mode"),
        ({"ui_mode": "embedded_page"}, "ui_mode"),
        ({"success_url": "/paid"}, "success_url"),
        ({"success_url": ""}, "success_url"),
        ({"line_items": []}, "line_items"),
        ({"expires_at": 1}, "expires_at"),
        ({"customer": "cus_none"}, "customer"),
        ({"automatic_tax": {"enabled": True}}, "automatic_tax[enabled]"),
        ({"tip": 3}, "tip"),
        ({"line_items": [line("eur", 2500), line("usd", 2500)]}, "line_items"),
        ({"line_items": [line("eur", -1)]}, "line_items[0][quantity]"),
        ({"payment_intent_data": {"capture_method": "manual"}}, None),
    ],
)
async def test_what_is_not_simulated_is_refused(
    payments: Payments, changes: dict[str, Any], param: str | None
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await payments.open(**changes)
    assert caught.value.param == (param or "payment_intent_data[capture_method]")


async def test_amounts_that_stripe_refuses(payments: Payments) -> None:
    for currency, amount in (("eur", 49), ("eur", 100_000_000), ("kwd", 2505), ("isk", 2550)):
        with pytest.raises(stripe.InvalidRequestError):
            await payments.open(line_items=[line(currency, amount)])


def test_an_expired_session_cannot_be_paid(account: MerchantAccount) -> None:
    session = account.checkout.create(form(SESSION), NOW_NS)
    account.world.schedule.advance(NOW_NS + 24 * 3600 * NS_PER_S)
    assert session.status == "expired"
    with pytest.raises(ApiError):
        account.checkout.pay(session.id, "card", None, NOW_NS)
    assert event_types(account) == ["checkout.session.expired"]


def test_a_paid_session_does_not_expire(account: MerchantAccount) -> None:
    session = account.checkout.create(form(SESSION), NOW_NS)
    account.checkout.pay(session.id, "card", None, NOW_NS)
    account.world.schedule.advance(NOW_NS + 25 * 3600 * NS_PER_S)
    assert session.status == "complete"


def test_a_session_refuses_what_it_does_not_offer(account: MerchantAccount) -> None:
    session = account.checkout.create(
        form(f"{SESSION}&allowed_payment_method_types[0]=card"), NOW_NS
    )
    for button, email in (("bank", None), ("gold", None), ("card", "nobody")):
        with pytest.raises(ApiError):
            account.checkout.pay(session.id, button, email, NOW_NS)


@pytest.mark.thorough
def test_sessions_are_bounded_and_finished_ones_go_first(account: MerchantAccount) -> None:
    kept = account.world.settings.objects_kept
    first = account.checkout.create(form(SESSION), NOW_NS)
    second = account.checkout.create(form(SESSION), NOW_NS)
    account.checkout.pay(second.id, "card", None, NOW_NS)
    for _ in range(kept - 1):
        account.checkout.create(form(SESSION), NOW_NS)
    assert account.checkout.find(first.id) is first
    assert account.checkout.basket(first.id).amount == 2500
    with pytest.raises(ApiError):
        account.checkout.find(second.id)
    assert account.checkout.session_of(str(second.payment_intent)) is None
