"""Builds what watches live calls in a process with pages: routes, viewers, alarms, history."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial

from billing.clock import utc_now
from gateway.app import WebServices
from gateway.http.access import DeclaredRoute
from gateway.watching.alarming import Alarming
from gateway.watching.alarms_api import AlarmsApi
from gateway.watching.history_api import HistoryApi
from gateway.watching.live_feed import FleetFeedApi, OwnFeedApi
from gateway.watching.report_api import OperatorReportsApi
from gateway.watching.report_store import SqlOperatorReports
from gateway.watching.viewers import Watching


def watching(services: WebServices) -> Watching:
    """Return the board of this process, and its viewers."""
    return Watching(
        services.stores,
        services.fleet.roster,
        services.ticker,
        answer_fields=services.answer_fields,
    )


def alarming(services: WebServices) -> Alarming:
    """Return the alarms of this process. Raises SettingsError."""
    board = services.one(watching).board
    return Alarming(services.settings, services.stores, services.instance, board, services.notify)


def routes(services: WebServices) -> Sequence[DeclaredRoute]:
    """Return the routes of viewers, and of operators."""
    found, alarms = services.one(watching), services.one(alarming)
    routing, reports = services.admin_routes, SqlOperatorReports(services.stores.engine)
    return [
        *OwnFeedApi(services.auth, found.live).routes(),
        *FleetFeedApi(routing, found.live).routes(),
        *OperatorReportsApi(routing, reports, partial(found.board.rows, None), utc_now).routes(),
        *AlarmsApi(routing, alarms.store, time.time).routes(),
        *HistoryApi(routing, alarms.minutes.read).routes(),
    ]


class WatchingWork:
    """Listens to all processes, and looks for alarms."""

    def __init__(self, services: WebServices) -> None:
        self._watching = services.one(watching)
        self._alarming = services.one(alarming)
        self._tasks = [*self._watching.tasks(), *self._alarming.tasks()]

    def start(self) -> None:
        """Start on the running loop."""
        self._watching.start()
        for task in self._tasks:
            task.start()

    async def stop(self) -> None:
        """Close all streams, and stop sending notifications."""
        await self._watching.stop()
        await asyncio.gather(*(task.stop() for task in self._tasks))
        await self._alarming.stop()
