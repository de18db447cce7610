"""Partitions are fixed for a deployment: a changed hash would lose every balance."""

from collections import Counter

from billing.ports import PARTITIONS, partition_of


def test_an_account_keeps_its_partition():
    assert [partition_of(name) for name in ("alice", "bob", "Zoë")] == [7, 0, 42]


def test_accounts_spread_evenly():
    counts = Counter(partition_of(f"account-{n}") for n in range(6_400))
    assert len(counts) == PARTITIONS
    assert max(counts.values()) < 2 * min(counts.values())
