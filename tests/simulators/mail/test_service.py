"""The service opens two ports or none, and closes both."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import httpx
import pytest

from simulators.mail.service import MailSimulatorService, SmtpAddressError

from .conftest import SETTINGS


async def test_it_serves_until_it_is_stopped() -> None:
    service = MailSimulatorService(SETTINGS)
    await service.stop()
    await service.start()
    serving = asyncio.ensure_future(service.serve())
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{service.origin}/mails")).json() == []
    await service.stop()
    await service.stop()
    async with asyncio.timeout(5):
        await serving


async def test_both_ports_are_free_again_after_a_stop() -> None:
    service = MailSimulatorService(SETTINGS)
    await service.start()
    port, smtp_port = int(service.origin.rpartition(":")[2]), service.smtp_port
    await service.stop()
    again = MailSimulatorService(replace(SETTINGS, port=port, smtp_port=smtp_port))
    await again.start()
    await again.stop()


async def test_a_port_that_is_taken_leaves_the_other_one_free(unused_tcp_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        by_page = MailSimulatorService(replace(SETTINGS, port=port, smtp_port=unused_tcp_port))
        with pytest.raises(OSError, match=r"."):
            await by_page.start()
        by_smtp = MailSimulatorService(replace(SETTINGS, port=unused_tcp_port, smtp_port=port))
        with pytest.raises(SmtpAddressError):
            await by_smtp.start()
        await by_smtp.stop()
    with socket.create_server(("127.0.0.1", unused_tcp_port)):
        pass
