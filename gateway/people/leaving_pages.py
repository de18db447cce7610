"""Serves `/account/delete`: what goes and what stays, the choices, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import Response

from accounts.erasure import ErasureState, Unspent
from billing.money import format_money
from gateway.http.access import DeclaredRoute
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn
from gateway.http.site.door import ACCOUNT, CONFIRM, DELETE, Door, said_in, see
from gateway.http.site.forms import Nothing, read_form
from gateway.http.site.pages import Errors
from gateway.people.forms import LeavingFields
from gateway.people.leaving import Leaves, Leaving, LeavingForm, Stays, TooLate
from gateway.words.data_map import Kept, Left, left_in, words_in

_UNSPENT = {each.value: each for each in (Unspent.REFUND, Unspent.GIVE_UP)}
NOW = "now"


@dataclass(frozen=True, slots=True)
class DeletePage:
    """What a deletion does and its form; or the waiting one, and the way back."""

    template: ClassVar[str] = "delete.html"
    balance: str
    """As money; empty if there is none."""
    refundable: str
    """How much of it can be refunded to cards, as money; empty for nothing."""
    may_be_now: bool
    stays: Sequence[Left]
    """What is kept once the account is deleted."""
    due_at: datetime | None
    """When the requested deletion begins; None if there is none."""
    may_cancel: bool
    stays_frozen: bool = False
    """Whether an account that is kept stays frozen for another reason."""
    unspent: str = ""
    """What was chosen: in the form, or for the waiting deletion."""
    is_now: bool = False
    said: str = ""
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LeavingPages:
    """Handlers of a deletion that the holder requests."""

    door: Door
    leaving: Leaving
    kept: Kept

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes; all are open to a person who does not accept new terms."""
        own = self.door.own
        cancel = f"{DELETE}/cancel"
        return [
            own(DELETE, self.show, step_up=True, before_terms=True),
            own(DELETE, self.ask, method="POST", step_up=True, before_terms=True),
            own(cancel, self.cancel, method="POST", page=DELETE, before_terms=True),
        ]

    async def show(self, request: Request, who: SignedIn) -> Response:
        """Explain what a deletion does, or that one is under way."""
        return await self._show(request, who)

    async def _show(
        self,
        request: Request,
        who: SignedIn,
        fields: LeavingFields | None = None,
        errors: Errors | None = None,
    ) -> Response:
        parting = await self.leaving.look(who)
        erasure, currency = parting.erasure, who.account.currency
        chosen = fields.unspent if fields else ""
        may_cancel = erasure is not None and erasure.state is ErasureState.WAITING
        stays_frozen = may_cancel and await self.leaving.stays_frozen(who.account.id)
        page = DeletePage(
            balance=_money(parting.balance_micros, currency),
            refundable=_money(parting.refundable_micros, currency),
            may_be_now=parting.may_be_now,
            stays=left_in(words_in(self.door.language(request)), self.kept),
            due_at=erasure.due_at if erasure else None,
            may_cancel=may_cancel,
            stays_frozen=stays_frozen,
            unspent=erasure.unspent.value if erasure else chosen,
            is_now=fields is not None and fields.when == NOW,
            said=said_in(request),
            errors=errors or {},
        )
        return self.door.show(request, page, status=422 if errors else 200)

    async def ask(self, request: Request, who: SignedIn) -> Response:
        """Begin the deletion of the person's account."""
        fields = await read_form(request, LeavingFields)
        form = LeavingForm(_UNSPENT.get(fields.unspent), fields.when == NOW)
        outcome = await self.leaving.ask(who, form)
        match outcome:
            case Faults(by_field):
                return await self._show(request, who, fields, by_field)
            case Leaves():
                return see(DELETE, said="deletion_asked")
            case StepUpNeeded():
                return see(CONFIRM, next=DELETE)
        return await self.door.sign_in_first(request, DELETE)

    async def cancel(self, request: Request, who: SignedIn) -> Response:
        """Keep the account after all."""
        await read_form(request, Nothing)
        outcome = await self.leaving.cancel(who)
        match outcome:
            case Stays(is_frozen):
                return see(ACCOUNT, said="deletion_cancelled" + "_frozen" * is_frozen)
            case TooLate():
                return see(ACCOUNT, said="deletion_too_late")
            case SessionOver():
                return await self.door.sign_in_first(request, DELETE)


def _money(micros: int, currency: str) -> str:
    """Return an amount as money; empty for nothing."""
    return format_money(micros, currency) if micros > 0 else ""
