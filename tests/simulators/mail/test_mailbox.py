"""The newest mails are kept, each under its own number."""

from __future__ import annotations

from simulators.mail.mailbox import Mail, Mailbox

from .conftest import AT


def add(mailbox: Mailbox, subject: str) -> Mail:
    raw = f"Subject: {subject}\r\n\r\n".encode()
    return mailbox.add("a@b.test", ("c@d.test",), raw, AT)


def test_the_newest_come_first_and_the_oldest_goes() -> None:
    mailbox = Mailbox(2)
    mails = [add(mailbox, subject) for subject in ("one", "two", "three")]
    assert [mail.subject for mail in mailbox.newest()] == ["three", "two"]
    assert [mailbox.find(number) for number in range(5)] == [None, None, *mails[1:], None]


def test_no_traceback_shows_what_a_mail_says() -> None:
    assert "secret" not in repr(Mailbox(1).add("a@b.test", (), b"\r\n\r\nsecret", AT))
