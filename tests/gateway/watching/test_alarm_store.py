"""Alarms in Valkey: what stands, what was said, who tells; and what others may have put there."""

import asyncio

import msgspec
import pytest
from redis.exceptions import ResponseError

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.watching.alarm_desk import ORDERS_MAX, AlarmOrder, Duty
from gateway.watching.alarm_store import HELD_MS, STANDING_BYTES_MAX, RedisAlarms
from gateway.watching.alarm_view import alarm_views
from gateway.watching.alarms import ALARMS_MAX, SUBJECT_MAX, TITLE_MAX, Alarm
from tests.valkey import free_port

STANDING, HOLDER, ORDERS = "caller:alarms:1", "caller:alarm-holder:1", "caller:alarm-orders:1"
NOW_S = 1_700_000_000.0
ALARM = Alarm(
    rule="node_lost", subject="n2", title="Node n2 is gone.", value=1, unit="", since_s=NOW_S
)
NESTED = b"[" * 200_000


def order_of(name="node_lost:n2", **values):
    usual = {"kind": "silenced", "until_s": NOW_S + 60, "by": "key k1", "reason": "repair"}
    return AlarmOrder(name=name, at_s=NOW_S, **usual | values)


def garbage(alarm=ALARM, **values):
    """Return alarms, or an order, with a value that is none."""
    return msgspec.json.encode(msgspec.to_builtins(alarm) | values)


@pytest.fixture
def one(redis):
    return RedisAlarms(redis, "one")


@pytest.fixture
def two(redis):
    return RedisAlarms(redis, "two")


async def test_one_has_the_duty_until_it_has_said_nothing_for_ten_seconds(redis, one, two):
    assert await one.hold() is Duty.TAKEN
    assert await two.hold() is Duty.OTHERS
    assert HELD_MS - 5000 < await redis.pttl(HOLDER) <= HELD_MS
    await redis.pexpire(HOLDER, 1000)
    assert await one.hold() is Duty.KEPT
    assert await redis.pttl(HOLDER) > 1000
    await redis.delete(HOLDER)
    assert await two.hold() is Duty.TAKEN
    assert await one.hold() is Duty.OTHERS
    await redis.delete(HOLDER)
    # In the meantime another one had it.
    assert await one.hold() is Duty.TAKEN


async def test_of_many_that_want_the_duty_at_once_one_has_it(redis):
    wanting = [RedisAlarms(redis, f"process {n}").hold() for n in range(50)]
    duties = await asyncio.gather(*wanting)
    assert sorted(duty.name for duty in duties) == ["OTHERS"] * 49 + ["TAKEN"]


async def test_what_stands_and_what_was_said_is_read_by_others_as_it_was_written(one, two):
    assert await two.read() == (None, {})
    await one.write([ALARM, msgspec.structs.replace(ALARM, subject="käse\n", told_s=NOW_S)])
    await one.order(order_of())
    await one.order(order_of("spend:USD", kind="acknowledged", until_s=None))
    alarms, orders = await two.read()
    assert [alarm.subject for alarm in alarms] == ["n2", "käse\n"]
    assert orders == {
        "node_lost:n2": order_of(),
        "spend:USD": order_of("spend:USD", kind="acknowledged", until_s=None),
    }
    await one.write([])
    await one.forget(["spend:USD", "unknown:x"])
    assert await two.read() == ([], {"node_lost:n2": order_of()})


async def test_as_many_alarms_as_may_stand_are_read_whole(one):
    longest = msgspec.structs.replace(
        ALARM, subject="\x01" * SUBJECT_MAX, title="\x01" * TITLE_MAX, told_s=NOW_S
    )
    await one.write([longest] * ALARMS_MAX)
    assert await one.read() == ([longest] * ALARMS_MAX, {})


async def test_no_more_orders_are_kept_than_may_be_and_a_known_one_can_be_changed(redis, one):
    orders = {
        f"errors:{n}": msgspec.json.encode(order_of(f"errors:{n}")) for n in range(ORDERS_MAX)
    }
    await redis.hset(ORDERS, mapping=orders)
    with pytest.raises(LookupError):
        await one.order(order_of())
    await one.order(order_of("errors:7", reason="changed"))
    assert (await one.read())[1]["errors:7"].reason == "changed"
    await one.forget(["errors:8"])
    await one.order(order_of())
    assert await redis.hlen(ORDERS) == ORDERS_MAX


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"garbage",
        b"\xff\xfe",
        b"{}",
        b"null",
        b"1",
        b"[null]",
        NESTED,
        b"[]" + NESTED,
        b'[{"rule": "node_lost"}]',
        b"[" + b" " * STANDING_BYTES_MAX + b"]",
        b"x" * 10_000_000,
        b"[" + garbage(since_s=1e300) + b"]",
        b"[" + garbage(since_s=-1) + b"]",
        b"[" + garbage(told_s="never") + b"]",
        b"[" + garbage(value=None) + b"]",
        b"[" + garbage(subject="x" * (SUBJECT_MAX + 1)) + b"]",
        b"[" + garbage(title="x" * (TITLE_MAX + 1)) + b"]",
    ],
    ids=lambda text: f"{text[:40]!r} of {len(text)}",
)
async def test_what_is_no_list_of_alarms_is_as_if_nothing_was_written(redis, one, text):
    await redis.set(STANDING, text)
    assert await one.read() == (None, {})
    await one.write([ALARM])
    assert await one.read() == ([ALARM], {})


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"garbage",
        b"\xff",
        b"[]",
        NESTED,
        b"x" * 10_000_000,
        garbage(order_of("a:b"), until_s=1e300),
        garbage(order_of("a:b"), until_s=-1),
        garbage(order_of("a:b"), at_s=1e11),
        garbage(order_of("a:b"), kind="deleted"),
        garbage(order_of("another:name")),
    ],
    ids=lambda text: f"{text[:90]!r} of {len(text)}",
)
async def test_what_is_no_order_goes_and_takes_nobody_s_room(redis, one, text):
    await one.order(order_of())
    await redis.hset(ORDERS, mapping={"a:b": text, b"\xff": text})
    assert await one.read() == (None, {"node_lost:n2": order_of()})
    assert await redis.hkeys(ORDERS) == [b"node_lost:n2"]


async def test_all_that_is_read_can_be_shown(redis, one):
    texts = [garbage(since_s=s, told_s=s) for s in (0, 1e10)]
    await redis.set(STANDING, b"[" + b",".join(texts) + b"]")
    await redis.hset(ORDERS, "node_lost:n2", garbage(order_of(), until_s=1e10, at_s=0))
    alarms, orders = await one.read()
    assert [view.state for view in alarm_views(alarms, orders, NOW_S)] == ["silenced"] * 2


async def put_all_types(redis, key):
    """Put a value of each type at a key in turn."""
    for put in (
        lambda: redis.rpush(key, "x"),
        lambda: redis.hset(key, "x", "y"),
        lambda: redis.zadd(key, {"x": 1}),
        lambda: redis.sadd(key, "x"),
        lambda: redis.xadd(key, {"x": "y"}),
        lambda: redis.set(key, "somebody else"),
    ):
        await redis.delete(key)
        await put()
        yield


async def test_a_key_of_another_type_keeps_nobody_from_the_duty_for_good(redis, one, two):
    async for _ in put_all_types(redis, HOLDER):
        assert await one.hold() is Duty.TAKEN
        assert await two.hold() is Duty.OTHERS
    await redis.set(HOLDER, "somebody else", px=HELD_MS * 1000)
    assert await one.hold() is Duty.TAKEN


async def test_alarms_and_orders_go_on_where_a_key_was_of_another_type(redis, one):
    for key in (STANDING, ORDERS):
        async for _ in put_all_types(redis, key):
            assert await one.read() == (None, {})
            await one.write([ALARM])
            await one.order(order_of())
            assert await one.read() == ([ALARM], {"node_lost:n2": order_of()})
            await redis.delete(STANDING, ORDERS)


async def test_a_server_that_is_away_is_an_outage():
    redis = connect(f"redis://127.0.0.1:{free_port()}/0")
    alarms = RedisAlarms(redis, "one")
    for attempt in (
        alarms.hold(),
        alarms.read(),
        alarms.write([ALARM]),
        alarms.order(order_of()),
        alarms.forget(["x"]),
    ):
        with pytest.raises(StoreUnavailableError, match="alarms"):
            await attempt
    await disconnect(redis)


async def test_another_refusal_of_the_server_is_an_outage_and_nothing_goes(redis, one):
    class Refusing:
        def __getattr__(self, name):
            return getattr(redis, name)

        async def getrange(self, *_):
            raise ResponseError("NOPERM")

    await one.write([ALARM])
    with pytest.raises(StoreUnavailableError):
        await RedisAlarms(Refusing(), "two").read()
    assert await one.read() == ([ALARM], {})
