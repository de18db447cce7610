"""Stores events in SQL until their endpoints have accepted them, and records each attempt.

The code that writes a fact calls `queue_events` in the same transaction. A sender holds a claim on
an endpoint, which expires, so that an endpoint that hangs does not delay the others.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.notice import Notice
from billing.clock import Clock, utc_now
from billing.ports import BookedEvent
from billing.stores.freezes import is_used
from database.engine import TIMEOUT_S, reading, upsert, writing
from gateway.settings import Settings
from gateway.stores.mail_outbox import queue_notice
from gateway.webhooks.events import CALL_ENDED, OF_ACCOUNTS, OF_OPERATOR, QueuedEvent, event_id
from gateway.webhooks.ports import (
    OPERATOR,
    AttemptOutcome,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointClaim,
    EndReason,
    called,
)
from gateway.webhooks.schedule import NEW_FOR, Verdict, is_given_up, rest_of
from gateway.webhooks.tables import (
    DATA_LENGTH_MAX,
    REASON_LENGTH_MAX,
    attempts,
    deliveries,
    endpoints,
)

PER_ACCOUNT_MAX: Final = 4
"""Endpoints of one account that all processes together send to at once."""
WAITING_MAX: Final = 10_000
"""Deliveries queued for one endpoint; beyond it the oldest are given up."""
ATTEMPTS_MAX: Final = 30
"""How many attempts of a delivery are kept, the newest ones."""
BATCH: Final = 500
"""Rows per transaction, so that other writers do not wait for long."""
CANDIDATES: Final = 200
"""Endpoints considered for one claim, so that those of a busy account do not hide the others."""
ACCOUNTS_PER_QUERY: Final = 1_000

_Row = sa.Row[*tuple[Any, ...]]
_E, _D = endpoints.c, deliveries.c
# Built once: building a statement costs more than running it, and this is part of each booking.
_LISTENING: Final = sa.select(_E.id, _E.account_id, _E.types).where(
    sa.or_(_E.account_id.in_(sa.bindparam("account_ids", expanding=True)), _E.account_id.is_(None)),
    _E.disabled_at.is_(None),
)
_OPERATOR_TYPES: Final = " ".join(OF_OPERATOR)
_IS_QUEUED: Final = _D.state == DeliveryState.QUEUED


def queue_events(connection: sa.Connection, events: Sequence[QueuedEvent], at: datetime) -> None:
    """Queue events for the endpoints that want them, within the caller's transaction.

    An event that an endpoint already has is not queued again. Raises ValueError for data that are
    too long.
    """
    listening = _listening(connection, {event.account_id for event in events})
    rows: list[dict[str, Any]] = []
    for event in events:
        theirs = (*listening.get(event.account_id, ()), *listening.get(None, ()))
        targets = [
            (each.id, each.account_id)
            for each in theirs
            # Without a filter an endpoint gets all types, also those of later releases.
            if event.type in (each.types.split() or OF_ACCOUNTS)
        ]
        rows += rows_of(event, targets, at)
    if rows:
        connection.execute(upsert(connection, deliveries).on_conflict_do_nothing(), rows)


def _listening(
    connection: sa.Connection, account_ids: Iterable[str]
) -> Mapping[str | None, Sequence[_Row]]:
    """Return the enabled endpoints of these accounts and of the operator, by account."""
    found: dict[str | None, list[_Row]] = {}
    ids = sorted(account_ids)
    for start in range(0, len(ids), ACCOUNTS_PER_QUERY):
        some = ids[start : start + ACCOUNTS_PER_QUERY]
        for row in connection.execute(_LISTENING, {"account_ids": some}):
            found.setdefault(row.account_id, []).append(row)
    return found


def queue_ended_calls(
    connection: sa.Connection, calls: Iterable[tuple[str, str]], at: datetime
) -> None:
    """Queue the ends of calls (call, account) within the transaction that books them."""
    ended = list(calls)
    # Looked up first, because most accounts have no endpoint.
    listening = _listening(connection, {account_id for _, account_id in ended})
    events = [
        QueuedEvent(account_id, event_id(CALL_ENDED, call_id), CALL_ENDED, at, call_id)
        for call_id, account_id in ended
        if account_id in listening
    ]
    if events:
        queue_events(connection, events, at)


def queue_news(connection: sa.Connection, news: BookedEvent, at: datetime) -> None:
    """Queue the event about a credit within the transaction that books it."""
    account_id, reference = str(news.data["account_id"]), str(news.data["reference"])
    told = QueuedEvent(account_id, event_id(news.name, reference), news.name, at, data=news.data)
    queue_events(connection, [told], at)


def rows_of(
    event: QueuedEvent, targets: Sequence[tuple[str, str | None]], at: datetime
) -> Sequence[dict[str, Any]]:
    """Return the rows of an event's deliveries to endpoints (endpoint, account).

    Raises ValueError for data that are too long.
    """
    data = msgspec.json.encode(event.data).decode() if event.data else ""
    if len(data) > DATA_LENGTH_MAX:
        raise ValueError("the data of an event are too long")
    return [
        {
            "id": "dlv_" + secrets.token_hex(12),
            "endpoint_id": endpoint_id,
            "account_id": account_id,
            "event_id": event.event_id,
            "type": event.type,
            "at": event.at,
            "call_id": event.call_id,
            "data_json": data,
            "state": DeliveryState.QUEUED.value,
            "next_try_at": at,
            "created_at": at,
        }
        for endpoint_id, account_id in targets
    ]


class SqlWebhookSpool:
    """`webhooks.ports.Spool` in SQLite or PostgreSQL."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        has_operator: bool = False,
        timeout_s: float = TIMEOUT_S,
        clock: Clock = utc_now,
    ) -> None:
        """Use a database; `has_operator` says whether the settings name the operator's endpoint."""
        self._engine = engine
        self._has_operator = has_operator
        self._timeout_s = timeout_s
        self._clock = clock

    async def queue(self, event: QueuedEvent) -> None:
        """Queue an event that belongs to no other change. Raises ValueError as `queue_events`."""
        # Read first, so that SQLite's write lock is not taken if there is no endpoint.
        async with reading(self._engine, self._timeout_s) as connection:
            mine = sa.or_(_E.account_id == event.account_id, _E.account_id.is_(None))
            is_wanted = await connection.scalar(sa.select(_E.id).where(mine).limit(1))
        if is_wanted is None and not self._has_operator:
            return
        at = self._clock()
        async with writing(self._engine, self._timeout_s) as connection:
            if self._has_operator:
                # Perhaps no worker has run since the setting was made.
                await connection.execute(_new_operator(connection, at).on_conflict_do_nothing())
            await connection.run_sync(queue_events, [event], at)

    async def set_operator(self) -> None:
        """Create the operator's endpoint, or delete it and everything queued for it."""
        at = self._clock()
        async with writing(self._engine, self._timeout_s) as connection:
            if not self._has_operator:
                await connection.execute(sa.delete(endpoints).where(_E.id == OPERATOR))
                return
            # A new release may report more events.
            types = {"types": _OPERATOR_TYPES}
            new = _new_operator(connection, at)
            await connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=types))

    async def claim(
        self, count: int, *, until: datetime, besides: Collection[str], doubtful: int
    ) -> Sequence[EndpointClaim]:
        """Claim endpoints with due deliveries, those that have waited longest first.

        At most `doubtful` of them are failing or new.
        """
        now = self._clock()
        is_doubtful = sa.or_(_E.failing_since.is_not(None), _E.created_at > now - NEW_FOR)
        waiting = sa.select(sa.literal(1)).where(
            _D.endpoint_id == _E.id, _IS_QUEUED, _D.next_try_at <= now
        )
        free = (
            _E.disabled_at.is_(None),
            _E.claimed_until <= now,
            _E.rests_until <= now,
            # The data of a restricted account are kept, but not sent to anyone.
            is_used(_E.account_id),
        )
        query = (
            sa.select(_E.id, _E.account_id, is_doubtful.label("is_doubtful"))
            .where(*free, _E.id.not_in(besides), waiting.exists())
            # Endpoints that answer come first, so that the others cannot hide them.
            .order_by(is_doubtful, _E.claimed_until, _E.id)
            .limit(CANDIDATES)
        )
        busy = (
            sa.select(_E.account_id, sa.func.count())
            .where(_E.claimed_until > now)
            .group_by(_E.account_id)
        )
        # Read first, so that SQLite's write lock is not taken every second for nothing.
        async with reading(self._engine, self._timeout_s) as connection:
            found = (await connection.execute(query)).all()
            taken: dict[str | None, int] = (
                {} if not found else {row[0]: row[1] for row in await connection.execute(busy)}
            )
        chosen = _fair(found, taken, count, doubtful)
        if not chosen:
            return ()
        async with writing(self._engine, self._timeout_s) as connection:
            # Checked again, because another process may have been faster.
            rows = await connection.execute(
                sa.update(endpoints)
                .where(_E.id.in_(chosen), *free)
                .values(claimed_until=until)
                .returning(endpoints)
            )
            return [EndpointClaim(endpoint_in(row, now), until) for row in rows]

    async def due(self, claim: EndpointClaim, count: int) -> Sequence[Delivery]:
        """Return the due deliveries of a claimed endpoint, longest due first."""
        query = (
            sa.select(deliveries)
            .where(_D.endpoint_id == claim.endpoint.id, _IS_QUEUED, _D.next_try_at <= self._clock())
            .order_by(_D.next_try_at, _D.created_at, _D.id)
            .limit(count)
        )
        async with reading(self._engine, self._timeout_s) as connection:
            return [delivery_in(row) for row in await connection.execute(query)]

    async def note(self, claim: EndpointClaim, delivery: Delivery, outcome: AttemptOutcome) -> bool:
        """Record an attempt; return False if this claim must send no more to the endpoint."""
        at, attempt = self._clock(), outcome.attempt
        async with writing(self._engine, self._timeout_s) as connection:
            # Locked first, in the order of a deletion of the endpoint, against deadlocks.
            row = await _lock(connection, claim)
            if row is None:
                return False
            noted = await connection.execute(
                sa.update(deliveries)
                # The count of tries tells this attempt from one that another process made.
                .where(_D.id == delivery.id, _IS_QUEUED, _D.tries == delivery.tries)
                .values(**_after(outcome, at), tries=attempt.number)
                .returning(_D.id)
            )
            # Otherwise it was sent again on request, or another process has recorded it.
            if noted.scalar() is not None:
                await connection.execute(
                    sa.insert(attempts).values(
                        delivery_id=delivery.id,
                        number=attempt.number,
                        account_id=delivery.account_id,
                        at=attempt.at,
                        status=attempt.status,
                        ms=attempt.ms,
                        reason=attempt.reason[:REASON_LENGTH_MAX],
                    )
                )
                # Only reached by sending the same delivery again and again.
                if attempt.number > ATTEMPTS_MAX:
                    await connection.execute(
                        sa.delete(attempts).where(
                            attempts.c.delivery_id == delivery.id,
                            attempts.c.number <= attempt.number - ATTEMPTS_MAX,
                        )
                    )
            return await self._note_endpoint(connection, row, outcome, at)

    async def _note_endpoint(
        self, connection: AsyncConnection, row: _Row, outcome: AttemptOutcome, at: datetime
    ) -> bool:
        """Update an endpoint's failures; after too long, disable it and mail its owner."""
        failures = 0 if outcome.verdict is Verdict.TAKEN else row.failures + 1
        since = (row.failing_since or at) if failures else None
        rests_until = at + rest_of(failures, outcome.verdict, outcome.retry_after)
        values = {"failures": failures, "failing_since": since, "rests_until": rests_until}
        await connection.execute(sa.update(endpoints).where(_E.id == row.id).values(values))
        if failures:
            gone = outcome.verdict is Verdict.GONE
            # The operator's endpoint is never disabled: it is a setting, and reports alarms.
            is_over = row.account_id is not None and (gone or is_given_up(since, at))
            # Of several attempts in flight only the first disables it and sends the mail.
            if is_over and row.disabled_at is None:
                why = EndReason.GONE if gone else EndReason.FAILING
                await disable(connection, row.id, why, at)
                label = called(row.label, row.url)
                told = Notice("webhook_disabled", values={"label": label, "why": why})
                await queue_notice(connection, row.account_id, told, at)
                return False
        return row.disabled_at is None and rests_until <= at

    async def abandon(self, claim: EndpointClaim, delivery: Delivery, why: EndReason) -> None:
        """Give up a delivery whose body cannot be written."""
        async with writing(self._engine, self._timeout_s) as connection:
            if await _lock(connection, claim) is None:
                return
            await connection.execute(
                sa.update(deliveries)
                .where(_D.id == delivery.id, _IS_QUEUED)
                .values(state=DeliveryState.ABANDONED, ended_at=self._clock(), failure=why)
            )

    async def release(self, claim: EndpointClaim) -> None:
        """Let other processes send to the endpoint."""
        async with writing(self._engine, self._timeout_s) as connection:
            await connection.execute(
                sa.update(endpoints)
                .where(_E.id == claim.endpoint.id, _E.claimed_until == claim.until)
                .values(claimed_until=self._clock())
            )

    async def tidy(self) -> int:
        """Give up deliveries to disabled endpoints and beyond `WAITING_MAX`; return how many.

        At most `BATCH` of each: call it until it returns 0.
        """
        at = self._clock()
        useless = (
            sa.select(_D.id).join(endpoints).where(_IS_QUEUED, _E.disabled_at.is_not(None))
        ).limit(BATCH)
        crowded = (
            sa.select(_D.endpoint_id)
            .where(_IS_QUEUED)
            .group_by(_D.endpoint_id)
            .having(sa.func.count() > WAITING_MAX)
        )
        count = 0
        async with reading(self._engine, self._timeout_s) as connection:
            found = {
                EndReason.DISABLED: list(await connection.scalars(useless)),
                EndReason.TOO_MANY: [],
            }
            for endpoint_id in list(await connection.scalars(crowded)):
                mine = sa.select(_D.id).where(_D.endpoint_id == endpoint_id, _IS_QUEUED)
                # The newest stay: a receiver that was away for so long asks for the old ones.
                oldest = mine.order_by(_D.created_at.desc(), _D.id).offset(WAITING_MAX).limit(BATCH)
                found[EndReason.TOO_MANY] += await connection.scalars(oldest)
        for why, ids in found.items():
            if ids:
                async with writing(self._engine, self._timeout_s) as connection:
                    await connection.execute(
                        sa.update(deliveries)
                        .where(_D.id.in_(ids), _IS_QUEUED)
                        .values(state=DeliveryState.ABANDONED, ended_at=at, failure=why)
                    )
                count += len(ids)
        return count


def _new_operator(connection: AsyncConnection, at: datetime) -> Any:
    times = dict.fromkeys(("created_at", "set_at", "rests_until", "claimed_until"), at)
    return upsert(connection, endpoints).values(id=OPERATOR, types=_OPERATOR_TYPES, **times)


async def disable(
    connection: AsyncConnection, endpoint_id: str, why: EndReason, at: datetime
) -> None:
    """Stop queueing and sending; `SqlWebhookSpool.tidy` gives up what is queued."""
    await connection.execute(
        sa.update(endpoints)
        .where(_E.id == endpoint_id, _E.disabled_at.is_(None))
        .values(disabled_at=at, disabled_why=why)
    )


def open_spool(settings: Settings, engine: AsyncEngine) -> SqlWebhookSpool:
    """Return the spool of a process, with the operator's endpoint if one is set."""
    return SqlWebhookSpool(engine, has_operator=bool(settings.events_url))


def endpoint_in(row: _Row, now: datetime) -> Endpoint:
    """Return the endpoint of a row, without an old secret that no longer signs."""
    is_turning = row.old_until is not None and row.old_until > now
    return Endpoint(
        row.id,
        row.account_id,
        row.url,
        row.label,
        tuple(row.types.split()),
        row.created_at,
        row.disabled_at,
        row.disabled_why,
        row.failing_since,
        row.old_until if is_turning else None,
        (row.seed, row.old_seed) if is_turning else (row.seed,),
        row.failures,
    )


def delivery_in(row: _Row) -> Delivery:
    """Return the delivery of a row."""
    return Delivery(
        row.id,
        row.endpoint_id,
        row.account_id,
        row.event_id,
        row.type,
        row.at,
        row.call_id,
        msgspec.json.decode(row.data_json or "{}"),
        DeliveryState(row.state),
        row.tries,
        row.tries_before,
        row.next_try_at,
        row.created_at,
        row.ended_at,
        row.failure,
    )


def _fair(
    found: Iterable[_Row], taken: Mapping[str | None, int], count: int, doubtful: int
) -> Sequence[str]:
    """Return the first of these endpoints, within the limits per account and of doubtful ones."""
    chosen: list[str] = []
    used = dict(taken)
    for endpoint_id, account_id, is_doubtful in found:
        if is_doubtful and not doubtful:
            continue
        if len(chosen) < count and used.get(account_id, 0) < PER_ACCOUNT_MAX:
            used[account_id] = used.get(account_id, 0) + 1
            doubtful -= bool(is_doubtful)
            chosen.append(endpoint_id)
    return chosen


async def _lock(connection: AsyncConnection, claim: EndpointClaim) -> _Row | None:
    """Return a claimed endpoint's row, locked; None if it is gone or another process has it.

    Transactions of money that queue events do not wait for this lock.
    """
    query = sa.select(endpoints).where(_E.id == claim.endpoint.id, _E.claimed_until == claim.until)
    return (await connection.execute(query.with_for_update(key_share=True))).one_or_none()


def _after(outcome: AttemptOutcome, at: datetime) -> dict[str, Any]:
    if outcome.verdict is Verdict.TAKEN:
        return {"state": DeliveryState.SENT, "ended_at": at, "failure": ""}
    failure = outcome.attempt.reason[:REASON_LENGTH_MAX]
    if outcome.next_try_at is None:
        return {"state": DeliveryState.ABANDONED, "ended_at": at, "failure": failure}
    return {"next_try_at": outcome.next_try_at, "failure": failure}
