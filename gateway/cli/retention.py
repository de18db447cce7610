"""Implements `caller retention`: deletes what has passed its retention period, or counts it.

Thin: `privacy.retention` does the work. The drainer also runs it once a day.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import Progress, TaskID
from rich.table import Table

from gateway.cli.command import err, fail, out, read_settings, run, when_to_try
from gateway.errors import EXIT_UNAVAILABLE
from gateway.roles import storage
from gateway.roles.privacy import build_retention, build_sweeps

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def retention() -> None:
    """Delete data that have passed their retention period."""


@app.command("run")
def run_now(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would go; change nothing.")
    ] = False,
) -> None:
    """Delete old call records, devices, links, mails, exports, receipts and unproven accounts.

    Close books that no law requires any more, and carry forward their totals.

    Works in small transactions, so that a node can run beside it. What is deleted before an
    interruption stays deleted; the next run continues.
    """
    settings = read_settings(context)

    async def work() -> None:
        async with storage.migrated_database(settings) as engine:
            sweeps = build_sweeps(settings, engine)
            due = {kind: await sweeps.due(kind) for kind in sweeps.kinds}
            if dry_run:
                _show(due, "to be forgotten")
                return
            with Progress(console=err, transient=True) as progress:
                bars = {kind: progress.add_task(kind, total=count) for kind, count in due.items()}

                def advance(kind: str, count: int) -> None:
                    progress.advance(TaskID(bars[kind]), count)

                duty = build_retention(settings, engine, advance)
                forgotten = await duty.run()
                until = None if forgotten is not None else await duty.held_until()
        if forgotten is None:
            what = "Another process is doing this right now, or was killed while it did."
            fail(what, when_to_try(until), EXIT_UNAVAILABLE)
        _show(forgotten, "forgotten")

    run(work(), settings)


def _show(counts: dict[str, int], what: str) -> None:
    table = Table("kind", what)
    table.columns[1].justify = "right"
    for kind, count in counts.items():
        table.add_row(kind.replace("_", " "), f"{count:,}")
    out.print(table)
