"""Maps accounts to partitions of the spend gate. Fixed for the life of a deployment."""

from __future__ import annotations

import zlib

PARTITIONS = 64
"""Enough for every node of a cluster to hold some, few enough for one script each per second."""


def partition_of(account_id: str, partitions: int = PARTITIONS) -> int:
    """Return the account's partition, 0 to `partitions` - 1: its CRC-32 spreads ids evenly."""
    # Not hash(): Python salts that for each process, and all nodes, now and later, must agree.
    return zlib.crc32(account_id.encode()) % partitions
