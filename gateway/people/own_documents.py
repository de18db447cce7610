"""Loads and holds the operator's own texts of the documents that people accept, by language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from accounts.consent import HISTORY, Document, History, current
from gateway import regular_files
from gateway.errors import SettingsError
from gateway.people.own_text import BYTES_MAX, Block, OwnText, OwnTextError, read_own_text
from gateway.people.versions import read_history
from gateway.settings import PREFIX, Settings
from gateway.words.languages import LANGUAGES

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
        # Pages alone show them: a process of calls reads no words of pages.
        from gateway.http.site.words import WORDS  # noqa: PLC0415

        text = self._text(document, language)
        theirs = text.changes(version) if text else ()
        ours = WORDS[language].get(f"changes.{document}_{version}", "")
        return [*theirs, ours] if ours else theirs

    def _text(self, document: Document, language: str) -> OwnText | None:
        texts = self.texts.get(document, {})
        return texts.get(language) or texts.get(EVERYBODY)


def load_documents(settings: Settings) -> OwnDocuments:
    """Return the documents that people accept.

    Raises SettingsError for a text that cannot be shown, and for impossible versions.
    """
    files = {Document.TERMS: settings.terms_file, Document.PRIVACY: settings.privacy_file}
    texts = {document: _texts(name_of(document), file) for document, file in files.items() if file}
    return OwnDocuments(read_history(settings), texts)


def name_of(document: Document, what: str = "FILE") -> str:
    """Return the name of a document's variable in the environment."""
    return f"{PREFIX}{document.upper()}_{what}"


def _texts(name: str, file: str) -> Texts:
    """Return language -> text of a file, and of files beside it that name a language."""
    base = Path(file)
    texts = {EVERYBODY: _text(name, base)}
    for language in LANGUAGES:
        other = base.with_name(f"{base.stem}.{language}{base.suffix}")
        if other.exists():
            texts[language] = _text(name, other)
    return texts


def _text(name: str, file: Path) -> OwnText:
    try:
        return read_own_text(regular_files.read(file, BYTES_MAX))
    except regular_files.NotRegularError:
        fault = "is not a regular file"
    except OwnTextError as error:
        fault = str(error)
    except OSError:
        fault = "cannot be read"
    raise SettingsError(f"{name}: {file} {fault}.")
