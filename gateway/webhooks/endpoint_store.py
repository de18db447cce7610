"""Stores the endpoints of accounts in SQL, and shows and repeats deliveries to them.

Endpoints of other accounts are not found. Of secrets it only stores the seeds from which they are
derived.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.audit_log import Act
from accounts.link import Purpose
from accounts.notice import Notice
from billing.clock import Clock, utc_now
from database.engine import TIMEOUT_S, reading, writing
from gateway.editors import Editor
from gateway.operators import Order
from gateway.scopes import Scope
from gateway.stores.editors import may_change, record
from gateway.stores.mail_outbox import tell_holder
from gateway.webhooks.events import TEST, QueuedEvent, event_id
from gateway.webhooks.ports import (
    ENDPOINTS_MAX,
    OLD_SECRET_LIVES,
    REPLAYED_MAX,
    Attempt,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointForm,
    EndReason,
    NotDone,
    called,
)
from gateway.webhooks.spool import delivery_in, disable, endpoint_in, rows_of
from gateway.webhooks.tables import attempts, deliveries, endpoints

TESTS_MAX: Final = 6
"""Test events of an endpoint per minute by its owner, against floods of other people's servers."""
_MINUTE: Final = timedelta(minutes=1)

_E, _D, _A = endpoints.c, deliveries.c, attempts.c
_AGAIN: Final = {
    "state": DeliveryState.QUEUED.value,
    "ended_at": None,
    "failure": "",
    # Its retry count starts over.
    "tries_before": _D.tries,
}


class SqlWebhookEndpoints:
    """`webhooks.ports.Endpoints` in SQLite or PostgreSQL."""

    def __init__(
        self, engine: AsyncEngine, *, timeout_s: float = TIMEOUT_S, clock: Clock = utc_now
    ) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._clock = clock

    async def of_account(self, account_id: str) -> Sequence[Endpoint]:
        """Return all endpoints of an account, the newest first: there are few."""
        query = (
            sa.select(endpoints)
            .where(_E.account_id == account_id)
            .order_by(_E.created_at.desc(), _E.id)
        )
        now = self._clock()
        async with reading(self._engine, self._timeout_s) as connection:
            return [endpoint_in(row, now) for row in await connection.execute(query)]

    async def find(self, account_id: str, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint of this account."""
        async with reading(self._engine, self._timeout_s) as connection:
            row = await _find(connection, account_id, endpoint_id)
        return None if row is None else endpoint_in(row, self._clock())

    async def add(
        self,
        account_id: str,
        editor: Editor,
        endpoint_id: str,
        form: EndpointForm,
        seed: str,
        *,
        since: datetime | None = None,
    ) -> Endpoint | NotDone:
        """Add an endpoint and queue the mail about it, or return the existing one with this id."""
        at = self._clock()
        async with writing(self._engine, self._timeout_s) as connection:
            # Locks the account, so that of two concurrent requests the second counts the first.
            if not await may_change(connection, account_id, editor, Scope.WEBHOOKS):
                return NotDone.SESSION_OVER
            # Before the limit is checked: the repeat of a request for the last one must succeed.
            if (known := await _find(connection, account_id, endpoint_id)) is not None:
                return endpoint_in(known, at)
            mine = sa.select(sa.func.count()).where(_E.account_id == account_id)
            if int(await connection.scalar(mine) or 0) >= ENDPOINTS_MAX:
                return NotDone.TOO_MANY
            times = dict.fromkeys(("created_at", "rests_until", "claimed_until", "set_at"), at)
            await connection.execute(
                sa.insert(endpoints).values(
                    id=endpoint_id, account_id=account_id, seed=seed, **times, **_columns(form, at)
                )
            )
            await record(connection, account_id, editor, Act.WEBHOOK_ADDED, at, about=endpoint_id)
            added = await _shown(connection, account_id, endpoint_id, at)
            await _tell(connection, added, at, since)
            return added

    async def change(
        self,
        account_id: str,
        editor: Editor,
        endpoint_id: str,
        form: EndpointForm,
        *,
        since: datetime | None = None,
    ) -> Endpoint | NotDone:
        """Change what the form says; enabling an endpoint again resets its failures.

        A mail is queued if events go to an address from now on.
        """
        at = self._clock()
        async with writing(self._engine, self._timeout_s) as connection:
            row = await _lock(connection, account_id, editor, endpoint_id)
            if isinstance(row, NotDone):
                return row
            is_enabled = row.disabled_at is not None and form.is_disabled is False
            # Enabling counts too: a thief who does it reads the events there.
            is_set = is_enabled or form.url not in (None, row.url)
            if values := _columns(form, at) | ({"set_at": at} if is_set else {}):
                await connection.execute(
                    sa.update(endpoints).where(_E.id == endpoint_id).values(values)
                )
            if form.is_disabled:
                why = EndReason.BY_OPERATOR if isinstance(editor, Order) else EndReason.BY_OWNER
                await disable(connection, endpoint_id, why, at)
            await record(connection, account_id, editor, Act.WEBHOOK_CHANGED, at, about=endpoint_id)
            changed = await _shown(connection, account_id, endpoint_id, at)
            if is_set:
                await _tell(connection, changed, at, since)
            return changed

    async def turn(
        self, account_id: str, editor: Editor, endpoint_id: str, seed: str
    ) -> Endpoint | NotDone:
        """Replace the secret; the old one keeps signing for `OLD_SECRET_LIVES`."""
        at = self._clock()
        async with writing(self._engine, self._timeout_s) as connection:
            row = await _lock(connection, account_id, editor, endpoint_id)
            if isinstance(row, NotDone):
                return row
            # A repeat replaces nothing more.
            if row.seed != seed:
                values = {"seed": seed, "old_seed": row.seed, "old_until": at + OLD_SECRET_LIVES}
                await connection.execute(
                    sa.update(endpoints).where(_E.id == endpoint_id).values(values)
                )
                await record(
                    connection, account_id, editor, Act.WEBHOOK_TURNED, at, about=endpoint_id
                )
            return await _shown(connection, account_id, endpoint_id, at)

    async def remove(self, account_id: str, editor: Editor, endpoint_id: str) -> NotDone | None:
        """Delete an endpoint and everything queued for it."""
        async with writing(self._engine, self._timeout_s) as connection:
            row = await _lock(connection, account_id, editor, endpoint_id)
            if isinstance(row, NotDone):
                return row
            # Its deliveries and attempts are deleted with it (ON DELETE CASCADE).
            await connection.execute(sa.delete(endpoints).where(_E.id == endpoint_id))
            await record(
                connection,
                account_id,
                editor,
                Act.WEBHOOK_REMOVED,
                self._clock(),
                about=endpoint_id,
            )
            return None

    async def test(
        self, account_id: str, endpoint_id: str, order: Order | None = None
    ) -> Delivery | NotDone:
        """Queue a new test event, at most `TESTS_MAX` a minute unless by an order.

        Beyond that the newest one is returned.
        """
        at = self._clock()
        named = event_id(TEST, endpoint_id, secrets.token_hex(16))
        told = QueuedEvent(account_id, named, TEST, at, data={"account_id": account_id})
        tests = (
            sa.select(deliveries)
            .where(_D.endpoint_id == endpoint_id, _D.type == TEST, _D.created_at > at - _MINUTE)
            .order_by(_D.created_at.desc(), _D.id.desc())
            .limit(TESTS_MAX)
        )
        async with writing(self._engine, self._timeout_s) as connection:
            row = await _find(connection, account_id, endpoint_id, locked=True)
            if row is None:
                return NotDone.NOT_FOUND
            if row.disabled_at is not None:
                return NotDone.IS_DISABLED
            recent = (await connection.execute(tests)).all()
            if len(recent) >= TESTS_MAX and order is None:
                return delivery_in(recent[0])
            # Sent even if the endpoint does not subscribe to it: its owner wants to see it arrive.
            new = rows_of(told, [(endpoint_id, account_id)], at)
            await connection.execute(sa.insert(deliveries), new)
            # Otherwise the test of a failing endpoint would wait for minutes.
            await _end_rest(connection, endpoint_id, at)
            if order is not None:
                await record(
                    connection, account_id, order, Act.WEBHOOK_TESTED, at, about=endpoint_id
                )
            mine = sa.select(deliveries).where(_D.endpoint_id == endpoint_id, _D.event_id == named)
            return delivery_in((await connection.execute(mine)).one())

    async def deliveries(
        self, account_id: str, endpoint_id: str, *, limit: int, before: str | None
    ) -> Sequence[tuple[Delivery, Sequence[Attempt]]]:
        """Return an endpoint's deliveries, newest first, older than the delivery `before`."""
        mine = (_D.endpoint_id == endpoint_id, _D.account_id == account_id)
        query = sa.select(deliveries).where(*mine)
        if before is not None:
            # A subquery without a row is NULL, and no position is less than NULL.
            start = sa.select(_D.created_at, _D.id).where(*mine, _D.id == before)
            query = query.where(sa.tuple_(_D.created_at, _D.id) < start.scalar_subquery())
        query = query.order_by(_D.created_at.desc(), _D.id.desc()).limit(limit)
        async with reading(self._engine, self._timeout_s) as connection:
            found = [delivery_in(row) for row in await connection.execute(query)]
            tried = await _attempts(connection, [each.id for each in found])
        return [(each, tried.get(each.id, ())) for each in found]

    async def replay(
        self, account_id: str, endpoint_id: str, delivery_id: str, order: Order | None = None
    ) -> Delivery | NotDone:
        """Send a delivery again, as the same message."""
        at = self._clock()
        one = (_D.id == delivery_id, _D.endpoint_id == endpoint_id, _D.account_id == account_id)
        async with writing(self._engine, self._timeout_s) as connection:
            endpoint = await _find(connection, account_id, endpoint_id, locked=True)
            found = (await connection.execute(sa.select(deliveries).where(*one))).one_or_none()
            if endpoint is None or found is None:
                return NotDone.NOT_FOUND
            if endpoint.disabled_at is not None:
                return NotDone.IS_DISABLED
            await _send_again(connection, endpoint_id, sa.and_(*one), at)
            if order is not None:
                await record(
                    connection, account_id, order, Act.WEBHOOK_REPLAYED, at, about=endpoint_id
                )
            return delivery_in((await connection.execute(sa.select(deliveries).where(*one))).one())

    async def replay_failed(
        self, account_id: str, endpoint_id: str, since: datetime, order: Order | None = None
    ) -> int | NotDone:
        """Send abandoned deliveries of events since then again; return how many."""
        at = self._clock()
        failed = (
            sa.select(_D.id)
            .where(
                _D.endpoint_id == endpoint_id,
                _D.state == DeliveryState.ABANDONED,
                _D.created_at >= since,
            )
            # Oldest first, so that a receiver gets them roughly in the order of the events.
            .order_by(_D.created_at, _D.id)
            .limit(REPLAYED_MAX)
        )
        async with writing(self._engine, self._timeout_s) as connection:
            endpoint = await _find(connection, account_id, endpoint_id, locked=True)
            if endpoint is None:
                return NotDone.NOT_FOUND
            if endpoint.disabled_at is not None:
                return NotDone.IS_DISABLED
            ids = (await connection.scalars(failed)).all()
            await _send_again(connection, endpoint_id, _D.id.in_(ids), at)
            if ids and order is not None:
                await record(
                    connection, account_id, order, Act.WEBHOOK_REPLAYED, at, about=endpoint_id
                )
        return len(ids)


def _columns(form: EndpointForm, at: datetime) -> dict[str, Any]:
    """Return the columns that a form sets."""
    values: dict[str, Any] = {}
    if form.url is not None:
        values["url"] = form.url
    if form.label is not None:
        values["label"] = form.label
    if form.types is not None:
        values["types"] = form.types
    if form.is_disabled is False:
        values |= {"disabled_at": None, "disabled_why": ""}
        values |= {"failing_since": None, "failures": 0, "rests_until": at}
    return values


async def _find(
    connection: AsyncConnection, account_id: str, endpoint_id: str, *, locked: bool = False
) -> sa.Row[Any] | None:
    query = sa.select(endpoints).where(_E.id == endpoint_id, _E.account_id == account_id)
    if locked:
        # Transactions of money that queue events do not wait for this lock.
        query = query.with_for_update(key_share=True)
    return (await connection.execute(query)).one_or_none()


async def _lock(
    connection: AsyncConnection, account_id: str, editor: Editor, endpoint_id: str
) -> sa.Row[Any] | NotDone:
    """Return an endpoint's row, locked, if the editor may change it."""
    if not await may_change(connection, account_id, editor, Scope.WEBHOOKS):
        return NotDone.SESSION_OVER
    row = await _find(connection, account_id, endpoint_id, locked=True)
    return NotDone.NOT_FOUND if row is None else row


async def _shown(
    connection: AsyncConnection, account_id: str, endpoint_id: str, at: datetime
) -> Endpoint:
    row = await _find(connection, account_id, endpoint_id)
    assert row is not None, "it is locked"
    return endpoint_in(row, at)


async def _tell(
    connection: AsyncConnection, endpoint: Endpoint, at: datetime, since: datetime | None = None
) -> None:
    """Mail the account holder that events go to an address from now on.

    `since` is when the requesting session began: the mail's link undoes everything since then.
    """
    assert endpoint.account_id is not None, "it is an account's"
    values = {"label": called(endpoint.label, endpoint.url), "at": at.isoformat()}
    told = Notice("webhook_set", values=values, link=Purpose.NOT_ME, reach=since)
    await tell_holder(connection, endpoint.account_id, told, at)


async def _send_again(
    connection: AsyncConnection, endpoint_id: str, which: sa.ColumnElement[bool], at: datetime
) -> None:
    """Queue deliveries again."""
    await connection.execute(sa.update(deliveries).where(which).values(**_AGAIN, next_try_at=at))
    await _end_rest(connection, endpoint_id, at)


async def _end_rest(connection: AsyncConnection, endpoint_id: str, at: datetime) -> None:
    """End the rest of an endpoint: a request by its owner is sent at once."""
    await connection.execute(
        sa.update(endpoints).where(_E.id == endpoint_id).values(rests_until=at, failures=0)
    )


async def _attempts(
    connection: AsyncConnection, delivery_ids: Sequence[str]
) -> Mapping[str, Sequence[Attempt]]:
    rows = await connection.execute(
        sa.select(attempts).where(_A.delivery_id.in_(delivery_ids)).order_by(_A.number)
    )
    found: dict[str, list[Attempt]] = {}
    for row in rows:
        attempt = Attempt(row.number, row.at, row.status, row.ms, row.reason)
        found.setdefault(row.delivery_id, []).append(attempt)
    return found
