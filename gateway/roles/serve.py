"""Composes `caller serve`: all of a gateway in one process, with the drainer as its child.

The composition root: which parts a process has, in which order they start and stop. How each part
is made is the business of the modules beside this one.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from starlette.applications import Starlette

from gateway.calls.ended_buttons import EndedButtons
from gateway.charging import recovery
from gateway.charging.rounds import Metering
from gateway.embed.ports import Proofs
from gateway.heartbeat.periodic_task import PeriodicTask
from gateway.http.app import create_app
from gateway.ports import LiveCalls
from gateway.roles import adapters, http, periodic_tasks, storage
from gateway.roles.access import Access, compose_access
from gateway.roles.administration import admin_routes
from gateway.roles.carrier import CarrierSide, compose_carrier_side
from gateway.roles.children import Child
from gateway.roles.documents import post_documents
from gateway.roles.embed import compose_proofs
from gateway.roles.erasure import of_erasure, open_journal
from gateway.roles.fleet import Fleet, compose_fleet, of_calls, of_node
from gateway.roles.fraud import Fraud, compose_fraud
from gateway.roles.media import Media, compose_media, warm_up
from gateway.roles.membership import Membership, new_membership
from gateway.roles.payments import PaymentServices, compose_payments
from gateway.roles.people import People, compose_people
from gateway.roles.post import Post, open_post
from gateway.roles.prices import Prices, load_prices
from gateway.roles.site import site_routes
from gateway.roles.stopping import Stops
from gateway.settings import Settings
from gateway.sockets.one_port import OnePortServer, create_server
from gateway.sockets.tls import ServerTls
from gateway.stores.button_eras import RedisButtonEras
from gateway.twilio.rest import TwilioCarrier

DRAINER_SILENCE_S_MAX = 15.0
"""How long the drainer may show no sign of life before it is replaced."""

_GEN2_THRESHOLD = 1000
"""Full collections are made rare: one of them is a gap in every call's audio."""


class Node:
    """A gateway process: started once, drained and stopped once."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self._drainer = Child(["drain"], environ, silence_s_max=DRAINER_SILENCE_S_MAX)
        self._stops = Stops()
        self.stores: storage.Stores
        self.post: Post
        self.media: Media
        self.fleet: Fleet
        self._live: LiveCalls
        self.app: Starlette
        """The HTTP application."""
        self._server: OnePortServer

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._server.port

    async def start(self) -> None:
        """Open the stores, settle what an earlier run left, and listen.

        When it raises, nothing stays open.
        """
        try:
            await self._start(self._stops)
        except BaseException:
            await self._stops.run()
            raise

    async def _start(self, stops: Stops) -> None:
        settings = self.settings
        # Files and settings first: their errors must show before any store is touched.
        fallback = adapters.load_deck(settings)
        tls = _certificate(settings)
        carrier = adapters.build_carrier(settings)
        # Each part is registered as soon as it exists, in case a later one fails.
        stops.add("carrier", carrier.close)
        self.stores = stores = await storage.open_stores(settings, is_node=True)
        stops.add("stores", stores.close)
        self.post = post = open_post(settings, stores)
        stops.add("mails", post.mails.stop)
        # Started last, but stopped only after everything that writes to the outbox.
        stops.add("drainer", self._drainer.stop)
        prices = await load_prices(settings, stores.engine, fallback)
        membership = new_membership(settings, stores.redis)
        carrier_side = self._reach_carrier(stops, carrier, membership)
        post.events.start()
        stops.add("events", post.events.stop)
        metering = Metering(stores.gate, time.monotonic_ns)
        payments = self._take_payments(stops, metering) if settings.stripe_api_key else None
        access, fraud, people = await self._let_people_in(stops, metering)
        self.media = media = compose_media(
            *(settings, stores, carrier_side, access, metering),
            notify=post.notify,
            probe=membership.look_at_origin,
            turned_away=fraud.visitors.note,
        )
        await self._take_lease(stops, membership, carrier_side)
        fleet = self._join(stops, membership)
        alarms = periodic_tasks.new_alarms(settings, stores)
        kept = (settings, stores, access.velocity)
        proofs = compose_proofs(*kept, prices=prices, fraud=fraud, announcer=carrier)
        calls, refused = media.calls, media.calls.refused_signatures
        sweeps = periodic_tasks.new_sweeper(membership, carrier_side, calls.holds)
        ended = EndedButtons(RedisButtonEras(stores.redis), calls)
        routes = [
            *http.api_routes(
                *(settings, stores, access, prices, payments),
                fraud=fraud,
                live=self._live,
                choose_node=fleet.choose_node,
                # Read after `_take_payments` has set it.
                on_balance=metering.on_balance,
            ),
            *http.health_routes(
                *(stores, access, alarms),
                load=calls,
                ticker=media.ticker,
                instance=membership.instance,
            ),
            *(http.payment_routes(settings, payments, refused) if payments else ()),
            *http.carrier_routes(settings, carrier_side, calls, refused),
            *self._pages(access, people, prices, payments, proofs=proofs),
        ]
        self.app = create_app(routes, show_missing=people.pages.show_missing)
        tasks = [
            *periodic_tasks.of_port(tls),
            *periodic_tasks.of_fleet(fleet.roster),
            *(*periodic_tasks.of_payments(payments), *of_erasure(settings, stores, payments)),
            *periodic_tasks.of_node(membership, carrier_side, metering, sweeps, ended),
            *periodic_tasks.of_books(
                *(stores, carrier_side.settler.drain, alarms, sweeps.gate_filled, metering)
            ),
            *periodic_tasks.of_mails(settings, alarms),
            *periodic_tasks.of_quotes(prices, fraud),
            *periodic_tasks.of_people(people),
        ]
        await self._run(stops, tls, tasks)

    def _reach_carrier(
        self, stops: Stops, carrier: TwilioCarrier, membership: Membership
    ) -> CarrierSide:
        """Return what places calls, and ends those that it loses sight of."""
        side = compose_carrier_side(
            *(self.settings, self.stores, carrier, membership),
            owns=self._owns,
            notify=self.post.notify,
        )
        stops.add("ending of lost carrier calls", side.ghosts.stop)
        return side

    async def _take_lease(
        self, stops: Stops, membership: Membership, carrier_side: CarrierSide
    ) -> None:
        """Become the owner of the calls under this node id, and settle those of an earlier run.

        Accounts that were erased before, and came back, are closed.
        """
        # Before anything is settled: whoever holds the lease owns the calls.
        await membership.enter()
        # Returned only after the calls are settled, or other nodes would settle them.
        stops.add("lease", membership.leave)
        # Before the port opens: calls of an earlier run still hold credit.
        await recovery.settle_own(carrier_side.settler, self.settings.node)
        # And an older copy of the database, if one was put back, has people who were erased.
        await open_journal(self.settings, self.stores).apply()

    def _join(self, stops: Stops, membership: Membership) -> Fleet:
        """Let other processes ask about the calls here, and reach theirs."""
        calls = self.media.calls
        self.fleet = fleet = compose_fleet(
            *(self.settings, self.stores, membership),
            facts=of_node(self.settings, membership, calls, self.media.ticker),
            answer=of_calls(calls),
        )
        stops.add("questions of other processes", fleet.exchange.stop)
        self._live = fleet.calls(calls, self.settings, self.stores)
        return fleet

    def _take_payments(self, stops: Stops, metering: Metering) -> PaymentServices:
        """Open what takes payments; a change of credit reaches running calls at once."""
        payments = compose_payments(
            self.settings, self.stores, notify=self.post.notify, on_credit=metering.charge_now
        )
        stops.add("payment service", payments.service.close)
        stops.add("automatic top-ups", payments.auto.stop)
        # Called with each balance that the gate reports, so also during calls.
        metering.on_balance = payments.auto.consider
        return payments

    async def _let_people_in(
        self, stops: Stops, metering: Metering
    ) -> tuple[Access, Fraud, People]:
        """Return access control, the rules of people's calls, and where people are kept."""
        settings, stores = self.settings, self.stores
        people = compose_people(settings, stores, metering.charge_now)
        stops.add("password hasher", people.close)
        await post_documents(people.documents, settings, stores.engine)
        fraud = compose_fraud(settings, stores)
        stops.add("counts of refused calls", fraud.refusals.close)
        stops.add("counts of refused visitors", fraud.visitors.close)
        return compose_access(settings, stores, people.holders), fraud, people

    def _pages(
        self,
        access: Access,
        people: People,
        prices: Prices,
        payments: PaymentServices | None,
        *,
        proofs: Proofs,
    ) -> http.Routes:
        pages = site_routes(
            *(self.settings, self.stores, people, prices, payments),
            velocity=access.velocity,
            live=self._live,
            proofs=proofs,
        )
        return [*pages, *admin_routes(self.settings, self.stores, access.auth, people.sessions)]

    async def _run(
        self, stops: Stops, tls: ServerTls | None, periodic: Sequence[PeriodicTask]
    ) -> None:
        """Listen, beat, and begin the periodic work.

        It stops in another order: first the sockets, and the beat last, for closing them hangs on
        it.
        """
        media, settings = self.media, self.settings
        self._server = create_server(
            self.app, engine=media.engine, host=settings.host, port=settings.port, tls=tls
        )

        async def stop_periodic() -> None:
            await asyncio.gather(*(task.stop() for task in periodic))

        # Registered before they start: stopping an unstarted part is harmless, and a start that
        # fails half-way leaves nothing open.
        stops.add("UDP port", media.unbind)
        stops.add("ticker", media.stop_beating)
        stops.add("periodic work", stop_periodic)
        stops.add("metering", media.metering.stop)
        stops.add("server", self._server.stop)
        stops.add("media sockets", media.close_sockets)
        # UDP before TCP: the first WebRTC offer may come as soon as TCP is open.
        await media.bind()
        await self._server.start()
        media.start()
        self.fleet.exchange.start()
        await self._drainer.start()
        warm_up()
        _spare_the_collector()
        # Last, since they use everything above.
        for task in periodic:
            task.start()

    def _owns(self, call_id: str, carrier_call_id: str) -> bool:
        return self.media.calls.owns(call_id, carrier_call_id)

    async def stop(self, end_now: asyncio.Event | None = None) -> None:
        """Drain the calls, until `end_now` is set, then stop every part, the last opened first."""
        # While everything still runs: ending calls need sockets, carrier and metering.
        await self.media.calls.drain(
            self.settings.drain_timeout_s, end_now, notice_s=self.fleet.notice_s()
        )
        await self._stops.run()


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
