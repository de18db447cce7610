"""The way of a mail: queued by one process, sent by another, in its reader's words."""

import asyncio
import re
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from accounts.holder import Holder
from accounts.link import Purpose, digest
from accounts.notice import MailState, Notice
from accounts.stores import holders, links
from billing.clock import utc_now
from billing.stores import tables
from billing.stores.payments import SqlPaymentStore
from database.engine import reading, writing
from gateway.errors import RequestRefusedError, SettingsError
from gateway.people.store import SqlPeople
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.post.mail import mail_server
from gateway.roles.mail import MailDuty, build_writer, open_queue
from gateway.settings_variables import from_mapping
from gateway.stores.mail_outbox import SqlMailOutbox, queue_notice
from tests.gateway.payments.conftest import UNIT, shop
from tests.gateway.post.conftest import closed_mailbox, mailbox
from tests.gateway.post.mailbox import SENDER

__all__ = ["closed_mailbox", "mailbox", "shop"]

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
ORIGIN, ADDRESS = "https://calls.example.com", "alice@example.com"


def settings_for(mailbox=None, **changes):
    environ = {"CALLER_PUBLIC_ORIGIN": ORIGIN, "CALLER_SERVICE_NAME": "Example Calls", **changes}
    if mailbox is not None:
        environ |= {
            "CALLER_SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}",
            "CALLER_MAIL_FROM": SENDER,
        }
    return from_mapping(environ)


async def open_account(engine, account_id="alice", language=None):
    """Make an account; with a holder who reads this language, if one is given."""
    async with engine.begin() as connection:
        row = tables.new_account(account_id, "USD", AT)
        await connection.execute(sa.insert(tables.accounts), [row])
        if language is not None:
            holder = Holder(account_id, "alice@example.com", None, "hash", 1, language, AT)
            assert await holders.insert(connection, holder, "alice@example.com")


async def test_a_person_gets_the_link_that_a_change_queued(engine, mailbox):
    await open_account(engine, language="es")
    async with writing(engine, 5) as connection:
        at = utc_now()
        email = "alice@example.com"
        await links.expect(connection, "alice", Purpose.PROVE_ADDRESS, email, at)
        notice = Notice("verify_email", email, link=Purpose.PROVE_ADDRESS)
        await queue_notice(connection, "alice", notice, at)
    duty = MailDuty(settings_for(mailbox), engine)
    duty.start()
    await mailbox.wait_for_mails(1)
    await duty.stop()
    (mail,) = mailbox.mails
    assert mail["Subject"] == "Confirme su dirección para Example Calls"
    plain, _ = mail.iter_parts()
    (secret,) = re.findall(rf"^{ORIGIN}/l/(\S+)\r?$", plain.get_content(), re.MULTILINE)
    assert len(secret) == 43
    async with reading(engine, 5) as connection:
        made = await links.find(connection, digest(secret))
    assert (made.link.purpose, made.link.email) == (Purpose.PROVE_ADDRESS, email)
    assert made.link.works(utc_now())
    # No table has the secret itself.
    (row,) = await SqlMailOutbox(engine).of_account("alice")
    assert row.state is MailState.SENT
    assert secret not in str(row)


async def test_an_account_without_a_holder_is_written_to_in_english(sqlite_engine):
    await open_account(sqlite_engine)
    await SqlPaymentStore(sqlite_engine).save_card("alice", "cus_1", "pm_1", "alice@example.com")
    outbox = SqlMailOutbox(sqlite_engine)
    await outbox.queue("alice", Notice("locked"))
    (mail,) = await outbox.newest(1)
    recipient, text = await build_writer(settings_for(), sqlite_engine).render(mail)
    assert recipient == "alice@example.com"
    assert text.subject == "Your account at Example Calls is locked"


async def test_without_a_server_mails_stay_to_be_looked_at(sqlite_engine):
    await open_account(sqlite_engine)
    await SqlMailOutbox(sqlite_engine).queue("alice", Notice("locked"))
    duty = MailDuty(settings_for(), sqlite_engine)
    duty.start()
    await asyncio.sleep(0)
    await duty.stop()
    (mail,) = await SqlMailOutbox(sqlite_engine).newest(9)
    assert mail.state is MailState.QUEUED


def test_a_server_that_cannot_be_used_is_refused_by_name():
    assert mail_server(settings_for()) is None
    wrong = {"CALLER_SMTP_URL": "smtp://me:hush@mail.example.com:25", "CALLER_MAIL_FROM": SENDER}
    with pytest.raises(SettingsError, match="CALLER_SMTP_URL"):
        mail_server(settings_for(**wrong))


async def test_what_payments_tell_is_mailed(shop, mailbox):
    payment = await shop.paid(units=10, save_card=True)
    await shop.payments.set_auto(
        "alice", enabled=True, threshold_micros=5 * UNIT, amount_micros=25 * UNIT
    )
    await shop.auto.maybe_top_up("alice", UNIT)
    opened_dispute = await shop.does("POST", "/disputes", payment_intent=payment.payment_intent_id)
    await shop.payments.book_object("dispute", opened_dispute["id"])
    engine = shop.store._engine
    queue, duty = open_queue(engine), MailDuty(settings_for(mailbox), engine)
    duty.start()

    async def tell(mails):
        for event in shop.events:
            queue.notify(*event)
            # One after the other, to know their order.
            assert await queue.leave(20)
        shop.events.clear()
        await mailbox.wait_for_mails(mails)

    await tell(3)
    await shop.does("POST", f"/disputes/{opened_dispute['id']}", status="won")
    await shop.payments.book_object("dispute", opened_dispute["id"])
    profile = await shop.store.profile("alice")
    await shop.does(
        "PUT",
        f"/payment_methods/{profile.payment_method_id}",
        behaviour="authentication_required",
    )
    shop.clock.ahead += shop.auto._limits.pause * 2
    await shop.auto.maybe_top_up("alice", UNIT)
    await tell(5)
    await duty.stop()
    await queue.stop()
    texts = {mail["Subject"]: mail.get_body(("plain",)).get_content() for mail in mailbox.mails}
    assert texts.keys() == {
        "Receipt: $10.00 of calling credit",
        "Automatic top-up of $25.00",
        "A payment is disputed: $10.00",
        "A dispute was decided: $10.00",
        "Automatic top-up is switched off",
    }
    assert {message["To"] for message in mailbox.mails} == {profile.email}
    page = (await shop.objects("checkout.sessions"))[0]["url"]
    assert page in texts["Automatic top-up is switched off"]
    assert "account is frozen" in texts["A payment is disputed: $10.00"]
    assert "Your account can place calls." in texts["A dispute was decided: $10.00"]


async def test_a_charge_of_the_saved_card_is_told_once_and_its_link_stops_the_next(shop, mailbox):
    async with shop.engine.begin() as connection:
        accounts = tables.accounts
        named = sa.update(accounts).where(accounts.c.id == "alice").values(email=ADDRESS)
        await connection.execute(named)
        assert await holders.insert(
            connection, Holder("alice", ADDRESS, AT, "hash", 1, "en", AT), ADDRESS
        )
    await shop.paid(units=10, save_card=True)
    for _ in range(2):
        payment = await shop.auto.charge_now("alice", 25 * UNIT, "tap")
        await shop.payments.book_object("payment_intent", payment.payment_intent_id)
    queues = [open_queue(shop.engine) for _ in range(2)]
    for queue in queues:
        for event in shop.events:
            queue.notify(*event)
        assert await queue.leave(20)
        await queue.stop()
    duty = MailDuty(settings_for(mailbox), shop.engine)
    duty.start()
    await mailbox.wait_for_mails(1)
    await duty.stop()
    (mail,) = mailbox.mails
    assert (mail["To"], mail["Subject"]) == (ADDRESS, "Your saved card was charged $25.00")
    text = mail.get_body(("plain",)).get_content()
    assert f"Payment: {payment.id}" in text
    (secret,) = re.findall(rf"^{ORIGIN}/l/(\S+)\r?$", text, re.MULTILINE)
    people = SqlPeople(shop.engine, queue_notice, taking_back=TAKING_BACK)
    assert await people.lock(digest(secret), Notice("locked", link=Purpose.RESET_PASSWORD))
    with pytest.raises(RequestRefusedError) as refused:
        await shop.auto.charge_now("alice", 25 * UNIT, "another tap")
    assert refused.value.code == "account_frozen"
    assert await shop.balance() == 35
