"""Stores exports of personal data in SQL, with their files in chunks.

In SQL, so that any node can serve what one process has made, and erasing an account deletes it in
the same transaction. The process that makes an export holds a claim, which each write checks and
renews: one that was silent too long cannot write any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.audit_log import Act, Actor
from accounts.data_request import Right
from accounts.export import CLAIM, TRIES_MAX, Export, ExportRefusal, ExportState, expiry, refusal
from accounts.notice import Notice
from accounts.session import is_of_epoch
from accounts.stores import audit_log, data_requests, holders, tables
from billing.clock import Clock, utc_now
from database.engine import TIMEOUT_S, reading, writing
from gateway.stores.mail_outbox import queue_notice

SHOWN_MAX: Final = 20
"""Exports of one account that are looked at: of a month, at three a day, the last week's."""

_EXPORTS: Final = tables.exports
_CHUNKS: Final = tables.export_chunks
_COLUMNS: Final = tuple(column for column in _EXPORTS.c if column.name != "claimed_until")
_UNDER_WAY: Final = (ExportState.QUEUED, ExportState.MAKING)


class SqlExports:
    """The exports in SQLite or PostgreSQL. Every method raises StoreUnavailableError."""

    def __init__(
        self, engine: AsyncEngine, *, clock: Clock = utc_now, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._timeout_s = timeout_s

    async def ask(
        self, account_id: str, credentials_epoch: int, export_id: str, session_digest: str
    ) -> Export | ExportRefusal | None:
        """Queue an export; None if the session that asks is over.

        A repeat with the same id finds the export already queued.
        """
        at = self._clock()
        async with writing(self._engine, self._timeout_s) as connection:
            if not await _lock_valid(connection, account_id, credentials_epoch):
                return None
            asked = await _of_account(connection, account_id)
            for export in asked:
                if export.id == export_id:
                    return export
            if refused := refusal(asked, at):
                return refused
            queued = await connection.execute(
                sa.insert(_EXPORTS)
                .values(
                    id=export_id,
                    account_id=account_id,
                    state=ExportState.QUEUED,
                    progress=0,
                    session_digest=session_digest,
                    asked_at=at,
                    tries=0,
                    size_bytes=0,
                )
                .returning(*_COLUMNS)
            )
            await audit_log.record(connection, account_id, Act.EXPORT_ASKED, at)
            await data_requests.ask(connection, account_id, Right.EXPORT, at)
            return _export(queued.one())

    async def of_account(self, account_id: str) -> Sequence[Export]:
        """Return an account's exports, newest first, at most `SHOWN_MAX`."""
        async with reading(self._engine, self._timeout_s) as connection:
            return await _of_account(connection, account_id)

    async def note_fetched(self, account_id: str, credentials_epoch: int) -> bool:
        """Record in the audit log that an export was fetched; False if the session is over."""
        async with writing(self._engine, self._timeout_s) as connection:
            if not await _lock_valid(connection, account_id, credentials_epoch):
                return False
            await audit_log.record(connection, account_id, Act.EXPORT_FETCHED, self._clock())
            return True

    async def chunk(self, export_id: str, number: int) -> bytes | None:
        """Return a chunk of a file; None after the last one."""
        query = sa.select(_CHUNKS.c.content).where(
            _CHUNKS.c.export_id == export_id, _CHUNKS.c.number == number
        )
        async with reading(self._engine, self._timeout_s) as connection:
            content: bytes | None = await connection.scalar(query)
        return content

    async def claim(self) -> tuple[Export, str] | None:
        """Return the export that has waited longest, and its reader's language; None if none waits.

        Leftovers of an earlier attempt are deleted. An export with no attempts left fails here.
        """
        now, exports = self._clock(), _EXPORTS.c
        free = (
            sa.select(exports.id)
            .where(
                exports.state.in_(_UNDER_WAY),
                sa.or_(exports.claimed_until.is_(None), exports.claimed_until <= now),
            )
            .order_by(exports.asked_at)
            .limit(1)
        )
        # A look first, so as not to take SQLite's write lock every few seconds for nothing.
        async with reading(self._engine, self._timeout_s) as connection:
            if await connection.scalar(free) is None:
                return None
        async with writing(self._engine, self._timeout_s) as connection:
            found = await connection.scalar(free.with_for_update(skip_locked=True))
            if found is None:
                return None
            await connection.execute(sa.delete(_CHUNKS).where(_CHUNKS.c.export_id == found))
            is_over = exports.tries >= TRIES_MAX
            claimed = await connection.execute(
                sa.update(_EXPORTS)
                .where(exports.id == found)
                .values(
                    state=sa.case((is_over, ExportState.FAILED), else_=ExportState.MAKING),
                    ended_at=sa.case((is_over, sa.literal(now)), else_=None),
                    tries=sa.case((is_over, exports.tries), else_=exports.tries + 1),
                    progress=0,
                    size_bytes=0,
                    claimed_until=now + CLAIM,
                )
                .returning(*_COLUMNS)
            )
            export = _export(claimed.one())
            if export.state is ExportState.FAILED:
                return None
            holder = tables.holders.c
            language = await connection.scalar(
                sa.select(holder.language).where(holder.account_id == export.account_id)
            )
        return export, str(language or "")

    async def add_chunk(self, export: Export, number: int, content: bytes, progress: int) -> bool:
        """Add a chunk, and renew the claim; False, changing nothing, if the claim is lost."""
        async with writing(self._engine, self._timeout_s) as connection:
            size = _EXPORTS.c.size_bytes + len(content)
            if not await self._set(connection, export, progress=progress, size_bytes=size):
                return False
            await connection.execute(
                sa.insert(_CHUNKS).values(export_id=export.id, number=number, content=content)
            )
            return True

    async def renew(self, export: Export, progress: int) -> bool:
        """Renew the claim when there is nothing to add yet; False if it is lost."""
        async with writing(self._engine, self._timeout_s) as connection:
            return await self._set(connection, export, progress=progress)

    async def finish(self, export: Export, notice: Notice) -> bool:
        """Make an export available, and notify its holder; False if the claim is lost."""
        now = self._clock()
        async with writing(self._engine, self._timeout_s) as connection:
            is_mine = await self._set(
                connection,
                export,
                state=ExportState.READY,
                progress=100,
                ended_at=now,
                expires_at=expiry(now),
            )
            if is_mine:
                account_id = export.account_id
                await queue_notice(connection, account_id, notice, now)
                await audit_log.record(connection, account_id, Act.EXPORT_READY, now, Actor.SERVICE)
                await data_requests.answer(connection, account_id, Right.EXPORT, now, Actor.SERVICE)
            return is_mine

    async def fail(self, export: Export) -> bool:
        """Give up on an export; False if the claim is lost."""
        async with writing(self._engine, self._timeout_s) as connection:
            is_mine = await self._set(
                connection, export, state=ExportState.FAILED, ended_at=self._clock()
            )
            if is_mine:
                mine = _CHUNKS.c.export_id == export.id
                await connection.execute(sa.delete(_CHUNKS).where(mine))
            return is_mine

    async def _set(self, connection: AsyncConnection, export: Export, **values: Any) -> bool:
        """Change an export that is being made under this claim."""
        exports = _EXPORTS.c
        changed = await connection.execute(
            sa.update(_EXPORTS)
            .where(
                exports.id == export.id,
                exports.state == ExportState.MAKING,
                exports.tries == export.tries,
            )
            .values({"claimed_until": self._clock() + CLAIM, **values})
            .returning(exports.id)
        )
        return changed.scalar() is not None


async def _lock_valid(connection: AsyncConnection, account_id: str, credentials_epoch: int) -> bool:
    """Return whether a session is still valid, and lock its holder."""
    query = holders.SELECT.where(tables.holders.c.account_id == account_id)
    holder = await holders.fetch(connection, query.with_for_update())
    return holder is not None and is_of_epoch(credentials_epoch, holder)


async def _of_account(connection: AsyncConnection, account_id: str) -> Sequence[Export]:
    query = (
        sa.select(*_COLUMNS)
        .where(_EXPORTS.c.account_id == account_id)
        .order_by(_EXPORTS.c.asked_at.desc(), _EXPORTS.c.id)
        .limit(SHOWN_MAX)
    )
    return [_export(row) for row in await connection.execute(query)]


def _export(row: sa.Row[Any]) -> Export:
    values = row._asdict()
    return Export(**values | {"state": ExportState(values["state"])})
