"""Composes the drainer's tasks for people's rights: retention, and exports."""

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
from gateway.people.export_store import SqlExports
from gateway.personal_data.retention import SqlRetention
from gateway.personal_data.rows import SqlPersonalRows
from gateway.privacy import export_maker, retention
from gateway.privacy.export_maker import ExportMaker
from gateway.privacy.retention import Retention
from gateway.settings import Settings
from gateway.stores.duties import SqlDuties
from gateway.stores.opened import Stores

LOG_EMPTIED_EVERY_S: Final = 600.0
"""How long SQLite's files may still contain deleted data when nothing is urgent."""
LOG_TRIED_EVERY_S: Final = 1.0
"""Retry after an attempt that a reader prevented; no reader stays for long."""
_NAME_BYTES = 8


def build_sweeps(settings: Settings, engine: AsyncEngine) -> SqlRetention:
    """Return the sweeps, which also count what is due."""
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
    """Return what deletes data that are too old."""
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
    """The privacy tasks of the drainer's process, beside draining."""

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
        """Purge from the database's files now what was just deleted: a person's last data."""
        self._emptying.run_now()

    async def stop(self) -> None:
        """Stop; the next process finishes what is unfinished."""
        for task in self._tasks:
            await task.stop()
