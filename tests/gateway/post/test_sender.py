"""Mails leave the outbox: over a real socket, under one name, safely, and never for ever."""

import asyncio
import sys
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from accounts.holder import Holder
from accounts.link import Purpose
from accounts.notice import MailState, Notice
from accounts.ports import DataChoices
from accounts.stores import holders
from billing.payments import PaymentProfile
from billing.stores import tables
from database.engine import TIMEOUT_S, writing
from database.errors import StoreUnavailableError
from gateway.people.departure_store import SqlDepartures
from gateway.people.store import SqlPeople
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.post import outbox_rules, sender
from gateway.post.mail import read_server
from gateway.post.notices import MailReader, MailSender
from gateway.post.sender import MailTidying, MailWriter, NoAddressError, Sender
from gateway.roles.mail import build_writer
from gateway.secret import Secret
from gateway.settings import Settings
from gateway.stores.mail_outbox import SqlMailOutbox, queue_notice
from tests.gateway.post.mailbox import AT, SENDER
from tests.thorough import one_in

ORIGIN = "https://calls.example.com"
SERVICE = MailSender("Example Calls", ORIGIN, "help@example.com")
LOCKED = Notice("locked")
RESET = Notice("reset_password", "alice@example.com", link=Purpose.RESET_PASSWORD)
SECOND = timedelta(seconds=1)


class Clock:
    def __init__(self):
        self.now = AT

    def __call__(self):
        return self.now


class People:
    """Who reads the mails, and the links that are made for them."""

    def __init__(self):
        alice = PaymentProfile("alice", "USD", email="alice@example.com")
        self.readers = {
            "alice": MailReader(alice),
            "bob": MailReader(
                replace(alice, account_id="bob", email="bob@bücher.example"), "de-AT"
            ),
            "carol": MailReader(replace(alice, account_id="carol", email="")),
        }
        self.links, self.reaches = [], []
        self.failures = 0

    async def reader(self, account_id):
        if self.failures:
            self.failures -= 1
            raise StoreUnavailableError("away")
        return self.readers[account_id]

    async def make_link(self, purpose, account_id, email, reach):
        self.reaches.append(reach)
        self.links.append((purpose, account_id, email))
        return f"{ORIGIN}/l/secret-{len(self.links)}"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def people():
    return People()


@pytest.fixture
def outbox(sqlite_engine, clock):
    return SqlMailOutbox(sqlite_engine, clock=clock)


@pytest.fixture
def new_sender(outbox, people, mailbox, clock):
    def make(*, user="", timeout_s=10, kept_in=outbox):
        writer = MailWriter(people.reader, people.make_link, SERVICE)
        url = Secret(f"smtp://{user}127.0.0.1:{mailbox.port}")
        server = read_server(url, SENDER, timeout_s=timeout_s)
        return Sender(kept_in, writer, server, clock=clock)

    return make


async def only(outbox):
    (mail,) = await outbox.newest(9)
    return mail


async def states(outbox):
    return {state: n for state, n in (await outbox.counts()).by_state.items() if n}


async def test_a_queued_mail_reaches_its_reader(engine, new_sender, people, mailbox, clock):
    outbox = SqlMailOutbox(engine, clock=clock)
    await outbox.queue("alice", RESET)
    await outbox.queue("bob", LOCKED)
    clock.now += timedelta(hours=1)
    await new_sender(kept_in=outbox).round()
    to_alice, to_bob = sorted(mailbox.mails, key=lambda mail: mail["To"])
    assert to_alice["To"] == "alice@example.com"
    assert to_alice["From"] == f"Example Calls <{SENDER}>"
    assert to_alice["Reply-To"] == "help@example.com"
    assert to_alice["Date"].datetime == AT
    plain, html = to_alice.iter_parts()
    assert f"{ORIGIN}/l/secret-1" in plain.get_content()
    assert f"{ORIGIN}/l/secret-1" in html.get_content()
    assert people.links == [(Purpose.RESET_PASSWORD, "alice", "alice@example.com")]
    assert to_bob["To"] == "bob@xn--bcher-kva.example"
    assert "Ihr Konto" in to_bob["Subject"]
    for mail in await outbox.newest(9):
        assert (mail.state, mail.ended_at) == (MailState.SENT, clock.now)
        assert mail.message_id in mailbox.ids
    # One conversation, and the server is left as it should be.
    assert (mailbox.verbs["conversations"], mailbox.verbs["QUIT"]) == (1, 1)
    await new_sender(kept_in=outbox).round()
    assert len(mailbox.mails) == 2


async def test_a_link_is_about_another_address_where_the_notice_says_so(outbox, people, new_sender):
    undo = Notice(
        "address_changed",
        "old@example.com",
        link=Purpose.UNDO_CHANGE,
        link_email="before@example.com",
    )
    await outbox.queue("alice", undo)
    await new_sender().round()
    assert people.links == [(Purpose.UNDO_CHANGE, "alice", "before@example.com")]


async def test_each_link_reaches_as_far_as_its_own_mail_says(outbox, people, new_sender, clock):
    began_at = AT - timedelta(days=3)
    notice = Notice("passkey_added", link=Purpose.NOT_ME)
    await outbox.queue("alice", replace(notice, reach=began_at))
    queued_at = clock.now
    await outbox.queue("bob", notice)
    values, keeps = {"at": AT.isoformat()}, Purpose.CANCEL_DELETION
    asked = Notice("deletion_asked", "c@example.com", values, keeps, reach=began_at)
    await outbox.queue("carol", asked)
    clock.now += timedelta(hours=1)
    await new_sender().round()
    made = [
        (link[0], link[1], reach) for link, reach in zip(people.links, people.reaches, strict=True)
    ]
    assert sorted(made) == [
        (Purpose.CANCEL_DELETION, "carol", began_at),
        (Purpose.NOT_ME, "alice", began_at),
        (Purpose.NOT_ME, "bob", queued_at),
        (Purpose.NOT_ME, "carol", began_at),
    ]


def patience_s(answer):
    """Short where the server is to be too slow; else a busy machine must not be."""
    return 1 if answer == "stall" else 10


STEPS = ["HELLO", "EHLO", "MAIL", "RCPT", "DATA", "END"]


@pytest.mark.parametrize("answer", ["451 later", "421 closing", "drop", "stall"])
@pytest.mark.parametrize("step", one_in(3, STEPS))
async def test_what_is_not_taken_now_is_tried_again_as_the_same_mail(
    outbox, mailbox, new_sender, clock, step, answer
):
    mailbox.faults.append({step: answer, "HELO": answer})
    await outbox.queue("alice", LOCKED)
    post = new_sender(timeout_s=patience_s(answer))
    await post.round()
    waiting = await only(outbox)
    assert (waiting.state, waiting.tries) == (MailState.QUEUED, 1)
    assert waiting.next_try_at == clock.now + outbox_rules.FIRST_PAUSE
    assert waiting.failure.startswith(answer[:3]) is answer[0].isdigit()
    clock.now += outbox_rules.FIRST_PAUSE - SECOND
    await post.round()
    assert mailbox.verbs["conversations"] == 1
    clock.now += SECOND
    await post.round()
    # Dropped after the data, a mail may have been taken; its id tells.
    assert len(mailbox.mails) == (2 if (step, answer) == ("END", "drop") else 1)
    assert set(mailbox.ids) == {waiting.message_id}
    assert await states(outbox) == {MailState.SENT: 1}


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "END"])
async def test_what_is_refused_for_good_is_not_tried_again(
    outbox, mailbox, new_sender, clock, step
):
    mailbox.faults.append({step: "550 alice@example.com is unknown"})
    await outbox.queue("alice", LOCKED)
    with capture_logs() as logs:
        await new_sender().round()
    kept = await only(outbox)
    assert (kept.state, kept.failure.partition(" ")[0]) == (MailState.ABANDONED, "550")
    ((line),) = logs
    assert (line["event"], line["smtp_code"], line["account"], line["about"]) == (
        "mail not sent",
        550,
        "alice",
        "locked",
    )
    assert "example.com is" not in str(line) + kept.failure
    assert "alice@" not in str(line) + kept.failure
    clock.now += timedelta(days=1)
    await new_sender().round()
    assert mailbox.verbs["conversations"] == 1


@pytest.mark.parametrize("fault", [{"HELLO": "554 no"}, {"AUTH": "535 wrong"}])
async def test_a_server_that_lets_nobody_in_says_nothing_about_a_mail(
    outbox, mailbox, new_sender, clock, fault
):
    mailbox.faults.extend([fault] * 3)
    await outbox.queue("alice", LOCKED)
    await outbox.queue("bob", LOCKED)
    post = new_sender(user="me:hush@")
    with capture_logs() as logs:
        for _ in range(4):
            await post.round()
            clock.now += outbox_rules.AWAY_PAUSE_MAX
    assert [line["event"] for line in logs] == ["mail server away", "mail server back"]
    assert logs[0]["smtp_code"] in (535, 554)
    assert "hush" not in str(logs)
    # One attempt for the whole batch.
    assert mailbox.verbs["conversations"] == 4
    assert await states(outbox) == {MailState.SENT: 2}


async def test_nobody_there_is_tried_again(outbox, mailbox, new_sender):
    await mailbox.close()
    await outbox.queue("alice", LOCKED)
    with capture_logs() as logs:
        await new_sender().round()
    assert [line["failure"] for line in logs] == ["ConnectionRefusedError"]
    assert (await only(outbox)).failure == "ConnectionRefusedError"


@pytest.mark.parametrize("answer", ["421 closing", "500 what", "drop", "stall"])
async def test_a_mail_that_was_taken_is_sent_once_however_the_server_leaves(
    outbox, mailbox, new_sender, clock, answer
):
    mailbox.faults.append({"QUIT": answer})
    await outbox.queue("alice", LOCKED)
    post = new_sender(timeout_s=patience_s(answer))
    await post.round()
    clock.now += timedelta(days=1)
    await post.round()
    assert (len(mailbox.mails), mailbox.verbs["conversations"]) == (1, 1)


@pytest.mark.thorough
async def test_what_is_never_taken_is_given_up_after_three_days(outbox, mailbox, new_sender, clock):
    mailbox.faults.extend([{"RCPT": "450 later"}] * 99)
    await outbox.queue("alice", LOCKED)
    post = new_sender()
    with capture_logs() as logs:
        while (mail := await only(outbox)).state is MailState.QUEUED:
            clock.now = mail.next_try_at
            await post.round()
    assert mail.state is MailState.ABANDONED
    assert timedelta(days=2) < clock.now - AT < timedelta(days=3)
    assert mailbox.verbs["conversations"] == mail.tries == 25
    ((line),) = logs
    assert (line["failure"], line["smtp_code"]) == ("450 SMTPRecipientsRefused", 450)
    assert "alice@" not in str(line)
    assert (await outbox.counts()).untaken == 1


async def test_one_mail_that_is_not_taken_holds_up_no_other(outbox, mailbox, new_sender, clock):
    mailbox.faults.append({"RCPT": "550 unknown"})
    await outbox.queue("alice", LOCKED)
    clock.now += SECOND
    await outbox.queue("bob", LOCKED)
    await new_sender().round()
    # The fault holds for the whole conversation: the second asks again under its own name.
    assert mailbox.verbs["conversations"] == 1
    assert await states(outbox) == {MailState.ABANDONED: 2}


async def test_a_connection_that_breaks_costs_one_mail_one_try(outbox, mailbox, new_sender, clock):
    mailbox.faults.append({"END": "drop"})
    for account in ("alice", "bob"):
        await outbox.queue(account, LOCKED)
        clock.now += SECOND
    await new_sender().round()
    assert mailbox.verbs["conversations"] == 2
    assert await states(outbox) == {MailState.QUEUED: 1, MailState.SENT: 1}


async def test_without_an_address_nobody_is_written_to(outbox, mailbox, people, new_sender):
    await outbox.queue("carol", LOCKED)
    await outbox.queue("carol", Notice("locked", "älice@example.com"))
    await outbox.queue("carol", Notice("locked", "a@x.com\r\nBcc: eve@example.com"))
    with capture_logs() as logs:
        await new_sender().round()
    assert not mailbox.verbs["MAIL"]
    assert await states(outbox) == {MailState.ABANDONED: 3}
    assert {line["failure"] for line in logs} == {"no address"}
    assert "eve@" not in str(logs)
    assert (await outbox.counts()).untaken == 0


@pytest.mark.thorough
async def test_to_an_unproven_address_goes_what_proves_it_or_takes_it_back(engine, mailbox, clock):
    outbox = SqlMailOutbox(engine, clock=clock)
    async with writing(engine, TIMEOUT_S) as connection:
        for name, proven_at in (("ada", AT), ("eve", None)):
            account = tables.new_account(name, "USD", AT) | {"email": f"{name}@example.com"}
            await connection.execute(sa.insert(tables.accounts).values(account))
            holder = Holder(name, f"{name}@example.com", proven_at, "hash", 1, "en", AT)
            assert await holders.insert(connection, holder, holder.email)
    by_name = {
        "verify_email": Purpose.PROVE_ADDRESS,
        "reset_password": Purpose.RESET_PASSWORD,
        "change_address": Purpose.CHANGE_ADDRESS,
        "locked": Purpose.RESET_PASSWORD,
        "address_known": None,
    }
    told = (
        "button_made",
        "key_made",
        "passkey_added",
        "country_opened",
        "new_device",
        "supervision_allowed",
        "webhook_set",
        "card_charged",
        "password_changed",
        "second_factor_changed",
        "wrong_codes",
        "deletion_asked",
    )
    by_name |= dict.fromkeys(told, Purpose.NOT_ME)
    values = dict.fromkeys(("label", "browser", "system", "country", "change"), "x")
    values |= {"most": "listen", "silent": ""}
    values |= {"micros": "1000000", "currency": "USD", "payment_id": "pay_1"}
    values["at"] = AT.isoformat()
    for account_id in ("ada", "eve"):
        for name, link in by_name.items():
            to = f"{account_id}@example.com"
            await outbox.queue(account_id, Notice(name, to, values, link))
    writer = build_writer(Settings(public_origin=ORIGIN), engine)
    server = read_server(Secret(f"smtp://127.0.0.1:{mailbox.port}"), SENDER, timeout_s=10)
    with capture_logs() as logs:
        while MailState.QUEUED in await states(outbox):
            clock.now += outbox_rules.PACE_PERIOD
            await Sender(outbox, writer, server, clock=clock).round()
    names = Counter((mail.account_id, mail.state) for mail in await outbox.newest(99))
    assert names == {
        ("ada", MailState.SENT): len(by_name),
        ("eve", MailState.SENT): len(by_name) - len(told),
        ("eve", MailState.ABANDONED): len(told),
    }
    assert sorted(line["about"] for line in logs) == sorted(told)
    assert {line["failure"] for line in logs} == {outbox_rules.NO_ADDRESS}


@pytest.mark.parametrize(
    ("account_id", "notice"),
    [("nobody", LOCKED), ("alice", Notice("unheard_of")), ("alice", Notice("new_device"))],
)
async def test_what_cannot_be_written_waits_for_its_repair(
    outbox, mailbox, new_sender, account_id, notice
):
    await outbox.queue(account_id, notice)
    await outbox.queue("bob", LOCKED)
    with capture_logs() as logs:
        await new_sender().round()
    assert [line["event"] for line in logs] == ["mail not written"]
    assert [mail["To"] for mail in mailbox.mails] == ["bob@xn--bcher-kva.example"]
    assert await states(outbox) == {MailState.QUEUED: 1, MailState.SENT: 1}


async def test_the_address_is_looked_up_when_the_mail_leaves(outbox, mailbox, people, new_sender):
    await outbox.queue("alice", LOCKED)
    profile = people.readers["alice"].profile
    people.readers["alice"] = MailReader(replace(profile, email="new@example.com"))
    await new_sender().round()
    assert [mail["To"] for mail in mailbox.mails] == ["new@example.com"]


async def test_a_book_that_is_away_costs_a_claim_and_no_mail(
    outbox, mailbox, people, new_sender, clock
):
    people.failures = 1
    await outbox.queue("alice", LOCKED)
    with pytest.raises(StoreUnavailableError):
        await new_sender().round()
    assert not mailbox.mails
    clock.now += outbox_rules.SENDING_MAX
    await new_sender().round()
    assert len(mailbox.mails) == 1


async def test_nobody_is_flooded(outbox, mailbox, new_sender, clock):
    for _ in range(outbox_rules.PACE_MAX + 3):
        await outbox.queue("alice", LOCKED)
    post = new_sender()
    for _ in range(3):
        await post.round()
    assert len(mailbox.mails) == outbox_rules.PACE_MAX
    await outbox.queue("bob", LOCKED)
    await post.round()
    assert len(mailbox.mails) == outbox_rules.PACE_MAX + 1
    clock.now += outbox_rules.PACE_PERIOD
    await post.round()
    assert len(mailbox.mails) == outbox_rules.PACE_MAX + 4
    assert {mail.tries for mail in await outbox.newest(99)} == {1}


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("reset_password", Purpose.RESET_PASSWORD),
        ("verify_email", Purpose.PROVE_ADDRESS),
        ("password_changed", Purpose.NOT_ME),
        ("address_changed", Purpose.UNDO_CHANGE),
        ("deletion_asked", Purpose.CANCEL_DELETION),
    ],
)
async def test_whoever_makes_many_notices_holds_up_no_mail_that_lets_their_reader_in(
    outbox, mailbox, new_sender, clock, name, link
):
    values = {"label": "shop", "at": AT.isoformat()}
    for _ in range(3 * outbox_rules.PACE_MAX):
        await outbox.queue("alice", Notice("button_made", values=values, link=Purpose.NOT_ME))
    post = new_sender()
    # Once with notices in line, and once when they have used up what a mailbox may get.
    for _ in range(2):
        clock.now += SECOND
        await outbox.queue("alice", Notice(name, values={"at": AT.isoformat()}, link=link))
        await post.round()
        assert {mail.notice.name for mail in await outbox.newest(1)} == {name}
        assert [mail.state for mail in await outbox.newest(1)] == [MailState.SENT]
    # Urgent mails use up what notices may use, and not the other way round.
    assert len(mailbox.mails) == outbox_rules.PACE_MAX + 1


async def test_so_many_of_an_urgent_kind_leave_at_once_as_of_all_notices(
    outbox, mailbox, new_sender
):
    for name in ("locked", "address_known"):
        for _ in range(outbox_rules.PACE_MAX + 2):
            await outbox.queue("alice", Notice(name))
    post = new_sender()
    for _ in range(4):
        await post.round()
    assert len(mailbox.mails) == 2 * outbox_rules.PACE_MAX


async def test_a_batch_ends_in_time_for_its_claim(outbox, mailbox, people, new_sender, clock):
    async def slow(account_id):
        clock.now += outbox_rules.BATCH_TIME_MAX + SECOND
        return people.readers[account_id]

    for _ in range(3):
        await outbox.queue("alice", LOCKED)
    post = new_sender()
    post._writer = MailWriter(slow, people.make_link, SERVICE)
    await post.round()
    assert len(mailbox.mails) == 1
    assert await states(outbox) == {MailState.SENT: 1, MailState.QUEUED: 2}
    assert sorted(mail.tries for mail in await outbox.newest(9)) == [0, 0, 1]


async def test_who_leaves_finishes_the_mail_in_hand_and_begins_no_other(
    outbox, mailbox, people, new_sender
):
    reading, may_go_on = asyncio.Event(), asyncio.Event()

    async def held(account_id):
        reading.set()
        await may_go_on.wait()
        return people.readers[account_id]

    for _ in range(3):
        await outbox.queue("alice", LOCKED)
    post = new_sender()
    post._writer = MailWriter(held, people.make_link, SERVICE)
    sending = asyncio.ensure_future(post.round())
    await reading.wait()
    leaving = asyncio.ensure_future(post.leave())
    await asyncio.sleep(0)
    may_go_on.set()
    await asyncio.gather(sending, leaving)
    await post.round()
    assert len(mailbox.mails) == 1
    assert await states(outbox) == {MailState.SENT: 1, MailState.QUEUED: 2}


async def test_who_leaves_does_not_wait_for_a_server_that_stands_still(
    outbox, mailbox, new_sender, monkeypatch, clock
):
    monkeypatch.setattr(sender, "LEAVE_S_MAX", 0.01)
    mailbox.faults.append({"END": "stall"})
    await outbox.queue("alice", LOCKED)
    post = new_sender(timeout_s=100)
    sending = asyncio.ensure_future(post.round())
    await mailbox.wait_for(lambda: mailbox.ids)
    async with asyncio.timeout(20):
        await post.leave()
        # Told that the connection is gone, it notes what that means for the mail.
        await sending
    assert await states(outbox) == {MailState.QUEUED: 1}
    clock.now += outbox_rules.FIRST_PAUSE
    await new_sender().round()
    assert len(set(mailbox.ids)) == 1
    assert await states(outbox) == {MailState.SENT: 1}


async def test_a_killed_sender_costs_a_second_copy_under_the_same_name_and_no_mail(
    outbox, mailbox, new_sender, clock
):
    await outbox.queue("alice", LOCKED)
    arguments = (str(outbox._engine.url), f"smtp://127.0.0.1:{mailbox.port}", SENDER)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.gateway.post.doomed_sender",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    try:
        assert await process.stdout.readline() == b"taken\n"
    finally:
        process.kill()
        await process.wait()
    assert (len(mailbox.mails), await states(outbox)) == (1, {MailState.SENDING: 1})
    # By its own clock, which is the machine's.
    clock.now = (await only(outbox)).next_try_at
    await new_sender().round()
    assert (len(mailbox.mails), Counter(mailbox.ids).most_common(1)[0][1]) == (2, 2)
    assert await states(outbox) == {MailState.SENT: 1}


async def test_senders_at_once_send_each_mail_once(outbox, mailbox, new_sender, clock):
    for number in range(24):
        await outbox.queue(("alice", "bob")[number % 2], Notice("locked", f"a{number}@x.com"))
    await asyncio.gather(*(new_sender().round() for _ in range(3)))
    # Each sees what the others have in hand.
    assert len(mailbox.ids) <= 2 * outbox_rules.PACE_MAX
    while MailState.QUEUED in await states(outbox):
        clock.now += outbox_rules.PACE_PERIOD
        await new_sender().round()
    assert len(mailbox.ids) == len(set(mailbox.ids)) == 24


async def test_nothing_is_kept_for_ever(outbox, mailbox, new_sender, clock):
    await outbox.queue("alice", LOCKED)
    await new_sender().round()
    await outbox.queue("alice", LOCKED)
    tidying = MailTidying(outbox, clock)
    clock.now += timedelta(days=3)
    await tidying.round()
    assert await states(outbox) == {MailState.SENT: 1, MailState.QUEUED: 1}
    clock.now += timedelta(hours=2)
    await tidying.round()
    assert await states(outbox) == {MailState.SENT: 1, MailState.ABANDONED: 1}
    # To forget what has ended is for the daily retention.
    clock.now += timedelta(days=60)
    await tidying.round()
    assert await states(outbox) == {MailState.SENT: 1, MailState.ABANDONED: 1}


async def test_a_mail_can_be_looked_at_without_a_server(outbox, people):
    await outbox.queue("alice", RESET)
    await outbox.queue("carol", LOCKED)
    writer = MailWriter(people.reader, people.make_link, SERVICE)
    to_carol, to_alice = sorted(await outbox.newest(9), key=lambda m: m.account_id, reverse=True)
    recipient, text = await writer.render(to_alice)
    assert recipient == "alice@example.com"
    assert f"{ORIGIN}/l/secret-1" in text.text
    with pytest.raises(NoAddressError):
        await writer.render(to_carol)
    assert (await outbox.of_account("alice"))[0].state is MailState.QUEUED


OPTIONAL = Notice("out_of_credit")


async def test_a_mail_that_its_reader_switches_off_while_it_waits_is_not_sent(
    engine, mailbox, clock
):
    """From the queue over the choice in the database to the server, which never sees it."""
    people = SqlPeople(engine, queue_notice, clock=clock, taking_back=TAKING_BACK)
    outbox = SqlMailOutbox(engine, clock=clock)
    async with writing(engine, TIMEOUT_S) as connection:
        for name in ("alice", "bob"):
            account = tables.new_account(name, "USD", AT) | {"email": f"{name}@example.com"}
            await connection.execute(sa.insert(tables.accounts).values(account))
            holder = Holder(name, f"{name}@example.com", AT, "hash", 1, "en", AT)
            assert await holders.insert(connection, holder, holder.email)
    for name in ("alice", "bob"):
        for notice in (OPTIONAL, LOCKED):
            await outbox.queue(name, notice)
    wishes = DataChoices(objects=False, restricts=False, muted=frozenset({OPTIONAL.name}))
    assert await SqlDepartures(people).choose("alice", 1, wishes)
    writer = build_writer(Settings(public_origin=ORIGIN), engine)
    server = read_server(Secret(f"smtp://127.0.0.1:{mailbox.port}"), SENDER, timeout_s=10)
    with capture_logs() as logs:
        await Sender(outbox, writer, server, clock=clock).round()
    assert sorted(mail["To"] for mail in mailbox.mails) == [
        "alice@example.com",
        "bob@example.com",
        "bob@example.com",
    ]
    by_name = {mail.notice.name: mail for mail in await outbox.of_account("alice")}
    muted = by_name[OPTIONAL.name]
    assert (muted.state, muted.failure) == (MailState.ABANDONED, outbox_rules.NOT_WANTED)
    assert by_name[LOCKED.name].state is MailState.SENT
    # Nobody has to look at what somebody wished, and it is not tried again.
    assert logs == []
    clock.now += timedelta(days=1)
    await Sender(outbox, writer, server, clock=clock).round()
    assert len(mailbox.mails) == 3
