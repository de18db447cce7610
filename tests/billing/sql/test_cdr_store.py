"""The contract of `CdrStore`, on both databases."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from billing.cdr import ANY_CALL, CallFilter, CallRecord, LegQuality
from billing.outbox import ended_in
from billing.stores import tables
from billing.stores.call_rows import closed_in, matching_newest_first, opened_in
from billing.stores.sql import PAGE_ROWS_MAX, SqlCdrStore
from tests.billing.outbox_entries import RATE, START, closed, closing, opened, opening, ticked


@pytest.fixture
def records(engine, store):
    return SqlCdrStore(engine)


async def test_a_live_call_costs_what_it_has_used_and_never_what_it_holds(store, records):
    await store.apply_outbox(3, [opened("c1", 100)])
    assert (await records.get("alice", "c1")).cost_micros == 0
    await store.apply_outbox(3, [ticked(("c1", 150, 2))])
    assert await records.get("alice", "c1") == CallRecord(
        opened=opening("c1"), closed=None, cost_micros=RATE.cost(2), used_s=2
    )


@pytest.mark.parametrize("answered_at", [None, START], ids=["unknown", "known"])
async def test_what_an_outbox_tells_of_an_ended_call_is_what_the_book_will(
    store, records, answered_at
):
    """A node that settles another's call may not know when it was answered."""
    ending = closed("c1", 90, 3, written_off=7)
    detail = msgspec.json.encode(msgspec.structs.replace(closing(3), answered_at=answered_at))
    ending = replace(ending, fields={**ending.fields, "m": detail})
    entries = [opened("c1", 100), ticked(("c1", 150, 2), ("c2", 5, 1)), ending]
    told = ended_in(entries, "alice")["c1"]
    await store.apply_outbox(3, entries)
    assert await records.get("alice", "c1") == told
    assert told.closed.answered_at is not None


async def test_a_live_call_without_a_rate_that_can_be_read_costs_nothing_yet(
    engine, records, store
):
    await store.apply_outbox(3, [opened("c1", 100), ticked(("c1", 150, 2))])
    async with engine.begin() as connection:
        await connection.execute(sa.update(tables.calls).values(rate="no rate"))
    assert (await records.get("alice", "c1")).cost_micros == 0


async def test_an_ended_call_reads_as_it_was_closed(store, records):
    await store.apply_outbox(3, [opened("c1", 100), closed("c1", 90, 3, written_off=7)])
    assert await records.get("alice", "c1") == CallRecord(
        opened=opening("c1"), closed=closing(3), cost_micros=90, written_off_micros=7, used_s=3
    )


@pytest.mark.parametrize("text", ["", "3.25", "[]", "{", '{"mos":1e400}', '{"frames_in":"a"}'])
async def test_quality_that_cannot_be_read_hides_no_call(engine, store, records, text):
    await store.apply_outbox(3, [opened("c1", 100), closed("c1", 90, 3)])
    async with engine.begin() as connection:
        await connection.execute(sa.update(tables.calls).values(browser_quality=text))
    (record,) = await records.page("alice", limit=1)
    assert record.closed == msgspec.structs.replace(closing(3), browser=LegQuality())


async def test_a_call_whose_opening_is_lost_still_has_its_end(store, records):
    await store.apply_outbox(3, [closed("c1", 90, 3)])
    record = await records.get("alice", "c1")
    assert record.closed == closing(3)
    assert record.opened.destination == ""
    assert record.opened.created_at == closing(3).ended_at
    await store.apply_outbox(3, [opened("c1", 100)])
    assert await records.get("alice", "c1") == CallRecord(
        opened=opening("c1"), closed=closing(3), cost_micros=90, used_s=3
    )


async def test_an_account_sees_only_its_own_calls(store, records):
    await store.apply_outbox(3, [opened("c1", 1), opened("c2", 1, "bob")])
    assert await records.get("bob", "c1") is None
    assert await records.get("alice", "nothing") is None
    assert [r.opened.call_id for r in await records.page("bob", limit=9)] == ["c2"]
    assert await records.page("bob", limit=9, before="c1") == []


async def test_a_time_is_the_same_instant_in_whatever_zone_it_came(store, records):
    from datetime import timezone

    elsewhere = START.astimezone(timezone(timedelta(hours=5, minutes=45)))
    await store.apply_outbox(3, [opened("c1", 1, at=elsewhere)])
    at = (await records.get("alice", "c1")).opened.created_at
    assert (at, at.utcoffset()) == (START, timedelta(0))


async def read_pages(records, limit, between):
    ids, before, number = [], None, 0
    while page := await records.page("alice", limit=limit, before=before):
        assert len(page) <= limit
        ids += [record.opened.call_id for record in page]
        before = ids[-1]
        await between(number)
        number += 1
    return ids


async def test_pages_are_stable_while_calls_arrive(store, records):
    # Three calls a second: the order within one instant is by id.
    expected = [f"c{n:02}" for n in range(20)]
    await store.apply_outbox(
        3,
        [
            opened(call_id, 1, at=START + timedelta(seconds=n // 3))
            for n, call_id in enumerate(expected)
        ],
    )

    async def add_a_newer_call(number):
        at = START + timedelta(hours=1, seconds=number)
        await store.apply_outbox(3, [opened(f"new{number}", 1, at=at), closed("c05", 1)])

    assert await read_pages(records, 3, add_a_newer_call) == expected[::-1]
    assert (await records.page("alice", limit=1))[0].opened.call_id.startswith("new")


@pytest.mark.parametrize(("limit", "count"), [(-1, 0), (0, 0), (1, 1), (10**9, PAGE_ROWS_MAX)])
async def test_a_page_is_bounded(store, records, limit, count):
    await store.apply_outbox(3, [opened(f"c{n}", 1) for n in range(PAGE_ROWS_MAX + 1)])
    assert len(await records.page("alice", limit=limit)) == count


async def test_paging_reads_the_index_alone(engine, store):
    """A page must not sort or scan an account's whole year."""
    if engine.dialect.name == "sqlite":
        plan = (
            "EXPLAIN QUERY PLAN SELECT * FROM calls WHERE account_id = 'alice'"
            " AND (created_at, id) < (SELECT created_at, id FROM calls WHERE id = 'c1')"
            " ORDER BY created_at DESC, id DESC LIMIT 50"
        )
        async with engine.connect() as connection:
            steps = " ".join(row[3] for row in await connection.exec_driver_sql(plan))
        assert "ix_calls_account_id_created_at_id" in steps
        assert "TEMP B-TREE" not in steps


async def test_a_name_that_no_database_holds_is_no_call(records):
    assert await records.get("alice", "c1\0") is None


async def test_how_a_call_was_opened_and_ended_is_read_from_its_row(engine, store):
    """Without the figures of its legs, unless they are given."""
    await store.apply_outbox(3, [opened("c1", 100), closed("c1", 90, 3)])
    async with engine.connect() as connection:
        row = (await connection.execute(sa.select(tables.calls))).one()
    legs = {"browser": LegQuality(), "carrier": LegQuality()}
    assert opened_in(row) == opening("c1")
    assert closed_in(row) == msgspec.structs.replace(closing(3), **legs)
    legs["browser"] = LegQuality(talk_ms=9)
    assert closed_in(row, **legs) == msgspec.structs.replace(closing(3), **legs)


async def planted(engine, count=0):
    """Book some calls of alice that differ, and `count` that are alike."""
    same = {
        **dict.fromkeys(("codec", "origin", "cause_name", "carrier_call_id"), ""),
        **dict.fromkeys(("browser_quality", "carrier_quality"), "{}"),
        "account_id": "alice",
        "opened": True,
        "closed": True,
        "node": "n1",
        "country": "",
        "currency": "USD",
        "rate": RATE.to_json(),
        "spent_micros": 0,
        "seconds": 0,
        "cause": 16,
        "ended_by": "caller",
        "ended_at": START,
    }
    told = [
        ("a", "+442079460018", 0, START, 16, "caller"),
        ("b", "+442079460019", 1, None, 17, "callee"),
        ("c", "+15005550018", 2, None, 19, "carrier"),
        ("d", "+15005550001", 3, START, 16, "credit"),
    ]
    rows = [
        {
            **same,
            "id": f"call-{name}",
            "destination": number,
            "answered_at": answered_at,
            "cause": cause,
            "ended_by": by,
            "created_at": START + timedelta(days=day),
        }
        for name, number, day, answered_at, cause, by in told
    ] + [
        {
            **same,
            "id": f"x{n}",
            "destination": "+33123456789",
            "answered_at": START,
            "created_at": START - timedelta(minutes=n + 1),
        }
        for n in range(count)
    ]
    async with engine.begin() as connection:
        await connection.execute(sa.insert(tables.calls), rows)


@pytest.mark.parametrize(
    ("only", "found"),
    [
        (ANY_CALL, "dcba"),
        (CallFilter(since=START + timedelta(days=1)), "dcb"),
        (CallFilter(until=START + timedelta(days=1)), "a"),
        (CallFilter(digits="0018"), "ca"),
        (CallFilter(digits="4420"), "ba"),
        (CallFilter(answered=True), "da"),
        (CallFilter(answered=False), "cb"),
        (CallFilter(answered=False, causes=frozenset({17, 18})), "b"),
        (CallFilter(ended_by="credit"), "d"),
        (CallFilter(digits="0018", answered=True), "a"),
        (CallFilter(digits="9999"), ""),
    ],
)
async def test_a_filter_finds_what_matches_newest_first(engine, store, records, only, found):
    await planted(engine)
    page = await records.page("alice", limit=9, only=only)
    assert [record.opened.call_id.removeprefix("call-") for record in page] == list(found)
    assert await records.page("bob", limit=9, only=only) == []
    if len(found) > 1:
        older = await records.page("alice", limit=1, before=f"call-{found[0]}", only=only)
        assert [record.opened.call_id for record in older] == [f"call-{found[1]}"]


async def test_a_filter_looks_at_the_index_alone(engine, store):
    """What matches few calls of many must not read the rows of the others."""
    only = CallFilter(digits="0018", answered=False, causes=frozenset({19}), ended_by="carrier")
    query = matching_newest_first("alice", only, limit=50, before=None)
    text = str(query.compile(engine, compile_kwargs={"literal_binds": True}))
    await planted(engine, 300)
    async with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")
            steps = [row[3] for row in plan]
            assert any("USING COVERING INDEX ix_calls_account_id_created" in it for it in steps)
        else:
            # Among the calls of others, and with what the planner then knows of them.
            others = {"id": "id || '-' || n", "account_id": "'bob'"}
            columns = [column.name for column in tables.calls.c]
            chosen = ", ".join(others.get(name, name) for name in columns)
            await connection.exec_driver_sql(
                f"INSERT INTO calls ({', '.join(columns)})"
                f" SELECT {chosen} FROM calls, generate_series(1, 20) AS n"
            )
            await connection.exec_driver_sql("ANALYZE calls")
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            await connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
            plan = await connection.exec_driver_sql(f"EXPLAIN {text}")
            steps = [row[0] for row in plan]
            assert any("Index Only Scan" in it and "ix_calls_account_id" in it for it in steps), (
                "\n".join(steps)
            )
