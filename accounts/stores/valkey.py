"""Bounds the time of Valkey requests, and reports every outage as one error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from redis.exceptions import RedisClusterException, RedisError

from database import refusals

TIMEOUT_S: Final = 1.0


@asynccontextmanager
async def bounded(refusal: str, *, waits_s: float = 0.0) -> AsyncIterator[None]:
    """Raise StoreUnavailableError with the text `refusal` if the block takes too long, or fails.

    `waits_s` is how long the server itself may wait before it answers.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S + waits_s):
            yield
    except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
        raise refusals.unavailable(refusal, error) from error
