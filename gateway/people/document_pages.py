"""Serves `/terms` and `/privacy`, each with the date of its version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import Response

from accounts.consent import Document
from gateway.data_map import KINDS
from gateway.http.access import DeclaredRoute
from gateway.http.site.door import Door, language_of
from gateway.people.data_pages import DataKind, kind_in
from gateway.people.own_documents import OwnDocuments
from gateway.people.own_text import Block
from gateway.words.data_map import Kept, Left, left_in, period_in, words_in

CALLS = next(kind for kind in KINDS if kind.name == "calls")


@dataclass(frozen=True, slots=True)
class TermsPage:
    """The terms of the service."""

    template: ClassVar[str] = "terms.html"
    version: str
    """ISO date."""
    own: Sequence[Block]
    """The operator's text, replacing ours; empty for none."""


@dataclass(frozen=True, slots=True)
class PrivacyPage:
    """The privacy notice."""

    template: ClassVar[str] = "privacy.html"
    version: str
    """ISO date."""
    own: Sequence[Block]
    """The operator's text, before ours; empty for none."""
    kinds: Sequence[DataKind]
    months: str
    """How long call records are kept."""
    stays: Sequence[Left]
    """What is kept once the account is deleted."""


@dataclass(frozen=True, slots=True)
class DocumentPages:
    """Handlers of the documents that people accept."""

    door: Door
    documents: OwnDocuments
    kept: Kept

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        return [
            self.door.page("/terms", self.show_terms),
            self.door.page("/privacy", self.show_privacy),
        ]

    async def show_terms(self, request: Request) -> Response:
        """Show the terms of the service."""
        await self.door.recognise(request)
        return self.door.show(request, TermsPage(*self._own(request, Document.TERMS)))

    async def show_privacy(self, request: Request) -> Response:
        """Show the privacy notice."""
        await self.door.recognise(request)
        words = words_in(language_of(request))
        kinds = [kind_in(words, kind, self.kept) for kind in KINDS]
        months = period_in(words, CALLS.period, self.kept)
        stays = left_in(words, self.kept)
        page = PrivacyPage(*self._own(request, Document.PRIVACY), kinds, months, stays)
        return self.door.show(request, page)

    def _own(self, request: Request, document: Document) -> tuple[str, Sequence[Block]]:
        """Return the version of a document, and the operator's own text for it."""
        blocks = self.documents.blocks(document, language_of(request))
        return self.documents.version(document), blocks
