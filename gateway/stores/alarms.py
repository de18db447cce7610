"""Keeps in Valkey which alarms stand, what operators said of them, and who tells of them.

Knows no rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from accounts.stores.valkey import bounded
from gateway.monitor.alarm_desk import ORDERS_MAX, AlarmOrder
from gateway.monitor.alarms import Alarm

HELD_MS: Final = 10_000
"""How long the duty stays with a process that says nothing more."""
_HOLDER: Final = "caller:alarm-holder:1"
_STANDING: Final = "caller:alarms:1"
_ORDERS: Final = "caller:alarm-orders:1"
_AWAY: Final = "alarms cannot be reached"
_HOLD: Final = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_DECODER: Final = msgspec.json.Decoder(list[Alarm])
_ORDER_DECODER: Final = msgspec.json.Decoder(AlarmOrder)


class RedisAlarms:
    """`monitor.alarm_desk.AlarmStore` in Valkey or Redis."""

    def __init__(self, redis: Any, instance: str) -> None:
        """Hold the duty under a name that no other process has."""
        self._redis = redis
        self._instance = instance

    async def hold(self) -> bool:
        """Take or keep the duty; False while another process has it."""
        held = self._redis.eval(_HOLD, 1, _HOLDER, self._instance, HELD_MS)
        async with bounded(_AWAY):
            return bool(await held)

    async def read(self) -> tuple[Sequence[Alarm], Mapping[str, AlarmOrder]]:
        """Return the alarms that stand, and what was said of which."""
        async with bounded(_AWAY):
            standing = await self._redis.get(_STANDING)
            orders = await self._redis.hgetall(_ORDERS)
        read = [_order(text) for text in orders.values()]
        return _alarms(standing), {order.name: order for order in read if order is not None}

    async def write(self, alarms: Sequence[Alarm]) -> None:
        """Replace the alarms that stand."""
        async with bounded(_AWAY):
            await self._redis.set(_STANDING, msgspec.json.encode(alarms))

    async def order(self, order: AlarmOrder) -> None:
        """Keep what an operator says of an alarm. Raises LookupError where there are too many."""
        async with bounded(_AWAY):
            is_known = await self._redis.hexists(_ORDERS, order.name)
            if not is_known and await self._redis.hlen(_ORDERS) >= ORDERS_MAX:
                raise LookupError(order.name)
            await self._redis.hset(_ORDERS, order.name, msgspec.json.encode(order))

    async def forget(self, names: Sequence[str]) -> None:
        """Forget what was said of alarms."""
        async with bounded(_AWAY):
            await self._redis.hdel(_ORDERS, *names)


def _alarms(text: bytes | None) -> Sequence[Alarm]:
    """Return what is written; nothing of another release, or of somebody else."""
    if text is None:
        return ()
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ()


def _order(text: bytes) -> AlarmOrder | None:
    try:
        return _ORDER_DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
