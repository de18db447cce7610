"""Starts `caller-remote`, also `python -m caller_client`; Ctrl-C ends it quietly."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

from caller_client.remote.failures import EXIT_CRASHED, EXIT_INTERRUPTED


def main() -> None:
    """Run the program."""
    # A shell's background job is started with the signal ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    # Imported here: most of the time of a command is imports.
    from caller_client.remote import shell  # noqa: PLC0415

    # Either is None where its descriptor is closed.
    out, err = sys.stdout or io.StringIO(), sys.stderr or io.StringIO()
    for stream in (out, err):
        # Where the terminal has no such letters, they are written as their numbers.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = shell.run(sys.argv[1:], os.environ, out, err)
    except Exception:
        traceback.print_exc()
        # The interpreter itself would end with 1, which says that something was found.
        code = EXIT_CRASHED
    # Who reads the output may have gone.
    with contextlib.suppress(OSError):
        out.flush()
    _end(code)


def _end(code: int) -> NoReturn:
    """End at once: the interpreter would try again to write what nobody reads."""
    os._exit(code)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Exit at once: nothing has to be put in order.

    An exception would be printed as a traceback by whatever was being imported.
    """
    _end(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
