"""The list of carrier calls that must be ended, on a real Valkey."""

import asyncio

import msgspec
import pytest

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.call.ghost import Ghost
from gateway.stores import ghosts as ghosts_module
from gateway.stores.ghosts import RedisGhostStore

GHOST = Ghost(call_id="c1", node="n1", noted_s=1_000.25, due_s=1_001.5)


@pytest.fixture
async def store(valkey_url):
    redis = connect(valkey_url)
    await redis.execute_command("DEL", "caller:ghosts")
    yield RedisGhostStore(redis)
    await redis.execute_command("DEL", "caller:ghosts")
    await disconnect(redis)


async def test_what_is_noted_is_listed_until_it_is_forgotten(store):
    assert await store.all() == {}
    assert await store.note("CA1", GHOST) == GHOST
    assert await store.all() == {"CA1": GHOST}
    await store.forget("CA1")
    await store.forget("CA1")
    assert await store.all() == {}


async def test_what_is_known_stays_as_it_is(store):
    await store.note("CA1", GHOST)
    later = msgspec.structs.replace(GHOST, noted_s=2_000.0)
    assert await store.note("CA1", later) == GHOST
    assert await store.all() == {"CA1": GHOST}


async def test_one_of_many_claims_it(store):
    await store.note("CA1", GHOST)
    claims = [msgspec.structs.replace(GHOST, due_s=2_000.0 + n) for n in range(20)]
    won = await asyncio.gather(*(store.claim("CA1", GHOST, claim) for claim in claims))
    assert won.count(True) == 1
    assert await store.all() == {"CA1": claims[won.index(True)]}


async def test_what_was_forgotten_is_not_claimed(store):
    assert not await store.claim("CA1", GHOST, GHOST)
    assert await store.all() == {}


async def test_the_list_is_bounded(store, monkeypatch):
    monkeypatch.setattr(ghosts_module, "GHOSTS_MAX", 2)
    for sid in ("CA1", "CA2"):
        assert await store.note(sid, GHOST) == GHOST
    assert await store.note("CA3", GHOST) is None
    assert await store.note("CA2", GHOST) == GHOST
    assert (await store.all()).keys() == {"CA1", "CA2"}


async def test_without_redis_every_question_says_so():
    redis = connect("redis://127.0.0.1:1")
    store = RedisGhostStore(redis)
    for question in (
        store.note("CA1", GHOST),
        store.all(),
        store.claim("CA1", GHOST, GHOST),
        store.forget("CA1"),
    ):
        with pytest.raises(StoreUnavailableError):
            await question
    await disconnect(redis)
