"""Payment intents without a page: off-session payments, declines, authentication."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from .conftest import Payments
from .receiver import Receiver


async def saved_card(payments: Payments) -> dict[str, Any]:
    """Return the parameters of an off-session payment with a card saved at checkout."""
    session = await payments.paid(
        payment_intent_data={"setup_future_usage": "off_session"}, customer_creation="always"
    )
    return {
        "amount": 1000,
        "currency": "eur",
        "customer": session.customer,
        "payment_method": session.payment_intent.payment_method,
        "off_session": True,
        "confirm": True,
        "metadata": {"payment": "p2"},
    }


async def test_a_saved_card_pays_off_session(payments: Payments, receiver: Receiver) -> None:
    params = await saved_card(payments)
    intent = await payments.client.v1.payment_intents.create_async(params)
    assert (intent.status, intent.amount_received) == ("succeeded", 1000)
    succeeded = await receiver.until("payment_intent.succeeded", 2)
    assert succeeded.metadata["payment"] == "p2"
    assert await payments.balance() == {"eur": 3500}
    listed = await payments.client.v1.charges.list_async({"payment_intent": intent.id})
    assert [charge.id for charge in listed.data] == [intent.latest_charge]


@pytest.mark.parametrize(
    ("behaviour", "code", "decline_code"),
    [
        ("authentication_required", "authentication_required", "authentication_required"),
        ("insufficient_funds", "card_declined", "insufficient_funds"),
        ("lost_card", "card_declined", "lost_card"),
        ("expired_card", "expired_card", "expired_card"),
    ],
)
async def test_a_saved_card_that_no_longer_pays(
    payments: Payments, receiver: Receiver, behaviour: str, code: str, decline_code: str
) -> None:
    params = await saved_card(payments)
    await payments.order("PUT", f"/payment_methods/{params['payment_method']}", behaviour=behaviour)

    with pytest.raises(stripe.CardError) as caught:
        await payments.client.v1.payment_intents.create_async(params)

    error: Any = caught.value.error
    assert (caught.value.http_status, caught.value.code) == (402, code)
    assert error.decline_code == decline_code
    assert error.payment_intent.status == "requires_payment_method"
    assert error.payment_intent.last_payment_error.decline_code == decline_code
    failed = await receiver.until("payment_intent.payment_failed")
    assert failed.id == error.payment_intent.id
    charge = await payments.client.v1.charges.retrieve_async(error.charge)
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, code)
    assert await payments.balance() == {"eur": 2500}

    await payments.order("PUT", f"/payment_methods/{params['payment_method']}", behaviour="works")
    confirmed = await payments.client.v1.payment_intents.confirm_async(
        failed.id, {"payment_method": params["payment_method"], "off_session": True}
    )
    assert confirmed.status == "succeeded"


async def test_an_intent_is_confirmed_later_and_authenticated(payments: Payments) -> None:
    intents = payments.client.v1.payment_intents
    intent = await intents.create_async(
        {
            "amount": 700,
            "currency": "EUR",
            "payment_method": "pm_card_authenticationRequired",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "setup_future_usage": "on_session",
            "receipt_email": "a@b.test",
            "allowed_payment_method_types": ["card"],
        }
    )
    assert (intent.status, intent.receipt_email) == ("requires_confirmation", "a@b.test")
    assert intent.payment_method_types == ["card"]
    target = "https://shop.test/back?order=1"
    intent = await intents.confirm_async(intent.id, {"return_url": target})
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    address: Any = intent.next_action.redirect_to_url
    page = await payments.browser.get(address.url)
    assert "7.00 EUR" in page.text
    reply = await payments.browser.post(address.url, data={"result": "proven"})
    assert reply.headers["Location"] == (
        f"{target}&payment_intent={intent.id}&redirect_status=succeeded"
    )
    assert (await intents.retrieve_async(intent.id)).status == "succeeded"
    gone = await payments.browser.get(address.url)
    assert "Nothing to confirm" in gone.text


async def test_an_action_can_be_refused_at_once(payments: Payments) -> None:
    with pytest.raises(stripe.CardError) as caught:
        await payments.client.v1.payment_intents.create_async(
            {
                "amount": 700,
                "currency": "eur",
                "payment_method": "pm_card_authenticationRequired",
                "confirm": True,
                "error_on_requires_action": True,
            }
        )
    assert caught.value.code == "authentication_required"


async def test_an_intent_is_cancelled_and_then_cannot_be_paid(
    payments: Payments, receiver: Receiver
) -> None:
    intents = payments.client.v1.payment_intents
    intent = await intents.create_async({"amount": 700, "currency": "eur"})
    assert intent.status == "requires_payment_method"
    with pytest.raises(stripe.InvalidRequestError):
        await intents.confirm_async(intent.id)
    cancelled = await intents.cancel_async(intent.id, {"cancellation_reason": "duplicate"})
    assert (cancelled.status, cancelled.cancellation_reason) == ("canceled", "duplicate")
    await receiver.until("payment_intent.canceled")
    for attempt in (
        intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"}),
        intents.cancel_async(intent.id),
    ):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            await attempt
        assert caught.value.code == "payment_intent_unexpected_state"


async def test_a_card_belongs_to_its_customer(payments: Payments) -> None:
    params = await saved_card(payments)
    customer = await payments.client.v1.customers.create_async({"email": "b@example.com"})
    for other in ({"customer": customer.id}, {"customer": ""}):
        with pytest.raises(stripe.InvalidRequestError):
            await payments.client.v1.payment_intents.create_async(params | other)


async def test_a_card_without_a_customer_pays_once(payments: Payments) -> None:
    session = await payments.paid()
    method = session.payment_intent.payment_method
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await payments.client.v1.payment_intents.create_async(
            {"amount": 700, "currency": "eur", "payment_method": method, "confirm": True}
        )


async def test_a_bank_debit_is_processing_until_its_bank_answers(
    payments: Payments, receiver: Receiver
) -> None:
    params = await saved_card(payments)
    await payments.order("PUT", f"/payment_methods/{params['payment_method']}", behaviour="bank")
    intent = await payments.client.v1.payment_intents.create_async(params)
    assert intent.status == "processing"
    await receiver.until("payment_intent.succeeded", 2)
    assert (await payments.client.v1.payment_intents.retrieve_async(intent.id)).status == (
        "succeeded"
    )


async def test_an_intent_says_something_else_after_an_update(payments: Payments) -> None:
    intents = payments.client.v1.payment_intents
    intent = await intents.create_async(
        {"amount": 700, "currency": "eur", "metadata": {"a": "1", "b": "2"}}
    )
    changed = await intents.update_async(
        intent.id,
        {"metadata": {"a": "", "c": "3"}, "description": "later", "receipt_email": "a@b.test"},
    )
    assert changed.metadata.to_dict() == {"b": "2", "c": "3"}
    assert (changed.description, changed.receipt_email) == ("later", "a@b.test")
    cleared = await intents.update_async(intent.id, {"metadata": ""})
    assert cleared.metadata.to_dict() == {}


@pytest.mark.parametrize(
    "params",
    [
        {"currency": "eur"},
        {"amount": 700},
        {"amount": "seven", "currency": "eur"},
        {"amount": 700, "currency": "euro"},
        {"amount": 700, "currency": "eur", "confirm": True},
        {"amount": 700, "currency": "eur", "off_session": True},
        {"amount": 700, "currency": "eur", "payment_method": "pm_none", "confirm": True},
        {"amount": 700, "currency": "eur", "setup_future_usage": "sometimes"},
    ],
)
async def test_malformed_intents_are_refused(payments: Payments, params: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await payments.client.v1.payment_intents.create_async(params)
    assert await payments.balance() == {}
