"""Holds the operator's own texts of the documents that people accept, in each language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from accounts.consent import HISTORY, Document, History, current
from gateway.http.site.own_text import Block, OwnText
from gateway.http.site.words import WORDS

EVERYBODY: Final = ""
"""The language of a text for readers of none of the others."""

Texts = Mapping[str, OwnText]
"""Language, or EVERYBODY -> text."""


@dataclass(frozen=True, slots=True)
class OwnDocuments:
    """The versions of all documents, and the operator's texts."""

    history: History = field(default_factory=lambda: HISTORY)
    texts: Mapping[Document, Texts] = field(default_factory=dict)

    def version(self, document: Document) -> str:
        """Return the name of the version in force."""
        return current(self.history)[document]

    def blocks(self, document: Document, language: str) -> Sequence[Block]:
        """Return a text for readers of a language; empty if there is none."""
        text = self._text(document, language)
        return text.blocks if text else ()

    def changes(self, document: Document, version: str, language: str) -> Sequence[str]:
        """Return what a version has changed, in the operator's text and in ours."""
        text = self._text(document, language)
        theirs = text.changes(version) if text else ()
        ours = WORDS[language].get(f"changes.{document}_{version}", "")
        return [*theirs, ours] if ours else theirs

    def _text(self, document: Document, language: str) -> OwnText | None:
        texts = self.texts.get(document, {})
        return texts.get(language) or texts.get(EVERYBODY)
