"""Stores one-use call tokens in Redis: who may place which call, for a minute.

A token is a random secret; only its hash is stored, and redeeming deletes it atomically, on any
node.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from accounts.stores.valkey import bounded
from gateway.ports import CallOrder

TOKEN_PREFIX = "ct_"  # noqa: S105
_KEY_PREFIX = "caller:call-token:7:"
"""The number changes with the format of an order: nodes of two releases never misread one."""
_AWAY: Final = "call tokens cannot be stored right now"
_COMMON = ("account_id", "codec", "country", "currency", "key_epoch", "key_id", "rate")
"""Fields of an order whose texts are the same in many."""


class RedisCallTokens:
    """Issues and redeems call tokens."""

    def __init__(
        self,
        redis: Any,
        *,
        ttl_s: int,
        at_redemption: Callable[[CallOrder], Awaitable[tuple[CallOrder, str] | None]],
    ) -> None:
        """Take the lifetime of tokens, and a callback that rechecks an order when it is redeemed.

        The callback returns what `redeem` does.
        """
        self._redis = redis
        self._at_redemption = at_redemption
        self.ttl_s = ttl_s

    async def issue(self, order: CallOrder) -> str:
        """Return a new token for this order. Raises StoreUnavailableError."""
        token = TOKEN_PREFIX + secrets.token_urlsafe(24)
        async with bounded(_AWAY):
            await self._redis.set(_key(token), msgspec.json.encode(order), ex=self.ttl_s)
        return token

    async def look(self, token: str) -> tuple[CallOrder, int] | None:
        """Return the token's order and its remaining seconds; the token stays valid.

        None for a token for which `redeem` would return None, as far as that is known now.
        """
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.get(_key(token)).ttl(_key(token))
        async with bounded(_AWAY):
            stored, left_s = await pipeline.execute()
        if stored is None:
            return None
        order = msgspec.json.decode(stored, type=CallOrder)
        if await self._at_redemption(order) is None:
            return None
        return order, max(0, left_s)

    async def redeem(self, token: str) -> tuple[CallOrder, str] | None:
        """Return the token's order as currently valid, and delete the token.

        The text is the code of why its call may not begin, empty if it may. None for a wrong, used
        or expired token, and if its key may no longer place calls. Raises StoreUnavailableError.
        """
        # Atomic: if the same token is brought twice at once, to any nodes, one gets the order.
        async with bounded(_AWAY):
            stored = await self._redis.getdel(_key(token))
        if stored is None:
            return None
        order = _shared(msgspec.json.decode(stored, type=CallOrder))
        # After the deletion: a token whose key was revoked is used up as well.
        return await self._at_redemption(order)


def _shared(order: CallOrder) -> CallOrder:
    """Return the order, its repeated texts shared with other calls' orders to save memory."""
    texts = {name: sys.intern(getattr(order, name)) for name in _COMMON}
    return msgspec.structs.replace(order, **texts)


def _key(token: str) -> str:
    # Hashed, so that no one who reads Redis, or a copy of it, can place a call.
    return _KEY_PREFIX + hashlib.sha256(token.encode()).hexdigest()
