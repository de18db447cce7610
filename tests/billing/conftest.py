"""A spend gate on an empty Valkey."""

import pytest

from billing.ports import PartitionState
from billing.stores.redis import RedisSpendGate, connect, disconnect

__all__ = ["client", "empty_gate", "gate"]


@pytest.fixture
async def client(valkey_url):
    client = connect(valkey_url)
    yield client
    await disconnect(client)


@pytest.fixture
def empty_gate(client):
    """A gate whose partitions wait to be rebuilt."""
    return RedisSpendGate(client, timeout_s=5)


@pytest.fixture
async def gate(empty_gate):
    """A gate with one account: `alice`, who has ten units of credit."""
    await fill(empty_gate)
    return empty_gate


async def fill(gate):
    for partition in range(gate.partitions):
        await gate.rebuild(partition, PartitionState())
    await gate.credit("alice", 1, 10_000_000)
