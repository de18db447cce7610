"""Stores in SQL which version of which document a person accepted, and when.

The functions run on the caller's connection. A row is a proof and never changes. When an account is
deleted, proof that its holder had accepted the terms is kept under a digest of the address.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.stores import tables
from database.engine import upsert

_CONSENTS = tables.consents
_PROOFS = tables.consent_proofs
PROOF_KEPT: Final = timedelta(days=4 * 365)
"""How long proof is kept: claims lapse three years after the year in which they arose (§ 195 and
§ 199 BGB), and similarly elsewhere."""

# The OWASP Password Storage Cheat Sheet's parameters for scrypt: an address is easily guessed.
_N = 2**14
_R = 8
_P = 5


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


def proof_digest(account_id: str, email_key: str) -> str:
    """Return the digest that finds a proof, salted with the number. Takes a tenth of a second."""
    return hashlib.scrypt(
        email_key.encode(), salt=account_id.encode(), n=_N, r=_R, p=_P, dklen=32
    ).hex()


async def keep_proof(
    connection: AsyncConnection, account_id: str, digest: str, at: datetime
) -> None:
    """Store proof of all that a holder accepted; a repeat changes nothing."""
    rows = [
        {
            "digest": digest,
            "document": each.document,
            "version": each.version,
            "at": each.at,
            "kept_until": at + PROOF_KEPT,
        }
        for each in await of_account(connection, account_id)
    ]
    if rows:
        await connection.execute(upsert(connection, _PROOFS).on_conflict_do_nothing(), rows)


async def find_proof(connection: AsyncConnection, digest: str) -> Sequence[Consent]:
    """Return what was accepted under a digest, the earliest first."""
    rows = await connection.execute(
        sa.select(_PROOFS.c.document, _PROOFS.c.version, _PROOFS.c.at)
        .where(_PROOFS.c.digest == digest)
        .order_by(_PROOFS.c.at, _PROOFS.c.document)
    )
    return [Consent(**row._asdict()) for row in rows]
