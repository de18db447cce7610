"""The outboxes of the spend gate's partitions, each a stream: read and trimmed in one round trip.

Knows no entry's meaning and no script; whoever calls bounds the wait and names the failure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from redis.asyncio import Redis, RedisCluster

from billing.ports import OutboxEntry

IDS_PER_COMMAND_MAX = 1_000


class RedisOutboxes:
    """The streams of all partitions."""

    def __init__(self, redis: Redis | RedisCluster, keys: Sequence[bytes]) -> None:
        """Take the partitions' keys, in their order."""
        self._redis = redis
        self._keys = keys

    async def lengths(self) -> Sequence[int]:
        """Return how many entries wait in each partition."""
        pipeline: Any = self._redis.pipeline(transaction=False)
        for key in self._keys:
            pipeline.execute_command("XLEN", key)
        lengths: Sequence[int] = await pipeline.execute()
        return lengths

    async def read(
        self, partitions: Collection[int], count_max: int
    ) -> Mapping[int, Sequence[OutboxEntry]]:
        """Return the oldest entries, at most so many of each partition that has any."""
        if not partitions:
            return {}
        keys = [self._keys[partition] for partition in partitions]
        # A cluster's command names keys of one slot; elsewhere one command reads them all.
        groups = [[key] for key in keys] if isinstance(self._redis, RedisCluster) else [keys]
        pipeline: Any = self._redis.pipeline(transaction=False)
        for group in groups:
            starts = [b"0"] * len(group)
            pipeline.execute_command("XREAD", "COUNT", count_max, "STREAMS", *group, *starts)
        found: dict[bytes, Sequence[tuple[bytes, dict[bytes, bytes]]]] = {}
        for answer in await pipeline.execute():
            found.update(answer)
        return {
            partition: [_entry(entry_id, fields) for entry_id, fields in found[key]]
            for partition, key in zip(partitions, keys, strict=True)
            if key in found
        }

    async def trim(self, entry_ids: Mapping[int, Sequence[str]]) -> None:
        """Forget entries."""
        pipeline: Any = self._redis.pipeline(transaction=False)
        for partition, ids in entry_ids.items():
            for start in range(0, len(ids), IDS_PER_COMMAND_MAX):
                chunk = ids[start : start + IDS_PER_COMMAND_MAX]
                pipeline.execute_command("XDEL", self._keys[partition], *chunk)
        await pipeline.execute()


def _entry(entry_id: bytes, fields: Mapping[bytes, bytes]) -> OutboxEntry:
    """Read an entry; one without a kind is of none, which whoever folds entries sets aside."""
    values = {name.decode(errors="replace"): value for name, value in fields.items()}
    return OutboxEntry(entry_id.decode(), values.pop("k", b"").decode(errors="replace"), values)
