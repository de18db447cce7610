"""Encodes the ticks of one partition for the tick script, and decodes its answers.

Knows the format of `tick.lua`'s arguments and replies, but no server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from billing.ports import SpendCap, Tick, TickOutcome

CALLS_PER_SCRIPT_MAX = 900
"""Bound of one tick script: it holds the server for some 4 ms. Lua's stack takes 8,000 values, and
there are two of each cap of each call, its name and what is spent."""

CAPS_PER_CALL_MAX = 4
"""The days and months of an account and of a key."""

_ENCODER = msgspec.json.Encoder()

# Reported by tick.lua as the hold of a call that the gate has lost; -2 if it has been closed.
_LOST = -1


class TickBatch:
    """Ticks of one partition for one run of the script: at most `CALLS_PER_SCRIPT_MAX`."""

    def __init__(self, partition: int, ticks: Sequence[Tick]) -> None:
        self.partition = partition
        self.ticks = ticks
        self.encoded, self.accounts, self.caps = _encode_ticks(ticks)
        answers = {tick.call_id: tick.answered_ms for tick in ticks if tick.answered_ms}
        self.answers = _ENCODER.encode(answers) if answers else b""


class TickReply:
    """The answers of the scripts of one partition, combined."""

    def __init__(self) -> None:
        self._short: dict[str, int] = {}
        self._lost: list[str] = []
        self._closed: list[str] = []
        self._capped: list[str] = []
        self._frozen: list[str] = []
        self._ending: list[str] = []
        self._balances: dict[str, int] = {}
        self._burns: dict[str, int] = {}
        self._open_calls: dict[str, int] = {}
        self._spent: dict[str, int] = {}
        self._filling = ""

    def add(self, batch: TickBatch, answer: Sequence[Any]) -> None:
        """Add the script's answer to a batch."""
        exceptions, balances, burns, spent, capped, frozen, filling, open_calls, ending = answer
        for i in range(0, len(exceptions), 2):
            call_id = batch.ticks[exceptions[i]].call_id
            held = exceptions[i + 1]
            if held >= 0:
                self._short[call_id] = held
            else:
                (self._lost if held == _LOST else self._closed).append(call_id)
        # An account's calls may be in several batches: the later answer has seen both.
        self._balances.update(zip(batch.accounts, balances, strict=True))
        self._burns.update(zip(batch.accounts, burns, strict=True))
        self._open_calls.update(zip(batch.accounts, open_calls, strict=True))
        self._spent.update(zip(batch.caps, spent, strict=True))
        self._capped.extend(batch.ticks[i].call_id for i in capped)
        self._frozen.extend(batch.accounts[j] for j in frozen)
        self._ending.extend(batch.accounts[j] for j in ending)
        self._filling = filling.decode()

    def outcome(self) -> TickOutcome:
        """Return the combined outcome."""
        return TickOutcome(
            short=self._short,
            lost=self._lost,
            closed=self._closed,
            balances=self._balances,
            open_calls=self._open_calls,
            burns=self._burns,
            spent=self._spent,
            capped=self._capped,
            frozen=tuple(self._frozen),
            ending=tuple(self._ending),
            filling=self._filling,
        )


def _encode_ticks(ticks: Sequence[Tick]) -> tuple[bytes, Sequence[str], Sequence[str]]:
    """Return the batch that tick.lua reads, and the accounts and caps in the order it answers."""
    accounts: dict[str, int] = {}
    # From 1, because Lua indexes so; the script's answer counts from 0, as Python does.
    account_of = [accounts.setdefault(tick.account_id, len(accounts) + 1) for tick in ticks]
    # Columns instead of rows: the script passes whole columns to HMGET.
    batch = [
        [tick.call_id for tick in ticks],
        list(accounts),
        account_of,
        [tick.want_micros for tick in ticks],
        [tick.seconds for tick in ticks],
    ]
    caps_of = [tick.caps for tick in ticks]
    names: list[str] = []
    if any(caps_of):
        assert max(map(len, caps_of)) <= CAPS_PER_CALL_MAX
        # By name and limit: two calls may know one cap by different limits, and each keeps its own.
        caps: dict[SpendCap, int] = {}
        indices = [[caps.setdefault(cap, len(caps) + 1) for cap in of] for of in caps_of]
        names = [cap.name for cap in caps]
        batch += [names, [cap.limit_micros for cap in caps], indices]
    return _ENCODER.encode(batch), list(accounts), names
