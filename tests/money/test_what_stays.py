"""What is left of somebody with a row in every table, once the account is deleted.

The map, from which pages, mails and documents say what stays, against what the stores still hold.
"""

from collections import Counter

import pytest
import sqlalchemy as sa

from accounts.audit_log import Act, Actor
from accounts.erasure import Unspent
from accounts.not_personal import NOT_PERSONAL
from accounts.stores import audit_log
from accounts.stores import tables as people
from database.engine import TIMEOUT_S, reading, writing
from gateway.data_map import KINDS
from gateway.operators import Order
from gateway.personal_data.retention import SqlRetention
from tests.gateway.privacy.needles import add_person
from tests.gateway.test_data_map import template_of
from tests.money.test_erasure import finish, house

__all__ = ["house"]

CAROL = "carol"
WORDS = "she is a friend of Grace Hopper"
NOBODYS = {name.partition(".")[0] for each in NOT_PERSONAL for name in each.names}
"""Tables that tell of no person; `add_person` gives them a row all the same."""
STAYING = {
    column: kind.name for kind in KINDS if kind.stays for columns in kind.sql for column in columns
}
GOING = {
    column
    for kind in KINDS
    if not kind.stays
    for columns in kind.sql
    for column in columns
    if column not in STAYING
}
FREE_TEXT = {
    "account_events.reason",
    "data_requests.note",
    "api_keys.label",
    "supervision_rules.silent_reason",
    "rejected_entries.fields",
    "payments.receipt_url",
}
"""Columns with somebody's words, or what leads to the person, in tables of which rows stay."""


async def rows_of(engine):
    """Return table -> rows in which the account or one of its needles is."""
    found = {}
    async with reading(engine, TIMEOUT_S) as connection:
        names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
        for name in set(names) - NOBODYS:
            rows = (await connection.execute(sa.text(f'SELECT * FROM "{name}"'))).mappings()
            mine = [row for row in rows if CAROL in repr(dict(row))]
            if mine:
                found[name] = mine
    return found


def places(found):
    """Return the columns in which something of the account is, as `table.column`."""
    return {
        f"{name}.{column}"
        for name, rows in found.items()
        for row in rows
        for column, value in row.items()
        if CAROL in repr(value)
    }


@pytest.fixture
async def erased(house):
    await add_person(house.engine, CAROL)
    async with writing(house.engine, TIMEOUT_S) as connection:
        await connection.execute(sa.delete(people.erasures))
    before = places(await rows_of(house.engine))
    # The test sees what it looks for.
    assert before >= {*FREE_TEXT} - {"rejected_entries.fields"}
    assert len(before & GOING) > 30
    order = Order("ops", WORDS)
    await house.kept.begin_now(CAROL, Unspent.GIVE_UP, Actor.OPERATOR, order)
    assert (await finish(house, CAROL)).is_erased
    return house


async def test_nothing_is_left_but_what_the_map_says_stays(erased):
    found = await rows_of(erased.engine)
    assert places(found) - STAYING.keys() == set()
    assert places(found) & FREE_TEXT == set()
    assert WORDS not in repr(found)
    # A table of what goes has no row of the account, whatever is in it.
    assert {name for name in found if all(f"{name}.{c}" in GOING for c in found[name][0])} == set()
    # And of what is said to stay something does: nobody is told more than is true.
    by_kind = Counter(
        kind
        for name, rows in found.items()
        for row in rows
        for column, value in row.items()
        if value not in {None, ""} and (kind := STAYING.get(f"{name}.{column}"))
    )
    made_then = {"proof", "mails"}
    of_rows = {kind.name for kind in KINDS if kind.stays and kind.sql}
    assert of_rows - made_then - {"unread", "carried"} <= by_kind.keys()


async def test_no_key_of_valkey_names_the_account_but_those_that_the_map_says_stay(erased):
    staying = {key.template for kind in KINDS if kind.stays for key in kind.valkey}
    named = [key for key, value in (await erased.everything()).items() if CAROL in f"{key} {value}"]
    assert [key for key in named if not template_of(key) & staying] == []


async def test_words_that_come_after_a_deletion_are_gone_a_day_later(erased):
    at = erased.now
    async with writing(erased.engine, TIMEOUT_S) as connection:
        for account_id in (CAROL, "bob"):
            await audit_log.record(
                connection,
                account_id,
                Act.CREDITED,
                at,
                Actor.OPERATOR,
                reason=WORDS,
                operator="ops",
            )
        answered = sa.update(people.data_requests).values(note=WORDS)
        await connection.execute(answered.where(people.data_requests.c.account_id == CAROL))
    retention = SqlRetention(erased.engine, clock=erased.clock)
    assert (await retention.due("reasons"), await retention.due("notes")) == (1, 2)
    assert await retention.sweep("reasons") == (1, False)
    # Of what was asked for before, and of the deletion itself.
    assert await retention.sweep("notes") == (2, False)
    assert (await retention.due("reasons"), await retention.due("notes")) == (0, 0)
    assert WORDS not in repr(await rows_of(erased.engine))
    async with reading(erased.engine, TIMEOUT_S) as connection:
        (last, *_) = await audit_log.of_account(connection, CAROL, limit=1)
        assert (last.act, last.operator, last.reason) == (Act.CREDITED, "ops", "")
        # Of an account that is there everything stays.
        (bobs, *_) = await audit_log.of_account(connection, "bob", limit=1)
        assert bobs.reason == WORDS
        notes = sa.select(people.data_requests.c.note)
        assert set(await connection.scalars(notes)) == {""}


async def execute(engine, *statements):
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(sa.text(statement))


@pytest.mark.parametrize(
    "change",
    [
        "reason = 'another'",
        "reason = '', act = 'signed_up'",
        "reason = '', operator = 'nobody'",
        "reason = '', at = created_at",
        "reason = '', account_id = 'bob'",
    ],
)
async def test_nothing_else_of_a_line_can_be_changed_even_where_reasons_go(house, change):
    async with writing(house.engine, TIMEOUT_S) as connection:
        await audit_log.record(connection, "alice", Act.LOCKED, house.now, reason=WORDS)
    change = change.replace("at = created_at", "at = '2026-01-01 00:00:00+00'")
    forgetting = "INSERT INTO event_forgetting (id) VALUES (1)"
    for statements in (
        ["UPDATE account_events SET reason = ''"],
        [forgetting, f"UPDATE account_events SET {change}"],
    ):
        with pytest.raises(sa.exc.DBAPIError, match="immutable"):
            await execute(house.engine, *statements)
