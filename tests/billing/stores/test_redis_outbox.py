"""The outboxes as streams: whatever number of partitions and entries, in one round trip."""

from billing.ports import OutboxEntry
from billing.stores import redis_outbox
from billing.stores.redis_client import connect, disconnect


async def test_partitions_are_read_together(own_valkey):
    redis = connect(own_valkey.url)
    first, second, third = outboxes = [b"{cr:0}:led", b"{cr:1}:led", b"{cr:2}:led"]
    for n in range(5):
        await redis.xadd(first, {"k": "T", "d": str(n)}, id=f"{n + 1}-0")
    await redis.xadd(third, {"\xff": "1"}, id="7-7")
    assert await redis_outbox.lengths(redis, outboxes) == [5, 0, 1]
    assert await redis_outbox.read(redis, {}, 9) == {}
    assert await redis_outbox.read(redis, {1: second}, 9) == {}
    assert await redis_outbox.read(redis, dict(enumerate(outboxes)), 2) == {
        0: [OutboxEntry("1-0", "T", {"d": b"0"}), OutboxEntry("2-0", "T", {"d": b"1"})],
        2: [OutboxEntry("7-7", "", {"\xff": b"1"})],
    }
    await disconnect(redis)
