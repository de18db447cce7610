"""Assembles the command line from its commands.

Each command is a module that is imported only when it is used, so that none loads what only another
needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

from gateway.cli.command import USAGE_ERROR, complain
from gateway.errors import EXIT_FINDINGS, EXIT_SETTINGS
from gateway.logs import formats
from gateway.roles.release import release

COMMANDS: Final = {
    "serve": "gateway.cli.serve",
    "demo": "gateway.cli.demo",
    "setup": "gateway.cli.setup",
    "check": "gateway.cli.check",
    "drain": "gateway.cli.drain",
    "simulate": "gateway.cli.simulate",
    "simulate-payments": "gateway.cli.simulate_payments",
    "simulate-mail": "gateway.cli.simulate_mail",
    "settings": "gateway.cli.settings",
    "accounts": "gateway.cli.accounts",
    "calls": "gateway.cli.calls",
    "nodes": "gateway.cli.nodes",
    "top": "gateway.cli.top",
    "fraud": "gateway.cli.fraud",
    "rates": "gateway.cli.rates",
    "ledger": "gateway.cli.ledger",
    "payments": "gateway.cli.payments",
    "webhooks": "gateway.cli.webhooks",
    "requests": "gateway.cli.requests",
    "retention": "gateway.cli.retention",
}
"""Command -> the module of its `app`, in the order of the help."""


class _Commands(TyperGroup):
    """The commands, each imported when it is used."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names without importing anything."""
        # In the order of the table; click would sort them by name.
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Return a command; None if it does not exist."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        # Listing all commands in the help also calls this, and imports them all.
        return _command(cmd_name, module)


@cache
def _command(name: str, module: str) -> Any:
    command = _built(import_module(module).app)
    command.name = name
    return command


def _built(typed: typer.Typer) -> Any:
    """Return a command that runs without Pydantic, which is 6 MB of a process.

    Typer asks it what None means for the flags that it adds itself: about help and completion.
    """
    command = get_command(typed)
    for option in (*command.params, command.get_help_option(typer.Context(command))):
        if option is not None and option.default is None and getattr(option, "is_flag", False):
            option.default = False
    return command


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    # Typer's own tracebacks show local variables, which hold keys and secrets.
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"caller {release()}")
        raise typer.Exit


@app.callback()
def caller(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """A phone call behind a button on a web page: the gateway between browsers and phones."""


def _is_utf8(argument: str) -> bool:
    # Python reads other bytes as lone surrogates (PEP 383), which no store can look for.
    return not any("\ud800" <= char <= "\udfff" for char in argument)


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> Any:
    """Run a command; return the exit code."""
    if not all(map(_is_utf8, arguments)):
        complain("An argument is not UTF-8.", "Write it in UTF-8.")
        return EXIT_SETTINGS
    # Typer draws a box around a usage error; with JSON log lines we write a plain line instead.
    is_drawn = not formats.is_json()
    try:
        return _built(app)(
            # Passed on as the context's object, so that nothing below reads `os.environ`.
            obj=dict(environ),
            prog_name="caller",
            args=list(arguments),
            standalone_mode=is_drawn,
        )
    except USAGE_ERROR as error:
        complain(error.format_message(), "`caller --help` lists commands and options.")
        return EXIT_SETTINGS
    # Raised when a question is answered with no.
    except typer.Abort:
        return EXIT_FINDINGS
