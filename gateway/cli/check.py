"""Implements `caller check`: reports what an operator should know before a start."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from gateway.cli.command import out, read_settings, run
from gateway.finding import Finding
from gateway.logs import formats
from gateway.roles import check, preflight
from gateway.stores import settings_files

app = typer.Typer(add_completion=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")]


@app.command("check")
def check_command(context: typer.Context, as_json: AsJson = False) -> None:
    """Check the settings, connect to Redis, SQL and the carrier, and report weaknesses."""
    examine(context, as_json=as_json)


def examine(context: typer.Context, *, as_json: bool) -> None:
    """Check everything with the current settings, report it, and exit with the result."""
    settings = read_settings(context)
    if settings.log_level != "debug":
        # Failures are reported as findings; the log would repeat them between the lines.
        formats.configure("error", settings.log_format)

    async def work() -> None:
        findings = await check.findings(settings, settings_files.place(context.obj))
        if as_json:
            _print_json(findings)
        else:
            table = Table("", "what", "finding", show_edge=False)
            for finding in findings:
                table.add_row(finding.mark, finding.subject, finding.text)
            out.print(table)
        # Warnings alone end with 0: they do not keep a node from starting.
        raise typer.Exit(preflight.exit_code(findings))

    run(work(), settings)


def _print_json(findings: list[Finding]) -> None:
    listed = [
        {"subject": each.subject, "verdict": each.verdict, "text": each.text} for each in findings
    ]
    typer.echo(json.dumps(listed, ensure_ascii=False, indent=2))
