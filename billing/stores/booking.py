"""Books a folded outbox batch: what each call's change means for its row, its account, the ledger.

Works inside a transaction that holds the partitions' locks, with a fixed number of statements
however many calls the batch names; synchronous, so that SQLite books in one visit of a thread
(`database.Transactions`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import msgspec
import sqlalchemy as sa

from billing.cdr import MEASURED, CallClosed, CallOpened
from billing.ledger import Transfer, charge_transfers
from billing.outbox import BookedCall, CallChange, OutboxBatch
from billing.stores import tables
from database.engine import upsert
from database.many import execute_many

IDS_PER_QUERY = 1_000
"""Parameters of one IN list; PostgreSQL's protocol ends at 65,535, SQLite's default at 32,766."""
BOOKS_OPEN = timedelta(days=365)
"""How old a call is at least before its account's books can be closed: who books younger ones need
not ask."""
KEY_HASH_CHARACTERS = 64
UNKNOWN_CURRENCY = "XXX"
"""ISO 4217: no currency."""

Row = dict[str, Any]

# Built once: building a statement costs more than running it.
_KNOWN_CALLS = (
    sa.select(
        tables.calls.c.id,
        tables.calls.c.account_id,
        tables.calls.c.spent_micros,
        tables.calls.c.seconds,
        tables.calls.c.opened,
        tables.calls.c.closed,
        tables.calls.c.answered_at,
        tables.calls.c.carrier_call_id,
        tables.accounts.c.currency,
    )
    .select_from(tables.calls.join(tables.accounts))
    .where(tables.calls.c.id.in_(sa.bindparam("ids", expanding=True)))
)
_ADD_CALL = sa.insert(tables.calls)
_ADD_TRANSFER = sa.insert(tables.transfers)
_UPDATE_CALL = sa.update(tables.calls).where(tables.calls.c.id == sa.bindparam("call_id"))
_UPDATE_BALANCE = (
    sa.update(tables.accounts)
    .where(tables.accounts.c.id == sa.bindparam("of_account"))
    .values(balance_micros=tables.accounts.c.balance_micros + sa.bindparam("delta"))
)


@dataclass(slots=True)
class _Writes:
    """What a batch changes, gathered call by call and written table by table."""

    at: datetime
    new_calls: list[Row] = field(default_factory=list)
    opened: list[Row] = field(default_factory=list)
    ticked: list[Row] = field(default_factory=list)
    ticked_with_details: list[Row] = field(default_factory=list)
    """Ticked, and answered or named by the carrier since the book last heard of them."""
    closed: list[Row] = field(default_factory=list)
    ended: list[tuple[str, str]] = field(default_factory=list)
    """Calls (call, account) whose end the book learns."""
    transfers: list[Transfer] = field(default_factory=list)
    deltas: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Account id -> change of its available micros."""


def book(connection: sa.Connection, batch: OutboxBatch, at: datetime) -> Sequence[tuple[str, str]]:
    """Write what the batch says and the book does not.

    Return the calls (call, account) whose end is booked by it, and was not before.
    """
    known, known_currencies = _known_calls(connection, batch.changes)
    currencies = _currencies(connection, batch.changes, known_currencies, at)
    closed = _of_closed_books(connection, batch.changes, known, at)
    writes = _Writes(at)
    for call_id, change in batch.changes.items():
        if call_id in closed:
            continue
        before = known.get(call_id)
        # A tick of a call the book never saw: its opening is still to come, or was lost with the
        # gate's memory; totals are cumulative, so whatever comes next says the same and more.
        if before is not None or change.account_id:
            _plan(writes, call_id, before, change, currencies)
    _keep_lost_keys(connection, batch.changes, at)
    _write(connection, writes)
    return writes.ended


def _plan(
    writes: _Writes,
    call_id: str,
    before: BookedCall | None,
    change: CallChange,
    currencies: Mapping[str, str],
) -> None:
    base = before or BookedCall(change.account_id)
    after = base.advanced_by(change)
    if before is None:
        writes.new_calls.append(_new_call(call_id, after, change, writes.at))
    # Entries that are applied again, or overtaken, end here: they write nothing and move no money.
    elif after == before:
        return
    else:
        _plan_update(writes, call_id, before, after, change)
    # The balance moves by the change of the hold, or by what the charge returns of it. So it does
    # not matter in how many batches a hold grew.
    writes.deltas[after.account_id] += base.spent_micros - after.spent_micros
    # In the same step as the closing of the record, which happens once for each call.
    if change.ending is not None and not base.is_closed:
        writes.ended.append((call_id, after.account_id))
        writes.transfers += charge_transfers(
            call_id,
            after.account_id,
            currencies[after.account_id],
            charged_micros=change.ending.charged_micros,
            written_off_micros=change.ending.written_off_micros,
        )


def _plan_update(
    writes: _Writes, call_id: str, before: BookedCall, after: BookedCall, change: CallChange
) -> None:
    key = {"call_id": call_id}
    # One list for each set of columns: a list is one statement only if its rows have the same
    # columns.
    if change.opened is not None and not before.is_opened:
        writes.opened.append(key | _opened_columns(change.opened))
    if change.ending is not None and not before.is_closed:
        written_off = {"written_off_micros": change.ending.written_off_micros}
        closing = _closed_columns(change.ending.detail, writes.at)
        writes.closed.append(key | written_off | closing | _totals(after))
    elif (after.answered_at, after.carrier_call_id) != (
        before.answered_at,
        before.carrier_call_id,
    ):
        writes.ticked_with_details.append(key | _totals(after))
    elif (after.spent_micros, after.seconds) != (before.spent_micros, before.seconds):
        # By far the most frequent write, each call once a second, so it has the fewest columns.
        writes.ticked.append(key | {"spent_micros": after.spent_micros, "seconds": after.seconds})


def _totals(call: BookedCall) -> Row:
    return {
        "spent_micros": call.spent_micros,
        "seconds": call.seconds,
        "answered_at": call.answered_at,
        "carrier_call_id": call.carrier_call_id,
    }


def _new_call(call_id: str, call: BookedCall, change: CallChange, at: datetime) -> Row:
    detail = None if change.ending is None else change.ending.detail
    row = {
        "id": call_id,
        "account_id": call.account_id,
        "spent_micros": call.spent_micros,
        "seconds": call.seconds,
        "written_off_micros": change.ending.written_off_micros if change.ending else 0,
        **_closed_columns(detail, at),
        # Overrides the ending's own columns: a node that settles another's call may know less than
        # the ticks have told.
        "answered_at": call.answered_at,
        "carrier_call_id": call.carrier_call_id,
    }
    if change.opened is not None:
        return row | _opened_columns(change.opened)
    # Without its opening a call can only be here because it has ended.
    assert detail is not None
    return row | _BLANK_OPENING | {"created_at": detail.ended_at}


def _opened_columns(detail: CallOpened) -> Row:
    return {
        "opened": True,
        "node": detail.node,
        "destination": detail.destination,
        "country": detail.country,
        "codec": detail.codec,
        "origin": detail.origin,
        "currency": detail.currency,
        "rate": detail.rate,
        "created_at": detail.created_at,
        "key_id": detail.key_id,
    }


_BLANK_OPENING: Row = {
    "opened": False,
    **dict.fromkeys(
        ("node", "destination", "country", "codec", "origin", "currency", "rate", "key_id"), ""
    ),
}

_BLANK_CLOSING: Row = {
    "closed": False,
    "ended_at": None,
    "cause": None,
    "cause_name": "",
    "ended_by": None,
    "carrier_call_id": "",
    **{figure.column: figure.to_column(None) for figure in MEASURED},
    "browser_quality": "",
    "carrier_quality": "",
    "booked_at": None,
}


def _closed_columns(detail: CallClosed | None, at: datetime) -> Row:
    if detail is None:
        return _BLANK_CLOSING
    return {
        "closed": True,
        "ended_at": detail.ended_at,
        "cause": detail.cause,
        "cause_name": detail.cause_name,
        "ended_by": detail.ended_by,
        "carrier_call_id": detail.carrier_call_id,
        **{each.column: each.to_column(getattr(detail, each.name)) for each in MEASURED},
        "browser_quality": msgspec.json.encode(detail.browser).decode(),
        "carrier_quality": msgspec.json.encode(detail.carrier).decode(),
        "booked_at": at,
    }


def _known_calls(
    connection: sa.Connection, call_ids: Iterable[str]
) -> tuple[dict[str, BookedCall], dict[str, str]]:
    """Return the calls that the book has, and the currencies of their accounts."""
    known: dict[str, BookedCall] = {}
    currencies: dict[str, str] = {}
    for chunk in _chunks(call_ids):
        rows = connection.execute(_KNOWN_CALLS, {"ids": chunk})
        for call_id, account_id, *totals, currency in rows:
            # The order of the columns in `_KNOWN_CALLS` is that of the fields of `BookedCall`.
            known[call_id] = BookedCall(account_id, *totals)
            currencies[account_id] = currency
    return known, currencies


def _of_closed_books(
    connection: sa.Connection,
    changes: Mapping[str, CallChange],
    known: Container[str],
    at: datetime,
) -> frozenset[str]:
    """Return unknown calls that began before their account's books were closed.

    They were booked, and are carried forward; only a gate that is years old tells of them.
    """
    begun = {
        call_id: (change.account_id, began_at)
        for call_id, change in changes.items()
        if call_id not in known and (began_at := _began_at(change)) and at - began_at > BOOKS_OPEN
    }
    if not begun:
        return frozenset()
    books = tables.closed_books.c
    until: dict[str, datetime] = {}
    for chunk in _chunks({account_id for account_id, _ in begun.values()}):
        query = sa.select(books.account_id, books.until).where(books.account_id.in_(chunk))
        until.update({row.account_id: row.until for row in connection.execute(query)})
    return frozenset(
        call_id
        for call_id, (account_id, began_at) in begun.items()
        if account_id in until and began_at < until[account_id]
    )


def _began_at(change: CallChange) -> datetime | None:
    if change.opened is not None:
        return change.opened.created_at
    return change.ending.detail.ended_at if change.ending is not None else None


def _currencies(
    connection: sa.Connection,
    changes: Mapping[str, CallChange],
    known: Mapping[str, str],
    at: datetime,
) -> dict[str, str]:
    """Return the currency of every account concerned; `known` are those of booked calls.

    An account that the book has lost is opened again, frozen: its calls were carried, and what
    they cost must not disappear.
    """
    concerned: dict[str, str] = {}
    for change in changes.values():
        if change.account_id and change.account_id not in known:
            currency = change.opened.currency if change.opened else UNKNOWN_CURRENCY
            # A lost account has several calls, of which some may know no currency: the first that
            # does decides.
            if concerned.get(change.account_id, UNKNOWN_CURRENCY) == UNKNOWN_CURRENCY:
                concerned[change.account_id] = currency
    found = dict(known)
    accounts = tables.accounts.c
    for chunk in _chunks(concerned):
        rows = connection.execute(
            sa.select(accounts.id, accounts.currency).where(accounts.id.in_(chunk))
        )
        found.update({row.id: row.currency for row in rows})
    # Another drainer may open the same account at this moment: hence no error on a conflict.
    lost = concerned.keys() - found.keys()
    if lost:
        connection.execute(
            upsert(connection, tables.accounts).on_conflict_do_nothing(),
            [
                tables.new_account(account_id, concerned[account_id], at, frozen=True)
                for account_id in sorted(lost)
            ],
        )
    return concerned | found


def _keep_lost_keys(
    connection: sa.Connection, changes: Mapping[str, CallChange], at: datetime
) -> None:
    """Note keys that the book has lost, by the calls that were bought with them.

    Such a key is revoked, and nothing fits its hash: it says whose it was, and opens nothing.
    """
    named = {
        change.opened.key_id: change.account_id
        for change in changes.values()
        if change.opened is not None and change.opened.key_id
    }
    keys = tables.api_keys
    # Without its key a call would break the audit's rule that keys are kept, and nobody could say
    # whose key bought it.
    lost = dict(named)
    for chunk in _chunks(named):
        for key_id in connection.scalars(sa.select(keys.c.id).where(keys.c.id.in_(chunk))):
            del lost[key_id]
    if lost:
        connection.execute(
            upsert(connection, keys).on_conflict_do_nothing(),
            [
                {
                    "id": key_id,
                    # SHA-256 in hexadecimal has no colon.
                    "key_hash": f"lost:{key_id}"[:KEY_HASH_CHARACTERS],
                    "account_id": account_id,
                    "label": "",
                    "created_at": at,
                    "revoked_at": at,
                }
                for key_id, account_id in sorted(lost.items())
            ],
        )


def _write(connection: sa.Connection, writes: _Writes) -> None:
    execute_many(connection, _ADD_CALL, writes.new_calls)
    for rows in (writes.opened, writes.ticked, writes.ticked_with_details, writes.closed):
        execute_many(connection, _UPDATE_CALL, rows)
    insert_transfers(connection, writes.transfers, writes.at)
    # In the order of their ids, so that no two transactions wait for each other in a ring.
    deltas = [
        {"of_account": account_id, "delta": delta}
        for account_id, delta in sorted(writes.deltas.items())
        if delta
    ]
    execute_many(connection, _UPDATE_BALANCE, deltas)


def insert_transfers(
    connection: sa.Connection, transfers: Sequence[Transfer], at: datetime
) -> None:
    """Book transfers; one that is there already is an IntegrityError."""
    execute_many(
        connection,
        _ADD_TRANSFER,
        [
            {
                "reference": transfer.reference,
                "kind": transfer.kind,
                "source": transfer.source,
                "target": transfer.target,
                "micros": transfer.micros,
                "currency": transfer.currency,
                "account_id": transfer.account_id,
                "call_id": transfer.call_id,
                "reason": transfer.reason,
                "at": at,
            }
            for transfer in transfers
        ],
    )


def _chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(ids)
    while chunk := list(islice(iterator, IDS_PER_QUERY)):
        yield chunk
