"""What the pages of calls and money read, in memory: as the ports say, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from billing.call_filter import ANY_CALL
from billing.cdr import CallClosed, CallOpened, CallRecord, LegQuality
from billing.rating import Rate
from billing.statement import CallLine
from database.errors import StoreUnavailableError
from gateway.calls.index import CallIndex
from gateway.ports import LiveCall

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
RATE = Rate(per_minute_micros=30_000, connect_fee_micros=10_000)


def opened(call_id, **changes):
    plain = CallOpened(
        call_id=call_id,
        account_id="ada",
        node="n1",
        destination="+442079460018",
        country="GB",
        codec="pcmu",
        origin="",
        currency="USD",
        rate=RATE.to_json(),
        created_at=AT,
    )
    return msgspec.structs.replace(plain, **changes)


def closed(seconds=205, **changes):
    plain = CallClosed(
        answered_at=AT + timedelta(seconds=9),
        ended_at=AT + timedelta(seconds=9 + seconds),
        seconds=seconds,
        cause=16,
        cause_name="NORMAL_CLEARING",
        ended_by="caller",
        browser=LegQuality(mos=4.2),
        carrier=LegQuality(mos=4.1),
    )
    return msgspec.structs.replace(plain, **changes)


def record(call_id, end=None, *, cost=112_500, **changes):
    end = closed() if end is None else end
    return CallRecord(opened=opened(call_id, **changes), closed=end, cost_micros=cost)


def live(call_id, **changes):
    plain = LiveCall(
        opened=opened(call_id),
        answered_at=AT,
        ended_at=None,
        seconds=61,
        cost_micros=50_000,
        unused_micros=4_000,
        carrier_call_id="CA1",
        cause=None,
        ended_by="gateway",
    )
    return msgspec.structs.replace(plain, **changes)


class Records:
    """Call records, the newest first; notes what was asked of it."""

    def __init__(self):
        self.kept: list[CallRecord] = []
        self.asked = []
        self.is_away = False

    async def get(self, account_id, call_id):
        mine = (each for each in self.kept if each.opened.account_id == account_id)
        return next((each for each in mine if each.opened.call_id == call_id), None)

    async def page(self, account_id, *, limit, before=None, only=ANY_CALL):
        if self.is_away:
            raise StoreUnavailableError("away")
        self.asked.append((limit, before, only))
        mine = [each for each in self.kept if each.opened.account_id == account_id]
        if before is not None:
            ids = [each.opened.call_id for each in mine]
            mine = mine[ids.index(before) + 1 :] if before in ids else []
        return mine[:limit]


class Live:
    """The live calls within reach."""

    def __init__(self):
        self.calls = []

    async def of_account(self, account_id):
        return [each for each in self.calls if each.opened.account_id == account_id]

    async def show(self, account_id, call_id):
        mine = await self.of_account(account_id)
        return next((each for each in mine if each.opened.call_id == call_id), None)


class Gate:
    """What the spend gate says of a balance."""

    def __init__(self):
        self.balance_micros = 12_340_000

    async def balance(self, _account_id):
        if isinstance(self.balance_micros, Exception):
            raise self.balance_micros
        return self.balance_micros


class Statements:
    """The ledger of one account."""

    def __init__(self):
        self.of_calls: dict[str, list[CallLine]] = {}
        self.lines = []

    async def of_call(self, _account_id, call_id):
        return self.of_calls.get(call_id, [])

    async def page(self, _account_id, *, limit, before=None):
        references = [each.reference for each in self.lines]
        start = references.index(before) + 1 if before in references else 0
        return self.lines[start:][:limit]


@dataclass
class Books:
    """All of it, and the index of calls over it."""

    records: Records
    live: Live
    gate: Gate
    statements: Statements

    @property
    def index(self):
        return CallIndex("n1", self.live, self.records, self.gate)


def new_books():
    return Books(Records(), Live(), Gate(), Statements())
