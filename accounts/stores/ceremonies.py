"""Stores ceremonies in Valkey for some minutes, each under the digest of its browser's secret.

Secrets of an account are sealed.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from accounts.ceremony import LIVES, Ceremony, CeremonyPurpose
from accounts.stores.secret_box import SecretBox
from accounts.stores.valkey import bounded

SECRET_BYTES: Final = 32
_VERSION: Final = 1
"""Changes with the form of a ceremony: nodes of two releases never misread one."""
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_AWAY: Final = "what a browser has begun cannot be kept right now"

# KEYS: the ceremony. Counts a try in the same step as the read; nothing revives one that is over.
_TRY = """
local kept = redis.call('HGET', KEYS[1], 'kept')
if not kept then return nil end
return {kept, redis.call('HINCRBY', KEYS[1], 'tries', 1)}
"""

# KEYS: the ceremony. Of two concurrent callers one gets it.
_TAKE = """
local kept = redis.call('HGET', KEYS[1], 'kept')
redis.call('DEL', KEYS[1])
return kept
"""

# KEYS: the ceremony. ARGV: its value, its lifetime in s.
_BEGIN = """
redis.call('HSET', KEYS[1], 'kept', ARGV[1], 'tries', 0)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""


class _Kept(msgspec.Struct, array_like=True):
    """The form in which a ceremony is stored."""

    purpose: CeremonyPurpose
    account_id: str
    credentials_epoch: int
    payload: str
    is_sealed: bool
    by_link: bool = False


class RedisCeremonies:
    """`accounts.ports.Ceremonies`. Every method raises StoreUnavailableError within 1 s."""

    def __init__(
        self, redis: Any, chance: Callable[[int], bytes], box: SecretBox | None = None
    ) -> None:
        """Take a client, a source of random bytes, and a box that seals secrets.

        Without a box no ceremony may have a payload that belongs to an account.
        """
        self._redis = redis
        self._chance = chance
        self._box = box

    async def begin(self, ceremony: Ceremony) -> str:
        """Store a ceremony; return its secret."""
        secret = base64.urlsafe_b64encode(self._chance(SECRET_BYTES)).rstrip(b"=").decode()
        kept = msgspec.json.encode(self._written(ceremony))
        life_s = int(LIVES[ceremony.purpose].total_seconds())
        async with bounded(_AWAY):
            await self._run(_BEGIN, _key(secret), kept, life_s)
        return secret

    async def find(self, secret: str, purpose: CeremonyPurpose) -> Ceremony | None:
        """Return a ceremony of this purpose; None if it is over or unknown."""
        if not _SECRET.fullmatch(secret):
            return None
        async with bounded(_AWAY):
            stored = await self._redis.hget(_key(secret), "kept")
        return self._read(stored, purpose)

    async def attempt(self, secret: str, purpose: CeremonyPurpose) -> tuple[Ceremony, int] | None:
        """Count a try of a ceremony; return it, and the number of tries including this one."""
        if not _SECRET.fullmatch(secret):
            return None
        async with bounded(_AWAY):
            found = await self._run(_TRY, _key(secret))
        ceremony = self._read(found[0], purpose) if found else None
        return None if ceremony is None else (ceremony, int(found[1]))

    async def take(self, secret: str, purpose: CeremonyPurpose) -> Ceremony | None:
        """End a ceremony and return it; of concurrent callers only one gets it."""
        if not _SECRET.fullmatch(secret):
            return None
        async with bounded(_AWAY):
            stored = await self._run(_TAKE, _key(secret))
        return self._read(stored, purpose)

    async def end(self, secret: str) -> None:
        """End a ceremony; does nothing if it is over."""
        async with bounded(_AWAY):
            await self._redis.delete(_key(secret))

    def _written(self, ceremony: Ceremony) -> _Kept:
        payload = base64.b64encode(ceremony.payload).decode()
        is_sealed = False
        if ceremony.payload and ceremony.account_id and self._box is not None:
            payload = self._box.seal(ceremony.payload, ceremony.account_id)
            is_sealed = True
        return _Kept(
            ceremony.purpose,
            ceremony.account_id,
            ceremony.credentials_epoch,
            payload,
            is_sealed,
            ceremony.by_link,
        )

    def _read(self, stored: bytes | None, purpose: CeremonyPurpose) -> Ceremony | None:
        kept = None if stored is None else msgspec.json.decode(stored, type=_Kept)
        if kept is None or kept.purpose is not purpose:
            return None
        payload = base64.b64decode(kept.payload) if not kept.is_sealed else b""
        if kept.is_sealed and self._box is not None:
            payload = self._box.open(kept.payload, kept.account_id)
        return Ceremony(
            kept.purpose, kept.account_id, kept.credentials_epoch, payload, kept.by_link
        )

    async def _run(self, script: str, key: str, *values: bytes | int) -> Any:
        # EVAL, not EVALSHA: it is short, seldom used, and works with every server version.
        return await self._redis.execute_command("EVAL", script, 1, key, *values)


def _key(secret: str) -> str:
    return f"caller:ceremony:{_VERSION}:{hashlib.sha256(secret.encode()).hexdigest()}"
