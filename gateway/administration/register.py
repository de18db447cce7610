"""Stores the register of what people requested about their data, for operators.

What operators write commits together with its line in the audit log.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.audit_log import Act, Actor
from accounts.data_request import DataRequest, Right
from accounts.stores import audit_log, data_requests
from billing.clock import Clock, utc_now
from billing.stores import tables
from database.engine import TIMEOUT_S, reading, writing


class SqlRegister:
    """`gateway.administration.ports.Register` in SQLite or PostgreSQL."""

    def __init__(
        self, engine: AsyncEngine, *, clock: Clock = utc_now, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._timeout_s = timeout_s

    async def page(
        self, *, account_id: str, is_open: bool, limit: int, before: int | None
    ) -> Sequence[DataRequest]:
        """Return a page of requests; see the port."""
        async with reading(self._engine, self._timeout_s) as connection:
            return await data_requests.page(
                connection, account_id=account_id, is_open=is_open, limit=limit, before=before
            )

    async def ask(self, account_id: str, right: Right, operator: str) -> None:
        """Record a request, unless the same one is open. Raises LookupError: no account."""
        accounts = tables.accounts.c
        async with writing(self._engine, self._timeout_s) as connection:
            # Also for a deleted account: the person may ask what is left.
            found = sa.select(accounts.id).where(accounts.id == account_id).with_for_update()
            if await connection.scalar(found) is None:
                raise LookupError("no such account")
            at = self._clock()
            if await data_requests.ask(connection, account_id, right, at):
                await audit_log.record(
                    connection,
                    account_id,
                    Act.REQUEST_NOTED,
                    at,
                    Actor.OPERATOR,
                    reason=right.value,
                    operator=operator,
                )

    async def close(self, number: int, note: str, operator: str) -> bool:
        """Record that a request is answered; False if none with this number is open."""
        at = self._clock()
        async with writing(self._engine, self._timeout_s) as connection:
            closed = await data_requests.close(connection, number, at, Actor.OPERATOR, note)
            if closed is None:
                return False
            await audit_log.record(
                connection,
                closed.account_id,
                Act.REQUEST_ANSWERED,
                at,
                Actor.OPERATOR,
                reason=f"{closed.right.value}: {note}" if note else closed.right.value,
                operator=operator,
            )
        return True
