"""Turns a `CallFilter` into conditions on the table of calls, all on columns of one index."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from billing.call_filter import ANY_CALL, CallFilter
from billing.stores import tables
from billing.stores.pages import newest_first


def matching_newest_first(
    account_id: str, only: CallFilter, *, limit: int, before: str | None
) -> sa.Select[Any]:
    """Return the query of an account's newest calls that match, as `newest_first`.

    Which calls match is found in the index alone, so that a filter that matches few of 100,000
    calls reads no row that it leaves out.
    """
    calls = tables.calls
    query = newest_first(calls, account_id, limit=limit, before=before).where(
        calls.c.forgotten_at.is_(None)
    )
    if only == ANY_CALL:
        return query
    ids = query.where(*_conditions(only)).with_only_columns(calls.c.id, maintain_column_froms=True)
    return (
        sa.select(calls)
        .where(calls.c.id.in_(ids))
        .order_by(calls.c.created_at.desc(), calls.c.id.desc())
    )


def _conditions(only: CallFilter) -> list[sa.ColumnElement[bool]]:
    calls = tables.calls.c
    found: list[sa.ColumnElement[bool]] = []
    if only.since is not None:
        found.append(calls.created_at >= only.since)
    if only.until is not None:
        found.append(calls.created_at < only.until)
    if only.digits:
        found.append(calls.destination.contains(only.digits, autoescape=True))
    if only.answered is not None:
        is_answered = calls.answered_at.is_not(None)
        found += [calls.closed, is_answered if only.answered else sa.not_(is_answered)]
    if only.causes:
        found.append(calls.cause.in_(sorted(only.causes)))
    if only.ended_by is not None:
        found.append(calls.ended_by == only.ended_by)
    return found
