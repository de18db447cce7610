"""Lists the rights that the gateway's user needs on Valkey, and finds those it lacks.

`deploy/valkey.sh` and docs/operations.md grant exactly these rights. A right is named as access
lists write it (valkey.io/topics/acl): `+command`, `+command|subcommand`, `~keys`, `&channels`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from redis.exceptions import ExecAbortError, NoPermissionError, ResponseError

from accounts.stores.valkey import bounded
from billing.stores.redis_client import WaitingCluster
from database.errors import StoreRightError

KEYS: Final = ("caller:*", "{cr:*}:*")
CHANNELS: Final = ("caller/watch/*",)

WATCHING: Final = frozenset({"+publish", "+subscribe", *(f"&{each}" for each in CHANNELS)})
"""Without these, calls still work, but no one can watch them live."""
SPARED: Final = frozenset({"+bgrewriteaof", "+client|setinfo", "+config|get"})
"""Hosted servers grant these to no one."""

CLUSTER: Final = ("+asking", "+cluster|slots", "+command")
"""What a cluster client needs in addition; without these it cannot start."""

_NOT_TO_DEFAULT: Final = (
    "Give `default` no rights: anyone who reaches the port is that user, usually without a"
    " password."
)

_KEY: Final = KEYS[0].replace("*", "right")
_OTHER_KEY: Final = KEYS[1].replace("*", "right")
_CHANNEL: Final = CHANNELS[0].replace("*", "right")
_TRIES: Final[Mapping[str, str]] = {
    "+bgrewriteaof": "BGREWRITEAOF",
    "+blmpop": f"BLMPOP 1 1 {_KEY} LEFT",
    "+client|setinfo": "CLIENT SETINFO LIB-NAME caller",
    "+config|get": "CONFIG GET appendfsync",
    "+del": f"DEL {_KEY}",
    "+eval": "EVAL return 0",
    "+evalsha": "EVALSHA 0 0",
    "+exists": f"EXISTS {_KEY}",
    "+expire": f"EXPIRE {_KEY} 1",
    "+get": f"GET {_OTHER_KEY}",
    "+getdel": f"GETDEL {_KEY}",
    "+getrange": f"GETRANGE {_KEY} 0 0",
    "+hdel": f"HDEL {_KEY} 0",
    "+hexists": f"HEXISTS {_KEY} 0",
    "+hget": f"HGET {_KEY} 0",
    "+hgetall": f"HGETALL {_KEY}",
    "+hincrby": f"HINCRBY {_KEY} 0 1",
    "+hkeys": f"HKEYS {_KEY}",
    "+hlen": f"HLEN {_KEY}",
    "+hmget": f"HMGET {_KEY} 0",
    "+hset": f"HSET {_KEY} 0 0",
    "+incrby": f"INCRBY {_KEY} 1",
    "+info": "INFO persistence",
    "+lindex": f"LINDEX {_KEY} 0",
    "+llen": f"LLEN {_KEY}",
    "+lpush": f"LPUSH {_KEY} 0",
    "+lrange": f"LRANGE {_KEY} 0 0",
    "+ltrim": f"LTRIM {_KEY} 0 0",
    "+pexpire": f"PEXPIRE {_KEY} 1",
    "+ping": "PING",
    "+pttl": f"PTTL {_KEY}",
    "+publish": f"PUBLISH {_CHANNEL} 0",
    "+rename": f"RENAME {_KEY} {_KEY}",
    "+rpush": f"RPUSH {_KEY} 0",
    "+sadd": f"SADD {_KEY} 0",
    "+script|load": "SCRIPT LOAD return",
    "+set": f"SET {_KEY} 0",
    "+sismember": f"SISMEMBER {_KEY} 0",
    "+smembers": f"SMEMBERS {_KEY}",
    "+smismember": f"SMISMEMBER {_KEY} 0",
    "+srem": f"SREM {_KEY} 0",
    "+subscribe": f"SUBSCRIBE {_CHANNEL}",
    "+time": "TIME",
    "+ttl": f"TTL {_KEY}",
    "+type": f"TYPE {_KEY}",
    "+xadd": f"XADD {_KEY} * 0 0",
    "+xdel": f"XDEL {_KEY} 0-1",
    "+xinfo|stream": f"XINFO STREAM {_KEY}",
    "+xlen": f"XLEN {_KEY}",
    "+xrange": f"XRANGE {_KEY} - +",
    "+xread": f"XREAD STREAMS {_KEY} 0",
    "+zadd": f"ZADD {_KEY} 0 0",
    "+zrange": f"ZRANGE {_KEY} 0 0",
    "+zrangebyscore": f"ZRANGEBYSCORE {_KEY} 0 0",
    "+zrem": f"ZREM {_KEY} 0",
    "+zremrangebyscore": f"ZREMRANGEBYSCORE {_KEY} 0 0",
    "+zrevrange": f"ZREVRANGE {_KEY} 0 0",
}
"""Right -> a command that needs it, as short as possible. It is queued, never run."""
_TRANSACTION: Final = ("+multi", "+exec")
_SELECT: Final = "+select"
"""Without it, no connection to a database other than 0 can be opened."""
COMMANDS: Final = frozenset(_TRIES) | {*_TRANSACTION}


async def missing(redis: Any) -> Sequence[str]:
    """Return the rights that the user lacks on any master, each once; harmless at any time.

    Access is checked when a command is queued in a transaction, so each command is queued and none
    is run (valkey.io/topics/transactions). Raises StoreUnavailableError.
    """
    lacking: set[str] = set()
    async with bounded("what the user of CALLER_REDIS_URL may do cannot be tried"):
        async for connection in _connections(redis):
            lacking |= await _missing(connection)
    return sorted(lacking)


async def require(redis: Any) -> None:
    """Raise StoreRightError if the user lacks a right that calls need; StoreUnavailableError."""
    if lacking := [right for right in await missing(redis) if right not in WATCHING | SPARED]:
        raise StoreRightError(what_to_write(redis, lacking), lacking)


def what_to_write(redis: Any, lacking: Sequence[str]) -> str:
    """Return what to do if the user of this client lacks these rights."""
    user, password = _credentials(redis)
    # If only these are missing, `default` is the intended user, as on hosted servers.
    is_meant = set(lacking) <= SPARED
    if not user and not password and not is_meant:
        return (
            "CALLER_REDIS_URL names no user and no password, and without them the server allows"
            " too little: write redis://caller:password@host:6379/0, with the user that the server"
            " has for Caller (`caller` where deploy/valkey.sh has started it, with its"
            f" VALKEY_PASSWORD). {_NOT_TO_DEFAULT}"
        )
    if user in ("", "default") and not is_meant:
        return (
            f"CALLER_REDIS_URL leads to the user `default`, who lacks {' '.join(lacking)}: name the"
            " user that the server has for Caller, redis://caller:password@host:6379/0."
            f" {_NOT_TO_DEFAULT}"
        )
    if _SELECT in lacking:
        return (
            "The user of CALLER_REDIS_URL may use database 0 only: write /0 at the end of"
            f" CALLER_REDIS_URL, or add {_SELECT} to its line in the access list."
        )
    named = " ".join(lacking)
    return (
        f"The user of CALLER_REDIS_URL lacks rights at the server: add {named} to its line in the"
        f" access list, or run ACL SETUSER with its name and {named}."
    )


def _credentials(redis: Any) -> tuple[str, str]:
    """Return user and password of a client; both empty if its URL has none."""
    is_cluster = isinstance(redis, WaitingCluster)
    options = redis.connection_kwargs if is_cluster else redis.connection_pool.connection_kwargs
    return options.get("username") or "", options.get("password") or ""


async def _connections(redis: Any) -> AsyncIterator[Any]:
    """Yield a connection to each master; closing it discards what was queued on it."""
    if isinstance(redis, WaitingCluster):
        await redis.initialize()
        async with redis.turn():
            for node in redis.get_primaries():
                connection: Any = node.acquire_connection()
                try:
                    await connection.connect()
                    yield connection
                finally:
                    await connection.disconnect()
                    node.release(connection)
        return
    pool = redis.connection_pool
    connection = await pool.get_connection()
    try:
        yield connection
    finally:
        await connection.disconnect()
        await pool.release(connection)


async def _missing(connection: Any) -> set[str]:
    # An empty transaction first: what follows must be inside one, or it would be run.
    for rule in _TRANSACTION:
        if await _refusals(connection, [rule.removeprefix("+").upper()]) != [""]:
            return {rule}
    if await _refusals(connection, ["MULTI"]) != [""]:
        return {"+multi"}
    answers = await _refusals(connection, list(_TRIES.values()))
    return {_lacked(rule, text) for rule, text in zip(_TRIES, answers, strict=True) if text}


async def _refusals(connection: Any, commands: Sequence[str]) -> Sequence[str]:
    """Send commands at once; return for each the refusal for lack of a right, or empty."""
    packed = connection.pack_commands([command.split() for command in commands])
    await connection.send_packed_command(packed)
    answers = []
    for _ in commands:
        try:
            await connection.read_response()
        except (NoPermissionError, ExecAbortError) as error:
            # The latter is how EXEC is refused.
            answers.append(str(error))
        except ResponseError:
            # For example, another master has the key: rights are checked first.
            answers.append("")
        else:
            answers.append("")
    return answers


def _lacked(rule: str, text: str) -> str:
    """Return the right that a refusal is about: the command's, or that of its argument."""
    if text.endswith(" command"):
        return rule
    if "channel" in text:
        return f"&{CHANNELS[0]}"
    return f"~{KEYS[1] if _OTHER_KEY in _TRIES[rule] else KEYS[0]}"
