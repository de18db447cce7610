"""What the account's calls show against a dispute, and what they do not show."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from billing.cdr import CallClosed, CallOpened, CallRecord
from billing.payments import Payment, PaymentProfile, PaymentState
from billing.stores import tables
from gateway.errors import RequestRefusedError
from gateway.payments import evidence as evidence_module
from gateway.payments.evidence import TEXT_CHARACTERS_MAX, DisputeEvidence, evidence_of

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CENT = 10_000
PAYMENT = Payment("pay_1", "alice", "checkout", 2_500 * CENT, "USD", PaymentState.DISPUTED, AT, AT)


def record(seconds=90, *, is_closed=True, origin="https://shop.example", minutes=5):
    opened = CallOpened(
        call_id=f"call_{minutes}",
        account_id="alice",
        node="n1",
        destination="+442079460018",
        country="GB",
        codec="pcmu",
        origin=origin,
        currency="USD",
        rate='{"per_minute_micros":0}',
        created_at=AT + timedelta(minutes=minutes),
    )
    closed = CallClosed(
        answered_at=AT if seconds else None,
        ended_at=AT,
        seconds=seconds,
        cause=16,
        cause_name="NORMAL_CLEARING",
        ended_by="caller",
    )
    return CallRecord(opened=opened, closed=closed if is_closed else None, cost_micros=3 * CENT)


def evidence(*records, email=""):
    return evidence_of(PAYMENT, PaymentProfile("alice", "USD", email=email), records)


def test_the_calls_are_told_without_whom_they_reached():
    found = evidence(record(), record(seconds=0), record(is_closed=False), record(origin=""))
    assert found["access_activity_log"] == (
        "2026-11-24 12:05:00+00:00 call to +44207946**** (GB) from https://shop.example, "
        "90 s, $0.03\n"
        "2026-11-24 12:05:00+00:00 call to +44207946**** (GB), 90 s, $0.03\n"
    )
    assert "2 answered calls of 180 seconds in all, for $0.06" in found["uncategorized_text"]
    assert "Prepaid credit of $25.00" in found["product_description"]
    assert "0018" not in str(found)
    assert "customer_email_address" not in found


def test_the_payers_address_is_given_where_it_is_known():
    assert evidence(email="a@example.com")["customer_email_address"] == "a@example.com"


def test_no_calls_are_no_log():
    assert evidence()["access_activity_log"] == ""


def test_a_text_is_no_longer_than_is_taken_and_ends_with_a_whole_line():
    log = evidence(*[record()] * 1_000)["access_activity_log"]
    assert TEXT_CHARACTERS_MAX - 200 < len(log) <= TEXT_CHARACTERS_MAX
    assert log.endswith("$0.03\n")


async def test_evidence_is_kept_at_the_service_and_handed_over_once_asked(shop):
    await add_calls(shop.engine, "alice", 7)
    payment = await shop.paid()
    await shop.does("POST", "/disputes", payment_intent=payment.payment_intent_id)
    desk = DisputeEvidence(shop.service, shop.store, shop.records)
    found = await desk.give(payment.id, submit=False)
    assert found["access_activity_log"].count("call to") == 7
    (dispute,) = await shop.objects("disputes")
    assert dispute["evidence"]["access_activity_log"] == found["access_activity_log"]
    assert dispute["status"] == "needs_response"
    await desk.give(payment.id, submit=True)
    (dispute,) = await shop.objects("disputes")
    assert dispute["status"] == "under_review"
    shop.clock.ahead = timedelta(minutes=10)  # when these calls have ended


async def test_only_calls_since_the_payment_are_looked_for_and_not_without_end(shop, monkeypatch):
    monkeypatch.setattr(evidence_module, "CALLS_PER_PAGE", 2)
    monkeypatch.setattr(evidence_module, "CALLS_MAX", 6)
    payment = await shop.paid()
    desk = DisputeEvidence(shop.service, shop.store, shop.records)
    await add_calls(shop.engine, "alice", 3, at=payment.created_at - timedelta(hours=1))
    assert await desk._calls_since(payment) == []
    await add_calls(shop.engine, "alice", 3, at=payment.created_at + timedelta(seconds=1))
    assert len(await desk._calls_since(payment)) == 3
    await add_calls(shop.engine, "alice", 9, at=payment.created_at + timedelta(minutes=5))
    assert len(await desk._calls_since(payment)) == 6
    shop.clock.ahead = timedelta(minutes=10)  # when these calls have ended


async def test_without_a_dispute_there_is_nothing_to_answer(shop):
    desk = DisputeEvidence(shop.service, shop.store, shop.records)
    begun, _ = await shop.payments.start_checkout("alice", 25 * 100 * CENT)
    paid = await shop.paid(units=10)
    for payment_id in ("pay_none", begun.id, paid.id):
        with pytest.raises(RequestRefusedError) as refused:
            await desk.give(payment_id, submit=True)
        assert refused.value.code == "payment_not_found"


async def add_calls(engine, account_id, count, at=None):
    """Put ended calls into the book, a second apart."""
    at = at or datetime.now(UTC) + timedelta(minutes=1)
    template = record(origin="")
    rows = [
        {
            "id": f"call_{at.timestamp()}_{number}",
            "account_id": account_id,
            "created_at": at + timedelta(seconds=number),
            "opened": True,
            "closed": True,
            "answered_at": at + timedelta(seconds=number),
            "ended_at": at + timedelta(seconds=number + 5),
            "seconds": 5,
            # Calls that cost nothing leave no mark in the ledger.
            "spent_micros": 0,
            "cause": 16,
            "cause_name": "NORMAL_CLEARING",
            "ended_by": "caller",
            "carrier_call_id": "",
            "browser_quality": "{}",
            "carrier_quality": "{}",
            **{name: getattr(template.opened, name) for name in COPIED},
        }
        for number in range(count)
    ]
    async with engine.begin() as connection:
        await connection.execute(sa.insert(tables.calls), rows)


COPIED = ("node", "destination", "country", "codec", "origin", "currency", "rate")
