"""Lists the features of a gateway that are apps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.app import App, PersonalRows
from gateway.webhooks.app import WEBHOOKS

APPS: Final[tuple[App, ...]] = (WEBHOOKS,)
"""In the order of their headings in the API's document."""


def personal_rows() -> Mapping[str, PersonalRows]:
    """Return what each app stores of people in SQL, by the app's name."""
    return {app.name: app.personal_rows() for app in APPS}
