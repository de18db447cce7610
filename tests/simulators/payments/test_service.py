"""The service starts, tells its port, and ends; its settings refuse nonsense."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest

from simulators.payments.errors import PaymentSimulatorSettingsError
from simulators.payments.service import PaymentSimulatorService

from .conftest import FAST, KEY, Payments, Start, session_params

AUTH = {"Authorization": f"Bearer {KEY}"}


async def test_it_serves_until_it_is_stopped(unused_tcp_port: int) -> None:
    service = PaymentSimulatorService(replace(FAST, port=unused_tcp_port))
    await service.start()
    serving = asyncio.ensure_future(service.serve())
    async with httpx.AsyncClient() as client:
        reply = await client.get(f"http://127.0.0.1:{unused_tcp_port}/v1/balance", headers=AUTH)
    assert reply.status_code == 200
    await service.stop()
    async with asyncio.timeout(5):
        await serving


async def test_stopping_twice_is_harmless_and_the_port_is_free_again() -> None:
    service = PaymentSimulatorService(FAST)
    await service.stop()
    await service.start()
    port = service.port
    await service.stop()
    await service.stop()
    again = PaymentSimulatorService(replace(FAST, port=port))
    await again.start()
    taken = PaymentSimulatorService(replace(FAST, port=port))
    with pytest.raises(OSError, match=r"."):
        await taken.start()
    await again.stop()


async def test_it_can_live_at_an_ipv6_address() -> None:
    service = PaymentSimulatorService(replace(FAST, host="::1"))
    await service.start()
    async with httpx.AsyncClient() as client:
        reply = await client.get(f"{service.origin}/v1/balance", headers=AUTH)
    await service.stop()
    assert reply.status_code == 200


async def test_browsers_are_sent_to_the_public_origin(start: Start) -> None:
    async with start(public_origin="https://pay.test/") as payments:
        session = await payments.open()
        assert session.url.startswith("https://pay.test/pay/cs_test_")


async def test_the_same_seed_gives_the_same_identifiers(start: Start) -> None:
    async def first_id(seed: int) -> str:
        payments: Payments
        async with start(seed=seed) as payments:
            return str((await payments.open(**session_params())).id)

    one, same, other = [await first_id(seed) for seed in (7, 7, 8)]
    assert one == same != other


@pytest.mark.parametrize(
    ("knob", "changes"),
    [
        ("api_key", {"api_key": ""}),
        ("webhook_secret", {"webhook_secret": "", "webhook_url": "http://a.test"}),
        ("port", {"port": 65536}),
        ("bank_delay_s", {"bank_delay_s": -1}),
        ("webhook_retries_s", {"webhook_retries_s": (-1,)}),
        ("webhook_retries_s", {"webhook_retries_s": (1,) * 21}),
        ("objects_kept", {"objects_kept": 0}),
    ],
)
def test_senseless_settings_are_refused(knob: str, changes: dict[str, Any]) -> None:
    with pytest.raises(PaymentSimulatorSettingsError) as caught:
        replace(FAST, **changes)
    assert caught.value.name == knob
