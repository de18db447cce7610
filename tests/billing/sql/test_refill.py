"""What a partition of the spend gate is filled with, on both databases: caps, burns, open calls."""

from datetime import datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from billing.cdr import CallClosed, CallOpened, LegQuality
from billing.ports import OpenCall
from billing.rating import Rate
from billing.stores import tables
from billing.stores.refill import CALL_AGE_MAX, TOMBSTONE_AGE
from tests.billing.outbox_entries import START, closed, entry, opening, ticked

DAY, MONTH = "account:alice:day:2026-11-24", "account:alice:month:2026-11"
KEY_DAY = "key:k1:day:2026-11-24"


@pytest.fixture
async def capped(engine, store):
    """The book, in which alice and her key `k1` have caps, and her key `k2` has none."""
    caps = {"day_cap_micros": 1_000, "month_cap_micros": 9_000}
    keys = [("k1", 500), ("k2", None)]
    async with engine.begin() as connection:
        alice = sa.update(tables.accounts).where(tables.accounts.c.id == "alice")
        await connection.execute(alice.values(caps))
        await connection.execute(
            sa.insert(tables.api_keys),
            [
                {
                    "id": key_id,
                    "key_hash": key_id,
                    "account_id": "alice",
                    "label": "",
                    "created_at": START,
                    "day_cap_micros": limit,
                }
                for key_id, limit in keys
            ],
        )
    return store


def begun(call_id, held, account_id="alice", *, at=START, key_id="", rate=None):
    """The entry of a call that was opened."""
    detail = msgspec.structs.replace(
        opening(call_id, account_id, at=at),
        key_id=key_id,
        rate=(rate or Rate(per_minute_micros=13_000)).to_json(),
    )
    words = {"c": call_id, "a": account_id, "s": str(held)}
    fields = {name: word.encode() for name, word in words.items()}
    return entry("O", **fields, m=msgspec.json.encode(detail))


async def test_an_open_call_is_described_whole(capped):
    million = Rate(per_minute_micros=10**12)
    await capped.apply_outbox(
        0,
        [
            begun("c1", 100, key_id="k1", rate=million),
            begun("c2", 100, key_id="k2"),
            begun("c3", 100, "bob", key_id="revoked-and-gone"),
            ticked(("c1", 120, 4)),
        ],
    )
    state = await capped.partition_state(0, 1)
    assert sorted(state.open_calls, key=lambda call: call.call_id) == [
        OpenCall("c1", "alice", "n1", 120, 4, "", 10**12, (DAY, MONTH, KEY_DAY), "k1"),
        OpenCall("c2", "alice", "n1", 100, 0, "", 13_000, (DAY, MONTH), "k2"),
        OpenCall("c3", "bob", "n1", 100, 0, "", 13_000, (), "revoked-and-gone"),
    ]


async def test_a_call_without_a_rate_that_can_be_read_burns_nothing(capped):
    nonsense = msgspec.structs.replace(opening("c1"), rate='{"per_minute":13000}')
    detail = msgspec.json.encode(nonsense)
    await capped.apply_outbox(0, [entry("O", c=b"c1", a=b"alice", s=b"1", m=detail)])
    assert (await capped.partition_state(0, 1)).open_calls[0].per_minute_micros == 0


async def test_calls_that_live_and_that_have_ended_count_in_their_period(capped):
    midnight = datetime.combine(START, datetime.min.time(), START.tzinfo)
    yesterday = midnight - timedelta(microseconds=1)
    first_of_month = midnight.replace(day=1)
    await capped.apply_outbox(
        0,
        [
            begun("live", 100, key_id="k1"),
            begun("ended", 100, key_id="k1"),
            closed("ended", 30),
            begun("dawn", 7, at=midnight, key_id="k2"),
            begun("yesterday", 1_000, at=yesterday, key_id="k1"),
            begun("first", 20_000, at=first_of_month),
            begun("october", 300_000, at=first_of_month - timedelta(microseconds=1)),
            begun("bob", 4_000_000, "bob", key_id="k3"),
        ],
    )
    state = await capped.partition_state(0, 1)
    assert sorted(state.spent) == [(DAY, 137), (MONTH, 21_137), (KEY_DAY, 130)]
    names = {call.call_id: call.cap_names for call in state.open_calls}
    # Its day is over, and what it gives back must not be taken from today's.
    assert names["yesterday"] == ("account:alice:day:2026-11-23", MONTH, "key:k1:day:2026-11-23")


async def test_only_caps_that_are_set_have_counters(engine, capped):
    await capped.apply_outbox(0, [begun("c1", 100, key_id="k1")])
    async with engine.begin() as connection:
        await connection.execute(sa.update(tables.accounts).values(day_cap_micros=None))
        await connection.execute(sa.update(tables.api_keys).values(day_cap_micros=None))
    state = await capped.partition_state(0, 1)
    assert state.spent == [(MONTH, 100)]
    assert state.open_calls[0].cap_names == (MONTH,)


async def test_what_cost_nothing_has_no_counter(capped):
    await capped.apply_outbox(0, [begun("c1", 100, key_id="k1"), closed("c1", 0)])
    assert (await capped.partition_state(0, 1)).spent == []


async def test_caps_are_in_the_partition_of_their_account(capped):
    await capped.apply_outbox(0, [begun("c1", 100, key_id="k1")])
    states = [await capped.partition_state(p, 64) for p in range(64)]
    (state,) = [state for state in states if state.spent]
    assert sorted(state.spent) == [(DAY, 100), (MONTH, 100), (KEY_DAY, 100)]
    assert [account_id for account_id, _, _ in state.accounts] == ["alice"]


async def test_ended_calls_are_remembered_for_a_day_however_long_they_were(capped):
    old = START - TOMBSTONE_AGE - CALL_AGE_MAX + timedelta(minutes=1)
    day_before = START - TOMBSTONE_AGE
    await capped.apply_outbox(
        0,
        [
            begun("long", 1, at=old),
            closed("long", 1, at=START - timedelta(hours=1)),
            begun("past", 1, at=old),
            closed("past", 1, at=day_before - timedelta(minutes=5)),
        ],
    )
    assert (await capped.partition_state(0, 1)).closed_calls == [("long", 1)]


async def test_what_the_gate_would_have_to_tell_again_is_told_to_it(capped):
    await capped.apply_outbox(
        0,
        [
            begun("ended", 100),
            closed("ended", 30, 3),
            begun("live", 100, "bob"),
            closed("headless", 5, 1),
        ],
    )
    found = {one.call_id: one for one in (await capped.partition_state(0, 1)).memories}
    assert found.keys() == {"ended", "live", "headless"}
    ended, live, headless = found["ended"], found["live"], found["headless"]
    assert (ended.account_id, ended.charged_micros, ended.seconds) == ("alice", 30, 3)
    ended_at = START + timedelta(seconds=8)
    assert ended.ended_s == int(ended_at.timestamp())
    assert msgspec.json.decode(ended.opened, type=CallOpened) == msgspec.structs.replace(
        opening("ended"), rate=Rate(per_minute_micros=13_000).to_json()
    )
    end = msgspec.json.decode(ended.closed, type=CallClosed)
    assert (end.ended_at, end.seconds, end.browser) == (ended_at, 3, LegQuality())
    assert (live.account_id, live.opened != b"", live.closed) == ("bob", True, b"")
    assert (headless.opened, headless.closed != b"") == (b"", True)


@pytest.mark.parametrize("value", ["cause = NULL", "ended_by = 'x'", "spent_micros = -1"])
async def test_what_no_book_could_read_again_is_not_told(engine, capped, value):
    """The call stays one that has ended."""
    await capped.apply_outbox(0, [begun("c1", 100), closed("c1", 30, 3)])
    async with engine.begin() as connection:
        await connection.execute(sa.text(f"UPDATE calls SET {value}"))
    state = await capped.partition_state(0, 1)
    assert [call_id for call_id, _ in state.closed_calls] == ["c1"]
    assert state.memories == []


async def test_a_row_that_cannot_be_read_keeps_no_gate_from_being_filled(engine, capped):
    if engine.dialect.name != "sqlite":
        pytest.skip("platform: PostgreSQL refuses such values")
    await capped.apply_outbox(
        0, [begun("c1", 100), closed("c1", 30, 3), begun("c2", 100), closed("c2", 30, 3)]
    )
    async with engine.begin() as connection:
        bad = "answered_at = 'x', cause_name = CAST(x'4eff' AS TEXT)"
        await connection.execute(sa.text(f"UPDATE calls SET {bad} WHERE id = 'c1'"))
    state = await capped.partition_state(0, 1)
    assert sorted(state.closed_calls) == [("c1", 30), ("c2", 30)]
    assert [one.call_id for one in state.memories] == ["c2"]
