"""Records submitted page forms, so that no form is processed twice in a row.

A row written in the same transaction records for a week that it was done; where it led to is stored
with idempotency keys, for a day.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.clock import Clock, utc_now
from database.columns import NAMING_CONVENTION, UtcDateTime
from database.engine import upsert
from gateway.errors import FormSentBeforeError
from gateway.stores.wishes import KEPT_S, RedisWishes

_HALF: Final = 32
"""Characters of each half of a digest."""
SENT_KEPT: Final = timedelta(days=7)
"""A page may stay open for days, and is sent again when the browser restores its tabs."""

ANSWER_KEPT_S: Final = 30
"""Far longer than a browser takes to send a form twice."""

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)

sent_forms = sa.Table(
    "sent_forms",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
)


class SqlSentForms:
    """The submitted forms; where each led to is in Valkey."""

    def __init__(self, wishes: RedisWishes, *, clock: Clock = utc_now) -> None:
        self.wishes = wishes
        self._clock = clock

    async def note(self, connection: AsyncConnection, digest: str) -> None:
        """Record that this transaction processes a form. Raises FormSentBeforeError.

        The same form may be sent again if it was sent with other values since: a person who goes
        back to the page and sets the first value again means it.
        """
        shown = digest[:_HALF]
        await connection.execute(
            sa.delete(sent_forms).where(
                sent_forms.c.digest.between(shown + "0" * _HALF, shown + "f" * _HALF),
                sent_forms.c.digest != digest,
            )
        )
        # Of two at once, the second waits here for the commit of the first.
        noted = await connection.execute(
            upsert(connection, sent_forms)
            .values(digest=digest, at=self._clock())
            .on_conflict_do_nothing()
            .returning(sent_forms.c.digest)
        )
        if noted.scalar() is None:
            raise FormSentBeforeError

    async def outcome(self, digest: str) -> bytes | None:
        """Return where a form led to; None if that is not known.

        Raises StoreUnavailableError.
        """
        kept = await self.wishes.find(_name(digest))
        is_same = kept is not None and kept.startswith(digest[_HALF:].encode())
        return kept[_HALF:] if kept is not None and is_same else None

    async def keep(self, digest: str, outcome: bytes, *, is_brief: bool = False) -> None:
        """Store where a form led to, for a day, or (`is_brief`) as long as an answer.

        Raises StoreUnavailableError.
        """
        kept_s = ANSWER_KEPT_S if is_brief else KEPT_S
        await self.wishes.replace(_name(digest), digest[_HALF:].encode() + outcome, kept_s)


def _name(digest: str) -> str:
    return f"form\0{digest[:_HALF]}"
