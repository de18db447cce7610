"""The gate that calls are tested with keeps the promises of all spend gates."""

import pytest

from tests.billing.spend_gate_contract import SpendGateContract
from tests.gateway.memory_gate import MemorySpendGate


@pytest.fixture
def empty_gate():
    return MemorySpendGate()


@pytest.fixture
def gate(empty_gate):
    return empty_gate.fill(alice=10_000_000)


class TestMemorySpendGate(SpendGateContract):
    pass
