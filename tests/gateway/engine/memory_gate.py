"""A spend gate in memory, for tests of what uses one. It passes the suite of all spend gates.

Its faults are those of a store on a network: it may be away, keep its answer back, or do what it
was asked without the answer ever arriving.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

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

_T = TypeVar("_T")


@dataclass
class _OpenCall:
    account_id: str
    held: int
    seconds: int
    node: str


@dataclass
class _Partition:
    is_ready: bool = False
    balances: dict[str, int] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    calls: dict[str, _OpenCall] = field(default_factory=dict)
    closed: dict[str, int] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    outbox: dict[str, OutboxEntry] = field(default_factory=dict)
    entries: int = 0

    def note(self, kind: str, **fields: bytes) -> None:
        self.entries += 1
        entry_id = f"{self.entries}-0"
        self.outbox[entry_id] = OutboxEntry(entry_id, kind, fields)


class MemorySpendGate:
    """`billing.ports.SpendGate` without a server."""

    def __init__(self, partitions: int = PARTITIONS) -> None:
        self.partitions = partitions
        self.is_away = False
        """Refuse everything."""
        self.loses_answers = False
        """Do what is asked, then time out."""
        self.fault: Exception | None = None
        """Raised by whatever is asked next, once."""
        self.held_back: asyncio.Event | None = None
        """While there is one, answers to ticks wait for it."""
        self.ticks: list[tuple[int, Sequence[Tick]]] = []
        """All rounds asked for, with their partition."""
        self._partitions = [_Partition() for _ in range(partitions)]

    def partition(self, account_id: str) -> int:
        return partition_of(account_id, self.partitions)

    def fill(self, **balances: int) -> MemorySpendGate:
        """Make all partitions ready, and these accounts' credits their first."""
        for partition in self._partitions:
            partition.is_ready = True
        for account_id, micros in balances.items():
            self._of(account_id).balances[account_id] = micros
            self._of(account_id).sequences[account_id] = 1
        return self

    async def open(self, opening: Opening) -> OpenOutcome:
        return await self._answer(lambda: self._open(opening))

    def _open(self, opening: Opening) -> OpenOutcome:
        part, account_id = self._of(opening.account_id), opening.account_id
        balance = part.balances.get(account_id, 0)
        known = part.calls.get(opening.call_id)
        if known is not None:
            return OpenOutcome(OpenResult.OPENED, known.held, balance)
        refusal = self._refusal(part, opening, balance)
        if refusal is not None:
            return OpenOutcome(refusal, 0, balance)
        held = min(opening.want_micros, balance)
        part.balances[account_id] = balance - held
        part.calls[opening.call_id] = _OpenCall(account_id, held, 0, opening.node)
        part.note(
            "O",
            c=opening.call_id.encode(),
            a=account_id.encode(),
            s=b"%d" % held,
            m=opening.detail,
        )
        return OpenOutcome(OpenResult.OPENED, held, balance - held)

    @staticmethod
    def _refusal(part: _Partition, opening: Opening, balance: int) -> OpenResult | None:
        if opening.call_id in part.closed:
            return OpenResult.ALREADY_CLOSED
        if opening.account_id in part.frozen:
            return OpenResult.FROZEN
        count = sum(call.account_id == opening.account_id for call in part.calls.values())
        if count >= opening.concurrent_calls_max:
            return OpenResult.TOO_MANY_CALLS
        reaches = balance >= max(0, opening.first_micros)
        return None if reaches else OpenResult.INSUFFICIENT_CREDIT

    async def tick(self, partition: int, ticks: Sequence[Tick]) -> TickOutcome:
        self.ticks.append((partition, ticks))
        if self.held_back is not None:
            await self.held_back.wait()
        return await self._answer(lambda: self._tick(self._ready(partition), ticks))

    @staticmethod
    def _tick(part: _Partition, ticks: Sequence[Tick]) -> TickOutcome:
        short: dict[str, int] = {}
        unknown: list[str] = []
        raised: list[str] = []
        for tick in ticks:
            call = part.calls.get(tick.call_id)
            if call is None:
                unknown.append(tick.call_id)
                continue
            balance = part.balances.get(tick.account_id, 0)
            is_granted = tick.account_id not in part.frozen
            more = max(0, min(tick.want_micros - call.held, balance)) if is_granted else 0
            if more or tick.seconds > call.seconds:
                call.held += more
                call.seconds = max(call.seconds, tick.seconds)
                part.balances[tick.account_id] = balance - more
                raised.append(f"{tick.call_id} {call.held}:{call.seconds}")
            if call.held < tick.want_micros:
                short[tick.call_id] = call.held
        if raised:
            part.note("T", d=" ".join(raised).encode())
        accounts = dict.fromkeys(tick.account_id for tick in ticks)
        return TickOutcome(short, unknown, {a: part.balances.get(a, 0) for a in accounts})

    async def close(self, closing: Closing) -> CloseOutcome:
        return await self._answer(lambda: self._close(closing))

    def _close(self, closing: Closing) -> CloseOutcome:
        part, account_id = self._of(closing.account_id), closing.account_id
        balance = part.balances.get(account_id, 0)
        if closing.call_id in part.closed:
            charged = part.closed[closing.call_id]
            return CloseOutcome(CloseResult.ALREADY_CLOSED, charged, 0, balance)
        call = part.calls.pop(closing.call_id, None)
        if call is None:
            return CloseOutcome(CloseResult.UNKNOWN, 0, 0, balance)
        assert call.account_id == account_id, "a call is closed by the account that opened it"
        beyond = max(0, min(closing.final_micros - call.held, balance))
        charged = min(closing.final_micros, call.held + beyond)
        written_off = closing.final_micros - charged
        part.balances[account_id] = balance = balance + call.held - charged
        part.closed[closing.call_id] = charged
        part.note(
            "C",
            c=closing.call_id.encode(),
            a=account_id.encode(),
            s=b"%d" % charged,
            d=b"%d" % closing.seconds,
            w=b"%d" % written_off,
            m=closing.detail,
        )
        return CloseOutcome(CloseResult.CLOSED, charged, written_off, balance)

    async def credit(self, account_id: str, sequence: int, amount_micros: int) -> CreditResult:
        return await self._answer(lambda: self._credit(account_id, sequence, amount_micros))

    def _credit(self, account_id: str, sequence: int, amount_micros: int) -> CreditResult:
        part = self._of(account_id)
        last = part.sequences.get(account_id, 0)
        if sequence != last + 1:
            return CreditResult.DUPLICATE if sequence <= last else CreditResult.GAP
        balance = part.balances.get(account_id, 0) + amount_micros
        if abs(balance) > LIMIT:
            raise MoneyError("balance beyond the largest that can be kept exactly")
        part.balances[account_id], part.sequences[account_id] = balance, sequence
        return CreditResult.APPLIED

    async def credit_sequence(self, account_id: str) -> int:
        return await self._answer(lambda: self._of(account_id).sequences.get(account_id, 0))

    async def freeze(self, account_id: str, frozen: bool) -> None:
        def change() -> None:
            known = self._of(account_id).frozen
            (known.add if frozen else known.discard)(account_id)

        await self._answer(change)

    async def balance(self, account_id: str) -> int:
        return await self._answer(lambda: self._of(account_id).balances.get(account_id, 0))

    async def rebuild(self, partition: int, state: PartitionState) -> bool:
        part = self._partitions[partition]
        if part.is_ready:
            return False
        if part.outbox:
            raise StoreUnavailableError("a partition with a full outbox cannot be rebuilt")
        for account_id, micros, sequence in state.accounts:
            part.balances[account_id], part.sequences[account_id] = micros, sequence
        for call_id, account_id, held, seconds, node in state.open_calls:
            part.calls[call_id] = _OpenCall(account_id, held, seconds, node)
        part.closed = dict(state.closed_calls)
        part.frozen = set(state.frozen)
        part.is_ready = True
        return True

    async def is_ready(self, partition: int) -> bool:
        return self._partitions[partition].is_ready

    async def waiting(self) -> Sequence[int]:
        return [p for p, part in enumerate(self._partitions) if part.outbox]

    async def read_outbox(self, partition: int, count_max: int) -> Sequence[OutboxEntry]:
        return list(self._partitions[partition].outbox.values())[:count_max]

    async def trim_outbox(self, partition: int, entry_ids: Sequence[str]) -> None:
        for entry_id in entry_ids:
            self._partitions[partition].outbox.pop(entry_id, None)

    async def open_calls(self, node: str) -> Sequence[tuple[str, str, int, int]]:
        def listed() -> list[tuple[str, str, int, int]]:
            parts = [self._ready(partition) for partition in range(self.partitions)]
            return [
                (call_id, call.account_id, call.held, call.seconds)
                for part in parts
                for call_id, call in part.calls.items()
                if call.node == node
            ]

        return await self._answer(listed)

    async def _answer(self, work: Callable[[], _T]) -> _T:
        """Do the work, unless the store is away; the answer takes a turn of the loop."""
        await asyncio.sleep(0)
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        if self.is_away:
            raise StoreUnavailableError("the spend gate is away")
        done = work()
        if self.loses_answers:
            raise StoreUnavailableError("the spend gate did not answer in time")
        return done

    def _of(self, account_id: str) -> _Partition:
        return self._ready(self.partition(account_id))

    def _ready(self, partition: int) -> _Partition:
        if not self._partitions[partition].is_ready:
            raise StoreUnavailableError("the partition waits to be rebuilt")
        return self._partitions[partition]
