"""Receivers of webhooks, and a deployment that sends some to them."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from billing.stores import tables
from billing.stores.sql import SqlCdrStore
from gateway.app import Services
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.opened import Stores
from gateway.webhooks.endpoint_store import SqlWebhookEndpoints
from gateway.webhooks.events import QueuedEvent, body_of, event_id
from gateway.webhooks.ports import Endpoint, EndpointForm
from gateway.webhooks.poster import HttpPoster
from gateway.webhooks.sender import EndpointTarget, WebhookSender
from gateway.webhooks.signature import SecretMaker, secret_text
from gateway.webhooks.spool import SqlWebhookSpool
from gateway.webhooks.target import read_target
from tests.clock import Clock
from tests.tcp_server import tcp_server

HOST = "127.0.0.1"
TIMEOUT_S = 0.3
WARNING = "call.credit_warning"


class Receiver:
    """A program that takes events; what it answers can be set."""

    def __init__(self):
        self.status = 204
        self.good_for = None
        """How many more requests are answered with 204 before `status`; None: none."""
        self.headers = {}
        self.taken = []
        """(headers, body) of all requests."""
        self.arrived = asyncio.Event()
        self.gate = asyncio.Event()
        """While it is not set, no request is answered."""
        self.gate.set()
        self.at_once = self.at_once_max = 0
        self.url = ""

    async def handle(self, request):
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        self.taken.append((dict(request.headers), await request.text()))
        self.arrived.set()
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        status = self.status
        if self.good_for:
            self.good_for -= 1
            status = 204
        return web.Response(status=status, headers=self.headers)

    @property
    def ids(self):
        return [headers["webhook-id"] for headers, _ in self.taken]


@contextlib.asynccontextmanager
async def receiving(tls=None):
    """Serve one on a port of its own."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/hook", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0, ssl_context=tls).start()
    scheme = "https" if tls else "http"
    receiver.url = f"{scheme}://{HOST}:{runner.addresses[0][1]}/hook"
    yield receiver
    receiver.gate.set()
    await runner.cleanup()


@contextlib.asynccontextmanager
async def talking(talk):
    """Serve `talk` (reader, writer) on a port of its own; yields its URL."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await talk(reader, writer)

    async with tcp_server(serve) as port:
        yield f"http://{HOST}:{port}/hook"


class World:
    """Accounts with endpoints, and what sends to them."""

    def __init__(self, engine):
        self.engine = engine
        # Receivers check the time, so that it is the real one, and moved by hand from there.
        self.clock = Clock(datetime.now(UTC).replace(microsecond=0))
        self.spool = SqlWebhookSpool(engine, clock=self.clock)
        self.endpoints = SqlWebhookEndpoints(engine, clock=self.clock)
        self.maker = SecretMaker(["k" * 32])
        self.poster = HttpPoster(timeout_s=TIMEOUT_S)
        self.hosts = (HOST,)
        self.count = 0

    async def open_account(self, *account_ids):
        async with self.engine.begin() as connection:
            rows = [tables.new_account(each, "EUR", self.clock()) for each in account_ids]
            await connection.execute(sa.insert(tables.accounts), rows)

    async def add(self, account_id, url, *, types=""):
        """Add an endpoint as an operator's process may."""
        self.count += 1
        endpoint_id = f"wh_{self.count:04}"
        added = await self.endpoints.add(
            account_id,
            None,
            endpoint_id,
            EndpointForm(url, "", types),
            self.maker.seed(endpoint_id),
        )
        assert isinstance(added, Endpoint)
        return added

    async def tell(self, account_id, count=1, name=WARNING, at=None):
        """Queue events; return their ids."""
        ids = []
        for _ in range(count):
            self.count += 1
            ids.append(event_id(name, str(self.count)))
            data = {"account_id": account_id, "number": self.count}
            await self.spool.queue(
                QueuedEvent(account_id, ids[-1], name, at or self.clock(), data=data)
            )
        return ids

    def locate(self, endpoint):
        secrets = [self.maker.secret(endpoint.id, seed) for seed in endpoint.seeds]
        return EndpointTarget(read_target(endpoint.url, self.hosts), secrets)

    async def write(self, delivery):
        return body_of(delivery.type, delivery.at, delivery.data)

    def sender(self, spool=None, **options):
        chosen = {"chance": lambda: 0.0, "clock": self.clock, **options}
        return WebhookSender(spool or self.spool, self.poster, self.locate, self.write, **chosen)

    async def send(self, sender=None):
        """Send what is due until all lanes are closed."""
        sender = sender or self.sender()
        await sender.round()
        await asyncio.gather(*sender._lanes.values())

    async def deliveries(self, endpoint):
        return await self.endpoints.deliveries(
            endpoint.account_id, endpoint.id, limit=200, before=None
        )

    async def states(self, endpoint):
        return sorted(each.state for each, _ in await self.deliveries(endpoint))

    def verify(self, endpoint, taken):
        """Return what a receiver reads, which has the first secret of the endpoint."""
        headers, body = taken
        secret = secret_text(self.maker.secret(endpoint.id, endpoint.seeds[0]))
        return Webhook(secret).verify(body, headers)

    def pass_time(self, **by):
        self.clock.now += timedelta(**by)


@pytest.fixture
async def world(engine):
    """A deployment with two accounts."""
    world = World(engine)
    await world.open_account("alice", "bob")
    yield world
    await world.poster.close()


def services_of(settings, engine):
    """Return what sending is built from: it needs no credit store."""
    stores = Stores(
        redis=None,
        engine=engine,
        gate=None,
        ledger=None,
        records=SqlCdrStore(engine),
        accounts=SqlAccountStore(engine),
        key_epochs=None,
        valkey=None,
    )
    return Services(settings=settings, stores=stores)


def change_of(connection, account_id, at):
    """Return a change of an account, as far as webhooks look at it."""
    holder = SimpleNamespace(account_id=account_id)
    return SimpleNamespace(connection=connection, holder=holder, at=at)
