"""Stores buttons in SQL: rules, publishable keys, pauses, and what their calls cost.

A button has an API key of scope `embed`, which pays and has its budgets; its publishable keys only
lead to it, so a button with two of them spends no more than with one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime, time
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.audit_log import Act
from accounts.notice import Notice
from billing.clock import Clock, utc_now
from billing.stores import tables
from database.engine import TIMEOUT_S, reading, upsert, writing
from gateway import scopes as scope_names
from gateway.buttons.ports import (
    BUTTONS_MAX,
    DESTINATIONS_MAX,
    KEYS_MAX,
    USAGE_DAYS_MAX,
    Button,
    ButtonChange,
    ButtonKey,
    CodeTry,
    DayUsage,
    NewButton,
    ProvenDestination,
    TakenBack,
)
from gateway.buttons.tables import button_keys, buttons, proven_destinations
from gateway.cause import Cause
from gateway.editors import Editor
from gateway.embed.found_button import FoundButton
from gateway.embed.keys import KeyMode, mode_of
from gateway.embed.rules import ButtonRules
from gateway.scopes import Scope
from gateway.stores.accounts import CAP_KNOWN_AFTER, KEY_ID_CHARACTERS
from gateway.stores.editors import may_change, record
from gateway.stores.mail_outbox import tell_holder

_BUTTONS, _TEXTS, _KEYS = buttons.c, button_keys.c, tables.api_keys.c
_APART: Final = {"destination": "", "day_cap_micros": None, "month_cap_micros": None}
"""Rules stored in columns of their own."""
_decode = msgspec.json.Decoder(ButtonRules).decode


class SqlButtons:
    """`buttons.ports.Buttons` and `embed.found_button.ButtonKeys` in SQLite or PostgreSQL.

    `on_change` is awaited after each commit that changes what a button may do; if it raises
    StoreUnavailableError, the change is kept, and a repeat calls it again.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        on_change: Callable[[], Awaitable[None]],
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Clock = utc_now,
    ) -> None:
        self._engine = engine
        self._on_change = on_change
        self._timeout_s = timeout_s
        self._clock = clock

    # For visitors.

    async def by_key(self, key: str) -> FoundButton | None:
        """Return the button of a publishable key that still works."""
        if (mode := mode_of(key)) is None:
            return None
        query = (
            _SELECT.add_columns(_TEXTS.ends_at)
            .join(button_keys, _TEXTS.button_id == _BUTTONS.id)
            .where(_TEXTS.key == key, _KEYS.revoked_at.is_(None))
        )
        async with self._reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None or _is_past(row.ends_at, self._clock()):
            return None
        paused = row.paused_at is not None
        ids = (row.id, row.account_id, row.key_id)
        return FoundButton(*ids, mode, _rules_of(row), paused, key, row.ends_at)

    # For owners.

    async def of_account(self, account_id: str) -> Sequence[Button]:
        """Return an account's buttons, newest first."""
        return await self._find(_BUTTONS.account_id == account_id)

    async def read(self, account_id: str, button_id: str) -> Button | None:
        """Return one of an account's buttons."""
        found = await self._find(_BUTTONS.account_id == account_id, _BUTTONS.id == button_id)
        return found[0] if found else None

    async def was_made(self, account_id: str, button_id: str) -> bool:
        """Return whether it was ever an account's, even if it was deleted since."""
        async with self._reading() as connection:
            return await _was_of(connection, account_id, button_id)

    async def _find(self, *where: sa.ColumnElement[bool]) -> Sequence[Button]:
        now = self._clock()
        query = _SELECT.where(*where).order_by(_BUTTONS.made_at.desc(), _BUTTONS.id)
        texts = (
            sa.select(button_keys)
            .join(buttons, _TEXTS.button_id == _BUTTONS.id)
            .where(*where)
            .order_by(_TEXTS.made_at.desc(), _TEXTS.key)
        )
        async with self._reading() as connection:
            rows = (await connection.execute(query.limit(BUTTONS_MAX))).all()
            keys: dict[str, list[ButtonKey]] = {}
            for text in (await connection.execute(texts)).all():
                mode = mode_of(text.key)
                if mode is not None and not _is_past(text.ends_at, now):
                    key = ButtonKey(text.key, mode, text.made_at, text.ends_at)
                    keys.setdefault(text.button_id, []).append(key)
        return [
            Button(
                row.id,
                row.account_id,
                row.key_id,
                row.label,
                _rules_of(row),
                keys.get(row.id, ()),
                row.made_at,
                row.paused_at,
            )
            for row in rows
        ]

    async def make(
        self,
        account_id: str,
        editor: Editor,
        new: NewButton,
        notice: Notice | None = None,
    ) -> ButtonChange:
        """Make a button with its keys, and queue the mail about it."""
        at, rules = self._clock(), new.rules
        key_hash = _key_hash_of(new.id)
        key_id = key_hash[:KEY_ID_CHARACTERS]
        async with self._writing() as connection:
            if not await may_change(connection, account_id, editor):
                return ButtonChange.SESSION_OVER
            mine = sa.select(_BUTTONS.id).where(_BUTTONS.account_id == account_id)
            known = set(await connection.scalars(mine))
            if new.id in known:
                return ButtonChange.DONE
            # If a request is repeated, what was deleted stays deleted.
            if await _was_of(connection, account_id, new.id):
                return ButtonChange.NOT_FOUND
            if len(known) >= BUTTONS_MAX:
                return ButtonChange.TOO_MANY
            if not await _is_proven(connection, account_id, rules.destination):
                return ButtonChange.UNPROVEN
            await connection.execute(
                upsert(connection, tables.api_keys).values(
                    id=key_id,
                    key_hash=key_hash,
                    account_id=account_id,
                    label=new.label,
                    created_at=at,
                    day_cap_micros=rules.day_cap_micros,
                    month_cap_micros=rules.month_cap_micros,
                    scopes=scope_names.to_text({Scope.EMBED}),
                )
            )
            await connection.execute(
                sa.insert(buttons).values(
                    id=new.id,
                    account_id=account_id,
                    key_id=key_id,
                    label=new.label,
                    made_at=at,
                    **_columns_of(rules),
                )
            )
            await connection.execute(
                sa.insert(button_keys),
                [
                    {"key": text, "button_id": new.id, "account_id": account_id, "made_at": at}
                    for text in (new.live_key, new.test_key)
                ],
            )
            await record(connection, account_id, editor, Act.BUTTON_MADE, at)
            if notice is not None:
                await tell_holder(connection, account_id, notice, at)
        return ButtonChange.DONE

    async def change(
        self,
        account_id: str,
        editor: Editor,
        button_id: str,
        *,
        label: str,
        rules: ButtonRules,
    ) -> ButtonChange:
        """Replace label and rules."""
        at = self._clock()
        async with self._writing() as connection:
            known, change = await _locked(connection, account_id, editor, button_id)
            if known is None:
                return change
            # The current destination was proven when it was set, whatever happened to the proof
            # since.
            if rules.destination != known.destination and not await _is_proven(
                connection, account_id, rules.destination
            ):
                return ButtonChange.UNPROVEN
            values = {"label": label, **_columns_of(rules)}
            caps = {
                "day_cap_micros": rules.day_cap_micros,
                "month_cap_micros": rules.month_cap_micros,
            }
            before = {name: getattr(known, name) for name in (*values, *caps)}
            if before != values | caps:
                await connection.execute(
                    sa.update(buttons).where(_BUTTONS.id == button_id).values(values)
                )
                begins = any(cap is not None and before[name] is None for name, cap in caps.items())
                # As for an account's caps: nodes cache a key for a while.
                counted = {"caps_counted_from": at + CAP_KNOWN_AFTER} if begins else {}
                await connection.execute(
                    sa.update(tables.api_keys)
                    .where(_KEYS.id == known.key_id)
                    .values(label=label, **caps, **counted)
                )
                await record(connection, account_id, editor, Act.BUTTON_CHANGED, at)
        await self._on_change()
        return ButtonChange.DONE

    async def pause(
        self, account_id: str, editor: Editor, button_id: str, *, is_paused: bool
    ) -> ButtonChange:
        """Stop it from taking calls, or let it take calls again."""
        at = self._clock()
        async with self._writing() as connection:
            known, change = await _locked(connection, account_id, editor, button_id)
            if known is None:
                return change
            if not is_paused and not await _is_proven(connection, account_id, known.destination):
                return ButtonChange.UNPROVEN
            if is_paused != (known.paused_at is not None):
                paused_at = at if is_paused else None
                await connection.execute(
                    sa.update(buttons).where(_BUTTONS.id == button_id).values(paused_at=paused_at)
                )
                act = Act.BUTTON_PAUSED if is_paused else Act.BUTTON_RESUMED
                await record(connection, account_id, editor, act, at)
        await self._on_change()
        return ButtonChange.DONE

    async def turn(
        self,
        account_id: str,
        editor: Editor,
        button_id: str,
        *,
        new_key: str,
        ends_at: datetime,
    ) -> ButtonChange:
        """Give it a new live key; the current one works until `ends_at`."""
        assert mode_of(new_key) is KeyMode.LIVE
        at = self._clock()
        mine = _TEXTS.button_id == button_id
        async with self._writing() as connection:
            known, change = await _locked(connection, account_id, editor, button_id)
            if known is None:
                return change
            await connection.execute(sa.delete(button_keys).where(mine, _TEXTS.ends_at <= at))
            texts = await connection.scalars(sa.select(_TEXTS.key).where(mine))
            live = {text for text in texts if mode_of(text) is KeyMode.LIVE}
            if new_key not in live:
                if len(live) >= KEYS_MAX:
                    return ButtonChange.TOO_MANY
                await connection.execute(
                    sa.update(button_keys)
                    .where(mine, _TEXTS.key.in_(live), _TEXTS.ends_at.is_(None))
                    .values(ends_at=ends_at)
                )
                await connection.execute(
                    sa.insert(button_keys).values(
                        key=new_key, button_id=button_id, account_id=account_id, made_at=at
                    )
                )
                await record(connection, account_id, editor, Act.BUTTON_TURNED, at)
        await self._on_change()
        return ButtonChange.DONE

    async def delete(self, account_id: str, editor: Editor, button_id: str) -> ButtonChange:
        """Delete it with its keys; its API key stays, revoked, for the call records."""
        at = self._clock()
        async with self._writing() as connection:
            known, change = await _locked(connection, account_id, editor, button_id)
            if known is None:
                is_gone = await _was_of(connection, account_id, button_id)
                return ButtonChange.DONE if change is ButtonChange.NOT_FOUND and is_gone else change
            await connection.execute(sa.delete(button_keys).where(_TEXTS.button_id == button_id))
            await connection.execute(sa.delete(buttons).where(_BUTTONS.id == button_id))
            await connection.execute(
                sa.update(tables.api_keys)
                .where(_KEYS.id == known.key_id, _KEYS.revoked_at.is_(None))
                .values(revoked_at=at)
            )
            await record(connection, account_id, editor, Act.BUTTON_DELETED, at)
        await self._on_change()
        return ButtonChange.DONE

    async def note_ended(self, account_id: str, editor: Editor, button_id: str) -> ButtonChange:
        """Record in the audit log that its calls were ended."""
        async with self._writing() as connection:
            known, change = await _locked(connection, account_id, editor, button_id)
            if known is None:
                return change
            act = Act.BUTTON_CALLS_ENDED
            await record(connection, account_id, editor, act, self._clock())
        return ButtonChange.DONE

    async def usage(self, account_id: str, *, since: date) -> Mapping[str, Sequence[DayUsage]]:
        """Return button id -> its days with calls since then, newest first."""
        calls = tables.calls.c
        is_sqlite = self._engine.dialect.name == "sqlite"
        moment: sa.ColumnElement[Any] = (
            calls.created_at if is_sqlite else sa.func.timezone("UTC", calls.created_at)
        )
        day = sa.func.date(moment)
        query = (
            sa.select(
                _BUTTONS.id.label("button_id"),
                day.label("day"),
                sa.func.count().label("calls"),
                sa.func.count(calls.answered_at).label("answered"),
                sa.func.sum(calls.seconds).label("seconds"),
                sa.func.sum(calls.spent_micros).label("micros"),
            )
            .join(buttons, _BUTTONS.key_id == calls.key_id)
            .where(
                calls.account_id == account_id,
                calls.created_at >= datetime.combine(since, time(), UTC),
                # A live call has only a hold, no charge.
                calls.closed,
                # Refused once its hold was placed, as one of too many that began at once.
                calls.cause.is_distinct_from(Cause.SERVICE_UNAVAILABLE.value),
            )
            .group_by(_BUTTONS.id, day)
            .order_by(day.desc(), _BUTTONS.id)
            .limit(USAGE_DAYS_MAX * BUTTONS_MAX)
        )
        async with self._reading() as connection:
            rows = (await connection.execute(query)).all()
        found: dict[str, list[DayUsage]] = {}
        for row in rows:
            counts = (int(row.calls), int(row.answered), int(row.seconds), int(row.micros))
            usage = DayUsage(date.fromisoformat(str(row.day)), *counts)
            found.setdefault(row.button_id, []).append(usage)
        return found

    async def destinations(self, account_id: str) -> Sequence[ProvenDestination]:
        """Return the numbers that the account has proven, newest first."""
        proven = proven_destinations.c
        query = (
            sa.select(proven.number, proven.proven_at)
            .where(proven.account_id == account_id)
            .order_by(proven.proven_at.desc(), proven.number)
            .limit(DESTINATIONS_MAX)
        )
        async with self._reading() as connection:
            return [ProvenDestination(*row) for row in await connection.execute(query)]

    async def take_back(
        self, account_id: str, editor: Editor, number: str
    ) -> TakenBack | ButtonChange:
        """Delete the proof of a number, and pause the buttons that call it."""
        at, of = self._clock(), proven_destinations.c
        theirs = (_BUTTONS.account_id == account_id, _BUTTONS.destination == number)
        async with self._writing() as connection:
            if not await may_change(connection, account_id, editor):
                return ButtonChange.SESSION_OVER
            forgotten = await connection.execute(
                sa.delete(proven_destinations).where(
                    of.account_id == account_id, of.number == number
                )
            )
            if was_proven := forgotten.rowcount > 0:
                await record(connection, account_id, editor, Act.DESTINATION_TAKEN_BACK, at)
            paused = await connection.execute(
                sa.update(buttons).where(*theirs, _BUTTONS.paused_at.is_(None)).values(paused_at=at)
            )
            for _ in range(paused.rowcount):
                await record(connection, account_id, editor, Act.BUTTON_PAUSED, at)
        await self._on_change()
        return TakenBack(was_proven, await self._find(*theirs))

    async def note_proven(self, account_id: str, editor: Editor, number: str) -> CodeTry:
        """Record a proven number: PROVEN (also the second time), TOO_MANY or SESSION_OVER."""
        at = self._clock()
        async with self._writing() as connection:
            if not await may_change(connection, account_id, editor):
                return CodeTry.SESSION_OVER
            of = proven_destinations.c
            mine = sa.select(of.number).where(of.account_id == account_id)
            known = set(await connection.scalars(mine))
            if number in known:
                return CodeTry.PROVEN
            if len(known) >= DESTINATIONS_MAX:
                return CodeTry.TOO_MANY
            await connection.execute(
                sa.insert(proven_destinations).values(
                    account_id=account_id, number=number, proven_at=at
                )
            )
            await record(connection, account_id, editor, Act.DESTINATION_PROVEN, at)
        return CodeTry.PROVEN

    def _reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return reading(self._engine, self._timeout_s)

    def _writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return writing(self._engine, self._timeout_s)


_SELECT = sa.select(buttons, _KEYS.day_cap_micros, _KEYS.month_cap_micros).join(
    tables.api_keys, _KEYS.id == _BUTTONS.key_id
)


def _rules_of(row: Any) -> ButtonRules:
    rules = _decode(row.rules)
    return msgspec.structs.replace(
        rules,
        destination=row.destination,
        day_cap_micros=row.day_cap_micros,
        month_cap_micros=row.month_cap_micros,
    )


def _columns_of(rules: ButtonRules) -> dict[str, str]:
    kept = msgspec.json.encode(msgspec.structs.replace(rules, **_APART)).decode()
    return {"destination": rules.destination, "rules": kept}


def _is_past(ends_at: datetime | None, now: datetime) -> bool:
    return ends_at is not None and ends_at <= now


async def _locked(
    connection: AsyncConnection, account_id: str, editor: Editor, button_id: str
) -> tuple[Any, ButtonChange]:
    """Return an account's button, locked until the commit, or None and why there is none."""
    if not await may_change(connection, account_id, editor):
        return None, ButtonChange.SESSION_OVER
    query = _SELECT.where(_BUTTONS.account_id == account_id, _BUTTONS.id == button_id)
    row = (await connection.execute(query.with_for_update(of=buttons))).one_or_none()
    return row, ButtonChange.NOT_FOUND


async def _is_proven(connection: AsyncConnection, account_id: str, number: str) -> bool:
    """Return whether a destination may be used; an empty one is signed call by call."""
    of = proven_destinations.c
    query = sa.select(of.number).where(of.account_id == account_id, of.number == number)
    return not number or await connection.scalar(query) is not None


def _key_hash_of(button_id: str) -> str:
    """Return the hash of the API key that pays for a button; the key's id is its beginning."""
    # No key has this hash: no bearer token can do what the button may do.
    return hashlib.sha256(f"button {button_id}".encode()).hexdigest()


async def _was_of(connection: AsyncConnection, account_id: str, button_id: str) -> bool:
    """Return whether a button that no longer exists was an account's: its API key remains."""
    key = sa.select(_KEYS.id).where(
        _KEYS.account_id == account_id, _KEYS.key_hash == _key_hash_of(button_id)
    )
    return await connection.scalar(key) is not None
