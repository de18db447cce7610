"""Mails all holders once when a document has changed, a batch each minute.

The progress is a row that changes in the same transaction that queues the mails, so that no one is
mailed twice after a crash.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.consent import HISTORY, Document, History, Version
from accounts.notice import Notice
from accounts.stores import tables as people
from billing.clock import Clock, utc_now
from billing.stores import tables
from database.engine import TIMEOUT_S, reading, upsert, writing
from gateway.stores.mail_outbox import queue_notice

INTERVAL_S: Final = 60.0
PACE: Final = 100
"""Holders mailed per interval: the mail server must still deliver mails that people wait for."""

_NOTICES = people.policy_notices
_PATHS: Final = {Document.TERMS: "/terms", Document.PRIVACY: "/privacy", Document.ADULT: "/terms"}


class PolicyNotices:
    """Mails about versions posted after the first. Raises StoreUnavailableError."""

    def __init__(
        self,
        engine: AsyncEngine,
        history: History = HISTORY,
        *,
        clock: Clock = utc_now,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._engine = engine
        self._history = history
        self._clock = clock
        self._timeout_s = timeout_s
        self._done: set[str] = set()
        """Names of versions that everyone has been mailed about."""

    async def round(self) -> None:
        """Mail the next holders about each version that not everyone knows yet."""
        for document, version in _told_of(self._history):
            name = f"{document}:{version.date}"
            if name not in self._done and await self._tell(name, document, version):
                self._done.add(name)

    async def _tell(self, name: str, document: Document, version: Version) -> bool:
        """Mail the next holders; return whether all have been mailed."""
        async with reading(self._engine, self._timeout_s) as connection:
            done_at = await connection.scalar(
                sa.select(_NOTICES.c.done_at).where(_NOTICES.c.version == name)
            )
        if done_at is not None:
            return True
        async with writing(self._engine, self._timeout_s) as connection:
            return await self._tell_some(connection, name, document, version)

    async def _tell_some(
        self, connection: AsyncConnection, name: str, document: Document, version: Version
    ) -> bool:
        at = self._clock()
        await connection.execute(
            upsert(connection, _NOTICES).values(version=name, told_to="").on_conflict_do_nothing()
        )
        row = sa.select(_NOTICES.c.told_to).where(_NOTICES.c.version == name)
        # Locked: of two processes, one mails these, and the other the next.
        told_to = await connection.scalar(row.with_for_update())
        next_ones: Sequence[str] = (
            await connection.scalars(_next(str(told_to), document, version))
        ).all()
        notice = Notice(
            "policy_changed",
            values={
                "document": document,
                "version": version.date,
                "path": _PATHS[document],
                "material": "yes" if version.is_material else "",
            },
            once=f"policy:{name}",
        )
        for account_id in next_ones:
            await queue_notice(connection, account_id, notice, at)
        is_done = len(next_ones) < PACE
        await connection.execute(
            sa.update(_NOTICES)
            .where(_NOTICES.c.version == name)
            .values(
                told_to=next_ones[-1] if next_ones else told_to, done_at=at if is_done else None
            )
        )
        return is_done


def _told_of(history: History) -> Iterator[tuple[Document, Version]]:
    """Yield the versions that holders are mailed about: not the first, which changed nothing."""
    for document, versions in history.items():
        for version in versions[1:]:
            yield document, version


def _next(told_to: str, document: Document, version: Version) -> sa.Select[Any]:
    """Return the query of the next holders, except those who have accepted it, or a later one."""
    holders, accounts, consents = people.holders.c, tables.accounts.c, people.consents.c
    accepted = sa.select(consents.account_id).where(
        consents.account_id == holders.account_id,
        consents.document == document,
        consents.version >= version.date,
    )
    return (
        sa.select(holders.account_id)
        .join(tables.accounts, accounts.id == holders.account_id)
        .where(
            holders.account_id > told_to,
            # No mail to an address that no one has proven.
            holders.email_proven_at.is_not(None),
            accounts.deleted_at.is_(None),
            ~accepted.exists(),
        )
        .order_by(holders.account_id)
        .limit(PACE)
    )
