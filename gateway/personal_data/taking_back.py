"""Removes what an intruder added to an account.

A thief who adds a passkey, an app for codes, an API key or a button, or lets supervisors into live
calls, could otherwise come back, keep spending, or listen after the lock. Older things stay: access
to a mailbox must not be enough to remove a second factor. What was removed does not come back.
Before an address is proven no one is responsible for the account, and its creator may not be the
address's owner: all of it goes when somebody without the password is the first to prove it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.audit_log import Act, Actor
from accounts.data_request import Right
from accounts.holder import Holder
from accounts.link import LIFETIMES, Purpose
from accounts.stores import (
    audit_log,
    countries,
    data_requests,
    devices,
    erasures,
    holders,
    links,
    second_factors,
)
from accounts.stores import tables as people
from billing.stores import tables
from gateway.app import TakingBack
from gateway.apps import personal_rows
from gateway.people import departure_store as departures
from gateway.people.store import EVER
from gateway.scopes import Scope
from gateway.stores.card_events import forget_card
from gateway.stores.mail_outbox import forget_strangers_mails
from gateway.stores.people_transactions import Change
from gateway.supervision.store import find_rule

_MARGIN: Final = timedelta(minutes=1)
"""Nodes' clocks differ, and an addition is dated before its transaction."""
_NAMED_MAX: Final = 10
_ADDRESS: Final = re.compile(r"\w\.[^\W\d]|:/|@")
"""How a mail program recognises an address, and turns it into a link."""
_PLAIN: Final = re.compile(r"[^\w '-]+")
"""All that may be part of a URL, or end a sentence."""
_QUOTES: Final = re.compile('["„“”«»]')
"""What would end a quoted name."""
_NAMES_LENGTH_MAX: Final = 500
_PASSKEYS, _KEYS = people.passkeys.c, tables.api_keys.c
_IS_SECRET: Final = _KEYS.scopes != Scope.EMBED.value
"""Keys of buttons are public, on pages."""
_KEY_NAME: Final = sa.func.coalesce(sa.func.nullif(_KEYS.label, ""), _KEYS.id)
"""The page of keys names one the same way: many made by operators have no label."""


async def take_back(change: Change, since: datetime) -> Mapping[str, str]:
    """Remove what was added since, whoever added it; return names for the notice `locked`.

    Passkeys, a second factor, recovery codes, API keys, buttons and their keys, proven numbers,
    opened countries, what supervisors may do, exports, and recognised browsers. Webhooks are
    disabled.
    """
    connection, account_id, begin = change.connection, change.holder.account_id, since - _MARGIN
    names = {
        "passkeys": await _remove_passkeys(change, begin),
        "keys": await _revoke_keys(change, begin),
    }
    for rows in personal_rows().values():
        names |= await rows.take_back(change, begin)
    app = await _take_codes_back(change, begin)
    for country in await countries.close_since(connection, account_id, begin):
        await change.record(Act.COUNTRY_CLOSED, reason=country)
    await devices.forget_since(connection, account_id, begin)
    await _drop_exports(change, begin)
    return {**{name: _listed(found) for name, found in names.items()}, "app": app}


async def take_all_back(change: Change, language: str) -> Holder:
    """Remove everything that was ever added, chosen or requested in the account, by anyone.

    In addition to what `take_back` removes: the saved card with automatic top-ups, all links, a
    pending deletion, choices, other people's addresses, and names of keys. Return the holder as
    then, in this language if one is given.
    """
    connection, holder = change.connection, change.holder
    await take_back(change, EVER)
    await forget_card(connection, holder.account_id, change.at)
    await departures.cancel(change)
    await change.end_links(set(Purpose))
    # A requested change of address may name one that is not the owner's.
    await links.forget_elsewhere(connection, holder.account_id, holder.email)
    await forget_strangers_mails(connection, holder.account_id, holder.email)
    await connection.execute(
        sa.update(tables.api_keys)
        .where(_KEYS.account_id == holder.account_id, _KEYS.revoked_at.is_not(None))
        .values(label="")
    )
    changed = await departures.forget_wishes(change)
    if language in {"", changed.language}:
        return changed
    await change.record(Act.LANGUAGE_SET)
    return await holders.change(connection, holder.account_id, language=language)


async def _remove_passkeys(change: Change, begin: datetime) -> Sequence[str]:
    removed = await change.connection.scalars(
        sa.delete(people.passkeys)
        .where(_PASSKEYS.account_id == change.holder.account_id, _PASSKEYS.added_at >= begin)
        .returning(_PASSKEYS.name)
    )
    return await _recorded(change, Act.PASSKEY_REMOVED, removed)


async def _revoke_keys(change: Change, begin: datetime) -> Sequence[str]:
    revoked = await change.connection.scalars(
        sa.update(tables.api_keys)
        .where(
            _KEYS.account_id == change.holder.account_id,
            _KEYS.created_at >= begin,
            _KEYS.revoked_at.is_(None),
            _IS_SECRET,
        )
        .values(revoked_at=change.at)
        .returning(_KEY_NAME)
    )
    return await _recorded(change, Act.KEY_REVOKED, revoked)


async def _recorded(change: Change, act: Act, names: Iterable[str]) -> Sequence[str]:
    """Write a line for each thing taken back; return their names."""
    found = list(names)
    for _ in found:
        await change.record(act)
    return found


async def _take_codes_back(change: Change, begin: datetime) -> str:
    """Remove an app for codes, or newer codes of an older app; return when that app was added."""
    connection, account_id = change.connection, change.holder.account_id
    factor = await second_factors.find(connection, account_id)
    if factor is not None and factor.added_at >= begin:
        await second_factors.remove(connection, account_id)
        await change.record(Act.SECOND_FACTOR_REMOVED)
        return factor.added_at.isoformat()
    if await audit_log.count_since(connection, account_id, Act.RECOVERY_CODES_RENEWED, begin):
        # The app is the owner's: they make new codes, and an intruder who read these has nothing.
        await second_factors.remove_codes(connection, account_id)
    return ""


async def _drop_exports(change: Change, begin: datetime) -> None:
    """Delete requested export files; a process making one finds that it is gone, and stops."""
    connection, account_id = change.connection, change.holder.account_id
    exports, chunks = people.exports.c, people.export_chunks.c
    asked = sa.select(exports.id).where(exports.account_id == account_id, exports.asked_at >= begin)
    # Locked first: a chunk being added would otherwise slip in between the two deletions.
    dropped = (await connection.scalars(asked.with_for_update())).all()
    if not dropped:
        return
    await connection.execute(sa.delete(people.export_chunks).where(chunks.export_id.in_(dropped)))
    await connection.execute(sa.delete(people.exports).where(exports.id.in_(dropped)))
    # No one waits for one any more.
    await data_requests.answer(connection, account_id, Right.EXPORT, change.at, Actor.HOLDER)


async def what_stays(connection: AsyncConnection, account_id: str, at: datetime) -> dict[str, str]:
    """Return names of what still gives access, spends or reads along, for `password_changed`.

    An app for codes has no name: the date it was added stands for it, if the mail's link removes
    it. A requested deletion is named by its due date, supervision by its mode.
    """
    own = {
        "passkeys": sa.select(_PASSKEYS.name)
        .where(_PASSKEYS.account_id == account_id)
        .order_by(_PASSKEYS.added_at.desc()),
        "keys": sa.select(_KEY_NAME)
        .where(_KEYS.account_id == account_id, _KEYS.revoked_at.is_(None), _IS_SECRET)
        .order_by(_KEYS.created_at.desc()),
    }
    factor = await second_factors.find(connection, account_id)
    erasure = await erasures.find(connection, account_id)
    rule = await find_rule(connection, account_id)
    # The link is created when the mail is sent, and reaches back this much further than `MAIL_MAX`.
    is_new = factor is not None and factor.added_at >= at - LIFETIMES[Purpose.NOT_ME]
    return {
        **{name: _listed(await _found(connection, query)) for name, query in own.items()},
        **{
            app: _listed(await rows.active(connection, account_id, _NAMED_MAX + 1))
            for app, rows in personal_rows().items()
        },
        "app": factor.added_at.isoformat() if factor is not None and is_new else "",
        "supervision": "" if rule.most is None else rule.most.value,
        "deletion": erasure.due_at.isoformat() if erasure is not None and erasure.is_open else "",
    }


async def _found(connection: AsyncConnection, query: sa.Select[Any]) -> Sequence[str]:
    return (await connection.scalars(query.limit(_NAMED_MAX + 1))).all()


def _listed(found: Sequence[str]) -> str:
    names = ", ".join(f"“{_quotable(name)}”" for name in found[:_NAMED_MAX])
    is_whole = len(found) <= _NAMED_MAX and len(names) <= _NAMES_LENGTH_MAX
    return names if is_whole else f"{names[:_NAMES_LENGTH_MAX]} …"


def _quotable(name: str) -> str:
    # A passkey may have no name, and a name that a thief chose must not write into the mail.
    whole = _PLAIN.sub(" ", name) if _ADDRESS.search(name) else _QUOTES.sub("'", name)
    return whole.strip() if re.search(r"\w", whole) else "?"


TAKING_BACK: Final = TakingBack(since=take_back, everything=take_all_back, what_stays=what_stays)
