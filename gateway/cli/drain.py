"""Implements `caller drain`: runs the drainer without a node."""

from __future__ import annotations

import typer

from gateway.cli.command import read_settings, run, warn_of_open_settings
from gateway.roles import drain as role

app = typer.Typer(add_completion=False)


@app.command()
def drain(context: typer.Context) -> None:
    """Drain the credit store's outbox into the SQL book of record until stopped.

    `caller serve` runs this itself, in a process of its own.
    """
    settings = read_settings(context)
    warn_of_open_settings(context)
    run(role.work(settings, is_child=False), settings)
