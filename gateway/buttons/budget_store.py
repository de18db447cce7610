"""Records in SQL which budget notices the owners of buttons have been sent."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.notice import Notice
from billing.clock import Clock, utc_now
from billing.stores import tables
from database.engine import TIMEOUT_S, reading, writing
from gateway.buttons.ports import Budgeted
from gateway.buttons.tables import buttons
from gateway.stores.mail_outbox import queue_notice

_BUTTONS, _KEYS = buttons.c, tables.api_keys.c


class SqlButtonBudgets:
    """The stored buttons, in SQLite or PostgreSQL. Every method raises StoreUnavailableError."""

    def __init__(
        self, engine: AsyncEngine, *, timeout_s: float = TIMEOUT_S, clock: Clock = utc_now
    ) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._clock = clock

    async def budgeted(self, after: str, limit: int) -> Sequence[Budgeted]:
        """Return the buttons with a budget whose ids come after this one, in order."""
        query = (
            sa.select(
                _BUTTONS.id,
                _BUTTONS.account_id,
                _BUTTONS.key_id,
                _BUTTONS.label,
                _KEYS.day_cap_micros,
                _KEYS.month_cap_micros,
                _BUTTONS.budget_told,
            )
            .join(tables.api_keys, _KEYS.id == _BUTTONS.key_id)
            .where(
                _BUTTONS.id > after,
                _KEYS.revoked_at.is_(None),
                sa.or_(_KEYS.day_cap_micros.is_not(None), _KEYS.month_cap_micros.is_not(None)),
            )
            .order_by(_BUTTONS.id)
            .limit(limit)
        )
        async with reading(self._engine, self._timeout_s) as connection:
            return [Budgeted(*row) for row in await connection.execute(query)]

    async def tell(self, button: Budgeted, told: str, notices: Sequence[Notice]) -> bool:
        """Queue mails, and store the new `told`, in one transaction.

        False, and nothing, if it has changed meanwhile.
        """
        at = self._clock()
        async with writing(self._engine, self._timeout_s) as connection:
            noted = await connection.execute(
                sa.update(buttons)
                # Another process may have sent it since this one looked.
                .where(_BUTTONS.id == button.button_id, _BUTTONS.budget_told == button.told)
                .values(budget_told=told)
                .returning(_BUTTONS.id)
            )
            if noted.scalar() is None:
                return False
            for notice in notices:
                await queue_notice(connection, button.account_id, notice, at)
        return True
