"""Mails are taken by SMTP, each whole; what a client may send is bounded."""

from __future__ import annotations

import asyncio
import logging
import smtplib

import pytest

from simulators.mail.mailbox import Mailbox
from simulators.mail.smtp import NAME, RECIPIENTS_MAX

from .conftest import MailServer, Start, written


async def converse(server: MailServer, *said: bytes) -> bytes:
    """Say something at once; return all that is answered until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.service.smtp_port)
    writer.writelines(said)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_several_mails_come_in_one_conversation(server: MailServer) -> None:
    def work() -> None:
        with server.client() as client:
            for number in range(3):
                client.send_message(written(f"mail {number}"), "a@b.test", "c@d.test")

    await asyncio.to_thread(work)
    assert await server.subjects() == ["mail 2", "mail 1", "mail 0"]


async def test_a_line_that_begins_with_a_dot_keeps_it(server: MailServer) -> None:
    await server.send(written(text=".\n..two\n"))
    assert (await server.browser.get("/mails/1")).json()["text"] == ".\n..two\n"


async def test_a_mail_without_a_subject_and_parts_is_taken(server: MailServer) -> None:
    said = b"HELO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n"
    answered = await converse(server, said)
    assert answered.startswith(b"220 " + NAME.encode())
    assert answered.splitlines()[-1].startswith(b"221")
    assert await server.subjects() == [""]


async def test_a_mail_that_is_too_large_is_refused(start: Start) -> None:
    async with start(mail_bytes_max=2_000) as server:
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            await server.send(written(text="a" * 70 + "\n" * 2_000))
        assert refused.value.smtp_code == 552
        # One that does not tell its size first.
        said = b"HELO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"
        said += b"a\r\n" * 1_000 + b".\r\nQUIT\r\n"
        assert b"\r\n552 " in await converse(server, said)
        assert await server.subjects() == []


@pytest.mark.parametrize("line", [b"a" * 500_000, b"a\r\n" * 200_000, b"NOOP\r\n" * 100_000])
async def test_a_client_that_sends_without_end_is_dropped(line: bytes, start: Start) -> None:
    async with start(mail_bytes_max=2_000) as server:
        await converse(
            server, b"HELO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n", line
        )
        assert await server.subjects() == []
        await server.send(written())


async def test_a_silent_client_is_dropped(start: Start) -> None:
    async with start(silence_s_max=0.05) as server:
        assert await converse(server) == f"220 {NAME} ESMTP\r\n".encode()


async def test_a_mail_has_no_more_recipients_than_that(server: MailServer) -> None:
    many = [f"c{number}@d.test" for number in range(RECIPIENTS_MAX + 1)]
    await server.send(written(), *many)
    assert (await server.browser.get("/mails")).json()[0]["to"] == many[:RECIPIENTS_MAX]


async def test_one_connection_too_many_is_turned_away(start: Start) -> None:
    async with start(conversations_max=1) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.service.smtp_port)
        assert (await reader.readline()).startswith(b"220 ")
        assert (await converse(server)).startswith(b"421 ")
        writer.write(b"QUIT\r\n")
        assert (await reader.readline()).startswith(b"221 ")
        assert await reader.read() == b""
        writer.close()
        await server.send(written())


async def test_a_fault_is_logged_and_not_told(
    server: MailServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("hush")

    with monkeypatch.context() as patched:
        patched.setattr(Mailbox, "add", fails)
        with pytest.raises(smtplib.SMTPDataError) as refused:
            await server.send(written())
    assert refused.value.smtp_code == 451
    assert b"hush" not in refused.value.smtp_error
    assert [record.levelno for record in caplog.records if record.name.startswith("simul")] == [
        logging.ERROR
    ]


async def test_a_stop_ends_every_conversation(start: Start) -> None:
    async with start() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.service.smtp_port)
        assert (await reader.readline()).startswith(b"220 ")
        async with asyncio.timeout(10):
            await server.service.stop()
            assert await reader.read() == b""
        writer.close()
