"""Takes a partition of the spend gate out of service, to be filled anew from the book of record.

From then on the gate refuses everything that concerns it; its outbox stays. Live calls go on
meanwhile on what they have paid.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.exceptions import RedisClusterException, RedisError

from billing.stores import refusals
from billing.stores.redis import TIMEOUT_S


async def withdraw(redis: Any, partition: int) -> None:
    """Make a partition wait for `rebuild`; a repeat changes nothing.

    Raises StoreUnavailableError.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await redis.execute_command("HDEL", f"{{cr:{partition}}}:meta", "ready")
    except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
        raise refusals.unavailable(
            "the spend gate (Redis or Valkey) refused or is away", error
        ) from error
