"""Reads the outboxes of the spend gate's partitions, each a stream, in one round trip.

The caller limits the wait and names the failure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ResponseError

from billing.lineage import NOTHING_TOLD
from billing.ports import OutboxEntry


async def lengths(redis: Redis | RedisCluster, outboxes: Sequence[bytes]) -> Sequence[int]:
    """Return how many entries wait in each outbox."""
    # Without MULTI: nothing here must be atomic, and a cluster takes keys of several slots then.
    pipeline: Any = redis.pipeline(transaction=False)
    for outbox in outboxes:
        pipeline.execute_command("XLEN", outbox)
    counts: Sequence[int] = await pipeline.execute()
    return counts


async def last_ids(redis: Redis | RedisCluster, outboxes: Mapping[int, bytes]) -> Mapping[int, str]:
    """Return the id of the last entry ever written to each, `0-0` if there was none."""
    pipeline: Any = redis.pipeline(transaction=False)
    for outbox in outboxes.values():
        pipeline.execute_command("XINFO", "STREAM", outbox)
    # An outbox to which nothing was ever written does not exist, which is an answer and no failure.
    answers = await pipeline.execute(raise_on_error=False)
    return dict(zip(outboxes, map(_last_id, answers), strict=True))


def _last_id(answer: Any) -> str:
    if isinstance(answer, ResponseError) and "no such key" in str(answer):
        return NOTHING_TOLD
    if isinstance(answer, Exception):
        raise answer
    # A map in RESP3, a list of names and values in RESP2.
    fields = answer
    if not isinstance(fields, dict):
        fields = dict(zip(answer[::2], answer[1::2], strict=True))
    last_id: bytes = fields[b"last-generated-id"]
    return last_id.decode()


async def read(
    redis: Redis | RedisCluster, outboxes: Mapping[int, bytes], count_max: int
) -> Mapping[int, Sequence[OutboxEntry]]:
    """Return the oldest entries, at most `count_max` of each partition that has any."""
    if not outboxes:
        return {}
    keys = list(outboxes.values())
    # In a cluster a command may name keys of one slot only; elsewhere one command reads them all.
    groups = [[key] for key in keys] if isinstance(redis, RedisCluster) else [keys]
    pipeline: Any = redis.pipeline(transaction=False)
    for group in groups:
        # Always from the beginning: booked entries are deleted, so no position has to be
        # remembered.
        starts = [b"0"] * len(group)
        pipeline.execute_command("XREAD", "COUNT", count_max, "STREAMS", *group, *starts)
    found: dict[bytes, Sequence[tuple[bytes, dict[bytes, bytes]]]] = {}
    for answer in await pipeline.execute():
        found.update(answer)
    return {
        partition: [_entry(entry_id, fields) for entry_id, fields in found[key]]
        for partition, key in outboxes.items()
        if key in found
    }


def _entry(entry_id: bytes, fields: Mapping[bytes, bytes]) -> OutboxEntry:
    """Read an entry; one without a kind gets an empty one, which folding rejects."""
    values = {name.decode(errors="replace"): value for name, value in fields.items()}
    kind, previous = (values.pop(name, b"").decode(errors="replace") for name in ("k", "p"))
    return OutboxEntry(entry_id.decode(), kind, values, previous)
