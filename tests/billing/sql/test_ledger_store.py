"""The contract of `LedgerStore`, on both databases."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from billing.errors import CreditsLostError, MoneyError
from billing.money import LIMIT
from billing.ports import OpenCall, PartitionState
from billing.stores import tables
from billing.stores.audit import audit
from billing.stores.payments import SqlPaymentStore
from billing.stores.sql import PAGE_ROWS_MAX, SqlCdrStore, SqlLedgerStore
from database.errors import StoreUnavailableError
from tests.billing.outbox_entries import START, closed, costing, entry, opened, ticked


async def ledger_sums(engine):
    """Return {ledger account: micros}, over all customers."""
    postings = tables.postings.c
    query = sa.select(postings.ledger_account, sa.func.sum(postings.micros)).group_by(
        postings.ledger_account
    )
    async with engine.connect() as connection:
        return {account: int(micros) for account, micros in await connection.execute(query)}


async def test_a_credit_is_booked_once_per_reference(store, engine):
    assert await store.add_credit("alice", 5_000, reference="pi_1", kind="top-up") == 2
    assert await store.add_credit("alice", 5_000, reference="pi_1", kind="top-up") is None
    assert await store.add_credit("bob", 7, reference="pi_1", kind="grant") is None
    assert await store.add_credit("alice", -2_000, reference="re_1", kind="refund") == 3
    assert await store.balance("alice") == 1_003_000
    assert await store.credits_after("alice", 1) == [(2, 5_000), (3, -2_000)]
    assert await store.credits_after("alice", 3) == []
    assert await ledger_sums(engine) == {
        "customer": 1_003_000,
        "payments": -3_000,
        "grants": -1_000_000,
    }
    assert await audit(engine) == []


async def test_the_same_payment_reported_eight_times_at_once_is_one_credit(store, engine):
    outcomes = await asyncio.gather(
        *(store.add_credit("alice", 5, reference="pi_1", kind="top-up") for _ in range(8))
    )
    assert sorted(outcomes, key=str) == [2, *[None] * 7]
    assert await store.balance("alice") == 1_000_005


async def test_a_guard_sees_what_is_booked_at_once_and_keeps_its_own_from_being(store, engine):
    payments = SqlPaymentStore(engine)
    await payments.create("pay_1", "alice", "checkout", 500, "USD")

    def alone(references):
        if len(references) > 1:
            raise ZeroDivisionError

    outcomes = await asyncio.gather(
        *(
            store.add_credit(
                "alice",
                5,
                reference=f"re_{n}",
                kind="top-up",
                payment_id="pay_1",
                guard=alone,
            )
            for n in range(4)
        ),
        return_exceptions=True,
    )
    assert sorted(map(repr, outcomes)) == ["2", *["ZeroDivisionError()"] * 3]
    assert await store.balance("alice") == 1_000_005
    assert await store.add_credit("alice", 5, reference="next", kind="grant") == 3
    assert sum((await ledger_sums(engine)).values()) == 0


async def test_credits_at_once_are_numbered_without_gaps(store, engine):
    outcomes = await asyncio.gather(
        *(store.add_credit("alice", 5, reference=f"pi_{n}", kind="top-up") for n in range(8))
    )
    assert sorted(outcomes) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert await audit(engine) == []


@pytest.mark.parametrize(
    ("account_id", "micros", "kind", "error"),
    [
        ("nobody", 5, "top-up", LookupError),
        ("alice", 0, "top-up", ValueError),
        ("alice", 5, "gift", ValueError),
        ("alice", LIMIT, "top-up", MoneyError),
        ("alice", -LIMIT - 1_000_001, "dispute", MoneyError),
    ],
)
async def test_a_refused_credit_leaves_no_trace(store, engine, account_id, micros, kind, error):
    with pytest.raises(error):
        await store.add_credit(account_id, micros, reference="r", kind=kind)
    assert await store.balance("alice") == 1_000_000
    assert await store.add_credit("alice", 1, reference="r", kind="top-up") == 2
    assert await audit(engine) == []


@pytest.mark.parametrize(
    ("seen", "booked"), [(1, 2), (2, None), (StoreUnavailableError("away"), 2)]
)
async def test_a_book_that_lacks_what_the_gate_has_seen_books_no_credit(
    store, engine, seen, booked
):
    """The gate would take the next credit for the one that is lacking, and ignore it."""

    async def gate_sequence(account_id):
        assert account_id == "alice"
        if isinstance(seen, Exception):
            raise seen
        return seen

    restored = SqlLedgerStore(engine, gate_sequence=gate_sequence)
    credit = restored.add_credit("alice", 5, reference="pi_1", kind="top-up")
    if booked is None:
        with pytest.raises(CreditsLostError):
            await credit
    else:
        assert await credit == booked
    assert await store.balance("alice") == 1_000_000 + (5 if booked else 0)
    assert await audit(engine) == []


async def test_a_payment_says_what_was_taken_back_of_it(store, engine):
    payments = SqlPaymentStore(engine)
    for name in ("pay_1", "pay_2"):
        await payments.create(name, "alice", "checkout", 500, "USD")
    for reference, kind, micros in [
        ("cs_1", "top-up", 500),
        ("re_1", "refund", -200),
        ("re_2", "refund", -100),
        ("dp_1", "dispute", -200),
        ("dp_2", "dispute", 50),
    ]:
        credit = {"reference": reference, "kind": kind, "payment_id": "pay_1"}
        for _ in range(2):
            await store.add_credit("alice", micros, **credit)
    paid, other = [await payments.find(name) for name in ("pay_1", "pay_2")]
    assert (paid.refunded_micros, paid.disputed_micros) == (300, 150)
    assert (other.refunded_micros, other.disputed_micros) == (0, 0)


async def test_credits_are_caught_up_in_bounded_pieces(store, engine):
    rows = [
        {
            "account_id": "bob",
            "sequence": n,
            "micros": 1,
            "reference": f"b{n}",
            "kind": "grant",
            "at": START,
        }
        for n in range(1, PAGE_ROWS_MAX + 6)
    ]
    async with engine.begin() as connection:
        await connection.execute(sa.insert(tables.credits), rows)
    first = await store.credits_after("bob", 0)
    rest = await store.credits_after("bob", first[-1][0])
    assert [number for number, _ in [*first, *rest]] == list(range(1, PAGE_ROWS_MAX + 6))


async def test_the_balance_of_an_unknown_account_is_nothing(store):
    assert await store.balance("nobody") == 0


async def test_a_live_call_is_a_hold_and_an_ended_one_a_charge(store, engine):
    await store.apply_outbox(3, [opened("c1", 100, rate=costing(97)), ticked(("c1", 150, 2))])
    assert await store.balance("alice") == 1_000_000 - 150
    assert "revenue" not in await ledger_sums(engine)
    assert await audit(engine) == []

    await store.apply_outbox(3, [closed("c1", 90, 3, written_off=7)])
    assert await store.balance("alice") == 1_000_000 - 90
    assert await ledger_sums(engine) == {
        "customer": 1_000_000 - 90,
        "grants": -1_000_000,
        "revenue": 97,
        "write_off": -7,
    }
    assert await audit(engine) == []


async def test_an_unanswered_call_costs_nothing_and_posts_nothing(store, engine):
    await store.apply_outbox(3, [opened("c1", 100), closed("c1", 0, 0)])
    assert await store.balance("alice") == 1_000_000
    assert await ledger_sums(engine) == {"customer": 1_000_000, "grants": -1_000_000}
    assert await audit(engine) == []


async def test_applying_again_and_in_any_order_changes_nothing(store, engine):
    entries = [opened("c1", 100, rate=costing(90)), ticked(("c1", 150, 2)), closed("c1", 90, 3)]
    for one in (entries[2], entries[0], entries[1], *entries, entries[0]):
        await store.apply_outbox(3, [one])
        assert await audit(engine) == []
    await store.apply_outbox(3, entries)
    assert await store.balance("alice") == 1_000_000 - 90
    record = await SqlCdrStore(engine).get("alice", "c1")
    assert (record.opened.destination, record.closed.seconds) == ("+15005551000", 3)


async def test_a_second_end_with_another_price_is_ignored(store, engine):
    await store.apply_outbox(3, [opened("c1", 100, rate=costing(90)), closed("c1", 90, 3)])
    await store.apply_outbox(3, [closed("c1", 40, 1)])
    assert await store.balance("alice") == 1_000_000 - 90
    assert await audit(engine) == []


async def test_a_tick_of_an_unknown_call_is_ignored(store, engine):
    await store.apply_outbox(3, [ticked(("ghost", 150, 2))])
    assert await store.balance("alice") == 1_000_000
    assert await SqlCdrStore(engine).get("alice", "ghost") is None


async def test_an_unreadable_entry_is_kept_and_holds_nothing_up(store, engine):
    bad = entry("C", c=b"c1", m=b"\x00\xff")
    for _ in range(2):
        await store.apply_outbox(3, [bad, opened("c1", 100)])
    assert await store.balance("alice") == 1_000_000 - 100
    assert await audit(engine) == [f"outbox entry could not be read: {bad.entry_id}"]
    async with engine.connect() as connection:
        row = (await connection.execute(sa.select(tables.rejected_entries))).one()
    assert (row.partition, row.fields) == (3, '{"c":"c1","m":"\\u0000ÿ"}')


async def test_no_entries_are_no_transaction(store, engine):
    await store.apply_outbox(3, [])
    async with engine.connect() as connection:
        assert (await connection.execute(sa.select(tables.partitions))).all() == []


async def test_a_partition_counts_what_it_drained(store, engine):
    await store.apply_outbox(3, [opened("c1", 100), opened("c2", 100)])
    await store.apply_outbox(3, [closed("c1", 100)])
    async with engine.connect() as connection:
        row = (await connection.execute(sa.select(tables.partitions))).one()
    assert (row.partition, row.drained_count) == (3, 3)


async def test_partitions_together_hold_everything_once(store, engine):
    old = START - timedelta(days=3)
    await store.apply_outbox(
        0,
        [
            opened("live", 100, rate=costing(100)),
            ticked(("live", 120, 4)),
            opened("recent", 100, "bob"),
            closed("recent", 80, 2, "bob"),
            opened("old", 10, at=old),
            closed("old", 10, at=old),
        ],
    )
    await store.freeze("bob", True)
    states = [await store.partition_state(p, 64) for p in range(64)]
    assert len([s for s in states if s != PartitionState([], [], [], [], [], [])]) == 2
    whole = await store.partition_state(0, 1)
    for name in ("accounts", "open_calls", "closed_calls", "frozen"):
        parts = [row for state in states for row in getattr(state, name)]
        assert sorted(parts, key=str) == sorted(getattr(whole, name), key=str)
    assert sorted(whole.accounts) == [("alice", 1_000_000 - 120 - 10, 1), ("bob", -80, 0)]
    assert whole.open_calls == [OpenCall("live", "alice", "n1", 120, 4)]
    assert whole.closed_calls == [("recent", 80)]
    assert whole.frozen == ["bob"]
    await store.freeze("bob", False)
    assert (await store.partition_state(0, 1)).frozen == []


def test_the_store_reads_the_wall_clock_in_utc(engine):
    assert SqlLedgerStore(engine)._clock().tzinfo is not None
