"""What is older than promised goes, what is younger stays, and the books stay whole."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from accounts.holder import Holder
from accounts.personal_data import (
    DELIVERIES_KEPT,
    EXPORT_NOTED,
    MAILS_KEPT,
    UNPROVEN_KEPT,
    months_before,
    years_before,
)
from accounts.stores import holders, links
from accounts.stores import tables as people
from billing.rating import Rate
from billing.stores import audit as audit_module
from billing.stores import tables
from billing.stores.audit import audit
from billing.stores.freezes import FreezeReason, set_freeze
from billing.stores.sql import SqlCdrStore, SqlLedgerStore
from gateway.data_map import KINDS
from gateway.personal_data.retention import SqlRetention, sweeps
from gateway.stores.fraud import REFUSALS_KEPT, call_refusals
from gateway.stores.mail_outbox import mail_outbox
from gateway.stores.sent_forms import SENT_KEPT, sent_forms
from gateway.webhooks.tables import deliveries, endpoints
from tests.billing.outbox_entries import BOOKED_AT, START, closed, opened
from tests.billing.sql.conftest import store
from tests.clock import Clock

__all__ = ["store"]

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
YEAR_AGO = months_before(NOW, 12)


@pytest.fixture
def retention(engine):
    return SqlRetention(engine, clock=lambda: NOW)


@pytest.fixture
async def book(engine):
    """Alice, whose address is proven, and everything of hers that is to go, or just not yet."""
    async with engine.begin() as connection:
        await add_holder(connection, "alice", NOW - timedelta(days=900), proven=True)
        await connection.execute(sa.insert(endpoints).values(ENDPOINT))
        for name, at in TOO_OLD.items():
            table, row = row_of(name, at, "old")
            await connection.execute(sa.insert(table).values(row))
            table, row = row_of(name, at + HOUR, "new")
            await connection.execute(sa.insert(table).values(row))
    return engine


async def add_holder(connection, account_id, at, *, proven=False):
    await connection.execute(
        sa.insert(tables.accounts).values(tables.new_account(account_id, "USD", at))
    )
    email = f"{account_id}@example.com"
    holder = Holder(account_id, email, at if proven else None, "hash", 1, "en", at)
    assert await holders.insert(connection, holder, email)


ENDPOINT = {
    "id": "wh_1",
    "account_id": "alice",
    **dict.fromkeys(("created_at", "set_at", "rests_until", "claimed_until"), NOW),
}
BEFORE = timedelta(minutes=30)
TOO_OLD = {
    "calls": YEAR_AGO - BEFORE,
    "devices": YEAR_AGO - BEFORE,
    "activity": YEAR_AGO - BEFORE,
    "refusals": NOW - REFUSALS_KEPT - BEFORE,
    "links": NOW - links.KEPT - BEFORE,
    "links_expected": NOW - BEFORE,
    "mails": NOW - MAILS_KEPT - BEFORE,
    "webhook_deliveries": NOW - DELIVERIES_KEPT - BEFORE,
    "exports": NOW - EXPORT_NOTED - BEFORE,
    "proof": NOW - BEFORE,
    "forms": NOW - SENT_KEPT - BEFORE,
    "requests": years_before(NOW, 10) - BEFORE,
    "requests_to_delete": years_before(NOW, 10) - BEFORE,
    "unread": years_before(NOW, 10) - BEFORE,
    "payments": years_before(NOW, 10) - BEFORE,
}
"""Kind -> a time that is half an hour too old; an hour later it is not."""


def row_of(kind, at, name):
    """Return the table and a row of a kind that ended at a time."""
    mine = {"account_id": "alice"}
    match kind:
        case "calls":
            return tables.calls, call(name, at)
        case "devices":
            seen = {"first_seen_at": at, "last_seen_at": at}
            return people.devices, mine | seen | {"id": name, "browser": "F", "system": "L"}
        case "activity":
            return people.account_events, mine | {"at": at, "act": "locked", "actor": "holder"}
        case "refusals":
            return call_refusals, mine | {"hour": at, "rule": "countries", "run": name, "count": 1}
        case "links":
            of_link = {"purpose": "not_me", "email": "a@b.c", "asked_at": at, "expires_at": at}
            return people.links, mine | of_link | {"digest": name.ljust(64, "0")}
        case "links_expected":
            return people.expected_links, mine | {
                "purpose": "not_me",
                "email": f"{name}@b.c",
                "email_key": "",
                "asked_at": at - HOUR,
                "lapses_at": at,
            }
        case "mails":
            times = {"created_at": at, "ended_at": at, "next_try_at": at}
            return mail_outbox, mine | times | {"id": name, "notice": "locked", "state": "sent"}
        case "webhook_deliveries":
            times = dict.fromkeys(("at", "created_at", "ended_at", "next_try_at"), at)
            what = {"endpoint_id": "wh_1", "event_id": name, "state": "sent"}
            return deliveries, mine | times | what | {"id": name}
        case "forms":
            return sent_forms, {"digest": name.ljust(64, "0"), "at": at}
        case "proof":
            what = {"document": "terms", "version": "1", "at": at - 1_000 * HOUR}
            return people.consent_proofs, what | {"digest": name.ljust(64, "0"), "kept_until": at}
        case "requests":
            times = {"asked_at": at - HOUR, "due_at": at, "done_at": at, "done_by": "holder"}
            return people.data_requests, mine | times | {"kind": "access", "note": ""}
        case "requests_to_delete":
            how = {"state": "cancelled", "step": "close", "unspent": "give_up", "actor": "holder"}
            times = {"asked_at": at - HOUR, "due_at": at, "ended_at": at}
            return people.erasures, how | times | {"account_id": name}
        case "unread":
            entry = {"partition": 0, "entry_id": name, "kind": "x", "fields": "{}"}
            return tables.rejected_entries, entry | {"at": at}
        case "payments":
            return tables.payments, payment(name, at, "expired")
        case "exports":
            return people.exports, export(name, at, "expired")
    raise AssertionError(kind)


def call(name, at, **changes):
    blanks = ("codec", "cause_name", "carrier_call_id")
    return {
        **dict.fromkeys(blanks, "x"),
        **dict.fromkeys(("browser_quality", "carrier_quality"), '{"frames_in":1}'),
        "id": name,
        "account_id": "alice",
        "opened": True,
        "closed": True,
        "node": "n1",
        "destination": "+15005550001",
        "origin": "https://page.example",
        "country": "US",
        "currency": "USD",
        "created_at": at,
        "ringing_at": at,
        "answered_at": at,
        "rate": Rate(per_minute_micros=1).to_json(),
        "spent_micros": 0,
        "seconds": 0,
        "cause": 16,
        "ended_by": "caller",
        "ended_at": at,
    } | changes


def payment(name, at, state, **changes):
    return {
        "id": name,
        "account_id": "alice",
        "kind": "checkout",
        "micros": 5_000_000,
        "currency": "USD",
        "state": state,
        "created_at": at,
        "updated_at": at,
    } | changes


def export(name, at, state, **changes):
    return {
        "id": name,
        "account_id": "alice",
        "state": state,
        "progress": 0,
        "session_digest": "0" * 64,
        "asked_at": at,
        "tries": 1,
        "size_bytes": 0,
    } | changes


async def rows(engine, table):
    async with engine.connect() as connection:
        return (await connection.execute(sa.select(table))).mappings().all()


@pytest.mark.parametrize("kind", TOO_OLD)
async def test_what_is_too_old_goes_and_what_is_not_stays(book, retention, kind):
    table, _ = row_of(kind, NOW, "any")
    assert await retention.due(kind) == 1
    kept_before = {
        name: len(await rows(book, row_of(name, NOW, "any")[0])) for name in TOO_OLD if name != kind
    }
    assert await retention.sweep(kind) == (1, False)
    assert await retention.due(kind) == 0
    assert await retention.sweep(kind) == (0, False)
    for name, count in kept_before.items():
        assert len(await rows(book, row_of(name, NOW, "any")[0])) == count, name
    if kind == "calls":
        old, new = sorted(await rows(book, table), key=lambda row: row["id"], reverse=True)
        assert (old["destination"], new["destination"]) == ("", "+15005550001")
        assert [each.opened.call_id for each in await SqlCdrStore(book).page("alice", limit=9)] == [
            "new"
        ]
        assert await SqlCdrStore(book).get("alice", "old") is None
        return
    (left,) = await rows(book, table)
    _, expected = row_of(kind, TOO_OLD[kind] + HOUR, "new")
    assert {name: left[name] for name in expected} == expected


async def test_a_link_goes_at_the_moment_until_which_it_can_be_told_from_an_unknown_one(
    book, retention
):
    instant = timedelta(microseconds=1)
    async with book.begin() as connection:
        await connection.execute(sa.delete(people.links))
        for name, at in (("old", NOW - links.KEPT), ("new", NOW - links.KEPT + instant)):
            _, row = row_of("links", at, name)
            await connection.execute(sa.insert(people.links).values(row))
    assert await retention.sweep("links") == (1, False)
    (left,) = await rows(book, people.links)
    assert left["digest"] == "new".ljust(64, "0")


def test_each_kind_has_a_case():
    # What is left of erased accounts: `tests/money/test_what_stays.py`.
    words_after_erasure = ("reasons", "notes")
    others = ("account", "export_files", "receipts", *words_after_erasure)
    assert set(sweeps()) == {*TOO_OLD, *others}


@pytest.mark.parametrize("kind", ["calls", "devices", "activity", "refusals"])
async def test_while_a_restriction_holds_nothing_goes_because_it_is_old(book, retention, kind):
    async with book.begin() as connection:
        await set_freeze(connection, "alice", FreezeReason.RESTRICTED, True, NOW)
    assert await retention.due(kind) == 0
    assert await retention.sweep(kind) == (0, False)
    async with book.begin() as connection:
        await set_freeze(connection, "alice", FreezeReason.RESTRICTED, False, NOW)
        await set_freeze(connection, "alice", FreezeReason.OPERATOR, True, NOW)
    assert await retention.sweep(kind) == (1, False)


async def test_what_was_not_answered_or_ended_stays_however_old(engine, retention):
    long_ago = years_before(NOW, 20)
    async with engine.begin() as connection:
        for kind in ("requests", "requests_to_delete"):
            table, row = row_of(kind, long_ago, "open")
            open_row = row | {"done_at" if kind == "requests" else "ended_at": None}
            await connection.execute(sa.insert(table).values(open_row))
    for kind in ("requests", "requests_to_delete"):
        assert await retention.sweep(kind) == (0, False)


async def test_a_payment_that_moved_money_stays_and_loses_its_receipt(engine, retention):
    old, new = years_before(NOW, 10) - HOUR, years_before(NOW, 10)
    url = {"receipt_url": "https://pay.example/receipt"}
    credit = {"account_id": "alice", "micros": 5_000_000, "kind": "top_up"}
    async with engine.begin() as connection:
        await add_holder(connection, "alice", NOW)
        await connection.execute(
            sa.insert(tables.payments),
            [
                payment("paid", old, "paid", **url),
                payment("late", old, "failed", **url),
                payment("new", new, "paid", **url),
            ],
        )
        for number, name in enumerate(("paid", "late"), 1):
            of = {"sequence": number, "reference": f"pi:{name}", "payment_id": name, "at": old}
            await connection.execute(sa.insert(tables.credits).values(credit | of))
    assert await retention.sweep("payments") == (0, False)
    assert await retention.due("receipts") == 2
    assert await retention.sweep("receipts") == (2, False)
    assert await retention.sweep("receipts") == (0, False)
    left = {row["id"]: row["receipt_url"] for row in await rows(engine, tables.payments)}
    assert left == {"paid": "", "late": "", "new": url["receipt_url"]}


async def test_books_are_closed_year_by_year(engine, retention):
    first, second = NOW.replace(year=2014), NOW.replace(year=2016)
    async with engine.begin() as connection:
        await add_holder(connection, "alice", first, proven=True)
        await add_holder(connection, "idle", first, proven=True)
    for at, name in ((first, "first"), (second, "second")):
        await SqlLedgerStore(engine, clock=Clock(at)).add_credit(
            "alice", 7, reference=name, kind="grant"
        )
    assert retention.kinds[-1] == "books"
    assert await retention.due("books") == 1
    assert await retention.sweep("books") == (1, True)
    assert await retention.sweep("books") == (0, False)
    # The other one is not ten years old before this year's end.
    (left,) = await rows(engine, tables.transfers)
    assert left["reference"] == "credit:second"
    new_year = SqlRetention(engine, clock=lambda: NOW.replace(year=2027, month=1, day=1))
    assert await new_year.due("books") == 1
    assert [await new_year.sweep("books") for _ in range(2)] == [(1, True), (0, False)]
    (closed_until,) = await rows(engine, tables.closed_books)
    assert closed_until["until"] == datetime(2017, 1, 1, tzinfo=UTC)
    assert await audit(engine) == []


async def test_many_accounts_are_closed_a_few_at_a_time(engine, monkeypatch):
    monkeypatch.setattr("gateway.stores.book_closing.ACCOUNTS_BATCH", 2)
    monkeypatch.setattr("gateway.stores.book_closing.BATCH", 3)
    old = NOW.replace(year=2014)
    ledger = SqlLedgerStore(engine, clock=lambda: old)
    for name, count in (("a", 1), ("b", 5), ("c", 1), ("d", 1)):
        async with engine.begin() as connection:
            await add_holder(connection, name, old, proven=True)
        for number in range(count):
            await ledger.add_credit(name, 7, reference=f"{name}{number}", kind="grant")
    retention = SqlRetention(engine, clock=lambda: NOW)
    assert await retention.due("books") == 8
    found = [await retention.sweep("books") for _ in range(4)]
    assert found == [(4, True), (3, True), (1, True), (0, False)]
    assert await audit(engine) == []


async def test_books_are_kept_as_long_as_the_operator_says(book):
    fewer = SqlRetention(book, books_kept_years=9, clock=lambda: NOW)
    for kind in ("requests", "requests_to_delete", "unread"):
        assert await fewer.due(kind) == 2


async def test_fewer_months_are_kept_if_the_operator_says_so(book):
    three = SqlRetention(book, calls_kept_months=3, clock=lambda: NOW)
    assert await three.due("calls") == 2


async def test_a_batch_is_bounded_and_says_that_more_is_left(book, retention, monkeypatch):
    monkeypatch.setattr("gateway.personal_data.retention.BATCH", 3)
    bounded = SqlRetention(book, clock=lambda: NOW)
    async with book.begin() as connection:
        many = [call(f"c{n}", YEAR_AGO - HOUR) for n in range(4)]
        await connection.execute(sa.insert(tables.calls), many)
    assert await bounded.sweep("calls") == (3, True)
    assert await bounded.sweep("calls") == (2, False)


async def test_a_file_that_nobody_can_fetch_is_deleted(book, retention):
    over, week = NOW - BEFORE, timedelta(days=7)
    async with book.begin() as connection:
        for name, expires_at in (("e1", over), ("e2", NOW + HOUR)):
            row = export(name, NOW - week, "ready", expires_at=expires_at)
            await connection.execute(sa.insert(people.exports).values(row))
            chunk = {"export_id": name, "number": 0, "content": b"PK"}
            await connection.execute(sa.insert(people.export_chunks).values(chunk))
    assert await retention.due("export_files") == 1
    assert await retention.sweep("export_files") == (1, False)
    states = {row["id"]: row["state"] for row in await rows(book, people.exports)}
    assert (states["e1"], states["e2"]) == ("expired", "ready")
    (left,) = await rows(book, people.export_chunks)
    assert left["export_id"] == "e2"


async def test_an_account_that_nobody_proved_goes_with_all_that_is_kept_of_it(engine, retention):
    long_ago = NOW - UNPROVEN_KEPT - HOUR
    async with engine.begin() as connection:
        await add_holder(connection, "old", long_ago)
        await add_holder(connection, "young", long_ago + 2 * HOUR)
        await add_holder(connection, "proven", long_ago, proven=True)
        await add_holder(connection, "given", long_ago)
        for name in ("old", "young"):
            _, mail = row_of("mails", NOW, f"mail of {name}")
            await connection.execute(sa.insert(mail_outbox).values(mail | {"account_id": name}))
            _, device = row_of("devices", NOW, "d")
            await connection.execute(
                sa.insert(people.devices).values(device | {"account_id": name})
            )
    await SqlLedgerStore(engine).add_credit("given", 1, reference="gift", kind="grant")
    assert await retention.due("account") == 1
    assert await retention.sweep("account") == (1, False)
    for table in (tables.accounts, people.holders, people.devices, mail_outbox):
        key = "id" if table is tables.accounts else "account_id"
        assert "old" not in {row[key] for row in await rows(engine, table)}, table.name
    left = {row["id"] for row in await rows(engine, tables.accounts)}
    assert left == {"young", "proven", "given"}


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr(audit_module, "RECHECK_S", 0)


PERSONAL = (
    "node",
    "destination",
    "country",
    "codec",
    "origin",
    "cause_name",
    "carrier_call_id",
    "ringing_at",
    "carrier_seconds",
    "carrier_code",
)


async def test_what_is_left_of_a_call_is_what_its_charge_follows_from(store, engine, no_pause):
    ledger = SqlLedgerStore(engine, clock=lambda: BOOKED_AT)
    entries = [opened("paid", 50), closed("paid", 500_000, 50), opened("live", 70)]
    entries += [opened("unanswered", 50), closed("unanswered", 0, 0)]
    await ledger.apply_outbox(0, entries)
    before = {row["id"]: row for row in await rows(engine, tables.calls)}
    transfers = await rows(engine, tables.transfers)
    assert await audit(engine) == []
    later = SqlRetention(engine, clock=lambda: START + timedelta(days=400))
    assert await later.sweep("calls") == (2, False)
    assert await audit(engine) == []
    assert await rows(engine, tables.transfers) == transfers
    after = {row["id"]: row for row in await rows(engine, tables.calls)}
    assert after["live"] == before["live"]
    for name in ("paid", "unanswered"):
        assert [after[name][column] for column in PERSONAL] == [*[""] * 7, None, None, None]
        assert after[name]["carrier_text"] == ""
        assert after[name]["browser_quality"] == after[name]["carrier_quality"] == "{}"
        for column in ("spent_micros", "seconds", "rate", "key_id", "cause", "ended_by"):
            assert after[name][column] == before[name][column]
    # The ledger dates the charge; no other time of the call can be told from its row.
    assert after["paid"]["ended_at"] == BOOKED_AT
    assert after["paid"]["answered_at"] == after["paid"]["created_at"]
    assert after["paid"]["answered_at"] == BOOKED_AT - timedelta(seconds=50)


async def test_a_call_whose_end_alone_is_known_is_forgotten_too(store, engine, no_pause):
    ledger = SqlLedgerStore(engine, clock=lambda: BOOKED_AT)
    await ledger.apply_outbox(0, [closed("half", 0, 0)])
    later = SqlRetention(engine, clock=lambda: START + timedelta(days=400))
    assert await later.sweep("calls") == (1, False)
    assert await audit(engine) == []


def test_every_kind_with_a_period_is_swept_or_expires_by_itself():
    bounded = [kind for kind in KINDS if kind.period.longest is not None]
    assert len(bounded) > 6
    for kind in bounded:
        assert kind.name in sweeps() or (kind.valkey and not kind.sql), kind.name


def test_periods_are_those_of_the_map():
    longest = {kind.name: kind.period.longest for kind in KINDS}
    assert (longest["links"], longest["mails"], longest["exports"]) == (
        links.KEPT,
        MAILS_KEPT,
        EXPORT_NOTED,
    )
