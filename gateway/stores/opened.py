"""Declares the open stores of a process: Redis, SQL, and what reads and writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from billing.stores.freezes import FreezeReason
from billing.stores.redis import RedisSpendGate
from billing.stores.redis_client import disconnect
from billing.stores.sql import SqlCdrStore, SqlLedgerStore
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.embedded import EmbeddedValkey
from gateway.stores.key_epochs import RedisKeyEpochs


@dataclass(slots=True)
class Stores:
    """Open connections to Redis and SQL, and the stores on them."""

    redis: Any
    engine: AsyncEngine
    gate: RedisSpendGate
    ledger: SqlLedgerStore
    records: SqlCdrStore
    accounts: SqlAccountStore
    key_epochs: RedisKeyEpochs
    valkey: EmbeddedValkey | None

    async def freeze(
        self, account_id: str, frozen: bool, reason: FreezeReason = FreezeReason.OPERATOR
    ) -> bool:
        """Freeze or thaw an account on every node at once; return whether it is frozen then.

        A deleted one stays frozen, and so does one that is frozen for another reason.

        The book first: the spend gate is brought in line with it if it was unreachable. Raises
        LookupError: no such account; StoreUnavailableError: a repeat finishes it.
        """
        is_frozen = await self.ledger.freeze(account_id, frozen, reason)
        await self.gate.freeze(account_id, is_frozen)
        # After both changes, so that nodes which look the account up again see them.
        await self.key_epochs.invalidate()
        return is_frozen

    async def close(self) -> None:
        """Close everything; the embedded Valkey last, because the client still talks to it."""
        await disconnect(self.redis)
        await self.engine.dispose()
        if self.valkey is not None:
            await self.valkey.stop()
