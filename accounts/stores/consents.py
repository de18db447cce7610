"""Stores in SQL which version of which document a person accepted, and when.

The functions run on the caller's connection. A row is a proof and never changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.stores import tables
from database.engine import upsert

_CONSENTS = tables.consents


@dataclass(frozen=True, slots=True)
class Consent:
    """The acceptance of one version of a document."""

    document: str
    version: str
    at: datetime


async def accept(
    connection: AsyncConnection, account_id: str, versions: Mapping[str, str], at: datetime
) -> None:
    """Note that a holder accepted these (document -> version); the first time is kept."""
    rows = [
        {"account_id": account_id, "document": document, "version": version, "at": at}
        for document, version in versions.items()
    ]
    if rows:
        await connection.execute(upsert(connection, _CONSENTS).on_conflict_do_nothing(), rows)


async def of_account(connection: AsyncConnection, account_id: str) -> Sequence[Consent]:
    """Return what a holder accepted, the earliest first."""
    rows = await connection.execute(
        sa.select(_CONSENTS.c.document, _CONSENTS.c.version, _CONSENTS.c.at)
        .where(_CONSENTS.c.account_id == account_id)
        .order_by(_CONSENTS.c.at, _CONSENTS.c.document, _CONSENTS.c.version)
    )
    return [Consent(**row._asdict()) for row in rows]
