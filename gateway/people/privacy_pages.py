"""Serves the decisions of people about their data: choices, restriction, requests, new terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import Response

from accounts.data_request import DataRequest
from accounts.holder import OPTIONAL_NOTICES
from accounts.ports import DataChoices
from billing.clock import Clock
from gateway.data_map import KINDS
from gateway.http.access import DeclaredRoute
from gateway.http.sessions import SignedIn
from gateway.http.site.door import (
    CHOICES,
    REQUESTS,
    RESTRICTION,
    TERMS,
    Door,
    language_of,
    said_in,
    see,
)
from gateway.http.site.forms import read_form
from gateway.http.site.pages import Errors
from gateway.people.forms import ChoicesFields, RestrictionFields, TermsFields
from gateway.people.own_documents import OwnDocuments
from gateway.people.privacy import Privacy
from gateway.people.sign_up import TERMS_NEEDED
from gateway.words.data_map import words_in


@dataclass(frozen=True, slots=True)
class ChoicesPage:
    """What a person has chosen about the use of their data, and their mails."""

    template: ClassVar[str] = "privacy_choices.html"
    objected_at: datetime | None
    restricted_at: datetime | None
    wanted: Mapping[str, bool]
    """Notice that can be switched off -> whether it is sent."""
    said: str = ""


@dataclass(frozen=True, slots=True)
class RestrictionPage:
    """The effect of a restriction, and the button that begins or ends it."""

    template: ClassVar[str] = "restriction.html"
    since: datetime | None
    """None if there is none."""
    kept: Sequence[str]
    """Titles of the kinds of data that are kept."""
    said: str = ""


@dataclass(frozen=True, slots=True)
class RequestRow:
    """Something that a person has requested about their data."""

    right: str
    asked_at: datetime
    due_at: datetime
    done_at: datetime | None
    is_withdrawn: bool
    """Whether the person has withdrawn it; `done_at` says when."""
    is_late: bool


@dataclass(frozen=True, slots=True)
class RequestsPage:
    """All that a person has requested about their data."""

    template: ClassVar[str] = "requests.html"
    requests: Sequence[RequestRow]


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A document that has changed."""

    document: str
    version: str
    """ISO date."""
    said: Sequence[str]
    """What has changed, a sentence or two for each version; empty for a first one."""


@dataclass(frozen=True, slots=True)
class AcceptTermsPage:
    """What has changed, and the form that accepts it."""

    template: ClassVar[str] = "accept_terms.html"
    changes: Sequence[ChangeRow]
    next: str
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PrivacyPages:
    """Handlers of a person's decisions about their data."""

    door: Door
    privacy: Privacy
    documents: OwnDocuments
    clock: Clock

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        own = self.door.own
        return [
            own(CHOICES, self.show_choices, before_terms=True),
            own(CHOICES, self.choose, method="POST", before_terms=True),
            own(REQUESTS, self.show_requests, before_terms=True),
            own(TERMS, self.show_terms, before_terms=True),
            own(TERMS, self.accept, method="POST", before_terms=True),
        ]

    async def show_choices(self, request: Request, who: SignedIn) -> Response:
        """Show what was chosen."""
        choices = who.holder.choices
        page = ChoicesPage(
            objected_at=choices.objected_at,
            restricted_at=choices.restricted_at,
            wanted={name: name not in choices.muted for name in OPTIONAL_NOTICES},
            said=said_in(request),
        )
        return self.door.show(request, page)

    async def choose(self, request: Request, who: SignedIn) -> Response:
        """Store the content of the form; an unticked box is not sent."""
        fields = await read_form(request, ChoicesFields)
        muted = frozenset(name for name in OPTIONAL_NOTICES if not getattr(fields, name))
        wishes = DataChoices(fields.objects, fields.restricts, muted)
        if await self.privacy.choose(who, wishes) is not None:
            return await self.door.sign_in_first(request, CHOICES)
        return see(CHOICES, said="choices_kept")

    async def show_requests(self, request: Request, who: SignedIn) -> Response:
        """List what the person has requested about their data."""
        at = self.clock()
        rows = [_row(each, is_late=each.is_late(at)) for each in await self.privacy.requests(who)]
        return self.door.show(request, RequestsPage(rows))

    async def show_terms(self, request: Request, who: SignedIn) -> Response:
        """Show what has changed, and ask; a person who has accepted everything goes on."""
        following = self.door.own_page(request.query_params.get("next", ""))
        return await self._show_terms(request, who, following)

    async def _show_terms(
        self, request: Request, who: SignedIn, following: str, errors: Errors | None = None
    ) -> Response:
        changes = await self.privacy.changes(who)
        if not changes:
            return see(following)
        language = self.door.language(request)
        rows = [
            ChangeRow(
                document=change.document,
                version=change.versions[-1].date,
                # A first version changes nothing.
                said=[
                    text
                    for version in change.versions
                    for text in self.documents.changes(change.document, version.date, language)
                ],
            )
            for change in changes
        ]
        page = AcceptTermsPage(rows, following, errors or {})
        return self.door.show(request, page, status=422 if errors else 200)

    async def accept(self, request: Request, who: SignedIn) -> Response:
        """Note that the person accepts the versions in force."""
        fields = await read_form(request, TermsFields)
        following = self.door.own_page(fields.next)
        if not fields.terms:
            return await self._show_terms(request, who, following, {"terms": TERMS_NEEDED})
        if await self.privacy.accept(who) is not None:
            return await self.door.sign_in_first(request, TERMS)
        return see(following)


def _row(each: DataRequest, *, is_late: bool) -> RequestRow:
    dates = (each.asked_at, each.due_at, each.done_at)
    return RequestRow(each.right, *dates, each.is_withdrawn, is_late)


@dataclass(frozen=True, slots=True)
class RestrictionPages:
    """Handlers of a restriction (GDPR, article 18)."""

    door: Door
    privacy: Privacy

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        own = self.door.own
        return [
            own(RESTRICTION, self.show, before_terms=True),
            own(RESTRICTION, self.set, method="POST", before_terms=True),
        ]

    async def show(self, request: Request, who: SignedIn) -> Response:
        """Show the effect of a restriction, and whether there is one."""
        words = words_in(language_of(request))
        page = RestrictionPage(
            since=who.holder.choices.restricted_at,
            kept=[words[f"kind.{kind.name}"] for kind in KINDS if kind.is_exported],
            said=said_in(request),
        )
        return self.door.show(request, page)

    async def set(self, request: Request, who: SignedIn) -> Response:
        """Begin or end a restriction: each button says which, so a repeat changes nothing."""
        fields = await read_form(request, RestrictionFields)
        choices = who.holder.choices
        wishes = DataChoices(choices.objected_at is not None, fields.restricts, choices.muted)
        if await self.privacy.choose(who, wishes) is not None:
            return await self.door.sign_in_first(request, RESTRICTION)
        return see(RESTRICTION, said="restricted" if fields.restricts else "restriction_lifted")
