"""The audit finds each kind of disagreement, and only that."""

import pytest
import sqlalchemy as sa

from billing.stores.audit import FINDINGS_MAX, audit
from tests.billing.outbox_entries import closed, opened


@pytest.fixture
async def busy_book(store, engine):
    await store.add_credit("bob", 500, reference="b1", kind="top-up")
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
        ("DELETE FROM calls WHERE id = 'ended'", []),
    ],
)
async def test_each_disagreement_is_found(busy_book, damage, findings):
    async with busy_book.begin() as connection:
        await connection.execute(sa.text(damage))
    assert sorted(await audit(busy_book)) == findings


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
