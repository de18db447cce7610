"""Statements from a real database: pages that begin after a line, balances that add up."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from billing.stores import statement as module
from billing.stores import tables
from billing.stores.sql import SqlLedgerStore
from billing.stores.statement import SqlStatementStore
from tests.billing.outbox_entries import START, closed, opened


@pytest.fixture
async def statements(store, engine):
    """Statements of a book in which alice has made and paid calls, and bob has his own credit."""
    clock = [START]
    later = SqlLedgerStore(engine, clock=lambda: clock[0])
    for n in range(1, 6):
        clock[0] = START + timedelta(minutes=n)
        await later.apply_outbox(0, [opened(f"c{n}", 90), closed(f"c{n}", n, written_off=n)])
    clock[0] += timedelta(minutes=1)
    await later.add_credit(
        "alice", 5, reference="call:c5", kind="call-refund", reason="Too short.", call_id="c5"
    )
    await later.add_credit("bob", 77, reference="b", kind="top-up")
    # A live call is not on it.
    await later.apply_outbox(0, [opened("live", 500)])
    return SqlStatementStore(engine)


async def test_all_lines_newest_first(statements):
    found = await statements.page("alice", limit=50)
    assert [line.reference for line in found] == [
        "credit:call:c5",
        *(f"charge:c{n}" for n in (5, 4, 3, 2, 1)),
        "credit:seed",
    ]
    assert [line.micros for line in found] == [5, -5, -4, -3, -2, -1, 1_000_000]
    balance = 0
    for line in reversed(found):
        balance += line.micros
        assert line.balance_micros == balance
    first = found[0]
    assert (first.reason, first.call_id, first.kind) == ("Too short.", "c5", "call-refund")
    assert first.at == START + timedelta(minutes=6)


async def test_lines_of_calls_that_are_forgotten_say_so(statements, engine):
    async with engine.begin() as connection:
        await connection.execute(
            sa.update(tables.calls).where(tables.calls.c.id == "c5").values(forgotten_at=START)
        )
    found = await statements.page("alice", limit=50)
    forgotten = [line.reference for line in found if line.is_forgotten]
    assert forgotten == ["credit:call:c5", "charge:c5"]


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 8])
async def test_pages_are_the_whole_cut_to_pieces(statements, size):
    whole = await statements.page("alice", limit=50)
    found, before = [], None
    while page := await statements.page("alice", limit=size, before=before):
        assert len(page) <= size
        found += page
        before = page[-1].reference
    assert found == whole


async def test_a_page_begins_only_after_a_line_of_this_account(statements):
    assert await statements.page("alice", limit=5, before="credit:b") == []
    assert await statements.page("alice", limit=5, before="write-off:c3") == []
    assert await statements.page("nobody", limit=5) == []
    assert await statements.page("alice", limit=0) == []


async def test_a_page_is_bounded(statements, monkeypatch):
    monkeypatch.setattr(module, "PAGE_LINES_MAX", 3)
    assert len(await statements.page("alice", limit=1_000_000)) == 3


async def test_what_was_booked_of_one_call(statements):
    found = await statements.of_call("alice", "c5")
    assert [(line.kind, line.micros, line.reason) for line in found] == [
        ("charge", 5, ""),
        ("write-off", 5, ""),
        ("call-refund", 5, "Too short."),
    ]
    assert found[-1].at == START + timedelta(minutes=6)
    assert await statements.of_call("bob", "c5") == await statements.of_call("alice", "x") == []
