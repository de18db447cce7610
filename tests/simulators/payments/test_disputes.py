"""Disputes: opened by a card holder, answered with evidence, decided by a bank."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from simulators.payments.account import MerchantAccount
from simulators.payments.clock import NS_PER_S
from simulators.payments.disputes import EVIDENCE_DUE_S
from simulators.payments.refunds import find_charge

from .conftest import NOW_NS, Payments, event_types, form
from .receiver import Receiver
from .test_checkout import SESSION


async def disputed(payments: Payments, **body: Any) -> tuple[Any, str]:
    """Return a paid session and its dispute's identifier."""
    session = await payments.paid()
    body |= {"payment_intent": session.payment_intent.id}
    return session, (await payments.order("POST", "/disputes", **body))["id"]


async def test_a_dispute_takes_the_money_and_winning_gives_it_back(
    payments: Payments, receiver: Receiver
) -> None:
    session, dispute_id = await disputed(payments)
    created = await receiver.until("charge.dispute.created")
    await receiver.until("charge.dispute.funds_withdrawn")
    assert (created.id, created.status, created.amount) == (dispute_id, "needs_response", 2500)
    assert await payments.balance() == {"eur": 0}
    charge = await payments.client.v1.charges.retrieve_async(created.charge)
    assert charge.disputed
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await payments.client.v1.refunds.create_async({"charge": charge.id})
    assert caught.value.code == "charge_disputed"

    await payments.order("POST", f"/disputes/{dispute_id}", status="won")

    closed = await receiver.until("charge.dispute.closed")
    await receiver.until("charge.dispute.funds_reinstated")
    assert closed.status == "won"
    assert await payments.balance() == {"eur": 2500}
    dispute = await payments.client.v1.disputes.retrieve_async(dispute_id)
    assert [movement.amount for movement in dispute.balance_transactions] == [-2500, 2500]
    listed = await payments.client.v1.disputes.list_async(
        {"payment_intent": session.payment_intent.id}
    )
    assert [found.id for found in listed.data] == [dispute_id]


async def test_losing_leaves_the_money_with_the_bank(
    payments: Payments, receiver: Receiver
) -> None:
    _, dispute_id = await disputed(payments, amount=2000, reason="unrecognized")
    await payments.order("POST", f"/disputes/{dispute_id}", status="lost")
    assert (await receiver.until("charge.dispute.closed")).status == "lost"
    assert receiver.count("charge.dispute.funds_reinstated") == 0
    assert await payments.balance() == {"eur": 500}
    again = await payments.control.post(f"/disputes/{dispute_id}", json={"status": "won"})
    assert again.status_code == 400


async def test_an_inquiry_takes_no_money(payments: Payments, receiver: Receiver) -> None:
    _, dispute_id = await disputed(payments, inquiry=True)
    created = await receiver.until("charge.dispute.created")
    assert (created.status, created.is_charge_refundable) == ("warning_needs_response", True)
    assert await payments.balance() == {"eur": 2500}
    wrong = await payments.control.post(f"/disputes/{dispute_id}", json={"status": "won"})
    assert wrong.status_code == 400
    await payments.order("POST", f"/disputes/{dispute_id}", status="under_review")
    await payments.order("POST", f"/disputes/{dispute_id}", status="warning_closed")
    assert (await receiver.until("charge.dispute.closed")).status == "warning_closed"
    assert receiver.count("charge.dispute.funds_withdrawn") == 0
    assert await payments.balance() == {"eur": 2500}


@pytest.mark.parametrize(
    ("text", "verdict"), [("winning_evidence", "won"), ("losing_evidence", "lost")]
)
async def test_evidence_is_staged_and_then_submitted(
    payments: Payments, receiver: Receiver, text: str, verdict: str
) -> None:
    _, dispute_id = await disputed(payments)
    disputes = payments.client.v1.disputes
    staged = await disputes.update_async(
        dispute_id, {"evidence": {"product_description": "a call"}, "submit": False}
    )
    assert (staged.status, staged.evidence_details.has_evidence) == ("needs_response", True)
    assert staged.evidence_details.submission_count == 0

    submitted = await disputes.update_async(dispute_id, {"evidence": {"uncategorized_text": text}})

    assert (submitted.status, submitted.evidence_details.submission_count) == ("under_review", 1)
    assert submitted.evidence.product_description == "a call"
    assert (await receiver.until("charge.dispute.closed")).status == verdict
    assert receiver.count("charge.dispute.updated") == 2
    with pytest.raises(stripe.InvalidRequestError):
        await disputes.update_async(dispute_id, {"evidence": {"uncategorized_text": "more"}})


async def test_evidence_ends_an_inquiry(payments: Payments, receiver: Receiver) -> None:
    _, dispute_id = await disputed(payments, inquiry=True)
    dispute = await payments.client.v1.disputes.update_async(
        dispute_id, {"evidence": {"uncategorized_text": "winning_evidence"}}
    )
    assert dispute.status == "warning_under_review"
    assert (await receiver.until("charge.dispute.closed")).status == "warning_closed"


async def test_a_bank_debit_is_disputed_too(payments: Payments, receiver: Receiver) -> None:
    session = await payments.open()
    await payments.click(session, "bank")
    answered = await receiver.until("checkout.session.async_payment_succeeded")
    await payments.order("POST", "/disputes", payment_intent=answered.payment_intent)
    created = await receiver.until("charge.dispute.created")
    assert "payment_method_details" not in created


async def test_a_dispute_is_accepted(payments: Payments, receiver: Receiver) -> None:
    _, dispute_id = await disputed(payments)
    accepted = await payments.client.v1.disputes.close_async(dispute_id)
    assert accepted.status == "lost"
    await receiver.until("charge.dispute.closed")
    with pytest.raises(stripe.InvalidRequestError):
        await payments.client.v1.disputes.close_async(dispute_id)


async def test_a_charge_is_disputed_once_and_for_no_more_than_it_was(payments: Payments) -> None:
    session, _ = await disputed(payments)
    intent = session.payment_intent.id
    assert (
        await payments.control.post("/disputes", json={"payment_intent": intent})
    ).status_code == 400
    other = (await payments.paid()).payment_intent.id
    for body in ({"amount": 2501}, {"amount": 0}, {"reason": "because"}):
        reply = await payments.control.post("/disputes", json={"payment_intent": other, **body})
        assert reply.status_code == 400


@pytest.mark.parametrize(("is_inquiry", "status"), [(False, "lost"), (True, "warning_closed")])
def test_a_dispute_that_nobody_answers_ends_by_itself(
    account: MerchantAccount, is_inquiry: bool, status: str
) -> None:
    session = account.checkout.create(form(SESSION), NOW_NS)
    account.checkout.pay(session.id, "card", None, NOW_NS)
    charge = find_charge(account.world, None, session.payment_intent)
    dispute = account.disputes.open(charge, NOW_NS, is_inquiry=is_inquiry)
    account.world.schedule.advance(NOW_NS + EVIDENCE_DUE_S * NS_PER_S)
    assert dispute.status == status
    assert event_types(account)[-1] == "charge.dispute.closed"
