"""Detects an untrusted proxy in front: all visitors would then share its limits.

It is logged once by each process, and reported to `caller check` while it lasts.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import structlog

from gateway.limits.sole_peer import SolePeer, is_loopback
from gateway.settings import Settings
from gateway.stores.unnamed_proxy import RedisUnnamedProxy

INTERVAL_S: Final = 15.0

log = structlog.get_logger(__name__)


class UnnamedProxy:
    """Checks whether all requests of this process come from one private address."""

    def __init__(self, settings: Settings, redis: Any, peer: SolePeer) -> None:
        self._settings = settings
        self._told = RedisUnnamedProxy(redis)
        self._peer = peer
        self._logged = ""

    async def look(self) -> None:
        """Log the address when it is first seen, and store it. Raises StoreUnavailableError."""
        address = self._peer.private_address
        if not address or is_at_home(self._settings.origin, address):
            return
        if address != self._logged:
            self._logged = address
            log.warning(
                "all requests come from one address",
                source=address,
                hint=what_to_set(self._settings, address),
            )
        await self._told.tell(address)


def is_at_home(origin: str, address: str) -> bool:
    """Whether only this machine is served, so that its own address is the visitor's."""
    return is_loopback(address) and is_loopback(urlsplit(origin).hostname or "")


def what_to_set(settings: Settings, address: str) -> str:
    """Return what an operator should do if this address is a proxy's."""
    trusted = ",".join([*settings.trusted_proxies, address])
    return (
        "If that is a proxy, all visitors share the limits of one, and records name its address:"
        f" set CALLER_TRUSTED_PROXIES={trusted}, and let it send X-Forwarded-For."
    )
