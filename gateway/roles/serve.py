"""Composes `caller serve`: all of a gateway in one process, or one of its roles.

The composition root: which parts a process has, in which order they start and stop. How each part
is made is the business of the modules beside this one.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette

from gateway.app import PeopleServices, Work
from gateway.apps import APPS
from gateway.buttons.ended_buttons import EndedButtons
from gateway.buttons.era_store import RedisButtonEras
from gateway.call import number
from gateway.calls import carrier_news
from gateway.calls.carrier_news import Elsewhere
from gateway.calls.fleet import FleetLiveCalls
from gateway.calls.index import CallIndex
from gateway.calls.no_calls import NoCalls
from gateway.carriers.known import CARRIERS, chosen
from gateway.carriers.port import CarrierAdapter
from gateway.charging import recovery
from gateway.charging.rounds import Metering
from gateway.fleet.messages import CarrierNews, NotStartedAgain, Reply
from gateway.heartbeat.periodic_task import PeriodicTask
from gateway.http.access import DeclaredRoute
from gateway.http.app import ShowMissing, create_app
from gateway.logs.refused_signatures import RefusedSignatures
from gateway.payments.build import PaymentServices, card_payments
from gateway.people.build import new_documents, new_hasher, new_holders
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.roles import periodic_tasks, storage
from gateway.roles.access import AccessControl, compose_access
from gateway.roles.callbacks import carrier_routes
from gateway.roles.carrier import CarrierSide, compose_carrier_side, require_carrier
from gateway.roles.children import Child
from gateway.roles.documents import post_documents
from gateway.roles.fleet import Fleet, compose_fleet, new_log_level, of_node, of_process
from gateway.roles.fraud import Fraud, compose_fraud
from gateway.roles.health import health_routes
from gateway.roles.journal import of_journal, open_journal
from gateway.roles.membership import Membership, new_membership
from gateway.roles.port import Port, compose_port, new_beat, serve_no_media
from gateway.roles.post import Post, open_post
from gateway.roles.prices import Prices, load_deck, load_prices
from gateway.roles.stopping import Stops
from gateway.roles.telemetry import Telemetry, compose_telemetry
from gateway.roles.tracing import Tracing, compose_tracing
from gateway.roles.unnamed_proxy import UnnamedProxy
from gateway.settings import Settings
from gateway.sockets.one_port import Entrance, OnePortServer, create_server
from gateway.sockets.tls import ServerTls
from gateway.stores import private_files
from gateway.stores.erasure_journal import ErasureJournal
from gateway.stores.opened import Stores
from gateway.supervision.standing_grants import compose_grants
from gateway.watching.speaker import Speaker
from gateway.watching.watch_channel import RedisWatchChannel

if TYPE_CHECKING:
    from gateway.calls.live import Calls
    from gateway.roles.media import MediaSide

DRAINER_SILENCE_S_MAX = 15.0
"""How long the drainer may show no sign of life before it is replaced."""

_GEN2_THRESHOLD = 1000
"""Full collections are made rare: one of them is a gap in every call's audio."""


def _ignore_step(_step: str) -> None:
    """Do nothing: no parent waits for the start."""


class Role(StrEnum):
    """What a process of a gateway does."""

    ALL = "all"
    """All of it, with the worker as its child."""
    MEDIA = "media"
    """Hold calls: media sockets, WebRTC, the carrier's callbacks. A node without pages and API."""
    WEB = "web"
    """Pages, API and payment webhooks, and the choice of the node for a new call; no audio."""
    WORKER = "worker"
    """What may take its time, without a port: no `Gateway`, but `roles.drain` alone."""

    @property
    def holds_calls(self) -> bool:
        """Whether the process is a node."""
        return self in {Role.ALL, Role.MEDIA}

    @property
    def answers_people(self) -> bool:
        """Whether it has pages and API."""
        return self in {Role.ALL, Role.WEB}


class Gateway:
    """A gateway process: started once, drained and stopped once."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        role: Role = Role.ALL,
        entrance: Entrance | None = None,
        restart: Callable[[], Reply] = NotStartedAgain,
        *,
        carriers: Sequence[CarrierAdapter] = CARRIERS,
    ) -> None:
        """Compose a process for one of these carriers, the one that is set.

        `restart` answers a request to end and be started again.
        """
        self.settings = settings
        self._restart = restart
        self._carriers = carriers
        self._entrance = entrance or Entrance()
        self._environ = environ
        self.role = role
        self._drainer = Child(["drain"], environ, silence_s_max=DRAINER_SILENCE_S_MAX)
        self._stops = Stops()
        self.stores: Stores
        self.post: Post
        self._services: PeopleServices
        self.media: MediaSide | None = None
        """None where the process holds no calls."""
        self.fleet: Fleet
        self.app: Starlette
        """The HTTP application."""
        self._membership: Membership
        self._carrier_side: CarrierSide
        self._access: AccessControl
        self._fraud: Fraud
        self._payments: PaymentServices | None = None
        self._journal: ErasureJournal
        self._calls: Calls | NoCalls = NoCalls()
        """Those of this process."""
        self._live: FleetLiveCalls
        self._elsewhere: Elsewhere
        self._speaker: Speaker
        self._telemetry: Telemetry
        self._tracing: Tracing
        self._works: Mapping[str, Work] = {}
        """What apps do in a process with pages, by the app's name."""
        self._show_missing: ShowMissing | None = None
        """None in a process without pages."""
        self._count_viewers: Callable[[], int] = _count_nobody
        self._port: Port
        self._refused: RefusedSignatures
        self._server: OnePortServer
        self._on_step: Callable[[str], None] = _ignore_step

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._server.port

    async def start(self, on_step: Callable[[str], None] = _ignore_step) -> None:
        """Open the stores, settle what an earlier run left, and listen.

        `on_step` is told what begins. When it raises, nothing stays open.
        """
        self._on_step = on_step
        try:
            await self._start(self._stops)
        except BaseException:
            await self._stops.run()
            raise

    async def _start(self, stops: Stops) -> None:
        settings, role = self.settings, self.role
        self._on_step("settings and files")
        # Files and settings first: their errors must show before any store is touched.
        fallback = load_deck(settings)
        tls = _certificate(settings)
        # Also where no store is in it: who is erased is written down there.
        private_files.restrict_folder(settings.data_dir)
        instance = settings.node if role.holds_calls else role
        self._tracing = tracing = compose_tracing(settings, self._environ, instance)
        require_carrier(settings, self._carriers)
        adapter = chosen(settings, self._carriers)
        carrier = adapter.client(settings)
        # Each part is registered as soon as it exists, in case a later one fails.
        stops.add("carrier", carrier.close)
        # Stopped after all that a span may be about.
        stops.add("traces", tracing.stop)
        tracing.start()
        self._on_step("stores")
        self.stores = stores = await storage.open_stores(settings, is_node=True)
        stops.add("stores", stores.close)
        self.post = post = open_post(settings, stores)
        stops.add("mails", post.mails.stop)
        # Started last, but stopped only after everything that writes to the outbox.
        stops.add("drainer", self._drainer.stop)
        self._on_step("rates")
        prices = await load_prices(settings, stores.engine, fallback)
        self._membership = membership = new_membership(
            settings, stores.redis, settings.node if role.holds_calls else ""
        )
        self._carrier_side = side = compose_carrier_side(
            settings, stores, adapter, carrier, membership, owns=self._owns, notify=post.notify
        )
        stops.add("ending of lost carrier calls", side.ghosts.stop)
        stops.add("events", post.events.stop)
        self._services = PeopleServices(
            settings=settings,
            stores=stores,
            notify=post.notify,
            on_credit=self._charge_now,
            taking_back=TAKING_BACK,
        )
        self._take_payments(stops)
        self._on_step("documents and passwords")
        await self._let_people_in(stops)
        if role.holds_calls:
            await self._hold_calls(stops)
        else:
            self._port = compose_port(settings, new_beat(), serve_no_media)
            self._refused = RefusedSignatures(self._port.ticker)
        self._on_step("accounts that were erased")
        self._journal = journal = open_journal(settings, stores)
        # Before the port opens: an older copy of the database, if one was put back, has people who
        # were erased.
        await journal.apply()
        self._join(stops)
        alarms = periodic_tasks.new_alarms(settings, stores)
        routing = self._access.admin_routes
        people = self._routes_of_people(prices) if role.answers_people else ()
        self._telemetry = telemetry = compose_telemetry(
            self._port,
            self._calls,
            alarms,
            self._access.velocity.refusals,
            calls_max=settings.calls_max if role.holds_calls else 0,
            viewers=self._count_viewers,
            spans=tracing.counts,
        )
        stops.add("figures of calls", telemetry.stop)
        routes = [
            *telemetry.routes(routing, settings.node if role.holds_calls else ""),
            *health_routes(
                stores,
                alarms,
                load=self._calls,
                ticker=self._port.ticker,
                routing=routing,
                instance=membership.instance,
                has_node=None if role.holds_calls else self._has_node,
            ),
            *self._routes_of_carrier(),
            *people,
        ]
        self.app = create_app(
            routes,
            show_missing=self._show_missing,
            meter=telemetry.requests,
            tracer=tracing.tracer,
        )
        await self._run(stops, tls, self._tasks(tls, alarms, prices))

    def _tasks(
        self, tls: ServerTls | None, alarms: periodic_tasks.BookingAlarms, prices: Prices
    ) -> Sequence[PeriodicTask]:
        settings = self.settings
        proxy = UnnamedProxy(settings, self.stores.redis, self._port.engine.peer)
        tasks = [
            *periodic_tasks.of_port(tls),
            *periodic_tasks.of_proxy(proxy),
            *periodic_tasks.of_fleet(self.fleet),
            *self._tasks_of_books(alarms),
            *periodic_tasks.of_mails(settings, alarms),
            *of_journal(self._journal),
        ]
        if self.role.answers_people:
            from gateway.roles.erasure import of_erasure  # noqa: PLC0415

            tasks += [
                *periodic_tasks.of_payments(self._payments),
                *of_erasure(settings, self.stores, self._payments, self._journal),
                *periodic_tasks.of_quotes(prices, self._fraud),
                *periodic_tasks.of_people(self._services),
            ]
        return tasks

    def _take_payments(self, stops: Stops) -> None:
        """Open what takes payments, if anything does."""
        self._payments = payments = self._services.one(card_payments)
        if payments is None:
            return
        stops.add("payment service", payments.service.close)
        stops.add("automatic top-ups", payments.auto.stop)

    async def _let_people_in(self, stops: Stops) -> None:
        """Compose access control, the rules of people's calls, and where people are kept."""
        settings, stores, services = self.settings, self.stores, self._services
        if self.role.answers_people:
            hasher = services.one(new_hasher)
            stops.add("password hasher", hasher.close)
            await hasher.start()
        await post_documents(services.one(new_documents), settings, stores.engine)
        self._fraud = fraud = compose_fraud(settings, stores)
        stops.add("counts of refused calls", fraud.refusals.close)
        stops.add("counts of refused visitors", fraud.visitors.close)
        self._access = self._tracing.follow(
            compose_access(settings, stores, services.one(new_holders))
        )

    async def _hold_calls(self, stops: Stops) -> None:
        """Become a node: own the calls under its id, and settle those of an earlier run."""
        # Imported here: what only audio needs is 20 MB, and a process of pages has none.
        from gateway.roles.media import compose_media  # noqa: PLC0415

        settings, stores, side = self.settings, self.stores, self._carrier_side
        metering = Metering(stores.gate, time.monotonic_ns)
        if self._payments is not None:
            # Called with each balance that the gate reports, so also during calls.
            metering.on_balance = self._payments.auto.consider
        self.media = media = compose_media(
            settings,
            stores,
            side,
            self._access,
            metering,
            notify=self.post.notify,
            probe=self._membership.look_at_origin,
            grants=compose_grants(stores, self._services.one(new_holders)),
            visitor_refused=self._fraud.visitors.note,
        )
        self._calls, self._port = media.calls, media.port
        self._refused = media.calls.refused_signatures
        self._on_step("lease of the node")
        # Before anything is settled: whoever holds the lease owns the calls.
        await self._membership.enter()
        # Returned only after the calls are settled, or other nodes would settle them.
        stops.add("lease", self._membership.leave)
        self._on_step("calls of an earlier run")
        # Before the port opens: calls of an earlier run still hold credit.
        await recovery.settle_own(side.settler, settings.node)

    def _join(self, stops: Stops) -> None:
        """Let other processes ask about the calls here, and reach theirs."""
        settings, media = self.settings, self.media
        shared, node = (settings, self.stores, self._membership), ""
        if media is None:
            self.fleet = fleet = compose_fleet(*shared, takes=self._entrance.takes)
        else:
            node, logged = settings.node, new_log_level(settings)
            self.fleet = fleet = compose_fleet(
                *shared,
                takes=self._entrance.takes,
                facts=of_node(settings, self._membership, media.calls, media.port.ticker, logged),
                answer=of_process(
                    media.calls,
                    media.metering.charge_now,
                    logged,
                    take=self._take_news,
                    restart=self._restart,
                ),
            )
        stops.add("questions of other processes", fleet.exchange.stop)
        found = self._carrier_side.ghosts.found
        self._elsewhere = elsewhere = Elsewhere(fleet.control.ask, found)
        stops.add("the carrier's news for other nodes", elsewhere.stop)
        self._live = fleet.calls(self._calls, node, self.stores)
        channel = RedisWatchChannel(self.stores.redis)
        self._speaker = Speaker(
            node or self.role, channel, tuple if media is None else media.reporter.batches
        )
        stops.add("what is said of live calls", self._speaker.stop)

    def _routes_of_carrier(self) -> Sequence[DeclaredRoute]:
        """Return what the carrier asks; also without a node, for those that are gone."""
        calls = None if self.media is None else self.media.calls
        side, refused = self._carrier_side, self._refused
        return carrier_routes(self.settings, side, calls, refused, self._elsewhere)

    def _take_news(self, news: CarrierNews) -> None:
        if self.media is not None:
            carrier_news.take(self.media.calls, news)
        if news.is_running:
            self._carrier_side.ghosts.found(news.carrier_call_id, news.call_id)

    def _routes_of_people(self, prices: Prices) -> Sequence[DeclaredRoute]:
        # Imported here, as is what only audio needs: a process of calls has no pages and no API.
        from gateway.roles import http  # noqa: PLC0415
        from gateway.roles.pages import new_door  # noqa: PLC0415
        from gateway.roles.site import site_routes  # noqa: PLC0415
        from gateway.watching.build import watching  # noqa: PLC0415

        stores, payments = self.stores, self._payments
        access, fraud = self._access, self._fraud
        index = CallIndex(self._live.node, self._live, stores.records, stores.gate)
        services = http.compose_services(
            self._services,
            access,
            prices,
            fraud,
            index=index,
            choose_node=self.fleet.choose_node,
            on_balance=_tell_nobody if payments is None else payments.auto.consider,
            announcer=self._carrier_side.carrier,
            refused_signatures=self._refused,
            fleet=self.fleet.control,
            instance=self._membership.instance,
            ticker=self._port.ticker,
            answer_fields=self._port.engine.answer_fields,
        )
        door = new_door(services, access.velocity)
        self._show_missing = door.show_missing
        self._count_viewers = lambda: services.one(watching).viewers
        self._works = {app.name: app.web_work(services) for app in APPS if app.web_work is not None}
        return [
            *http.api_routes(services),
            *site_routes(services, door),
        ]

    def _tasks_of_books(self, alarms: periodic_tasks.BookingAlarms) -> Sequence[PeriodicTask]:
        media, side, membership = self.media, self._carrier_side, self._membership
        drain = side.settler.drain
        if media is None:
            return [
                *periodic_tasks.of_no_node(side),
                *periodic_tasks.of_books(self.stores, drain, alarms),
            ]
        sweeps = periodic_tasks.new_sweeper(membership, side, media.calls.holds)
        ended = EndedButtons(RedisButtonEras(self.stores.redis), media.calls)
        return [
            *periodic_tasks.of_node(membership, side, media.metering, sweeps, ended),
            *periodic_tasks.of_books(
                self.stores, drain, alarms, sweeps.gate_filled, media.metering
            ),
        ]

    async def _run(
        self, stops: Stops, tls: ServerTls | None, periodic: Sequence[PeriodicTask]
    ) -> None:
        """Listen, beat, and begin the periodic work.

        It stops in another order: first the sockets, and the beat last, for closing them hangs on
        it.
        """
        media, port, settings = self.media, self._port, self.settings
        self._server = create_server(
            self.app,
            engine=port.engine,
            host=settings.host,
            port=settings.port,
            tls=tls,
            hsts=settings.origin.startswith("https:"),
            entrance=self._entrance,
        )

        async def stop_periodic() -> None:
            await asyncio.gather(*(task.stop() for task in periodic))

        # Registered before they start: stopping an unstarted part is harmless, and a start that
        # fails half-way leaves nothing open.
        if media is not None:
            stops.add("UDP port", media.unbind)
        stops.add("ticker", port.stop_beating)
        stops.add("periodic work", stop_periodic)
        if media is not None:
            stops.add("metering", media.metering.stop)
        for name, work in self._works.items():
            # Once the server is closed: a viewer who came back to a feed that has stopped would
            # hear nothing.
            stops.add(name, work.stop)
        stops.add("server", self._server.stop)
        stops.add("media sockets", port.close_sockets)
        self._on_step("numbering plans and tones")
        # Before anybody can come, because the loop does nothing else meanwhile.
        number.load_numbering_plans()
        if media is not None:
            media.warm_up()
        _spare_the_collector()
        if media is not None:
            # UDP before TCP: the first WebRTC offer may come as soon as TCP is open.
            await media.bind()
        self._on_step("port")
        await self._server.start()
        if media is not None:
            media.start()
        else:
            port.start()
        self.fleet.exchange.start()
        self._speaker.start(port.ticker)
        self._telemetry.start()
        for work in self._works.values():
            work.start()
        if self.role is Role.ALL:
            await self._drainer.start()
        # Last, since they use everything above.
        for task in periodic:
            task.start()

    def _has_node(self) -> bool:
        return self.fleet.has_node

    def _owns(self, call_id: str, carrier_call_id: str) -> bool:
        return self.media is not None and self.media.calls.owns(call_id, carrier_call_id)

    async def _charge_now(self, account_id: str) -> None:
        """Charge an account's calls now, on this node and on others."""
        if self.media is not None:
            await self.media.metering.charge_now(account_id)
        await self._live.charge_elsewhere(account_id)

    async def stop(self, end_now: asyncio.Event | None = None) -> None:
        """Drain the calls, until `end_now` is set, then stop every part, the last opened first."""
        # While everything still runs: ending calls need sockets, carrier and metering.
        await self._calls.drain(
            self.settings.drain_timeout_s, end_now, notice_s=self.fleet.notice_s()
        )
        await self._stops.run()


def _count_nobody() -> int:
    return 0


def _tell_nobody(_account_id: str, _micros: int) -> None:
    pass


def _certificate(settings: Settings) -> ServerTls | None:
    """Return the TLS that is set, if any. Raises SettingsError."""
    if not settings.tls_certificate:
        return None
    return ServerTls(Path(settings.tls_certificate), Path(settings.tls_key))


def _spare_the_collector() -> None:
    """Keep what was made at start out of every later collection, and full ones rare."""
    gc.collect()
    gc.freeze()
    # Not switched off, because reference cycles must be freed eventually.
    gc.set_threshold(*gc.get_threshold()[:2], _GEN2_THRESHOLD)
