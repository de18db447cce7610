"""What is kept of a person is read by the data map, page after page, and nobody else's."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts.stores import tables as people
from billing.stores import tables
from gateway.data_map import KINDS
from gateway.personal_data.rows import SqlPersonalRows
from tests.gateway.privacy.needles import AT, add_calls, add_person, row_of

BY_NAME = {kind.name: kind for kind in KINDS}
CALLS = BY_NAME["calls"]


@pytest.fixture
async def rows(engine):
    for name in ("alice", "mallory"):
        await add_person(engine, name)
    return SqlPersonalRows(engine)


def ids_in(page):
    (columns,) = CALLS.sql
    return [row[columns.exported.index("id")] for row in page.rows]


@pytest.mark.parametrize("name", [kind.name for kind in KINDS if kind.is_exported])
async def test_each_table_of_each_kind_is_read_with_its_exported_columns(rows, name):
    kind = BY_NAME[name]
    for columns in kind.sql:
        assert await rows.count(kind, columns, "alice") == 1
        assert await rows.count(kind, columns, "nobody") == 0
        page = await rows.page(kind, columns, "alice")
        expected = row_of("alice", columns.table)
        (row,) = page.rows
        for column, value in zip(columns.exported, row, strict=True):
            assert value == expected.get(column, value), column
        assert page.after is None


async def test_nobody_is_told_of_mails_to_an_address_that_they_have_not_proven(engine, rows):
    """Its owner may be asking for a way in."""
    holders = people.holders
    async with engine.begin() as connection:
        alice = sa.update(holders).where(holders.c.account_id == "alice")
        await connection.execute(alice.values(email_proven_at=None))
    hidden = {
        held.kind.name
        for held in await rows.held("alice", newest=1, count_max=9)
        if held.count == 0
    }
    assert hidden == {"links", "mails"}
    for kind in map(BY_NAME.get, hidden):
        for columns in kind.sql:
            assert (await rows.page(kind, columns, "alice")).rows == []
            assert len((await rows.page(kind, columns, "mallory")).rows) == 1


async def test_pages_follow_one_another_in_order_and_without_gaps(engine, rows):
    await add_calls(engine, "alice", 7)
    async with engine.begin() as connection:
        # Of one moment: the id decides which comes first.
        same = sa.update(tables.calls).where(tables.calls.c.id.in_(["alice-2", "alice-3"]))
        await connection.execute(same.values(created_at=AT + timedelta(seconds=2)))
    (columns,) = CALLS.sql
    found, after = [], None
    while True:
        page = await rows.page(CALLS, columns, "alice", after=after, limit=3)
        found += ids_in(page)
        after = page.after
        if after is None:
            break
    assert [each for each in found if each.startswith("alice-")] == [f"alice-{n}" for n in range(7)]
    assert len(found) == len(set(found)) == 8


async def test_a_page_that_is_just_full_is_followed_by_an_empty_one(engine, rows):
    await add_calls(engine, "alice", 2)
    (columns,) = CALLS.sql
    page = await rows.page(CALLS, columns, "alice", limit=3)
    assert len(page.rows) == 3
    rest = await rows.page(CALLS, columns, "alice", after=page.after, limit=3)
    assert (rest.rows, rest.after) == ([], None)


async def test_a_forgotten_call_is_none_any_more_but_its_charge_is(engine, rows):
    async with engine.begin() as connection:
        forgotten = sa.update(tables.calls).where(tables.calls.c.account_id == "alice")
        await connection.execute(forgotten.values(forgotten_at=AT))
    (columns,) = CALLS.sql
    assert await rows.count(CALLS, columns, "alice") == 0
    charges = BY_NAME["charges"]
    of_calls = next(each for each in charges.sql if each.table == "calls")
    assert await rows.count(charges, of_calls, "alice") == 1


async def test_what_is_held_is_counted_so_far_and_its_newest_shown(engine, rows):
    await add_calls(engine, "alice", 9)
    held = {
        (each.kind.name, each.columns.table): each
        for each in await rows.held("alice", newest=2, count_max=5)
    }
    assert held["calls", "calls"].count == 5
    assert held["email", "holders"].count == 1
    newest = [
        row[held["calls", "calls"].columns.exported.index("id")]
        for row in held["calls", "calls"].newest
    ]
    # The one of `add_person` was made some seconds after the first of these.
    assert newest[0] in {"alice-8", row_of("alice", "calls")["id"]}
    assert len(newest) == 2
    expected = {(kind.name, c.table) for kind in KINDS if kind.is_exported for c in kind.sql}
    assert set(held) == expected
    assert "mallory" not in str([each.newest for each in held.values()])
