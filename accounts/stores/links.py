"""Stores one-use links in SQL: which are expected, and which have been made.

A link is expected from the act that needs it on; it is made when its mail is sent, which may be
days later, and only its digest is stored. A change that makes links stale ends both kinds, so that
a delayed mail revives none. The functions run on the caller's connection; those that change
something need the holder's lock, except `make_link`, which takes it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.link import LIFETIMES, MAIL_MAX, Link, Purpose, digest, taken_back_since
from accounts.stores import tables
from database.engine import upsert

KEPT = timedelta(days=30)
"""How long a link that no longer works can still be told from an unknown one; then the daily
retention deletes it."""

_EXPECTED = tables.expected_links
_LINKS = tables.links


@dataclass(frozen=True, slots=True)
class MadeLink:
    """A link, and what its mail was about."""

    link: Link
    asked_at: datetime
    """When its purpose was first asked for at this address."""
    reach: datetime
    """When the session began whose act its mail reports (see `accounts.notice.Notice.reach`)."""
    takes_back_since: datetime
    """The moment from which it takes back what was added."""


async def expect(
    connection: AsyncConnection,
    account_id: str,
    purpose: Purpose,
    email: str,
    at: datetime,
    *,
    email_key: str = "",
) -> None:
    """Allow mails to a holder to have links of this purpose and address from now on.

    Repeating it extends the expectation; `asked_at` stays that of the first request.

    Args:
        connection: With a transaction for writing, and the holder's lock.
        account_id: The account.
        purpose: What the links do.
        email: The address that they are about.
        at: Now.
        email_key: Reserves the address for this holder as long as the links may work.
    """
    mine = _EXPECTED.c.account_id == account_id
    # Not to save space, as the daily retention does: a lapsed expectation must not be extended.
    await connection.execute(sa.delete(_EXPECTED).where(mine, _EXPECTED.c.lapses_at <= at))
    lapses_at = at + LIFETIMES[purpose] + MAIL_MAX
    inserted = upsert(connection, _EXPECTED).values(
        account_id=account_id,
        purpose=purpose.value,
        email=email,
        email_key=email_key,
        asked_at=at,
        lapses_at=lapses_at,
    )
    await connection.execute(
        inserted.on_conflict_do_update(
            index_elements=list(_EXPECTED.primary_key), set_={"lapses_at": lapses_at}
        )
    )


async def is_kept_for_another(
    connection: AsyncConnection, account_id: str, email_key: str, at: datetime
) -> bool:
    """Return whether a holder other than this one may still go back to an address."""
    query = sa.select(_EXPECTED.c.account_id).where(
        _EXPECTED.c.email_key == email_key,
        _EXPECTED.c.account_id != account_id,
        _EXPECTED.c.lapses_at > at,
    )
    return (await connection.execute(query.limit(1))).scalar() is not None


async def make_link(  # noqa: PLR0917
    connection: AsyncConnection,
    purpose: Purpose,
    account_id: str,
    email: str,
    at: datetime,
    secret: str,
    *,
    reach: datetime | None = None,
) -> bool:
    """Make a link for a mail that is being sent; repeating it with the same secret changes nothing.

    Args:
        connection: With a transaction for writing.
        purpose: What the link does.
        account_id: The account.
        email: The address that it is about.
        at: Now: its life begins.
        secret: The secret in the mail, of at least 128 random bits.
        reach: When the session began whose act its mail reports; None: now.

    Returns:
        Whether it works. A link that a change has made stale is stored too, so that its page can
        say that it is over. Nothing is stored if there is no holder.
    """
    holders = tables.holders
    # A shared lock is enough: a change of the holder waits for it, another mail does not.
    held = sa.select(holders.c.account_id).where(holders.c.account_id == account_id)
    held = held.with_for_update(read=True, key_share=True)
    if (await connection.execute(held)).scalar() is None:
        return False
    expected = await connection.execute(
        sa.select(_EXPECTED.c.asked_at).where(
            _EXPECTED.c.account_id == account_id,
            _EXPECTED.c.purpose == purpose.value,
            _EXPECTED.c.email == email,
            _EXPECTED.c.lapses_at > at,
        )
    )
    asked_at = expected.scalar()
    await connection.execute(
        upsert(connection, _LINKS)
        .values(
            digest=digest(secret),
            purpose=purpose.value,
            account_id=account_id,
            email=email,
            asked_at=asked_at or at,
            reach=reach or at,
            expires_at=at + LIFETIMES[purpose] if asked_at else at,
        )
        .on_conflict_do_nothing()
    )
    return asked_at is not None


async def find(connection: AsyncConnection, digest: str) -> MadeLink | None:
    """Return a link by the digest of its secret."""
    row = (await connection.execute(sa.select(_LINKS).where(_LINKS.c.digest == digest))).first()
    if row is None:
        return None
    purpose = Purpose(row.purpose)
    link = Link(purpose, row.account_id, row.email, row.expires_at, row.used_at)
    # For a link that a change has ended this is too early, but it takes nothing back any more.
    made_at = row.expires_at - LIFETIMES[purpose]
    since = taken_back_since(made_at, row.reach)
    return MadeLink(link, row.asked_at, row.reach or made_at, since)


async def way_back(
    connection: AsyncConnection, account_id: str, email: str, at: datetime
) -> tuple[str, datetime] | None:
    """Return the key of an address that a holder can still go back to, and when they left it."""
    query = sa.select(_EXPECTED.c.email_key, _EXPECTED.c.asked_at).where(
        _EXPECTED.c.account_id == account_id,
        _EXPECTED.c.purpose == Purpose.UNDO_CHANGE.value,
        _EXPECTED.c.email == email,
        _EXPECTED.c.lapses_at > at,
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else (row.email_key, row.asked_at)


async def use(connection: AsyncConnection, digest: str, purpose: Purpose, at: datetime) -> bool:
    """Use a link up, in one step; False if it does not work, or no longer."""
    used = await connection.execute(
        sa.update(_LINKS)
        .where(
            _LINKS.c.digest == digest,
            _LINKS.c.purpose == purpose.value,
            _LINKS.c.used_at.is_(None),
            _LINKS.c.expires_at > at,
        )
        .values(used_at=at)
        .returning(_LINKS.c.digest)
    )
    return used.scalar() is not None


async def forget_elsewhere(connection: AsyncConnection, account_id: str, email: str) -> None:
    """Forget a holder's links that are about another address than this one."""
    await connection.execute(
        sa.delete(_LINKS).where(_LINKS.c.account_id == account_id, _LINKS.c.email != email)
    )


async def end(
    connection: AsyncConnection,
    account_id: str,
    purposes: Collection[Purpose],
    at: datetime,
    *,
    asked_from: datetime | None = None,
    but_at: str | None = None,
) -> None:
    """End a holder's links of these purposes, including those that are still to be made.

    Args:
        connection: With a transaction for writing, and the holder's lock.
        account_id: The account.
        purposes: Which purposes.
        at: Now.
        asked_from: Only those that were asked for then or later.
        but_at: Only those that are about another address than this one.
    """
    names = [purpose.value for purpose in purposes]
    expected = [_EXPECTED.c.account_id == account_id, _EXPECTED.c.purpose.in_(names)]
    made = [_LINKS.c.account_id == account_id, _LINKS.c.purpose.in_(names)]
    if asked_from is not None:
        expected.append(_EXPECTED.c.asked_at >= asked_from)
        made.append(_LINKS.c.asked_at >= asked_from)
    if but_at is not None:
        expected.append(_EXPECTED.c.email != but_at)
        made.append(_LINKS.c.email != but_at)
    await connection.execute(sa.delete(_EXPECTED).where(*expected))
    await connection.execute(
        sa.update(_LINKS)
        .where(*made, _LINKS.c.used_at.is_(None), _LINKS.c.expires_at > at)
        .values(expires_at=at)
    )
