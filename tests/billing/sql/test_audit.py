"""The audit finds each kind of disagreement, and only that."""

import re

import pytest
import sqlalchemy as sa

from billing.stores import audit as audit_module
from billing.stores import row_audit, tables
from billing.stores.audit import ADVICE, AuditTotals, totals
from billing.stores.findings import FINDINGS_MAX
from tests.billing.outbox_entries import BOOKED_AT, closed, costing, opened
from tests.thorough import one_in


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(audit_module, "RECHECK_S", 0)


async def audit(engine):
    """Return what was found without its figures."""
    return [re.sub(r" \(.*\)$", "", found) for found in await audit_module.audit(engine)]


@pytest.fixture
def store(store):
    store._clock = lambda: BOOKED_AT
    return store


@pytest.fixture
async def busy_book(store, engine):
    await store.add_credit("bob", 500, reference="pi:b1", kind="top-up", payment_id="p1")
    await store.add_credit("bob", -100, reference="re:b2", kind="refund", payment_id="p1")
    async with engine.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO payments (id, account_id, kind, micros, refunded_micros, currency, state,"
            " payment_intent_id, created_at, updated_at)"
            f" VALUES ('p1', 'bob', 'checkout', 500, 100, 'USD', 'paid', 'b1', {NOW}, {NOW})"
        )
    await store.apply_outbox(
        0,
        [
            opened("live", 70),
            opened("ended", 50, rate=costing(45)),
            closed("ended", 40, written_off=5),
            opened("free", 50, rate=costing(0)),
            closed("free", 0),
        ],
    )
    assert await audit(engine) == []
    return engine


CREDIT_COLUMNS = "(account_id, sequence, micros, reference, kind, at)"
TRANSFER_COLUMNS = "(reference, kind, source, target, micros, currency, account_id, call_id, at)"
REFUNDED_BEYOND = "call refunded beyond its charge: ended"
NOW = f"'{BOOKED_AT:%Y-%m-%d %H:%M:%S.%f}'"


CALL_DIFFERS = "call cost is not its rate times its seconds: ended"
CHARGE = "'charge', 'customer', 'revenue'"


def transfer(reference, move, micros, account="alice", call="NULL", currency="USD"):
    return (
        f"INSERT INTO transfers {TRANSFER_COLUMNS} VALUES"
        f" ('{reference}', {move}, {micros}, '{currency}', '{account}', {call}, {NOW})"
    )


def credit(account, sequence, micros, reference, kind="grant"):
    return (
        f"INSERT INTO credits {CREDIT_COLUMNS} VALUES"
        f" ('{account}', {sequence}, {micros}, '{reference}', '{kind}', {NOW})"
    )


def payment(change):
    return f"UPDATE payments SET {change} WHERE id = 'p1'"


def balance(account, micros):
    return f"UPDATE accounts SET balance_micros = balance_micros + {micros} WHERE id = '{account}'"


def of_call(change, call="ended"):
    return f"UPDATE calls SET {change} WHERE id = '{call}'"


DAMAGES = {
    # accounts
    "balance by one": (balance("bob", 1), ["balance is not ledger less holds: bob"]),
    "balance below zero": (balance("bob", -1_000), ["balance is not ledger less holds: bob"]),
    "balance beyond all bounds": (
        balance("bob", 2**53),
        ["account with impossible figures: bob", "balance is not ledger less holds: bob"],
    ),
    "sequence by one": (
        "UPDATE accounts SET credit_sequence = 3 WHERE id = 'bob'",
        ["credit sequence has gaps: bob"],
    ),
    "cap below zero": (
        "UPDATE accounts SET day_cap_micros = -1 WHERE id = 'bob'",
        ["account with impossible figures: bob"],
    ),
    "foreign partition": (
        "UPDATE accounts SET slot = slot + 1 WHERE id = 'bob'",
        ["account in a foreign partition: bob"],
    ),
    # live calls
    "hold by one": (
        of_call("spent_micros = 71", "live"),
        ["balance is not ledger less holds: alice"],
    ),
    "hold below zero, balance made to fit": (
        [of_call("spent_micros = -1", "live"), balance("alice", 71)],
        ["call with impossible figures: live"],
    ),
    "live call that is charged": (
        transfer("charge:live", "'charge', 'grants', 'revenue'", 1, call="'live'"),
        ["call booked without cause: charge:live", "transfer of no known kind: charge:live"],
    ),
    "live call of another account": (
        of_call("account_id = 'bob'", "live"),
        ["balance is not ledger less holds: alice", "balance is not ledger less holds: bob"],
    ),
    "live call with a write-off": (
        of_call("written_off_micros = 1", "live"),
        ["call with impossible figures: live"],
    ),
    "live call with an end": (
        of_call(f"ended_at = {NOW}", "live"),
        ["call with impossible figures: live"],
    ),
    # ended calls
    "charge in the record by one": (
        of_call("spent_micros = 41"),
        [CALL_DIFFERS, "charge not in the ledger: ended"],
    ),
    "write-off in the record by one": (
        of_call("written_off_micros = 6"),
        [CALL_DIFFERS, "write-off not in the ledger: ended"],
    ),
    "charge of a record that cost nothing": (
        of_call("spent_micros = 0, written_off_micros = 0"),
        [
            "call booked without cause: charge:ended",
            "call booked without cause: write-off:ended",
            CALL_DIFFERS,
        ],
    ),
    "cost without a charge": (
        of_call("spent_micros = 1", "free"),
        ["call cost is not its rate times its seconds: free", "charge not in the ledger: free"],
    ),
    "seconds more than it lasted": (
        of_call("seconds = 70"),
        ["call charged for more seconds than it lasted: ended"],
    ),
    "never answered": (
        of_call("answered_at = NULL"),
        ["call charged for more seconds than it lasted: ended"],
    ),
    "seconds below zero": (
        of_call("seconds = -1"),
        [CALL_DIFFERS, "call with impossible figures: ended"],
    ),
    "rate by one": (of_call(f"rate = '{costing(46).to_json()}'"), [CALL_DIFFERS]),
    "no rate": (of_call("rate = ''"), ["call whose rate cannot be read: ended"]),
    **{
        f"quality {text}": (
            of_call(f"{leg}_quality = '{text}'"),
            ["call whose quality cannot be read: ended"],
        )
        for leg, text in (
            ("browser", "3.25"),
            ("browser", '{"frames_in":"a"}'),
            ("browser", "[]"),
            ("carrier", ""),
            ("carrier", "null"),
            ("carrier", '{"mos":1e400}'),
        )
    },
    "record in another currency": (
        of_call("currency = 'EUR'"),
        ["call in a foreign currency: ended"],
    ),
    "record of another account": (
        of_call("account_id = 'bob'"),
        [
            "call booked on another account: charge:ended",
            "call booked on another account: write-off:ended",
            "charge not in the ledger: ended",
            "write-off not in the ledger: ended",
        ],
    ),
    "ended without a cause": (of_call("cause = NULL"), ["call with impossible figures: ended"]),
    "bought with another account's key": (
        [
            "INSERT INTO api_keys (id, key_hash, account_id, label, created_at)"
            f" VALUES ('k1', 'x', 'bob', '', {NOW})",
            of_call("key_id = 'k1'"),
        ],
        ["call bought with another account's key: ended"],
    ),
    "lost record": (
        "DELETE FROM calls WHERE id = 'ended'",
        [
            "charge without a call record: charge:ended",
            "charge without a call record: write-off:ended",
        ],
    ),
    # charges
    "second charge, balance made to fit": (
        [transfer("charge:again", CHARGE, 5, call="'ended'"), balance("alice", -5)],
        ["call booked more than once: ended", "transfer named after another call: charge:again"],
    ),
    "charge above the rate, record and balance made to fit": (
        [of_call("rate = '" + costing(44).to_json() + "'")],
        [CALL_DIFFERS],
    ),
    "charge without a record, balance made to fit": (
        [transfer("charge:ghost", CHARGE, 5, call="'ghost'"), balance("alice", -5)],
        ["charge without a call record: charge:ghost"],
    ),
    "charge that names no call, balance made to fit": (
        [transfer("charge:ghost", CHARGE, 5), balance("alice", -5)],
        [
            "charge without a call record: charge:ghost",
            "transfer named after another call: charge:ghost",
        ],
    ),
    "charge of another account's call, balance made to fit": (
        [transfer("charge:free", CHARGE, 5, account="bob", call="'free'"), balance("bob", -5)],
        [
            "call booked on another account: charge:free",
            "call booked without cause: charge:free",
        ],
    ),
    "charge that is none": (
        transfer("x", "'fee', 'customer', 'revenue'", 1),
        ["balance is not ledger less holds: alice", "transfer of no known kind: x"],
    ),
    "charge the wrong way round, balance made to fit": (
        [
            transfer("charge:free", "'charge', 'revenue', 'customer'", 5, call="'free'"),
            balance("alice", 5),
        ],
        ["call booked without cause: charge:free", "transfer of no known kind: charge:free"],
    ),
    "transfer in another currency": (
        transfer("x", "'fee', 'grants', 'revenue'", 1, currency="EUR"),
        ["transfer in a foreign currency: x", "transfer of no known kind: x"],
    ),
    # credits
    "credit that is not in the ledger": (
        credit("bob", 4, 1, "b4"),
        ["credit not in the ledger: b4", "credit sequence has gaps: bob"],
    ),
    "transfer without its credit, balance made to fit": (
        [transfer("credit:b4", "'grant', 'grants', 'customer'", 5), balance("alice", 5)],
        ["transfer without its credit: credit:b4"],
    ),
    "credit whose transfer is another account's, balance made to fit": (
        [
            credit("bob", 3, 5, "b4"),
            "UPDATE accounts SET credit_sequence = 3 WHERE id = 'bob'",
            transfer("credit:b4", "'grant', 'grants', 'customer'", 5),
            balance("alice", 5),
        ],
        ["credit not in the ledger: b4", "transfer without its credit: credit:b4"],
    ),
    "credit booked as another kind": (
        [
            credit("bob", 3, 5, "b4", "top-up"),
            "UPDATE accounts SET credit_sequence = 3 WHERE id = 'bob'",
            transfer("credit:b4", "'grant', 'grants', 'customer'", 5, account="bob"),
            balance("bob", 5),
        ],
        [
            "entry that does not name its payment: b4",
            "top-up without a payment: b4",
            "transfer without its credit: credit:b4",
        ],
    ),
    "refund by rule of another amount": (
        [
            credit("alice", 2, 39, "call:ended", "call-refund"),
            "UPDATE accounts SET credit_sequence = 2 WHERE id = 'alice'",
            transfer(
                "credit:call:ended", "'call-refund', 'revenue', 'customer'", 39, call="'ended'"
            ),
            balance("alice", 39),
        ],
        ["call refund is not what its rule gives: credit:call:ended"],
    ),
    "refund of another account's call": (
        [
            credit("bob", 3, 40, "call:ended", "call-refund"),
            "UPDATE accounts SET credit_sequence = 3 WHERE id = 'bob'",
            transfer(
                "credit:call:ended",
                "'call-refund', 'revenue', 'customer'",
                40,
                account="bob",
                call="'ended'",
            ),
            balance("bob", 40),
        ],
        ["call booked on another account: credit:call:ended"],
    ),
    # payments
    "top-up without a payment": (
        payment("payment_intent_id = 'x'"),
        ["payment without its top-up: p1", "top-up without a payment: pi:b1"],
    ),
    "payment of another amount": (payment("micros = 501"), ["top-up unlike its payment: pi:b1"]),
    "payment of another account": (
        payment("account_id = 'alice'"),
        ["refund or dispute without its payment: re:b2", "top-up unlike its payment: pi:b1"],
    ),
    "payment in another currency": (
        payment("currency = 'EUR'"),
        ["payment with impossible figures: p1"],
    ),
    "payment of no known state": (
        payment("state = 'lucky'"),
        [
            "payment credited, but not paid by its state: p1",
            "payment with impossible figures: p1",
            "value that cannot be read: payments p1",
        ],
    ),
    "payment refunded beyond its amount": (
        payment("refunded_micros = 501"),
        [
            "payment with impossible figures: p1",
            "payment's refunds are not what its entries come to: p1",
        ],
    ),
    # the rest
    "rate deck that was changed": (
        "INSERT INTO rate_decks (version, digest, source, prefixes, content, imported_at,"
        f" activates_at) VALUES (7, 'x', '', 0, '', {NOW}, {NOW})",
        ["rate deck differs from its digest: version 7"],
    ),
    "entry that could not be read": (
        "INSERT INTO rejected_entries (partition, entry_id, kind, fields, at)"
        f" VALUES (0, '1-0', 'C', '', {NOW})",
        ["outbox entry could not be read: 1-0"],
    ),
}


@pytest.mark.parametrize("kind", one_in(4, DAMAGES))
async def test_each_kind_of_fault_is_named(busy_book, kind):
    damage, findings = DAMAGES[kind]
    async with busy_book.begin() as connection:
        for statement in [damage] if isinstance(damage, str) else damage:
            await connection.exec_driver_sql(statement)
    found = await audit(busy_book)
    assert sorted(found) == sorted(findings)
    assert all(ADVICE[finding.partition(": ")[0]] for finding in found)


@pytest.mark.parametrize(
    ("settled", "is_found"),
    [
        ({"spent_micros": 45}, False),
        # What had been granted was less.
        ({"spent_micros": 44}, False),
        ({"spent_micros": 46}, True),
        ({"spent_micros": 44, "ended_by": "caller"}, True),
        ({"spent_micros": 44, "cause": 16}, True),
    ],
)
async def test_whoever_settles_a_call_takes_no_more_than_it_cost(busy_book, settled, is_found):
    values = {"cause": 41, "ended_by": "gateway", "written_off_micros": 0} | settled
    async with busy_book.begin() as connection:
        calls = sa.update(tables.calls).where(tables.calls.c.id == "ended")
        await connection.execute(calls.values(values))
    assert (CALL_DIFFERS in await audit(busy_book)) is is_found


async def test_a_minute_refunded_of_a_longer_call_is_what_the_rule_gives(engine, store):
    """And rows are read page by page."""
    entries = []
    for n in range(5):
        entries += [opened(f"c{n}", 1, rate=costing(100)), closed(f"c{n}", 100, 90)]
    await store.apply_outbox(0, entries)
    for n, micros in enumerate((67, 66, 67, 68, 67)):
        await store.add_credit(
            "alice",
            micros,
            reference=f"call:c{n}",
            kind="call-refund",
            call_id=f"c{n}",
            reason="The call was cut off by a fault on our side.",
        )
    expected = [f"call refund is not what its rule gives: credit:call:c{n}" for n in (1, 3)]
    assert await audit(engine) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_audit, "PAGE_ROWS", 2)
        assert await audit(engine) == expected


@pytest.mark.parametrize(
    ("refunds", "findings"),
    [
        ([40], []),
        ([30, 10], []),
        ([30, 11], [REFUNDED_BEYOND]),
        ([30, -20, 30], []),
        ([30, -20, 31], [REFUNDED_BEYOND]),
    ],
)
async def test_no_call_is_refunded_beyond_its_charge(busy_book, store, refunds, findings):
    for n, micros in enumerate(refunds):
        await store.add_credit(
            "alice", micros, reference=f"r{n}", kind="call-refund", call_id="ended"
        )
    assert await audit(busy_book) == findings


async def test_a_refund_of_a_call_that_was_never_charged_is_found(busy_book, store):
    await store.add_credit("alice", 1, reference="r", kind="call-refund", call_id="free")
    assert await audit(busy_book) == ["call refunded beyond its charge: free"]


async def test_the_totals_add_up(busy_book, store):
    (of,) = await totals(busy_book)
    assert of == AuditTotals(
        "USD",
        accounts=2,
        credits=1_000_400,
        charges=40,
        holds=70,
        write_offs=5,
        balances=1_000_400 - 40 - 70,
    )


async def test_each_currency_has_totals_of_its_own(busy_book):
    async with busy_book.begin() as connection:
        await connection.execute(sa.text("UPDATE accounts SET currency = 'EUR' WHERE id = 'bob'"))
    euro, dollar = await totals(busy_book)
    assert (euro.currency, euro.accounts, euro.credits, euro.charges) == ("EUR", 1, 400, 0)
    assert (dollar.currency, dollar.accounts, dollar.credits) == ("USD", 1, 1_000_000)


async def test_findings_are_bounded(store, engine):
    await store.apply_outbox(
        0, [opened(f"c{n}", 1, rate=costing(2)) for n in range(FINDINGS_MAX + 9)]
    )
    await store.apply_outbox(0, [closed(f"c{n}", 1) for n in range(FINDINGS_MAX + 9)])
    async with engine.begin() as connection:
        await connection.execute(sa.text("UPDATE calls SET written_off_micros = 1"))
    assert len(await audit(engine)) == FINDINGS_MAX


@pytest.mark.parametrize(
    "values",
    [
        "('x', 'fee', 'grants', 'revenue', 0, 'USD', 'alice', NULL, {})",
        "('x', 'fee', 'revenue', 'revenue', 1, 'USD', 'alice', NULL, {})",
        "('x', 'fee', 'grants', 'revenue', 1, 'USD', 'nobody', NULL, {})",
        "('credit:seed', 'grant', 'grants', 'customer', 1, 'USD', 'alice', NULL, {})",
    ],
)
async def test_the_ledger_refuses_what_is_no_transfer(busy_book, values):
    statement = f"INSERT INTO transfers {TRANSFER_COLUMNS} VALUES {values.format(NOW)}"
    with pytest.raises(sa.exc.IntegrityError):
        async with busy_book.begin() as connection:
            await connection.execute(sa.text(statement))
