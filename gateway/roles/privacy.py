"""Composes what the drainer's process does for people's rights: retention, and exports.

Knows no page.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.stores.sessions import RedisSessions
from billing.clock import utc_now
from database.engine import TIMEOUT_S, empty_log
from database.errors import StoreUnavailableError
from gateway.heartbeat.periodic_task import PeriodicTask
from gateway.personal_data.retention import SqlRetention
from gateway.personal_data.rows import SqlPersonalRows
from gateway.privacy import export_maker, retention
from gateway.privacy.export_maker import ExportMaker
from gateway.privacy.retention import Retention
from gateway.roles.storage import Stores
from gateway.settings import Settings
from gateway.stores.duties import SqlDuties
from gateway.stores.exports import SqlExports

LOG_EMPTIED_EVERY_S: Final = 600.0
"""How long SQLite's files still have what was deleted without anybody hurrying."""
LOG_TRIED_EVERY_S: Final = 1.0
"""After a try that somebody's reading has hindered; no reader stays for long."""
_NAME_BYTES = 8


def build_sweeps(settings: Settings, engine: AsyncEngine) -> SqlRetention:
    """Return what can be forgotten, and how much there is of it."""
    return SqlRetention(
        engine,
        calls_kept_months=settings.calls_kept_months,
        books_kept_years=settings.books_kept_years,
    )


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


def build_export_maker(settings: Settings, stores: Stores) -> ExportMaker:
    """Return what makes exports."""
    kept = RedisSessions(stores.redis, secrets.token_bytes)

    async def sessions(account_id: str) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "began_at": each.began_at,
                "seen_at": each.seen_at,
                "authenticated_at": each.authenticated_at,
                "methods": " ".join(sorted(each.methods)),
            }
            for _, each in await kept.of_account(account_id)
        ]

    return ExportMaker(
        SqlExports(stores.engine),
        SqlPersonalRows(stores.engine),
        sessions,
        asyncio.to_thread,
        utc_now,
        settings.service_name,
        settings.origin,
    )


class PrivacyDuty:
    """What the drainer's process does for people's rights, beside draining."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        forgetting = build_retention(settings, stores.engine)
        making = build_export_maker(settings, stores)

        async def empty() -> None:
            while True:
                with contextlib.suppress(StoreUnavailableError):
                    if await empty_log(stores.engine, TIMEOUT_S):
                        return
                await asyncio.sleep(LOG_TRIED_EVERY_S)

        self._emptying = PeriodicTask("empty the database's log", empty, LOG_EMPTIED_EVERY_S)
        self._tasks = [
            PeriodicTask("forget old data", forgetting.round, retention.LOOK_EVERY_S),
            PeriodicTask("make exports", making.round, export_maker.INTERVAL_S),
            self._emptying,
        ]

    def start(self) -> None:
        """Start on the running loop."""
        for task in self._tasks:
            task.start()

    def empty_files(self) -> None:
        """Let the database's files lose now what was just deleted: it was the last of a person."""
        self._emptying.run_now()

    async def stop(self) -> None:
        """Stop; what is not finished is taken up by the next process."""
        for task in self._tasks:
            await task.stop()
