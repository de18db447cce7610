"""Stores in Valkey the active alarms, operators' notes on them, and which process sends them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from redis.exceptions import ResponseError

from accounts.stores.valkey import bounded
from gateway.unreadable import UNREADABLE
from gateway.watching.alarm_desk import ORDERS_MAX, AlarmOrder, Duty
from gateway.watching.alarms import Alarm

HELD_MS: Final = 10_000
"""How long the duty stays with a process that has gone silent."""
_HOLDER: Final = "caller:alarm-holder:1"
_STANDING: Final = "caller:alarms:1"
_ORDERS: Final = "caller:alarm-orders:1"
_AWAY: Final = "alarms cannot be reached"
STANDING_BYTES_MAX: Final = 1 << 20
"""A longer text was not written by us."""
_ORDER_BYTES_MAX: Final = 1 << 14
# A foreign value (another type, or without an expiry) must not block the duty.
_HOLD: Final = """
local held = redis.pcall('GET', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
local is_lease = type(held) == 'string' and left >= 0 and left <= 6 * ARGV[2]
if is_lease and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if is_lease then return 2 end
return 1
"""
_DUTIES: Final = (Duty.OTHERS, Duty.TAKEN, Duty.KEPT)
_DECODER: Final = msgspec.json.Decoder(list[Alarm])
_ORDER_DECODER: Final = msgspec.json.Decoder(AlarmOrder)


class RedisAlarms:
    """`watching.alarm_desk.AlarmStore` in Valkey or Redis."""

    def __init__(self, redis: Any, instance: str) -> None:
        """Hold the duty under a name unique to this process."""
        self._redis = redis
        self._instance = instance

    async def hold(self) -> Duty:
        """Take or keep the duty, unless another process has it."""
        held = self._redis.eval(_HOLD, 1, _HOLDER, self._instance, HELD_MS)
        async with bounded(_AWAY):
            return _DUTIES[await held]

    async def read(self) -> tuple[Sequence[Alarm] | None, Mapping[str, AlarmOrder]]:
        """Return the active alarms, and operators' orders on them.

        The alarms are None if nothing readable is stored.
        """
        async with bounded(_AWAY):
            redis = self._redis
            # One byte more than our limit reveals a value that is too long.
            standing = await self._of_type(
                _STANDING, lambda: redis.getrange(_STANDING, 0, STANDING_BYTES_MAX)
            )
            said = await self._of_type(_ORDERS, lambda: redis.hgetall(_ORDERS)) or {}
            orders = {name: _order(name, text) for name, text in said.items()}
            if strange := [name for name, order in orders.items() if order is None]:
                # They would occupy the space of valid ones for good.
                await redis.hdel(_ORDERS, *strange)
        return _alarms(standing), {each.name: each for each in orders.values() if each is not None}

    async def _of_type(self, key: str, read: Callable[[], Awaitable[Any]]) -> Any:
        """Return what is read; None for a foreign value of another type, which is deleted."""
        try:
            return await read()
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            await self._redis.delete(key)
            return None

    async def write(self, alarms: Sequence[Alarm]) -> None:
        """Replace the active alarms."""
        async with bounded(_AWAY):
            await self._redis.set(_STANDING, msgspec.json.encode(alarms))

    async def order(self, order: AlarmOrder) -> None:
        """Store an operator's order on an alarm. Raises LookupError if there are too many."""
        async with bounded(_AWAY):
            is_known = await self._redis.hexists(_ORDERS, order.name)
            if not is_known and await self._redis.hlen(_ORDERS) >= ORDERS_MAX:
                raise LookupError(order.name)
            await self._redis.hset(_ORDERS, order.name, msgspec.json.encode(order))

    async def forget(self, names: Sequence[str]) -> None:
        """Delete the orders on these alarms."""
        async with bounded(_AWAY):
            await self._redis.hdel(_ORDERS, *names)


def _alarms(text: bytes | None) -> Sequence[Alarm] | None:
    """Decode the alarms; None for what another release, or another program, has written."""
    if not text or len(text) > STANDING_BYTES_MAX:
        return None
    try:
        return _DECODER.decode(text)
    except UNREADABLE:
        return None


def _order(name: bytes, text: bytes) -> AlarmOrder | None:
    if len(text) > _ORDER_BYTES_MAX:
        return None
    try:
        order = _ORDER_DECODER.decode(text)
        return order if order.name.encode() == name else None
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
