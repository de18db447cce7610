"""Implements `caller nodes`: lists nodes, controls whether they take calls, and what they log."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Sequence
from typing import Annotated, Final, NoReturn

import typer
from rich.table import Column, Table

from database.errors import StoreUnavailableError
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
from gateway.cli.command import announce, err, fail, out, read_settings, run, run_with
from gateway.errors import EXIT_FINDINGS, EXIT_SETTINGS, EXIT_UNAVAILABLE
from gateway.fleet.control import NodeStoppingError, NotStartedAgainError
from gateway.fleet.exchange import NodeSilentError
from gateway.fleet.following import BACK_S_MAX, Following, Stage
from gateway.fleet.messages import (
    LEVEL_MINUTES,
    LEVEL_MINUTES_MAX,
    LogLevel,
    Restarting,
    level_said,
)
from gateway.fleet.roster import INTERVAL_S, NodeFacts, emptiest
from gateway.fleet.shared_secret import HINT, apart, proof_of
from gateway.operators import NODES
from gateway.roles import storage
from gateway.roles.fleet import Fleet, open_fleet
from gateway.roles.release import release
from gateway.roles.stopping import STOPPING_S
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
    """List the running nodes."""
    settings = read_settings(context)

    async def work() -> None:
        async with open_fleet(settings) as fleet:
            nodes = fleet.roster.nodes()
        if as_json:
            print_json(nodes)
        elif nodes:
            strangers = apart(nodes, proof_of(settings.shared_secret))
            out.print(_table(nodes, strangers))
            if strangers:
                announce(
                    f"* {', '.join(strangers)}: another CALLER_FLEET_SECRET than"
                    f" {'these settings' if settings.shared_secret else 'the other nodes'}."
                    f" Limits are counted twice, and challenges refused. {HINT}"
                )
        else:
            out.print("No node runs with these stores.")

    run(work(), settings)


@app.command("drain")
def drain(context: typer.Context, node: Node) -> None:
    """Stop a node from taking new calls until `resume`, or until it is restarted.

    Its running calls continue, and so does the node.
    """
    _tell(context, node, f"Node {node} takes no new calls.", takes=False)


@app.command("resume")
def resume(context: typer.Context, node: Node) -> None:
    """Let a node take new calls again; not possible for one that is stopping."""
    _tell(context, node, f"Node {node} takes new calls.", takes=True)


@app.command("restart")
def restart(context: typer.Context, node: Node) -> None:
    """Restart a node of `caller serve --media`, on whichever machine; the others keep running.

    It takes no new calls, and ends when its calls have ended: they have CALLER_DRAIN_TIMEOUT_S,
    then they are cut off. To give them longer, `drain` it first, and restart it when `list` shows
    no call. Waits until the node is back; Ctrl-C ends the waiting, not the restart.
    """
    settings = read_settings(context)

    async def work() -> None:
        async with open_fleet(settings) as fleet:
            facts = fleet.roster.find(node)
            if facts is None:
                _fail_missing(node)
            restarting = await _begin_restart(fleet, facts)
            announce(
                f"Node {node} takes no new calls; its calls have {restarting.calls_s} s to end."
            )
            others = [
                each
                for each in fleet.roster.nodes()
                if each.node != node and each.origin == facts.origin
            ]
            if not emptiest(others):
                announce("No other node takes calls: none can be made until it is back.")
            now_s = asyncio.get_running_loop().time()
            await _follow(
                fleet, facts, Following(facts.process, now_s + restarting.calls_s + STOPPING_S)
            )
        out.print(f"Node {node} was restarted.", markup=False)

    run(work(), settings)


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
    """Make a node log more, or less, for a while; then, or after a restart, its setting applies."""
    order, minutes = order_of(context, by, reason), _minutes(length)

    async def work(book: storage.Book, settings: Settings) -> None:
        async with open_fleet(settings) as fleet:
            try:
                fleet.control.require(node)
                # Recorded first, so that whatever happens next, it is known who wanted it.
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
    """List changes of log levels, by whom and why, newest first."""
    show_log(context, NODES, limit, before, as_json=as_json)


def _minutes(length: str) -> int:
    read = _LENGTH.fullmatch(length)
    minutes = int(read[1]) * _MINUTES[read[2]] if read else 0
    if not 1 <= minutes <= LEVEL_MINUTES_MAX:
        hint = "Write it as 15m, 2h or 1d; a day is the longest."
        fail("--for takes minutes, hours or a day.", hint, EXIT_SETTINGS)
    return minutes


def level_shown(level: str, until: str | None) -> str:
    """Return from which level a node logs, and until when (UTC) if that is not its setting."""
    # RFC 3339: month and day, hour and minute.
    return f"{level} until {until[5:16].replace('T', ' ')}" if until else level


def _fail_missing(node: str) -> NoReturn:
    what = f"No node {node} is running, or it is stuck."
    fail(what, "`caller nodes list` shows the running ones.", EXIT_SETTINGS)


async def _begin_restart(fleet: Fleet, facts: NodeFacts) -> Restarting:
    node = facts.node
    try:
        return await fleet.control.restart(node)
    except NotStartedAgainError:
        what = f"Node {node} is not run by `caller serve --media`: nothing would start it again."
        fail(what, "Restart its service instead; that drains its calls as well.", EXIT_SETTINGS)
    except NodeStoppingError:
        hint = "Start its service again once it has ended."
        fail(f"Node {node} is stopping for good.", hint, EXIT_FINDINGS)
    except NodeSilentError:
        hint = "Try again: it restarts only once, however often it is asked."
        if facts.release != release():
            hint = (
                f"It has release {facts.release}, which may not know this command: restart its"
                " service if trying again does not help."
            )
        fail(f"Node {node} does not answer.", hint, EXIT_UNAVAILABLE)


async def _follow(fleet: Fleet, before: NodeFacts, following: Following) -> None:
    """Show the progress of a restart until the node is back; exit if it does not come back."""
    node, said, loop = before.node, "", asyncio.get_running_loop()
    with err.status("") as status:
        while True:
            away: StoreUnavailableError | None = None
            try:
                await fleet.roster.look()
            except StoreUnavailableError as error:
                # The restart continues without us.
                away = error
            facts = fleet.roster.find(node)
            stage = following.see(facts, loop.time())
            if stage is Stage.BACK:
                return
            if stage in {Stage.LATE, Stage.MISSING}:
                break
            now = f"Node {node}: {_progress(facts)}"
            if away is not None:
                now = f"Node {node}: it cannot be seen while Valkey does not answer."
            if now != said and not err.is_terminal:
                announce(now)
            status.update(now)
            said = now
            await asyncio.sleep(INTERVAL_S)
    if away is not None:
        raise away
    if stage is Stage.LATE:
        hint = "See its log. If it is stuck, kill its process: it is then restarted."
        fail(f"Node {node} has not ended in time.", hint, EXIT_UNAVAILABLE)
    hint = "See the log of `caller serve`; if that has been stopped, start it."
    fail(
        f"Node {node} has ended, and is not back after {BACK_S_MAX:.0f} s.", hint, EXIT_UNAVAILABLE
    )


def _progress(facts: NodeFacts | None) -> str:
    if facts is None:
        return "it has ended, and is restarting."
    if facts.calls == 0:
        return "no call left; it is ending."
    return f"{facts.calls} call{'s' * (facts.calls != 1)} left."


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


def _table(nodes: Sequence[NodeFacts], strangers: Collection[str] = ()) -> Table:
    """Return the table; `strangers` are nodes to be marked."""
    table = Table(
        "node",
        "takes calls",
        Column("calls", justify="right"),
        Column("at most", justify="right"),
        Column("loop late, ms", justify="right"),
        "logs (UTC)",
        "release",
        "running since (UTC)",
    )
    for each in nodes:
        table.add_row(
            f"{each.node} *" if each.node in strangers else each.node,
            "no" if each.is_draining else "yes",
            str(each.calls),
            str(each.calls_max),
            f"{each.lag_ms:.1f}",
            level_shown(each.log_level, each.log_level_until),
            each.release,
            each.started_at.rstrip("Z").replace("T", " "),
        )
    return table
