"""`caller`, also `python -m gateway`: ends quietly by Ctrl-C from its first moment on."""

from __future__ import annotations

import os
import signal
from types import FrameType

from gateway.errors import EXIT_INTERRUPTED


def main() -> None:
    """Run the program."""
    # A shell's background job is started with the signal ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    # Imported here: most of the first second of a command is imports.
    from gateway.cli import process  # noqa: PLC0415

    process.main()


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Exit at once: nothing is open yet, or any more (`roles.process.run` handles the signal then).

    An exception would be printed as a traceback by whatever was being imported or torn down.
    """
    os._exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
