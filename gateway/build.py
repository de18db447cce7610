"""The composition root: the only module that picks adapters."""

from __future__ import annotations

import contextlib
import gc
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.drain import Drainer
from billing.partition import PARTITIONS
from billing.rate_deck import RateDeck
from billing.stores.database import create_engine
from billing.stores.migrations import migrate
from billing.stores.redis import RedisSpendGate
from billing.stores.redis_client import connect, disconnect, preflight
from billing.stores.sql import SqlCdrStore, SqlLedgerStore
from gateway import admission
from gateway.carriers.markup import hangup_twiml
from gateway.carriers.signature import TwilioSignatureVerifier
from gateway.carriers.twilio import TwilioCarrier
from gateway.children import Child
from gateway.engine import recovery
from gateway.engine.calls import Calls
from gateway.engine.metering import Metering
from gateway.engine.ticker import Ticker
from gateway.errors import SettingsError
from gateway.http import pages
from gateway.http.app import create_app
from gateway.http.auth import Authenticator
from gateway.http.calls import CallsApi
from gateway.http.health import Health
from gateway.http.webhooks import TwilioWebhooks
from gateway.settings import Settings
from gateway.sockets.engine import MediaEngine
from gateway.sockets.limits import MediaLimits
from gateway.sockets.one_port import OnePortServer, create_server
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.embedded import EmbeddedValkey
from gateway.stores.tokens import RedisCallTokens
from media import tones

log = logging.getLogger(__name__)

STATIC_DIR = Path(str(resources.files("gateway.http"))) / "static"
SWEEP_PARTS = 50
"""Sweeps in which every socket is looked at once: at one each beat, a second."""

_PING_NS = 5_000_000_000
"""A browser that is silent this long is pinged, and is gone when silent for as long again."""

_GEN2_THRESHOLD = 1000
"""Full collections are made rare: one of them is a gap in every call's audio."""


@dataclass(slots=True)
class Stores:
    """What is open to Redis and SQL."""

    redis: Any
    engine: AsyncEngine
    gate: RedisSpendGate
    ledger: SqlLedgerStore
    records: SqlCdrStore
    accounts: SqlAccountStore
    valkey: EmbeddedValkey | None

    async def close(self) -> None:
        """Give everything back; the embedded Valkey last."""
        await disconnect(self.redis)
        await self.engine.dispose()
        if self.valkey is not None:
            await self.valkey.stop()


def database_url(settings: Settings) -> str:
    """Return the database that the settings mean."""
    return settings.database_url or f"sqlite:///{settings.data_dir.absolute() / 'caller.db'}"


async def open_stores(settings: Settings) -> Stores:
    """Open Redis and SQL, and make them ready. Raises StoreUnavailableError, SettingsError."""
    async with contextlib.AsyncExitStack() as stack:
        valkey = None
        redis_url = settings.redis_url
        if not redis_url or not settings.database_url:
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not redis_url:
            valkey = EmbeddedValkey(settings.data_dir / "valkey")
            redis_url = await valkey.start()
            stack.push_async_callback(valkey.stop)
        redis = _connect(redis_url)
        stack.push_async_callback(disconnect, redis)
        await preflight(redis)
        engine = _engine(settings)
        stack.push_async_callback(engine.dispose)
        await migrate(engine)
        gate, ledger = RedisSpendGate(redis), SqlLedgerStore(engine)
        drain = Drainer(gate, ledger, PARTITIONS).drain_once
        await recovery.fill_gate(gate, ledger, PARTITIONS, drain)
        stack.pop_all()
    return Stores(redis, engine, gate, ledger, SqlCdrStore(engine), SqlAccountStore(engine), valkey)


def _connect(url: str) -> Any:
    try:
        return connect(url)
    except ValueError as error:
        raise SettingsError(f"CALLER_REDIS_URL is not usable: {error}.") from None


def _engine(settings: Settings) -> AsyncEngine:
    try:
        engine = create_engine(database_url(settings))
    except (ValueError, sa.exc.ArgumentError):
        raise SettingsError(
            "CALLER_DATABASE_URL must be sqlite:///file or postgresql://…"
        ) from None
    file = engine.url.database or ""
    if engine.dialect.name == "sqlite" and not Path(file).parent.is_dir():
        raise SettingsError("CALLER_DATABASE_URL names a file in a folder that does not exist.")
    return engine


def load_deck(settings: Settings) -> RateDeck:
    """Return the rate deck. Raises SettingsError, RateDeckError."""
    if not settings.rate_deck:
        return RateDeck.example()
    try:
        text = Path(settings.rate_deck).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("CALLER_RATE_DECK names a file that cannot be read.") from error
    return RateDeck.from_csv(text)


def build_carrier(settings: Settings) -> TwilioCarrier:
    """Return the carrier. Raises SettingsError naming what is missing."""
    for name in ("twilio_account_sid", "twilio_auth_token", "caller_id"):
        if not getattr(settings, name):
            raise SettingsError(f"CALLER_{name.upper()} is missing; `caller demo` needs none.")
    return TwilioCarrier(
        base_url=settings.carrier_url,
        account_sid=settings.twilio_account_sid,
        username=settings.twilio_api_key_sid or settings.twilio_account_sid,
        password=settings.twilio_api_key_secret or settings.twilio_auth_token,
        caller_id=settings.caller_id,
        timeout_s=settings.carrier_timeout_ms / 1000,
    )


def build_drainer(stores: Stores) -> Drainer:
    """Return what empties the spend gate's outbox into the book of record."""
    return Drainer(stores.gate, stores.ledger, PARTITIONS)


def _warm_up() -> None:
    """Make the tables that are otherwise made at first use, so that no audio waits for it."""
    tones.hold()
    for country in ("", "US", "GB"):
        for tone in (tones.ringback, tones.busy, tones.congestion):
            tone(country)
    admission.load_numbering_plans()


class Node:
    """One gateway process: started once, drained and stopped once."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self._drain_process = Child(["drain"], environ)
        self._open = contextlib.AsyncExitStack()
        self.ticker = Ticker(time.monotonic_ns)
        self.stores: Stores
        self.calls: Calls
        self._carrier: TwilioCarrier
        self._metering: Metering
        self._engine: MediaEngine
        self._server: OnePortServer

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._server.port

    async def start(self) -> None:
        """Open the stores, settle what an earlier run left, and listen.

        When it raises, nothing stays open.
        """
        async with contextlib.AsyncExitStack() as stack:
            await self._start(stack)
            self._open = stack.pop_all()

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        settings = self.settings
        deck = load_deck(settings)
        self._carrier = build_carrier(settings)
        stack.push_async_callback(self._carrier.close)
        self.stores = await open_stores(settings)
        stack.push_async_callback(self.stores.close)
        stack.push_async_callback(self._drain_process.stop)
        await recovery.settle_orphans(
            self.stores.gate,
            self.stores.records,
            settings.node,
            build_drainer(self.stores).drain_once,
        )
        self._metering = Metering(self.stores.gate, time.monotonic_ns)
        tokens = RedisCallTokens(self.stores.redis, ttl_s=settings.token_ttl_s)
        verifier = TwilioSignatureVerifier(settings.twilio_auth_token)
        self.calls = Calls(
            settings,
            gate=self.stores.gate,
            carrier=self._carrier,
            tokens=tokens,
            verifier=verifier,
            metering=self._metering,
            ticker=self.ticker,
        )
        self._engine = MediaEngine(
            self.calls.route,
            MediaLimits(
                connections_max=3 * settings.calls_max + 100,
                ping_interval_ns=_PING_NS,
                pong_timeout_ns=_PING_NS,
            ),
        )
        routes = [
            *self._calls_api(tokens, deck).routes(),
            *TwilioWebhooks(settings, self.calls, verifier, hangup_twiml()).routes(),
            *self._health().routes(),
            *pages.routes(STATIC_DIR),
        ]
        self._server = create_server(
            create_app(routes), engine=self._engine, host=settings.host, port=settings.port
        )
        await self._listen()

    def _calls_api(self, tokens: RedisCallTokens, deck: RateDeck) -> CallsApi:
        stores = self.stores
        return CallsApi(
            settings=self.settings,
            auth=Authenticator(stores.accounts, time.monotonic_ns),
            calls=self.calls,
            tokens=tokens,
            gate=stores.gate,
            ledger=stores.ledger,
            records=stores.records,
            deck=deck,
        )

    def _health(self) -> Health:
        async def ask_sql() -> None:
            async with self.stores.engine.connect() as connection:
                await connection.execute(sa.text("SELECT 1"))

        return Health(
            self.calls, self.ticker, {"redis": self.stores.redis.ping, "database": ask_sql}
        )

    async def _listen(self) -> None:
        await self._server.start()
        self.ticker.start()
        self._sweep()
        self._metering.start()
        await self._drain_process.start()
        _warm_up()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*gc.get_threshold()[:2], _GEN2_THRESHOLD)

    def _sweep(self) -> None:
        now_ns = self.ticker.clock_ns()
        self._engine.sweep(now_ns, SWEEP_PARTS)
        self.ticker.at(now_ns + 1, self._sweep)

    async def stop(self) -> None:
        """Drain the calls, then close everything in the order of dependence."""
        await self.calls.drain(self.settings.drain_timeout_s)
        self._engine.close_all(1001, "the gateway is stopping")
        await self._server.stop()
        await self._metering.stop()
        self.ticker.stop()
        await self._open.aclose()
