"""Assembles the command line from its commands.

Each command is a module that is imported only when it is used, so that none loads what only another
needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from gateway.cli.command import USAGE_ERROR, complain
from gateway.errors import EXIT_FINDINGS, EXIT_SETTINGS
from gateway.logs import formats
from gateway.roles.process import EndedError
from gateway.roles.release import release
from gateway.roles.simulators import require_simulators


class CommandEntry(NamedTuple):
    """Where a command is, and what the help says of it."""

    module: str
    """The module of its `app`."""
    summary: str
    """The first paragraph of its own help: what lists the commands imports none of them."""
    is_simulator: bool = False
    """Runs one of the simulated services, which are a package of their own."""


COMMANDS: Final = {
    "serve": CommandEntry(
        "gateway.cli.serve",
        "Run the gateway: pages, API, webhooks and media on one port; or one of its roles.",
    ),
    "demo": CommandEntry(
        "gateway.cli.demo",
        "Run everything at once, with a simulated phone network and an account with credit.",
    ),
    "setup": CommandEntry(
        "gateway.cli.setup",
        "Prepare the first real call: ask, try every answer, write the settings file.",
    ),
    "check": CommandEntry(
        "gateway.cli.check",
        "Check the settings, connect to Redis, SQL and the carrier, and report weaknesses.",
    ),
    "drain": CommandEntry(
        "gateway.cli.drain",
        "Drain the credit store's outbox into the SQL book of record until stopped.",
    ),
    "simulate": CommandEntry(
        "gateway.cli.simulate",
        "Run the simulated carrier: Twilio's REST API, webhooks and Media Streams, with phones.",
        is_simulator=True,
    ),
    "simulate-payments": CommandEntry(
        "gateway.cli.simulate_payments",
        "Run the simulated payment service: Stripe's API, a page to pay on, webhooks."
        " No money moves.",
        is_simulator=True,
    ),
    "simulate-mail": CommandEntry(
        "gateway.cli.simulate_mail",
        "Run the simulated mail server: takes every mail, and shows it on a page."
        " Nothing is sent on.",
        is_simulator=True,
    ),
    "settings": CommandEntry(
        "gateway.cli.settings",
        "Print the reference of all settings as Markdown.",
    ),
    "accounts": CommandEntry(
        "gateway.cli.accounts",
        "Accounts, their keys, credit and limits.",
    ),
    "calls": CommandEntry(
        "gateway.cli.calls",
        "The live calls of all nodes.",
    ),
    "nodes": CommandEntry(
        "gateway.cli.nodes",
        "The nodes: whether they take calls, and what they log.",
    ),
    "top": CommandEntry(
        "gateway.cli.top",
        "Show live calls, nodes and alarms of all processes; read-only.",
    ),
    "fraud": CommandEntry(
        "gateway.cli.fraud",
        "The rules of admission, and exceptions.",
    ),
    "rates": CommandEntry(
        "gateway.cli.rates",
        "Rate decks: prices by the longest prefix of the number.",
    ),
    "ledger": CommandEntry(
        "gateway.cli.ledger",
        "Statements, audit and recovery of the ledger.",
    ),
    "payments": CommandEntry(
        "gateway.cli.payments",
        "Payments by card, refunds and disputes.",
    ),
    "webhooks": CommandEntry(
        "gateway.cli.webhooks",
        "Where events of an account are posted, and what became of them.",
    ),
    "requests": CommandEntry(
        "gateway.cli.requests",
        "What people asked for about their data, and what is due.",
    ),
    "retention": CommandEntry(
        "gateway.cli.retention",
        "Delete data that have passed their retention period.",
    ),
}
"""The commands by their names, in the order of the help."""


class _Commands(TyperGroup):
    """The commands, each imported when it is used."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names without importing anything."""
        # In the order of the table; click would sort them by name.
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Return what the help and the completion say of a command; None if it does not exist."""
        command = COMMANDS.get(cmd_name)
        return None if command is None else TyperCommand(cmd_name, help=command.summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name of the command that is to run, the command, and its arguments."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and _command(found.name), rest


@cache
def _command(name: str) -> Any:
    if COMMANDS[name].is_simulator:
        require_simulators()
    command = _built(import_module(COMMANDS[name].module).app)
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
    # Already explained.
    except EndedError as ended:
        return ended.code
    # Raised when a question is answered with no.
    except typer.Abort:
        return EXIT_FINDINGS
