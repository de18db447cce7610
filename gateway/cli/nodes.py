"""Implements `caller nodes`: which nodes there are, whether they take calls, and what they log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final, NoReturn

import typer
from rich.table import Column, Table

from gateway.cli.administration import (
    As,
    AsJson,
    Before,
    Lines,
    Reason,
    administration,
    order_of,
    print_json,
    show_log,
)
from gateway.cli.command import fail, out, read_settings, run, run_with
from gateway.errors import EXIT_FINDINGS, EXIT_SETTINGS, EXIT_UNAVAILABLE
from gateway.fleet.control import NodeStoppingError
from gateway.fleet.exchange import NodeSilentError
from gateway.fleet.messages import LEVEL_MINUTES, LEVEL_MINUTES_MAX, LogLevel, level_said
from gateway.fleet.roster import NodeFacts
from gateway.operators import NODES
from gateway.roles import storage
from gateway.roles.fleet import open_fleet
from gateway.settings import Settings

app = typer.Typer(
    add_completion=False,
    help="The nodes: whether they take calls, and what they log.",
    no_args_is_help=True,
)

Node = Annotated[str, typer.Argument(help="Id of the node, its CALLER_NODE.")]
_LENGTH: Final = re.compile(r"([1-9][0-9]{0,3})([mhd])", re.ASCII)
_MINUTES: Final = {"m": 1, "h": 60, "d": 24 * 60}
"""Unit -> its length in minutes."""


@app.command("list")
def list_nodes(context: typer.Context, as_json: AsJson = False) -> None:
    """List the nodes that run."""
    settings = read_settings(context)

    async def work() -> None:
        async with open_fleet(settings) as fleet:
            nodes = fleet.roster.nodes()
        if as_json:
            print_json(nodes)
        elif nodes:
            out.print(_table(nodes))
        else:
            out.print("No node runs with these stores.")

    run(work(), settings)


@app.command("drain")
def drain(context: typer.Context, node: Node) -> None:
    """Let a node take no new calls until `resume`, or until it is started again.

    Calls that run go on, and so does the node.
    """
    _tell(context, node, f"Node {node} takes no new calls.", takes=False)


@app.command("resume")
def resume(context: typer.Context, node: Node) -> None:
    """Let a node take new calls again; one that is stopping does not."""
    _tell(context, node, f"Node {node} takes new calls.", takes=True)


@app.command("log-level")
def set_log_level(  # noqa: PLR0917
    context: typer.Context,
    node: Node,
    level: Annotated[
        LogLevel, typer.Argument(help="Lowest level that it logs; setting: as it is set, at once.")
    ],
    reason: Reason,
    length: Annotated[
        str, typer.Option("--for", help="For how long, such as 15m or 2h; a day at most.")
    ] = f"{LEVEL_MINUTES}m",
    by: As = "",
) -> None:
    """Let a node log more, or less, for a while; after it, or a restart, it logs as it is set."""
    order, minutes = order_of(context, by, reason), _minutes(length)

    async def work(book: storage.Book, settings: Settings) -> None:
        async with open_fleet(settings) as fleet:
            try:
                fleet.control.require(node)
                # Written first: whatever happens then, it is known who wanted it.
                said = level_said(level, minutes)
                await administration(book, settings).note_log_level(node, said, order)
                await fleet.control.set_log_level(node, level, minutes)
            except LookupError:
                _fail_missing(node)
            except NodeSilentError:
                fail(f"Node {node} does not answer.", "Try again.", EXIT_UNAVAILABLE)
        logs = "as it is set" if level is LogLevel.SETTING else f"from {said}"
        out.print(f"Node {node} logs {logs}.", markup=False)

    run_with(context, storage.open_book, work)


@app.command("log")
def log(
    context: typer.Context, limit: Lines = 50, before: Before = None, as_json: AsJson = False
) -> None:
    """List whose log level was changed, by whom and why, the newest first."""
    show_log(context, NODES, limit, before, as_json=as_json)


def _minutes(length: str) -> int:
    read = _LENGTH.fullmatch(length)
    minutes = int(read[1]) * _MINUTES[read[2]] if read else 0
    if not 1 <= minutes <= LEVEL_MINUTES_MAX:
        hint = "Write it as 15m, 2h or 1d; a day is the longest."
        fail("--for takes minutes, hours or a day.", hint, EXIT_SETTINGS)
    return minutes


def level_shown(level: str, until: str | None) -> str:
    """Return from which level on a node logs, and until when (UTC) if it is not its setting."""
    # RFC 3339: month and day, hour and minute.
    return f"{level} until {until[5:16].replace('T', ' ')}" if until else level


def _fail_missing(node: str) -> NoReturn:
    what = f"No node {node} runs, or it stands still."
    fail(what, "`caller nodes list` shows which run.", EXIT_SETTINGS)


def _tell(context: typer.Context, node: str, done: str, *, takes: bool) -> None:
    settings = read_settings(context)

    async def work() -> None:
        async with open_fleet(settings) as fleet:
            try:
                await fleet.control.take_calls(node, takes=takes)
            except LookupError:
                _fail_missing(node)
            except NodeStoppingError:
                fail(f"Node {node} is stopping.", "Start it again first.", EXIT_FINDINGS)
            except NodeSilentError:
                fail(f"Node {node} does not answer.", "Try again.", EXIT_UNAVAILABLE)
        out.print(done)

    run(work(), settings)


def _table(nodes: Sequence[NodeFacts]) -> Table:
    table = Table(
        *(
            "node",
            "takes calls",
            Column("calls", justify="right"),
            Column("at most", justify="right"),
        ),
        *(Column("loop late, ms", justify="right"), "logs (UTC)", "release"),
        "running since (UTC)",
    )
    for each in nodes:
        table.add_row(
            *(each.node, "no" if each.is_draining else "yes", str(each.calls), str(each.calls_max)),
            *(f"{each.lag_ms:.1f}", level_shown(each.log_level, each.log_level_until)),
            *(each.release, each.started_at.rstrip("Z").replace("T", " ")),
        )
    return table
