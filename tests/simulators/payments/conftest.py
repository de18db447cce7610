"""One simulated payment service per test, on real sockets, driven by Stripe's own library."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
import stripe

from simulators.payments.account import MerchantAccount
from simulators.payments.clock import Clock
from simulators.payments.form import Form, parse
from simulators.payments.resources import Event
from simulators.payments.service import PaymentSimulatorService, PaymentSimulatorSettings

from .receiver import SECRET, Receiver

KEY = "sk_test_of_the_tests"
SUCCESS = "http://127.0.0.1:9/paid?session={CHECKOUT_SESSION_ID}"
CANCEL = "http://127.0.0.1:9/cancelled"
FAST = PaymentSimulatorSettings(
    api_key=KEY, webhook_secret=SECRET, bank_delay_s=0.05, webhook_retries_s=(0.01,) * 12
)
NOW_NS = 1_800_000_000 * 10**9


def session_params(**changes: Any) -> dict[str, Any]:
    """Return what a session of 25.00 EUR is made from."""
    price = {"currency": "eur", "unit_amount": 2500, "product_data": {"name": "Credit"}}
    params: dict[str, Any] = {
        "mode": "payment",
        "line_items": [{"price_data": price, "quantity": 1}],
        "success_url": SUCCESS,
        "cancel_url": CANCEL,
        "client_reference_id": "account-1",
        "metadata": {"payment": "p1"},
        "payment_intent_data": {"metadata": {"payment": "p1"}},
    }
    return params | changes


def form(encoded: str) -> Form:
    return Form(parse(encoded))


@pytest.fixture
def account() -> MerchantAccount:
    """Return an account with no clock and no socket."""
    return MerchantAccount(replace(FAST, webhook_url="http://127.0.0.1:9/hook"), "http://pay.test")


def event_types(account: MerchantAccount) -> list[str]:
    """Return the types of all events, oldest first."""
    return [event.type for event in account.world.registry.newest(Event)][::-1]


@dataclass
class Payments:
    """A running simulated payment service with the clients that tests use on it."""

    service: PaymentSimulatorService
    client: Any
    """A `stripe.StripeClient`: tests also send what its annotations forbid."""
    control: httpx.AsyncClient
    """Of the control API, with the key."""
    browser: httpx.AsyncClient
    """Follows no redirects."""

    async def open(self, **changes: Any) -> Any:
        return await self.client.v1.checkout.sessions.create_async(session_params(**changes))

    async def session(self, session_id: str, *expand: str) -> Any:
        return await self.client.v1.checkout.sessions.retrieve_async(
            session_id, {"expand": list(expand)}
        )

    async def click(self, session: Any, button: str, email: str = "") -> httpx.Response:
        """Press a button of the hosted page."""
        return await self.browser.post(session.url, data={"method": button, "email": email})

    async def paid(self, **changes: Any) -> Any:
        """Return a session that is paid by card, with its intent and charge."""
        session = await self.open(**changes)
        await self.click(session, "card", "a@example.com")
        return await self.session(session.id, "payment_intent.latest_charge")

    async def order(self, method: str, path: str, /, **body: Any) -> Any:
        """Use the control API."""
        reply = await self.control.request(method, path, json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def faults(self, **deliveries: Any) -> None:
        await self.order("PUT", "/faults", deliveries=deliveries)

    async def balance(self) -> dict[str, int]:
        balance = await self.client.v1.balance.retrieve_async()
        return {entry.currency: entry.amount for entry in balance.available}

    async def types(self) -> list[str]:
        """Return the types of all events, oldest first."""
        events = await self.client.v1.events.list_async({"limit": 100})
        return [event.type for event in events.data][::-1]


Start = Callable[..., AbstractAsyncContextManager[Payments]]


@asynccontextmanager
async def _start(hook: str, clock: Clock | None = None, **changes: Any) -> AsyncIterator[Payments]:
    settings = replace(FAST, webhook_url=hook, **changes)
    service = PaymentSimulatorService(settings, clock)
    await service.start()
    async with httpx.AsyncClient() as browser:
        headers = {"Authorization": f"Bearer {KEY}"}
        base = f"{service.origin}/simulator/v1"
        async with httpx.AsyncClient(base_url=base, headers=headers) as control:
            http_client = stripe.HTTPXClient(timeout=5, allow_sync_methods=False)
            client = stripe.StripeClient(
                KEY,
                base_addresses={"api": service.origin},
                http_client=http_client,
                max_network_retries=0,
            )
            try:
                yield Payments(service, client, control, browser)
            finally:
                await http_client.close_async()
                await service.stop()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def payments(receiver: Receiver) -> AsyncIterator[Payments]:
    async with _start(receiver.url) as payments:
        yield payments


@pytest.fixture
def start(receiver: Receiver) -> Start:
    """Return a way to start a service with other settings."""

    def begin(clock: Clock | None = None, hook: str | None = None, **changes: Any) -> Any:
        return _start(receiver.url if hook is None else hook, clock, **changes)

    return begin
