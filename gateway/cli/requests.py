"""Implements `caller requests`: what people requested about their data, and what is due.

The pages themselves answer most requests; here an operator sees what is left, closes it, and reads
which accounts were erased. What operators write has a line in the audit log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from accounts.data_request import NOTE_MAX, DataRequest, Right
from accounts.stores import data_requests
from billing.clock import utc_now
from database.engine import TIMEOUT_S, reading
from gateway.administration.register import SqlRegister
from gateway.cli.administration import As, order_of
from gateway.cli.command import fail, out, run_with
from gateway.errors import EXIT_SETTINGS
from gateway.roles import storage
from gateway.settings import Settings

app = typer.Typer(
    add_completion=False,
    help="What people asked for about their data, and what is due.",
    no_args_is_help=True,
)

AccountId = Annotated[str, typer.Argument(help="Id of the account.")]


@app.command("list")
def list_requests(
    context: typer.Context,
    account_id: Annotated[str, typer.Argument(help="Only of this account.")] = "",
) -> None:
    """List the newest requests first, including deletions ordered by operators."""

    async def work(book: storage.Book, _settings: Settings) -> None:
        async with reading(book.engine, TIMEOUT_S) as connection:
            if account_id:
                found = await data_requests.of_account(connection, account_id)
            else:
                found = await data_requests.newest(connection)
        _show(found)

    run_with(context, storage.open_book, work)


@app.command("due")
def list_due(context: typer.Context) -> None:
    """List the open requests, the ones due first on top."""

    async def work(book: storage.Book, _settings: Settings) -> None:
        async with reading(book.engine, TIMEOUT_S) as connection:
            found = await data_requests.unanswered(connection)
        _show(found)

    run_with(context, storage.open_book, work)


@app.command("add")
def add_request(
    context: typer.Context,
    account_id: AccountId,
    right: Annotated[Right, typer.Argument(help="What is asked for.")],
    by: As = "",
) -> None:
    """Record a request that came by mail or letter; it is due within a month."""
    order = order_of(context, by, right.value)

    async def work(book: storage.Book, _settings: Settings) -> None:
        await SqlRegister(book.engine).ask(account_id, right, order.operator)
        out.print("Request noted.")

    run_with(context, storage.open_book, work)


@app.command("done")
def close_request(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="Number of the request, as `due` shows it.")],
    note: Annotated[str, typer.Option(help="What was done; name no person and no address.")] = "",
    by: As = "",
) -> None:
    """Record that a request is answered."""
    if len(note) > NOTE_MAX:
        fail(f"The note is longer than {NOTE_MAX} characters.", "Shorten it.", EXIT_SETTINGS)
    order = order_of(context, by, note or "answered")

    async def work(book: storage.Book, _settings: Settings) -> None:
        if not await SqlRegister(book.engine).close(number, note, order.operator):
            hint = "`caller requests due` lists the open ones."
            fail("No open request has this number.", hint, EXIT_SETTINGS)
        out.print("Request closed.")

    run_with(context, storage.open_book, work)


def _show(found: Sequence[DataRequest]) -> None:
    table = Table("number", "account", "request", "asked (UTC)", "due (UTC)", "state", "note")
    at = utc_now()
    for each in found:
        verb = "withdrawn" if each.is_withdrawn else "done"
        state = f"{verb} by {each.done_by}" if each.done_by else "open"
        table.add_row(
            str(each.id),
            each.account_id,
            each.right,
            f"{each.asked_at:%Y-%m-%d}",
            f"{each.due_at:%Y-%m-%d}",
            "late" if each.is_late(at) else state,
            each.note,
        )
    out.print(table)
