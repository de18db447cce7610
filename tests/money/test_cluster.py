"""A cluster of three masters: each partition is whole on one of them, and slots may move."""

import pytest

from tests.money.ledger_world import CENT, UNIT
from tests.money.topologies import Cluster

PARTITIONS = 64
ACCOUNTS = tuple(f"a{n}" for n in range(12))


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster(3)
    yield cluster
    cluster.close()


@pytest.fixture
async def world(new_world, cluster):
    """Twelve accounts all over an empty cluster, and two nodes."""
    for server in cluster.servers:
        server.command("FLUSHALL")
    world = new_world(cluster.url, nodes=2, partitions=PARTITIONS)
    await world.open_accounts(**dict.fromkeys(ACCOUNTS, 2 * UNIT))
    return world


def owners(cluster, world):
    """Return which master has each account."""
    return {a: cluster.owner(f"{{cr:{world.gate.partition(a)}}}:bal") for a in ACCOUNTS}


async def test_partitions_are_spread_and_each_is_exact(cluster, world):
    split = [cluster.owner(f"{{cr:{p}}}:bal") for p in range(PARTITIONS)]
    assert all(10 <= split.count(n) <= 40 for n in range(3))
    assert len(set(owners(cluster, world).values())) == 3
    calls = [await world.call(f"c{n}", a, node=n % 2) for n, a in enumerate(ACCOUNTS)]
    await world.pass_seconds(5)
    # One master forgets the scripts; whatever it is asked next, it is told them again.
    assert cluster.servers[0].command("SCRIPT", "FLUSH") == b"+OK\r\n"
    await world.pass_seconds(5)
    assert not any(node.metering.is_gate_away for node in world.nodes)
    await world.hang_up(*calls)
    for account_id in ACCOUNTS:
        assert await world.gate.balance(account_id) == 2 * UNIT - 10 * CENT
    await world.assert_in_order()


async def test_a_slot_moves_to_another_master_while_its_calls_go_on(cluster, world):
    calls = [await world.call(f"c{n}", a, node=n % 2) for n, a in enumerate(ACCOUNTS)]
    await world.pass_seconds(3)
    moving = ACCOUNTS[0]
    partition = world.gate.partition(moving)
    key = f"{{cr:{partition}}}:bal"
    slot, source = str(cluster.slot(key)), cluster.owner(key)
    target = (source + 1) % 3
    giver, taker = cluster.servers[source], cluster.servers[target]
    taker.command("CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.ids[source])
    giver.command("CLUSTER", "SETSLOT", slot, "MIGRATING", cluster.ids[target])
    await world.pass_seconds()
    names = giver.command("CLUSTER", "GETKEYSINSLOT", slot, "100").decode().split("\r\n")[2::2]
    half = len(names) // 2
    assert half
    for batch in (names[:half], names[half:]):
        move = ("MIGRATE", "127.0.0.1", str(taker.port), "", "0", "5000", "KEYS", *batch)
        assert giver.command(*move) == b"+OK\r\n"
        # A script needs all of its keys in one place: until they are, the partition is away.
        await world.pass_seconds()
        assert world.live == calls
    for server in (taker, giver, *cluster.servers):
        server.command("CLUSTER", "SETSLOT", slot, "NODE", cluster.ids[target])
    await world.pass_seconds(2)
    assert not any(node.metering.is_gate_away for node in world.nodes)
    assert cluster.owner(key) == target
    assert await world.findings() == []
    await world.hang_up(*calls)
    for account_id in ACCOUNTS:
        assert await world.gate.balance(account_id) == 2 * UNIT - 8 * CENT
    await world.assert_in_order()
