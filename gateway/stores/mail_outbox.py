"""Stores mails to people in SQL until they have been sent, and for a while after that.

A row has the name of a notice and its values, never a text or a link. Code that queues a mail
together with a change calls `queue_notice`, or `tell_holder`, in the change's own transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.link import Purpose
from accounts.notice import LAST_NOTICE, MailCounts, MailState, Notice, QueuedMail
from accounts.stores import holders, links
from accounts.stores import tables as people
from billing.clock import Clock, utc_now
from database.columns import NAMING_CONVENTION, UtcDateTime
from database.engine import TIMEOUT_S, reading, upsert, writing
from gateway.stores.people_transactions import locked

VALUES_LENGTH_MAX: Final = 4_000
EXPIRED_MAX: Final = 500
"""Rows per transaction when giving up: another writer must not wait for long."""
ENDED_LATELY: Final = timedelta(days=1)

_PENDING: Final = (MailState.QUEUED, MailState.SENDING)

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)


def _text(name: str, length_max: int) -> tuple[sa.Column[str], sa.CheckConstraint]:
    check = sa.CheckConstraint(f"length({name}) <= {length_max}", name=f"{name}_length")
    return sa.Column(name, sa.String, nullable=False, server_default=sa.text("''")), check


mail_outbox = sa.Table(
    "mail_outbox",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    # No foreign key: the row may be written before the account is known.
    sa.Column("account_id", sa.String, nullable=False, index=True),
    sa.Column("notice", sa.String, nullable=False),
    # Empty for whatever the account's own address is when the mail is sent.
    *_text("recipient", 320),
    # JSON, an object of strings.
    *_text("values_json", VALUES_LENGTH_MAX),
    *_text("link_purpose", 40),
    *_text("link_email", 320),
    *_text("once", 200),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default=sa.text("0")),
    # While it is being sent: when the sending process counts as dead.
    sa.Column("next_try_at", UtcDateTime, nullable=False),
    # Assigned at the first attempt.
    *_text("message_id", 400),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # When it was sent or abandoned.
    sa.Column("ended_at", UtcDateTime),
    *_text("failure", 200),
    # From when its link takes back what was added; NULL: from when it was queued.
    sa.Column("reach", UtcDateTime),
    sa.CheckConstraint("state IN ('queued', 'sending', 'sent', 'abandoned')", name="state"),
)
sa.Index("ix_mail_outbox_created_at", mail_outbox.c.created_at)
# On pending rows, and on rows with a `once`: the condition is in the migration only, because
# SQLAlchemy would load the other database's dialect into every process.
sa.Index("ix_mail_outbox_pending", mail_outbox.c.next_try_at)
sa.Index("uq_mail_outbox_once", mail_outbox.c.account_id, mail_outbox.c.once, unique=True)


async def queue_notice(
    connection: AsyncConnection, account_id: str, notice: Notice, at: datetime
) -> None:
    """Queue a mail within the caller's transaction.

    Only the first of an account's notices with the same `once` is stored. Raises ValueError for
    values that are too long.
    """
    values = msgspec.json.encode(dict(notice.values)).decode()
    if len(values) > VALUES_LENGTH_MAX:
        raise ValueError("the values of a notice are too long")
    await connection.execute(
        upsert(connection, mail_outbox)
        .values(
            id=secrets.token_hex(12),
            account_id=account_id,
            notice=notice.name,
            recipient=notice.recipient,
            values_json=values,
            link_purpose=notice.link or "",
            link_email=notice.link_email,
            reach=notice.reach,
            once=notice.once,
            state=MailState.QUEUED,
            next_try_at=at,
            created_at=at,
        )
        .on_conflict_do_nothing()
    )


async def tell_holder(
    connection: AsyncConnection, account_id: str, notice: Notice, at: datetime
) -> None:
    """Queue a mail to the account's holder, if there is one; its link works from now on."""
    holder = await holders.fetch(
        connection, holders.SELECT.where(people.holders.c.account_id == account_id)
    )
    if holder is not None:
        if notice.link is not None:
            await links.expect(connection, account_id, notice.link, holder.email, at)
        await queue_notice(connection, account_id, replace(notice, recipient=holder.email), at)


async def erase_mails(connection: AsyncConnection, account_id: str) -> None:
    """Delete all mails of an account, also pending ones, within the caller's transaction.

    Except the last one, which is deleted once it has been sent or abandoned.
    """
    rows = mail_outbox.c
    await connection.execute(
        sa.delete(mail_outbox).where(
            rows.account_id == account_id,
            sa.or_(rows.notice != LAST_NOTICE, rows.state.not_in(_PENDING)),
        )
    )


async def forget_strangers_mails(connection: AsyncConnection, account_id: str, email: str) -> None:
    """Delete an account's mails to, or about, any address but this, and all pending ones.

    Pending mails describe acts that are undone, and their links are dead.
    """
    rows = mail_outbox.c
    ours = ("", email)
    await connection.execute(
        sa.delete(mail_outbox).where(
            rows.account_id == account_id,
            sa.or_(
                rows.recipient.not_in(ours),
                rows.link_email.not_in(ours),
                rows.state == MailState.QUEUED,
            ),
        )
    )


class SqlMailOutbox:
    """The outbox in SQLite or PostgreSQL. Every method raises StoreUnavailableError."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Clock = utc_now,
        on_forgotten: Callable[[], None] = lambda: None,
    ) -> None:
        """Take a database, and what is called after each commit that deletes a last mail.

        The files of the database still contain it until they are compacted.
        """
        self._engine = engine
        self._on_forgotten = on_forgotten
        self._timeout_s = timeout_s
        self._clock = clock

    async def queue(self, account_id: str, notice: Notice) -> None:
        """Queue a mail that belongs to no other change. Raises ValueError as `queue_notice`."""
        async with writing(self._engine, self._timeout_s) as connection:
            await queue_notice(connection, account_id, notice, self._clock())

    async def queue_to_holder(self, account_id: str, notice: Notice) -> None:
        """Queue a mail as `queue` does, to the account's holder; its link works from now on.

        An account without a holder gets it without the link, which would have no one to lock out.
        """
        at = self._clock()
        async with writing(self._engine, self._timeout_s) as connection:
            # Locked: a change that ends links either waits, or has moved the holder already.
            if await locked(connection, account_id) is not None:
                await tell_holder(connection, account_id, notice, at)
            else:
                await queue_notice(connection, account_id, replace(notice, link=None), at)

    async def claim(
        self, count: int, *, domain: str, until: datetime, first: Collection[str] = ()
    ) -> Sequence[QueuedMail]:
        """Return due mails that no other process will send, longest due first.

        Args:
            count: How many at most.
            domain: Right-hand side of their Message-ID, which is given at the first claim.
            until: When the claim ends, and its holder counts as dead.
            first: Names of the notices whose mails come before all others.

        """
        rows, now = mail_outbox.c, self._clock()
        due = (
            sa.select(rows.id)
            .where(rows.state.in_(_PENDING), rows.next_try_at <= now)
            .order_by(sa.case((rows.notice.in_(first), 0), else_=1), rows.next_try_at)
            .limit(count)
        )
        # A look first, so as not to take SQLite's write lock each second for nothing.
        async with reading(self._engine, self._timeout_s) as connection:
            if await connection.scalar(due.limit(1)) is None:
                return ()
        async with writing(self._engine, self._timeout_s) as connection:
            ids = (await connection.scalars(due.with_for_update(skip_locked=True))).all()
            message_id = sa.case(
                (rows.message_id == "", sa.literal("<") + rows.id + f"@{domain}>"),
                else_=rows.message_id,
            )
            claimed = await connection.execute(
                sa.update(mail_outbox)
                .where(rows.id.in_(ids))
                .values(
                    state=MailState.SENDING,
                    tries=rows.tries + 1,
                    next_try_at=until,
                    message_id=message_id,
                )
                .returning(mail_outbox)
            )
            found = [_mail(row) for row in claimed.mappings()]
        return sorted(
            found, key=lambda mail: (mail.notice.name not in first, mail.created_at, mail.id)
        )

    async def sent(self, mail: QueuedMail) -> None:
        """Record that a mail was accepted by the server, whoever holds the claim by now."""
        await self._set(
            mail, mail_outbox.c.state != MailState.SENT, state=MailState.SENT, failure=""
        )

    async def put_off(self, mail: QueuedMail, failure: str, next_try_at: datetime) -> None:
        """Queue a claimed mail again; changes nothing once another process has claimed it."""
        await self._set(
            mail,
            _still_holds(mail),
            state=MailState.QUEUED,
            failure=failure,
            next_try_at=next_try_at,
            ended_at=None,
        )

    async def give_back(self, mails: Sequence[QueuedMail], next_try_at: datetime) -> None:
        """Queue claimed mails again that were not attempted, as if they had not been claimed."""
        async with writing(self._engine, self._timeout_s) as connection:
            for mail in mails:
                await connection.execute(
                    sa.update(mail_outbox)
                    .where(mail_outbox.c.id == mail.id, _still_holds(mail))
                    .values(state=MailState.QUEUED, tries=mail.tries - 1, next_try_at=next_try_at)
                )

    async def abandon(self, mail: QueuedMail, failure: str) -> None:
        """Give up a claimed mail; changes nothing once another process has claimed it."""
        await self._set(mail, _still_holds(mail), state=MailState.ABANDONED, failure=failure)

    async def _set(
        self, mail: QueuedMail, condition: sa.ColumnElement[bool], **values: Any
    ) -> None:
        async with writing(self._engine, self._timeout_s) as connection:
            await connection.execute(
                sa.update(mail_outbox)
                .where(mail_outbox.c.id == mail.id, condition)
                .values({"ended_at": self._clock(), **values})
            )
            is_last = mail.notice.name == LAST_NOTICE
            is_forgotten = is_last and await _forget_last(connection, [mail.id])
        if is_forgotten:
            self._on_forgotten()

    async def others_lately(
        self, mails: Sequence[QueuedMail], since: datetime
    ) -> Mapping[tuple[str, str], int]:
        """Return how many other mails the accounts of these get now, or got since then.

        By account and name of the notice; zeros are left out.
        """
        rows = mail_outbox.c
        query = (
            sa.select(rows.account_id, rows.notice, sa.func.count())
            .where(rows.account_id.in_({mail.account_id for mail in mails}))
            .where(rows.id.not_in([mail.id for mail in mails]))
            .where(
                sa.or_(
                    rows.state == MailState.SENDING,
                    sa.and_(rows.state == MailState.SENT, rows.ended_at > since),
                )
            )
            .group_by(rows.account_id, rows.notice)
        )
        async with reading(self._engine, self._timeout_s) as connection:
            found = (await connection.execute(query)).all()
        return {(account_id, notice): count for account_id, notice, count in found}

    async def counts(self) -> MailCounts:
        """Return the number of mails in each state, and what else an operator should know."""
        rows = mail_outbox.c
        states = sa.select(rows.state, sa.func.count()).group_by(rows.state)
        oldest = sa.select(sa.func.min(rows.created_at)).where(rows.state.in_(_PENDING))
        untaken = sa.select(sa.func.count()).where(
            rows.state == MailState.ABANDONED,
            rows.ended_at > self._clock() - ENDED_LATELY,
            # A refusal says something about an address, and anyone can invent one.
            sa.not_(rows.failure.startswith("5")),
            rows.tries > 1,
        )
        async with reading(self._engine, self._timeout_s) as connection:
            found: dict[str, int] = dict((await connection.execute(states)).all())
            return MailCounts(
                {state: found.get(state, 0) for state in MailState},
                await connection.scalar(oldest),
                int(await connection.scalar(untaken) or 0),
            )

    async def expire(self, created_before: datetime) -> int:
        """Abandon pending mails that were queued before this time; return how many."""
        rows = mail_outbox.c
        old = (
            sa.select(rows.id)
            .where(rows.state == MailState.QUEUED, rows.created_at < created_before)
            .limit(EXPIRED_MAX)
        )
        async with writing(self._engine, self._timeout_s) as connection:
            ids = (await connection.scalars(old.with_for_update(skip_locked=True))).all()
            await connection.execute(
                sa.update(mail_outbox)
                .where(rows.id.in_(ids))
                .values(state=MailState.ABANDONED, ended_at=self._clock())
            )
            is_forgotten = await _forget_last(connection, ids)
        if is_forgotten:
            self._on_forgotten()
        return len(ids)

    async def newest(self, count: int) -> Sequence[QueuedMail]:
        """Return the most recently queued mails of all accounts, newest first."""
        return await self._find(_NEWEST.limit(count))

    async def of_account(self, account_id: str) -> Sequence[QueuedMail]:
        """Return all stored mails of an account, newest first."""
        return await self._find(_NEWEST.where(mail_outbox.c.account_id == account_id))

    async def erase(self, account_id: str) -> None:
        """Delete all mails of an account."""
        async with writing(self._engine, self._timeout_s) as connection:
            await erase_mails(connection, account_id)

    async def _find(self, query: sa.Select[Any]) -> Sequence[QueuedMail]:
        async with reading(self._engine, self._timeout_s) as connection:
            return [_mail(row) for row in (await connection.execute(query)).mappings()]


def have_ended(before: datetime) -> sa.ColumnElement[bool]:
    """Return the condition that a mail was sent or abandoned before a time."""
    # A mail that ended was queued before it ended, which an index can find.
    return sa.and_(mail_outbox.c.created_at < before, mail_outbox.c.ended_at < before)


_NEWEST = sa.select(mail_outbox).order_by(mail_outbox.c.created_at.desc(), mail_outbox.c.id.desc())


async def _forget_last(connection: AsyncConnection, ids: Collection[str]) -> bool:
    """Delete those of these mails that were a person's last and have ended; False for none."""
    rows = mail_outbox.c
    forgotten = await connection.scalars(
        sa.delete(mail_outbox)
        .where(rows.id.in_(ids), rows.notice == LAST_NOTICE, rows.state.not_in(_PENDING))
        .returning(rows.id)
    )
    return bool(forgotten.all())


def _still_holds(mail: QueuedMail) -> sa.ColumnElement[bool]:
    """Return whether no one else has claimed a mail since this claim."""
    rows = mail_outbox.c
    return sa.and_(rows.state == MailState.SENDING, rows.tries == mail.tries)


def _mail(row: Mapping[Any, Any]) -> QueuedMail:
    purpose = row["link_purpose"]
    return QueuedMail(
        id=row["id"],
        account_id=row["account_id"],
        notice=Notice(
            row["notice"],
            row["recipient"],
            msgspec.json.decode(row["values_json"], type=dict[str, str]),
            Purpose(purpose) if purpose else None,
            row["link_email"],
            once=row["once"],
            reach=row["reach"],
        ),
        state=MailState(row["state"]),
        tries=row["tries"],
        created_at=row["created_at"],
        next_try_at=row["next_try_at"],
        message_id=row["message_id"],
        ended_at=row["ended_at"],
        failure=row["failure"],
    )
