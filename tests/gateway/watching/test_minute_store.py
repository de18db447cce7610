"""How calls stood, minute by minute: one of each, a day of them, whoever writes."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.watching import minute_store as module
from gateway.watching.board import Board
from gateway.watching.history import MINUTES_KEPT, minute_of
from gateway.watching.minute_store import RedisMinutes
from tests.gateway.watching.played import batch_of, row_of

AT = datetime(2026, 3, 1, 12, 0, 30, 5, tzinfo=UTC)


def minute(at=AT, calls=1):
    board = Board()
    board.apply(batch_of(*(row_of(f"c{n}", created_at=at) for n in range(calls))), 1, at)
    for _ in range(3):
        board.sum_up_some(at)
    return minute_of(board.totals(None, 1, at), at)


async def test_a_minute_is_kept_as_it_was(redis):
    store = RedisMinutes(redis)
    assert await store.read() == []
    assert await store.last() is None
    kept = minute(calls=2)
    assert (kept.at, kept.calls, kept.begun) == (datetime(2026, 3, 1, 12, tzinfo=UTC), 2, 2)
    assert kept.spend_micros_per_minute == {"USD": 120_000}
    assert await store.add(kept)
    assert await store.read() == [kept]


async def test_of_each_minute_there_is_one_and_none_comes_late(redis):
    first, second = RedisMinutes(redis), RedisMinutes(redis)
    assert await first.add(minute(calls=1))
    assert not await second.add(minute(AT + timedelta(seconds=20), calls=7))
    later = minute(AT + timedelta(minutes=1), calls=3)
    assert await second.add(later)
    assert not await first.add(minute(calls=9))
    assert [each.calls for each in await first.read()] == [1, 3]
    assert await first.last() == later


async def test_a_day_is_kept_and_no_more(redis, operator, monkeypatch):
    monkeypatch.setattr(module, "MINUTES_KEPT", 3)
    store = RedisMinutes(redis)
    for number in range(5):
        assert await store.add(minute(AT + timedelta(minutes=number)))
    assert [each.at.minute for each in await store.read()] == [2, 3, 4]
    assert 0 < await operator.ttl("caller:minutes:1") <= 86_400
    assert MINUTES_KEPT == 24 * 60


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{",
        b"3",
        b"null",
        b'"x"',
        b'{"at": 1}',
        b'{"at": "x"}',
        b'{"at": {}}',
        b"\xff",
        b"[" * 2_000,
    ],
)
async def test_what_is_no_minute_is_passed_over_and_keeps_none_out(redis, text):
    await redis.lpush("caller:minutes:1", text)
    assert await RedisMinutes(redis).read() == []
    assert await RedisMinutes(redis).add(minute(calls=3))
    assert [each.calls for each in await RedisMinutes(redis).read()] == [3]
