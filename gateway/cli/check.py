"""Implements `caller check`: reports what an operator should know before a start."""

from __future__ import annotations

import typer
from rich.table import Table

from gateway.cli.command import out, read_settings, run
from gateway.logs import formats
from gateway.roles import check, preflight

app = typer.Typer(add_completion=False)


@app.command("check")
def check_command(context: typer.Context) -> None:
    """Check the settings, connect to Redis, SQL and Twilio, and report weaknesses."""
    settings = read_settings(context)
    if settings.log_level != "debug":
        # What fails is reported; the log would say it a second time, between the lines.
        formats.configure("error", settings.log_format)

    async def work() -> None:
        findings = await check.findings(settings)
        table = Table("", "what", "finding", show_edge=False)
        for finding in findings:
            table.add_row(finding.mark, finding.subject, finding.text)
        out.print(table)
        # Weaknesses alone end with 0: they do not keep a node from starting.
        raise typer.Exit(preflight.exit_code(findings))

    run(work(), settings)
