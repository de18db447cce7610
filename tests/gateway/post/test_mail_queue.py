"""Events about money become mails in the outbox: only what a person must know, once, bounded."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from accounts.holder import Holder
from accounts.link import Purpose
from accounts.notice import Notice
from accounts.stores import holders, links
from billing.meter import CutOff
from billing.payments import PaymentProfile
from billing.stores import tables
from billing.stores.payments import SqlPaymentStore
from database.errors import StoreUnavailableError
from gateway.post.mail_queue import MailQueue, notice_of
from gateway.post.notices import NOTICES, MailReader, MailSender, write
from gateway.post.patience import DELAYS_S, WAITING_MAX
from gateway.stores.mail_outbox import SqlMailOutbox

AT = datetime(2026, 11, 24, 23, 59, tzinfo=UTC)
UNIT = 1_000_000
PAYMENT = {"account_id": "alice", "payment_id": "pay_1", "micros": 25 * UNIT, "currency": "USD"}
CHARGED = {**PAYMENT, "kind": "saved"}
OFF = {**PAYMENT, "reason": "expired_card", "url": "https://checkout.example/1"}
CUT_OFF = {"account_id": "alice", "call_id": "c1", "cause": CutOff.CREDIT.value, "seconds": 3}
REFUNDED = {
    "account_id": "alice",
    "call_id": "c1",
    "micros": 30_000,
    "rule": "no_audio",
    "reason": "No sound came from the phone.",
}
EVENTS = [
    ("auto_top_up.off", OFF, "auto_top_up_off"),
    ("payment.received", {**PAYMENT, "kind": "checkout"}, "topped_up"),
    ("payment.received", {**PAYMENT, "kind": "auto"}, "auto_top_up"),
    ("payment.received", CHARGED, "card_charged"),
    ("payment.refunded", {**PAYMENT, "kind": "checkout"}, "refunded"),
    ("payment.refund_failed", {**PAYMENT, "kind": "auto"}, "refund_failed"),
    ("payment.disputed", {**PAYMENT, "kind": "checkout"}, "disputed"),
    ("payment.dispute_won", {**PAYMENT, "kind": "checkout"}, "dispute_won"),
    ("call.cut_off", CUT_OFF, "out_of_credit"),
    ("call.refunded", REFUNDED, "call_refunded"),
]


@pytest.mark.parametrize(("name", "data", "notice"), EVENTS)
def test_an_event_becomes_a_notice_that_can_be_written(name, data, notice):
    made = notice_of(name, data, AT)
    assert made.name == notice
    # Whose address, and in which language, is known when it leaves.
    assert made.recipient == ""
    # Only what somebody else may have asked for can be disputed.
    assert made.link == (Purpose.NOT_ME if notice == "card_charged" else None)
    assert made.values.keys() == NOTICES[notice].values
    reader = MailReader(PaymentProfile("alice", "USD", email="alice@example.com"))
    assert write(made, reader, MailSender("Caller", "https://x.example")).subject


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("payment.account_deleted", {**PAYMENT, "kind": "checkout"}),
        ("payment.account_deleted", {**PAYMENT, "kind": "auto"}),
        ("payment.account_deleted", {**PAYMENT, "kind": "saved"}),
        ("auto_top_up.failed", OFF),
        ("call.credit_warning", {**CUT_OFF, "seconds_left": 10}),
        *(
            ("call.cut_off", {**CUT_OFF, "cause": each.value})
            for each in CutOff
            if each is not CutOff.CREDIT
        ),
        ("", {}),
    ],
)
def test_of_other_events_nobody_is_mailed(name, data):
    assert notice_of(name, data, AT) is None


def test_what_happens_once_is_told_once():
    def once(name, data, at=AT):
        return notice_of(name, data, at).once

    assert once("call.refunded", REFUNDED) != once("call.refunded", {**REFUNDED, "call_id": "c2"})
    for kind in ("checkout", "auto", "saved"):
        charged = {**PAYMENT, "kind": kind}
        other = {**charged, "payment_id": "pay_2"}
        assert "" != once("payment.received", charged) != once("payment.received", other)
    # A payment may be refunded in parts.
    assert once("payment.refunded", PAYMENT) == ""
    next_day = AT + timedelta(minutes=1)
    assert once("call.cut_off", CUT_OFF) == once("call.cut_off", {**CUT_OFF, "call_id": "c2"})
    assert once("call.cut_off", CUT_OFF) != once("call.cut_off", CUT_OFF, next_day)


class Outbox:
    """Notices in memory; away for some attempts."""

    def __init__(self, failures=0, error=StoreUnavailableError):
        self.queued, self.to_holders = [], []
        self.failures = failures
        self.error = error
        self.news = asyncio.Event()

    async def queue(self, account_id, notice):
        if self.failures:
            self.failures -= 1
            self.news.set()
            raise self.error
        self.queued.append((account_id, notice))

    async def queue_to_holder(self, account_id, notice):
        await self.queue(account_id, notice)
        self.to_holders.append(account_id)


class Addresses:
    def __init__(self, email="alice@example.com"):
        self.email = email

    async def profile(self, account_id):
        if account_id != "alice":
            raise LookupError("no such account")
        return PaymentProfile("alice", "USD", email=self.email)


def queue_of(outbox, addresses=None, **options):
    options = {"delays_s": (0, 0), "clock": lambda: AT, **options}
    return MailQueue(outbox, addresses or Addresses(), **options)


async def test_an_event_is_queued_behind_the_back_of_who_tells_it():
    outbox = Outbox()
    queue = queue_of(outbox)
    assert await queue.leave(0)
    queue.notify("call.refunded", REFUNDED)
    queue.notify("call.credit_warning", CUT_OFF)
    assert not outbox.queued
    assert await queue.leave(20)
    assert outbox.queued == [("alice", notice_of("call.refunded", REFUNDED, AT))]
    await queue.stop()


@pytest.mark.parametrize(
    ("name", "data", "to_holders"),
    [("call.refunded", REFUNDED, []), ("payment.received", CHARGED, ["alice"])],
)
async def test_an_outbox_that_is_away_is_asked_again(name, data, to_holders):
    outbox = Outbox(failures=2)
    queue = queue_of(outbox)
    queue.notify(name, data)
    assert await queue.leave(20)
    assert outbox.queued == [("alice", notice_of(name, data, AT))]
    # What has a link is for who can be locked out.
    assert outbox.to_holders == to_holders


@pytest.mark.parametrize("error", [StoreUnavailableError, ValueError])
async def test_what_cannot_be_queued_is_logged_without_its_values(error):
    outbox = Outbox(failures=9, error=error)
    queue = queue_of(outbox)
    with capture_logs() as logs:
        queue.notify("call.refunded", REFUNDED)
        assert await queue.leave(20)
    assert outbox.failures == (6 if error is StoreUnavailableError else 8)
    assert logs == [
        {
            "event": "mail not queued",
            "log_level": "warning",
            "about": "call_refunded",
            "account": "alice",
            "failure": error.__name__,
        }
    ]
    assert sum(DELAYS_S) < 180


async def test_who_gave_no_address_gets_no_mail():
    outbox = Outbox()
    queue = queue_of(outbox, Addresses(""))
    with capture_logs() as logs:
        queue.notify("call.refunded", REFUNDED)
        queue.notify("call.refunded", {**REFUNDED, "account_id": "nobody"})
        assert await queue.leave(20)
    assert not outbox.queued
    assert [line["failure"] for line in logs] == ["LookupError"]


async def test_an_outbox_that_is_away_costs_bounded_memory():
    outbox = Outbox(failures=9_999)
    queue = queue_of(outbox, delays_s=(3600,))
    with capture_logs() as logs:
        for _ in range(WAITING_MAX + 10):
            queue.notify("call.refunded", REFUNDED)
        await outbox.news.wait()
        assert not await queue.leave(0)
    assert Counter(line["event"] for line in logs) == {"mail not queued, too many wait": 10}


async def test_a_stop_waits_for_no_pause(monkeypatch):
    monkeypatch.setattr("gateway.post.patience.STOP_S_MAX", 0.01)
    outbox = Outbox(failures=1)
    queue = queue_of(outbox, delays_s=(3600,))
    queue.notify("call.refunded", REFUNDED)
    await outbox.news.wait()
    async with asyncio.timeout(10):
        await queue.stop()
    assert not queue._patience._tasks


async def test_all_nodes_together_tell_of_a_cut_off_once_a_day(engine):
    nodes = [queue_of(SqlMailOutbox(engine, clock=lambda: AT)) for _ in range(2)]
    for _ in range(3):
        for node in nodes:
            node.notify("call.cut_off", CUT_OFF)
            node.notify("payment.refunded", PAYMENT)
    for node in nodes:
        assert await node.leave(20)
    mails = await SqlMailOutbox(engine).of_account("alice")
    assert Counter(mail.notice.name for mail in mails) == {"out_of_credit": 1, "refunded": 6}
    assert isinstance(mails[0].notice, Notice)


async def open_accounts(engine):
    """Make an account with a holder, and one that a program uses."""
    async with engine.begin() as connection:
        for name in ("ada", "robot"):
            account = tables.new_account(name, "USD", AT) | {"email": f"{name}@example.com"}
            await connection.execute(sa.insert(tables.accounts).values(account))
        ada = Holder("ada", "ada@example.com", AT, "hash", 1, "en", AT)
        assert await holders.insert(connection, ada, ada.email)


async def two_mails(engine, account_id):
    """Return the mail about a charge, and the receipt: all that there is."""
    found = await SqlMailOutbox(engine).of_account(account_id)
    mail, receipt = sorted(found, key=lambda each: each.notice.name)
    assert receipt.notice.name == "topped_up"
    return mail, receipt


async def test_all_nodes_together_tell_of_a_charge_once_with_a_link_that_works(engine):
    await open_accounts(engine)
    nodes = [
        MailQueue(
            SqlMailOutbox(engine, clock=lambda: AT), SqlPaymentStore(engine), clock=lambda: AT
        )
        for _ in range(2)
    ]
    for node in nodes * 2:
        for account_id in ("ada", "robot"):
            node.notify("payment.received", {**CHARGED, "account_id": account_id})
            # On a page: its receipt is another mail, without a link.
            paid = {**CHARGED, "kind": "checkout", "payment_id": "pay_2"}
            node.notify("payment.received", {**paid, "account_id": account_id})
    for node in nodes:
        assert await node.leave(20)
    mail, receipt = await two_mails(engine, "ada")
    values = {"micros": str(25 * UNIT), "currency": "USD", "payment_id": "pay_1"}
    values["at"] = AT.isoformat()
    assert (mail.notice.name, mail.notice.values) == ("card_charged", values)
    assert (mail.notice.recipient, mail.notice.link) == ("ada@example.com", Purpose.NOT_ME)
    assert receipt.notice.values == {**values, "payment_id": "pay_2"}
    assert (receipt.notice.recipient, receipt.notice.link) == ("", None)
    mail, receipt = await two_mails(engine, "robot")
    assert receipt.notice.values == {**values, "payment_id": "pay_2"}
    assert (mail.notice.name, mail.notice.values) == ("card_charged", values)
    # Nobody could be locked out; it goes where other mails about its payments go.
    assert (mail.notice.recipient, mail.notice.link) == ("", None)
    async with engine.begin() as connection:
        for account_id, works in (("ada", True), ("robot", False)):
            email = f"{account_id}@example.com"
            assert works is await links.make_link(
                connection, Purpose.NOT_ME, account_id, email, AT, f"secret of {account_id}"
            )


async def test_of_an_account_that_was_deleted_no_address_is_written_down_again(engine):
    await open_accounts(engine)
    async with engine.begin() as connection:
        gone = sa.update(tables.accounts).where(tables.accounts.c.id == "ada")
        await connection.execute(gone.values(deleted_at=AT))
    charged = notice_of("payment.received", CHARGED, AT)
    await SqlMailOutbox(engine, clock=lambda: AT).queue_to_holder("ada", charged)
    (mail,) = await SqlMailOutbox(engine).of_account("ada")
    assert (mail.notice.recipient, mail.notice.link) == ("", None)
