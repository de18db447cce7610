"""Lists the features of a gateway that are apps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.administration.app import ADMINISTRATION
from gateway.app import App, PersonalRows
from gateway.buttons.app import BUTTONS
from gateway.own_calls.app import OWN_CALLS
from gateway.payments.app import PAYMENTS
from gateway.people.app import PEOPLE
from gateway.supervision.app import SUPERVISION
from gateway.watching.app import WATCHING
from gateway.webhooks.app import WEBHOOKS

APPS: Final[tuple[App, ...]] = (
    OWN_CALLS,
    PAYMENTS,
    BUTTONS,
    WEBHOOKS,
    PEOPLE,
    ADMINISTRATION,
    WATCHING,
    SUPERVISION,
)
"""In the order of their headings in the API's document."""


def personal_rows() -> Mapping[str, PersonalRows]:
    """Return what apps store of people in SQL, by the app's name."""
    return {app.name: app.personal_rows() for app in APPS if app.personal_rows is not None}


def template_packages() -> Sequence[str]:
    """Return the packages of apps that have pages, each with a folder `templates`."""
    return [app.package for app in APPS if app.page_types is not None]
