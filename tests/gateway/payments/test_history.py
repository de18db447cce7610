"""What the payment service knows is found, whatever the book has forgotten."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from billing.errors import CreditsLostError
from billing.payments import top_up_reference
from billing.stores import tables
from billing.stores.sql import SqlLedgerStore
from gateway.errors import PaymentError
from gateway.payments.history import UNBOOKED, PaymentHistory
from tests.gateway.payments.conftest import UNIT


@dataclass
class Walk:
    """Goes over the last hour; returns all that is unbooked."""

    over: PaymentHistory

    async def __call__(self):
        since = datetime.now(UTC) - timedelta(hours=1)
        return [one async for step in self.over.walk(since) for one in step.unbooked]


@pytest.fixture
def walk(shop):
    return Walk(PaymentHistory(shop.payments, service=shop.service, store=shop.store))


async def forget(shop, *names):
    """Lose all rows of some tables, as a copy from before them would."""
    async with shop.engine.begin() as connection:
        for table in ("credits", "transfers"):
            for event in ("update", "delete"):
                await connection.exec_driver_sql(
                    f"DROP TRIGGER IF EXISTS {table}_{event}_immutable"
                )
        for name in ("credits", "transfers", *names):
            await connection.execute(sa.delete(tables.metadata.tables[name]))
        await connection.execute(
            sa.update(tables.accounts).values(balance_micros=0, credit_sequence=0)
        )


async def test_what_was_lost_is_found_by_each_kind_once(shop, walk):
    first, second = await shop.paid(), await shop.paid("bob", units=10)
    await shop.does("POST", "/refunds", payment_intent=first.payment_intent_id, amount=500)
    await shop.does("POST", "/disputes", payment_intent=second.payment_intent_id)
    lost = {name: one.intent.id for one in await walk() for name in one.references}
    assert sorted(name[:3] for name in lost) == ["du:", "re:"]
    await forget(shop, "payments")
    found = {one.intent.id: sorted(one.references) for one in await walk()}
    assert [sorted(n[:3] for n in names) for names in found.values()] == [
        ["du:", "pi:"],
        ["pi:", "re:"],
    ]
    for one in await walk():
        await walk.over.book(one)
    assert (await shop.balance(), await shop.balance("bob")) == (20, 0)
    assert await walk() == []
    assert shop.frozen["bob"]


@pytest.mark.parametrize("retryable", [True, False])
async def test_a_service_that_does_not_answer_is_asked_again_and_one_that_refuses_is_said(
    shop, walk, monkeypatch, retryable
):
    await shop.paid()
    await forget(shop, "payments")
    lost, *_ = await walk()

    async def refuse(*_):
        raise PaymentError("no", retryable=retryable, service_code="expired")

    monkeypatch.setattr(shop.payments, "recover", refuse)
    if retryable:
        with pytest.raises(PaymentError):
            await walk.over.book(lost)
    else:
        left = await walk.over.book(lost)
        assert left.references == lost.references
        assert str(left).endswith("the service refuses (expired)")


async def test_what_somebody_else_sells_there_is_none_of_ours(shop, walk):
    await shop.service._intents.create_async(
        {
            "amount": 700,
            "currency": "eur",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        }
    )
    assert await walk() == []


async def test_a_page_that_names_the_account_is_enough(shop, walk, monkeypatch):
    """The intent's own notes may be missing."""
    await shop.paid()
    await forget(shop, "payments")
    fetch = shop.service.intent

    async def without_notes(intent_id):
        return replace(await fetch(intent_id), account_id="", payment_id="")

    monkeypatch.setattr(shop.service, "intent", without_notes)
    (one,) = {one.intent.id: one for one in await walk()}.values()
    assert one.intent.account_id == "alice"
    assert await walk.over.book(one) is None
    assert await shop.balance() == 25


async def test_what_cannot_be_booked_is_named_with_its_reason(shop, walk):
    await shop.paid()
    await forget(shop, "payments", "accounts")
    (one,) = {one.intent.id: one for one in await walk()}.values()
    left = await walk.over.book(one)
    assert left is not None
    assert str(left).startswith(f"{UNBOOKED}: pi:{one.intent.id} ($25.00, account alice)")
    assert "account is not known here" in str(left)
    async with shop.engine.begin() as connection:
        row = tables.new_account("alice", "EUR", datetime.now(UTC))
        await connection.execute(sa.insert(tables.accounts), [row])
    left = await walk.over.book(one)
    assert left is not None
    assert "another currency" in str(left)


async def test_a_webhook_that_was_on_its_way_is_no_finding(shop, walk):
    await shop.pays()
    found = await walk()
    assert [one.references for one in await walk.over.still(found)] != []
    await shop.payments.book_object("payment_intent", found[0].intent.id)
    assert await walk.over.still(found) == []


async def test_no_number_is_given_out_that_the_spend_gate_has_seen(shop):
    seen = 0

    async def gate_sequence(_account_id):
        return seen

    careful = SqlLedgerStore(shop.engine, gate_sequence=gate_sequence)
    assert await careful.add_credit("alice", UNIT, reference="a", kind="grant") == 1
    seen = 2
    with pytest.raises(CreditsLostError):
        await careful.add_credit("alice", UNIT, reference="b", kind="grant")
    # What is booked already is a repeat, whatever the gate says.
    assert await careful.add_credit("alice", UNIT, reference="a", kind="grant") is None
    assert await shop.ledger.add_credit("alice", UNIT, reference="c", kind="grant") == 2
    assert await careful.add_credit("alice", UNIT, reference="b", kind="grant") == 3
    assert await shop.balance() == 3


async def test_what_closed_books_had_is_neither_missed_nor_booked_again(shop, walk):
    payment = await shop.paid()
    await shop.does("POST", "/refunds", payment_intent=payment.payment_intent_id, amount=500)
    for one in await walk():
        await walk.over.book(one)
    await forget(shop, "payments")
    micros = payment.micros
    async with shop.engine.begin() as connection:
        closed = {"account_id": "alice", "until": datetime.now(UTC) - timedelta(days=1)}
        sums = {"customer_micros": micros, "payments_micros": -micros}
        await connection.execute(sa.insert(tables.closed_books).values(closed | sums))
        credit = {"sequence": 1, "reference": top_up_reference(payment.payment_intent_id)}
        await connection.execute(
            sa.insert(tables.closed_credits).values(credit | {"account_id": "alice"})
        )
        await connection.execute(
            sa.update(tables.accounts)
            .where(tables.accounts.c.id == "alice")
            .values(credit_sequence=1, balance_micros=micros)
        )
    # The top-up is closed; what came back of it since is booked, and makes its payment anew.
    (found,) = {one.intent.id: one for one in await walk()}.values()
    assert [name[:3] for name in found.references] == ["re:"]
    assert await walk.over.book(found) is None
    assert await walk() == []
    assert await shop.balance() == micros / UNIT - 5
