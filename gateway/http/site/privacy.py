"""Serves a person's decisions about their data: choices, requests, new terms."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from accounts.data_request import DataRequest
from accounts.holder import OPTIONAL_NOTICES
from accounts.ports import DataChoices
from billing.clock import Clock
from gateway.http.access import DeclaredRoute
from gateway.http.site.door import CHOICES, REQUESTS, TERMS, Door, said_in, see
from gateway.http.site.forms import ChoicesFields, TermsFields, read_form
from gateway.http.site.own_documents import OwnDocuments
from gateway.http.site.pages import (
    AcceptTermsPage,
    ChangeRow,
    ChoicesPage,
    Errors,
    RequestRow,
    RequestsPage,
)
from gateway.people.privacy import Privacy
from gateway.people.sessions import SignedIn
from gateway.people.sign_up import TERMS_NEEDED


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
