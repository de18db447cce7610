"""Refunds by request and from the dashboard, in parts, by card and by bank, and failing."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from .conftest import Payments
from .receiver import Receiver


async def test_two_partial_refunds_and_no_third(payments: Payments, receiver: Receiver) -> None:
    session = await payments.paid()
    intent_id = session.payment_intent.id
    refunds = payments.client.v1.refunds
    first = await refunds.create_async(
        {"payment_intent": intent_id, "amount": 1000, "metadata": {"refund_id": "r1"}}
    )
    assert (first.status, first.amount) == ("succeeded", 1000)
    assert await payments.balance() == {"eur": 1500}
    second = await refunds.create_async({"charge": session.payment_intent.latest_charge.id})
    assert second.amount == 1500

    assert await payments.balance() == {"eur": 0}
    charge = await payments.client.v1.charges.retrieve_async(second.charge, {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded) == (2500, True)
    assert charge.refunds is not None
    assert [refund.id for refund in charge.refunds.data] == [second.id, first.id]
    listed = await refunds.list_async({"payment_intent": intent_id})
    assert {refund.id for refund in listed.data} == {first.id, second.id}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await refunds.create_async({"payment_intent": intent_id})
    assert caught.value.code == "charge_already_refunded"
    created = await receiver.until("refund.created", 2)
    assert {created.id} <= {first.id, second.id}
    await receiver.until("charge.refunded", 2)
    changes: list[Any] = [
        event.data.previous_attributes
        for event in receiver.events
        if event.type == "charge.refunded"
    ]
    assert sorted(change.amount_refunded for change in changes) == [0, 1000]


@pytest.mark.parametrize("amount", [0, -5, 2501])
async def test_a_refund_is_at_most_what_was_paid(payments: Payments, amount: int) -> None:
    session = await payments.paid()
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await payments.client.v1.refunds.create_async(
            {"payment_intent": session.payment_intent.id, "amount": amount}
        )
    assert caught.value.param == "amount"
    assert await payments.balance() == {"eur": 2500}


async def test_what_is_not_paid_is_not_refunded(payments: Payments) -> None:
    session = await payments.open()
    await payments.click(session, "declined")
    session = await payments.session(session.id, "payment_intent")
    for params in (
        {"payment_intent": session.payment_intent.id},
        {"charge": session.payment_intent.latest_charge},
        {"charge": "ch_none"},
        {},
    ):
        with pytest.raises(stripe.InvalidRequestError):
            await payments.client.v1.refunds.create_async(params)


async def test_the_dashboard_refunds(payments: Payments, receiver: Receiver) -> None:
    session = await payments.paid()
    made = await payments.order(
        "POST", "/refunds", payment_intent=session.payment_intent.id, amount=500
    )
    created = await receiver.until("refund.created")
    assert (created.id, created.amount, created.metadata.to_dict()) == (made["id"], 500, {})
    event: Any = next(e for e in receiver.events if e.type == "refund.created")
    assert event.request.id is None


async def test_a_refund_can_come_back(payments: Payments, receiver: Receiver) -> None:
    session = await payments.paid()
    refund = await payments.client.v1.refunds.create_async(
        {"payment_intent": session.payment_intent.id, "amount": 1000}
    )
    await payments.order("POST", f"/refunds/{refund.id}/fail")
    failed = await receiver.until("refund.failed")
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    assert await payments.balance() == {"eur": 2500}
    charge = await payments.client.v1.charges.retrieve_async(str(refund.charge))
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    twice = await payments.control.post(f"/refunds/{refund.id}/fail", json={})
    assert twice.status_code == 400


async def test_a_bank_refund_is_pending_first(payments: Payments, receiver: Receiver) -> None:
    session = await payments.open()
    await payments.click(session, "bank")
    answered = await receiver.until("checkout.session.async_payment_succeeded")
    refund = await payments.client.v1.refunds.create_async(
        {"payment_intent": answered.payment_intent}
    )
    assert refund.status == "pending"
    updated = await receiver.until("refund.updated")
    assert (updated.id, updated.status) == (refund.id, "succeeded")


async def test_a_refund_keeps_its_metadata_up_to_date(payments: Payments) -> None:
    session = await payments.paid()
    refund = await payments.client.v1.refunds.create_async(
        {"payment_intent": session.payment_intent.id, "reason": "duplicate"}
    )
    changed = await payments.client.v1.refunds.update_async(refund.id, {"metadata": {"a": "1"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"a": "1"}
    assert changed.reason == "duplicate"
