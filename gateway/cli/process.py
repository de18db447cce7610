"""The command line as a process: its environment, its log, and the code that it ends with."""

from __future__ import annotations

import gc
import os
import sys

# What is imported lives as long as the process: to look for garbage among it again and again, as it
# grows, is an eighth of the time until the first command runs.
gc.disable()
from gateway.roles import children  # noqa: E402

if "--child" in sys.argv:
    # Before the rest is imported: until then a signal would end a child that is needed.
    children.ignore_signals()
import typer  # noqa: E402

from gateway.cli.app import app  # noqa: E402
from gateway.cli.command import USAGE_ERROR, complain  # noqa: E402
from gateway.errors import EXIT_CRASHED, EXIT_FINDINGS, EXIT_SETTINGS  # noqa: E402
from gateway.logs import formats  # noqa: E402

gc.enable()


def main() -> None:
    """Run the command line with this process's environment; log what no command expected."""
    formats.prepare(os.environ)
    formats.take_hooks()
    # Typer tells a wrong option as a drawing; where lines are for machines it is left to us.
    is_drawn = not formats.is_json()
    try:
        code = app(
            obj=dict(os.environ),
            prog_name="caller",
            args=sys.argv[1:],
            standalone_mode=is_drawn,
        )
    except USAGE_ERROR as error:
        complain(error.format_message(), "`caller --help` lists commands and options.")
        sys.exit(EXIT_SETTINGS)
    except typer.Abort:
        sys.exit(EXIT_FINDINGS)
    except Exception as error:
        formats.tell_uncaught(error, "The command failed: a bug of the program.")
        # The interpreter itself would end with 1, which says that something was found.
        sys.exit(EXIT_CRASHED)
    sys.exit(code)
