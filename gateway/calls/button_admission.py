"""Decides whether a visitor may call with a button, and issues the token.

Beside the rules of any call (`admission`) those of the button hold: hours, pause, amounts, calls at
once, the longest time; its budgets are its API key's. What a visitor is told says nothing of the
owner's money. Knows no HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from billing.clock import Clock, utc_now
from billing.spend_limits import UNLIMITED
from gateway.browser.messages import FRAME_BYTES
from gateway.calls.admission import Admission, Buyer, Ticket
from gateway.embed.keys import Mode
from gateway.embed.ports import Challenges, Spent, Standing
from gateway.embed.refusals import told_to_visitor
from gateway.errors import RequestRefusedError, TooFastError
from gateway.limits.velocity import (
    button_call_uses,
    button_uses,
    refuse,
    token_uses,
    visitor_network_uses,
    visitor_uses,
)
from gateway.ports import Account, CallOrder, VisitorTerms


class CallsOfKeys(Protocol):
    """Counts open calls. Raises StoreUnavailableError."""

    async def balance(self, account_id: str) -> int:
        """Return the account's available micros."""

    async def calls_of_key(self, account_id: str, key_id: str) -> int:
        """Return how many open calls an API key pays for, on all nodes."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A request that names a button."""

    standing: Standing
    account: Account
    """Of the button's API key."""
    key_epoch: str
    """Key epoch of that look-up; empty if unknown."""
    address: str
    """The visitor's network address."""

    @property
    def buyer(self) -> Buyer:
        """Who pays."""
        return Buyer(self.account, self.key_epoch, self.address)


@dataclass(frozen=True, slots=True)
class SignedCall:
    """A call that the owner's back end asks for in the name of a visitor."""

    destination: str
    """As typed; empty for the button's own."""
    visitor: str
    """Whom the back end knows them as; empty for nobody in particular."""
    codec: str
    page_origin: str
    signer_key_id: str


class Phase(StrEnum):
    """Whether a button takes calls; the value is told to visitors."""

    OPEN = "open"
    CLOSED = "closed"
    PAUSED = "paused"
    UNAVAILABLE = "unavailable"
    """Its owner can pay for none."""


@dataclass(frozen=True, slots=True)
class ButtonAdmission:
    """The rules of visitors' calls.

    Every method raises RequestRefusedError, with a code that is meant for a visitor, and
    StoreUnavailableError.
    """

    admission: Admission
    challenges: Challenges
    gate: CallsOfKeys
    utc_now: Clock = utc_now

    async def phase(self, visit: Visit) -> tuple[Phase, datetime | None]:
        """Return whether a button takes calls now, and when it opens next, if that is known."""
        standing, at = visit.standing, self.utc_now()
        hours = standing.rules.hours
        if standing.is_paused:
            return Phase.PAUSED, None
        if not hours.is_open(at):
            return Phase.CLOSED, hours.next_opening(at)
        if visit.account.frozen:
            return Phase.UNAVAILABLE, None
        is_free = standing.mode is Mode.TEST
        if not is_free and await self.gate.balance(visit.account.id) <= 0:
            return Phase.UNAVAILABLE, None
        return Phase.OPEN, None

    async def admit(self, visit: Visit, solution: str, page_origin: str) -> Ticket:
        """Return the token of a visitor's call; the solved challenge is used up."""
        standing = visit.standing
        self._require_open(visit)
        # Before a limit is spent: what it takes to use up those of a button is work.
        match await self.challenges.spend(standing.button_id, visit.address, solution):
            case Spent.WRONG:
                raise RequestRefusedError("challenge_wrong")
            case Spent.USED:
                raise RequestRefusedError("challenge_used")
        who = await self.challenges.visitor(standing.button_id, visit.address)
        await self._spend_amounts(standing, who.name, who.network)
        origin = self.admission.allowed_origin(page_origin)
        if standing.mode is Mode.TEST:
            return await self.admission.issue(self._echo(visit, origin))
        # Nobody but the owner's back end names a number.
        if standing.rules.is_signed:
            raise RequestRefusedError("bad_token")
        try:
            order = await self._order(visit, standing.rules.destination, is_signed=False)
        except RequestRefusedError as error:
            raise _for_visitors(error) from None
        return await self.admission.issue(msgspec.structs.replace(order, origin=origin))

    async def admit_signed(self, visit: Visit, call: SignedCall) -> Ticket:
        """Return the token of a call that the owner's back end asks for.

        Refusals are meant for the back end, and say what any call would be refused for.
        """
        standing = visit.standing
        rules = standing.rules
        # First of all, as for any token: a flood costs no look-up.
        refuse(await self.admission.velocity.hit(token_uses(*visit.buyer.subjects)))
        if call.codec not in FRAME_BYTES:
            raise RequestRefusedError("codec_unknown", field="codec")
        # A button that has a number calls no other, whoever asks.
        if bool(call.destination) is not rules.is_signed:
            raise RequestRefusedError("bad_request", field="destination")
        self._require_open(visit)
        visitor = f"{standing.button_id} {call.visitor}" if call.visitor else ""
        await self._spend_amounts(standing, visitor, "")
        origin = self.admission.allowed_origin(call.page_origin)
        if standing.mode is Mode.TEST:
            return await self.admission.issue(self._echo(visit, origin))
        number = call.destination or rules.destination
        order = await self._order(visit, number, is_signed=rules.is_signed)
        assert order.visitor is not None
        terms = msgspec.structs.replace(order.visitor, signer_key_id=call.signer_key_id)
        order = msgspec.structs.replace(order, codec=call.codec, origin=origin, visitor=terms)
        return await self.admission.issue(order)

    async def show(self, visit: Visit, token: str) -> Ticket:
        """Return what a page needs beside a token that the owner's back end has given it."""
        looked = await self.admission.tokens.look(token)
        if looked is None:
            raise RequestRefusedError("bad_token")
        order, left_s = looked
        # Another button's token is another owner's, or has other rules.
        if order.visitor is None or order.visitor.button_id != visit.standing.button_id:
            raise RequestRefusedError("bad_token")
        return self.admission.ticket(token, order, left_s)

    def _require_open(self, visit: Visit) -> None:
        standing, at = visit.standing, self.utc_now()
        if standing.is_paused:
            raise RequestRefusedError("button_paused")
        hours = standing.rules.hours
        if not hours.is_open(at):
            raise RequestRefusedError("button_closed", opens_at=hours.next_opening(at))
        if self.admission.is_draining():
            raise RequestRefusedError("gateway_draining")

    async def _spend_amounts(self, standing: Standing, visitor: str, network: str) -> None:
        velocity, amounts = self.admission.velocity, standing.rules.amounts
        each = msgspec.structs.asdict(amounts)
        # One after the other: who is refused for themselves uses up nobody else's calls.
        refuse(await velocity.hit(visitor_uses(visitor, each)))
        refuse(await velocity.hit(visitor_network_uses(network, each)))
        refuse(await velocity.hit(button_uses(standing.button_id, each)))

    async def _order(self, visit: Visit, number: str, *, is_signed: bool) -> CallOrder:
        """Return the order of a call; a refusal is logged and counted as that of any call."""
        try:
            return await self._admitted(visit, number, is_signed=is_signed)
        except RequestRefusedError as error:
            self.admission.note_refusal(visit.account.id, error.code)
            raise

    async def _admitted(self, visit: Visit, number: str, *, is_signed: bool) -> CallOrder:
        standing, buyer = visit.standing, visit.buyer
        quote = await self.admission.price(buyer, number, is_binding=True)
        uses = button_call_uses(visit.account.id, quote.order.destination, is_signed=is_signed)
        lifted = await self.admission.check_velocity(buyer, uses)
        # Only looked at, as the spend gate counts for good when the call begins.
        calls = await self.gate.calls_of_key(visit.account.id, standing.key_id)
        if calls >= standing.rules.calls_at_once:
            raise RequestRefusedError("button_busy")
        terms = _terms(standing, is_signed=is_signed)
        return msgspec.structs.replace(quote.order, lifted=lifted, visitor=terms)

    def _echo(self, visit: Visit, origin: str) -> CallOrder:
        """Return the order of a call that reaches nobody, and costs nothing."""
        account = visit.account
        if account.frozen:
            raise RequestRefusedError("button_unavailable")
        return CallOrder(
            account_id=account.id,
            destination="",
            country="",
            codec="pcmu",
            origin=origin,
            currency=account.currency,
            rate="",
            rate_description="",
            limits=UNLIMITED,
            key_id=account.key_id,
            key_epoch=visit.key_epoch,
            is_check=True,
            visitor=_terms(visit.standing, is_signed=False),
        )


def _terms(standing: Standing, *, is_signed: bool) -> VisitorTerms:
    rules = standing.rules
    return VisitorTerms(
        button_id=standing.button_id,
        seconds_max=rules.seconds_max,
        calls_max=rules.calls_at_once,
        is_signed=is_signed,
    )


def _for_visitors(error: RequestRefusedError) -> RequestRefusedError:
    code = told_to_visitor(error.code)
    kind = TooFastError if isinstance(error, TooFastError) else RequestRefusedError
    return kind(code, retry_after_s=error.retry_after_s)
