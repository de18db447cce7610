"""A shop: payments on a real book (SQLite), at the simulated payment service, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import sqlalchemy as sa
import uvicorn

from billing.payments import AutoLimits
from billing.stores import tables
from billing.stores.audit import audit
from billing.stores.payments import SqlPaymentStore
from billing.stores.sql import SqlCdrStore, SqlLedgerStore
from gateway import settings
from gateway.heartbeat.ticker import Ticker
from gateway.http.app import create_app
from gateway.logs.refused_signatures import RefusedSignatures
from gateway.payments.auto_top_up import AutoTopUps
from gateway.payments.reconciler import PaymentReconciler
from gateway.payments.refunds import Refunds
from gateway.payments.service import Payments
from gateway.payments.stripe_client import StripePayments
from gateway.payments.stripe_hook import StripeWebhook
from gateway.secret import Secret
from simulators.payments.service import PaymentSimulatorService, PaymentSimulatorSettings
from tests.valkey import free_port

UNIT = 1_000_000
API_KEY = "sk_test_shop"
SECRET = "whsec_shop"
PATIENCE_S = 15


class Clock:
    """The real time, and as much more as the test wants."""

    def __init__(self):
        self.ahead = timedelta()

    def __call__(self):
        return datetime.now(UTC) + self.ahead


class Shop:
    """Two accounts, `alice` and `bob`, what they can pay with, and what happens then."""

    def __init__(self, engine, service, simulator):
        self.engine, self.service, self.simulator = engine, service, simulator
        self.clock = Clock()
        self.store = SqlPaymentStore(engine, clock=self.clock)
        self.ledger = SqlLedgerStore(engine)
        self.records = SqlCdrStore(engine)
        self.settings = settings.Settings(public_origin="https://calls.example.com")
        self.credited, self.events = [], []
        self.frozen = {}
        self.payments = Payments(
            self.settings,
            service=service,
            store=self.store,
            ledger=self.ledger,
            on_credit=self._on_credit,
            on_freeze=self._on_freeze,
            notify=lambda name, data: self.events.append((name, data)),
            clock=self.clock,
        )
        self.refunds = Refunds(
            self.payments,
            service=service,
            store=self.store,
            ledger=self.ledger,
            balance=self.ledger.balance,
            on_credit=self._on_credit,
            notify=lambda name, data: self.events.append((name, data)),
        )
        self.auto = AutoTopUps(
            self.payments,
            service=service,
            store=self.store,
            limits=AutoLimits(100 * UNIT, timedelta(seconds=60)),
            notify=lambda name, data: self.events.append((name, data)),
            clock=self.clock,
        )
        self.reconciler = self.new_reconciler()
        self.control = httpx.AsyncClient(
            base_url=f"{simulator.origin}/simulator/v1",
            headers={"authorization": f"Bearer {API_KEY}"},
        )

    def new_reconciler(self):
        """What a node that starts now reconciles with."""
        return PaymentReconciler(
            self.payments, self.auto, service=self.service, store=self.store, clock=self.clock
        )

    async def _on_credit(self, account_id):
        self.credited.append(account_id)

    async def _on_freeze(self, account_id, frozen):
        await self.ledger.freeze(account_id, frozen)
        self.frozen[account_id] = frozen

    def event_names(self):
        """Return the names of what was told, in order."""
        return [name for name, _ in self.events]

    def told(self, event):
        """Return the data of each telling of an event."""
        return [data for name, data in self.events if name == event]

    async def does(self, verb, path, **body):
        """Be the payer, the bank or the dashboard."""
        reply = await self.control.request(verb, path, json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def objects(self, kind):
        """Return the service's objects of a kind, newest first."""
        return (await self.does("GET", f"/objects/{kind}"))["data"]

    async def pays(self, account_id="alice", units=25, *, method="card", save_card=False):
        """Begin a payment and make it on the service's page; return ours, still pending."""
        payment, url = await self.payments.start_checkout(
            account_id, units * UNIT, save_card=save_card
        )
        async with httpx.AsyncClient() as browser:
            await browser.post(url, data={"method": method, "email": f"{account_id}@example.com"})
        return await self.store.find(payment.id)

    async def paid(self, account_id="alice", units=25, *, save_card=False):
        """Pay, and book the outcome."""
        return await self.payments.book_outcome(
            await self.pays(account_id, units, save_card=save_card)
        )

    async def balance(self, account_id="alice"):
        """Return the account's whole units."""
        return await self.ledger.balance(account_id) / UNIT

    async def check(self):
        """Assert that the book agrees with itself."""
        assert await audit(self.engine, clock=self.clock) == []


@contextlib.asynccontextmanager
async def open_shop(engine, **simulated):
    """Open a shop whose payment service is set up as it is told."""
    async with engine.begin() as connection:
        rows = [tables.new_account(name, "USD", datetime.now(UTC)) for name in ("alice", "bob")]
        await connection.execute(sa.insert(tables.accounts), rows)
    simulator = PaymentSimulatorService(PaymentSimulatorSettings(api_key=API_KEY, **simulated))
    await simulator.start()
    service = StripePayments(api_key=API_KEY, origin=simulator.origin)
    shop = Shop(engine, service, simulator)
    try:
        yield shop
        await shop.check()
    finally:
        await shop.auto.stop()
        await shop.control.aclose()
        await service.close()
        await simulator.stop()


@pytest.fixture
async def shop(sqlite_engine):
    """A shop that hears of nothing: it has to ask."""
    async with open_shop(sqlite_engine) as opened:
        yield opened


@contextlib.asynccontextmanager
async def listening(shop, port):
    """Take the webhooks that the payment service sends to this port."""
    refused = RefusedSignatures(Ticker(time.monotonic_ns))
    webhook = StripeWebhook((Secret(SECRET),), shop.payments.book_object, time.time, refused)
    config = uvicorn.Config(
        create_app(webhook.routes()), lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", port)) as bound:
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        yield
        server.should_exit = True
        await serving


@pytest.fixture
async def told_shop(sqlite_engine):
    """A shop that is told by webhooks, which are tried again soon."""
    port = free_port()
    async with (
        open_shop(
            sqlite_engine,
            webhook_url=f"http://127.0.0.1:{port}/stripe/webhook",
            webhook_secret=SECRET,
            webhook_retries_s=(0.05, 0.1, 0.2, 0.4, 0.8),
        ) as opened,
        listening(opened, port),
    ):
        yield opened


async def until(condition):
    """Wait until an asynchronous condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():
            await asyncio.sleep(0.02)
