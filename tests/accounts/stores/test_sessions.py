"""Sessions on a real server, alone and in a cluster: each under one secret, none forgotten."""

import asyncio
import contextlib
import hashlib
import itertools
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import RedisCluster

from accounts.session import AGE_MAX, IDLE_MAX, Session, name_of
from accounts.stores.sessions import SESSIONS_MAX, RedisSessions
from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from tests.money.topologies import Cluster, master_and_replica, sentinels

NOW = datetime(2026, 11, 24, 12, 0, 0, 123_456, tzinfo=UTC)
ALICE = Session("alice", "d1", frozenset({"pwd"}), 1, NOW, NOW, NOW)
BOB = replace(ALICE, account_id="bob")


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster(3)
    yield cluster
    cluster.close()


@pytest.fixture(params=["single", pytest.param("cluster", marks=pytest.mark.thorough)])
async def redis(request):
    if request.param == "cluster":
        cluster = request.getfixturevalue("cluster")
        for server in cluster.servers:
            server.command("FLUSHALL")
        client = connect(cluster.url)
    else:
        client = connect(request.getfixturevalue("valkey_url"))
    yield client
    await disconnect(client)


@pytest.fixture
async def operator(request, redis):
    """Whoever may look at all keys."""
    name = "cluster" if isinstance(redis, RedisCluster) else "valkey_server"
    client = connect(request.getfixturevalue(name).operator_url)
    yield client
    await disconnect(client)


@pytest.fixture
def sessions(redis):
    return RedisSessions(redis, secrets.token_bytes)


def tag_of(account_id):
    return hashlib.sha256(account_id.encode()).hexdigest()[:4]


async def keys(operator, pattern="*"):
    return [key.decode() async for key in operator.scan_iter(pattern)]


async def test_a_session_is_found_by_its_secret_until_it_is_ended(sessions, operator):
    mine, other = await sessions.begin(ALICE), await sessions.begin(BOB)
    assert mine != other
    assert await sessions.find(mine) == ALICE
    assert await sessions.find(other) == BOB
    for _ in range(2):
        await sessions.end(mine)
    assert await sessions.find(mine) is None
    assert await sessions.of_account("alice") == []
    assert await sessions.find(other) == BOB
    assert len(await keys(operator)) == 2


async def test_no_secret_is_kept(sessions, redis, operator):
    secret = await sessions.begin(ALICE)
    random = secret.partition(".")[2]
    assert len(random) == 43
    for key in await keys(operator):
        assert random not in key
        assert ":1:{" in key
        if key.startswith("caller:session:"):
            assert random.encode() not in await redis.get(key)


@given(st.text(max_size=60) | st.from_regex(r"[0-9a-f]{4}\.[A-Za-z0-9_-]{43}", fullmatch=True))
def test_whatever_is_sent_as_a_secret_is_no_session(secret):
    class Empty:
        async def get(self, key):
            assert key.startswith(f"caller:session:1:{{{secret[:4]}}}:")

        getdel = get

    async def ask():
        sessions = RedisSessions(Empty(), secrets.token_bytes)
        assert await sessions.find(secret) is None
        await sessions.end(secret)
        await sessions.touch(secret, NOW)

    asyncio.run(ask())


async def test_a_session_lives_as_long_as_it_may_be_idle_and_its_index_longer(sessions, operator):
    await sessions.begin(ALICE)
    (key,), (index,) = (
        await keys(operator, "caller:session:*"),
        await keys(operator, "caller:sessions:*"),
    )
    idle_s = IDLE_MAX.total_seconds()
    assert 0 < await operator.ttl(key) <= idle_s
    # Were it measured late, both would be less by the same.
    assert await operator.ttl(index) > idle_s >= await operator.ttl(key)


async def test_no_session_outlives_its_age(sessions, operator):
    old = replace(ALICE, began_at=NOW - AGE_MAX + timedelta(minutes=5))
    await sessions.begin(old)
    (key,) = await keys(operator, "caller:session:*")
    assert 0 < await operator.ttl(key) <= 300
    # One that is over already is kept for a moment, and judged elsewhere.
    secret = await sessions.begin(replace(BOB, began_at=NOW - 2 * AGE_MAX))
    assert await sessions.find(secret) in {None, replace(BOB, began_at=NOW - 2 * AGE_MAX)}


async def test_a_rotation_gives_another_secret_and_ends_the_one_before(sessions):
    first = await sessions.begin(ALICE)
    risen = replace(ALICE, methods=frozenset({"pwd", "otp"}), credentials_epoch=2)
    second = await sessions.rotate(first, risen)
    assert second not in {None, first}
    assert await sessions.find(first) is None
    assert await sessions.find(second) == risen
    assert [session for _, session in await sessions.of_account("alice")] == [risen]
    assert await sessions.rotate(first, risen) is None
    assert await sessions.find(second) == risen


async def test_a_session_that_was_renewed_is_known_for_a_minute(sessions, operator):
    first, other = await sessions.begin(ALICE), await sessions.begin(ALICE)
    second = await sessions.rotate(first, ALICE)
    await sessions.end(other)
    found = [await sessions.was_renewed(each) for each in (first, second, other, "nonsense")]
    assert found == [True, False, False, False]
    (mark,) = await keys(operator, "*:renewed")
    assert 0 < await operator.ttl(mark) <= 60
    await operator.delete(mark)
    assert not await sessions.was_renewed(first)


async def test_of_many_rotations_at_once_one_wins(sessions):
    secret = await sessions.begin(ALICE)
    found = await asyncio.gather(*(sessions.rotate(secret, ALICE) for _ in range(8)))
    (won,) = [each for each in found if each is not None]
    assert [session for _, session in await sessions.of_account("alice")] == [ALICE]
    assert await sessions.find(won) == ALICE


async def test_a_session_becomes_no_other_accounts(sessions):
    secret = await sessions.begin(ALICE)
    assert await sessions.rotate(secret, BOB) is None
    assert await sessions.rotate("nonsense", ALICE) is None
    assert await sessions.find(secret) == ALICE
    assert await sessions.of_account("bob") == []


async def test_nor_one_of_an_account_whose_keys_lie_in_the_same_place(sessions):
    firsts = {}
    for n in itertools.count():
        found = firsts.setdefault(tag_of(f"a{n}"), f"a{n}")
        if found != f"a{n}":
            break
    one, other = (replace(ALICE, account_id=name) for name in (found, f"a{n}"))
    secret = await sessions.begin(one)
    await sessions.begin(other)
    assert await sessions.rotate(secret, other) is None
    assert await sessions.find(secret) == one


async def test_what_is_told_again_after_a_lost_answer_does_nothing_more(sessions, redis):
    """The client repeats a command when its connection breaks."""
    secret = await sessions.begin(ALICE)

    class Repeating:
        async def execute_command(self, *words):
            await redis.execute_command(*words)
            return await redis.execute_command(*words)

    risen = replace(ALICE, credentials_epoch=2)
    repeating = RedisSessions(Repeating(), secrets.token_bytes)
    again = await repeating.rotate(secret, risen)
    assert await sessions.find(again) == risen
    assert [session for _, session in await sessions.of_account("alice")] == [risen]


async def test_a_session_that_is_seen_lives_on(sessions, redis, operator):
    secret, other = await sessions.begin(ALICE), await sessions.begin(ALICE)
    (key,) = await keys(operator, f"caller:session:*{name_of(secret)}")
    await redis.expire(key, 5)
    later = NOW + timedelta(hours=1)
    await sessions.touch(secret, later)
    assert await operator.ttl(key) > 5
    seen = replace(ALICE, seen_at=later)
    assert await sessions.find(secret) == seen
    listed = [(name_of(secret), seen), (name_of(other), ALICE)]
    assert await sessions.of_account("alice") == listed
    # An older request that comes late changes nothing.
    await sessions.touch(secret, NOW)
    assert await sessions.of_account("alice") == listed


async def test_a_session_that_ends_while_it_is_seen_stays_ended(sessions, redis):
    secret = await sessions.begin(ALICE)

    class EndsBetween:
        async def get(self, key):
            found = await redis.get(key)
            await sessions.end(secret)
            return found

        async def execute_command(self, *words):
            return await redis.execute_command(*words)

    await RedisSessions(EndsBetween(), secrets.token_bytes).touch(secret, NOW + timedelta(hours=1))
    assert await sessions.find(secret) is None
    assert await sessions.of_account("alice") == []


async def test_all_sessions_of_an_account_end_but_one(sessions, operator):
    mine, *others = [await sessions.begin(ALICE) for _ in range(4)]
    bobs = await sessions.begin(BOB)
    await sessions.end_all("alice", but=mine)
    assert [await sessions.find(other) for other in others] == [None] * 3
    assert await sessions.find(mine) == ALICE
    await sessions.end_all("alice", but="\udcff")
    assert await sessions.find(mine) is None
    assert await sessions.find(bobs) == BOB
    again = await sessions.begin(ALICE)
    await sessions.end_all("alice")
    assert await sessions.find(again) is None
    # Nothing is left of alice.
    assert len(await keys(operator)) == 2


async def test_one_session_ends_by_its_name_and_only_for_its_account(sessions):
    first, second = await sessions.begin(ALICE), await sessions.begin(ALICE)
    await sessions.end_by_name("bob", name_of(first))
    await sessions.end_by_name("alice", name_of("nonsense"))
    assert await sessions.find(first) == ALICE
    await sessions.end_by_name("alice", name_of(first))
    assert await sessions.find(first) is None
    assert await sessions.of_account("alice") == [(name_of(second), ALICE)]


async def test_too_many_sessions_end_the_one_not_seen_for_longest(sessions, redis, operator):
    held = [
        await sessions.begin(replace(ALICE, seen_at=NOW + timedelta(minutes=n)))
        for n in range(SESSIONS_MAX)
    ]
    await sessions.touch(held[0], NOW + timedelta(hours=2))
    # Those that are over by themselves count no more.
    await redis.delete(*await keys(operator, f"caller:session:*{name_of(held[5])}"))
    newest = await sessions.begin(replace(ALICE, seen_at=NOW + timedelta(hours=3)))
    assert await sessions.find(held[1]) is not None
    await sessions.begin(replace(ALICE, seen_at=NOW + timedelta(hours=3)))
    assert await sessions.find(held[1]) is None
    assert await sessions.find(held[0]) is not None
    assert await sessions.find(newest) is not None
    assert len(await sessions.of_account("alice")) == SESSIONS_MAX


async def test_a_session_of_a_moment_long_ago_is_not_the_one_that_is_ended(sessions):
    """The one that begins is kept, whatever its node's clock says."""
    for n in range(SESSIONS_MAX):
        await sessions.begin(replace(ALICE, seen_at=NOW + timedelta(minutes=n)))
    late = await sessions.begin(replace(ALICE, seen_at=NOW - timedelta(hours=1)))
    assert await sessions.find(late) is not None
    assert len(await sessions.of_account("alice")) == SESSIONS_MAX


async def test_keys_of_one_account_share_a_slot_and_accounts_are_spread(sessions, operator):
    tags = set()
    for n in range(20):
        await sessions.begin(replace(ALICE, account_id=f"a{n}"))
    for key in await keys(operator):
        tags.add(key[key.index("{") : key.index("}")])
    assert len(tags) == 20


@pytest.mark.thorough
async def test_sentinels():
    with contextlib.ExitStack() as stack:
        master, _ = stack.enter_context(master_and_replica())
        url, _ = stack.enter_context(sentinels(master))
        client = connect(url)
        kept = RedisSessions(client, secrets.token_bytes)
        secret = await kept.rotate(await kept.begin(ALICE), ALICE)
        assert await kept.find(secret) == ALICE
        await kept.end_all("alice")
        assert await kept.find(secret) is None
        await disconnect(client)


def every_use(sessions):
    secret = sessions._new_secret("alice")
    return (
        sessions.begin(ALICE),
        sessions.find(secret),
        sessions.rotate(secret, ALICE),
        sessions.touch(secret, NOW),
        sessions.end(secret),
        sessions.end_all("alice", but=secret),
        sessions.of_account("alice"),
        sessions.end_by_name("alice", name_of(secret)),
    )


async def test_a_store_that_is_away_is_said():
    away = connect("redis://127.0.0.1:1")
    for use in every_use(RedisSessions(away, secrets.token_bytes)):
        with pytest.raises(StoreUnavailableError):
            await use
    await disconnect(away)


async def test_a_store_that_does_not_answer_is_waited_for_no_longer_than_agreed(monkeypatch):
    class Silent:
        async def wait(self, *_words):
            await asyncio.Event().wait()

        get = getdel = execute_command = wait

    monkeypatch.setattr("accounts.stores.valkey.TIMEOUT_S", 0)
    for use in every_use(RedisSessions(Silent(), secrets.token_bytes)):
        with pytest.raises(StoreUnavailableError):
            await use
