"""Decides who may place a call: prices it, checks funds, caps and velocity, and issues its token.

Every request for a call passes through here. Takes and returns plain values, or raises the refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from billing.clock import Clock, utc_now
from billing.ports import LedgerStore, SpendGate, Tick
from billing.rating import Rate
from billing.spend_limits import SpendLimits
from gateway.browser.messages import FRAME_BYTES, Lack
from gateway.browser.reports import limited_by
from gateway.call.number import destination
from gateway.calls.closed_destinations import ClosedDestinations
from gateway.calls.media_address import media_url
from gateway.calls.risk import Risk, day_spent, within_day
from gateway.charging.current_rates import CurrentRates
from gateway.charging.recovery import bring_credits
from gateway.errors import RequestRefusedError, TooFastError, frozen_account
from gateway.limits.fraud import uses_left
from gateway.limits.velocity import Use, call_uses, quote_uses, refuse, token_uses
from gateway.logs import call_events
from gateway.ports import Account, CallOrder, CallTokens, Velocity
from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who is asking for a call."""

    account: Account
    """The account that pays, as found by its key."""
    key_epoch: str
    """Key epoch of that look-up; empty if unknown."""
    address: str
    """The client's network address."""
    is_proven: bool = True
    """Whether a person has proven their address; programs need not."""
    credentials_epoch: int | None = None
    """The holder's, when they signed in; None for a program."""

    def refuse_calls(self) -> None:
        """Raises RequestRefusedError for an account that may not place calls."""
        if self.account.frozen:
            raise frozen_account(restricted=self.account.is_restricted)
        if not self.is_proven:
            raise RequestRefusedError("address_unproven")

    @property
    def subjects(self) -> tuple[str, str, str]:
        """Account, key and address: what the velocity limits count by."""
        return self.account.id, self.account.key_id, self.address


@dataclass(frozen=True, slots=True)
class CallRequest:
    """The call that is requested."""

    destination: str
    """As typed by a person."""
    codec: str
    page_origin: str
    """Origin of the page that will open the media socket; empty for a program."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a call would cost and how long it could last."""

    order: CallOrder
    rate: Rate
    balance_micros: int
    affordable_s: int
    """How long it could last on the balance, within the spend caps and the longest time allowed."""
    limited_by: Lack
    """Which of the three would end it."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A one-use token, and the media socket that takes it."""

    token: str
    expires_at: datetime
    ttl_s: int
    media_url: str
    codec: str = "pcmu"


@dataclass(frozen=True, slots=True)
class Admission:
    """The rules that a call must pass before its media socket is opened.

    Every method raises RequestRefusedError for a call that may not be placed, and
    StoreUnavailableError.
    """

    settings: Settings
    tokens: CallTokens
    velocity: Velocity
    gate: SpendGate
    ledger: LedgerStore
    rates: CurrentRates
    closed_destinations: ClosedDestinations
    risk: Risk
    choose_node: Callable[[], str | None]
    """Returns the node that is to hold a new call; None if no node accepts any."""
    on_refusal: Callable[[str, str], None] = lambda _account_id, _code: None
    """Called with an account and the code of the refusal of its call token."""
    on_balance: Callable[[str, int], None] = lambda _account_id, _micros: None
    """Called with an account and its balance when that does not cover a call."""
    utc_now: Clock = utc_now

    async def quote(self, buyer: Buyer, number: str) -> Quote:
        """Return what a call would cost and how long it could last. Nothing is promised.

        Raises TooFastError only where quotes are asked for too fast; a call that the velocity
        limits would refuse is a RequestRefusedError like any other.
        """
        # First: a node remembers who is over a limit, so that a flood costs no look-up.
        refuse(await self.velocity.hit(quote_uses(*buyer.subjects)))
        quoted = await self.price(buyer, number, is_binding=False)
        uses = call_uses(*buyer.subjects, quoted.order.destination)
        try:
            await self.check_velocity(buyer, uses)
        except TooFastError as error:
            raise RequestRefusedError(error.code, retry_after_s=error.retry_after_s) from None
        return quoted

    async def admit(self, buyer: Buyer, request: CallRequest) -> tuple[Quote, Ticket]:
        """Return a call's quote and its one-use token; a refusal is logged."""
        # Not inside the `try`: one line for each request of a flood would fill the log. Reaching a
        # limit is logged separately, without naming anyone.
        refuse(await self.velocity.hit(token_uses(*buyer.subjects)))
        try:
            return await self._admit(buyer, request)
        except RequestRefusedError as error:
            self.note_refusal(buyer.account.id, error.code)
            raise

    def note_refusal(self, account_id: str, code: str) -> None:
        """Log and count the refusal of an account's call."""
        self.on_refusal(account_id, code)
        call_events.refused(code, node=self.settings.node, account=account_id)

    async def admit_check(self, buyer: Buyer, page_origin: str) -> Ticket:
        """Return the token that allows one check of the line, which is free of charge."""
        account = buyer.account
        refuse(await self.velocity.hit(token_uses(*buyer.subjects)))
        buyer.refuse_calls()
        self.require_node()
        order = CallOrder(
            account_id=account.id,
            destination="",
            country="",
            codec="pcmu",
            origin=self.allowed_origin(page_origin),
            currency=account.currency,
            rate="",
            rate_description="",
            key_id=account.key_id,
            key_epoch=buyer.key_epoch,
            key_expires_at=account.key_expires_at,
            credentials_epoch=buyer.credentials_epoch,
            is_check=True,
        )
        return await self.issue(order)

    async def _admit(self, buyer: Buyer, request: CallRequest) -> tuple[Quote, Ticket]:
        self.require_node()
        if request.codec not in FRAME_BYTES:
            raise RequestRefusedError("codec_unknown", field="codec")
        quote = await self.price(buyer, request.destination, is_binding=True)
        uses = call_uses(*buyer.subjects, quote.order.destination)
        lifted = await self.check_velocity(buyer, uses)
        origin = self.allowed_origin(request.page_origin)
        order = msgspec.structs.replace(
            quote.order, codec=request.codec, origin=origin, lifted=lifted
        )
        return quote, await self.issue(order)

    def require_node(self) -> None:
        """Refuse a call if no node would accept it."""
        if self.choose_node() is None:
            raise RequestRefusedError("gateway_draining")

    async def check_velocity(self, buyer: Buyer, uses: Sequence[Use]) -> tuple[str, ...]:
        """Refuse a call over the velocity limits; return the rules that had to be lifted."""
        # Only checked: a call is counted when its token is redeemed, so that saved-up tokens do not
        # get through, and no one gets a token that would then be refused.
        refusal = await self.velocity.look(uses)
        if refusal is None:
            return ()
        lifted = await self.risk.lifted(buyer.account, buyer.key_epoch)
        if lifted:
            refusal = await self.velocity.look(uses_left(uses, lifted))
        refuse(refusal)
        return tuple(sorted(lifted))

    async def price(self, buyer: Buyer, number: str, *, is_binding: bool) -> Quote:
        """Return the order of a call by all rules except velocity, and what it would cost."""
        account = buyer.account
        buyer.refuse_calls()
        dialled = destination(number, self.closed_destinations.closed)
        await self.risk.check_country(account, buyer.key_epoch, dialled.country)
        entry = self.rates.lookup(dialled.number)
        if entry is None:
            raise RequestRefusedError("destination_not_priced", field="destination")
        balance = await self._balance(account.id, entry.rate.cost(1))
        bound = await self.risk.new_card_bound(account, buyer.key_epoch, recheck=is_binding)
        limits = account.limits if bound is None else within_day(account.limits, account.id, bound)
        order = CallOrder(
            account_id=account.id,
            destination=dialled.number,
            country=dialled.country,
            codec="pcmu",
            origin="",
            currency=account.currency,
            rate=entry.rate.to_json(),
            rate_description=entry.description,
            prefix=f"+{entry.prefix}",
            # What the shared caps leave of the balance; the cap per call is in the limits.
            balance_micros=await self._headroom(
                account.id, limits, balance, entry.rate.cost(1), bound
            ),
            limits=limits,
            keeps_quality=account.keeps_quality,
            key_id=account.key_id,
            key_epoch=buyer.key_epoch,
            key_expires_at=account.key_expires_at,
            credentials_epoch=buyer.credentials_epoch,
        )
        return self._lasting(order, entry.rate, balance)

    async def _balance(self, account_id: str, needed_micros: int) -> int:
        """Return the balance in micros. Raises RequestRefusedError if it is not enough."""
        balance = await self.gate.balance(account_id)
        if balance < needed_micros:
            # A credit may be booked that the spend gate has not seen yet: SQL comes first.
            await bring_credits(self.gate, self.ledger, account_id)
            balance = await self.gate.balance(account_id)
        if balance < needed_micros:
            # May start an automatic top-up; this call is still refused.
            self.on_balance(account_id, balance)
            raise RequestRefusedError("insufficient_credit")
        return balance

    async def _headroom(
        self,
        account_id: str,
        limits: SpendLimits,
        balance: int,
        needed_micros: int,
        new_card_bound: int | None,
    ) -> int:
        """Return what the balance and the shared caps leave for a call of any length, in micros.

        Raises RequestRefusedError if a cap does not leave enough for its first increment.
        """
        at = self.utc_now()
        caps = limits.caps(at)
        headrooms = [balance]
        if caps:
            # A claim of nothing for no call changes nothing and returns what has been spent.
            partition = self.gate.partition(account_id)
            outcome = await self.gate.tick(partition, [Tick("", account_id, 0, 0, caps)])
            spent_today = outcome.spent.get(day_spent(account_id, at), 0)
            if new_card_bound is not None and new_card_bound - spent_today < needed_micros:
                raise RequestRefusedError("new_card_limited")
            headrooms += [cap.limit_micros - outcome.spent.get(cap.name, 0) for cap in caps]
        per_call = limits.call_micros
        if min(*headrooms, balance if per_call is None else per_call) < needed_micros:
            raise RequestRefusedError("cap_reached")
        return min(headrooms)

    def _lasting(self, order: CallOrder, rate: Rate, balance: int) -> Quote:
        bounds = (order.balance_micros, order.limits.call_micros)
        reach_micros = min([balance, *(bound for bound in bounds if bound is not None)])
        longest_s = self.settings.call_duration_max_s
        seconds = rate.affordable_seconds(reach_micros, longest_s)
        lack = limited_by(seconds, longest_s, is_capped=reach_micros < balance)
        return Quote(order, rate, balance, seconds, lack)

    def allowed_origin(self, origin: str) -> str:
        """Return the page origin that a token is bound to; empty if it is not bound."""
        if origin and origin not in self.settings.page_origins:
            raise RequestRefusedError("bad_origin", field="origin")
        return origin

    async def issue(self, order: CallOrder) -> Ticket:
        """Return the token of an admitted order."""
        token = await self.tokens.issue(order)
        return self.ticket(token, order, self.tokens.ttl_s)

    def ticket(self, token: str, order: CallOrder, left_s: int) -> Ticket:
        """Return a token of this order, valid for `left_s`, with what its client needs."""
        expires_at = self.utc_now() + timedelta(seconds=left_s)
        # None if the last node has begun to drain since: it reports that itself.
        node = self.choose_node() or self.settings.node
        url = media_url(self.settings, node, order.origin)
        return Ticket(token, expires_at, left_s, url, order.codec)
