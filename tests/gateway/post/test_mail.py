"""The mail server: addresses and headers that hold nothing else, passwords over TLS, refusals."""

import asyncio
import email
import email.policy
import smtplib

import pytest

from gateway.errors import SettingsError
from gateway.post.mail import (
    Conversation,
    Envelope,
    compose,
    is_address,
    read_server,
    reply_code,
    to_ascii,
    try_server,
)
from gateway.post.notices import MailText
from gateway.secret import Secret
from gateway.settings_variables import from_mapping
from tests.gateway.post.mailbox import AT, SENDER, trusting

FAILURES = (smtplib.SMTPException, ConnectionError)
LINK = "https://calls.example.com/l/" + "a1b2c3" * 40
TEXT = MailText("Charged: €1.00", f"It costs €1.00.\n\n{LINK}\n.\n", f"<p>€1.00</p><p>{LINK}</p>")
ENVELOPE = {"sender": SENDER, "recipient": "a@x.com", "message_id": "<1@x.com>", "at": AT}


@pytest.mark.parametrize(
    "text",
    ["alice@example.com", "a.b+c@x", "o'neil@mail.example.co.uk", "x" * 200 + "@example.com"],
)
def test_addresses(text):
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        "@example.com",
        "alice@",
        "a@b@c",
        "a b@example.com",
        "a..b@example.com",
        "alice@example.com\r\nBcc: eve@example.com",
        "alice@example.com\n",
        "alice@-x.com",
        "a@x.com,b@x.com",
        "a@x.com> SIZE=1",
        "Alice <alice@example.com>",
        '"a"@example.com',
        "älice@example.com",
        "alice@exämple.com",
        "alice@[127.0.0.1]",
        "x" * 250 + "@x.com",
    ],
)
def test_what_is_no_address(text):
    assert not is_address(text)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("alice@example.com", "alice@example.com"),
        ("alice@bücher.example", "alice@xn--bcher-kva.example"),
        ("älice@example.com", ""),
        ("alice@" + "ü" * 80 + ".example", ""),
        ("alice@a..b", ""),
        ("alice@example.com\r\nBcc: eve@example.com", ""),
        ("", ""),
        ("alice", ""),
    ],
)
def test_a_domain_of_other_letters_is_written_as_servers_take_it(address, expected):
    assert to_ascii(address) == expected


def test_a_mail_is_the_same_each_time_it_is_composed():
    envelope = Envelope(**ENVELOPE, sender_name="Exämple, Calls", reply_to="help@x.com")
    first, second = (compose(TEXT, envelope).as_bytes() for _ in range(2))
    assert first == second
    assert first.isascii()
    assert max(len(line) for line in first.split(b"\r\n")) <= 78
    message = email.message_from_bytes(first, policy=email.policy.SMTP)
    assert message["Subject"] == TEXT.subject
    (sender,) = message["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Exämple, Calls", SENDER)
    assert (message["To"], message["Reply-To"]) == ("a@x.com", "help@x.com")
    assert message["Date"].datetime == AT
    assert message["Message-ID"] == "<1@x.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"
    # RFC 2046 5.1.4: the last is the best.
    plain, html = message.iter_parts()
    assert [part.get_content_type() for part in (plain, html)] == ["text/plain", "text/html"]
    assert plain.get_content().replace("\r\n", "\n") == TEXT.text
    assert html.get_content().strip() == TEXT.html


@pytest.mark.parametrize("field", ["sender", "recipient", "message_id", "reply_to", "sender_name"])
def test_a_header_cannot_hold_another(field):
    with pytest.raises(ValueError, match=r"newline|linefeed|CR|[Ii]nvalid"):
        compose(TEXT, Envelope(**{**ENVELOPE, field: "a@x.com\r\nBcc: eve@x.com"}))
    with pytest.raises(ValueError, match=r"newline|linefeed"):
        compose(MailText("a\r\nBcc: eve@x.com", "b", "c"), Envelope(**ENVELOPE))


@pytest.mark.parametrize("ending", ["=0D=0A", "=0A", "=0D"])
@pytest.mark.parametrize("field", ["subject", "sender_name"])
def test_an_encoded_word_cannot_hold_another_header(field, ending):
    forged = f"a =?utf-8?q?b{ending}Bcc:_eve=40x.com?= c"
    text, envelope = TEXT, Envelope(**ENVELOPE)
    if field == "subject":
        text = MailText(forged, "b", "c")
    else:
        envelope = Envelope(**{**ENVELOPE, field: forged})
    with pytest.raises(ValueError, match="header"):
        compose(text, envelope)


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
    assert read_server(Secret(url), SENDER).sender == SENDER


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
        ("CALLER_CONTACT_EMAIL", "hush"),
        ("CALLER_SERVICE_NAME", "hush <a@b.c>"),
        ("CALLER_SERVICE_NAME", "hush\r\nBcc: eve@x.com"),
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
        read_server(Secret(url), sender)
    assert "hush" not in str(caught.value)


# -- conversations -------------------------------------------------------------------------------


def conversation(mailbox, scheme="smtp", user="", **options):
    url = Secret(f"{scheme}://{user}127.0.0.1:{mailbox.port}")
    return Conversation(read_server(url, SENDER, **options))


def message():
    return compose(TEXT, Envelope(**ENVELOPE))


async def send(talk):
    await asyncio.to_thread(talk.open)
    await asyncio.to_thread(talk.send, message(), "a@x.com")


async def test_several_mails_go_over_one_connection(mailbox):
    talk = conversation(mailbox)
    for _ in range(3):
        await send(talk)
    await asyncio.to_thread(talk.close)
    assert len(mailbox.mails) == 3
    assert (mailbox.verbs["conversations"], mailbox.verbs["QUIT"]) == (1, 1)
    talk.close()


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "END"])
async def test_a_refusal_leaves_the_connection_to_the_next_mail(mailbox, step):
    mailbox.faults.append({step: "450 later"})
    talk = conversation(mailbox)
    with pytest.raises(smtplib.SMTPException) as caught:
        await send(talk)
    assert reply_code(caught.value) == 450
    await asyncio.to_thread(talk.open)
    await asyncio.to_thread(talk.close)
    assert mailbox.verbs["conversations"] == 1
    assert mailbox.verbs["RSET"] >= 1


@pytest.mark.parametrize("answer", ["421 closing", "drop"])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "END"])
async def test_after_a_broken_connection_another_is_opened(mailbox, step, answer):
    mailbox.faults.append({step: answer})
    talk = conversation(mailbox)
    with pytest.raises(FAILURES):
        await send(talk)
    await send(talk)
    await asyncio.to_thread(talk.close)
    assert mailbox.verbs["conversations"] == 2


async def test_a_thread_that_waits_for_the_server_can_be_told_to_give_up(mailbox):
    mailbox.faults.append({"END": "stall"})
    talk = conversation(mailbox, timeout_s=60)
    talk.interrupt()
    sending = asyncio.ensure_future(send(talk))
    await mailbox.wait_for(lambda: mailbox.ids)
    talk.interrupt()
    with pytest.raises(FAILURES):
        await sending


# The password is percent-encoded in the address.
@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_the_password_goes_over_tls(closed_mailbox, scheme):
    closed_mailbox.speaks_tls_at_once = scheme == "smtps"
    closed_mailbox.offers.append("STARTTLS")
    await closed_mailbox.open()
    talk = conversation(closed_mailbox, scheme, "me%40x.com:p%3Aw@", tls=trusting())
    await send(talk)
    await asyncio.to_thread(talk.close)
    assert len(closed_mailbox.mails) == 1
    assert closed_mailbox.passwords == [(b"\0me@x.com\0p:w", True)]


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_a_server_that_cannot_prove_its_name_learns_nothing(closed_mailbox, scheme):
    closed_mailbox.speaks_tls_at_once = scheme == "smtps"
    closed_mailbox.offers.append("STARTTLS")
    await closed_mailbox.open()
    with pytest.raises(OSError, match="certificate"):
        await send(conversation(closed_mailbox, scheme, "me:hush@"))
    assert not closed_mailbox.passwords
    assert not closed_mailbox.verbs["MAIL"]


@pytest.mark.parametrize("answer", [None, "454 not now", "501 no"])
async def test_without_starttls_nothing_is_said(mailbox, answer):
    if answer:
        mailbox.offers.append("STARTTLS")
        mailbox.faults.append({"STARTTLS": answer})
    with pytest.raises(FAILURES):
        await send(conversation(mailbox, "smtp+starttls", "me:hush@", tls=trusting()))
    assert not mailbox.passwords
    assert not mailbox.verbs["MAIL"]


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
