"""Keeps what callers say of calls, in the calls' own rows: it goes with them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.call_feedback import Feedback, Only, feedback_in, feedback_text
from billing.stores import tables
from database.engine import TIMEOUT_S, writing


class SqlFeedbackStore:
    """`FeedbackStore` in SQLite or PostgreSQL."""

    def __init__(self, engine: AsyncEngine, *, timeout_s: float = TIMEOUT_S) -> None:
        self._engine = engine
        self._timeout_s = timeout_s

    async def give(
        self, account_id: str, call_id: str, feedback: Feedback, only: Only | None = None
    ) -> Feedback | None:
        """Keep what is said first of a call, and return it.

        None if the account has no such call. Whoever repeats it changes nothing. Raises
        StoreUnavailableError.
        """
        if "\0" in call_id:  # PostgreSQL refuses such text with an error
            return None
        calls = tables.calls.c
        # A call that is forgotten is none any more.
        mine = [calls.id == call_id, calls.account_id == account_id, calls.forgotten_at.is_(None)]
        if only is not None:
            # Of one that goes on it is not known.
            mine += [calls.key_id == only.key_id, calls.ended_at > only.ended_after]
        change = (
            sa.update(tables.calls)
            .where(*mine, calls.feedback == "")
            .values(feedback=feedback_text(feedback))
        )
        async with writing(self._engine, self._timeout_s) as connection:
            await connection.execute(change)
            kept = await connection.scalar(sa.select(calls.feedback).where(*mine))
        return None if kept is None else feedback_in(kept)
