"""Reads the documents an operator wrote for people to accept, and records what is posted.

A version is the same text for good, because people have accepted it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.consent import Document
from billing.clock import Clock, utc_now
from database.engine import create_engine
from database.errors import StoreUnavailableError
from database.url import UrlError
from gateway import regular_files
from gateway.errors import SettingsError
from gateway.http.site.own_documents import EVERYBODY, OwnDocuments, Texts
from gateway.http.site.own_text import BYTES_MAX, OwnText, OwnTextError, read_own_text
from gateway.http.site.words import WORDS
from gateway.roles import storage
from gateway.roles.versions import read_history
from gateway.settings import PREFIX, Settings
from gateway.stores import posted_texts
from gateway.stores.posted_texts import Other, Posted

_DAY_CHARS: Final = len("2026-12-01")


def load_documents(settings: Settings) -> OwnDocuments:
    """Return the documents that people accept.

    Raises SettingsError for a text that cannot be shown, and for impossible versions.
    """
    files = {Document.TERMS: settings.terms_file, Document.PRIVACY: settings.privacy_file}
    texts = {document: _texts(_name(document), file) for document, file in files.items() if file}
    return OwnDocuments(read_history(settings), texts)


def _name(document: Document, what: str = "FILE") -> str:
    return f"{PREFIX}{document.upper()}_{what}"


def _texts(name: str, file: str) -> Texts:
    """Return language -> text of a file, and of files beside it that name a language."""
    base = Path(file)
    texts = {EVERYBODY: _text(name, base)}
    for language in WORDS:
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


async def post_documents(
    documents: OwnDocuments, settings: Settings, engine: AsyncEngine, *, clock: Clock = utc_now
) -> None:
    """Record which texts are posted from now on.

    Raises SettingsError if a different text was posted as the same version, and
    StoreUnavailableError.
    """
    for other in await posted_texts.post(engine, _posted(documents, settings), clock()):
        raise SettingsError(_differs(other))


def _posted(documents: OwnDocuments, settings: Settings) -> Sequence[Posted]:
    versions = {
        Document.TERMS: settings.terms_versions,
        Document.PRIVACY: settings.privacy_versions,
    }
    return [
        Posted(document, versions[document][-1].partition(":")[0], language, text.digest)
        for document, texts in documents.texts.items()
        for language, text in texts.items()
    ]


def _differs(other: Other) -> str:
    text = other.text
    which = f" ({text.language})" if text.language else ""
    return (
        f"{_name(text.document)}{which} is not the text that was posted as version {text.version}"
        f" on {other.posted_at:%Y-%m-%d}, and that people have accepted. Put that text back, or add"
        f" a version to {_name(text.document, 'VERSIONS')}: the day of today, with :minor behind it"
        " where people need not accept it."
    )


async def fault(documents: OwnDocuments, settings: Settings) -> str:
    """Return which text differs from the one posted as its version; empty for none. Read-only.

    Also empty if the database cannot tell: that has a finding of its own.
    """
    texts = _posted(documents, settings)
    if not texts:
        return ""
    try:
        engine = create_engine(storage.database_url(settings))
    except UrlError:
        return ""
    try:
        # Connecting would create a missing file.
        if engine.dialect.name == "sqlite" and not _is_file(engine.url.database):
            return ""
        others = await posted_texts.others(engine, texts)
    except (StoreUnavailableError, sa.exc.DBAPIError):
        # Also if the tables are those of an earlier release, in which no text was posted.
        return ""
    finally:
        await engine.dispose()
    return _differs(others[0]) if others else ""


def _is_file(name: str | None) -> bool:
    return Path(name or "").is_file()


def early(documents: OwnDocuments, now: datetime) -> Sequence[str]:
    """Return which settings end with a future date."""
    return [
        _name(document, "VERSIONS")
        for document in documents.texts
        if documents.version(document)[:_DAY_CHARS] > f"{now:%Y-%m-%d}"
    ]
