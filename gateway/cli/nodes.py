"""Implements `caller nodes`: which nodes there are, and whether they take calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Column, Table

from gateway.cli.administration import AsJson, print_json
from gateway.cli.command import fail, out, read_settings, run
from gateway.errors import EXIT_FINDINGS, EXIT_SETTINGS, EXIT_UNAVAILABLE
from gateway.fleet.control import NodeStoppingError
from gateway.fleet.exchange import NodeSilentError
from gateway.fleet.roster import NodeFacts
from gateway.roles.fleet import open_fleet

app = typer.Typer(
    add_completion=False,
    help="The nodes, and whether they take calls.",
    no_args_is_help=True,
)

Node = Annotated[str, typer.Argument(help="Id of the node, its CALLER_NODE.")]


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


def _tell(context: typer.Context, node: str, done: str, *, takes: bool) -> None:
    settings = read_settings(context)

    async def work() -> None:
        async with open_fleet(settings) as fleet:
            try:
                await fleet.control.take_calls(node, takes=takes)
            except LookupError:
                what = f"No node {node} runs, or it stands still."
                fail(what, "`caller nodes list` shows which run.", EXIT_SETTINGS)
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
        *(Column("loop late, ms", justify="right"), "release", "running since (UTC)"),
    )
    for each in nodes:
        table.add_row(
            *(each.node, "no" if each.is_draining else "yes", str(each.calls), str(each.calls_max)),
            *(f"{each.lag_ms:.1f}", each.release, each.started_at.rstrip("Z").replace("T", " ")),
        )
    return table
