"""The spend gate in Valkey or Redis: one Lua script per decision, one partition per script.

The scripts are the whole of the truth about balances and holds; this module carries arguments to
them and answers back. Knows no price, no clock and no SQL.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Collection, Sequence
from importlib import resources
from typing import Any, TypeVar

import msgspec
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from billing.errors import MoneyError, StoreUnavailableError
from billing.money import LIMIT
from billing.partition import PARTITIONS, partition_of
from billing.ports import (
    CloseOutcome,
    CloseResult,
    Closing,
    CreditResult,
    Opening,
    OpenOutcome,
    OpenResult,
    OutboxEntry,
    PartitionState,
    Tick,
    TickOutcome,
)
from billing.stores.redis_client import connect, disconnect, preflight

__all__ = ["RedisSpendGate", "connect", "disconnect", "preflight"]

TIMEOUT_S = 1.0
"""A tick that takes longer than a tick's period is as good as lost."""

REBUILD_TIMEOUT_S = 30.0
"""A rebuild carries a whole partition, and nothing waits for it but the start of a node."""

CALLS_PER_SCRIPT_MAX = 1_000
"""Bound of one tick script: it holds the server for some 4 ms, and Lua's stack for 2,000 values."""

TOMBSTONE_S = 24 * 3_600
"""How long a closed call is remembered: past any retry of its carrier's callbacks."""

TOMBSTONES_TRIMMED_MAX = 64
"""Expired tombstones removed by one close: it adds one, so that the set shrinks to its day."""

TICK_ENTRIES_MAX = 1_000
"""Entries of an outbox beyond which ticks add none; openings and closings always do."""

_KEY_NAMES = ("bal", "call", "own", "done", "cseq", "froz", "led", "meta", "age")

# Ticks join calls by ':' and ' ' in the outbox.
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

_ENCODER = msgspec.json.Encoder()

_Answer = TypeVar("_Answer")


class _Script:
    """A Lua script and the hash by which the server knows it."""

    def __init__(self, name: str) -> None:
        folder = resources.files("billing.stores")
        files = [folder.joinpath(f"{part}.lua") for part in ("prelude", name)]
        self.source = "\n".join(file.read_text(encoding="utf-8") for file in files).encode()
        # The server names scripts so: commands/evalsha.
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest()


class RedisSpendGate:
    """`billing.ports.SpendGate` on Valkey or Redis 7 and later, alone or as a cluster.

    Every method raises StoreUnavailableError when the server does not answer in time, refuses to
    write, or has lost its data and waits for `rebuild`.
    """

    def __init__(
        self,
        redis: Redis | RedisCluster,
        partitions: int = PARTITIONS,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Use a client that answers in bytes, such as `redis_client.connect` returns."""
        self._redis = redis
        self.partitions = partitions
        self._timeout_s = timeout_s
        self._keys = [[f"{{cr:{p}}}:{name}" for name in _KEY_NAMES] for p in range(partitions)]
        self._open = _Script("open")
        self._tick = _Script("tick")
        self._close = _Script("close")
        self._credit = _Script("credit")
        self._freeze = _Script("freeze")
        self._read = _Script("read")
        self._open_calls = _Script("open_calls")
        self._rebuild = _Script("rebuild")

    def partition(self, account_id: str) -> int:
        """Return the partition that holds this account."""
        return partition_of(account_id, self.partitions)

    async def open(self, opening: Opening) -> OpenOutcome:
        """Place a call's first hold."""
        assert _CALL_ID.fullmatch(opening.call_id), "call ids are made of A-Z a-z 0-9 _ -"
        result, held, balance = await self._run(
            self._open,
            self.partition(opening.account_id),
            opening.call_id,
            opening.account_id,
            _ENCODER.encode((opening.account_id, opening.node)),
            opening.first_micros,
            opening.want_micros,
            opening.concurrent_calls_max,
            opening.detail,
        )
        return OpenOutcome(OpenResult(result.decode()), held, balance)

    async def tick(self, partition: int, ticks: Sequence[Tick]) -> TickOutcome:
        """Raise the holds of one partition's live calls."""
        short: dict[str, int] = {}
        unknown: list[str] = []
        balances: dict[str, int] = {}
        for start in range(0, len(ticks), CALLS_PER_SCRIPT_MAX):
            chunk = ticks[start : start + CALLS_PER_SCRIPT_MAX]
            batch, accounts = _encode_ticks(chunk)
            exceptions, left = await self._run(self._tick, partition, batch, TICK_ENTRIES_MAX)
            for i in range(0, len(exceptions), 2):
                call_id, held = chunk[exceptions[i]].call_id, exceptions[i + 1]
                if held < 0:
                    unknown.append(call_id)
                else:
                    short[call_id] = held
            balances.update(zip(accounts, left, strict=True))
        return TickOutcome(short, unknown, balances)

    async def close(self, closing: Closing) -> CloseOutcome:
        """Post a call's final price and void the rest of its hold."""
        result, charged, written_off, balance = await self._run(
            self._close,
            self.partition(closing.account_id),
            closing.call_id,
            closing.account_id,
            closing.final_micros,
            closing.seconds,
            closing.detail,
            TOMBSTONE_S,
            TOMBSTONES_TRIMMED_MAX,
        )
        assert result != b"other_account", "a call is closed by the account that opened it"
        return CloseOutcome(CloseResult(result.decode()), charged, written_off, balance)

    async def credit(self, account_id: str, sequence: int, amount_micros: int) -> CreditResult:
        """Bring one credit. Raises MoneyError when the balance could not be kept exactly."""
        partition = self.partition(account_id)
        result = await self._run(
            self._credit, partition, account_id, sequence, amount_micros, LIMIT
        )
        if result == b"out_of_range":
            raise MoneyError("balance beyond the largest that can be kept exactly")
        return CreditResult(result.decode())

    async def credit_sequence(self, account_id: str) -> int:
        """Return the sequence number of the last credit applied, 0 for none."""
        _, sequence = await self._run(self._read, self.partition(account_id), account_id)
        return int(sequence)

    async def freeze(self, account_id: str, frozen: bool) -> None:
        """Refuse, or allow again, an account's new and running calls."""
        await self._run(self._freeze, self.partition(account_id), account_id, int(frozen))

    async def balance(self, account_id: str) -> int:
        """Return the available micros, 0 for an account never credited."""
        micros, _ = await self._run(self._read, self.partition(account_id), account_id)
        return int(micros)

    async def rebuild(self, partition: int, state: PartitionState) -> bool:
        """Fill an empty partition; False when it was ready already.

        Its outbox must be drained before `state` is read, or what it says would count twice.
        """
        rows = (state.accounts, state.open_calls, state.closed_calls, state.frozen)
        filled = await self._run(
            self._rebuild, partition, _ENCODER.encode(rows), timeout_s=REBUILD_TIMEOUT_S
        )
        if filled < 0:
            raise StoreUnavailableError("a partition with a full outbox cannot be rebuilt")
        return bool(filled)

    async def is_ready(self, partition: int) -> bool:
        """Say whether the partition has been filled from the book of record."""
        meta = self._keys[partition][_KEY_NAMES.index("meta")]
        ready = await self._bounded(self._redis.execute_command("HGET", meta, "ready"))
        return bool(ready == b"1")

    async def waiting(self) -> Collection[int]:
        """Return the partitions whose outbox holds entries: one round trip, however many."""
        pipeline = self._redis.pipeline(transaction=False)
        for partition in range(self.partitions):
            pipeline.execute_command("XLEN", self._outbox(partition))
        lengths = await self._bounded(pipeline.execute())
        return [partition for partition, length in enumerate(lengths) if length]

    async def read_outbox(self, partition: int, count_max: int) -> Sequence[OutboxEntry]:
        """Return the oldest entries, at most `count_max`."""
        oldest = ("XRANGE", self._outbox(partition), "-", "+", "COUNT", count_max)
        entries = await self._bounded(self._redis.execute_command(*oldest))
        return [_outbox_entry(entry_id, fields) for entry_id, fields in entries]

    async def trim_outbox(self, partition: int, entry_ids: Sequence[str]) -> None:
        """Forget entries that the book of record holds."""
        for start in range(0, len(entry_ids), CALLS_PER_SCRIPT_MAX):
            chunk = entry_ids[start : start + CALLS_PER_SCRIPT_MAX]
            await self._bounded(
                self._redis.execute_command("XDEL", self._outbox(partition), *chunk)
            )

    async def open_calls(self, node: str) -> Sequence[tuple[str, str, int, int]]:
        """List a node's open calls: call id, account id, held micros, confirmed seconds."""
        found: list[tuple[str, str, int, int]] = []
        for partition in range(self.partitions):
            flat = await self._run(self._open_calls, partition, node)
            for i in range(0, len(flat), 4):
                call_id, account_id, held, seconds = flat[i : i + 4]
                found.append((call_id.decode(), account_id.decode(), held, seconds))
        return found

    def _outbox(self, partition: int) -> str:
        return self._keys[partition][_KEY_NAMES.index("led")]

    async def _run(
        self,
        script: _Script,
        partition: int,
        *args: str | bytes | int,
        timeout_s: float | None = None,
    ) -> Any:
        """Run a script on a partition; what it answers depends on the script."""
        return await self._bounded(self._evaluate(script, self._keys[partition], args), timeout_s)

    async def _evaluate(
        self, script: _Script, keys: list[str], args: Sequence[str | bytes | int]
    ) -> Any:
        # execute_command, because evalsha() is not to be had from every client of redis-py.
        execute = self._redis.execute_command
        try:
            return await execute("EVALSHA", script.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await execute("EVAL", script.source, len(keys), *keys, *args)

    async def _bounded(self, answer: Awaitable[_Answer], timeout_s: float | None = None) -> _Answer:
        """Wait for an answer, at most the timeout. Raises StoreUnavailableError."""
        try:
            async with asyncio.timeout(timeout_s or self._timeout_s):
                return await answer
        except TimeoutError as error:
            raise StoreUnavailableError("the spend gate did not answer in time") from error
        except (RedisError, RedisClusterException, OSError) as error:
            raise StoreUnavailableError("the spend gate refused or is away") from error


def _encode_ticks(ticks: Sequence[Tick]) -> tuple[bytes, Sequence[str]]:
    """Return the batch that tick.lua reads, and the accounts in the order it answers."""
    accounts: dict[str, int] = {}
    account_of = [accounts.setdefault(tick.account_id, len(accounts) + 1) for tick in ticks]
    batch = (
        [tick.call_id for tick in ticks],
        list(accounts),
        account_of,
        [tick.want_micros for tick in ticks],
        [tick.seconds for tick in ticks],
    )
    return _ENCODER.encode(batch), list(accounts)


def _outbox_entry(entry_id: bytes, fields: dict[bytes, bytes]) -> OutboxEntry:
    values = {name.decode(): value for name, value in fields.items()}
    return OutboxEntry(entry_id.decode(), values.pop("k").decode(), values)
