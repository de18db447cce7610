"""One gateway process, put together: started once, drained and stopped once.

With `build` the composition root: nothing else picks adapters.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from starlette.applications import Starlette

from billing.errors import StoreUnavailableError
from billing.partition import PARTITIONS
from billing.stores.payments import SqlPaymentStore
from billing.stores.positions import SqlPositions
from billing.stores.rate_decks import SqlRateDeckStore
from billing.stores.statement import SqlStatementStore
from gateway.call import number
from gateway.calls import ghosts
from gateway.calls.closed_book import ClosedBook
from gateway.calls.ghosts import Ghosts
from gateway.calls.live import Calls
from gateway.charging import (
    closings,
    node_watch,
    outbox_alarm,
    reconcile,
    recovery,
    rounds,
    sweeper,
)
from gateway.charging.closings import Closings
from gateway.charging.node_watch import NodeWatch
from gateway.charging.outbox_alarm import DrainerAlarm, OutboxAlarm
from gateway.charging.rate_book import RateBook
from gateway.charging.reconcile import Reconciler
from gateway.charging.recovery import Settler
from gateway.charging.rounds import Metering
from gateway.charging.sweeper import Sweeper
from gateway.heartbeat.interval import LoopInterval
from gateway.heartbeat.moderation import Moderation
from gateway.heartbeat.periodic_task import Duty
from gateway.heartbeat.ticker import BEATS_PER_SECOND, Ticker
from gateway.http import pages
from gateway.http.access import DeclaredRoute
from gateway.http.api.calls import CallsApi
from gateway.http.api.keys import KeysApi
from gateway.http.api.ledger import LedgerApi
from gateway.http.api.payments import CardPayments, PaymentsApi, StripeWebhook
from gateway.http.api.rates import RatesApi
from gateway.http.app import create_app
from gateway.http.bearer import Authenticator
from gateway.http.health import Health
from gateway.http.hooks.twilio import TwilioWebhooks
from gateway.payments.reconciler import PERIOD_S
from gateway.post.mail import Mails
from gateway.post.webhooks import Notices
from gateway.roles import adapters, descriptors, public_origin
from gateway.roles.addresses import webrtc_addresses
from gateway.roles.children import Child
from gateway.settings import Settings
from gateway.sockets.engine import MediaEngine
from gateway.sockets.one_port import OnePortServer, create_server
from gateway.sockets.tls import CERTIFICATE_INTERVAL_S, ServerTls
from gateway.stores.drain_mark import RedisDrainMark
from gateway.stores.ghosts import RedisGhostStore
from gateway.stores.high_risk import SqlHighRiskLists
from gateway.stores.leases import RedisNodeLeases
from gateway.stores.tokens import RedisCallTokens
from gateway.stores.velocity import RedisVelocity
from gateway.twilio.markup import hangup_twiml
from gateway.twilio.rest import QUEUE_S_MAX, TwilioCarrier
from gateway.twilio.signature import TwilioSignatureVerifier
from gateway.webrtc.endpoint import EndpointLimits, WebRtcEndpoint
from media import tones

log = logging.getLogger(__name__)

STATIC_DIR = Path(str(resources.files("gateway.http"))) / "static"
SWEEP_PARTS = 50
"""Sweeps in which every socket is looked at once: at one each beat, a second."""

RATES_INTERVAL_S = 15.0
"""How soon a rate deck that is activated, or a high-risk list, holds on every node."""

DRAINER_SILENCE_S_MAX = 15.0
"""How long the drainer may show no sign of life before it is replaced."""

_MEDIA_BEATS = 5
"""Beats between two looks at what all media have in common: a tenth of a second."""

_GEN2_THRESHOLD = 1000
"""Full collections are made rare: one of them is a gap in every call's audio."""

_STOP_S_MAX = 20.0
"""How long one part of the node may take to stop: longer than any of its own time-outs."""


async def _within(name: str, stop: Callable[[], Awaitable[object]]) -> None:
    """Stop one part; one that hangs is left behind, for the others must still be stopped."""
    task = asyncio.ensure_future(stop())
    await asyncio.wait({task}, timeout=_STOP_S_MAX)
    if not task.done():
        task.cancel()
        log.error("The %s did not stop: %s.", name, task.get_stack(limit=1))
    elif error := task.exception():
        log.error("The %s stopped with an error.", name, exc_info=error)


async def _bind_udp(endpoint: WebRtcEndpoint) -> None:
    try:
        await endpoint.start()
    except OSError as error:
        text = f"UDP port {endpoint.port}: {error.strerror}"
        raise OSError(error.errno, text) from None


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _warm_up() -> None:
    """Make the tables that are otherwise made at first use, so that no audio waits for it."""
    tones.hold()
    tones.connecting()
    for country in ("", "US", "GB"):
        for tone in (tones.ringback, tones.busy, tones.congestion):
            tone(country)
    number.load_numbering_plans()


class Node:
    """A gateway process with everything that belongs to it."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self._drain_process = Child(["drain"], environ, silence_s_max=DRAINER_SILENCE_S_MAX)
        self._open = contextlib.AsyncExitStack()
        self._notices = Notices(settings.events_url, settings.events_secret)
        self._mails: Mails
        self._duties: list[Duty] = []
        self._moderation = Moderation(LoopInterval())
        self.ticker = Ticker(time.monotonic_ns, self._moderation.read)
        self._instance = secrets.token_hex(8)
        """Tells this process from any other, also one of the same id."""
        self.stores: adapters.Stores
        self.calls: Calls
        self._cards: adapters.CardDesk | None = None
        self._carrier: TwilioCarrier
        self._ghosts: Ghosts
        self._watch_on_nodes: NodeWatch
        self._metering: Metering
        self._closings: Closings
        self._rates: RateBook
        self._closed_book: ClosedBook
        self._velocity: RedisVelocity
        self._alarm: OutboxAlarm
        self._drainer_alarm: DrainerAlarm
        self._engine: MediaEngine
        self._webrtc: WebRtcEndpoint | None = None
        self._server: OnePortServer
        self.app: Starlette
        """What answers HTTP requests."""

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
        fallback = adapters.load_deck(settings)
        tls = self._read_certificate()
        self._carrier = adapters.build_carrier(settings)
        stack.push_async_callback(_within, "carrier", self._carrier.close)
        self.stores = await adapters.open_stores(settings, is_node=True)
        stack.push_async_callback(_within, "stores", self.stores.close)
        self._mails = adapters.open_mails(settings, self.stores)
        stack.push_async_callback(_within, "mails", self._mails.stop)
        stack.push_async_callback(_within, "drainer", self._drain_process.stop)
        decks = SqlRateDeckStore(self.stores.engine)
        self._rates = RateBook(decks, fallback=fallback, clock=_utc_now)
        await self._rates.load()
        lists = SqlHighRiskLists(self.stores.engine)
        self._closed_book = ClosedBook(lists, settings.open_high_risk)
        await self._closed_book.load()
        self._make_ghosts()
        stack.push_async_callback(_within, "ending of lost carrier calls", self._ghosts.stop)
        self._closings = Closings(self.stores.gate, self.stores.records)
        settler = self._settler()
        await recovery.settle_own(settler, settings.node)
        self._notices.start()
        stack.push_async_callback(_within, "notices", self._notices.stop)
        self._metering = Metering(self.stores.gate, time.monotonic_ns)
        if settings.stripe_api_key:
            await self._take_cards(stack)
        self._velocity = adapters.build_velocity(settings, self.stores, time.monotonic_ns)
        stores = self.stores
        auth = Authenticator(
            stores.accounts, stores.key_epochs, self._velocity, time.monotonic_ns, _utc_now
        )
        tokens = RedisCallTokens(
            self.stores.redis, ttl_s=settings.token_ttl_s, still_allows=auth.still_allows
        )
        verifier = TwilioSignatureVerifier(
            settings.twilio_auth_token.reveal(),
            [key.reveal() for key in settings.twilio_webhook_keys],
        )
        self._make_calls(tokens, verifier)
        self._engine = MediaEngine(
            self.calls.route,
            descriptors.media_limits(settings.calls_max),
            trusted_proxies=settings.trusted_proxies,
        )
        await self._watch(settler, stack)
        webhooks = TwilioWebhooks(
            settings, self.calls, verifier, hangup_twiml(), self._ghosts.found
        )
        routes = [*self._api_routes(auth, tokens), *webhooks.routes(), *pages.routes(STATIC_DIR)]
        self.app = create_app(routes)
        self._server = create_server(
            self.app,
            engine=self._engine,
            host=settings.host,
            port=settings.port,
            tls=tls,
        )
        await self._listen(stack)

    def _make_calls(self, tokens: RedisCallTokens, verifier: TwilioSignatureVerifier) -> None:
        settings = self.settings
        if settings.webrtc == "on":
            self._webrtc = self._make_endpoint()
        self.calls = Calls(
            settings,
            gate=self.stores.gate,
            carrier=self._carrier,
            tokens=tokens,
            velocity=self._velocity,
            verifier=verifier,
            metering=self._metering,
            ticker=self.ticker,
            stray=self._ghosts.found,
            keep=self._closings.keep,
            notify=self._notify,
            endpoint=self._webrtc,
            probe=self._look_at_origin,
        )

    async def _look_at_origin(self) -> str:
        """Return what is wrong with the public origin, as far as it shows from here."""
        found = await public_origin.ask(self.settings.origin)
        if found.instance and found.instance != self._instance:
            with contextlib.suppress(StoreUnavailableError):
                if found.instance not in await self._leases.instances():
                    return public_origin.other_gateway(self.settings.origin)
        return found.fault

    def _make_ghosts(self) -> None:
        settings, redis = self.settings, self.stores.redis
        ttl_s = node_watch.lease_s(settings.prepaid_horizon_s, settings.grace_s)
        self._leases = RedisNodeLeases(redis, ttl_s=ttl_s, instance=self._instance)
        self._watch_on_nodes = NodeWatch(self._leases, settings.node, time.monotonic_ns)
        self._ghosts = Ghosts(
            RedisGhostStore(redis),
            self._watch_on_nodes,
            self._carrier,
            owns=self._owns,
            open_calls=self.stores.gate.open_calls,
            lifetime_s=QUEUE_S_MAX + settings.ring_timeout_s + settings.call_duration_max_s,
            wall_clock_s=time.time,
        )

    def _owns(self, call_id: str, carrier_call_id: str) -> bool:
        return self.calls.owns(call_id, carrier_call_id)

    def _make_endpoint(self) -> WebRtcEndpoint:
        settings = self.settings
        addresses, port = webrtc_addresses(settings)
        return WebRtcEndpoint(
            addresses=addresses,
            port=port,
            host=settings.host,
            ptime_ms=int(settings.ptime_ms),
            limits=EndpointLimits(sessions_max=2 * settings.calls_max),
            clock_ns=time.monotonic_ns,
        )

    def _read_certificate(self) -> ServerTls | None:
        """Return the TLS that is set, if any. Raises SettingsError."""
        settings = self.settings
        if not settings.tls_certificate:
            return None
        tls = ServerTls(Path(settings.tls_certificate), Path(settings.tls_key))
        self._duties.append(Duty("look for a new certificate", tls.refresh, CERTIFICATE_INTERVAL_S))
        return tls

    def _notify(self, name: str, data: Mapping[str, Any]) -> None:
        """Tell the operator's program and the account holder of an event."""
        self._notices.notify(name, data)
        self._mails.notify(name, data)

    def _settler(self) -> Settler:
        stores, settings = self.stores, self.settings
        return Settler(
            gate=stores.gate,
            records=stores.records,
            carrier=self._carrier,
            drain=adapters.build_drainer(stores, settings, self._notify).drain_once,
            stray=self._ghosts.found,
            kept=self._closings.find,
        )

    async def _take_cards(self, stack: contextlib.AsyncExitStack) -> None:
        """Open what takes payments; a change of credit reaches running calls at once."""
        cards = adapters.build_card_desk(
            self.settings,
            self.stores,
            notify=self._notify,
            on_credit=self._metering.hurry,
        )
        stack.push_async_callback(_within, "payment service", cards.service.close)
        stack.push_async_callback(_within, "automatic top-ups", cards.auto.stop)
        self._metering.on_balance = cards.auto.consider
        self._duties.append(Duty("look for payments", cards.reconciler.reconcile, PERIOD_S))
        self._cards = cards

    async def _watch(self, settler: Settler, stack: contextlib.AsyncExitStack) -> None:
        """Take this node's lease, and prepare what it does beside its calls."""
        stores, settings = self.stores, self.settings
        await self._watch_on_nodes.renew()
        sweeps = Sweeper(
            settler,
            self._watch_on_nodes,
            is_live_here=lambda call_id: self.calls.find(call_id) is not None,
            clock_ns=time.monotonic_ns,
        )
        comparison = Reconciler(
            stores.gate,
            stores.ledger,
            stores.records,
            SqlPositions(stores.engine),
            partitions=PARTITIONS,
            drain=settler.drain,
            on_filled=sweeps.gate_filled,
        )
        self._alarm = OutboxAlarm(stores.gate, settings.outbox_alarm)
        self._drainer_alarm = DrainerAlarm(RedisDrainMark(stores.redis), time.monotonic)
        self._duties += [
            Duty("lease", self._watch_on_nodes.renew, node_watch.RENEWAL_S),
            Duty("sweep for lost calls", sweeps.sweep, sweeper.INTERVAL_S),
            Duty("reminder of calls", self._metering.remind, rounds.REMINDER_S),
            Duty("ending of lost carrier calls", self._ghosts.round, ghosts.INTERVAL_S),
            Duty("comparison of credit store and books", comparison.round, reconcile.INTERVAL_S),
            Duty("check that ended calls are booked", self._closings.round, closings.INTERVAL_S),
            Duty("watch on the outbox", self._alarm.look, outbox_alarm.INTERVAL_S),
            Duty("watch on the drainer", self._drainer_alarm.look, outbox_alarm.INTERVAL_S),
            Duty("look for new rates", self._rates.refresh, RATES_INTERVAL_S),
            Duty("look for new closed lists", self._closed_book.refresh, RATES_INTERVAL_S),
        ]
        stack.push_async_callback(_within, "lease", self._forget_lease)

    async def _forget_lease(self) -> None:
        with contextlib.suppress(StoreUnavailableError):
            await self._watch_on_nodes.forget(self.settings.node)

    def _api_routes(self, auth: Authenticator, tokens: RedisCallTokens) -> list[DeclaredRoute]:
        stores, settings, cards = self.stores, self.settings, self._cards
        calls = CallsApi(
            settings=settings,
            auth=auth,
            calls=self.calls,
            tokens=tokens,
            velocity=self._velocity,
            gate=stores.gate,
            ledger=stores.ledger,
            records=stores.records,
            deck=self._rates,
            closed_book=self._closed_book,
            on_balance=self._metering.on_balance,
        )
        rates = RatesApi(
            settings, auth, self._velocity, stores.gate, self._rates, self._closed_book
        )
        payments = PaymentsApi(
            settings,
            auth,
            self._velocity,
            SqlPaymentStore(stores.engine),
            None if cards is None else CardPayments(cards.payments, cards.auto),
        )
        routes: list[DeclaredRoute] = [
            *calls.routes(),
            *payments.routes(),
            *rates.routes(),
            *KeysApi(auth).routes(),
            *LedgerApi(auth, SqlStatementStore(stores.engine)).routes(),
            *self._health().routes(),
        ]
        if cards is not None:
            webhook = StripeWebhook(
                settings.stripe_webhook_secrets,
                cards.payments.settle,
                time.time,
                self.calls.refused_signatures,
            )
            routes += webhook.routes()
        return routes

    def _health(self) -> Health:
        async def ask_sql() -> None:
            async with self.stores.engine.connect() as connection:
                await connection.execute(sa.text("SELECT 1"))

        return Health(
            self.calls,
            self.ticker,
            checks={"redis": self.stores.redis.ping},
            weaknesses={"database": ask_sql},
            alarms={
                "outbox": lambda: self._alarm.is_raised,
                "drainer": lambda: self._drainer_alarm.is_raised,
            },
            figures={"drained_age_s": lambda: self._drainer_alarm.age_s},
            refusals=self._velocity.refusals,
            instance=self._instance,
        )

    async def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        if self._webrtc is not None:
            await _bind_udp(self._webrtc)
            stack.callback(self._webrtc.stop)
        await self._server.start()
        self.ticker.start()
        self._watch_media(stack)
        self._metering.start()
        await self._drain_process.start()
        _warm_up()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*gc.get_threshold()[:2], _GEN2_THRESHOLD)
        for duty in self._duties:
            duty.start()

    def _watch_media(self, stack: contextlib.AsyncExitStack) -> None:
        self._sweep_sockets()
        stack.callback(self._moderation.stop)
        ports = self._webrtc.ports if self._webrtc else ()
        self._moderation.add(self._engine.reader, *ports)
        for slot in range(0, BEATS_PER_SECOND, _MEDIA_BEATS):
            self.ticker.add_duty(slot, self._moderation.judge)
            if self._webrtc is not None:
                self.ticker.add_duty(slot, self._tick_webrtc)

    def _tick_webrtc(self, now_ns: int) -> None:
        if self._webrtc is not None:
            self._webrtc.tick(now_ns, self.ticker.read_ns)

    def _sweep_sockets(self) -> None:
        self._engine.sweep(self.ticker.read_ns, SWEEP_PARTS)
        self.ticker.at(self.ticker.clock_ns() + 1, self._sweep_sockets)

    async def stop(self) -> None:
        """Drain the calls, then close everything in the order of dependence."""
        await self.calls.drain(self.settings.drain_timeout_s)
        self._engine.close_all(1001, "the gateway is stopping")
        await _within("server", self._server.stop)
        await _within("metering", self._metering.stop)
        await asyncio.gather(*(duty.stop() for duty in self._duties))
        self.ticker.stop()
        await self._open.aclose()
