"""Composes what the drainer's process does for people's rights: retention, and exports.

Knows no page.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.heartbeat.periodic_task import PeriodicTask
from gateway.privacy import retention
from gateway.privacy.retention import Retention
from gateway.settings import Settings
from gateway.stores.duties import SqlDuties
from gateway.stores.retention import SqlRetention

_NAME_BYTES = 8


def build_sweeps(settings: Settings, engine: AsyncEngine) -> SqlRetention:
    """Return what can be forgotten, and how much there is of it."""
    return SqlRetention(engine, calls_kept_months=settings.calls_kept_months)


def build_retention(
    settings: Settings,
    engine: AsyncEngine,
    on_batch: Callable[[str, int], None] = lambda _kind, _count: None,
) -> Retention:
    """Return what forgets data that are too old."""
    return Retention(
        build_sweeps(settings, engine),
        SqlDuties(engine, secrets.token_hex(_NAME_BYTES)),
        time.monotonic_ns,
        asyncio.sleep,
        on_batch,
    )


class PrivacyDuty:
    """What the drainer's process does for people's rights, beside draining."""

    def __init__(self, settings: Settings, engine: AsyncEngine) -> None:
        forgetting = build_retention(settings, engine)
        self._tasks = [
            PeriodicTask("forget old data", forgetting.round, retention.LOOK_EVERY_S),
        ]

    def start(self) -> None:
        """Start on the running loop."""
        for task in self._tasks:
            task.start()

    async def stop(self) -> None:
        """Stop; what is not finished is taken up by the next process."""
        for task in self._tasks:
            await task.stop()
