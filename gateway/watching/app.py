"""Declares watching as an app. Each part imports what it returns, when a process takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gateway.app import App, WebServices, Work

if TYPE_CHECKING:
    from gateway.http.access import DeclaredRoute


def _apis() -> Mapping[str, Sequence[type]]:
    from gateway.watching.alarms_api import AlarmsApi
    from gateway.watching.history_api import HistoryApi
    from gateway.watching.live_feed import FleetFeedApi, OwnFeedApi
    from gateway.watching.report_api import OperatorReportsApi

    return {
        "Calls": (OwnFeedApi,),
        "Administration": (AlarmsApi, HistoryApi, OperatorReportsApi, FleetFeedApi),
    }


def _routes(services: WebServices) -> Sequence[DeclaredRoute]:
    from gateway.watching.build import routes

    return routes(services)


def _web_work(services: WebServices) -> Work:
    from gateway.watching.build import WatchingWork

    return WatchingWork(services)


WATCHING: Final = App(
    name="watching",
    apis=_apis,
    routes=_routes,
    # The page of live calls is built with the phone, and reads the feed.
    page_types=None,
    page_routes=None,
    work=None,
    web_work=_web_work,
    # What the board knows is gone a minute after its call.
    personal_rows=None,
)
