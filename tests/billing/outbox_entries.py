"""Outbox entries as the spend gate writes them, and an outbox that keeps them in memory."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from billing.cdr import CallClosed, CallOpened, LegQuality
from billing.ports import OutboxEntry
from billing.rating import Rate

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
BOOKED_AT = START + timedelta(minutes=5)
"""When what begins at `START` is booked, once its calls have ended."""

_numbers = itertools.count(1)


def entry(kind: str, **fields: bytes) -> OutboxEntry:
    return OutboxEntry(f"{next(_numbers)}-0", kind, fields)


RATE = Rate(per_minute_micros=600_000)
"""A cent a second."""


def costing(micros: int) -> Rate:
    """Return the rate by which a call costs so much, however long it is."""
    return Rate(per_minute_micros=0, connect_fee_micros=micros)


def opening(
    call_id: str, account_id: str = "alice", *, at: datetime = START, rate: Rate = RATE
) -> CallOpened:
    return CallOpened(
        call_id=call_id,
        account_id=account_id,
        node="n1",
        destination="+15005551000",
        country="US",
        codec="pcmu",
        origin="https://shop.example",
        currency="USD",
        rate=rate.to_json(),
        created_at=at,
    )


def closing(seconds: int, *, at: datetime = START) -> CallClosed:
    return CallClosed(
        ringing_at=at + timedelta(seconds=1),
        answered_at=at + timedelta(seconds=5),
        ended_at=at + timedelta(seconds=5 + seconds),
        seconds=seconds,
        cause=16,
        cause_name="NORMAL_CLEARING",
        ended_by="caller",
        carrier_call_id="CA1",
        carrier_seconds=60,
        browser=LegQuality(frames_in=50 * seconds, talk_ms=400),
        carrier=LegQuality(frames_out=50 * seconds, frames_dropped=2),
    )


def opened(
    call_id: str,
    held: int,
    account_id: str = "alice",
    *,
    at: datetime = START,
    rate: Rate = RATE,
) -> OutboxEntry:
    detail = msgspec.json.encode(opening(call_id, account_id, at=at, rate=rate))
    return entry("O", c=call_id.encode(), a=account_id.encode(), s=b"%d" % held, m=detail)


def ticked(*totals: tuple[str, int, int]) -> OutboxEntry:
    words = (f"{call_id} {held}:{seconds}" for call_id, held, seconds in totals)
    return entry("T", d=" ".join(words).encode())


def closed(
    call_id: str,
    charged: int,
    seconds: int = 60,
    account_id: str = "alice",
    *,
    written_off: int = 0,
    at: datetime = START,
) -> OutboxEntry:
    return entry(
        "C",
        c=call_id.encode(),
        a=account_id.encode(),
        s=b"%d" % charged,
        d=b"%d" % seconds,
        w=b"%d" % written_off,
        m=msgspec.json.encode(closing(seconds, at=at)),
    )


class OneByOne:
    """The outbox half of a spend gate that serves several partitions as it serves each."""

    async def read_outboxes(
        self, partitions: Collection[int], count_max: int
    ) -> Mapping[int, Sequence[OutboxEntry]]:
        found = {p: await self.read_outbox(p, count_max) for p in partitions}
        return {p: entries for p, entries in found.items() if entries}

    async def trim_outboxes(self, entry_ids: Mapping[int, Sequence[str]]) -> None:
        for partition, ids in entry_ids.items():
            await self.trim_outbox(partition, ids)

    async def read_outbox(self, partition: int, count_max: int) -> Sequence[OutboxEntry]:
        raise NotImplementedError

    async def trim_outbox(self, partition: int, entry_ids: Sequence[str]) -> None:
        raise NotImplementedError


class MemoryOutbox(OneByOne):
    """The outbox half of a spend gate, in memory."""

    def __init__(self, partitions: int) -> None:
        self.streams: list[list[OutboxEntry]] = [[] for _ in range(partitions)]

    async def read_outbox(self, partition: int, count_max: int) -> Sequence[OutboxEntry]:
        return self.streams[partition][:count_max]

    async def trim_outbox(self, partition: int, entry_ids: Sequence[str]) -> None:
        gone = set(entry_ids)
        self.streams[partition] = [
            entry for entry in self.streams[partition] if entry.entry_id not in gone
        ]
