"""Exports in SQL: asked for one at a time, claimed by one maker at a time, handed out in chunks.

How they are made, and what becomes of one whose maker dies: `tests/gateway/privacy`.
"""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts.audit_log import Act
from accounts.export import A_DAY_MAX, CLAIM, ExportRefusal, ExportState
from accounts.notice import Notice
from accounts.stores import audit_log, tables
from accounts.stores.holders import erase_holder
from database.engine import reading, writing
from gateway.people.export_store import SqlExports
from tests.clock import Clock
from tests.gateway.personal_data.test_retention import NOW, add_holder

DIGEST = "d" * 64
READY = Notice("export_ready")
DAY = timedelta(days=1)


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture
async def exports(engine, clock):
    async with engine.begin() as connection:
        for name in ("alice", "bob"):
            await add_holder(connection, name, NOW, proven=True)
    return SqlExports(engine, clock=clock)


async def acts(engine):
    async with reading(engine, 5) as connection:
        return [each.act for each in await audit_log.of_account(connection, "alice", limit=9)]


async def test_one_is_asked_for_at_a_time_and_a_repeat_finds_it(engine, exports):
    first = await exports.ask("alice", 1, "e1", DIGEST)
    assert (first.state, first.session_digest, first.asked_at) == (ExportState.QUEUED, DIGEST, NOW)
    assert await exports.ask("alice", 1, "e1", DIGEST) == first
    assert await exports.ask("alice", 1, "e2", DIGEST) is ExportRefusal.UNDER_WAY
    assert (await exports.ask("bob", 1, "e3", DIGEST)).account_id == "bob"
    assert [each.id for each in await exports.of_account("alice")] == ["e1"]
    assert await acts(engine) == [Act.EXPORT_ASKED]


async def test_two_at_once_are_one(exports):
    asked = await asyncio.gather(
        *(exports.ask("alice", 1, f"e{n}", DIGEST) for n in range(4)), return_exceptions=True
    )
    assert sum(getattr(each, "state", None) is ExportState.QUEUED for each in asked) == 1
    assert len(await exports.of_account("alice")) == 1


async def test_a_session_that_is_over_asks_and_fetches_nothing(exports):
    assert await exports.ask("alice", 2, "e1", DIGEST) is None
    assert await exports.ask("nobody", 1, "e1", DIGEST) is None
    assert not await exports.note_fetched("alice", 2)
    assert await exports.of_account("alice") == []


async def made(exports, name):
    await exports.ask("alice", 1, name, DIGEST)
    export, _ = await exports.claim()
    assert await exports.add_chunk(export, 0, b"PK", 50)
    assert await exports.finish(export, READY)


async def test_three_a_day_the_newest_first(exports, clock):
    for number in range(A_DAY_MAX):
        clock.now += timedelta(minutes=1)
        await made(exports, f"e{number}")
    assert [each.id for each in await exports.of_account("alice")] == ["e2", "e1", "e0"]
    assert await exports.ask("alice", 1, "e9", DIGEST) is ExportRefusal.TOO_MANY
    clock.now += DAY
    assert (await exports.ask("alice", 1, "e9", DIGEST)).state is ExportState.QUEUED


async def test_it_is_claimed_once_with_its_readers_language_and_grows(engine, exports):
    assert await exports.claim() is None
    await exports.ask("alice", 1, "e1", DIGEST)
    claims = await asyncio.gather(*(exports.claim() for _ in range(3)))
    (claimed,) = [each for each in claims if each is not None]
    export, language = claimed
    assert (export.state, export.tries, language) == (ExportState.MAKING, 1, "en")
    assert await exports.add_chunk(export, 0, b"one", 30)
    assert await exports.add_chunk(export, 1, b"three", 60)
    (seen,) = await exports.of_account("alice")
    assert (seen.progress, seen.size_bytes) == (60, 8)
    assert await exports.renew(export, 70)
    assert await exports.finish(export, READY)
    assert not await exports.finish(export, READY)
    assert [await exports.chunk("e1", n) for n in range(3)] == [b"one", b"three", None]
    assert await exports.note_fetched("alice", 1)
    assert await acts(engine) == [Act.EXPORT_FETCHED, Act.EXPORT_READY, Act.EXPORT_ASKED]


async def test_a_claim_lasts_as_long_as_it_is_renewed(exports, clock):
    await exports.ask("alice", 1, "e1", DIGEST)
    export, _ = await exports.claim()
    clock.now += CLAIM - timedelta(seconds=1)
    assert await exports.add_chunk(export, 0, b"x", 1)
    clock.now += CLAIM - timedelta(seconds=1)
    assert await exports.claim() is None
    clock.now += timedelta(seconds=1)
    again, _ = await exports.claim()
    assert (again.id, again.tries) == ("e1", 2)
    assert await exports.chunk("e1", 0) is None, "what the first has made is gone"


async def test_one_that_fails_leaves_nothing_behind_and_another_may_be_asked_for(exports):
    await exports.ask("alice", 1, "e1", DIGEST)
    export, _ = await exports.claim()
    await exports.add_chunk(export, 0, b"x", 1)
    assert await exports.fail(export)
    assert await exports.chunk("e1", 0) is None
    assert (await exports.of_account("alice"))[0].state is ExportState.FAILED
    assert (await exports.ask("alice", 1, "e2", DIGEST)).id == "e2"


async def test_a_chunk_is_bounded_by_the_database_itself(exports):
    await exports.ask("alice", 1, "e1", DIGEST)
    export, _ = await exports.claim()
    with pytest.raises(sa.exc.IntegrityError):
        await exports.add_chunk(export, 0, b"x" * (tables.CHUNK_BYTES_MAX + 1), 1)


async def test_a_chunk_that_is_being_added_holds_no_erasure_up(engine, exports):
    await exports.ask("alice", 1, "e1", DIGEST)

    async def erase():
        async with writing(engine, 5) as connection:
            await erase_holder(connection, "alice")

    async with writing(engine, 5) as connection:
        await connection.execute(sa.update(tables.exports).values(progress=9))
        erasing = asyncio.create_task(erase())
        # Time to find no chunk, for whoever does not wait for this transaction.
        await asyncio.sleep(0.3)
        chunk = {"export_id": "e1", "number": 0, "content": b"x"}
        await connection.execute(sa.insert(tables.export_chunks).values(chunk))
    await erasing
    assert await exports.chunk("e1", 0) is None


async def test_it_goes_with_its_holder(engine, exports):
    await made(exports, "e1")
    async with writing(engine, 5) as connection:
        await erase_holder(connection, "alice")
    assert await exports.of_account("alice") == []
    assert await exports.chunk("e1", 0) is None
