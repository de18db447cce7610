"""Stores sessions of signed-in browsers in Valkey, each under the digest of its secret.

All keys of an account share a hash tag, which a secret begins with: one script reaches them in one
step, on a cluster too. An index names an account's sessions. It is written in the same step as a
session and lives longer, so that ending all sessions misses none; names of sessions that have
expired do no harm.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from accounts.session import AGE_MAX, IDLE_MAX, Session, name_of
from accounts.stores.valkey import bounded
from database.errors import StoreUnavailableError
from database.undertaking import note_change

SESSIONS_MAX = 50
"""Sessions per account; beyond them the one not seen for longest ends."""
SECRET_BYTES = 32
"""Random part of a secret. OWASP's Session Management Cheat Sheet requires 64 bits at least."""

_VERSION = 1
"""Changes with the form of a session: nodes of two releases never misread one."""
_AWAY = "sessions cannot be kept right now"
_INDEX_TTL_S = int((IDLE_MAX + timedelta(days=1)).total_seconds())
_RENEWED_S = 60
"""Longer than any request is under way."""
_TAG_CHARACTERS = 4
"""16 bits: enough to spread accounts over a cluster's 16,384 slots."""
_SECRET = re.compile(r"(?P<tag>[0-9a-f]{4})\.[A-Za-z0-9_-]{43}")

# KEYS: the index, the new session. ARGV: the session, its lifetime in s, its name, when it was
# seen, the index's lifetime in s, most sessions, prefix of key names, the previous name or "",
# and for how many s that one is known to have been renewed.
# Repeating it, as after a lost reply, does nothing more.
_KEEP = """
local index, key = KEYS[1], KEYS[2]
local name, prefix, before = ARGV[3], ARGV[7], ARGV[8]
if before ~= '' and redis.call('EXISTS', key) == 0 then
  if redis.call('ZREM', index, before) == 0 or redis.call('DEL', prefix .. before) == 0 then
    return 0
  end
  redis.call('SET', prefix .. before .. ':renewed', '1', 'EX', ARGV[9])
end
redis.call('SET', key, ARGV[1], 'EX', ARGV[2])
redis.call('ZADD', index, ARGV[4], name)
redis.call('EXPIRE', index, ARGV[5])
local living = {}
for _, each in ipairs(redis.call('ZRANGE', index, 0, -1)) do
  if redis.call('EXISTS', prefix .. each) == 0 then
    redis.call('ZREM', index, each)
  elseif each ~= name then
    living[#living + 1] = each
  end
end
for i = 1, #living + 1 - tonumber(ARGV[6]) do
  redis.call('DEL', prefix .. living[i])
  redis.call('ZREM', index, living[i])
end
return 1
"""

# KEYS: the index, the session. ARGV: the session, its lifetime in s, its name, when it was seen,
# the index's lifetime in s. Does not revive a session that has ended meanwhile.
_TOUCH = """
if redis.call('SET', KEYS[2], ARGV[1], 'XX', 'EX', ARGV[2]) then
  redis.call('ZADD', KEYS[1], ARGV[4], ARGV[3])
  redis.call('EXPIRE', KEYS[1], ARGV[5])
end
return 1
"""

# KEYS: the index. ARGV: prefix of key names. Returns names and sessions in turn.
_LIST = """
local found = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local session = redis.call('GET', ARGV[1] .. name)
  if session then
    found[#found + 1] = name
    found[#found + 1] = session
  end
end
return found
"""

# KEYS: the index. ARGV: prefix of key names, a name, and whether all others end or only that one.
_END = """
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if (name == ARGV[2]) == (ARGV[3] == 'only') then
    redis.call('DEL', ARGV[1] .. name)
    redis.call('ZREM', KEYS[1], name)
  end
end
return 1
"""


class RedisSessions:
    """`accounts.ports.Sessions`. Every method raises StoreUnavailableError within 1 s."""

    def __init__(self, redis: Any, chance: Callable[[int], bytes]) -> None:
        """Take a client of one server, a Sentinel or a Cluster, and a source of random bytes."""
        self._redis = redis
        self._chance = chance

    async def begin(self, session: Session) -> str:
        """Store a session; return its secret.

        Beyond the maximum the least recently used one ends.
        """
        secret = self._new_secret(session.account_id)
        async with bounded(_AWAY):
            await self._keep(secret, session, before="")
        return secret

    async def find(self, secret: str) -> Session | None:
        """Return a session; None for unknown and ended ones. The caller judges its age."""
        if (key := _key_of(secret)) is None:
            return None
        async with bounded(_AWAY):
            return _read(await self._redis.get(key))

    async def rotate(self, secret: str, session: Session) -> str | None:
        """Replace a session of the same account, and its secret; None if it has ended.

        One step: of two concurrent callers one gets it, the other None.
        """
        tag = _tag(session.account_id)
        if (key := _key_of(secret)) is None or not secret.startswith(f"{tag}."):
            return None
        new_secret = self._new_secret(session.account_id)
        try:
            async with bounded(_AWAY):
                before = key.removeprefix(_prefix(tag))
                is_kept = await self._keep(new_secret, session, before=before)
        except StoreUnavailableError:
            note_change()
            raise
        if not is_kept:
            return None
        note_change()
        return new_secret

    async def was_renewed(self, secret: str) -> bool:
        """Tell whether a session has been replaced within the last minute."""
        if (key := _key_of(secret)) is None:
            return False
        async with bounded(_AWAY):
            return bool(await self._redis.exists(f"{key}:renewed"))

    async def touch(self, secret: str, seen_at: datetime) -> None:
        """Note when a session was seen; it expires by itself when it has been idle too long.

        Does nothing for one that has ended, or was seen later.
        """
        if (key := _key_of(secret)) is None:
            return
        async with bounded(_AWAY):
            session = _read(await self._redis.get(key))
            if session is None or session.seen_at >= seen_at:
                return
            # Nothing else in a session ever changes, so nothing is lost between the two steps.
            seen = replace(session, seen_at=seen_at)
            index = _index(session.account_id)
            await self._run(_TOUCH, (index, key), *_values(seen, name_of(secret)))

    async def end(self, secret: str) -> None:
        """End a session."""
        if (key := _key_of(secret)) is None:
            return
        note_change()
        async with bounded(_AWAY):
            session = _read(await self._redis.getdel(key))
            if session is not None:
                await self._redis.zrem(_index(session.account_id), name_of(secret))

    async def end_all(self, account_id: str, *, but: str = "") -> None:
        """End all sessions of an account, except the one with this secret."""
        await self._end(account_id, name_of(but) if but else "", "but")

    async def of_account(self, account_id: str) -> Sequence[tuple[str, Session]]:
        """Return names (digests) and sessions of an account, the last seen first."""
        async with bounded(_AWAY):
            found = await self._run(_LIST, (_index(account_id),), _prefix(_tag(account_id)))
        sessions = [
            (name.decode(), msgspec.json.decode(value, type=Session))
            for name, value in zip(found[::2], found[1::2], strict=True)
        ]
        return sorted(sessions, key=lambda each: each[1].seen_at, reverse=True)

    async def end_by_name(self, account_id: str, name: str) -> None:
        """End one session of an account by its name."""
        await self._end(account_id, name, "only")

    async def _end(self, account_id: str, name: str, which: str) -> None:
        note_change()
        async with bounded(_AWAY):
            prefix = _prefix(_tag(account_id))
            await self._run(_END, (_index(account_id),), prefix, name, which)

    async def _keep(self, secret: str, session: Session, *, before: str) -> bool:
        tag = _tag(session.account_id)
        name = name_of(secret)
        return bool(
            await self._run(
                _KEEP,
                (_index(session.account_id), _prefix(tag) + name),
                *_values(session, name),
                SESSIONS_MAX,
                _prefix(tag),
                before,
                _RENEWED_S,
            )
        )

    async def _run(self, script: str, keys: Sequence[str], *values: str | bytes | float) -> Any:
        # EVAL, not EVALSHA: it is short, seldom used, and works with every server version.
        return await self._redis.execute_command("EVAL", script, len(keys), *keys, *values)

    def _new_secret(self, account_id: str) -> str:
        random = base64.urlsafe_b64encode(self._chance(SECRET_BYTES)).rstrip(b"=").decode()
        return f"{_tag(account_id)}.{random}"


def _tag(account_id: str) -> str:
    """Return the hash tag of an account's keys; each secret has it, and it reveals no account."""
    return hashlib.sha256(account_id.encode()).hexdigest()[:_TAG_CHARACTERS]


def _prefix(tag: str) -> str:
    return f"caller:session:{_VERSION}:{{{tag}}}:"


def _index(account_id: str) -> str:
    return f"caller:sessions:{_VERSION}:{{{_tag(account_id)}}}:{account_id}"


def _key_of(secret: str) -> str | None:
    """Return a session's key; None for what cannot be a secret, which anyone may send."""
    form = _SECRET.fullmatch(secret)
    return None if form is None else _prefix(form["tag"]) + name_of(secret)


def _read(stored: bytes | None) -> Session | None:
    return None if stored is None else msgspec.json.decode(stored, type=Session)


def _values(session: Session, name: str) -> tuple[bytes, int, str, float, int]:
    """Return the session, its lifetime in s, name, last use, and its index's lifetime in s."""
    left = min(IDLE_MAX, AGE_MAX - (session.seen_at - session.began_at))
    # Valkey refuses a lifetime of 0; the age check ends the session anyway.
    life_s = max(1, int(left.total_seconds()))
    return (
        msgspec.json.encode(session),
        life_s,
        name,
        session.seen_at.timestamp(),
        _INDEX_TTL_S,
    )
