"""Decides whether a visitor may call with a button, and issues the token.

In addition to the rules of any call (`admission`), the button's own apply: hours, pause, amounts,
concurrent calls, the longest time; its budgets are those of its API key. What a visitor sees
reveals nothing about the owner's money.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from billing.clock import Clock, utc_now
from billing.spend_limits import UNLIMITED
from gateway.browser.messages import FRAME_BYTES
from gateway.buttons.human_check import HumanCheck, HumanRequest
from gateway.buttons.ports import ButtonEras, Challenges, SolutionVerdict
from gateway.buttons.visitor import named_digest
from gateway.calls.admission import Admission, Buyer, Ticket
from gateway.embed.found_button import ButtonKeys, FoundButton
from gateway.embed.keys import KeyMode
from gateway.embed.refusals import told_to_visitor
from gateway.embed.terms import VisitorTerms
from gateway.errors import RequestRefusedError, TooFastError
from gateway.limits.velocity import button_call_uses, refuse, token_uses
from gateway.ports import Account, CallOrder


class CallsOfKeys(Protocol):
    """Counts open calls. Raises StoreUnavailableError."""

    async def balance(self, account_id: str) -> int:
        """Return the account's available micros."""

    async def calls_of_key(self, account_id: str, key_id: str) -> int:
        """Return how many open calls an API key pays for, on all nodes."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A request that names a button."""

    button: FoundButton
    account: Account
    """The account that owns the button's API key."""
    key_epoch: str
    """Key epoch of that look-up; empty if unknown."""
    address: str
    """The visitor's network address."""

    @property
    def buyer(self) -> Buyer:
        """Who pays."""
        is_proven = not self.account.is_unproven
        return Buyer(self.account, self.key_epoch, self.address, is_proven)


@dataclass(frozen=True, slots=True)
class SignedCall:
    """A call that the owner's back end requests on behalf of a visitor."""

    destination: str
    """As typed; empty for the button's own number."""
    visitor: str
    """The back end's own identifier for the visitor."""
    codec: str
    page_origin: str
    signer_key_id: str


@dataclass(frozen=True, slots=True)
class VisitorProof:
    """What a visitor's page has done to be allowed a call."""

    solution: str
    """Solution of a challenge: ALTCHA's payload in base64."""
    human: str = field(default="", repr=False)
    """What the operator's human check gave the page; empty for nothing."""


class ButtonPhase(StrEnum):
    """Whether a button takes calls; visitors see the value."""

    OPEN = "open"
    CLOSED = "closed"
    PAUSED = "paused"
    UNAVAILABLE = "unavailable"
    """Its owner cannot pay for any."""


@dataclass(frozen=True, slots=True)
class ButtonAdmission:
    """The rules of visitors' calls.

    Every method raises RequestRefusedError, with a code that is meant for a visitor, and
    StoreUnavailableError.
    """

    admission: Admission
    challenges: Challenges
    gate: CallsOfKeys
    eras: ButtonEras
    buttons: ButtonKeys
    humans: HumanCheck | None = None
    """Checks whether a person is calling; None if the operator has no such check."""
    visitor_refused: Callable[[str, str], None] = lambda _button_id, _code: None
    """Called with a button and the code of its visitor's refusal."""
    utc_now: Clock = utc_now

    async def phase(self, visit: Visit) -> tuple[ButtonPhase, datetime | None]:
        """Return whether a button takes calls now, and when it opens next, if that is known."""
        button, at = visit.button, self.utc_now()
        hours = button.rules.hours
        if button.is_paused:
            return ButtonPhase.PAUSED, None
        if not hours.is_open(at):
            return ButtonPhase.CLOSED, hours.next_opening(at)
        if visit.account.frozen or visit.account.is_unproven:
            return ButtonPhase.UNAVAILABLE, None
        is_free = button.mode is KeyMode.TEST
        if not is_free and await self.gate.balance(visit.account.id) <= 0:
            return ButtonPhase.UNAVAILABLE, None
        return ButtonPhase.OPEN, None

    async def admit(self, visit: Visit, proof: VisitorProof, page_origin: str) -> Ticket:
        """Return the token of a visitor's call; uses up the solved challenge."""
        try:
            return await self._admit(visit, proof, page_origin)
        except RequestRefusedError as error:
            self.turn_away(visit, error.code)
            raise _for_visitors(error) from None

    def turn_away(self, visit: Visit, code: str) -> None:
        """Count a refused visitor, unless the key is a test key."""
        if visit.button.mode is KeyMode.LIVE:
            self.visitor_refused(visit.button.button_id, code)

    async def _admit(self, visit: Visit, proof: VisitorProof, page_origin: str) -> Ticket:
        button = visit.button
        self._require_open(visit)
        # Before a limit is spent: using up a visitor's limits takes work.
        match await self.challenges.spend(button.key, visit.address, proof.solution):
            case SolutionVerdict.WRONG:
                raise RequestRefusedError("challenge_wrong")
            case SolutionVerdict.USED:
                raise RequestRefusedError("challenge_used")
        if self.humans is not None:
            await self.humans.require(proof.human, HumanRequest(button.key, visit.address))
        who = await self.challenges.visitor(_counted_as(button), visit.address)
        terms = await self._terms(button, visitor=who.name, network=who.network)
        await self._allow(terms, button.mode)
        origin = self.admission.allowed_origin(page_origin)
        if button.mode is KeyMode.TEST:
            return await self.admission.issue(self._echo(visit, terms, origin))
        # Only the owner's back end may name a number.
        if button.rules.is_signed:
            raise RequestRefusedError("bad_token")
        order = await self._order(visit, terms, button.rules.destination)
        return await self.admission.issue(msgspec.structs.replace(order, origin=origin))

    async def admit_signed(self, visit: Visit, call: SignedCall) -> Ticket:
        """Return the token of a call that the owner's back end asks for.

        Refusals are meant for the back end, and use the codes of any call.
        """
        try:
            return await self._admit_signed(visit, call)
        except RequestRefusedError as error:
            self.turn_away(visit, error.code)
            raise

    async def _admit_signed(self, visit: Visit, call: SignedCall) -> Ticket:
        button = visit.button
        rules = button.rules
        # First, as for any token: a flood costs no look-up.
        refuse(await self.admission.velocity.hit(token_uses(*visit.buyer.subjects)))
        if call.codec not in FRAME_BYTES:
            raise RequestRefusedError("codec_unknown", field="codec")
        # A button that has a number calls no other, whoever asks.
        if bool(call.destination) is not rules.is_signed:
            raise RequestRefusedError("bad_request", field="destination")
        self._require_open(visit)
        terms = await self._terms(
            button,
            # A visitor's identifier may be an e-mail address: it is never stored, not even for a
            # minute.
            visitor=named_digest(_counted_as(button), call.visitor),
            is_signed=rules.is_signed,
            signer_key_id=call.signer_key_id,
        )
        await self._allow(terms, button.mode)
        origin = self.admission.allowed_origin(call.page_origin)
        if button.mode is KeyMode.TEST:
            return await self.admission.issue(self._echo(visit, terms, origin))
        order = await self._order(visit, terms, call.destination or rules.destination)
        order = msgspec.structs.replace(order, codec=call.codec, origin=origin)
        return await self.admission.issue(order)

    async def show(self, visit: Visit, token: str) -> Ticket:
        """Return what a page needs besides a token that the owner's back end gave it."""
        looked = await self.admission.tokens.look(token)
        if looked is None:
            raise RequestRefusedError("bad_token")
        order, left_s = looked
        # Another button may have another owner, and has other rules.
        if order.visitor is None or order.visitor.button_id != visit.button.button_id:
            raise RequestRefusedError("bad_token")
        # A page with the test key shows that the call is not real, one with the live key that it
        # is.
        if order.is_check is not (visit.button.mode is KeyMode.TEST):
            raise RequestRefusedError("bad_token")
        # Signed with another key of this button, which may have expired since.
        key = order.visitor.key
        if key != visit.button.key and await self.buttons.by_key(key) is None:
            raise RequestRefusedError("bad_token")
        return self.admission.ticket(token, order, left_s)

    def _require_open(self, visit: Visit) -> None:
        button, at = visit.button, self.utc_now()
        if code := button.refusal(at):
            opens_at = None if button.is_paused else button.rules.hours.next_opening(at)
            raise RequestRefusedError(code, opens_at=opens_at)
        self.admission.require_node()

    async def _allow(self, terms: VisitorTerms, mode: KeyMode) -> None:
        """Count a token; refuse one whose call would be refused. Calls count when they begin."""
        velocity = self.admission.velocity
        # One after the other: a visitor refused by their own limits uses up no one else's.
        for uses in terms.token_uses:
            refuse(await velocity.hit(uses))
        shared = terms.button_uses if mode is KeyMode.LIVE else ()
        refuse(await velocity.look([use for own in terms.own_uses for use in own] + [*shared]))

    async def _terms(
        self,
        button: FoundButton,
        *,
        visitor: str,
        network: str = "",
        is_signed: bool = False,
        signer_key_id: str = "",
    ) -> VisitorTerms:
        rules, button_id = button.rules, button.button_id
        eras = await self.eras.current([button_id])
        return VisitorTerms(
            button_id=button.button_id,
            key=button.key,
            seconds_max=rules.seconds_max,
            calls_max=rules.calls_at_once,
            is_signed=is_signed,
            signer_key_id=signer_key_id,
            visitor=visitor,
            network=network,
            amounts=rules.amounts,
            era=eras.get(button_id, ""),
        )

    async def _order(self, visit: Visit, terms: VisitorTerms, number: str) -> CallOrder:
        """Return the order of a call; a refusal is logged and counted like that of any call."""
        try:
            return await self._admitted(visit, terms, number)
        except RequestRefusedError as error:
            self.admission.note_refusal(visit.account.id, error.code)
            raise

    async def _admitted(self, visit: Visit, terms: VisitorTerms, number: str) -> CallOrder:
        button, buyer = visit.button, visit.buyer
        quote = await self.admission.price(buyer, number, is_binding=True)
        dialled = quote.order.destination
        uses = button_call_uses(visit.account.id, dialled, is_signed=terms.is_signed)
        lifted = await self.admission.check_velocity(buyer, uses)
        # Only checked: the spend gate counts when the call begins.
        calls = await self.gate.calls_of_key(visit.account.id, button.key_id)
        if calls >= button.rules.calls_at_once:
            raise RequestRefusedError("button_busy")
        return msgspec.structs.replace(quote.order, lifted=lifted, visitor=terms)

    def _echo(self, visit: Visit, terms: VisitorTerms, origin: str) -> CallOrder:
        """Return the order of an echo call, which reaches no one and costs nothing."""
        account = visit.account
        if account.frozen or account.is_unproven:
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
            visitor=msgspec.structs.replace(terms, is_signed=False, signer_key_id=""),
        )


def _counted_as(button: FoundButton) -> str:
    """Return under whose name visitors are counted: those of a test key use up no one's calls."""
    is_live = button.mode is KeyMode.LIVE
    return button.button_id if is_live else f"{button.button_id} test"


def _for_visitors(error: RequestRefusedError) -> RequestRefusedError:
    code = told_to_visitor(error.code)
    if code == error.code:
        return error
    kind = TooFastError if isinstance(error, TooFastError) else RequestRefusedError
    return kind(code, retry_after_s=error.retry_after_s)
