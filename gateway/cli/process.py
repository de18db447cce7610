"""Starts the program: the command line, or a role that another of our processes started."""

from __future__ import annotations

import gc
import io
import os
import sys

# Imported modules live as long as the process: collecting garbage among them while they load would
# take a sixth of the time until a command's work begins (`roles.process.run`).
gc.disable()
from gateway.roles import children  # noqa: E402

if "--child" in sys.argv:
    # Before the rest is imported: until then a signal would end a child that is needed.
    children.ignore_signals()
    from gateway.roles.child import main as command
elif sys.argv[1:2] == ["supervise"]:
    # `caller serve --media` turns into this one, so that everything imported until then is gone.
    from gateway.roles.machine import main as command
else:
    # Never imported by a child, which is some 14 MB smaller without it.
    from gateway.cli.app import main as command
from gateway.errors import EXIT_CRASHED  # noqa: E402
from gateway.logs import formats  # noqa: E402


def main() -> None:
    """Run what is asked for in this process's environment; log unexpected errors."""
    # If the terminal lacks a character, its escape is written instead.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # Before the command runs: errors in the settings need the right format, too.
    formats.prepare(os.environ)
    formats.take_hooks()
    try:
        code = command(sys.argv[1:], os.environ)
    except Exception as error:
        formats.log_uncaught(error, "command failed")
        # The interpreter itself would exit with 1, which means findings.
        sys.exit(EXIT_CRASHED)
    sys.exit(code)
