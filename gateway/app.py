"""Declares what a feature brings to the processes of a gateway: one `App` for each feature.

`gateway.apps` lists them. Every process has the list and takes from each app only what it needs, so
the parts are functions that import what they return: a worker never loads a page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from billing.ports import CdrStore
    from gateway.http.access import DeclaredRoute
    from gateway.http.bearer import Authenticator
    from gateway.http.site.door import Door
    from gateway.ports import Velocity
    from gateway.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the parts of an app are built from in a process that answers requests or does work."""

    settings: Settings
    engine: AsyncEngine
    records: CdrStore


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalRows:
    """What an app stores of people in SQL, for whatever acts on all of it at once.

    Every function may raise StoreUnavailableError, and runs in the caller's transaction.
    """

    tables: Sequence[sa.Table]
    """Those that the data map names."""
    order: Mapping[str, tuple[str, ...]]
    """Table -> columns that order the rows of one account; of others the primary key does."""
    outdated: Mapping[str, tuple[sa.Table, Callable[[datetime], sa.ColumnElement[bool]]]]
    """Kind of the data map -> the table and which of its rows are older than people are promised
    (now). Rows of a restricted account stay."""
    erase: Callable[[AsyncConnection, str], Awaitable[None]]
    """Deletes the rows of an account (id)."""
    active: Callable[[AsyncConnection, str, int], Awaitable[Sequence[str]]]
    """Returns names of what goes on using the account by itself (id, at most), newest first."""
    take_back: Callable[[AsyncConnection, str, datetime, datetime], Awaitable[Sequence[str]]]
    """Stops what was added to an account (id) since a time (since, now); returns its names."""


class Work(Protocol):
    """What the worker does for an app, beside draining."""

    def start(self) -> None:
        """Start on the running loop."""

    async def stop(self) -> None:
        """Stop; what is unfinished stays where it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A feature: its name, and the parts that processes take from it."""

    name: str
    """Its folder in `gateway/`. Mails name by it what was taken back."""
    heading: str
    """Of its operations in the API's document."""
    apis: Callable[[], Sequence[type]]
    """Returns the classes whose methods declare operations (`http.operation`)."""
    routes: Callable[[Services, Authenticator, Velocity], Sequence[DeclaredRoute]]
    """Returns the routes of its operations."""
    page_types: Callable[[], Sequence[type]]
    """Returns the context of each of its pages; their templates are in its folder."""
    page_routes: Callable[[Services, Door], Sequence[DeclaredRoute]]
    """Returns the routes of its pages."""
    work: Callable[[Services], Work]
    """Returns what the worker does for it. May raise SettingsError."""
    personal_rows: Callable[[], PersonalRows]
    """Returns what it stores of people."""

    @property
    def package(self) -> str:
        """The package whose `templates/` are its pages'."""
        return f"gateway.{self.name}"
