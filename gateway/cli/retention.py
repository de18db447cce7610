"""Implements `caller retention`: forgets what is older than people are promised, or counts it.

Thin: `privacy.retention` does it. The drainer does the same once a day by itself.
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
    """Forget what is older than people are promised."""


@app.command("run")
def run_now(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would go; change nothing.")
    ] = False,
) -> None:
    """Forget old call records, devices, links, mails, exports, receipts and unproven accounts.

    Close books that no law asks for any more, and carry forward what they came to.

    In small transactions, so that a node goes on beside it. What is forgotten when it is broken off
    stays so; the next run goes on.
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
