"""Account holders are told by mail: over a real socket, once, safely, and never for ever."""

import asyncio
import base64
import contextlib
import email
import email.policy
import os
import re
import ssl
from collections import Counter, deque
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from gateway.post.texts import WIDTH, MailText, is_mailed, text_of
from structlog.testing import capture_logs

from billing.meter import CutOff
from billing.payments import PaymentProfile
from billing.stores import tables
from billing.stores.payments import SqlPaymentStore
from database.errors import StoreUnavailableError
from gateway.errors import SettingsError
from gateway.post.mail import DELAYS_S, WAITING_MAX, Mails, compose, is_address, try_server
from gateway.roles import storage
from gateway.roles.serve import Node
from gateway.secret import Secret
from gateway.settings import from_mapping
from tests.gateway.payments.conftest import UNIT, shop

__all__ = ["shop"]

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ORIGIN = "https://calls.example.com"
SENDER = "caller@calls.example.com"
ALICE = PaymentProfile(
    "alice",
    "USD",
    email="alice@example.com",
    auto_enabled=True,
    auto_threshold_micros=5 * UNIT,
    auto_amount_micros=25 * UNIT,
)
PAYMENT = {"account_id": "alice", "payment_id": "pay_1", "micros": 25 * UNIT, "currency": "USD"}
LINK = "https://checkout.stripe.com/c/pay/cs_test_" + "a1b2c3" * 40
OFF = {**PAYMENT, "reason": "authentication_required", "url": LINK}
CUT_OFF = {"account_id": "alice", "call_id": "c1", "cause": CutOff.CREDIT.value, "seconds": 3}
REFUNDED = {
    "account_id": "alice",
    "call_id": "c1",
    "micros": 30_000,
    "rule": "no_audio",
    "reason": "No sound came from the phone.",
}
EVENTS = [
    ("auto_top_up.off", OFF),
    ("payment.received", {**PAYMENT, "kind": "auto"}),
    ("payment.refunded", {**PAYMENT, "kind": "checkout"}),
    ("payment.refund_failed", {**PAYMENT, "kind": "auto"}),
    ("payment.disputed", {**PAYMENT, "kind": "checkout"}),
    ("payment.dispute_won", {**PAYMENT, "kind": "checkout"}),
    ("call.cut_off", CUT_OFF),
    ("call.refunded", REFUNDED),
]

# Of `localhost` and 127.0.0.1, until 2120, signed by itself.
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBqDCCAU6gAwIBAgIUHHSRGZN8QHq+CQffLMWFveHjdEYwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAx
MDAwMDAwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATvTGXdTGQXfbthgI2XlMPw/8wSSv/1/xw/cZwF/KW1rTbYrbxOEUEt
bX15g0pn2rIF54YHbarlSInfmemkmi3to3wwejAMBgNVHRMBAf8EAjAAMA4GA1Ud
DwEB/wQEAwIHgDAdBgNVHQ4EFgQUEKrIlS0hGQ70itllq0MSz4XWQPQwHwYDVR0j
BBgwFoAUEKrIlS0hGQ70itllq0MSz4XWQPQwGgYDVR0RBBMwEYIJbG9jYWxob3N0
hwR/AAABMAoGCCqGSM49BAMCA0gAMEUCIQChezay241womFNrujOEi9FZ+wuPYKX
+o2B0kQ3Ab5REwIgKkIFZOzi9N/MZG9OG4czRND45Y1S5aBdWthAFWqFR8Q=
-----END CERTIFICATE-----
"""
KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgGpixiH4k2tbwznYX
FGeplIsetyvLbvSp2sCMcrCjVH6hRANCAATvTGXdTGQXfbthgI2XlMPw/8wSSv/1
/xw/cZwF/KW1rTbYrbxOEUEtbX15g0pn2rIF54YHbarlSInfmemkmi3t
-----END PRIVATE KEY-----
"""


# -- the texts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        *((name, data, True) for name, data in EVENTS),
        ("payment.received", {**PAYMENT, "kind": "checkout"}, False),
        ("payment.account_deleted", {**PAYMENT, "kind": "auto"}, False),
        ("auto_top_up.failed", OFF, False),
        ("call.credit_warning", {**CUT_OFF, "seconds_left": 10}, False),
        *(
            ("call.cut_off", {**CUT_OFF, "cause": each.value}, False)
            for each in CutOff
            if each is not CutOff.CREDIT
        ),
        ("", {}, False),
    ],
)
def test_only_what_a_person_must_know_is_mailed(name, data, expected):
    assert is_mailed(name, data) is expected


@pytest.mark.parametrize(("name", "data"), EVENTS)
def test_each_text_is_plain_and_says_why_it_comes(name, data):
    text = text_of(name, data, ALICE, ORIGIN)
    assert "\n" not in text.subject
    assert f"You get this mail because this address was given for your account at {ORIGIN}" in (
        text.body.replace("\n", " ")
    )
    if "micros" in data:
        amount = "$0.03" if name == "call.refunded" else "$25.00"
        assert amount in text.body
    lines = text.body.splitlines()
    assert all(len(line) <= WIDTH or line.startswith("https://") for line in lines)
    assert not re.search(r"\+\d{5}", text.subject + text.body)
    assert text.body.isascii()
    assert "<" not in text.body


def body_of(name, data, profile=ALICE):
    return text_of(name, data, profile, ORIGIN).body.replace("\n", " ")


def test_a_switched_off_top_up_says_what_to_do():
    assert LINK in text_of("auto_top_up.off", OFF, ALICE, ORIGIN).body.splitlines()
    assert "your bank asks you to confirm" in body_of("auto_top_up.off", OFF)
    body = body_of("auto_top_up.off", {**OFF, "url": ""})
    assert "top up by hand with a card that may be saved" in body
    assert f"switch automatic top-ups on again at {ORIGIN}" in body


@pytest.mark.parametrize("reason", ["stolen_card", "lost_card", "fraudulent", "do_not_honor"])
def test_what_the_bank_keeps_to_itself_is_not_told(reason):
    body = body_of("auto_top_up.off", {**OFF, "reason": reason})
    assert "your bank declined it" in body
    assert reason.partition("_")[0] not in body


def test_a_charge_says_when_the_next_one_comes():
    charged = {**PAYMENT, "kind": "auto", "micros": 10 * UNIT}
    body = body_of("payment.received", charged)
    assert "was charged $10.00" in body
    assert "The next one, of $25.00, is made when your credit falls below $5.00." in body
    body = body_of("payment.received", charged, replace(ALICE, auto_enabled=False))
    assert "switched off now" in body
    assert "$25.00" not in body


def test_a_dispute_says_whether_calls_can_be_placed():
    frozen = replace(ALICE, frozen=True)
    assert "frozen" not in body_of("payment.disputed", PAYMENT)
    assert "is frozen meanwhile" in body_of("payment.disputed", PAYMENT, frozen)
    assert "Your account can place calls." in body_of("payment.dispute_won", PAYMENT)
    assert "still frozen" in body_of("payment.dispute_won", PAYMENT, frozen)


def test_a_refund_gives_its_reason_in_the_accounts_currency():
    euro = replace(ALICE, currency="EUR")
    subject = text_of("call.refunded", REFUNDED, euro, ORIGIN).subject
    assert subject == "A call was refunded: €0.03"
    assert "No sound came from the phone." in body_of("call.refunded", REFUNDED, euro)


# -- addresses and headers -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["alice@example.com", "a.b+c@x", "o'neil@mail.example.co.uk", "x" * 200 + "@example.com"],
)
def test_addresses(text):
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "alice", "@example.com", "alice@", "a@b@c", "a b@example.com", "a..b@example.com"),
        *("alice@example.com\r\nBcc: eve@example.com", "alice@example.com\n", "alice@-x.com"),
        *("a@x.com,b@x.com", "a@x.com> SIZE=1", "Alice <alice@example.com>", '"a"@example.com'),
        *("älice@example.com", "alice@exämple.com", "alice@[127.0.0.1]", "x" * 250 + "@x.com"),
    ],
)
def test_what_is_no_address(text):
    assert not is_address(text)


def test_a_mail_is_the_same_each_time_it_is_composed():
    envelope = {"sender": SENDER, "recipient": "a@x.com", "message_id": "<1@x.com>", "at": AT}
    written = MailText("Charged: €1.00", f"It costs €1.00.\n\n{LINK}\n.\n")
    first, second = (compose(written, **envelope).as_bytes() for _ in range(2))
    assert first == second
    assert first.isascii()
    assert max(len(line) for line in first.split(b"\r\n")) <= 78
    message = email.message_from_bytes(first, policy=email.policy.SMTP)
    assert message["Subject"] == written.subject
    assert (message["From"], message["To"]) == (SENDER, "a@x.com")
    assert message["Date"].datetime == AT
    assert message["Message-ID"] == "<1@x.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    assert message.get_content().replace("\r\n", "\n") == written.body


@pytest.mark.parametrize("field", ["sender", "recipient", "message_id"])
def test_a_header_cannot_hold_another(field):
    envelope = {"sender": SENDER, "recipient": "a@x.com", "message_id": "<1@x.com>", "at": AT}
    with pytest.raises(ValueError, match=r"newline|linefeed"):
        compose(MailText("a", "b"), **{**envelope, field: "a@x.com\r\nBcc: eve@x.com"})
    with pytest.raises(ValueError, match=r"newline|linefeed"):
        compose(MailText("a\r\nBcc: eve@x.com", "b"), **envelope)


# -- the server ----------------------------------------------------------------------------------


class Mailbox:
    """A mail server of one conversation at a time, with faults.

    `faults` holds for each conversation a step (`HELLO`, a verb, `END` of the data) -> what it
    gets instead: an answer, `drop` or `stall`.
    """

    def __init__(self, folder):
        self.offers = ["AUTH PLAIN"]
        self.speaks_tls_at_once = False
        self.faults = deque()
        self.mails, self.ids = [], []
        self.verbs = Counter()
        self.passwords = []
        self.news = asyncio.Event()
        self._tasks = set()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for name, text in (("cert.pem", CERTIFICATE), ("key.pem", KEY)):
            (folder / name).write_text(text)
        self._context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    async def open(self):
        at_once = self._context if self.speaks_tls_at_once else None
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=at_once)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        self.verbs["conversations"] += 1
        fault = self.faults.popleft() if self.faults else {}
        try:
            await self._converse(reader, writer, fault)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.news.set()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader, writer, fault):
        async def say(step, answer):
            if fault.get(step) == "stall":
                await asyncio.Event().wait()
            if fault.get(step) == "drop":
                raise ConnectionResetError
            writer.write(fault.get(step, answer).encode() + b"\r\n")
            await writer.drain()

        secure = self.speaks_tls_at_once
        await say("HELLO", "220 mailbox")
        while line := (await reader.readline()).decode("ascii"):
            verb = line.split()[0].upper()
            self.verbs[verb] += 1
            if verb == "EHLO":
                offers = [each for each in self.offers if not secure or each != "STARTTLS"]
                await say(
                    verb, "\r\n".join(["250-mailbox", *(f"250-{o}" for o in offers), "250 OK"])
                )
            elif verb == "STARTTLS":
                await say(verb, "220 go on")
                await writer.start_tls(self._context)
                secure = True
            elif verb == "AUTH":
                self.passwords.append((base64.b64decode(line.split()[2]), secure))
                await say(verb, "235 welcome")
            elif verb == "DATA":
                await say(verb, "354 go on")
                if verb in fault:
                    continue
                data = await reader.readuntil(b"\r\n.\r\n")
                message = email.message_from_bytes(
                    data[:-3].replace(b"\r\n..", b"\r\n."), policy=email.policy.SMTP
                )
                self.ids.append(message["Message-ID"])
                if "END" not in fault or fault["END"] == "drop":
                    self.mails.append(message)
                await say("END", "250 taken")
                self.news.set()
            elif verb == "QUIT":
                await say(verb, "221 bye")
                return
            else:
                await say(verb, "250 OK")

    async def wait_for(self, condition):
        async with asyncio.timeout(10):
            while not condition():
                self.news.clear()
                await self.news.wait()

    async def wait_for_mails(self, count):
        await self.wait_for(lambda: len(self.mails) >= count)


@pytest.fixture
async def closed_mailbox(tmp_path):
    made = Mailbox(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def mailbox(closed_mailbox):
    await closed_mailbox.open()
    return closed_mailbox


class Addresses:
    """Profiles in memory."""

    def __init__(self, *profiles):
        self.profiles = {each.account_id: each for each in profiles}
        self.failures = 0

    async def profile(self, account_id):
        if self.failures:
            self.failures -= 1
            raise StoreUnavailableError("away")
        if account_id not in self.profiles:
            raise LookupError("no such account")
        return self.profiles[account_id]


async def always(_name):
    return True


@contextlib.asynccontextmanager
async def opened(mailbox, addresses=None, scheme="smtp", **options):
    options = {"delays_s": (0.01, 0.01, 0.01), "once_a_day": always, **options}
    mails = Mails(
        Secret(f"{scheme}://{options.pop('user', '')}127.0.0.1:{mailbox.port}"),
        SENDER,
        origin=ORIGIN,
        addresses=addresses or Addresses(ALICE),
        clock=lambda: AT,
        **options,
    )
    try:
        yield mails
    finally:
        await mails.stop()
    assert not mails._work


async def idle(mails):
    """Wait until every mail is sent or given up."""
    async with asyncio.timeout(10):
        while mails._work:
            await asyncio.wait(mails._work)
            await asyncio.sleep(0)


def trusting():
    return ssl.create_default_context(cadata=CERTIFICATE)


@pytest.mark.parametrize(("name", "data"), EVENTS)
async def test_an_event_reaches_the_account_holder(mailbox, name, data):
    async with opened(mailbox) as mails:
        mails.notify(name, data)
        await idle(mails)
    (message,) = mailbox.mails
    assert message["To"] == "alice@example.com"
    assert message["From"] == SENDER
    expected = text_of(name, data, ALICE, ORIGIN)
    assert message["Subject"] == expected.subject
    assert message.get_content().replace("\r\n", "\n") == expected.body
    assert not mailbox.passwords


async def test_other_events_cost_nothing(mailbox):
    async with opened(mailbox) as mails:
        mails.notify("call.credit_warning", CUT_OFF)
        assert not mails._work
    unset = Mails(Secret(), "", origin=ORIGIN, addresses=Addresses(), once_a_day=always)
    unset.notify(*EVENTS[0])
    assert not unset._work


# The password is percent-encoded in the address.
@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_the_password_goes_over_tls(closed_mailbox, scheme):
    closed_mailbox.speaks_tls_at_once = scheme == "smtps"
    closed_mailbox.offers.append("STARTTLS")
    await closed_mailbox.open()
    async with opened(
        closed_mailbox, scheme=scheme, user="me%40x.com:p%3Aw@", tls=trusting()
    ) as mails:
        mails.notify(*EVENTS[0])
        await idle(mails)
    assert len(closed_mailbox.mails) == 1
    assert closed_mailbox.passwords == [(b"\0me@x.com\0p:w", True)]


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_a_server_that_cannot_prove_its_name_learns_nothing(closed_mailbox, scheme):
    closed_mailbox.speaks_tls_at_once = scheme == "smtps"
    closed_mailbox.offers.append("STARTTLS")
    await closed_mailbox.open()
    with capture_logs() as logs:
        async with opened(closed_mailbox, scheme=scheme, user="me:hush@") as mails:
            mails.notify(*EVENTS[0])
            await idle(mails)
    assert not closed_mailbox.passwords
    assert not closed_mailbox.verbs["MAIL"]
    assert [line["failure"] for line in logs] == ["SSLCertVerificationError"]


@pytest.mark.parametrize("answer", [None, "454 not now", "501 no"])
async def test_without_starttls_nothing_is_said(mailbox, answer):
    if answer:
        mailbox.offers.append("STARTTLS")
        mailbox.faults.extend([{"STARTTLS": answer}] * 4)
    async with opened(mailbox, scheme="smtp+starttls", user="me:hush@", tls=trusting()) as mails:
        mails.notify(*EVENTS[0])
        await idle(mails)
    assert mailbox.verbs["conversations"] == (4 if answer == "454 not now" else 1)
    assert not mailbox.passwords
    assert not mailbox.verbs["MAIL"]


def patience_s(answer):
    """Short where the server is to be too slow; else a busy machine must not be."""
    return 1 if answer == "stall" else 10


STEPS = ["HELLO", "EHLO", "MAIL", "RCPT", "DATA", "END"]


@pytest.mark.parametrize("answer", ["451 later", "421 closing", "drop", "stall"])
@pytest.mark.parametrize("step", STEPS)
async def test_what_is_not_taken_now_is_tried_again_as_the_same_mail(mailbox, step, answer):
    failures = 1 if answer == "stall" else 2
    mailbox.faults.extend([{step: answer, "HELO": "421 no"}] * failures)
    async with opened(mailbox, timeout_s=patience_s(answer)) as mails:
        mails.notify(*EVENTS[0])
        await idle(mails)
    assert mailbox.verbs["conversations"] == failures + 1
    # Dropped after the data, a mail may have been taken; its id tells.
    assert len(mailbox.mails) == (3 if (step, answer) == ("END", "drop") else 1)
    assert len(set(mailbox.ids)) == 1
    assert re.fullmatch(r"<[0-9a-f]{24}@calls\.example\.com>", mailbox.ids[0])


@pytest.mark.parametrize("step", ["HELLO", "MAIL", "RCPT", "DATA", "END"])
async def test_what_is_refused_for_good_is_not_tried_again(mailbox, step):
    mailbox.faults.append({step: "550 alice@example.com is unknown"})
    with capture_logs() as logs:
        async with opened(mailbox) as mails:
            mails.notify(*EVENTS[0])
            await idle(mails)
    assert mailbox.verbs["conversations"] == 1
    assert not mailbox.mails
    ((line),) = logs
    assert (line["smtp_code"], line["account"], line["about"]) == (550, "alice", "auto_top_up.off")
    assert "example.com is" not in str(line)
    assert "alice@" not in str(line)


async def test_a_wrong_password_is_not_tried_again(mailbox):
    mailbox.faults.append({"AUTH": "535 wrong"})
    with capture_logs() as logs:
        async with opened(mailbox, user="me:hush@") as mails:
            mails.notify(*EVENTS[0])
            await idle(mails)
    assert mailbox.verbs["conversations"] == 1
    assert "hush" not in str(logs)


@pytest.mark.parametrize("answer", ["421 closing", "500 what", "drop", "stall"])
async def test_a_mail_that_was_taken_is_sent_once_however_the_server_leaves(mailbox, answer):
    mailbox.faults.append({"QUIT": answer})
    async with opened(mailbox, timeout_s=patience_s(answer)) as mails:
        mails.notify(*EVENTS[0])
        await idle(mails)
    assert (len(mailbox.mails), mailbox.verbs["conversations"]) == (1, 1)


async def test_what_is_never_taken_is_given_up(mailbox):
    mailbox.faults.extend([{"RCPT": "450 later"}] * 9)
    with capture_logs() as logs:
        async with opened(mailbox, delays_s=(0.01, 0.01)) as mails:
            mails.notify(*EVENTS[0])
            await idle(mails)
    assert mailbox.verbs["conversations"] == 3
    ((line),) = logs
    assert (line["failure"], line["smtp_code"]) == ("SMTPRecipientsRefused", 450)
    assert "alice@" not in str(line)
    assert DELAYS_S == (5, 60, 600)


async def test_nobody_there_is_tried_again(mailbox):
    await mailbox.close()
    with capture_logs() as logs:
        async with opened(mailbox) as mails:
            mails.notify(*EVENTS[0])
            await idle(mails)
    assert [line["failure"] for line in logs] == ["ConnectionRefusedError"]


async def test_who_leaves_waits_for_what_is_on_its_way(mailbox):
    async with opened(mailbox, delays_s=(3600,)) as mails:
        assert await mails.leave(0)
        mails.notify("call.refunded", REFUNDED)
        assert await mails.leave(20)
        assert len(mailbox.mails) == 1
        mailbox.faults.append({"RCPT": "450 later"})
        mails.notify("call.refunded", REFUNDED)
        assert not await mails.leave(0.05)


async def test_one_mail_that_waits_holds_up_no_other(mailbox):
    mailbox.faults.append({"RCPT": "450 later"})
    async with opened(mailbox, delays_s=(3600,)) as mails:
        mails.notify("payment.disputed", PAYMENT)
        mails.notify("call.refunded", REFUNDED)
        await mailbox.wait_for_mails(1)
        assert mailbox.mails[0]["Subject"] == "A call was refunded: $0.03"
        await asyncio.wait(mails._work, return_when=asyncio.FIRST_COMPLETED)
        assert len(mails._work) == 1


async def test_a_server_that_is_away_costs_bounded_memory(mailbox):
    mailbox.faults.extend([{"HELLO": "421 later"}] * (WAITING_MAX + 10))
    with capture_logs() as logs:
        async with opened(mailbox, delays_s=(3600,)) as mails:
            for _ in range(WAITING_MAX + 10):
                mails.notify("call.refunded", REFUNDED)
            assert len(mails._work) == WAITING_MAX
    assert Counter(line["event"] for line in logs) == {"mail not sent, too many wait": 10}


@pytest.mark.parametrize("address", ["", "alice", "alice@example.com\r\nBcc: eve@example.com"])
async def test_without_a_proper_address_nobody_is_asked(mailbox, address):
    claims = []

    async def claim(name):
        claims.append(name)
        return True

    with capture_logs() as logs:
        async with opened(
            mailbox, Addresses(replace(ALICE, email=address)), once_a_day=claim
        ) as mails:
            mails.notify(*EVENTS[0])
            mails.notify("call.cut_off", CUT_OFF)
            mails.notify("call.refunded", {**REFUNDED, "account_id": "nobody"})
            await idle(mails)
    assert not mailbox.verbs
    assert not claims
    assert Counter(line["account"] for line in logs) == (
        {"nobody": 1, "alice": 2} if address else {"nobody": 1}
    )
    assert "eve@" not in str(logs)


async def test_the_address_is_looked_up_when_the_mail_is_sent(mailbox):
    mailbox.faults.append({"RCPT": "450 later"})
    addresses = Addresses(ALICE)
    addresses.failures = 1
    async with opened(mailbox, addresses, delays_s=(0.01, 0.2)) as mails:
        mails.notify(*EVENTS[0])
        await mailbox.wait_for(lambda: mailbox.verbs["RCPT"] == 1)
        addresses.profiles["alice"] = replace(ALICE, email="new@example.com")
        await idle(mails)
    assert [message["To"] for message in mailbox.mails] == ["new@example.com"]


# -- settings, stores and the node ---------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "smtps://me:pw@mail.example.com:465",
        "smtp+starttls://me%40x.com:p%2Fw@mail.example.com:587",
        "smtp://localhost:25",
        "smtp://me:pw@127.0.0.1:2525",
        "smtps://mail.example.com:465",
    ],
)
def test_servers_that_can_be_set(url):
    settings = from_mapping({"CALLER_SMTP_URL": url, "CALLER_MAIL_FROM": SENDER})
    assert "smtp" not in repr(settings)
    Mails(Secret(url), SENDER, origin=ORIGIN, addresses=Addresses(), once_a_day=always)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALLER_SMTP_URL", "https://mail.example.com:465"),
        ("CALLER_SMTP_URL", "smtps://mail.example.com"),
        ("CALLER_SMTP_URL", "smtps://me@mail.example.com:465"),
        ("CALLER_SMTP_URL", "smtps://me:hu/sh@mail.example.com:465"),
        ("CALLER_SMTP_URL", "smtps://me:hush@mail.example.com:465/path"),
        ("CALLER_MAIL_FROM", "Caller <caller@example.com>"),
        ("CALLER_MAIL_FROM", "caller"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_and_not_quoted(name, value):
    with pytest.raises(SettingsError, match=name) as caught:
        from_mapping({name: value})
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "sender", "named"),
    [
        ("smtps://mail.example.com:465", "", "CALLER_MAIL_FROM"),
        ("smtps://mail.example.com:465", "a..b@example.com", "CALLER_MAIL_FROM"),
        ("smtps://mail.example.com:99999", SENDER, "CALLER_SMTP_URL"),
        ("smtps://mail.example.com:0", SENDER, "CALLER_SMTP_URL"),
        ("smtp://me:hush@mail.example.com:25", SENDER, "CALLER_SMTP_URL"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(url, sender, named):
    with pytest.raises(SettingsError, match=named) as caught:
        Mails(Secret(url), sender, origin=ORIGIN, addresses=Addresses(), once_a_day=always)
    assert "hush" not in str(caught.value)


async def open_account(engine):
    """Make the account `alice`, whose address is known."""
    async with engine.begin() as connection:
        await connection.execute(
            sa.insert(tables.accounts), [tables.new_account("alice", "USD", AT)]
        )
    await SqlPaymentStore(engine).save_card("alice", "cus_1", "pm_1", "alice@example.com")


@pytest.fixture
def environ(tmp_path, valkey_url, mailbox):
    return {
        "CALLER_DATA_DIR": str(tmp_path),
        "CALLER_REDIS_URL": valkey_url,
        "CALLER_SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}",
        "CALLER_MAIL_FROM": SENDER,
    }


async def test_all_nodes_together_tell_of_a_cut_off_once_a_day(environ, mailbox):
    settings = from_mapping(environ)
    stores = await storage.open_stores(settings)
    await stores.redis.delete("caller:mailed:call.cut_off:alice")
    await open_account(stores.engine)
    # The first attempt fails: its claim must not keep the second from being made.
    mailbox.faults.append({"MAIL": "451 later"})
    nodes = [storage.open_mails(settings, stores) for _ in range(2)]
    for node in nodes:
        node._delays_s = (0.01,)
    for _ in range(3):
        for node in nodes:
            node.notify("call.cut_off", CUT_OFF)
    for node in nodes:
        await idle(node)
    assert [message["Subject"] for message in mailbox.mails] == ["Your credit is used up"]
    assert 86_000 < await stores.redis.ttl("caller:mailed:call.cut_off:alice") <= 86_400
    nodes[0].notify("call.refunded", REFUNDED)
    nodes[0].notify("call.refunded", REFUNDED)
    await idle(nodes[0])
    assert len(mailbox.mails) == 3
    await stores.close()


async def test_what_cannot_be_noted_is_tried_again_and_not_sent_before(
    tmp_path, mailbox, own_valkey
):
    settings = from_mapping(
        {
            "CALLER_DATA_DIR": str(tmp_path),
            "CALLER_REDIS_URL": own_valkey.url,
            "CALLER_SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}",
            "CALLER_MAIL_FROM": SENDER,
        }
    )
    stores = await storage.open_stores(settings)
    await open_account(stores.engine)
    mails = storage.open_mails(settings, stores)
    mails._delays_s = (0.01,)
    own_valkey.kill()
    with capture_logs() as logs:
        mails.notify("call.cut_off", CUT_OFF)
        await idle(mails)
    assert [line["failure"] for line in logs if line.get("about")] == ["StoreUnavailableError"]
    assert not mailbox.mails
    await stores.close()


async def test_a_node_tells_its_account_holders(environ, mailbox):
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CALLER_")},
        **environ,
        "CALLER_PORT": "0",
        "CALLER_TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "CALLER_TWILIO_AUTH_TOKEN": "secret",
        "CALLER_CALLER_ID": "+15005550006",
        "CALLER_CARRIER_URL": "http://127.0.0.1:9",
    }
    node = Node(from_mapping(environ), environ)
    await node.start()
    try:
        await open_account(node.stores.engine)
        told = []
        node.post.events.notify = lambda *event: told.append(event)
        node.post.notify("payment.disputed", PAYMENT)
        await mailbox.wait_for_mails(1)
    finally:
        await node.stop()
    assert mailbox.mails[0]["Subject"] == "A payment is disputed: $25.00"
    assert told == [("payment.disputed", PAYMENT)]


async def test_what_payments_tell_is_mailed(shop, mailbox):
    payment = await shop.paid(units=10, save_card=True)
    await shop.payments.set_auto(
        "alice", enabled=True, threshold_micros=5 * UNIT, amount_micros=25 * UNIT
    )
    await shop.auto.maybe_top_up("alice", UNIT)
    opened_dispute = await shop.does("POST", "/disputes", payment_intent=payment.payment_intent_id)
    await shop.payments.book_object("dispute", opened_dispute["id"])
    async with opened(mailbox, shop.store) as mails:
        for event in shop.events:
            mails.notify(*event)
            await idle(mails)
        assert "is frozen meanwhile" in mailbox.mails[-1].get_content()
        shop.events.clear()

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
        for event in shop.events:
            mails.notify(*event)
            await idle(mails)
    assert [message["Subject"] for message in mailbox.mails] == [
        "Automatic top-up of $25.00",
        "A payment is disputed: $10.00",
        "A dispute was decided: $10.00",
        "Automatic top-up is switched off",
    ]
    assert {message["To"] for message in mailbox.mails} == {profile.email}
    link = (await shop.objects("checkout.sessions"))[0]["url"]
    assert link in mailbox.mails[-1].get_content()
    assert "Your account can place calls." in mailbox.mails[-2].get_content()


# Trying a server without a mail.


async def tried(mailbox, scheme="smtp", user=""):
    return await try_server(Secret(f"{scheme}://{user}127.0.0.1:{mailbox.port}"), SENDER)


async def test_a_server_is_tried_without_a_mail(mailbox):
    assert await tried(mailbox, user="me:hush@") == ""
    assert mailbox.passwords == [(b"\0me\0hush", False)]
    assert (mailbox.verbs["MAIL"], mailbox.verbs["QUIT"]) == (0, 1)


async def test_each_way_a_server_refuses_us_is_told_apart(closed_mailbox):
    closed_mailbox.offers.append("STARTTLS")
    await closed_mailbox.open()
    closed_mailbox.faults.append({"AUTH": "535 no"})
    assert "refuses user or password (535)" in await tried(closed_mailbox, user="me:hush@")
    assert "certificate" in await tried(closed_mailbox, "smtp+starttls")
    assert "does not speak TLS" in await tried(closed_mailbox, "smtps")
    closed_mailbox.offers.remove("STARTTLS")
    assert "does not offer" in await tried(closed_mailbox, "smtp+starttls")
    await closed_mailbox.close()
    assert "does not answer" in await tried(closed_mailbox)
