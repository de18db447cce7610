"""Serves `/v1/admin/fraud` and `/v1/admin/credit`: whose calls are refused, whose credit runs out.

No answer names a person, only account ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from billing.clock import Clock
from gateway.browser import messages as wire
from gateway.browser.reports import money
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.admin_routes import ADMIN, AdminRoutes
from gateway.http.operation import operation
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.scopes import Scope
from gateway.watching.credit_left import READ_MAX, CreditLeft, calling_of, least_lasting
from gateway.watching.fraud_report import ACCOUNTS_MAX, HOURS_MAX, FraudReport
from gateway.watching.rows import CallRow

FRAUD: Final = f"{ADMIN}/fraud"
CREDIT: Final = f"{ADMIN}/credit"


class HoursAsked(msgspec.Struct, kw_only=True):
    """How far a report looks back."""

    hours: Annotated[int, msgspec.Meta(ge=1, le=HOURS_MAX)] = HOURS_MAX
    """Hours that it looks back."""


class CreditLeftView(msgspec.Struct, kw_only=True):
    """An account with live calls, and how long its credit lasts."""

    account_id: str
    calls: int
    per_minute: wire.Money
    """The cost of a minute of its answered calls."""
    balance: wire.Money
    """From the book, some seconds old; what live calls hold is deducted."""
    lasts_s: int | None
    """Until the balance is used up if only these calls go on; null if nothing is being spent."""


class CutOffAccount(msgspec.Struct, kw_only=True):
    """An account whose calls ended because its credit was used up."""

    account_id: str
    calls: int
    last_at: datetime


class CreditReport(msgspec.Struct, kw_only=True):
    """Whose credit is running out, and whose ran out in the last hours."""

    at: datetime
    accounts: list[CreditLeftView]
    """Those with the least time left first."""
    accounts_total: int
    """How many have live calls; those beyond a hundred are not listed."""
    cut_off: list[CutOffAccount]
    """Those with the most such calls first."""
    cut_off_total: int
    """How many there are; those beyond a hundred are not listed."""


class CutOffReader(Protocol):
    """Calls of an account that ended because its credit was used up."""

    @property
    def account_id(self) -> str:
        """The account."""

    @property
    def calls(self) -> int:
        """How many."""

    @property
    def last_at(self) -> datetime:
        """When the last one ended."""


class Reports(Protocol):
    """The book's reports. Raises StoreUnavailableError."""

    async def fraud(self, hours: int) -> FraudReport:
        """Return what was refused in the last hours, and who is frozen."""

    async def balances(self, account_ids: Sequence[str]) -> Mapping[str, tuple[str, int]]:
        """Return currency and balance in micros of accounts by id."""

    async def cut_off(self, hours: int) -> tuple[Sequence[CutOffReader], int]:
        """Return the accounts whose calls ended for lack of credit, and how many there are."""


@dataclass(frozen=True, slots=True)
class OperatorReportsApi:
    """Handlers of reports."""

    routing: AdminRoutes
    reports: Reports
    rows: Callable[[], Iterable[CallRow]]
    """Returns the calls of all nodes."""
    clock: Clock

    def routes(self) -> list[DeclaredRoute]:
        """Return the resources' routes."""
        return self.routing.serve(self)

    @operation(f"GET {FRAUD}", Scope.ADMIN, FraudReport, query=HoursAsked)
    async def show_fraud(self, request: Request, _principal: Principal) -> Response:
        """Return which rules refused calls in the last hours, for whom, and the frozen accounts.

        Refusals are written once a minute; those of rules that are not counted, such as a lack of
        credit, are not included.
        """
        return Json(await self.reports.fraud(_hours_in(request)))

    @operation(f"GET {CREDIT}", Scope.ADMIN, CreditReport, query=HoursAsked)
    async def show_credit(self, request: Request, _principal: Principal) -> Response:
        """Return how long the credit of accounts with live calls lasts, and whose has run out."""
        cut_off, cut_off_total = await self.reports.cut_off(_hours_in(request))
        calling = calling_of(self.rows())
        read = [each.account_id for each in calling[:READ_MAX]]
        balances = await self.reports.balances(read)
        return Json(
            CreditReport(
                at=self.clock(),
                accounts=[
                    _credit_left(each) for each in least_lasting(calling, balances, ACCOUNTS_MAX)
                ],
                accounts_total=len(calling),
                cut_off=[
                    CutOffAccount(
                        account_id=each.account_id, calls=each.calls, last_at=each.last_at
                    )
                    for each in cut_off
                ],
                cut_off_total=cut_off_total,
            )
        )


def _credit_left(left: CreditLeft) -> CreditLeftView:
    return CreditLeftView(
        account_id=left.calling.account_id,
        calls=left.calling.calls,
        per_minute=money(left.calling.per_minute_micros, left.currency),
        balance=money(left.balance_micros, left.currency),
        lasts_s=left.lasts_s,
    )


def _hours_in(request: Request) -> int:
    """Return how far to look back. Raises RequestRefusedError."""
    # `int` alone would accept signs, underscores and digits of other scripts.
    text = request.query_params.get("hours", str(HOURS_MAX))
    hours = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= hours <= HOURS_MAX:
        raise RequestRefusedError("bad_request", field="hours")
    return hours
