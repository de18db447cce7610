"""Declares what a feature brings to the processes of a gateway: one `App` for each feature.

`gateway.apps` lists them. Every process has the list and takes from each app only what it needs, so
the parts are functions that import what they return: a worker never loads a page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from gateway.ports import Notify, to_nobody

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import AsyncConnection

    from accounts.holder import Holder
    from accounts.ports import PersonalRowReader as RowsOfPeople
    from gateway.calls.admission import Admission
    from gateway.calls.closed_destinations import ClosedDestinations
    from gateway.calls.index import CallIndex
    from gateway.calls.rate_table import RateTable
    from gateway.calls.risk import Risk
    from gateway.charging.current_rates import CurrentRates
    from gateway.fleet.control import FleetControl
    from gateway.heartbeat.ticker import Ticker
    from gateway.http.access import DeclaredRoute
    from gateway.http.admin_routes import AdminRoutes
    from gateway.http.bearer import Authenticator
    from gateway.http.site.door import Door
    from gateway.logs.refused_signatures import RefusedSignatures
    from gateway.ports import Announcer, Velocity
    from gateway.settings import Settings
    from gateway.stores.opened import Stores
    from gateway.stores.people_transactions import Change

_Part = TypeVar("_Part")


async def _no_calls(_account_id: str) -> None:
    """Do nothing: no calls are live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the parts of an app are built from, in every process."""

    settings: Settings
    stores: Stores
    notify: Notify = to_nobody
    on_credit: Callable[[str], Awaitable[None]] = _no_calls
    """Called with an account (id) after its credit has changed: it charges its live calls."""
    parts: dict[Callable[..., Any], Any] = field(default_factory=dict, repr=False)
    """What was built so far, by what built it."""

    def one(self, make: Callable[[Self], _Part]) -> _Part:
        """Return what `make` returns for these services: the same part for all who ask for it."""
        if make not in self.parts:
            self.parts[make] = make(self)
        part: _Part = self.parts[make]
        return part


@dataclass(frozen=True, slots=True, kw_only=True)
class TakingBack:
    """Removes from an account what an intruder has added to it, in all features.

    Every function may raise StoreUnavailableError, and runs in the caller's transaction.
    """

    since: Callable[[Change, datetime], Awaitable[Mapping[str, str]]]
    """Removes what was added since a time; returns names for the notice `locked`."""
    everything: Callable[[Change, str], Awaitable[Holder]]
    """Removes what was ever added, chosen or requested; returns the holder as then, in this
    language (BCP 47) unless it is empty."""
    what_stays: Callable[[AsyncConnection, str, datetime], Awaitable[Mapping[str, str]]]
    """Returns names of what goes on using an account (id, now), for the notice of a reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleServices(Services):
    """What they are built from in a process that recognises people: one with calls or pages."""

    taking_back: TakingBack


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServices(PeopleServices):
    """What they are built from in a process that has pages and API."""

    auth: Authenticator
    admin_routes: AdminRoutes
    velocity: Velocity
    admission: Admission
    index: CallIndex
    rates: CurrentRates
    closed_destinations: ClosedDestinations
    rate_table: RateTable
    risk: Risk
    announcer: Announcer
    refused_signatures: RefusedSignatures
    on_visitor_refusal: Callable[[str, str], None]
    """Called with a button (id) and the code of a visitor's refusal."""
    fleet: FleetControl
    instance: str
    """The name of this process, unique among all."""
    ticker: Ticker
    answer_fields: Mapping[str, str]
    """Fields that each answer of this process has."""
    rows_of_people: RowsOfPeople
    """What is stored about a person, of all features."""
    refundable_of: Callable[[str], Awaitable[int]] | None
    """Returns how much of an account's credit (id) can go back to cards, in micros; None if no
    cards are taken. May raise StoreUnavailableError."""


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
    take_back: Callable[[Change, datetime], Awaitable[Mapping[str, Sequence[str]]]]
    """Stops what was added to the account of a change since a time; returns, by what mails call it,
    the names of what was stopped."""


class Work(Protocol):
    """What a process does for an app by itself, beside answering."""

    def start(self) -> None:
        """Start on the running loop."""

    async def stop(self) -> None:
        """Stop, also where it was never started; what is unfinished stays where it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A feature: its name, and the parts that processes take from it; None where it has none."""

    name: str
    """Its folder in `gateway/`. Mails call by it what is still active."""
    apis: Callable[[], Mapping[str, Sequence[type]]]
    """Returns, by their heading in the API's document, the classes whose methods declare operations
    (`http.operation`)."""
    routes: Callable[[WebServices], Sequence[DeclaredRoute]]
    """Returns the routes of its operations. May raise SettingsError."""
    page_types: Callable[[], Sequence[type]] | None
    """Returns the context of each of its pages; their templates are in its folder."""
    page_routes: Callable[[WebServices, Door], Sequence[DeclaredRoute]] | None
    """Returns the routes of its pages."""
    work: Callable[[Services], Work] | None
    """Returns what the worker does for it, beside draining. May raise SettingsError."""
    web_work: Callable[[WebServices], Work] | None
    """Returns what each process with pages does for it: started once the port is open, and stopped
    once it is closed. May raise SettingsError."""
    personal_rows: Callable[[], PersonalRows] | None
    """Returns what it stores of people."""

    @property
    def package(self) -> str:
        """The package whose `templates/` are its pages'."""
        return f"gateway.{self.name}"
