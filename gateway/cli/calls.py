"""Implements `caller calls`: the live calls of all nodes, for the operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer
from rich.table import Column, Table

from billing.money import format_money
from gateway.cli.administration import (
    As,
    AsJson,
    Reason,
    administration,
    order_of,
    print_json,
)
from gateway.cli.command import err, fail, out, read_settings, run, run_with
from gateway.errors import EXIT_SETTINGS, EXIT_UNAVAILABLE
from gateway.fleet.exchange import NodeSilentError
from gateway.ports import LiveCall
from gateway.roles import storage
from gateway.roles.fleet import open_fleet
from gateway.settings import Settings

app = typer.Typer(add_completion=False, help="The live calls of all nodes.", no_args_is_help=True)


@app.command("list")
def list_calls(
    context: typer.Context,
    account: Annotated[str, typer.Option(help="Of this account only.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the live calls, newest first. Numbers are shown: they are personal data."""
    settings = read_settings(context)

    async def work() -> None:
        async with open_fleet(settings) as fleet:
            found = await fleet.control.calls(account_id=account or None)
        if as_json:
            print_json(found.calls)
        elif found.calls:
            out.print(_table(found.calls))
        else:
            out.print("No call is live.")
        if found.more:
            err.print(f"{found.more} more are live.")
        for node in found.silent:
            err.print(f"Node {node} does not answer: its calls are missing.")
        if found.silent:
            raise typer.Exit(EXIT_UNAVAILABLE)

    run(work(), settings)


@app.command("end")
def end_call(
    context: typer.Context,
    call_id: Annotated[str, typer.Argument(help="Id of the call, as `list` shows it.")],
    reason: Reason,
    by: As = "",
) -> None:
    """End a live call on whichever node it is; what it used is charged."""
    order = order_of(context, by, reason)

    async def work(book: storage.Book, settings: Settings) -> None:
        async with open_fleet(settings) as fleet:
            found = await fleet.control.calls(call_id=call_id)
            if not found.calls and found.silent:
                _fail_silent(", ".join(found.silent))
            if not found.calls:
                hint = "It may have ended. `caller calls list` shows those that are live."
                fail("No such call is live.", hint, EXIT_SETTINGS)
            (call,) = found.calls
            # Written first: whatever happens then, it is known who wanted it.
            await administration(book, settings).note_ended_call(
                call.opened.account_id, call_id, order
            )
            try:
                await fleet.control.end(call)
            except NodeSilentError:
                _fail_silent(call.opened.node)
        out.print(f"Call {call_id} is being ended.")

    run_with(context, storage.open_book, work)


def _fail_silent(nodes: str) -> NoReturn:
    fail(f"Node {nodes} does not answer.", "Try again.", EXIT_UNAVAILABLE)


def _table(calls: Sequence[LiveCall]) -> Table:
    table = Table(
        *("call", "account", "number", "node", "state", Column("seconds", justify="right")),
        *(Column("cost", justify="right"), "begun (UTC)"),
    )
    for call in calls:
        opened = call.opened
        table.add_row(
            *(opened.call_id, opened.account_id, opened.destination, opened.node, _state(call)),
            str(call.seconds),
            format_money(call.cost_micros, opened.currency),
            f"{opened.created_at:%Y-%m-%d %H:%M:%S}",
        )
    return table


def _state(call: LiveCall) -> str:
    if call.ended_at is not None:
        return "ending"
    return "talking" if call.answered_at is not None else "ringing"
