"""Starts `caller`, also `python -m gateway`; Ctrl-C ends it quietly from the first moment on."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from gateway.errors import EXIT_INTERRUPTED


def main() -> None:
    """Run the program."""
    # A shell's background job is started with the signal ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    # Imported here: most of the first second of a command is imports.
    from gateway.cli import process  # noqa: PLC0415

    try:
        process.main()
    except SystemExit as end:
        _end(end.code)


def _end(code: str | int | None) -> NoReturn:
    """End the process at once; everything is closed, and tearing modules down takes long."""
    for stream in (sys.stdout, sys.stderr):
        # The reader of the output may have gone.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # As `sys.exit` reads its argument: None is success, a text is a failure.
    os._exit(code if isinstance(code, int) else int(code is not None))


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Exit at once: nothing is open (`roles.process.run` handles the signal in between).

    An exception would be printed as a traceback by whatever was being imported or torn down.
    """
    os._exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
