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
from gateway.errors import SettingsError
from gateway.people import posted_texts
from gateway.people.own_documents import OwnDocuments, name_of
from gateway.people.posted_texts import Other, Posted
from gateway.roles import storage
from gateway.settings import Settings

_DAY_CHARS: Final = len("2026-12-01")


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
        f"{name_of(text.document)}{which} is not the text that was posted as version"
        f" {text.version} on {other.posted_at:%Y-%m-%d}, and that people have accepted. Put that"
        f" text back, or add a version to {name_of(text.document, 'VERSIONS')}: the day of today,"
        " with :minor behind it where people need not accept it."
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
        name_of(document, "VERSIONS")
        for document in documents.texts
        if documents.version(document)[:_DAY_CHARS] > f"{now:%Y-%m-%d}"
    ]
