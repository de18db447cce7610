"""Applies the velocity limits over Valkey: counts by account, key, address and number on all nodes.

The `limits` library counts, one script per limit, over the gateway's client. While Valkey is away
each node counts for itself: no credit can be held then, but keys can be tried and payments begun.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import structlog
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisClusterException, RedisError

from gateway.limits.velocity import (
    AMOUNT_MAX,
    CounterWindow,
    Limit,
    LimitRefusal,
    Use,
    longest,
    outcome_wait_s,
    wait_s,
)
from gateway.nanoseconds import SECOND_NS

log = structlog.get_logger(__name__)

TIMEOUT_S = 0.5
"""How long Valkey may take to count before the node counts for itself."""
AWAY_NS = 1_000_000_000
"""How long an unavailable Valkey is left alone, so that requests do not queue up for it."""
LOCAL_KEYS_MAX = 1_000
"""Counters a node keeps while Valkey is away; beyond them it starts from zero. The library goes
through all of them at each use."""
REFUSED_USES_MAX = 10_000
"""Refused subjects cached; asking again costs no request until their time is up."""
_AWAY = (
    RedisError,
    RedisClusterException,
    OSError,
    TimeoutError,
    # Raised by redis-py's cluster client on a connection that another task has just closed while it
    # reloads the slots.
    AttributeError,
)
_PREFIX = "caller:velocity"

_T = TypeVar("_T")
_Storage = RedisStorage | MemoryStorage
_Counter = tuple[RateLimitItemPerSecond, str]
"""The library's limit, and its subject."""
_Ask = Callable[[_Storage, Limit, Use], Awaitable[int]]
"""Returns the seconds until a use may be made; 0 for now."""


class _SharedStorage(RedisStorage):
    """The library's storage over an existing client: of one server, a Sentinel or a Cluster.

    The library's own clients support fewer kinds of URL.
    """

    STORAGE_SCHEME = None  # type: ignore[assignment]
    # It imports every library named here that is installed; only one is used.
    DEPENDENCIES = {"redis": RedisStorage.DEPENDENCIES["redis"]}  # noqa: RUF012 - as declared there

    def __init__(self, client: Any) -> None:
        self._client = client
        super().__init__("redis://", implementation="redispy", key_prefix=_PREFIX)

    def configure_bridge(self) -> None:
        bridge: Any = self.bridge
        bridge.storage, bridge.connection_getter = self._client, lambda _readonly: self._client


class RedisVelocity:
    """Counts uses against the limits, and refuses excess ones. Never raises."""

    def __init__(
        self,
        redis: Any,
        limits: Mapping[str, Limit],
        *,
        secret: str,
        clock_ns: Callable[[], int],
    ) -> None:
        """Take the limits in force, and a secret shared by all nodes that hides the subjects."""
        self._limits = limits
        self._secret = secret.encode()
        self._clock_ns = clock_ns
        self._shared = _SharedStorage(redis)
        self._local = MemoryStorage()
        self._away_until_ns = 0
        self._refused: OrderedDict[Use, int] = OrderedDict()
        self.refusals: Counter[str] = Counter()
        """Refused uses since the start, by name of the limit."""

    async def hit(self, uses: Sequence[Use]) -> LimitRefusal | None:
        """Count a use; return why it is refused. All its limits are checked at once."""
        return await self._ask(uses, self._hit)

    async def look(self, uses: Sequence[Use]) -> LimitRefusal | None:
        """Return why a use would be refused now, without counting it."""
        return await self._ask(uses, self._look)

    async def count(self, outcome: Use) -> None:
        """Count an outcome, good or bad."""
        for limit in self._limits.values():
            # An outcome counts under its own name, whichever side of the limit that is.
            if outcome.limit in {limit.name, limit.outweighed_by}:
                counter = self._counter(limit, outcome)
                await self._either(partial(_acquire, counter))

    async def _ask(self, uses: Sequence[Use], ask: _Ask) -> LimitRefusal | None:
        # A use that one limit refuses has counted at the others, because all are asked in one round
        # trip. So a refused use is remembered, and not asked about until its time is up: a flood of
        # them costs no requests, and uses up no other limit.
        asked = [(self._limit_of(use), use) for use in uses if use.limit in self._limits]
        refusal = longest([r for limit, use in asked if (r := self._remembered(limit, use))])
        if refusal is None:
            refusal = await self._either(lambda storage: self._judge(storage, asked, ask))
        if refusal is not None:
            self.refusals[refusal.limit.name] += 1
        return refusal

    def _limit_of(self, use: Use) -> Limit:
        # The amount is part of the counter's name, so changing a limit restarts its count.
        limit = self._limits[use.limit]
        return replace(limit, amount=use.amount) if use.amount else limit

    async def _judge(
        self, storage: _Storage, asked: Sequence[tuple[Limit, Use]], ask: _Ask
    ) -> LimitRefusal | None:
        waits = await asyncio.gather(*(ask(storage, limit, use) for limit, use in asked))
        refusals = []
        for (limit, use), wait in zip(asked, waits, strict=True):
            if wait:
                self._remember(limit, use, wait)
                refusals.append(LimitRefusal(limit, wait))
        return longest(refusals)

    async def _hit(self, storage: _Storage, limit: Limit, use: Use) -> int:
        # Outcomes are counted when a call has ended; a use only checks their counts.
        if limit.outweighed_by:
            return await self._look(storage, limit, use)
        if await _acquire(self._counter(limit, use), storage):
            return 0
        # The window may have moved between the two scripts; this use was refused, so it waits.
        return max(1, await self._look(storage, limit, use))

    async def _look(self, storage: _Storage, limit: Limit, use: Use) -> int:
        if not limit.outweighed_by:
            return wait_s(limit, await _window(self._counter(limit, use), storage))
        good = Use(limit.outweighed_by, use.subject)
        windows = (_window(self._counter(limit, each), storage) for each in (use, good))
        return outcome_wait_s(limit, *await asyncio.gather(*windows))

    async def _either(self, work: Callable[[_Storage], Awaitable[_T]]) -> _T:
        """Let Valkey do the work or, while it is away, this node."""
        if self._clock_ns() >= self._away_until_ns:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    return await work(self._shared)
            except _AWAY:
                # From now, not from the start of the attempt: the time-out has passed since.
                self._away_until_ns = self._clock_ns() + AWAY_NS
        # A client with many addresses must not grow this process; the limits are looser then.
        if len(self._local.storage) > LOCAL_KEYS_MAX:
            await self._local.reset()
        return await work(self._local)

    def _counter(self, limit: Limit, use: Use) -> _Counter:
        """Return the library's limit for a use, and the subject in a form that may be stored.

        Numbers and addresses are personal data, and few enough to be guessed: hence a keyed hash.
        Outcomes are counted beyond their limit, because their ratio matters.
        """
        amount = AMOUNT_MAX if limit.outweighed_by else limit.amount
        subject = hmac.digest(self._secret, use.subject.encode(), "sha256")[:16].hex()
        return RateLimitItemPerSecond(amount, limit.window_s, use.limit), subject

    def _remember(self, limit: Limit, use: Use, wait: int) -> None:
        if limit.outweighed_by:
            return  # the next good outcome may end it
        # Logged once at the start of each refusal: anyone can repeat a use. Without the subject,
        # which may be a number.
        if use not in self._refused:
            log.info("velocity limit reached", limit=limit.name, wait_s=wait)
        self._refused[use] = self._clock_ns() + wait * SECOND_NS
        if len(self._refused) > REFUSED_USES_MAX:
            self._refused.popitem(last=False)

    def _remembered(self, limit: Limit, use: Use) -> LimitRefusal | None:
        left_ns = self._refused.get(use, 0) - self._clock_ns()
        if left_ns > 0:
            return LimitRefusal(limit, -(-left_ns // SECOND_NS))
        self._refused.pop(use, None)
        return None


async def _acquire(counter: _Counter, storage: _Storage) -> bool:
    return await SlidingWindowCounterRateLimiter(storage).hit(*counter)


async def _window(counter: _Counter, storage: _Storage) -> CounterWindow:
    item, subject = counter
    return CounterWindow(
        *await storage.get_sliding_window(item.key_for(subject), item.get_expiry())
    )
