"""Runs a role as a child of another process: `python -m gateway ROLE --child`.

Saves such a process the command line's library, some 14 MB. Each role is imported by name.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from gateway.roles import process
from gateway.roles.children import give_step

ROLES: Final = {
    "drain": "gateway.roles.drain",
    "web": "gateway.roles.web",
    "media": "gateway.roles.node",
    "simulate": "gateway.roles.simulate",
    "simulate-payments": "gateway.roles.simulate_payments",
    "simulate-mail": "gateway.roles.simulate_mail",
}
"""Command -> the module whose `work` it runs, imported on demand."""
_WITH_ENVIRON: Final = frozenset({"web", "media"})
"""Roles that read more of the environment than our own settings."""


def _names(text: str) -> Sequence[str]:
    return text.split(",")


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a role to its end; return the exit code."""
    # argparse, because children must not import Typer.
    parser = argparse.ArgumentParser(prog="caller")
    parser.add_argument("role", choices=ROLES)
    # Omitted unless given, so that each role keeps its own default. First, inherited sockets.
    parser.add_argument("--listener", type=int, default=argparse.SUPPRESS)
    parser.add_argument("--smtp-listener", type=int, default=argparse.SUPPRESS)
    # Of processes behind one port: the folder of inboxes, the nodes.
    parser.add_argument("--folder", type=Path, default=argparse.SUPPRESS)
    parser.add_argument("--nodes", type=_names, default=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true")
    options = vars(parser.parse_args(arguments))
    del options["child"]
    # Import this role only: the others' libraries would cost memory.
    name = options.pop("role")
    give_step("imports")
    role = import_module(ROLES[name])
    if name in _WITH_ENVIRON:
        options["environ"] = environ

    async def work() -> None:
        await role.work(process.read_settings(environ), is_child=True, **options)

    try:
        # The reason has already been printed; only the exit code is left.
        process.run(work())
    except process.EndedError as ended:
        return ended.code
    return 0
