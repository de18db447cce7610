"""Every value of the money tables has a rule that names a change of it, or a reason for none.

The tables' own columns are walked: one that is added later without either fails.
"""

import asyncio
import shutil
import sqlite3
from contextlib import closing as closing_file
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from billing.ledger import LEDGER_ACCOUNTS
from billing.payments import PaymentState
from billing.stores import audit as audit_module
from billing.stores import call_audit, closed_books, payment_audit, tables
from billing.stores.audit import ADVICE, audit, totals
from billing.stores.column_audit import UNREADABLE
from billing.stores.payments import SqlPaymentStore
from billing.stores.sql import SqlLedgerStore
from database.migrations import migrate
from tests.billing.outbox_entries import (
    BOOKED_AT,
    START,
    closed,
    closing,
    entry,
    opened,
    ticked,
)
from tests.billing.sql import test_audit
from tests.billing.sql.test_migrations import go_back
from tests.clock import Clock
from tests.postgres import past_the_rules, run_now

MONEY_TABLES = (
    "accounts",
    "credits",
    "transfers",
    "calls",
    "payments",
    "closed_books",
    "closed_credits",
)
OTHER_TABLES = {
    "high_risk_lists": "what is refused; it holds no money, and a sync replaces it whole",
    "partitions": "the lock of those who drain, and when they did: proven by what they booked",
    "rejected_entries": "each row is a finding by itself",
    "api_keys": "who may do what; the account of a key is compared with that of its calls",
    "rate_decks": "a deck is compared with its digest; calls keep the rate they were quoted",
    "charge_requests": "what is asked of the payment service; its payment says whether it was paid",
    "payment_profiles": "what a person wishes, and ids of the payment service, which checks them",
    "freezes": "why an account is frozen; whether it is, the gate says as well",
}

ENDED, BY_HAND = "charge:many3", "credit:hello"
TEXTUAL = "says something to people; nothing is computed from it"
WISH = "what somebody has set; there is no second place that knows it"

CARRIED = "account_id = 'closed'"

FAULTS = {
    # table, column: condition of the row, value or expression, rule
    ("accounts", "id"): ("id = 'idle'", "'idler'", "account in a foreign partition"),
    ("accounts", "slot"): ("id = 'idle'", "slot + 1", "account in a foreign partition"),
    ("accounts", "currency"): ("id = 'bob'", "'EUR'", "transfer in a foreign currency"),
    ("accounts", "balance_micros"): (
        "id = 'idle'",
        "balance_micros + 1",
        "balance is not ledger less holds",
    ),
    ("accounts", "credit_sequence"): (
        "id = 'idle'",
        "credit_sequence + 1",
        "credit sequence has gaps",
    ),
    ("accounts", "frozen"): (
        "id = 'gone'",
        "{false}",
        "account with impossible figures",
    ),
    ("credits", "account_id"): ("reference = 'hello'", "'idle'", "credit not in the ledger"),
    ("credits", "sequence"): ("reference = 'hello'", "0", "credit sequence has gaps"),
    ("credits", "micros"): ("reference = 're:1'", "micros + 1", "credit not in the ledger"),
    ("credits", "reference"): ("reference = 're:1'", "'re:9'", "credit not in the ledger"),
    ("credits", "kind"): ("reference = 're:1'", "'grant'", "transfer without its credit"),
    ("credits", "at"): (
        "reference = 're:1'",
        "{later}",
        "credit dated otherwise than its transfer",
    ),
    ("credits", "payment_id"): (
        "reference = 're:1'",
        "'p2'",
        "payment's refunds are not what its entries come to",
    ),
    ("transfers", "reference"): (
        f"reference = '{ENDED}'",
        "'charge:ghost'",
        "charge not in the ledger",
    ),
    ("transfers", "kind"): (f"reference = '{ENDED}'", "'fee'", "transfer of no known kind"),
    ("transfers", "source"): (f"reference = '{ENDED}'", "'grants'", "transfer of no known kind"),
    ("transfers", "target"): (f"reference = '{ENDED}'", "'grants'", "transfer of no known kind"),
    ("transfers", "micros"): (f"reference = '{ENDED}'", "micros + 1", "charge not in the ledger"),
    ("transfers", "currency"): (
        f"reference = '{ENDED}'",
        "'EUR'",
        "transfer in a foreign currency",
    ),
    ("transfers", "account_id"): (
        f"reference = '{ENDED}'",
        "'bob'",
        "call booked on another account",
    ),
    ("transfers", "call_id"): (
        f"reference = '{ENDED}'",
        "'many4'",
        "transfer named after another call",
    ),
    ("transfers", "at"): (
        f"reference = '{ENDED}'",
        "{later}",
        "charge dated otherwise than its call",
    ),
    ("transfers", "reason"): (
        "reference = 'credit:pi:1'",
        "'Automatic top-up.'",
        "top-up unlike its payment",
    ),
    ("calls", "id"): ("id = 'many3'", "'many9'", "charge without a call record"),
    ("calls", "account_id"): ("id = 'many3'", "'bob'", "call booked on another account"),
    ("calls", "opened"): ("id = 'many3'", "{false}", "call with impossible figures"),
    ("calls", "currency"): ("id = 'many3'", "'EUR'", "call in a foreign currency"),
    ("calls", "rate"): (
        "id = 'many3'",
        "'{\"per_minute_micros\":600001}'",
        "call cost is not its rate times its seconds",
    ),
    ("calls", "created_at"): ("id = 'many3'", "{later}", "call whose times are out of order"),
    ("calls", "ringing_at"): ("id = 'many3'", "{later}", "call whose times are out of order"),
    ("calls", "answered_at"): ("id = 'many3'", "{earlier}", "call whose times are out of order"),
    ("calls", "ended_at"): ("id = 'many3'", "{later}", "call booked before it ended"),
    ("calls", "booked_at"): ("id = 'many3'", "{later}", "charge dated otherwise than its call"),
    ("calls", "closed"): ("id = 'many3'", "{false}", "call with impossible figures"),
    ("calls", "spent_micros"): ("id = 'live'", "spent_micros + 1", "balance is not ledger less"),
    ("calls", "seconds"): (
        "id = 'many3'",
        "seconds + 1",
        "call cost is not its rate times its seconds",
    ),
    ("calls", "written_off_micros"): (
        "id = 'many3'",
        "written_off_micros + 1",
        "write-off not in the ledger",
    ),
    ("calls", "cause"): ("id = 'many3'", "NULL", "call with impossible figures"),
    ("calls", "ended_by"): ("id = 'many3'", "'nobody'", "call with impossible figures"),
    ("calls", "carrier_seconds"): ("id = 'many3'", "-1", "call with impossible figures"),
    ("calls", "browser_quality"): ("id = 'many3'", "'x'", "call whose quality cannot be read"),
    ("calls", "carrier_quality"): ("id = 'many3'", "''", "call whose quality cannot be read"),
    ("calls", "key_id"): ("id = 'many3'", "'k1'", "call bought with another account's key"),
    ("payments", "id"): ("id = 'p1'", "'p9'", "refund or dispute without its payment"),
    ("payments", "account_id"): ("id = 'p1'", "'idle'", "top-up unlike its payment"),
    ("payments", "kind"): ("id = 'p1'", "'auto'", "top-up unlike its payment"),
    ("payments", "micros"): ("id = 'p2'", "micros + 1", "top-up unlike its payment"),
    ("payments", "refunded_micros"): (
        "id = 'p1'",
        "0",
        "payment's refunds are not what its entries come to",
    ),
    ("payments", "disputed_micros"): (
        "id = 'p2'",
        "disputed_micros - 1",
        "payment's disputes are not what its entries come to",
    ),
    ("payments", "currency"): ("id = 'p1'", "'EUR'", "payment with impossible figures"),
    ("payments", "state"): (
        "id = 'p1'",
        "'failed'",
        "payment credited, but not paid by its state",
    ),
    ("payments", "checkout_id"): ("id = 'p2'", "'cs_9'", "payment with impossible figures"),
    ("payments", "payment_intent_id"): ("id = 'p1'", "'9'", "top-up without a payment"),
    ("closed_books", "account_id"): (CARRIED, "'bob'", "balance is not ledger less holds"),
    ("closed_books", "until"): (CARRIED, "{later}", "entry of closed books is still there"),
    ("closed_books", "closing"): (CARRIED, "{earlier}", "books left open for deletion"),
    **{
        ("closed_books", f"{name}_micros"): (
            CARRIED,
            f"{name}_micros + 1",
            "books carried forward do not balance",
        )
        for name in LEDGER_ACCOUNTS
    },
    ("closed_credits", "account_id"): (CARRIED, "'bob'", "credit sequence has gaps"),
    ("closed_credits", "sequence"): (CARRIED, "sequence + 9", "credit sequence has gaps"),
}

EXEMPT = {
    (
        "closed_credits",
        "reference",
    ): "what must not be booked again, told by whoever would; nothing is computed from it",
    ("accounts", "created_at"): TEXTUAL,
    ("accounts", "call_cap_micros"): WISH,
    ("accounts", "day_cap_micros"): WISH,
    ("accounts", "month_cap_micros"): WISH,
    ("accounts", "caps_counted_from"): "bounds what a counter of the spend gate must be",
    ("accounts", "email"): WISH,
    ("accounts", "keeps_quality"): WISH,
    ("accounts", "deleted_at"): "when; that it is deleted is compared with the freezing",
    ("calls", "node"): "whose a live call is, the spend gate says as well; then " + TEXTUAL,
    ("calls", "destination"): TEXTUAL,
    ("calls", "country"): TEXTUAL,
    ("calls", "codec"): TEXTUAL,
    ("calls", "origin"): TEXTUAL,
    ("calls", "cause_name"): TEXTUAL,
    ("calls", "carrier_code"): TEXTUAL,
    ("calls", "carrier_text"): TEXTUAL,
    ("calls", "feedback"): TEXTUAL,
    (
        "calls",
        "forgotten_at",
    ): "since when it says less; what it still says is compared all the same",
    ("calls", "carrier_call_id"): "the carrier's name for the call; compared with its bill",
    ("payments", "receipt_url"): TEXTUAL,
    ("payments", "failure"): TEXTUAL,
    ("payments", "created_at"): TEXTUAL,
    ("payments", "updated_at"): "when to look at a pending payment again",
}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(audit_module, "RECHECK_S", 0)


async def fill(engine):
    """Make two busy accounts, one with many calls and one with none, and two idle ones."""
    async with engine.begin() as connection:
        names = ("alice", "bob", "idle", "gone")
        rows = [tables.new_account(name, "USD", START, frozen=name == "gone") for name in names]
        await connection.execute(sa.insert(tables.accounts), rows)
        deleted = sa.update(tables.accounts).where(tables.accounts.c.id == "gone")
        await connection.execute(deleted.values(deleted_at=START))
        key = {"id": "k1", "key_hash": "x", "account_id": "bob", "label": "", "created_at": START}
        await connection.execute(sa.insert(tables.api_keys), key)
    await charge_calls(SqlLedgerStore(engine, clock=lambda: BOOKED_AT))
    await take_payments(SqlLedgerStore(engine, clock=lambda: BOOKED_AT), SqlPaymentStore(engine))
    await close_books(engine)
    assert await audit(engine) == []


async def close_books(engine):
    """Make an account whose first entry is carried forward, and whose second is not."""
    years_ago = START.replace(year=2000)
    async with engine.begin() as connection:
        row = tables.new_account("closed", "USD", years_ago)
        await connection.execute(sa.insert(tables.accounts).values(row))
    for at, name in ((years_ago, "old"), (BOOKED_AT, "young")):
        ledger = SqlLedgerStore(engine, clock=Clock(at))
        await ledger.add_credit("closed", 10, reference=name, kind="grant")
    async with engine.begin() as connection:
        done = await connection.run_sync(closed_books.close_some, "closed", START, limit=9)
    assert done == (1, True)


@pytest.fixture(scope="module")
def sqlite_template(sqlite_template, tmp_path_factory):
    """The busy book, to be copied by each test."""
    template = tmp_path_factory.mktemp("template") / "book.db"
    shutil.copyfile(sqlite_template, template)
    run_now(fill, f"sqlite:///{template}")
    return template


@pytest.fixture(scope="module")
def postgres_template(postgres_template, postgres_server):
    """The same on the server."""
    name = "busy_book"
    postgres_server.copy_database(postgres_template, name)
    run_now(fill, postgres_server.url(name))
    yield name
    postgres_server.drop_database(name)


@pytest.fixture
def book(engine):
    """A busy book of the test's own."""
    return engine


async def charge_calls(ledger):
    await ledger.add_credit("alice", 10_000_000, reference="hello", kind="grant")
    await ledger.add_credit("bob", 1_000, reference="welcome", kind="grant")
    entries = [opened("live", 70), ticked(("live", 80, 2))]
    entries += [opened("free", 50), closed("free", 0, 0)]
    for n in range(8):
        seconds = 10 + n
        entries += [opened(f"many{n}", 50), closed(f"many{n}", seconds * 10_000, seconds)]
    settled = msgspec.structs.replace(closing(9), answered_at=None, ended_by="gateway", cause=41)
    fields = {"c": b"settled", "a": b"alice", "s": b"70000", "d": b"9", "w": b"0"}
    entries += [opened("settled", 50), entry("C", **fields, m=msgspec.json.encode(settled))]
    await ledger.apply_outbox(0, entries)
    cut_off = "The call was cut off by a fault on our side."
    await ledger.add_credit(
        "alice",
        100_000,
        reference="call:many0",
        kind="call-refund",
        call_id="many0",
        reason=cut_off,
    )


async def take_payments(ledger, payments):
    """A payment refunded in three parts, one of which failed; a lost one; a won one."""
    facts = {
        "p1": ("checkout", 900, "paid"),
        "p2": ("auto", 500, "lost"),
        "p3": ("checkout", 700, "won"),
    }
    for n, (name, (kind, micros, state)) in enumerate(facts.items(), 1):
        await payments.create(name, "bob", kind, micros, "USD")
        reason = "Automatic top-up." if kind == "auto" else "Top-up by card."
        await book_of(ledger, name, f"pi:{n}", micros, "top-up", reason)
        await payments.record(
            name,
            PaymentState(state),
            checkout_id=f"cs_{n}" if kind == "checkout" else None,
            payment_intent_id=str(n),
        )
    await book_of(ledger, "p1", "re:1", -100, "refund")
    await book_of(ledger, "p1", "refund:p1:200:x", -200, "refund")
    await book_of(ledger, "p1", "refund:p1:50:y", -50, "refund")
    await book_of(ledger, "p1", "refund:p1:50:y:failed", 50, "refund")
    await book_of(ledger, "p2", "re:2", -100, "refund")
    await book_of(ledger, "p2", "du:2", -400, "dispute")
    await book_of(ledger, "p3", "du:3", -700, "dispute")
    await book_of(ledger, "p3", "du:3:won", 700, "dispute")


async def book_of(ledger, payment, reference, micros, kind, reason=""):
    await ledger.add_credit(
        "bob", micros, reference=reference, kind=kind, reason=reason, payment_id=payment
    )


async def plant(engine, *statements):
    """Change the book as a person with the database's own tools can."""
    async with past_the_rules(engine) as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


def moment(at):
    return f"'{at:%Y-%m-%d %H:%M:%S.%f}'"


def literal(engine, text):
    """Fill in what the databases write differently."""
    if "{" not in text or text.startswith("'{"):
        return text
    return text.format(
        false="0" if engine.dialect.name == "sqlite" else "false",
        later=moment(BOOKED_AT + timedelta(days=1)),
        earlier=moment(START - timedelta(days=1)),
    )


def test_every_column_of_the_books_has_a_rule_or_a_reason():
    assert {*MONEY_TABLES, *OTHER_TABLES} == set(tables.metadata.tables)
    columns = {
        (name, column.name)
        for name in MONEY_TABLES
        for column in tables.metadata.tables[name].columns
    }
    assert {*FAULTS, *EXEMPT} == columns
    assert not FAULTS.keys() & EXEMPT.keys()
    note = (Path(__file__).parents[3] / "docs/design/0008-audit.md").read_text("utf-8")
    assert [name for name in map(".".join, sorted(columns)) if f"`{name}`" not in note] == []


@pytest.mark.parametrize(("table", "column"), FAULTS)
async def test_a_value_that_is_changed_is_named(book, table, column):
    where, value, rule = FAULTS[table, column]
    value = literal(book, value)
    await plant(book, f"UPDATE {table} SET {column} = {value} WHERE {where}")
    found = await audit(book)
    assert [one for one in found if one.startswith(rule)], found
    assert all(ADVICE[one.partition(": ")[0]] for one in found)


def both(micros, reference):
    return [
        f"UPDATE credits SET micros = {micros} WHERE reference = '{reference}'",
        f"UPDATE transfers SET micros = abs({micros}) WHERE reference = 'credit:{reference}'",
    ]


def balance(account, micros):
    return f"UPDATE accounts SET balance_micros = balance_micros + {micros} WHERE id = '{account}'"


def moved(reference, account, sequence):
    return [
        f"UPDATE credits SET account_id = '{account}', sequence = {sequence}"
        f" WHERE reference = '{reference}'",
        f"UPDATE transfers SET account_id = '{account}' WHERE reference = 'credit:{reference}'",
    ]


AHEAD = moment(datetime(2999, 1, 1, tzinfo=UTC))
TOGETHER = {
    "a refund halved, balances made to fit": (
        [*both(-50, "re:1"), balance("bob", 50)],
        "payment's refunds are not what its entries come to: p1 (account bob, state paid,"
        " amount 0.000900, refunded 0.000300, entries 0.000250)",
    ),
    "a dispute halved, balances made to fit": (
        [*both(-200, "du:2"), balance("bob", 200)],
        "payment's disputes are not what its entries come to: p2",
    ),
    "a top-up doubled, balances made to fit": (
        [*both(1_800, "pi:1"), balance("bob", 900)],
        "top-up unlike its payment: pi:1 (account bob, booked 0.001800, payment p1, of account bob,"
        " of 0.000900, by checkout)",
    ),
    "a top-up moved to another account, balances made to fit": (
        [
            *moved("pi:1", "idle", 1),
            "UPDATE credits SET sequence = sequence - 1 WHERE account_id = 'bob' AND sequence > 2",
            "UPDATE accounts SET credit_sequence = 1 WHERE id = 'idle'",
            "UPDATE accounts SET credit_sequence = credit_sequence - 1 WHERE id = 'bob'",
            balance("bob", -900),
            balance("idle", 900),
        ],
        "top-up unlike its payment: pi:1 (account idle, booked 0.000900, payment p1, of account"
        " bob",
    ),
    "a refund of a payment that is not there": (
        "UPDATE credits SET payment_id = NULL, reference = 'refund:p9:200:x'"
        " WHERE reference = 'refund:p1:200:x'",
        "refund or dispute without its payment: refund:p9:200:x (account bob",
    ),
    "a refund under another payment's name": (
        "UPDATE credits SET payment_id = 'p2' WHERE reference = 'refund:p1:200:x'",
        "entry of another payment: refund:p1:200:x (account bob, payment p2",
    ),
    "entries that name no payment": (
        [
            "UPDATE credits SET payment_id = NULL WHERE kind IN ('refund', 'dispute')",
            "UPDATE payments SET refunded_micros = 0 WHERE id = 'p1'",
        ],
        "account's refunds and disputes are not what its entries come to: bob (refunded 0.000100,"
        " refund entries 0.000400",
    ),
    "a top-up that names no payment": (
        "UPDATE credits SET payment_id = NULL WHERE reference = 'pi:2'",
        "entry that does not name its payment: pi:2 (account bob, booked",
    ),
    "a refund that names no payment": (
        "UPDATE credits SET payment_id = NULL WHERE reference = 're:1'",
        "entry that does not name its payment: re:1 (account bob, booked -0.000100",
    ),
    "a lost payment that says it was paid": (
        "UPDATE payments SET state = 'paid' WHERE id = 'p2'",
        "payment's state is not that of its disputes: p2 (account bob, state paid",
    ),
    "a paid one that says it was lost": (
        "UPDATE payments SET state = 'lost' WHERE id = 'p1'",
        "payment's state is not that of its disputes: p1",
    ),
    "a grant that names a payment": (
        "UPDATE credits SET payment_id = 'p1' WHERE reference = 'welcome'",
        "entry of another payment: welcome",
    ),
    "a call created after its end": (
        f"UPDATE calls SET created_at = {moment(START + timedelta(seconds=30))} WHERE id = 'many3'",
        "call whose times are out of order: many3 (account alice, created",
    ),
    "a call answered before it was created": (
        f"UPDATE calls SET answered_at = {moment(START - timedelta(seconds=1))} WHERE id = 'many3'",
        "call whose times are out of order: many3",
    ),
    "a call ended before it was answered": (
        f"UPDATE calls SET ended_at = {moment(START + timedelta(seconds=4))} WHERE id = 'many3'",
        "call whose times are out of order: many3",
    ),
    "more seconds than it lasted": (
        "UPDATE calls SET seconds = 15 WHERE id = 'many3'",
        "call charged for more seconds than it lasted: many3 (account alice, charged 15 s,"
        " lasted 13.000 s)",
    ),
    "a call of a dead node that ended before it began": (
        f"UPDATE calls SET answered_at = {moment(START - timedelta(seconds=70))},"
        f" ended_at = {moment(START - timedelta(seconds=61))} WHERE id = 'settled'",
        "call whose times are out of order: settled",
    ),
    "a top-up that names a call": (
        "UPDATE transfers SET call_id = '' WHERE reference = 'credit:pi:1'",
        "transfer named after another call: credit:pi:1 (account bob, call ",
    ),
    "a refund that names a call": (
        "UPDATE transfers SET call_id = 'None ' WHERE reference = 'credit:re:1'",
        "transfer named after another call: credit:re:1 (account bob, call None",
    ),
    "a closing of an account that lives": (
        [
            "UPDATE credits SET kind = 'closing' WHERE reference = 'welcome'",
            "UPDATE transfers SET kind = 'closing', source = 'write-off'"
            " WHERE reference = 'credit:welcome'",
        ],
        "closing of an account that is not deleted: welcome (account bob, booked 0.001000)",
    ),
    "an account deleted before its payments, which stay": (
        f"UPDATE accounts SET deleted_at = {moment(START)}, frozen = NOT frozen WHERE id = 'bob'",
        "paid after its account was deleted, and not sent back: p1 (account bob, booked 0.000900",
    ),
    "a grant and its transfer dated in the future": (
        [
            f"UPDATE credits SET at = {AHEAD} WHERE reference = 'welcome'",
            f"UPDATE transfers SET at = {AHEAD} WHERE reference = 'credit:welcome'",
        ],
        "dated in the future: welcome (account bob, at ",
    ),
    "a call booked in the future, and its charge": (
        [
            f"UPDATE calls SET booked_at = {AHEAD} WHERE id = 'many3'",
            f"UPDATE transfers SET at = {AHEAD} WHERE call_id = 'many3'",
        ],
        "dated in the future: many3 (account alice, created_at ",
    ),
    "a top-up, its transfer and its payment dated in the future": (
        [
            f"UPDATE credits SET at = {AHEAD} WHERE reference = 'pi:1'",
            f"UPDATE transfers SET at = {AHEAD} WHERE reference = 'credit:pi:1'",
            f"UPDATE payments SET created_at = {AHEAD}, updated_at = {AHEAD} WHERE id = 'p1'",
        ],
        "dated in the future: p1 (account bob, created_at ",
    ),
    "a key that calls were bought with deleted": (
        [
            "UPDATE calls SET key_id = 'k9' WHERE id = 'many3'",
        ],
        "call bought with a key that is not kept: many3 (account alice, charged or held 0.130000,"
        " written off 0.000000, for 13 s, key k9)",
    ),
    "a charge dated a day before": (
        f"UPDATE transfers SET at = {moment(START - timedelta(days=1))}"
        " WHERE reference = 'charge:many3'",
        "charge dated otherwise than its call: charge:many3 (account alice, ended",
    ),
}


def test_every_rule_about_calls_and_payments_names_some_fault():
    named = [rule for _, _, rule in FAULTS.values()] + [begins for _, begins in TOGETHER.values()]
    named += [finding for _, findings in test_audit.DAMAGES.values() for finding in findings]
    named.append(test_audit.REFUNDED_BEYOND)
    for rule in (*call_audit.RULES, *payment_audit.RULES):
        assert any(one.startswith(rule) for one in named), rule


@pytest.mark.parametrize("kind", TOGETHER)
async def test_faults_that_are_made_to_fit_are_named_with_their_figures(book, kind):
    statements, beginning = TOGETHER[kind]
    await plant(book, *([statements] if isinstance(statements, str) else statements))
    found = await audit(book)
    assert [one for one in found if one.startswith(beginning)], found


async def test_entries_that_do_not_say_their_payment_are_judged_together(book):
    """As those are that were booked before it was noted."""
    await plant(book, "UPDATE credits SET payment_id = NULL")
    assert await audit(book) == []


async def test_a_book_of_the_version_before_is_in_order(book):
    async with book.begin() as connection:
        # Books that are closed cannot go back.
        await connection.exec_driver_sql(f"UPDATE closed_books SET closing = {AHEAD}")
        for table in ("transfers", "credits", "closed_credits", "closed_books"):
            await connection.exec_driver_sql(f"DELETE FROM {table} WHERE {CARRIED}")
        await connection.exec_driver_sql("DELETE FROM accounts WHERE id = 'closed'")
        await connection.run_sync(go_back, "0005")
    await migrate(book)
    assert await audit(book) == []
    dates = "SELECT count(*) FROM calls WHERE closed AND booked_at IS NULL"
    lost = "SELECT disputed_micros FROM payments WHERE id = 'p2'"
    async with book.connect() as connection:
        assert await connection.scalar(sa.text(dates)) == 0
        assert await connection.scalar(sa.text(lost)) == 400
    await plant(book, "UPDATE payments SET refunded_micros = 0 WHERE id = 'p1'")
    assert await audit(book) != []


async def test_what_a_process_of_the_version_before_writes_is_in_order(book):
    await plant(book, "UPDATE calls SET booked_at = NULL")
    assert await audit(book) == []


async def test_what_a_moment_later_agrees_is_no_finding(book, monkeypatch):
    await plant(book, "UPDATE payments SET state = 'paid' WHERE id = 'p2'")

    async def settle(_seconds):
        await SqlPaymentStore(book).record("p2", PaymentState.LOST)

    monkeypatch.setattr(asyncio, "sleep", settle)
    assert await audit(book) == []


async def test_a_settled_call_may_have_ended_by_another_clock(book):
    answered, ended = (moment(START - timedelta(seconds=s)) for s in (59, 50))
    times = f"answered_at = {answered}, ended_at = {ended}, ringing_at = NULL"
    await plant(book, f"UPDATE calls SET {times} WHERE id = 'settled'")
    assert await audit(book) == []


@pytest.mark.parametrize(
    # A blob fits no column; text fits neither numbers nor times, nor text that is no UTF-8.
    ("form", "ending"),
    [("?", b""), ("CAST(? AS TEXT)", b"\xff"), ("CAST(? AS BLOB)", b"\xc3")],
)
async def test_every_value_of_sqlite_that_cannot_be_read_is_named_and_hides_no_other(
    book, form, ending
):
    """Whatever its type is; of PostgreSQL the types themselves keep it."""
    if book.dialect.name != "sqlite":
        pytest.skip("platform: PostgreSQL refuses such values")
    with closing_file(sqlite3.connect(book.url.database, isolation_level=None)) as file:
        for table in ("credits", "transfers", "closed_books", "closed_credits"):
            file.execute(f"DROP TRIGGER {table}_update_immutable")
        file.execute("UPDATE accounts SET balance_micros = balance_micros + 1 WHERE id = 'idle'")
        for name in MONEY_TABLES:
            columns = [one.name for one in tables.metadata.tables[name].columns]
            query = f"SELECT rowid, {', '.join(columns)} FROM {name} ORDER BY rowid LIMIT 1"
            row, *kept = file.execute(query).fetchone()
            change = f"UPDATE {name} SET {{}} WHERE rowid = {row}"
            values = ", ".join(f"{column} = {form}" for column in columns)
            file.execute(change.format(values), [c.encode() + ending for c in columns])
            found = await audit(book)
            named = [one for one in found if one.startswith(f"{UNREADABLE}: {name} ")]
            assert [one for one in named if one.endswith(f"column {', '.join(columns)})")], found
            assert any(one.startswith("balance is not ledger less holds: ") for one in found)
            assert await totals(book)
            values = ", ".join(f"{column} = ?" for column in columns)
            file.execute(change.format(values), kept)
        file.execute("UPDATE accounts SET balance_micros = balance_micros - 1 WHERE id = 'idle'")
    assert await audit(book) == []


UNREAD = {
    # table, row, column, value; SQLite alone keeps what has another type
    "state": ("payments", "p1", "state", "''"),
    "state with a blank": ("payments", "p3", "state", "'won '"),
    "time": ("calls", "many3", "booked_at", "'x'"),
    "day that is none": ("calls", "many3", "ended_at", "'2026-02-30 00:00:00.000000'"),
    "number": ("calls", "many3", "seconds", "'x'"),
    "flag": ("calls", "many3", "closed", "2"),
    "text of other bytes": ("calls", "many3", "cause_name", "CAST(x'4eff' AS TEXT)"),
    "text of a cut character": ("calls", "many3", "node", "CAST(x'6ec3' AS TEXT)"),
    "text of other bytes after a zero": ("calls", "many3", "codec", "CAST(x'7000ff' AS TEXT)"),
}


@pytest.mark.parametrize("kind", UNREAD)
async def test_a_value_that_cannot_be_read_is_named_with_its_row(book, kind):
    table, row, column, value = UNREAD[kind]
    if book.dialect.name != "sqlite" and column != "state":
        pytest.skip("platform: PostgreSQL refuses such values")
    await plant(book, f"UPDATE {table} SET {column} = {value} WHERE id = '{row}'")
    found = await audit(book)
    account = "bob" if table == "payments" else "alice"
    assert found[0] == f"{UNREADABLE}: {table} {row} (account {account}, column {column})"
    assert ADVICE[UNREADABLE]
