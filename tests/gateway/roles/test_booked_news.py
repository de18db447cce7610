"""A payment's receipt is queued with its booking, once, whoever hears of the payment."""

import asyncio

import pytest
import sqlalchemy as sa

from billing.ports import BookedEvent
from billing.stores import tables
from billing.stores.sql import SqlLedgerStore
from gateway.post.mail_queue import MailQueue
from gateway.roles.booked_news import tell_of_credit
from gateway.stores.mail_outbox import SqlMailOutbox
from tests.gateway.payments.conftest import UNIT, shop, told_shop, until

__all__ = ["shop", "told_shop"]


@pytest.fixture
async def receipts(told_shop):
    """A shop that is told by webhooks, and whose accounts have addresses."""
    async with told_shop.engine.begin() as connection:
        everybody = sa.update(tables.accounts).values(email=tables.accounts.c.id + "@example.com")
        await connection.execute(everybody)
    told_shop.ledger._on_news = tell_of_credit
    return told_shop


async def mails(shop, account_id="alice"):
    return [each.notice for each in await SqlMailOutbox(shop.engine).of_account(account_id)]


async def test_webhooks_in_any_order_and_number_make_one_receipt(receipts):
    await receipts.does(
        "PUT", "/faults", deliveries={"duplicate": 4, "shuffle_s": 0.2, "fail_every": 3}
    )
    mailing = MailQueue(SqlMailOutbox(receipts.engine), receipts.store)
    first, second = await receipts.pays(units=10), await receipts.pays(units=20)
    # The return page and another node hear of it as well.
    await asyncio.gather(
        *(receipts.payments.book_outcome(each) for each in (first, second) for _ in range(3))
    )

    async def is_booked():
        return await receipts.balance() == 30

    await until(is_booked)
    for name, data in receipts.events:
        mailing.notify(name, data)
    assert await mailing.leave(20)
    found = await mails(receipts)
    assert {each.values["payment_id"] for each in found} == {first.id, second.id}
    assert [each.name for each in found] == ["topped_up"] * 2
    # What the credit has become, after the first and after the second.
    balances = {int(each.values["balance_micros"]) // UNIT for each in found}
    assert max(balances) == 30
    assert "@" not in str([each.values for each in found])


async def test_a_process_that_dies_after_booking_has_sent_the_receipt(receipts, monkeypatch):
    payment = await receipts.pays(units=10)

    async def die(account_id):
        raise ConnectionError

    with monkeypatch.context() as dying:
        dying.setattr(receipts.payments, "_on_credit", die)
        dying.setattr(receipts.payments, "_notify", lambda name, data: None)
        with pytest.raises(ConnectionError):
            await receipts.payments.book_outcome(payment)
    assert [each.name for each in await mails(receipts)] == ["topped_up"]
    await receipts.payments.book_outcome(payment)
    assert [each.name for each in await mails(receipts)] == ["topped_up"]


async def test_a_booking_that_is_undone_takes_its_receipt_along(receipts):
    data = {"account_id": "alice", "payment_id": "pay_1", "kind": "checkout"}
    data |= {"reference": "pi:1", "micros": f"{UNIT}", "currency": "USD"}

    def refuse(references):
        raise LookupError

    with pytest.raises(LookupError):
        await receipts.ledger.add_credit(
            "alice",
            UNIT,
            reference="pi:1",
            kind="grant",
            payment_id="pay_1",
            news=BookedEvent("payment.received", data),
            guard=refuse,
        )
    assert (await mails(receipts), await receipts.balance()) == ([], 0)


async def test_who_gave_no_address_gets_none(shop):
    shop.ledger = SqlLedgerStore(shop.engine, on_news=tell_of_credit)
    shop.payments._ledger = shop.ledger
    payment = await shop.pays(units=10)
    await shop.payments.book_outcome(payment)
    assert (await mails(shop), await shop.balance()) == ([], 10)


async def test_a_saved_cards_charge_has_the_mail_of_its_own(receipts):
    await receipts.paid(units=10, save_card=True)
    await receipts.auto.charge_now("alice", 25 * UNIT, "tap")
    # It has a link, and is queued behind the booking.
    assert [each.name for each in await mails(receipts)] == ["topped_up"]
