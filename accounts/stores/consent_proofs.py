"""Stores proof that a person had accepted the terms, for when nothing else is kept about them.

Only someone who has the account's number and its address can find a row. The functions run on the
caller's connection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.stores import consents, tables
from accounts.stores.consents import Consent
from database.engine import upsert

KEPT: Final = timedelta(days=4 * 365)
"""How long proof is kept: claims lapse three years after the year in which they arose (§ 195 and
§ 199 BGB), and similarly elsewhere."""

# The OWASP Password Storage Cheat Sheet's parameters for scrypt: an address is easily guessed.
_N, _R, _P = 2**14, 8, 5

_PROOFS = tables.consent_proofs


def digest(account_id: str, email_key: str) -> str:
    """Return the digest that finds a proof, salted with the number. Takes a tenth of a second."""
    return hashlib.scrypt(
        email_key.encode(), salt=account_id.encode(), n=_N, r=_R, p=_P, dklen=32
    ).hex()


async def keep(connection: AsyncConnection, account_id: str, digest: str, at: datetime) -> None:
    """Store proof of all that a holder accepted; a repeat changes nothing."""
    rows = [
        {
            "digest": digest,
            "document": each.document,
            "version": each.version,
            "at": each.at,
            "kept_until": at + KEPT,
        }
        for each in await consents.of_account(connection, account_id)
    ]
    if rows:
        await connection.execute(upsert(connection, _PROOFS).on_conflict_do_nothing(), rows)


async def find(connection: AsyncConnection, digest: str) -> Sequence[Consent]:
    """Return what was accepted under a digest, the earliest first."""
    rows = await connection.execute(
        sa.select(_PROOFS.c.document, _PROOFS.c.version, _PROOFS.c.at)
        .where(_PROOFS.c.digest == digest)
        .order_by(_PROOFS.c.at, _PROOFS.c.document)
    )
    return [Consent(**row._asdict()) for row in rows]
