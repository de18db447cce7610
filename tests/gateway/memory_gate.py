"""A spend gate in memory, for tests of what uses one. It passes the suite of all spend gates.

Its faults are those of a store on a network: it may be away, keep its answer back, or do what it
was asked without the answer ever arriving.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from billing.cdr import in_brief
from billing.errors import MoneyError, NotDrainedError
from billing.money import LIMIT
from billing.ports import (
    PARTITIONS,
    CallMemory,
    CloseOutcome,
    CloseResult,
    Closing,
    CreditResult,
    EndingPage,
    GateEnding,
    OpenCall,
    Opening,
    OpenOutcome,
    OpenResult,
    OutboxEntry,
    PartitionState,
    SpendCap,
    Tick,
    TickOutcome,
    partition_of,
)
from database.errors import StoreUnavailableError
from tests.billing.outbox_entries import OneByOne

_T = TypeVar("_T")


@dataclass
class _Partition:
    is_ready: bool = False
    is_withdrawn: bool = False
    balances: dict[str, int] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    calls: dict[str, OpenCall] = field(default_factory=dict)
    closed: dict[str, int] = field(default_factory=dict)
    began: dict[str, bytes] = field(default_factory=dict)
    """Call, open or closed -> record of its opening."""
    ended_s: dict[str, int] = field(default_factory=dict)
    """Closed call -> when, in a time of its own."""
    ends: dict[str, tuple[str, dict[str, bytes]]] = field(default_factory=dict)
    """Closed call -> its entry in the outbox, and what that says in brief."""
    frozen: set[str] = field(default_factory=set)
    out: set[str] = field(default_factory=set)
    ending: set[str] = field(default_factory=set)
    """Accounts whose credit did not reach for all that their calls asked for."""
    spent: dict[str, int] = field(default_factory=dict)
    outbox: dict[str, OutboxEntry] = field(default_factory=dict)
    entries: int = 0
    last_id: str = "0-0"
    filling: str = ""

    def note(self, kind: str, **fields: bytes) -> str:
        previous_id = self.last_id
        self.entries += 1
        past, number = self.last_id.split("-")
        self.last_id = entry_id = f"{past}-{int(number) + 1}"
        self.outbox[entry_id] = OutboxEntry(entry_id, kind, fields, previous_id)
        return entry_id

    def note_name(self, call: OpenCall) -> None:
        told = f"{call.call_id} {call.held_micros}:{call.seconds}".encode()
        self.note("T", d=told, n=call.carrier_call_id.encode())

    def spend(self, names: Sequence[str], micros: int) -> None:
        """Add to what has been spent of each cap; a counter of nothing is not kept."""
        for name in names:
            self.spent[name] = self.spent.get(name, 0) + micros
            if self.spent[name] <= 0:
                del self.spent[name]

    def reach(self, account_id: str, caps: Sequence[SpendCap]) -> int:
        """Return what a call may take: the balance, or what a cap leaves of it."""
        rooms = [cap.limit_micros - self.spent.get(cap.name, 0) for cap in caps]
        return min([self.balances.get(account_id, 0), *rooms])

    def count(self, account_id: str) -> int:
        """Return how many calls of an account are open."""
        return sum(call.account_id == account_id for call in self.calls.values())

    def burn(self, account_id: str) -> int:
        """Return what an account's answered calls cost a minute."""
        calls = [call for call in self.calls.values() if call.account_id == account_id]
        return sum(call.per_minute_micros for call in calls if call.seconds > 0)


class MemorySpendGate(OneByOne):
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
            return OpenOutcome(OpenResult.OPENED, known.held_micros, balance, known.held_micros)
        refusal = self._refusal(part, opening, balance)
        if refusal is not None:
            return OpenOutcome(refusal, 0, balance)
        want, reach = opening.want_micros, part.reach(account_id, opening.caps)
        if opening.sharers and not opening.is_running:
            want = min(want, max(opening.first_micros, reach // opening.sharers))
        held = max(0, min(want, reach))
        part.balances[account_id] = balance - held
        names = tuple(cap.name for cap in opening.caps)
        part.spend(names, held)
        part.calls[opening.call_id] = OpenCall(
            opening.call_id,
            account_id,
            opening.node,
            held,
            seconds=0,
            per_minute_micros=opening.per_minute_micros,
            cap_names=names,
            key_id=opening.key_id,
        )
        part.began[opening.call_id] = opening.detail
        part.note(
            "O",
            c=opening.call_id.encode(),
            a=account_id.encode(),
            s=b"%d" % held,
            m=opening.detail,
        )
        return OpenOutcome(OpenResult.OPENED, held, balance - held, want)

    @staticmethod
    def _refusal(part: _Partition, opening: Opening, balance: int) -> OpenResult | None:
        if opening.call_id in part.closed:
            return OpenResult.ALREADY_CLOSED
        if opening.is_running:
            return None
        if opening.account_id in part.frozen:
            return OpenResult.FROZEN
        if part.count(opening.account_id) >= opening.concurrent_calls_max:
            return OpenResult.TOO_MANY_CALLS
        of_key = sum(call.key_id == opening.key_id for call in part.calls.values())
        if opening.key_calls_max and of_key >= opening.key_calls_max:
            return OpenResult.TOO_MANY_CALLS
        if opening.first_micros > balance:
            return OpenResult.INSUFFICIENT_CREDIT
        reaches = opening.first_micros <= part.reach(opening.account_id, opening.caps)
        return None if reaches else OpenResult.CAP_REACHED

    async def calls_of_key(self, account_id: str, key_id: str) -> int:
        calls = self._of(account_id).calls.values()
        return sum(call.key_id == key_id for call in calls)

    async def tick(self, partition: int, ticks: Sequence[Tick]) -> TickOutcome:
        self.ticks.append((partition, ticks))
        if self.held_back is not None:
            await self.held_back.wait()
        return await self._answer(lambda: self._tick(self._ready(partition), ticks))

    async def tick_all(self, claims):
        outcomes: dict[int, TickOutcome | StoreUnavailableError] = {}
        for partition, ticks in claims.items():
            try:
                outcomes[partition] = await self.tick(partition, ticks)
            except StoreUnavailableError as error:
                outcomes[partition] = error
        return outcomes

    @staticmethod
    def _tick(part: _Partition, ticks: Sequence[Tick]) -> TickOutcome:
        short: dict[str, int] = {}
        lost: list[str] = []
        closed: list[str] = []
        capped: list[str] = []
        raised: list[str] = []
        for tick in ticks:
            before = part.calls.get(tick.call_id)
            if before is None:
                (closed if tick.call_id in part.closed else lost).append(tick.call_id)
                continue
            call, is_capped = _raise(part, before, tick)
            part.calls[tick.call_id] = call
            if (call.held_micros, call.seconds) != (before.held_micros, before.seconds):
                raised.append(f"{tick.call_id} {call.held_micros}:{call.seconds}")
            if call.held_micros < tick.want_micros:
                short[tick.call_id] = call.held_micros
            if is_capped:
                capped.append(tick.call_id)
            elif tick.call_id in short and tick.account_id not in part.frozen:
                part.out.add(tick.account_id)
        if raised:
            part.note("T", d=" ".join(raised).encode())
        accounts = dict.fromkeys(tick.account_id for tick in ticks)
        caps = dict.fromkeys(cap.name for tick in ticks for cap in tick.caps)
        return TickOutcome(
            short,
            lost,
            closed,
            balances={account: part.balances.get(account, 0) for account in accounts},
            open_calls={account: part.count(account) for account in accounts},
            burns={account: part.burn(account) for account in accounts},
            spent={name: part.spent.get(name, 0) for name in caps},
            capped=capped,
            frozen=tuple(account for account in accounts if account in part.frozen),
            filling=part.filling,
            ending=tuple(account for account in accounts if account in part.ending),
        )

    async def close(self, closing: Closing) -> CloseOutcome:
        return await self._answer(lambda: self._close(closing))

    def _close(self, closing: Closing) -> CloseOutcome:
        part, account_id = self._of(closing.account_id), closing.account_id
        balance = part.balances.get(account_id, 0)
        if closing.call_id in part.closed:
            charged = part.closed[closing.call_id]
            _, end = part.ends.get(closing.call_id, ("", {}))
            is_repeat = end == {
                "c": closing.call_id.encode(),
                "a": account_id.encode(),
                "s": b"%d" % charged,
                "d": b"%d" % closing.seconds,
                "w": b"%d" % (closing.final_micros - charged),
                "m": in_brief(closing.detail),
            }
            seconds = int(end.get("d", 0))
            return CloseOutcome(CloseResult.ALREADY_CLOSED, charged, 0, balance, seconds, is_repeat)
        call = part.calls.pop(closing.call_id, None)
        if call is None:
            return CloseOutcome(CloseResult.UNKNOWN, 0, 0, balance)
        assert call.account_id == account_id, "a call is closed by the account that opened it"
        left = [cap.limit_micros - part.spent.get(cap.name, 0) for cap in closing.caps]
        beyond = max(0, min(closing.final_micros - call.held_micros, balance, *left))
        charged = min(closing.final_micros, call.held_micros + beyond)
        written_off = closing.final_micros - charged
        part.balances[account_id] = balance = balance + call.held_micros - charged
        part.spend(call.cap_names, charged - call.held_micros)
        if not (closing.is_out_of_credit and part.count(account_id)):
            part.out.discard(account_id)
            part.ending.discard(account_id)
        elif account_id in part.out:
            part.ending.add(account_id)
        part.closed[closing.call_id] = charged
        part.ended_s[closing.call_id] = part.entries + 1
        end = {
            "c": closing.call_id.encode(),
            "a": account_id.encode(),
            "s": b"%d" % charged,
            "d": b"%d" % closing.seconds,
            "w": b"%d" % written_off,
        }
        entry_id = part.note("C", **end, m=closing.detail)
        part.ends[closing.call_id] = entry_id, {**end, "m": in_brief(closing.detail)}
        return CloseOutcome(CloseResult.CLOSED, charged, written_off, balance)

    async def resend_ending(self, call_id: str, account_id: str, opened: bytes = b"") -> bool:
        def tell() -> bool:
            part = self._partitions[self.partition(account_id)]
            entry_id, end = part.ends.get(call_id, ("", {}))
            if not end or entry_id in part.outbox:
                return False
            if opened:
                part.note("O", c=call_id.encode(), a=account_id.encode(), s=b"0", m=opened)
            part.ends[call_id] = part.note("C", **end), end
            return True

        return await self._answer(tell)

    async def resend_open(self, partition: int) -> int:
        def tell() -> int:
            part = self._partitions[partition]
            for call in part.calls.values():
                name, account = call.call_id.encode(), call.account_id.encode()
                if (record := part.began.get(call.call_id)) is not None:
                    part.note("O", c=name, a=account, s=b"%d" % call.held_micros, m=record)
                if call.carrier_call_id:
                    part.note_name(call)
            if part.calls:
                told = [f"{c.call_id} {c.held_micros}:{c.seconds}" for c in part.calls.values()]
                part.note("T", d=" ".join(told).encode())
            return len(part.calls)

        return await self._answer(tell)

    async def endings(
        self, partition: int, after_s: int, *, count_max: int, age_s_min: int = 0
    ) -> EndingPage:
        def page() -> EndingPage:
            part = self._partitions[partition]
            ages = sorted((at, call) for call, at in part.ended_s.items() if at > after_s)
            if not ages:
                return EndingPage([], after_s)
            last = ages[:count_max][-1][0]
            found = [_ending(part, call) for at, call in ages if at <= last]
            return EndingPage(found, last)

        return await self._answer(page)

    async def name_carrier_call(
        self, call_id: str, account_id: str, carrier_call_id: str
    ) -> str | None:
        def name() -> str | None:
            part = self._of(account_id)
            call = part.calls.get(call_id)
            if call is None or call.account_id != account_id:
                return None
            if call.carrier_call_id != carrier_call_id:
                part.calls[call_id] = replace(call, carrier_call_id=carrier_call_id)
                part.note_name(part.calls[call_id])
            return part.filling

        return await self._answer(name)

    async def fillings(self, partitions: Collection[int]) -> Mapping[int, str]:
        def read() -> dict[int, str]:
            parts = {partition: self._partitions[partition] for partition in partitions}
            return {partition: part.filling for partition, part in parts.items() if part.is_ready}

        return await self._answer(read)

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
        if amount_micros > 0:
            part.out.discard(account_id)
            part.ending.discard(account_id)
        return CreditResult.APPLIED

    async def credit_sequence(self, account_id: str) -> int:
        def read() -> int:
            part = self._partitions[self.partition(account_id)]
            known = part if part.is_withdrawn else self._of(account_id)
            return known.sequences.get(account_id, 0)

        return await self._answer(read)

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
            raise NotDrainedError("a partition with a full outbox cannot be rebuilt")
        for account_id, micros, sequence in state.accounts:
            part.balances[account_id], part.sequences[account_id] = micros, sequence
        names = {call.call_id: call.carrier_call_id for call in part.calls.values()}
        part.calls = {
            call.call_id: replace(
                call, carrier_call_id=call.carrier_call_id or names.get(call.call_id, "")
            )
            for call in state.open_calls
        }
        part.closed = dict(state.closed_calls)
        part.ended_s = dict.fromkeys(part.closed, part.entries + 1)
        part.ends = {
            call_id: (entry_id, end)
            for call_id, (entry_id, end) in part.ends.items()
            if part.closed.get(call_id) == int(end["s"])
        }
        for memory in state.memories:
            if memory.closed and memory.call_id in part.closed:
                part.ends[memory.call_id] = "", _end(memory)
        part.began |= {memory.call_id: memory.opened for memory in state.memories if memory.opened}
        part.began = {
            call_id: record
            for call_id, record in part.began.items()
            if call_id in part.calls or call_id in part.ends
        }
        part.frozen, part.out, part.ending = set(state.frozen), set(), set()
        part.spent = dict(state.spent)
        part.last_id = state.mark.booked_id or part.last_id
        part.is_ready, part.is_withdrawn = True, False
        part.filling += "+"
        return True

    async def is_ready(self, partition: int) -> bool:
        return self._partitions[partition].is_ready

    async def withdraw(self, partition: int, filling: str = "") -> bool:
        part = self._partitions[partition]
        is_meant = filling in ("", part.filling)
        if is_meant and part.is_ready:
            part.is_ready, part.is_withdrawn = False, True
        return is_meant

    async def put_back(self, partition: int) -> bool:
        part = self._partitions[partition]
        if not part.is_withdrawn:
            return False
        part.is_ready, part.is_withdrawn = True, False
        return True

    async def last_entry_ids(self, partitions: Collection[int]) -> Mapping[int, str]:
        return {partition: self._partitions[partition].last_id for partition in partitions}

    async def read_outbox(self, partition: int, count_max: int) -> Sequence[OutboxEntry]:
        return list(self._partitions[partition].outbox.values())[:count_max]

    async def trim_outbox(self, partition: int, entry_ids: Sequence[str]) -> None:
        for entry_id in entry_ids:
            self._partitions[partition].outbox.pop(entry_id, None)

    async def outbox_length(self) -> int:
        return sum(len(part.outbox) for part in self._partitions)

    async def open_calls(self, node: str | None = None) -> Sequence[OpenCall]:
        def listed() -> list[OpenCall]:
            parts = [self._ready(partition) for partition in range(self.partitions)]
            calls = [call for part in parts for call in part.calls.values()]
            return [call for call in calls if node in (None, call.node)]

        return await self._answer(listed)

    async def nodes_of(self, account_id: str) -> Mapping[str, str]:
        def found() -> Mapping[str, str]:
            calls = self._ready(self.partition(account_id)).calls
            return {name: c.node for name, c in calls.items() if c.account_id == account_id}

        return await self._answer(found)

    async def snapshot(self, partition: int) -> PartitionState:
        def state() -> PartitionState:
            part = self._partitions[partition]
            return PartitionState(
                accounts=[
                    (account, part.balances.get(account, 0), part.sequences.get(account, 0))
                    for account in sorted(part.balances.keys() | part.sequences.keys())
                ],
                open_calls=[part.calls[call_id] for call_id in sorted(part.calls)],
                frozen=sorted(part.frozen),
                spent=sorted(part.spent.items()),
            )

        return await self._answer(state)

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


def _end(memory: CallMemory) -> dict[str, bytes]:
    return {
        "c": memory.call_id.encode(),
        "a": memory.account_id.encode(),
        "s": b"%d" % memory.charged_micros,
        "d": b"%d" % memory.seconds,
        "w": b"%d" % memory.written_off_micros,
        "m": memory.closed,
    }


def _ending(part: _Partition, call_id: str) -> GateEnding:
    _, end = part.ends.get(call_id, ("", {"a": b"", "d": b"0"}))
    return GateEnding(
        call_id,
        end["a"].decode(),
        int(end["d"]),
        part.closed[call_id],
        part.began.get(call_id, b""),
    )


def _raise(part: _Partition, call: OpenCall, tick: Tick) -> tuple[OpenCall, bool]:
    """Return a call after its tick, and whether a cap keeps it short."""
    account_id = tick.account_id
    balance, reach = part.balances.get(account_id, 0), part.reach(account_id, tick.caps)
    missing = tick.want_micros - call.held_micros
    if account_id in part.frozen | part.out or balance <= 0:
        missing = 0
    names = tuple(cap.name for cap in tick.caps)
    more = max(0, min(missing, reach))
    if more:
        part.balances[account_id] = balance - more
        part.spend(names, more)
    follows = names and tick.seconds >= call.seconds
    raised = replace(
        call,
        held_micros=call.held_micros + more,
        seconds=max(call.seconds, tick.seconds),
        cap_names=names if follows else call.cap_names,
        answered_ms=tick.answered_ms if tick.seconds and not call.seconds else call.answered_ms,
    )
    return raised, reach < balance and reach < missing
