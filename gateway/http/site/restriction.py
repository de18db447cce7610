"""Serves `/account/restriction`: what is kept, what stops and what goes on, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from accounts.ports import DataChoices
from gateway.data_map import KINDS
from gateway.http.access import DeclaredRoute
from gateway.http.site.door import RESTRICTION, Door, language_of, said_in, see
from gateway.http.site.forms import RestrictionFields, read_form
from gateway.http.site.pages import RestrictionPage
from gateway.people.privacy import Privacy
from gateway.people.sessions import SignedIn
from gateway.words.data_map import words_in


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
