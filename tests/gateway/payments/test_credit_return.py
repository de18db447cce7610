"""Unspent credit goes back to the cards it came from, once, whatever breaks off."""

from datetime import UTC, datetime

import httpx
import pytest

from billing.payments import BookedCredit, Payment, PaymentState
from gateway.errors import PaymentError, RequestRefusedError
from gateway.payments.credit_return import CreditReturn

UNIT = 1_000_000
NOW = datetime(2026, 11, 27, tzinfo=UTC)


def paid(number, units, *, refunded=0, state=PaymentState.PAID):
    return Payment(
        id=f"p{number}",
        account_id="ada",
        kind="checkout",
        micros=units * UNIT,
        currency="USD",
        state=state,
        payment_intent_id=f"pi{number}",
        refunded_micros=refunded * UNIT,
        created_at=NOW,
        updated_at=NOW,
    )


class Till:
    """Payments, a balance, and a service that refunds."""

    def __init__(self, balance, *payments):
        self.micros, self.payments = balance, list(payments)
        self.refunds, self.fails = [], {}
        self.begun = {}

    async def balance(self, _account_id):
        return self.micros

    async def page(self, _account_id, *, limit, before=None):
        first = 0 if before is None else [p.id for p in self.payments].index(before) + 1
        return self.payments[first : first + limit]

    async def entries(self, payment):
        return self.begun.get(payment.id, [])

    async def send_back(self, payment_id, micros, *, reference):
        if error := self.fails.get(payment_id):
            raise error
        self.refunds.append((payment_id, micros))
        self.micros -= micros


def returning(till):
    return CreditReturn(till, till, till.balance)


async def test_the_newest_payments_are_refunded_as_far_as_credit_reaches():
    till = Till(12 * UNIT + 5_000, paid(3, 5), paid(2, 10, refunded=4), paid(1, 50))
    assert await returning(till).refundable("ada") == 12 * UNIT
    await returning(till).send_back("ada")
    # No card can be sent half a cent.
    assert till.refunds == [("p3", 5 * UNIT), ("p2", 6 * UNIT), ("p1", UNIT)]
    assert till.micros == 5_000


async def test_credit_that_was_never_paid_goes_to_no_card():
    till = Till(9 * UNIT, paid(1, 2), paid(0, 5, state=PaymentState.DISPUTED))
    assert await returning(till).refundable("ada") == 2 * UNIT
    await returning(till).send_back("ada")
    assert till.refunds == [("p1", 2 * UNIT)]


async def test_a_debt_refunds_nothing():
    till = Till(-UNIT, paid(1, 2))
    assert await returning(till).refundable("ada") == 0
    await returning(till).send_back("ada")
    assert till.refunds == []


async def test_a_refund_whose_outcome_is_not_known_is_finished_first():
    """Its credit is taken already, so that nothing is left to see it by but its entry."""
    till = Till(0, paid(1, 9))
    entry = BookedCredit("refund:p1:500:leaving", "ada", -5 * UNIT, "USD", "refund", "p1")
    other = BookedCredit("refund:p1:100:by-hand", "ada", -UNIT, "USD", "refund", "p1")
    till.begun["p1"] = [entry, other]
    await returning(till).send_back("ada")
    assert till.refunds == [("p1", 5 * UNIT)]


async def test_what_is_refused_for_good_holds_up_no_other():
    till = Till(9 * UNIT, paid(3, 2), paid(2, 3), paid(1, 4))
    till.fails = {
        "p3": PaymentError("closed", retryable=False),
        "p2": RequestRefusedError("refund_too_large"),
    }
    await returning(till).send_back("ada")
    assert till.refunds == [("p1", 4 * UNIT)]


async def test_a_service_that_is_away_is_waited_for():
    till = Till(9 * UNIT, paid(1, 4))
    till.fails["p1"] = PaymentError("away", retryable=True)
    with pytest.raises(PaymentError):
        await returning(till).send_back("ada")


async def test_payments_of_many_pages_are_looked_at(monkeypatch):
    monkeypatch.setattr("gateway.payments.credit_return.PAGE", 2)
    till = Till(50 * UNIT, *(paid(number, 1) for number in range(5)))
    assert await returning(till).refundable("ada") == 5 * UNIT


async def test_what_was_paid_after_a_moment_goes_back_whenever_it_was_begun(shop):
    await shop.paid(units=5)
    late, url = await shop.payments.start_checkout("alice", 30 * UNIT)
    asked_at = datetime.now(UTC)
    async with httpx.AsyncClient() as browser:
        await browser.post(url, data={"method": "card", "email": "alice@example.com"})
    await shop.payments.book_outcome(late)
    assert await shop.balance() == 35
    credit_return = CreditReturn(shop.store, shop.refunds, shop.ledger.balance)
    for _ in range(2):
        await credit_return.send_back("alice", asked_at)
    (refund,) = await shop.objects("refunds")
    assert (refund["amount"], await shop.balance()) == (3_000, 5)
    assert (await shop.store.find(late.id)).refunded_micros == 30 * UNIT
