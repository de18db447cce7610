"""The command line: what an operator types.

Each command is a module, imported when it is typed: a node runs some of them as processes of its
own, and none of these carries what only another needs.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

COMMANDS: Final = {
    "serve": "gateway.cli.serve",
    "demo": "gateway.cli.demo",
    "check": "gateway.cli.check",
    "drain": "gateway.cli.drain",
    "simulate": "gateway.cli.simulate",
    "simulate-payments": "gateway.cli.simulate_payments",
    "settings": "gateway.cli.settings",
    "accounts": "gateway.cli.accounts",
    "rates": "gateway.cli.rates",
    "ledger": "gateway.cli.ledger",
    "payments": "gateway.cli.payments",
}
"""Command -> the module whose `app` it is, in the order of the help."""


class _Commands(TyperGroup):
    """The commands, each imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names, without an import."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Return a command; None for one that does not exist."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = get_command(import_module(module).app)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"caller {_version()}")
        raise typer.Exit


def _version() -> str:
    try:
        return metadata.version("caller")
    except metadata.PackageNotFoundError:
        return "(sources that are not installed)"


@app.callback()
def caller(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """A phone call behind a button on a web page: the gateway between browsers and phones."""
