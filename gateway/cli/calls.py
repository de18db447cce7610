"""Implements `caller calls`: the live calls of all nodes, for the operator."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Column, Table

from billing.money import format_money
from gateway.cli.administration import AsJson, print_json
from gateway.cli.command import err, fail, out, read_settings, run
from gateway.errors import EXIT_SETTINGS, EXIT_UNAVAILABLE
from gateway.fleet.exchange import NodeSilentError
from gateway.fleet.messages import Calls, EndCall, FindCalls
from gateway.fleet.roster import NodeFacts
from gateway.ports import LiveCall
from gateway.roles.fleet import Fleet, open_fleet

app = typer.Typer(add_completion=False, help="The live calls of all nodes.", no_args_is_help=True)

_SHOWN_MAX = 1000


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
            calls, more, silent = await _ask_all(fleet, FindCalls(account_id=account or None))
        calls = sorted(calls, key=lambda call: call.opened.created_at, reverse=True)
        if as_json:
            print_json(calls)
        elif calls:
            out.print(_table(calls[:_SHOWN_MAX]))
        else:
            out.print("No call is live.")
        more += 0 if as_json else max(0, len(calls) - _SHOWN_MAX)
        if more:
            err.print(f"{more} more are live.")
        for node in silent:
            err.print(f"Node {node} does not answer: its calls are missing.")
        if silent:
            raise typer.Exit(EXIT_UNAVAILABLE)

    run(work(), settings)


@app.command("end")
def end_call(
    context: typer.Context,
    call_id: Annotated[str, typer.Argument(help="Id of the call, as `list` shows it.")],
) -> None:
    """End a live call on whichever node it is; what it used is charged."""
    settings = read_settings(context)

    async def work() -> None:
        async with open_fleet(settings) as fleet:
            found, _, silent = await _ask_all(fleet, EndCall(call_id=call_id))
        if not found and silent:
            fail(f"Node {', '.join(silent)} does not answer.", "Try again.", EXIT_UNAVAILABLE)
        if not found:
            hint = "It may have ended. `caller calls list` shows those that are live."
            fail("No such call is live.", hint, EXIT_SETTINGS)
        out.print(f"Call {call_id} is being ended.")

    run(work(), settings)


async def _ask_all(
    fleet: Fleet, question: FindCalls | EndCall
) -> tuple[Sequence[LiveCall], int, Sequence[str]]:
    """Ask all nodes; return the calls, how many more there are, and who did not answer."""

    async def ask(facts: NodeFacts) -> Calls | None:
        try:
            reply = await fleet.exchange.ask(facts.process, question)
        except NodeSilentError:
            return None
        return reply if isinstance(reply, Calls) else None

    nodes = fleet.roster.nodes()
    replies = await asyncio.gather(*(ask(facts) for facts in nodes))
    answered = [reply for reply in replies if reply is not None]
    silent = [facts.node for facts, reply in zip(nodes, replies, strict=True) if reply is None]
    calls = [call for reply in answered for call in reply.calls]
    return calls, sum(reply.more for reply in answered), silent


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
