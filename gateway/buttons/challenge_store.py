"""Issues challenges to visitors, and records used ones in Valkey; stores the salt of each day.

A challenge is signed and not stored; the digest of a used one is, until it expires.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from altcha import v1 as altcha

from accounts.stores.valkey import bounded
from billing.clock import Clock, utc_now
from gateway.buttons.challenge import (
    CALM,
    LIFETIME_S,
    is_for,
    numbers_of,
    parameters,
    read_solution,
)
from gateway.buttons.ports import SolutionVerdict, VisitorChallenge, VisitorDigests
from gateway.buttons.visitor import (
    SALT_BYTES,
    day_ends_in_s,
    day_of,
    network_digest,
    range_digest,
    visitor_digest,
)

_BURNT: Final = "caller:challenge:1:"
_GIVEN: Final = "caller:challenges-given:1:"
_SALT: Final = "caller:visitor-salt:1:"
_PERIOD_S: Final = 60
"""Period over which the challenges of a network are counted."""
_AWAY: Final = "challenges cannot be kept right now"
_SLACK_S: Final = 60
"""How much longer than its validity something is stored, because nodes' clocks differ."""


class RedisChallenges:
    """`buttons.ports.Challenges` in Valkey or Redis."""

    def __init__(
        self,
        redis: Any,
        new_bytes: Callable[[int], bytes],
        *,
        secret: str,
        clock: Clock = utc_now,
    ) -> None:
        """Take a source of random bytes, and a secret shared by all nodes."""
        self._redis = redis
        self._new_bytes = new_bytes
        # Derived for this purpose: no other signature made with the same secret is valid here.
        self._key = hmac.digest(secret.encode(), b"challenges of buttons", "sha256").hex()
        self._clock = clock
        self._salts: dict[str, bytes] = {}

    async def give(self, key: str, address: str) -> VisitorChallenge:
        """Return a fresh challenge, harder the more were recently given to that network.

        Only networks and ranges that flood get harder ones, so people elsewhere wait no longer.
        """
        at = self._clock()
        visitor = await self._network(key, address, at)
        own = await self._given(visitor, at, 1)
        # A single network makes it harder for itself, not for the range around it.
        around = range_digest(await self._salt(at), key, address)
        recent = max(own, await self._given(around, at, 1 if own <= CALM // 2 else 0))
        expires_s = int(at.timestamp()) + LIFETIME_S
        made = altcha.create_challenge(
            altcha.ChallengeOptions(
                max_number=numbers_of(recent),
                hmac_key=self._key,
                params=parameters(expires_s=expires_s, key=key, visitor=visitor),
            )
        )
        return VisitorChallenge(
            made.algorithm, made.challenge, made.max_number, made.salt, made.signature
        )

    async def _given(self, whose: str, at: datetime, more: int) -> int:
        """Return how many were given within the last minute, including these."""
        period = int(at.timestamp()) // _PERIOD_S
        counter = f"{_GIVEN}{whose}:{period}"
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.incrby(counter, more)
        pipeline.expire(counter, 2 * _PERIOD_S)
        pipeline.get(f"{_GIVEN}{whose}:{period - 1}")
        async with bounded(_AWAY):
            given, _, before = await pipeline.execute()
        # The previous minute counts in proportion to its part of the last sixty seconds.
        left = 1 - at.timestamp() % _PERIOD_S / _PERIOD_S
        return int(given + int(before or 0) * left)

    async def spend(self, key: str, address: str, solution: str) -> SolutionVerdict:
        """Use up a solution."""
        at = self._clock()
        read = read_solution(solution)
        if read is None or not self._is_signed(read):
            return SolutionVerdict.WRONG
        days = {day_of(moment): moment for moment in (at, at - timedelta(seconds=LIFETIME_S))}
        visitors = [await self._network(key, address, day) for day in days.values()]
        now_s = int(at.timestamp())
        if not is_for(read, key=key, visitors=tuple(visitors), now_s=now_s):
            return SolutionVerdict.WRONG
        name = _BURNT + hashlib.sha256(read.challenge.encode()).hexdigest()
        # Atomic: if two requests bring the same solution, to any nodes, only one is let in.
        async with bounded(_AWAY):
            is_first = await self._redis.set(name, b"1", nx=True, ex=LIFETIME_S + _SLACK_S)
        return SolutionVerdict.RIGHT if is_first else SolutionVerdict.USED

    def _is_signed(self, solution: Any) -> bool:
        # `is_for` checks the expiry, with the clock passed to it.
        payload = altcha.Payload(**msgspec.structs.asdict(solution))
        is_right, _ = altcha.verify_solution(payload, self._key, check_expires=False)
        return is_right

    async def visitor(self, button_id: str, address: str) -> VisitorDigests:
        """Return today's pseudonyms at this button for a visitor and their network."""
        salt = await self._salt(self._clock())
        return VisitorDigests(
            visitor_digest(salt, button_id, address), network_digest(salt, button_id, address)
        )

    async def _network(self, key: str, address: str, at: datetime) -> str:
        return network_digest(await self._salt(at), key, address)

    async def _salt(self, at: datetime) -> bytes:
        """Return the salt of the day of a given time; all nodes share it until that day ends."""
        day = day_of(at)
        if (known := self._salts.get(day)) is not None:
            return known
        name, left_s = _SALT + day, _left_s(at, self._clock())
        async with bounded(_AWAY):
            made = await self._redis.set(
                name, self._new_bytes(SALT_BYTES), nx=True, get=True, ex=left_s
            )
        salt = made
        if made is None:
            async with bounded(_AWAY):
                salt = await self._redis.get(name)
        # It expired between the two: yesterday's, at midnight, whose challenges are over by then.
        salt = bytes(salt or self._new_bytes(SALT_BYTES))
        # Only today's and yesterday's are remembered, here as in Valkey.
        now = self._clock()
        kept = {day_of(now), day_of(now - timedelta(seconds=LIFETIME_S))}
        self._salts = {known: self._salts[known] for known in kept & self._salts.keys()}
        self._salts[day] = salt
        return salt


def _left_s(at: datetime, now: datetime) -> int:
    """Return how long a day's salt is stored: as long as its challenges are valid."""
    end = at.astimezone(UTC) + timedelta(seconds=day_ends_in_s(at))
    return max(1, int((end - now).total_seconds())) + LIFETIME_S + _SLACK_S
