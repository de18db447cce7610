"""Implements `caller calls`: live calls of all nodes, and how a call ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Final, NoReturn

import msgspec
import typer
from rich.table import Column, Table
from rich.text import Text

from billing.cdr import CallClosed, CallRecord, shown_in
from billing.figures import Shown
from billing.money import format_money
from gateway.calls.shown_figures import measured, text_of
from gateway.carriers.known import chosen
from gateway.carriers.port import CarrierAdapter
from gateway.cli.administration import (
    As,
    AsJson,
    Reason,
    administration,
    order_of,
    print_json,
)
from gateway.cli.command import (
    announce,
    err,
    fail,
    out,
    read_settings,
    run,
    run_with,
    stop_on_signal,
)
from gateway.errors import EXIT_SETTINGS, EXIT_UNAVAILABLE
from gateway.fleet.exchange import NodeSilentError
from gateway.ports import LiveCall
from gateway.roles import storage
from gateway.roles.fleet import open_fleet
from gateway.roles.following import away_said, open_following
from gateway.settings import Settings
from gateway.watching.report_store import SqlOperatorReports
from gateway.watching.rows import CallRow
from gateway.words.data_map import words_in

TAIL_EVERY_S: Final = 0.25

Account = Annotated[str, typer.Option(help="Of this account only.")]

app = typer.Typer(add_completion=False, help="The live calls of all nodes.", no_args_is_help=True)


@app.command("list")
def list_calls(
    context: typer.Context,
    account: Account = "",
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
        # The list is incomplete, which a script must be able to see.
        if found.silent:
            raise typer.Exit(EXIT_UNAVAILABLE)

    run(work(), settings)


@app.command("show")
def show_call(
    context: typer.Context,
    call_id: Annotated[str, typer.Argument(help="Id of the call, as the log and `tail` have it.")],
) -> None:
    """Show how a call ended, and what the carrier answered if it refused it.

    Its number is shown: it is personal data.
    """

    async def work(book: storage.Book, settings: Settings) -> None:
        record = await SqlOperatorReports(book.engine).call(call_id)
        if record is None or record.closed is None:
            hint = "`caller calls list` shows the live ones; old ones are deleted."
            fail("No call with this id has ended.", hint, EXIT_SETTINGS)
        out.print(_record(record, record.closed, chosen(settings)))

    run_with(context, storage.open_book, work)


def _record(record: CallRecord, closed: CallClosed, carrier: CarrierAdapter) -> Table:
    opened, words = record.opened, words_in("en")
    table = Table("", "", show_header=False, show_edge=False)
    lines = [
        ("call", opened.call_id),
        ("account", opened.account_id),
        ("number", opened.destination),
        ("node", opened.node),
        ("begun (UTC)", f"{opened.created_at:%Y-%m-%d %H:%M:%S}"),
        ("ended (UTC)", f"{closed.ended_at:%Y-%m-%d %H:%M:%S}"),
        ("seconds", str(closed.seconds)),
        ("cost", format_money(record.cost_micros, opened.currency)),
        ("cause", f"{closed.cause_name} ({closed.cause}), by {closed.ended_by}"),
        ("call at the carrier", closed.carrier_call_id),
        *(
            (words[f"field.{figure.column}"], text_of(figure, value, opened.currency))
            for figure, value in measured(closed, shown_in(Shown.OPERATOR))
        ),
    ]
    if closed.carrier_code is not None:
        meaning = carrier.explain(closed.carrier_code)
        lines += [
            ("carrier's code", str(closed.carrier_code or "none")),
            ("carrier's words", closed.carrier_text or ""),
            ("what it means", meaning.what),
            ("what to do", meaning.do),
        ]
    for name, value in lines:
        table.add_row(name, Text(value))
    return table


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
                hint = "It may have ended. `caller calls list` shows the live ones."
                fail("No such call is live.", hint, EXIT_SETTINGS)
            (call,) = found.calls
            # Recorded first, so that whatever happens next, it is known who wanted it.
            await administration(book, settings).note_ended_call(
                call.opened.account_id, call_id, order
            )
            try:
                await fleet.control.end(call)
            except NodeSilentError:
                _fail_silent(call.opened.node)
        out.print(f"Call {call_id} is being ended.")

    run_with(context, storage.open_book, work)


@app.command("tail")
def tail(
    context: typer.Context,
    account: Account = "",
    as_json: AsJson = False,
) -> None:
    """Print each call whenever its state changes, until Ctrl-C. Numbers are shown.

    If Valkey stops answering, it says so on standard error, and continues when it answers again.
    """
    settings = read_settings(context)

    async def work() -> None:
        stop = stop_on_signal()
        states: dict[str, str] = {}
        async with open_following(settings) as following:
            while not stop.is_set():
                was_away = following.away_since is not None
                news = await following.look()
                if was_away != (following.away_since is not None):
                    since = following.away_since
                    announce("Valkey answers again." if since is None else away_said(since))
                for call_id in news.gone:
                    states.pop(call_id, None)
                for row in news.calls.values():
                    # Figures change every second; only another state is worth a line.
                    is_new = states.get(row.id) != row.state
                    states[row.id] = row.state
                    if is_new and account in {"", row.account_id}:
                        out.print(_json(row) if as_json else _line(row), soft_wrap=True)
                with suppress(TimeoutError):
                    async with asyncio.timeout(TAIL_EVERY_S):
                        await stop.wait()
        stop.leave()

    run(work(), settings)


def _json(row: CallRow) -> Text:
    return Text(msgspec.json.encode(row).decode())


def _line(row: CallRow) -> Text:
    at = row.ended_at or row.answered_at or row.ringing_at or row.created_at
    parts = [f"{at:%H:%M:%S}", f"{row.state:<10}", row.id, row.node, row.account_id]
    parts.append(row.destination)
    if row.cause_name:
        parts += [f"{row.seconds} s", format_money(row.cost_micros, row.currency)]
        parts += [row.cause_name, f"by {row.ended_by}"]
    return Text("  ".join(parts))


def _fail_silent(nodes: str) -> NoReturn:
    fail(f"Node {nodes} does not answer.", "Try again.", EXIT_UNAVAILABLE)


def _table(calls: Sequence[LiveCall]) -> Table:
    table = Table(
        "call",
        "account",
        "number",
        "node",
        "state",
        Column("seconds", justify="right"),
        Column("cost", justify="right"),
        "begun (UTC)",
    )
    for call in calls:
        opened = call.opened
        table.add_row(
            opened.call_id,
            opened.account_id,
            opened.destination,
            opened.node,
            _state(call),
            str(call.seconds),
            format_money(call.cost_micros, opened.currency),
            f"{opened.created_at:%Y-%m-%d %H:%M:%S}",
        )
    return table


def _state(call: LiveCall) -> str:
    if call.ended_at is not None:
        return "ending"
    return "talking" if call.answered_at is not None else "ringing"
