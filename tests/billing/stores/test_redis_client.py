"""Connecting by URL: one server, a cluster, sentinels; and servers that cannot keep credits."""

import asyncio

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import ConnectionError as NoConnectionError

from billing.stores.redis import RedisSpendGate
from billing.stores.redis_client import (
    RedisUrlError,
    UnfitStoreError,
    WaitingCluster,
    connect,
    disconnect,
    preflight,
)
from database.errors import StoreUnavailableError
from tests.billing.conftest import fill
from tests.billing.spend_gate_contract import CENT, UNIT, held_call, opening, tick
from tests.tcp_server import tcp_server
from tests.valkey import ValkeyServer, free_port


async def prove(url):
    """Run a call's first seconds on what the URL names; return the server's report."""
    client = connect(url)
    try:
        report = await preflight(client)
        gate = RedisSpendGate(client, timeout_s=5)
        await fill(gate)
        await gate.open(opening())
        await gate.tick(gate.partition("alice"), [tick(9 * CENT, 1)])
        assert await gate.balance("alice") == 10 * UNIT - 9 * CENT
        assert len(await gate.read_outbox(gate.partition("alice"), 10)) == 2
        assert await gate.open_calls("n1") == [held_call("c1", 9 * CENT, 1)]
        return report
    finally:
        await disconnect(client)


async def test_one_server_on_a_unix_socket(valkey_url):
    report = await prove(valkey_url)
    assert report.version.startswith("valkey ")
    assert (report.masters, report.replicas) == (1, 0)
    assert report.persistence == "everysec"
    assert report.warnings == ()


async def test_one_server_over_tcp_with_a_password():
    server = ValkeyServer(with_port=True)
    try:
        server.start()
        server.command("CONFIG", "SET", "requirepass", "p@ss")
        await prove(f"redis://:p%40ss@127.0.0.1:{server.port}/0")
        wrong = connect(f"redis://:wrong@127.0.0.1:{server.port}")
        with pytest.raises(StoreUnavailableError):
            await preflight(wrong)
        await disconnect(wrong)
    finally:
        server.close()


@pytest.mark.parametrize("turns", range(10))
async def test_whoever_is_cancelled_while_asking_goes_no_further(valkey_url, turns):
    client = connect(valkey_url)
    await client.ping()
    asking = asyncio.create_task(client.ping())
    # A request takes some turns of the event loop: to be sent, and to be answered.
    for _ in range(turns):
        await asyncio.sleep(0)
    if asking.cancel():
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert await client.ping()
    await disconnect(client)


@pytest.mark.thorough
async def test_a_cluster():
    bus = str(free_port())
    server = ValkeyServer("--cluster-enabled", "yes", "--cluster-port", bus, with_port=True)
    try:
        server.start()
        server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        while b"cluster_state:ok" not in server.command("CLUSTER", "INFO"):
            pass
        report = await prove(f"redis+cluster://127.0.0.1:1,127.0.0.1:{server.port}")
        assert report.masters == 1
    finally:
        server.close()


async def test_sentinels():
    master = ValkeyServer(with_port=True)
    sentinel = None
    try:
        master.start()
        monitor = f"sentinel monitor main 127.0.0.1 {master.port} 1\n"
        sentinel = ValkeyServer("--sentinel", with_port=True, config=monitor)
        sentinel.start()
        await prove(f"redis+sentinel://127.0.0.1:{sentinel.port}/main")
    finally:
        master.close()
        if sentinel is not None:
            sentinel.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://host/hunter2", "path must be the database's number"),
        ("rediss://host/1/2", "path must be the database's number"),
        ("redis+cluster://host/hunter2", "one database only"),
        ("redis://host/0?foo=hunter2", "the parameter foo, which is not known"),
        ("redis://host/0?Hunter2=1", "has a parameter, which is not known"),
    ],
)
def test_what_a_url_ends_in_is_known_or_refused(url, words):
    with pytest.raises(RedisUrlError) as refused:
        connect(url)
    assert words in str(refused.value)
    assert "unter2" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_what_does_not_speak_redis_is_told(scheme):
    async def answer(reader, writer):
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with tcp_server(answer) as port:
        client = connect(f"{scheme}://127.0.0.1:{port}")
        with pytest.raises(StoreUnavailableError, match="does not speak Redis"):
            await preflight(client)
        await disconnect(client)


async def test_a_server_that_evicts_is_refused(own_valkey):
    own_valkey.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    client = connect(own_valkey.url)
    with pytest.raises(UnfitStoreError, match=r"CALLER_REDIS_URL .* noeviction") as caught:
        await preflight(client)
    assert isinstance(caught.value, StoreUnavailableError)
    await disconnect(client)


async def test_a_replica_is_refused(own_valkey):
    own_valkey.command("REPLICAOF", "127.0.0.1", "1")
    client = connect(own_valkey.url)
    with pytest.raises(UnfitStoreError, match="replica"):
        await preflight(client)
    await disconnect(client)


@pytest.mark.parametrize(
    ("setting", "persistence", "warning"),
    [
        (("appendonly", "no"), "none", "appendonly"),
        (("appendfsync", "no"), "no", "appendfsync"),
        (("appendfsync", "always"), "always", None),
    ],
)
async def test_weak_persistence_is_told(own_valkey, setting, persistence, warning):
    own_valkey.command("CONFIG", "SET", *setting)
    client = connect(own_valkey.url)
    report = await preflight(client)
    assert report.persistence == persistence
    assert [warning in text for text in report.warnings] == [True] * bool(warning)
    await disconnect(client)


async def test_a_server_that_hides_its_configuration_is_taken(own_valkey):
    own_valkey.command("ACL", "SETUSER", "caller", "-config|get")
    client = connect(own_valkey.url)
    assert (await preflight(client)).persistence == "unknown"
    await disconnect(client)


async def test_an_old_server_is_refused(valkey_url, monkeypatch):
    monkeypatch.setattr("billing.stores.redis_client.VERSION_MIN", (99, 0))
    client = connect(valkey_url)
    with pytest.raises(UnfitStoreError, match="version"):
        await preflight(client)
    await disconnect(client)


async def test_a_server_that_is_away_is_unavailable(tmp_path):
    client = connect(f"unix://{tmp_path}/none")
    with pytest.raises(StoreUnavailableError) as caught:
        await preflight(client)
    assert not isinstance(caught.value, UnfitStoreError)
    await disconnect(client)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:6379",
        "http://127.0.0.1",
        "unix+cluster:///s",
        "redis+other://h",
        "redis+sentinel://127.0.0.1",
        "redis+cluster://",
        "redis+cluster://a,,b",
        "redis+sentinel://127.0.0.1/main/x",
        "redis+cluster",
        "redis+sentinel:///main",
    ],
)
def test_other_urls_are_refused(url):
    with pytest.raises(ValueError, match="URL"):
        connect(url)


async def test_credentials_and_tls_reach_every_kind_of_client():
    one = connect("rediss://user:p%3Aw@[::1]:7000/3")
    assert isinstance(one, Redis)
    options = one.connection_pool.connection_kwargs
    assert (options["username"], options["password"], options["db"]) == ("user", "p:w", 3)
    cluster = connect("rediss+cluster://user:p%3Aw@a:1,[::1]:2")
    assert isinstance(cluster, RedisCluster)
    assert cluster.connection_kwargs["password"] == "p:w"
    sentinel = connect("rediss+sentinel://user:p%3Aw@a,b:2/main/4")
    assert isinstance(sentinel, Redis)
    options = sentinel.connection_pool.connection_kwargs
    assert (options["username"], options["password"], options["db"]) == ("user", "p:w", 4)
    for client in (one, cluster, sentinel):
        await disconnect(client)


@pytest.fixture(scope="module")
def server():
    server = ValkeyServer(
        "--cluster-enabled", "yes", "--cluster-port", str(free_port()), with_port=True
    )
    try:
        server.start()
        server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        while b"cluster_state:ok" not in server.command("CLUSTER", "INFO"):
            pass
        yield server
    finally:
        server.close()


@pytest.fixture
async def client_of(server):
    clients = []

    def make(wait_max_s=30.0):
        nodes = [ClusterNode("127.0.0.1", server.port)]
        made = WaitingCluster(requests_max=2, wait_max_s=wait_max_s, startup_nodes=nodes)
        clients.append(made)
        return made

    yield make
    for client in clients:
        await client.aclose()


@pytest.mark.thorough
async def test_more_requests_than_connections_are_all_answered(client_of):
    client = client_of()

    async def by_pipeline(n):
        pipeline = client.pipeline(transaction=False)
        pipeline.set(f"{{{n}}}a", n)
        pipeline.get(f"{{{n}}}a")
        return await pipeline.execute()

    answers = await asyncio.gather(*(client.set(f"k{n}", n) for n in range(50)))
    assert all(answers)
    assert await asyncio.gather(*(client.get(f"k{n}") for n in range(50))) == [
        str(n).encode() for n in range(50)
    ]
    assert await asyncio.gather(*map(by_pipeline, range(20))) == [
        [True, str(n).encode()] for n in range(20)
    ]


@pytest.mark.thorough
async def test_who_waits_too_long_is_told(client_of):
    client = client_of(wait_max_s=0.0)
    async with client.turn():
        # Within a turn there is no other to wait for.
        assert await client.set("k", 1)
        assert await client.pipeline(transaction=False).get("k").execute() == [b"1"]
    await client._turns.acquire()
    await client._turns.acquire()
    for ask in (client.get("k"), client.pipeline(transaction=False).get("k").execute()):
        with pytest.raises(NoConnectionError, match="no connection has become free"):
            await ask
    client._turns.release()
    assert await client.get("k") == b"1"
