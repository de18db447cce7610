"""Makes this process one of the nodes that share its stores: its lease, and its view of the others.

Knows no call.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from dataclasses import dataclass
from typing import Any

from billing.errors import StoreUnavailableError
from gateway.charging import node_watch
from gateway.charging.node_watch import NodeWatch
from gateway.roles import public_origin
from gateway.settings import Settings
from gateway.stores.leases import RedisNodeLeases


@dataclass(frozen=True, slots=True)
class Membership:
    """One node among the others."""

    origin: str
    instance: str
    """Tells this process from any other, also one of the same node id."""
    leases: RedisNodeLeases
    watch: NodeWatch

    async def leave(self) -> None:
        """Give the lease back, so that the node is not missed."""
        with contextlib.suppress(StoreUnavailableError):
            await self.watch.forget(self.watch.node)

    async def look_at_origin(self) -> str:
        """Return what is wrong with the public origin, as far as it shows from here."""
        found = await public_origin.ask(self.origin)
        if found.instance and found.instance != self.instance:
            with contextlib.suppress(StoreUnavailableError):
                if found.instance not in await self.leases.instances():
                    return public_origin.other_gateway(self.origin)
        return found.fault


def new_membership(settings: Settings, redis: Any) -> Membership:
    """Return a node's membership; its first renewal takes the lease."""
    instance = secrets.token_hex(8)
    ttl_s = node_watch.lease_s(settings.prepaid_horizon_s, settings.grace_s)
    leases = RedisNodeLeases(redis, ttl_s=ttl_s, instance=instance)
    watch = NodeWatch(leases, settings.node, time.monotonic_ns)
    return Membership(settings.origin, instance, leases, watch)
