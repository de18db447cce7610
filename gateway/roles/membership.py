"""Makes this process a node among those sharing its stores: its lease, its view of others."""

from __future__ import annotations

import contextlib
import secrets
import time
from dataclasses import dataclass
from typing import Any

import structlog

from database.errors import StoreUnavailableError
from gateway.charging import node_watch
from gateway.charging.node_watch import NodeWatch
from gateway.errors import SettingsError
from gateway.roles import public_origin
from gateway.settings import Settings
from gateway.stores.leases import RedisNodeLeases

SILENCE_S = node_watch.RENEWAL_S + 1.0
"""A live node renews its lease at least once in this time: an interval, and a time-out."""
_WAITING = f"Looking for {SILENCE_S:.0f} s whether another process serves as it."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Membership:
    """One node among the others."""

    origin: str
    instance: str
    """Random name that tells this process from any other, even from one with the same node id."""
    leases: RedisNodeLeases
    watch: NodeWatch

    async def enter(self) -> None:
        """Take this node's lease, and with it the calls left by a killed process with its id.

        Raises SettingsError if another process serves as this node, StoreUnavailableError.
        """
        node = self.watch.node

        def tell() -> None:
            log.warning("node was not stopped properly", node=node, hint=_WAITING)

        # Before anything is settled: two processes with one id would settle each other's live
        # calls.
        if not await self.leases.claim(node, SILENCE_S, tell):
            raise SettingsError(
                f"CALLER_NODE: another process serves as node {node} on the same stores. Stop it,"
                " or give this one an id of its own."
            )

    async def leave(self) -> None:
        """Release the lease, so that the node is not considered lost."""
        with contextlib.suppress(StoreUnavailableError):
            # If Redis is away, the lease expires by itself.
            await self.watch.forget(self.watch.node)

    async def look_at_origin(self) -> str:
        """Return what is wrong with the public origin, as far as can be seen from here."""
        known = None
        with contextlib.suppress(StoreUnavailableError):
            known = await self.leases.instances()
        found = await public_origin.ask(self.origin, known={self.instance, *(known or ())})
        # Without Redis the answer cannot be attributed, so it is not called a fault; and a load
        # balancer may have picked another node of this deployment, which is fine.
        if known is None or found.instance in {"", self.instance, *known}:
            return found.fault
        return public_origin.other_gateway(self.origin)


def new_membership(settings: Settings, redis: Any, node: str) -> Membership:
    """Return a node's membership; its first renewal takes the lease.

    A process that holds no calls is not a node, and watches without a name: `node` is empty.
    """
    instance = secrets.token_hex(8)
    # Longer than a call may live without Redis, so that no one settles a live call.
    ttl_s = node_watch.lease_s(settings.prepaid_horizon_s, settings.grace_s)
    leases = RedisNodeLeases(redis, ttl_s=ttl_s, instance=instance)
    watch = NodeWatch(leases, node, time.monotonic_ns)
    return Membership(settings.origin, instance, leases, watch)
