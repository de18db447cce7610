"""Connects to a Valkey or Redis server by URL, and checks whether credits may be kept there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import hiredis
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode, ClusterPipeline
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import ConstantBackoff, NoBackoff
from redis.exceptions import ConnectionError as NoConnectionError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from database import refusals
from database.errors import StoreUnavailableError

_HAS_TURN: ContextVar[bool] = ContextVar("caller.cluster.has_turn", default=False)


class WaitingCluster(RedisCluster):
    """A client of a cluster that bounds the requests under way; others wait for their turn.

    A request takes one connection to each node that it goes to, so the bound also limits the
    connections to each node, however requests are redirected.
    """

    def __init__(self, *, requests_max: int, wait_max_s: float, **options: Any) -> None:
        """Take how many may be under way, and how long another waits for one of them to end."""
        super().__init__(max_connections=requests_max, **options)
        self._turns = asyncio.Semaphore(requests_max)
        self._wait_max_s = wait_max_s

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command when it is its turn."""
        async with self.turn():
            return await super().execute_command(*args, **kwargs)

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> ClusterPipeline:
        """Return a pipeline that runs when it is its turn."""
        del shard_hint
        # Abstract by its annotations only: the library makes one in the same way.
        return _WaitingPipeline(self, transaction)  # type: ignore[abstract]

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn. Raises the library's ConnectionError where that takes too long."""
        # A pipeline sends again, one by one, what was redirected: within its own turn.
        if _HAS_TURN.get():
            yield
            return
        try:
            async with asyncio.timeout(self._wait_max_s):
                await self._turns.acquire()
        except TimeoutError:
            raise NoConnectionError("no connection has become free") from None
        token = _HAS_TURN.set(True)
        try:
            yield
        finally:
            _HAS_TURN.reset(token)
            self._turns.release()


class _WaitingPipeline(ClusterPipeline):
    def __init__(self, client: WaitingCluster, transaction: Any) -> None:
        super().__init__(client, transaction)
        self._client = client

    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> Any:
        async with self._client.turn():
            return await super().execute(raise_on_error, allow_redirections)


SOCKET_TIMEOUT_S = 5.0
"""A connection that has been silent for this long in the middle of an answer is dead."""

SENTINEL_TIMEOUT_S = 0.25
"""A silent sentinel is passed over, so that another is asked before the request is given up."""

CONNECTIONS_MAX = 32
"""Connections of one process, in a cluster to each node; further requests wait for one to become
free."""

VERSION_MIN = (7, 0)

_RETRY_DELAY_S = 0.02
_PORT = 6379
_SENTINEL_PORT = 26379
_SCHEMES = "redis, rediss, unix, redis+cluster, rediss+cluster, redis+sentinel, rediss+sentinel"


class RedisUrlError(ValueError):
    """A URL that cannot be used; says why, without the URL."""


class UnfitStoreError(StoreUnavailableError):
    """A server on which credits cannot be kept; says what to set. Retrying does not help."""


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What a server is, and which of its settings are too weak for money."""

    version: str
    """As the server names itself, such as "valkey 9.1.2"."""
    masters: int
    replicas: int
    persistence: str
    """What survives a power loss: "none", or the append-only file's fsync policy."""
    warnings: tuple[str, ...]


def connect(url: str) -> Redis | RedisCluster:
    """Return a client for a URL; nothing is sent yet.

    `redis://`, `rediss://` (TLS) and `unix://` as redis-py reads them;
    `redis+cluster://[user:password@]host[:port][,host[:port]...]`;
    `redis+sentinel://[user:password@]host[:port][,...]/master name[/database]`.
    Raises ValueError, without the URL, on any other.
    """
    try:
        return _connect(url)
    except RedisUrlError:
        raise
    except ValueError:
        # The message of urlsplit quotes parts of the URL, which may be parts of the password.
        raise RedisUrlError("the URL's host or port is wrong") from None


def _connect(url: str) -> Redis | RedisCluster:
    scheme, _, topology = url.partition("://")[0].partition("+")
    if scheme in {"redis", "rediss"} and topology in {"cluster", "sentinel"}:
        connector = _connect_cluster if topology == "cluster" else _connect_sentinel
        return connector(url.partition("://")[2], tls=scheme == "rediss")
    if topology or scheme not in {"redis", "rediss", "unix"}:
        raise RedisUrlError(f"the URL's scheme must be one of {_SCHEMES}")
    # redis-py would take database 0 for any path that is no number.
    if scheme != "unix" and not re.fullmatch(r"/?[0-9]{0,4}", urlsplit(url).path, re.ASCII):
        raise RedisUrlError("the URL's path must be the database's number, such as redis://host/0")
    # Blocking: when all connections are in use a request waits, instead of failing a call.
    pool = BlockingConnectionPool.from_url(
        url, max_connections=CONNECTIONS_MAX, timeout=SOCKET_TIMEOUT_S, **_connection_options()
    )
    try:
        # It connects to nothing yet, but takes no parameter that it does not know.
        pool.connection_class(**pool.connection_kwargs)
    except TypeError as error:
        # Parameters have plain names; what is none may be a part of a password.
        named = re.search(r"unexpected keyword argument '([a-z_]{1,40})'", str(error))
        name = f"the parameter {named[1]}" if named else "a parameter"
        raise RedisUrlError(f"the URL has {name}, which is not known") from None
    # The URL's scheme has chosen the class, so it can be replaced only afterwards.
    pool.connection_class = _PACKED[pool.connection_class]
    return Redis.from_pool(pool)


class _Packed(AbstractConnection):
    """Encodes commands in C, which redis-py does for its blocking clients only.

    A group of ticks has a hundred arguments; sending it takes a fifth less CPU this way.
    """

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        return [b"".join(hiredis.pack_command(tuple(command)) for command in commands)]

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        """Send as redis-py does, but by a time limit that does not lose a cancellation.

        redis-py's is `wait_for`, a task for each command. In Python 3.11 that returns as if nothing
        were when it is cancelled just as the command is sent: who limits the time of a request, or
        stops who makes it, would wait on.
        """
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            # redis-py leaves this untyped.
            await self.check_health()  # type: ignore[no-untyped-call]
        text = command.encode() if isinstance(command, str) else command
        try:
            async with asyncio.timeout(self.socket_timeout):
                await self._send_packed_command([text] if isinstance(text, bytes) else text)
        except BaseException as error:
            # A part of the command may have been sent.
            await self.disconnect(nowait=True)
            if isinstance(error, TimeoutError):
                raise RedisTimeoutError("Timeout writing to socket") from None
            if isinstance(error, OSError):
                raise RedisConnectionError(f"Error while writing to socket. {error}") from error
            raise


class _PackedConnection(_Packed, Connection):
    pass


class _PackedUnixConnection(_Packed, UnixDomainSocketConnection):
    pass


class _PackedTlsConnection(_Packed, SSLConnection):
    pass


_PACKED: Mapping[type, type] = {
    Connection: _PackedConnection,
    UnixDomainSocketConnection: _PackedUnixConnection,
    SSLConnection: _PackedTlsConnection,
}


async def disconnect(client: Redis | RedisCluster) -> None:
    """Close a client of `connect`, and the sentinels it asks."""
    # aclose() closes the connections to the master only.
    await client.aclose()
    if isinstance(client, Redis) and isinstance(client.connection_pool, SentinelConnectionPool):
        await client.connection_pool.sentinel_manager.aclose()


async def preflight(client: Redis | RedisCluster) -> StoreFacts:
    """Check a server. Raises UnfitStoreError, or StoreUnavailableError if it is away."""
    try:
        masters = await _master_infos(client)
        fsync = await _fsync_policy(client)
    except (RedisError, RedisClusterException, OSError) as error:
        # A wrong password is told from a server that is away: only the latter may pass by itself.
        if sentence := refusals.of_credit_store(error):
            raise UnfitStoreError(sentence) from error
        sentence = f"The server of CALLER_REDIS_URL: {refusals.passing(error)}"
        raise StoreUnavailableError(sentence) from error
    for info in masters:
        _require_fit(info)
    first = masters[0]
    # Of a cluster the weakest master counts: each holds some accounts.
    is_durable = all(info.get("aof_enabled") == 1 for info in masters)
    return StoreFacts(
        version=f"{first.get('server_name', 'redis')} {_version_text(first)}",
        masters=len(masters),
        replicas=sum(int(info.get("connected_slaves", 0)) for info in masters),
        persistence=fsync if is_durable else "none",
        warnings=_warnings(is_durable, fsync),
    )


def _connection_options() -> dict[str, Any]:
    """Return the options of every connection; one retry, because all operations are idempotent."""
    return {
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": SOCKET_TIMEOUT_S,
        "retry": Retry(ConstantBackoff(_RETRY_DELAY_S), 1),
    }


def _connect_cluster(rest: str, *, tls: bool) -> RedisCluster:
    netloc, _, path = rest.partition("/")
    if path not in ("", "0"):
        raise RedisUrlError("a cluster has one database only: its URL ends in the hosts")
    nodes = [ClusterNode(host, port) for host, port in _hosts(netloc, _PORT)]
    return WaitingCluster(
        requests_max=CONNECTIONS_MAX,
        wait_max_s=SOCKET_TIMEOUT_S,
        startup_nodes=nodes,
        ssl=tls,
        **_credentials(netloc),
        **_connection_options(),
    )


class _Sentinels(Sentinel):
    """Sentinels, asked by one request at a time.

    redis-py moves the sentinel that answered to the front of its list. If other requests walked the
    list meanwhile, some sentinels would be lost from it for good.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # redis-py leaves this class untyped.
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]
        self._turn = asyncio.Lock()

    async def discover_master(self, service_name: str) -> Any:
        """Return the master's (host, port)."""
        async with self._turn:
            return await super().discover_master(service_name)


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to a master: when all are in use a request waits, instead of failing a call."""


def _connect_sentinel(rest: str, *, tls: bool) -> Redis:
    netloc, _, path = rest.partition("/")
    name, _, database = path.partition("/")
    if not name or not re.fullmatch(r"[0-9]{0,4}", database):
        raise RedisUrlError(
            "a sentinel URL ends in the master's name and, if any, a database number"
        )
    sentinel: Any = _Sentinels(
        _hosts(netloc, _SENTINEL_PORT),
        sentinel_kwargs={
            "socket_timeout": SENTINEL_TIMEOUT_S,
            "socket_connect_timeout": SENTINEL_TIMEOUT_S,
            # No retry: the list of sentinels is walked instead.
            "retry": Retry(NoBackoff(), 0),
            "ssl": tls,
        },
        **_connection_options(),
        **_credentials(netloc),
    )
    master: Redis = sentinel.master_for(
        unquote(name),
        connection_pool_class=_SentinelPool,
        timeout=SOCKET_TIMEOUT_S,
        db=int(database or 0),
        ssl=tls,
        max_connections=CONNECTIONS_MAX,
    )
    return master


def _hosts(netloc: str, default_port: int) -> list[tuple[str, int]]:
    """Return the (host, port) pairs of "user:password@one,two:7000,[::1]:7001".

    urlsplit may refuse a list of hosts, which is no URL; each single host is one.
    """
    hosts = [urlsplit(f"//{part}") for part in netloc.rpartition("@")[2].split(",")]
    if not all(host.hostname for host in hosts):
        raise RedisUrlError("the URL names no host")
    return [(host.hostname or "", host.port or default_port) for host in hosts]


def _credentials(netloc: str) -> dict[str, Any]:
    username, _, password = netloc.rpartition("@")[0].partition(":")
    given = {"username": unquote(username), "password": unquote(password)}
    return {name: value for name, value in given.items() if value}


async def _master_infos(client: Redis | RedisCluster) -> list[Mapping[str, Any]]:
    if isinstance(client, RedisCluster):
        answers = await client.info(target_nodes=RedisCluster.PRIMARIES)
        # With a single master the client returns the answer itself, not a dictionary by node.
        return [answers] if "redis_version" in answers else list(answers.values())
    return [await client.info()]


async def _fsync_policy(client: Redis | RedisCluster) -> str:
    """Return appendfsync of a master, or "unknown" where hosted servers hide it."""
    try:
        answer = await client.config_get("appendfsync")
    except ResponseError:
        return "unknown"
    return str(answer.get("appendfsync", "unknown"))


def _version_text(info: Mapping[str, Any]) -> str:
    return str(info.get("valkey_version") or info["redis_version"])


def _require_fit(info: Mapping[str, Any]) -> None:
    # Valkey reports its own version and, as redis_version, the Redis one it is compatible with.
    version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    if version < VERSION_MIN:
        raise UnfitStoreError(
            f"the server of CALLER_REDIS_URL is version {_version_text(info)}; "
            "use Valkey, or Redis 7.0 or later"
        )
    policy = info.get("maxmemory_policy")
    # Any other policy may delete a balance, a hold or a tombstone whenever memory runs short.
    if policy != "noeviction":
        raise UnfitStoreError(
            f"the server of CALLER_REDIS_URL evicts keys when memory is short ({policy}), and "
            "would lose credits; set maxmemory-policy to noeviction"
        )
    if info.get("role", "master") != "master":
        raise UnfitStoreError("CALLER_REDIS_URL names a replica; name its master")


def _warnings(is_durable: bool, fsync: str) -> tuple[str, ...]:
    if not is_durable:
        return ("appendonly is off: a restart of the server empties it; set appendonly to yes",)
    if fsync == "no":
        return ("appendfsync is no: a power loss may take 30 seconds; set it to everysec",)
    return ()
