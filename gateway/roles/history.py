"""Writes a year of plausible calls and payments into a new book, so that a demo has data to show.

All of it goes through the stores that real calls and payments use, and an audit finds nothing
wrong. Every number is reserved for films and books, and belongs to no one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.cdr import CallClosed, CallOpened, EndedBy, LegQuality
from billing.payments import TOP_UP_REASONS, PaymentState, top_up_reference
from billing.ports import OutboxEntry, partition_of
from billing.rate_deck import DeckEntry, RateDeck
from billing.stores.payments import SqlPaymentStore
from billing.stores.sql import SqlLedgerStore
from gateway.cause import Cause
from gateway.stores.accounts import SqlAccountStore

DAYS: Final = 350
"""Less than the 12 months that call records are kept."""
TOP_UP_MICROS: Final = 25_000_000
_LOW_MICROS: Final = 4_000_000
"""A person tops up below this."""

NUMBERS: Final = (
    # NANPA: 555-0100 to 555-0199.
    "+12125550142",
    "+14155550178",
    "+13125550119",
    "+16175550163",
    # Ofcom: numbers for drama use. Its mobile ones are Jersey's, which cost a different price.
    "+442079460812",
    "+441614960377",
    # Bundesnetzagentur, Mitteilung 148/2021: Rufnummern fuer Medien.
    "+493023125088",
    "+498999998312",
    "+4917139200417",
    # ARCEP, plan de numérotation: numéros pour œuvres audiovisuelles.
    "+33199003142",
    "+33639981207",
    # ACMA: numbers for use in radio, books, film and TV.
    "+61255505317",
    "+61491570156",
)
_USUAL: Final = 0.6
"""Share of the calls that go to a person's few usual numbers."""

_OUTCOMES: Final = {
    Cause.NORMAL_CLEARING: 0.74,
    Cause.NO_ANSWER: 0.13,
    Cause.USER_BUSY: 0.06,
    Cause.ORIGINATOR_CANCEL: 0.05,
    Cause.UNALLOCATED_NUMBER: 0.02,
}
"""Share of the calls that end so."""
_RINGING_S_MAX: Final = 28


@dataclass(frozen=True, slots=True)
class PastCall:
    """One call of the history."""

    began_at: datetime
    number: str
    cause: Cause
    rang_s: int
    talked_s: int
    ended_by: EndedBy
    quality: float
    """0 to 1."""


def plausible_calls(rng: random.Random, until: datetime) -> Iterator[PastCall]:
    """Yield calls, oldest first: mostly on working days, many to the same few numbers."""
    usual = rng.sample(NUMBERS, 4)
    first = datetime(until.year, until.month, until.day, tzinfo=UTC) - timedelta(days=DAYS)
    for day in range(DAYS):
        date = first + timedelta(days=day)
        busy = 4 if date.weekday() < 5 else 1
        for moment in sorted(rng.uniform(8 * 3600, 20 * 3600) for _ in range(rng.randint(0, busy))):
            yield _call(rng, date + timedelta(seconds=round(moment)), usual)


def _call(rng: random.Random, at: datetime, usual: list[str]) -> PastCall:
    (cause,) = rng.choices([*_OUTCOMES], [*_OUTCOMES.values()])
    is_answered = cause is Cause.NORMAL_CLEARING
    ended_by: EndedBy = "carrier"
    if is_answered or cause is Cause.ORIGINATOR_CANCEL:
        ended_by = "callee" if is_answered and rng.random() < 0.4 else "caller"
    return PastCall(
        began_at=at,
        number=rng.choice(usual if rng.random() < _USUAL else NUMBERS),
        cause=cause,
        rang_s=rng.randint(3, _RINGING_S_MAX),
        # Most calls are short, and some are long.
        talked_s=min(3600, max(4, round(rng.lognormvariate(4.6, 0.9)))) if is_answered else 0,
        ended_by=ended_by,
        quality=min(1.0, rng.betavariate(9, 1)),
    )


class HistoryWriter:
    """Writes into a book that does not have the account yet."""

    def __init__(self, engine: AsyncEngine, account_id: str, currency: str, deck: RateDeck) -> None:
        self._now = datetime.now(UTC)
        self._ledger = SqlLedgerStore(engine, clock=lambda: self._now)
        self._payments = SqlPaymentStore(engine, clock=lambda: self._now)
        self._accounts = SqlAccountStore(engine, clock=lambda: self._now)
        self._account_id = account_id
        self._currency = currency
        self._deck = deck
        self._entries = 0

    async def write(self, rng: random.Random) -> int:
        """Write it, and return the number of calls; 0, writing nothing, if the account exists.

        The spend gate must know an account's usage too: for a new account it learns it from the
        book.
        """
        calls = list(plausible_calls(rng, self._now))
        self._now = calls[0].began_at - timedelta(hours=1)
        if not await self._accounts.create_account(self._account_id, self._currency):
            return 0
        written = 0
        for call in calls:
            if (entry := self._deck.lookup(call.number)) is not None:
                written += 1
                await self._pay(call, written)
                await self._book(call, written, entry)
        return written

    async def _pay(self, call: PastCall, number: int) -> None:
        """Top up if little is left, a minute before the call."""
        if await self._ledger.balance(self._account_id) >= _LOW_MICROS:
            return
        self._now = call.began_at - timedelta(minutes=1)
        payment_id, intent_id = f"pay_history{number}", f"pi_history{number}"
        await self._payments.create(
            payment_id, self._account_id, "checkout", TOP_UP_MICROS, self._currency
        )
        await self._ledger.add_credit(
            self._account_id,
            TOP_UP_MICROS,
            reference=top_up_reference(intent_id),
            kind="top-up",
            reason=TOP_UP_REASONS["checkout"],
            payment_id=payment_id,
        )
        await self._payments.record(
            payment_id,
            PaymentState.PAID,
            checkout_id=f"cs_history{number}",
            payment_intent_id=intent_id,
        )

    async def _book(self, call: PastCall, number: int, entry: DeckEntry) -> None:
        opened = CallOpened(
            call_id=f"history{number:05}",
            account_id=self._account_id,
            node="history",
            destination=call.number,
            country=entry.country,
            codec="pcmu",
            origin="",
            currency=self._currency,
            rate=entry.rate.to_json(),
            created_at=call.began_at,
        )
        closed = _closed(call)
        charge = entry.rate.cost(closed.seconds)
        account, call_id = self._account_id.encode(), opened.call_id.encode()
        price = b"%d" % charge
        ending = {"s": price, "d": b"%d" % closed.seconds, "w": b"0"}
        self._now = closed.ended_at + timedelta(seconds=1)
        await self._ledger.apply_outbox(
            partition_of(self._account_id),
            [
                self._entry("O", c=call_id, a=account, s=price, m=msgspec.json.encode(opened)),
                self._entry("C", c=call_id, a=account, m=msgspec.json.encode(closed), **ending),
            ],
        )

    def _entry(self, kind: str, **fields: bytes) -> OutboxEntry:
        self._entries += 1
        return OutboxEntry(f"{self._entries}-0", kind, fields)


def _closed(call: PastCall) -> CallClosed:
    ringing_at = call.began_at + timedelta(seconds=1)
    over_at = ringing_at + timedelta(seconds=call.rang_s)
    is_answered = call.talked_s > 0
    frames = 50 * call.talked_s
    return CallClosed(
        ringing_at=ringing_at,
        answered_at=over_at if is_answered else None,
        ended_at=over_at + timedelta(seconds=call.talked_s),
        seconds=call.talked_s,
        cause=call.cause.value,
        cause_name=call.cause.name,
        ended_by=call.ended_by,
        carrier_call_id="",
        carrier_seconds=call.talked_s if is_answered else None,
        browser=_leg(call, frames, ("webrtc",)) if is_answered else LegQuality(),
        carrier=_leg(call, frames, ()) if is_answered else LegQuality(),
    )


def _leg(call: PastCall, frames: int, paths: tuple[str, ...]) -> LegQuality:
    bad = 1 - call.quality
    return LegQuality(
        frames_in=frames,
        frames_out=frames,
        talk_ms=call.talked_s * 450,
        silence_ms=call.talked_s * 550,
        paths=paths,
        packets_lost=round(frames * bad / 20),
        loss_percent=round(5 * bad, 2),
        jitter_ms=round(2 + 25 * bad, 1),
        jitter_ms_max=round(4 + 60 * bad, 1),
        rtt_ms=round(30 + 120 * bad, 1),
        concealed_ms=round(frames * bad),
        backlog_ms_max=40,
        level_dbov=-26,
        mos=round(4.3 - 2 * bad, 2),
        mos_min=round(4.2 - 2.6 * bad, 2),
    )
