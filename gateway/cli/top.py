"""Implements `caller top`: the current calls, nodes and alarms of all processes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from billing.clock import utc_now
from billing.money import format_money
from gateway.cli.command import out, read_settings, run, stop_on_signal
from gateway.cli.nodes import level_shown
from gateway.cli.top_tables import Fitting, Part, Row
from gateway.errors import EXIT_UNAVAILABLE
from gateway.roles.following import LiveCallFollowing, away_said, open_following
from gateway.watching.alarm_view import AlarmView
from gateway.watching.history import Minute
from gateway.watching.rows import LIVE, CallRow, NodeRow
from gateway.watching.totals import WINDOW_S, Totals

HEARD_S: Final = 1.5
"""How long one look waits: each node reports each call once a second."""
MINUTE_S: Final = 60
NOTED_FOR: Final = timedelta(minutes=3)
"""How old stored figures may be; one process stores them each minute."""
CALLS_MIN: Final = 5
_AROUND: Final = 13
"""Lines of a screen that are not calls, besides one for each node and alarm."""
NODE_PARTS: Final = (
    Part("node"),
    Part("calls", 2),
    Part("late", 3, justify="right"),
    Part("release", 5, least=8),
    Part("logs", 4),
    Part("state", 1),
)
CALL_PARTS: Final = (
    Part("call"),
    Part("state", 1),
    Part("number", 2),
    Part("account", 4, least=8),
    Part("node", 8, least=8),
    Part("lasts", 3, justify="right"),
    Part("cost", 7, justify="right"),
    Part("MOS", 6, justify="right"),
    Part("wrong", 5, least=8),
)

app = typer.Typer(add_completion=False)


@app.command()
def top(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Show it once, and end.")] = False,
    every: Annotated[float, typer.Option(min=0.5, max=60, help="Seconds between two looks.")] = 1.0,
) -> None:
    """Show live calls, nodes and alarms of all processes; read-only.

    Numbers are shown: they are personal data. Ends with Ctrl-C. If Valkey stops answering, it says
    so and keeps what it showed.
    """
    settings = read_settings(context)

    async def work() -> None:
        async with open_following(settings) as following:
            await asyncio.sleep(HEARD_S)
            await following.look()
            if once or not out.is_terminal:
                out.print(screen(following, utc_now(), len(following.board)))
                if following.away_since is not None:
                    raise typer.Exit(EXIT_UNAVAILABLE)
                return
            await _show(following, every)

    run(work(), settings)


async def _show(following: LiveCallFollowing, every_s: float) -> None:
    stop = stop_on_signal()
    with Live(console=out, screen=True, auto_refresh=False) as live:
        while not stop.is_set():
            await following.look()
            lines = len(following.board.nodes()) + len(following.alarms)
            room = max(CALLS_MIN, out.height - _AROUND - lines)
            live.update(screen(following, utc_now(), room), refresh=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await stop.wait()
    stop.leave()


def screen(following: LiveCallFollowing, at: datetime, calls_max: int) -> RenderableType:
    """Return the screen: figures, alarms, nodes, and as many calls as fit."""
    board = following.board
    rows = [row for row in board.rows(None) if row.state in LIVE]
    rows.sort(key=lambda row: row.created_at, reverse=True)
    parts: list[RenderableType] = [_figures(following, at)]
    if following.away_since is not None:
        parts.append(Text(away_said(following.away_since), style="bold red"))
    parts += [_alarm(alarm) for alarm in following.alarms]
    parts.append(_nodes(board.nodes()))
    if rows:
        parts.append(_calls(rows[:calls_max], at))
    left = len(rows) - calls_max
    parts.append(Text(f"{left} more calls." if left > 0 else "" if rows else "No call is live."))
    return Group(*parts)


def _figures(following: LiveCallFollowing, at: datetime) -> Text:
    totals = following.totals(at)
    spend = [format_money(m, c) for c, m in sorted(totals.spend_micros_per_minute.items())]
    said = [
        f"{at:%H:%M:%S} UTC",
        f"{totals.calls} calls",
        f"{' + '.join(spend) or '0'} a minute",
        f"round trip {_or_none(totals.rtt_p95_ms, ' ms')}",
        f"MOS {_or_none(totals.mos, '')}",
        *_past(totals, following.listened_s(), following.minute, at),
    ]
    return Text("  ".join(said), style="bold")


def _past(totals: Totals, listened_s: float, minute: Minute | None, at: datetime) -> list[str]:
    """Return figures that depend on calls which may have ended before this command started.

    Until it has listened for as long as a figure looks back, it shows what a serving process
    stored, with the time of that.
    """
    own = [f"{totals.begun_per_minute} begun a minute", *_answered(totals)]
    if listened_s >= WINDOW_S:
        return own
    noted = ["- begun a minute", "ASR -", "PDD -"]
    when = []
    if minute is not None and at - minute.at < NOTED_FOR:
        noted = [f"{minute.begun} begun a minute", *_answered(minute)]
        when = [f"at {minute.at:%H:%M}:"]
    if listened_s >= MINUTE_S:
        return [own[0], *when, *noted[1:]]
    return [*when, *noted]


def _answered(of: Totals | Minute) -> list[str]:
    return [f"ASR {_or_none(of.asr_percent, ' %')}", f"PDD {_or_none(of.pdd_ms, ' ms')}"]


def _or_none(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:g}{unit}"


def _alarm(alarm: AlarmView) -> Text:
    style = "bold red" if alarm.state == "raised" else "dim"
    return Text(f"{alarm.state}: {alarm.title} {alarm.action}", style=style)


def _nodes(nodes: Sequence[NodeRow]) -> Fitting:
    rows = []
    for node in nodes:
        state = "lost" if node.is_lost else "draining" if node.is_draining else "open"
        full = f"{node.calls} of {node.calls_max}"
        logs = level_shown(node.log_level, node.log_level_until)
        cells = (node.node, full, f"{node.lag_ms:g} ms", node.release, logs, state)
        rows.append(Row(cells, "red" if node.is_lost else None))
    return Fitting(NODE_PARTS, rows)


def _calls(calls: Sequence[CallRow], at: datetime) -> Fitting:
    rows = []
    for call in calls:
        since = call.answered_at or call.created_at
        minutes, seconds = divmod(max(0, round((at - since).total_seconds())), 60)
        cost = format_money(call.cost_micros, call.currency)
        cells = (
            call.id,
            call.state,
            call.destination,
            call.account_id,
            call.node,
            f"{minutes}:{seconds:02}",
            cost,
            _or_none(call.mos, ""),
            ", ".join(call.tags),
        )
        rows.append(Row(cells))
    return Fitting(CALL_PARTS, rows)
