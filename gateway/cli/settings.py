"""Implements `caller settings`: prints the reference of all settings."""

from __future__ import annotations

import sys

import typer

from gateway import settings_table

app = typer.Typer(add_completion=False)


@app.command("settings")
def print_settings() -> None:
    """Print the reference of all settings as Markdown."""
    # Not through Rich, which would wrap the tables' lines.
    sys.stdout.write(settings_table.markdown())
