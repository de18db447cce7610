"""Composes the probes of a process, whatever else it serves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from database import refusals
from gateway.heartbeat.ticker import Ticker
from gateway.http.access import DeclaredRoute
from gateway.http.admin_routes import AdminRoutes
from gateway.http.health import HealthProbes
from gateway.ports import NodeLoad
from gateway.roles.periodic_tasks import BookingAlarms
from gateway.stores.opened import Stores
from gateway.stores.watched_rights import StoreRights


def health_routes(
    stores: Stores,
    alarms: BookingAlarms,
    *,
    load: NodeLoad,
    ticker: Ticker,
    routing: AdminRoutes,
    instance: str,
    has_node: Callable[[], bool] | None,
) -> Sequence[DeclaredRoute]:
    """Return the probes' routes, whose details are for whom `routing` lets in.

    `has_node` says whether a node of others takes calls.
    """
    # Its pages go on without one: a balancer must not take them away.
    nodes = {} if has_node is None else {"nodes": lambda: not has_node()}

    async def ask_redis() -> None:
        try:
            await stores.redis.ping()
        except Exception as error:
            # Distinguishes a full disk, which the probe names, from an unreachable server.
            raise refusals.unavailable("Redis does not answer", error) from error

    async def ask_sql() -> None:
        async with stores.engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))

    return HealthProbes(
        load,
        ticker,
        routing.admit,
        # Without Redis no hold can be placed, so no call can start.
        checks={"redis": ask_redis},
        # Without SQL calls go on: keys are cached and records wait in the outbox.
        weaknesses={"database": ask_sql, "redis_rights": StoreRights(stores.redis).require},
        alarms={
            "outbox": lambda: alarms.outbox.is_raised,
            "drainer": lambda: alarms.drainer.is_raised,
            "mails": lambda: alarms.mails.is_raised,
            **nodes,
        },
        figures={
            "drained_age_s": lambda: alarms.drainer.age_s,
            "mails_waiting": lambda: alarms.mails.waiting,
        },
        instance=instance,
    ).routes()
