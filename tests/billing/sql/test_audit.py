"""The audit finds each kind of disagreement, and only that."""

import pytest
import sqlalchemy as sa

from billing.stores.audit import FINDINGS_MAX, Totals, audit, totals
from tests.billing.outbox_entries import closed, opened


@pytest.fixture
async def busy_book(store, engine):
    await store.add_credit("bob", 500, reference="pi:b1", kind="top-up")
    await store.add_credit("bob", -100, reference="b2", kind="refund")
    await store.apply_outbox(
        0,
        [
            opened("live", 70),
            opened("ended", 50),
            closed("ended", 40, written_off=5),
            opened("free", 50),
            closed("free", 0),
        ],
    )
    assert await audit(engine) == []
    return engine


CREDIT_COLUMNS = "(account_id, sequence, micros, reference, kind, at)"
TRANSFER_COLUMNS = "(reference, kind, source, target, micros, currency, account_id, call_id, at)"
PAYMENT_COLUMNS = (
    "(id, account_id, kind, micros, currency, state, payment_intent_id, created_at, updated_at)"
)
NOW = "'2026-11-24 12:00:00'"


@pytest.mark.parametrize(
    ("damage", "findings"),
    [
        (
            "UPDATE accounts SET balance_micros = balance_micros + 1 WHERE id = 'bob'",
            ["balance is not ledger less holds: bob"],
        ),
        (
            "UPDATE calls SET spent_micros = 71 WHERE id = 'live'",
            ["balance is not ledger less holds: alice"],
        ),
        (
            "UPDATE accounts SET credit_sequence = 3 WHERE id = 'bob'",
            ["credit sequence has gaps: bob"],
        ),
        (
            f"INSERT INTO credits {CREDIT_COLUMNS} VALUES ('bob', 4, 1, 'b4', 'grant', {NOW})",
            ["credit not in the ledger: b4", "credit sequence has gaps: bob"],
        ),
        (
            "UPDATE calls SET spent_micros = 41 WHERE id = 'ended'",
            ["charge not in the ledger: ended"],
        ),
        (
            "UPDATE calls SET written_off_micros = 6 WHERE id = 'ended'",
            ["write-off not in the ledger: ended"],
        ),
        (
            "UPDATE calls SET spent_micros = 0, written_off_micros = 0 WHERE id = 'ended'",
            [
                "call booked without cause: charge:ended",
                "call booked without cause: write-off:ended",
            ],
        ),
        (
            f"INSERT INTO transfers {TRANSFER_COLUMNS} VALUES"
            f" ('charge:live', 'charge', 'grants', 'revenue', 1, 'USD', 'alice', 'live', {NOW})",
            ["call booked without cause: charge:live"],
        ),
        (
            f"INSERT INTO transfers {TRANSFER_COLUMNS} VALUES"
            f" ('x', 'fee', 'grants', 'revenue', 1, 'EUR', 'alice', NULL, {NOW})",
            ["transfer in a foreign currency: x"],
        ),
        (
            f"INSERT INTO payments {PAYMENT_COLUMNS} VALUES"
            f" ('p1', 'bob', 'checkout', 500, 'USD', 'paid', 'x', {NOW}, {NOW})",
            ["top-up without a payment: pi:b1"],
        ),
        (
            f"INSERT INTO payments {PAYMENT_COLUMNS} VALUES"
            f" ('p1', 'bob', 'checkout', 500, 'USD', 'paid', 'b1', {NOW}, {NOW})",
            [],
        ),
        ("DELETE FROM calls WHERE id = 'ended'", []),
    ],
)
async def test_each_disagreement_is_found(busy_book, damage, findings):
    async with busy_book.begin() as connection:
        await connection.execute(sa.text(damage))
    assert sorted(await audit(busy_book)) == findings


@pytest.mark.parametrize(
    ("refunds", "findings"),
    [
        ([40], []),
        ([30, 10], []),
        ([30, 11], ["call refunded beyond its charge: ended"]),
        ([30, -20, 30], []),
        ([30, -20, 31], ["call refunded beyond its charge: ended"]),
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
    assert of == Totals(
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
    await store.apply_outbox(0, [opened(f"c{n}", 1) for n in range(FINDINGS_MAX + 9)])
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
