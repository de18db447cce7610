"""Declares an account's own calls as an app. Each part imports what it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gateway.app import App, WebServices

if TYPE_CHECKING:
    from gateway.http.access import DeclaredRoute


def _apis() -> Mapping[str, Sequence[type]]:
    from gateway.own_calls.api import CallsApi
    from gateway.own_calls.feedback_api import CallFeedbackApi

    return {"Calls": (CallsApi, CallFeedbackApi)}


def _routes(services: WebServices) -> Sequence[DeclaredRoute]:
    from billing.stores.call_rows import SqlFeedbackStore
    from gateway.buttons.build import new_admission, new_door
    from gateway.own_calls.api import CallsApi
    from gateway.own_calls.feedback_api import CallFeedbackApi

    calls = CallsApi(
        services.settings,
        services.auth,
        services.admission,
        services.index,
        services.stores.gate,
        buttons=services.one(new_door),
        button_admission=services.one(new_admission),
    )
    feedback = CallFeedbackApi(services.auth, SqlFeedbackStore(services.stores.engine))
    return [*calls.routes(), *feedback.routes()]


OWN_CALLS: Final = App(
    name="own_calls",
    apis=_apis,
    routes=_routes,
    page_types=None,
    page_routes=None,
    work=None,
    web_work=None,
    personal_rows=None,
)
