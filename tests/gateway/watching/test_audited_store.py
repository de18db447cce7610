"""How the last audit has ended, on a real Valkey where others may write, too."""

import pytest

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.charging.audited import RULES_MAX, Audited
from gateway.watching.audited_store import RedisAudited

KEY = "caller:audited:1"
RESULT = Audited(at_s=1_700_000_000.5, findings={"balance is not ledger less holds": 3})


async def test_the_last_result_is_kept_as_it_was(redis):
    first, second = RedisAudited(redis), RedisAudited(redis)
    assert await first.read() is None
    await first.write(RESULT)
    assert await second.read() == RESULT
    await second.write(Audited(at_s=1_700_000_001.0, findings={}))
    assert (await first.read()).findings == {}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"null",
        b"[" * 2_000,
        b'{"at_s": 1}',
        b'{"at_s": -1, "findings": {}}',
        b'{"at_s": 1e99, "findings": {}}',
        b'{"at_s": 1, "findings": {"r": -1}}',
        b'{"at_s": 1, "findings": {"%b": 1}}' % (b"r" * 201),
        b'{"at_s": 1, "findings": {%b}}' % b",".join(b'"r%d": 1' % n for n in range(RULES_MAX + 1)),
        b'{"at_s": 1, "findings": {}}' + b" " * (1 << 16),
    ],
)
async def test_what_is_no_result_is_none_and_is_replaced_by_the_next(redis, text):
    await redis.set(KEY, text)
    store = RedisAudited(redis)
    assert await store.read() is None
    await store.write(RESULT)
    assert await store.read() == RESULT


async def test_what_somebody_else_has_put_there_is_none_and_is_replaced_by_the_next(redis):
    await redis.rpush(KEY, b"x")
    store = RedisAudited(redis)
    assert await store.read() is None
    await store.write(RESULT)
    assert await store.read() == RESULT


async def test_without_valkey_every_question_says_so():
    redis = connect("redis://127.0.0.1:1")
    store = RedisAudited(redis)
    for question in (store.read(), store.write(RESULT)):
        with pytest.raises(StoreUnavailableError):
            await question
    await disconnect(redis)
