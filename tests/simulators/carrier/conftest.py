"""One simulated carrier and one application per test, on real sockets of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from twilio.rest import Client

from simulators.carrier.clock import Clock
from simulators.carrier.service import SimulatorService, SimulatorSettings

from .peer import ACCOUNT, FROM, TOKEN, Peer, until

FAST = SimulatorSettings(
    account_sid=ACCOUNT,
    auth_token=TOKEN,
    cps=1000,
    dispatch_delay_s=0.01,
    ring_s=0.03,
    slow_answer_s=0.4,
    hangup_after_s=0.2,
    detection_s=0.05,
    price_delay_s=0.2,
    create_hold_s=1.0,
    callback_late_s=0.3,
)


@dataclass
class Carrier:
    """A running simulated carrier with the clients that tests use on it."""

    service: SimulatorService
    client: Client
    control: httpx.AsyncClient
    peer: Peer

    async def place(self, to: str, **fields: Any) -> Any:
        """Place a call with twilio-python and return its CallInstance."""
        fields.setdefault("twiml", self.peer.twiml())
        fields.setdefault("status_callback", f"{self.peer.http}/status")
        fields.setdefault(
            "status_callback_event", ["initiated", "ringing", "answered", "completed"]
        )
        return await asyncio.to_thread(self.client.calls.create, to=to, from_=FROM, **fields)

    async def update(self, sid: str, **fields: Any) -> Any:
        return await asyncio.to_thread(self.client.calls(sid).update, **fields)

    async def fetch(self, sid: str) -> Any:
        return await asyncio.to_thread(self.client.calls(sid).fetch)

    async def look(self, sid: str) -> dict[str, Any]:
        """Return what the control API says about a call."""
        return dict((await self.control.get(f"/calls/{sid}")).json())

    async def act(self, sid: str, action: str, **fields: Any) -> int:
        body = {"action": action, **fields}
        return (await self.control.post(f"/calls/{sid}/actions", json=body)).status_code

    async def over(self, sid: str, status: str = "completed") -> dict[str, Any]:
        """Wait for a call to end and return what the control API says about it."""
        async with asyncio.timeout(20):
            while (seen := await self.look(sid))["ended_at_ns"] is None:
                await asyncio.sleep(0.01)
        assert seen["status"] == status
        return seen

    def codes(self) -> list[int]:
        return self.service.debugger.codes()


Start = Callable[..., AbstractAsyncContextManager[Carrier]]


@asynccontextmanager
async def _start(peer: Peer, clock: Clock | None = None, **changes: Any) -> AsyncIterator[Carrier]:
    service = SimulatorService(replace(FAST, **changes), clock)
    await service.start()
    client = Client(ACCOUNT, TOKEN)
    for domain in (client.api, client.pricing, client.voice):
        domain.base_url = service.url
    async with httpx.AsyncClient(base_url=f"{service.url}/simulator/v1") as control:
        try:
            yield Carrier(service, client, control, peer)
        finally:
            await service.stop()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with Peer() as peer:
        yield peer


@pytest.fixture
async def carrier(peer: Peer) -> AsyncIterator[Carrier]:
    async with _start(peer) as carrier:
        yield carrier


@pytest.fixture
def start(peer: Peer) -> Start:
    """Return a way to start a carrier with other settings."""
    return lambda clock=None, **changes: _start(peer, clock, **changes)


__all__ = ["until"]
