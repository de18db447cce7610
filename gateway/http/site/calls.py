"""Serves `/account/calls`: an account's calls, each of them, and all of them as CSV.

Reads them as the API does, through the index of calls.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from billing.call_refunds import RefundRule
from billing.cdr import CallFilter, CallRecord, shown_in
from billing.csv_lines import lines
from billing.figures import Figure, Shown, Unit
from billing.money import format_exact, format_money, in_units
from billing.statement import CallLine, StatementStore
from gateway.calls.index import CallIndex
from gateway.calls.outcome import outcome_of, quality_of
from gateway.calls.shown_figures import cell_of, measured, text_of, time_cell
from gateway.cause import Cause
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.sessions import SignedIn
from gateway.http.site.call_pages import CallFacts, CallLineRow, CallsPage, FigureRow, OneCallPage
from gateway.http.site.call_query import ENDED_BY, OUTCOMES, filter_of, read_query
from gateway.http.site.door import CALLS, Door, cursor_in
from gateway.http.site.receipts import per_minute_of, steps_of
from gateway.http.site.rendering import HEADERS
from gateway.ports import LiveCall

PAGE_CALLS: Final = 25
PIECE_CALLS: Final = 500
"""Calls that are read and written at once: what a download of any length holds in memory."""
DOWNLOADS_MAX: Final = 4
"""Downloads at once, in all; one for each account."""
_BUSY_S: Final = 10

_IN_CSV: Final = shown_in(Shown.CSV)
COLUMNS: Final = (
    "started_at",
    "number",
    "country",
    "outcome",
    "ended_by",
    "answered_at",
    "ended_at",
    "seconds",
    "cost",
    "currency",
    "cause",
    "call_id",
    *(figure.name for figure in _IN_CSV),
)
_WHY: Final = {rule.value: rule.name.lower() for rule in RefundRule}


class Downloads:
    """The downloads in progress in this process."""

    def __init__(self) -> None:
        self._accounts: set[str] = set()

    @contextmanager
    def one(self, account_id: str) -> Iterator[None]:
        """Count a download while it lasts. Raises RequestRefusedError."""
        if account_id in self._accounts or len(self._accounts) >= DOWNLOADS_MAX:
            raise RequestRefusedError("rate_limited", retry_after_s=_BUSY_S)
        self._accounts.add(account_id)
        try:
            yield
        finally:
            self._accounts.discard(account_id)


@dataclass(frozen=True, slots=True)
class CallPages:
    """Handlers of the pages of calls."""

    door: Door
    index: CallIndex
    statements: StatementStore
    downloads: Downloads = field(default_factory=Downloads)

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        return [
            self.door.own(CALLS, self.list_calls),
            self.door.own(f"{CALLS}.csv", self.download, page=CALLS),
            self.door.own(f"{CALLS}/{{call_id}}", self.show_call, page=CALLS),
        ]

    async def list_calls(self, request: Request, who: SignedIn) -> Response:
        """Show a page of calls, newest first."""
        query = read_query(request.query_params)
        asked, errors = filter_of(query)
        before = cursor_in(request)
        calls, following = await self.index.page(
            who.account.id, limit=PAGE_CALLS, before=before, only=asked
        )
        page = CallsPage(
            calls=[_facts(call) for call in calls],
            query=query,
            outcomes=OUTCOMES,
            ended_by=ENDED_BY,
            is_first=before is None,
            following=query.address(before=following) if following else "",
            download=query.address(),
            first=query.address(),
            errors=errors,
        )
        return self.door.show(request, page, status=422 if errors else 200)

    async def show_call(self, request: Request, who: SignedIn) -> Response:
        """Show one call, its cost and its refunds."""
        account_id, call_id = who.account.id, request.path_params["call_id"]
        # No database can look for text with NUL.
        if "\0" in call_id:
            raise RequestRefusedError("call_not_found")
        call = await self.index.show(account_id, call_id)
        booked = await self.statements.of_call(account_id, call_id)
        opened = call.opened
        per_minute, connect_fee = per_minute_of(opened.rate, opened.currency)
        is_over = isinstance(call, CallRecord) and call.closed is not None
        page = OneCallPage(
            call=_facts(call),
            answered_at=_closed(call, "answered_at"),
            ended_at=_closed(call, "ended_at"),
            ended_by=_ended_by(call),
            cause=_cause_of(call),
            per_minute=per_minute,
            connect_fee=connect_fee,
            figures=_figures(call),
            steps=steps_of(opened.rate, _seconds(call), opened.currency) if is_over else (),
            lines=[_line(each) for each in booked],
        )
        return self.door.show(request, page)

    async def download(self, request: Request, who: SignedIn) -> Response:
        """Send all matching calls as CSV, piece by piece."""
        query = read_query(request.query_params)
        asked, errors = filter_of(query)
        if errors:
            return await self.list_calls(request, who)
        pieces = self._pieces(who.account.id, asked)
        # Before the status line, so that a failure can still become an error page.
        head = await anext(pieces)
        name = f"calls_{query.begin or 'all'}_{query.end or self.door.clock().date()}.csv"
        return StreamingResponse(
            _all_of(head, pieces),
            headers={**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'},
            media_type="text/csv; charset=utf-8; header=present",
        )

    async def _pieces(self, account_id: str, asked: CallFilter) -> AsyncGenerator[bytes]:
        """Yield the rows, newest first. Raises RequestRefusedError, StoreUnavailableError."""
        with self.downloads.one(account_id):
            before, head = None, [COLUMNS]
            while True:
                records = await self.index.records.page(
                    account_id, limit=PIECE_CALLS, before=before, only=asked
                )
                yield lines([*head, *map(_cells, records)])
                if len(records) < PIECE_CALLS:
                    return
                before, head = records[-1].opened.call_id, []


async def _all_of(head: bytes, pieces: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    # Closed at once if the browser leaves, so that the download no longer counts.
    async with aclosing(pieces):
        yield head
        async for piece in pieces:
            yield piece


def _facts(call: LiveCall | CallRecord) -> CallFacts:
    opened = call.opened
    is_live = isinstance(call, LiveCall)
    return CallFacts(
        id=opened.call_id,
        at=opened.created_at,
        number=opened.destination,
        country=opened.country,
        seconds=_seconds(call),
        # A record whose opening was lost has no currency.
        cost="" if is_live or not opened.currency else _money(call.cost_micros, opened.currency),
        outcome=outcome_of(call),
        quality=quality_of(call),
    )


def _seconds(call: LiveCall | CallRecord) -> int:
    if isinstance(call, LiveCall):
        return call.seconds
    return call.used_s if call.closed is None else call.closed.seconds


def _closed(call: LiveCall | CallRecord, name: str) -> datetime | None:
    found: datetime | None = (
        getattr(call, name) if isinstance(call, LiveCall) else getattr(call.closed, name, None)
    )
    return found


def _ended_by(call: LiveCall | CallRecord) -> str:
    if isinstance(call, LiveCall):
        return call.ended_by if call.ended_at is not None else ""
    return "" if call.closed is None else call.closed.ended_by


def _cause_of(call: LiveCall | CallRecord) -> str:
    if isinstance(call, LiveCall):
        return "" if call.cause is None else call.cause.name.lower()
    if call.closed is None or call.closed.cause not in set(Cause):
        return ""
    return Cause(call.closed.cause).name.lower()


def _figures(call: LiveCall | CallRecord) -> Sequence[FigureRow]:
    if isinstance(call, LiveCall):
        return ()
    return [
        FigureRow(figure.column, figure.unit.name, _for_page(figure, value, call.opened.currency))
        for figure, value in measured(call.closed, shown_in(Shown.PAGE))
    ]


def _for_page(figure: Figure, value: Any, currency: str) -> Any:
    # Lengths and moments are written by the page itself, as everywhere on it.
    is_own = figure.unit in (Unit.SECONDS, Unit.TIME)
    return value if is_own else text_of(figure, value, currency)


def _line(booked: CallLine) -> CallLineRow:
    why = _WHY.get(booked.reason, "")
    return CallLineRow(
        at=booked.at,
        kind=booked.kind.replace("-", "_"),
        amount=format_exact(booked.micros, booked.currency),
        why=why,
        reason="" if why else booked.reason,
    )


def _cells(record: CallRecord) -> Sequence[object]:
    opened, closed = record.opened, record.closed
    return (
        time_cell(opened.created_at),
        opened.destination,
        opened.country,
        outcome_of(record),
        closed.ended_by if closed else "",
        time_cell(closed.answered_at if closed else None),
        time_cell(closed.ended_at if closed else None),
        str(_seconds(record)),
        Decimal(in_units(record.cost_micros)),
        opened.currency,
        str(closed.cause) if closed else "",
        opened.call_id,
        *(cell_of(figure, closed) for figure in _IN_CSV),
    )


def _money(micros: int, currency: str) -> str:
    return format_money(micros, currency)
