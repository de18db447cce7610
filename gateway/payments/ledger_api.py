"""Serves `GET /v1/ledger`: the statement of the API key's account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from billing.money import format_exact
from billing.statement import StatementLine, StatementStore
from gateway.browser import messages as wire
from gateway.http.access import DeclaredRoute
from gateway.http.bearer import Authenticator
from gateway.http.body import PageAsked, page_asked_for
from gateway.http.operation import operation
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.scopes import Scope

_REFERENCE: Final = r"^(charge|credit):[^\u0000]+$"
"""The form of a line's reference; operators choose their own for what they credit."""


class LedgerLineView(msgspec.Struct, kw_only=True):
    """One line as the API shows it. Times are RFC 3339 in UTC."""

    reference: str
    at: datetime
    kind: str
    reason: str
    amount: wire.Money
    """Below zero for what the account paid."""
    balance: wire.Money
    """Left after it; holds of live calls are not deducted, because they are not entries yet."""
    call_id: str | None


class LedgerPage(msgspec.Struct, kw_only=True):
    """A page of the statement, newest first."""

    lines: list[LedgerLineView]
    next: str | None
    """Pass it as `before` to get the next page; null after the last."""


class LinesAsked(PageAsked, kw_only=True):
    """Which part of the statement."""

    before: Annotated[str, msgspec.Meta(pattern=_REFERENCE)] | None = None


@dataclass(frozen=True, slots=True)
class LedgerApi:
    """Handler of the statement."""

    auth: Authenticator
    statements: StatementStore

    def routes(self) -> list[DeclaredRoute]:
        """Return the resource's route."""
        return self.auth.serve(self)

    @operation("GET /v1/ledger", Scope.RECORDS, LedgerPage, query=LinesAsked)
    async def list_ledger(self, request: Request, principal: Principal) -> Response:
        """Return a page of the account's lines, newest first.

        Top-ups, charges, refunds with their reasons, and the balance after each.
        """
        limit, before = page_asked_for(request, _REFERENCE)
        lines = await self.statements.page(principal.account.id, limit=limit + 1, before=before)
        following = lines[limit - 1].reference if len(lines) > limit else None
        return Json(LedgerPage(lines=[_view(line) for line in lines[:limit]], next=following))


def _view(line: StatementLine) -> LedgerLineView:
    return LedgerLineView(
        reference=line.reference,
        at=line.at,
        kind=line.kind,
        reason=line.reason,
        amount=_exact(line.micros, line.currency),
        balance=_exact(line.balance_micros, line.currency),
        call_id=line.call_id,
    )


def _exact(micros: int, currency: str) -> wire.Money:
    # All digits: people add lines up.
    return wire.Money(micros, currency, format_exact(micros, currency))
