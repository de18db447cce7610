"""A cluster with few connections: what finds none free waits for its turn."""

import asyncio

import pytest
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import ConnectionError as NoConnectionError

from billing.stores.redis_cluster import WaitingCluster
from tests.valkey import ValkeyServer, free_port


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
