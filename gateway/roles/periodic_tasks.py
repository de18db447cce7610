"""Lists the periodic tasks of a process, by the kind of process that needs them.

This module only schedules: each piece of work belongs to the part that does it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from billing.ports import PARTITIONS
from billing.stores.refill import SqlPositions
from gateway.app import PeopleServices
from gateway.buttons import ended_buttons, visitor_refusals
from gateway.buttons.ended_buttons import EndedButtons
from gateway.calls import ghosts, refusal_counts
from gateway.charging import closings, node_watch, outbox_alarm, reconcile, rounds, sweeper
from gateway.charging.outbox_alarm import DrainerAlarm, OutboxAlarm
from gateway.charging.reconcile import Reconciler
from gateway.charging.recovery import Drain
from gateway.charging.rounds import Metering
from gateway.charging.sweeper import Sweeper
from gateway.fleet import roster
from gateway.heartbeat.periodic_task import PeriodicTask
from gateway.payments.build import PaymentServices
from gateway.payments.reconciler import PERIOD_S
from gateway.people import address_countries
from gateway.people.build import new_address_countries
from gateway.post import mail_alarm
from gateway.post.mail_alarm import MailAlarm
from gateway.roles import unnamed_proxy
from gateway.roles.carrier import CarrierSide
from gateway.roles.fleet import Fleet
from gateway.roles.fraud import Fraud
from gateway.roles.membership import Membership
from gateway.roles.prices import Prices
from gateway.roles.unnamed_proxy import UnnamedProxy
from gateway.settings import Settings
from gateway.sockets.tls import CERTIFICATE_INTERVAL_S, ServerTls
from gateway.stores.drain_mark import RedisDrainMark
from gateway.stores.mail_outbox import SqlMailOutbox
from gateway.stores.opened import Stores

RATES_INTERVAL_S = 15.0
"""How soon an activated rate deck, or a high-risk list, is in force on every node."""


@dataclass(frozen=True, slots=True)
class BookingAlarms:
    """Alarms along the way from the spend gate to the book, and from the book to people."""

    outbox: OutboxAlarm
    drainer: DrainerAlarm
    mails: MailAlarm


def new_alarms(settings: Settings, stores: Stores) -> BookingAlarms:
    """Return alarms in their initial state, not raised."""
    return BookingAlarms(
        OutboxAlarm(stores.gate, settings.outbox_alarm),
        DrainerAlarm(RedisDrainMark(stores.redis), time.monotonic),
        MailAlarm(SqlMailOutbox(stores.engine)),
    )


def of_port(tls: ServerTls | None) -> Sequence[PeriodicTask]:
    """Return the tasks of a process that listens; `tls` is its certificate."""
    if tls is None:
        return ()
    return (PeriodicTask("look for a new certificate", tls.refresh, CERTIFICATE_INTERVAL_S),)


def of_proxy(proxy: UnnamedProxy) -> Sequence[PeriodicTask]:
    """Return the task that checks whether there is an untrusted proxy in front."""
    return (PeriodicTask("look for a proxy", proxy.look, unnamed_proxy.INTERVAL_S),)


def of_people(services: PeopleServices) -> Sequence[PeriodicTask]:
    """Return the tasks of a process that lets people in."""
    countries = services.one(new_address_countries)
    if countries is None:
        return ()
    return (
        PeriodicTask(
            "look for new countries of addresses",
            countries.refresh,
            address_countries.INTERVAL_S,
        ),
    )


def of_quotes(prices: Prices, fraud: Fraud) -> Sequence[PeriodicTask]:
    """Return the tasks of a process that quotes calls."""
    return (
        # Polled, because a deck may become active by its date, with no one there to announce it.
        PeriodicTask("look for new rates", prices.rates.refresh, RATES_INTERVAL_S),
        PeriodicTask(
            "look for new closed lists", prices.closed_destinations.refresh, RATES_INTERVAL_S
        ),
        PeriodicTask("counts of refused calls", fraud.refusals.save, refusal_counts.INTERVAL_S),
        PeriodicTask(
            "counts of refused visitors", fraud.visitors.save, visitor_refusals.INTERVAL_S
        ),
    )


def of_fleet(fleet: Fleet) -> Sequence[PeriodicTask]:
    """Return the task that keeps all nodes in view."""
    return (PeriodicTask("view of all nodes", fleet.look, roster.INTERVAL_S),)


def new_sweeper(
    membership: Membership, carrier_side: CarrierSide, is_live_here: Callable[[str], bool]
) -> Sweeper:
    """Return the sweeper, which settles the calls of nodes that are gone."""
    return Sweeper(
        carrier_side.settler,
        membership.watch,
        # This node's own calls can be lost too, if the gate has them and it does not.
        is_live_here=is_live_here,
        clock_ns=time.monotonic_ns,
    )


def of_node(
    membership: Membership,
    carrier_side: CarrierSide,
    metering: Metering,
    sweeps: Sweeper,
    ended: EndedButtons,
) -> Sequence[PeriodicTask]:
    """Return the tasks of a process that holds calls."""
    closed = carrier_side.closings.round
    return (
        # A separate task, so that a slow sweep never delays the renewal.
        PeriodicTask("lease", membership.watch.renew, node_watch.RENEWAL_S),
        PeriodicTask("sweep for lost calls", sweeps.sweep, sweeper.INTERVAL_S),
        PeriodicTask("reminder of calls", metering.remind, rounds.REMINDER_S),
        PeriodicTask("ending of lost carrier calls", carrier_side.ghosts.round, ghosts.INTERVAL_S),
        PeriodicTask("check that ended calls are booked", closed, closings.INTERVAL_S),
        PeriodicTask("calls of ended buttons", ended.look, ended_buttons.INTERVAL_S),
    )


def of_no_node(carrier_side: CarrierSide) -> Sequence[PeriodicTask]:
    """Return the task of a process that answers the carrier and holds no calls."""
    note = carrier_side.ghosts.note
    return (PeriodicTask("noting of lost carrier calls", note, ghosts.INTERVAL_S),)


def of_books(
    stores: Stores,
    drain: Drain,
    alarms: BookingAlarms,
    on_filled: Callable[[], None] = lambda: None,
    metering: Metering | None = None,
) -> Sequence[PeriodicTask]:
    """Return the tasks that keep gate and book in line, and watch the way between them.

    `metering` charges the calls of this process, if it holds any.
    """
    comparison = Reconciler(
        stores.gate,
        stores.ledger,
        stores.records,
        SqlPositions(stores.engine),
        partitions=PARTITIONS,
        # Books what is in the outbox before a partition is filled from the book.
        drain=drain,
        on_filled=on_filled,
    )
    compared = PeriodicTask(
        "comparison of credit store and books", comparison.round, reconcile.INTERVAL_S
    )
    if metering is not None:
        # If calls wait for an emptied gate, do not wait for the next interval.
        metering.on_emptied = compared.run_now
    return (
        compared,
        PeriodicTask("watch on the outbox", alarms.outbox.look, outbox_alarm.INTERVAL_S),
        PeriodicTask("watch on the drainer", alarms.drainer.look, outbox_alarm.INTERVAL_S),
    )


def of_mails(settings: Settings, alarms: BookingAlarms) -> Sequence[PeriodicTask]:
    """Return the task that checks whether mails are sent; none without a mail server."""
    if not settings.smtp_url:
        return ()
    return (PeriodicTask("watch on the mails", alarms.mails.look, mail_alarm.INTERVAL_S),)


def of_payments(payments: PaymentServices | None) -> Sequence[PeriodicTask]:
    """Return the task that finds payments which no webhook reported."""
    if payments is None:
        return ()
    return (PeriodicTask("look for payments", payments.reconciler.reconcile, PERIOD_S),)
