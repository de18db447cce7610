"""What the pages of calls and money read, in memory: as the ports say, and no more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import msgspec

from billing.cdr import ANY_CALL, CallClosed, CallOpened, CallRecord, LegQuality
from billing.payments import Payment, PaymentProfile, PaymentState
from billing.rate_deck import RateDeck
from billing.rating import Rate
from billing.statement import CallLine
from database.errors import StoreUnavailableError
from gateway.call.high_risk import SHIPPED
from gateway.calls.index import CallIndex
from gateway.own_keys import KeyMaking, OwnKey
from gateway.ports import LiveCall
from tests.billing.outbox_entries import MemoryOutbox

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

    async def of_account(self, account_id, since=None):
        mine = [each for each in self.calls if each.opened.account_id == account_id]
        return [each for each in mine if since is None or each.opened.created_at >= since]

    async def show(self, account_id, call_id):
        mine = await self.of_account(account_id)
        return next((each for each in mine if each.opened.call_id == call_id), None)


class Gate(MemoryOutbox):
    """What the spend gate says of a balance, and an outbox that is booked at once."""

    def __init__(self):
        super().__init__(partitions=1)
        self.balance_micros = 12_340_000

    def partition(self, _account_id):
        return 0

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


HOSTED = "https://checkout.stripe.com"
UNIT = 1_000_000


def payment(payment_id="pay_1", account_id="ada", **changes):
    plain = Payment(payment_id, account_id, "checkout", 25 * UNIT, "USD", PaymentState.OPEN, AT, AT)
    return replace(plain, **changes)


class Till:
    """What begins payments, keeps them and charges the saved card: notes what it is asked."""

    def __init__(self):
        self.payments = {}
        self.profile = PaymentProfile("ada", "USD")
        self.url = f"{HOSTED}/cs_1"
        self.failure = None
        self.begun, self.charged, self.set_to = [], [], []
        self.refreshed, self.forgotten, self.asked_again = [], [], []

    def _fail(self):
        if self.failure is not None:
            raise self.failure

    async def find(self, payment_id):
        return self.payments.get(payment_id)

    async def page(self, account_id, *, limit, before=None):
        mine = [each for each in self.payments.values() if each.account_id == account_id]
        start = [each.id for each in mine].index(before) + 1 if before else 0
        return mine[start:][:limit]

    async def of_account(self, _account_id):
        return self.profile

    async def start_checkout(self, account_id, micros, *, save_card, key, back):
        self._fail()
        self.begun.append((account_id, micros, save_card, key, back))
        return payment(account_id=account_id, micros=micros), self.url

    async def charge_now(self, account_id, micros, key):
        self._fail()
        self.charged.append((account_id, micros, key))
        return payment(kind="saved", micros=micros, state=PaymentState.PAID)

    async def refresh(self, known):
        self.refreshed.append(known.id)
        return known

    async def set_auto(self, account_id, *, enabled, threshold_micros, amount_micros):
        self._fail()
        self.set_to.append((account_id, enabled, threshold_micros, amount_micros))
        return self.profile

    async def forget_card(self, account_id):
        self._fail()
        self.forgotten.append(account_id)

    def forget(self, account_id):
        self.asked_again.append(account_id)


class PaymentBook:
    """`PaymentStore`, as far as pages read it."""

    def __init__(self, till):
        self.find, self.page, self.profile = till.find, till.page, till.of_account


class HolderKeys:
    """Keys of one person; `made` has them by their hashes."""

    def __init__(self):
        self.made, self.revoked = {}, []
        self.outcome, self.stands = KeyMaking.MADE, True

    async def standing(self, _account_id):
        return [
            OwnKey(digest[:16], each.label, AT, each.day_cap_micros, each.scopes, each.expires_at)
            for digest, each in self.made.items()
            if digest[:16] not in self.revoked
        ]

    async def make(self, _account_id, _epoch, new, _notice):
        if self.outcome is KeyMaking.MADE:
            self.made.setdefault(new.key_hash, new)
        return self.outcome

    async def revoke(self, _account_id, _epoch, key_id):
        self.revoked.append(key_id)
        return self.stands


_DECK = """prefix,description,country,rate_per_minute,connect_fee,minimum,free,first,next
441 442,"United Kingdom, fixed",GB,0.0120,0,0,0,1,1
447,"United Kingdom, mobile",GB,0.0320,0,0,0,1,1
1201 1202 1203 1204 1205 1206 1207 1208,United States,US,0.0140,0,0,0,1,1
49,Germany,DE,0.0200,0,0,0,1,1
43,Austria,AT,0.0300,0.01,0.10,3,60,6
53,Cuba,CU,0.9000,0,0,0,1,1
1500555,Simulated phone network,,0.0600,0,0,0,1,1
"""


class Rates:
    """The deck in use."""

    def __init__(self):
        self.deck = RateDeck.from_csv(_DECK)
        self.empty = RateDeck({})

    def lookup(self, number):
        return self.deck.lookup(number)


class Closed:
    """The closed list that the package has."""

    closed = SHIPPED


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
