"""One simulated mail server per test, on real sockets, driven by the standard library's client."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
import uvloop

from simulators.mail.service import MailSimulatorService, MailSimulatorSettings

AT = datetime(2026, 11, 24, 12, 0, 5, tzinfo=UTC)
SIGN_UP = "http://127.0.0.1:9/sign-up"
SETTINGS = MailSimulatorSettings(sign_up_url=SIGN_UP)
HTML = '<!doctype html><html><p><a href="http://127.0.0.1:9/l/secret">Confirm</a></p></html>'


Loops = dict[str, Callable[[], asyncio.AbstractEventLoop]]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Loops:
    """Run on the loop that is deployed; what deals with transports, on the library's own too."""
    loops: Loops = {"uvloop": uvloop.new_event_loop}
    return (
        loops | {"asyncio": asyncio.new_event_loop} if item.path.name == "test_smtp.py" else loops
    )


def written(subject: str = "Confirm your address", text: str = "Hello.\n") -> EmailMessage:
    """Return a mail in two parts, as the gateway composes them."""
    message = EmailMessage()
    message["Subject"] = subject
    message.set_content(text)
    message.add_alternative(HTML, subtype="html")
    return message


@dataclass
class MailServer:
    """A running service with what tests use on it."""

    service: MailSimulatorService
    browser: httpx.AsyncClient

    @contextmanager
    def client(self) -> Iterator[smtplib.SMTP]:
        """A conversation; blocks, so it belongs in a thread."""
        with smtplib.SMTP("127.0.0.1", self.service.smtp_port, "a.test", timeout=10) as client:
            yield client

    async def send(self, message: EmailMessage, *recipients: str) -> None:
        def work() -> None:
            with self.client() as client:
                client.send_message(message, "a@b.test", recipients or ("c@d.test",))

        await asyncio.to_thread(work)

    async def subjects(self) -> list[str]:
        """Return the subjects of the mails that are kept, the newest first."""
        return [mail["subject"] for mail in (await self.browser.get("/mails")).json()]


Start = Callable[..., AbstractAsyncContextManager[MailServer]]


@asynccontextmanager
async def _start(**changes: Any) -> AsyncIterator[MailServer]:
    service = MailSimulatorService(replace(SETTINGS, **changes), lambda: AT)
    await service.start()
    async with httpx.AsyncClient(base_url=service.origin) as browser:
        try:
            yield MailServer(service, browser)
        finally:
            await service.stop()


@pytest.fixture
def start() -> Start:
    """Return a way to start a service with other settings."""
    return _start


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with _start() as server:
        yield server
