"""A program in a terminal of its own, and a person who waits for a prompt before typing."""

import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_CONTROLLED = """
import fcntl, os, sys, termios
# `getpass` asks the controlling terminal, not standard input.
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])
"""

PATIENCE_S = 30.0
"""A hang fails the test; nothing is judged by it."""
PRESS_AGAIN_S = 3.0
"""How long a key is waited for, that is pressed again then."""


class Terminal:
    """Runs `caller` on a pseudo-terminal that is its controlling one; a context manager."""

    def __init__(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        folder: Path,
        module: str = "gateway",
    ) -> None:
        self._ours, theirs = pty.openpty()
        search = os.pathsep.join(filter(None, sys.path))
        plain = {name: v for name, v in os.environ.items() if not name.startswith("CALLER_")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CONTROLLED, module, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={**plain, "PYTHONPATH": search, "COLUMNS": "400", "TERM": "dumb", **environ},
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""
        """All that the terminal has shown, what was typed visibly included."""
        self._read_to = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def expect(self, text: str) -> None:
        """Wait until a text is shown, behind what was waited for before."""
        until = time.monotonic() + PATIENCE_S
        while (found := self.shown.find(text, self._read_to)) < 0:
            is_alive = time.monotonic() < until and self._read()
            assert is_alive, f"no {text!r} in:\n{self.shown}"
        self._read_to = found + len(text)

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._ours, text.encode(errors="surrogateescape") + b"\n")

    def press(self, key: bytes) -> None:
        """Press one key, such as Ctrl-C (0x03), again where nothing happens.

        An interpreter that is about to read the terminal notices a signal only when it has read.
        """
        until = time.monotonic() + PATIENCE_S
        before = len(self.shown)
        while len(self.shown) <= before + len(b"^C\r\n") and time.monotonic() < until:
            os.write(self._ours, key)
            while self._read(PRESS_AGAIN_S):
                pass
            if self.process.poll() is not None:
                return

    def echoes(self) -> bool:
        """Tell whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self._ours)[3] & termios.ECHO)

    def end(self) -> int:
        """Wait for the program's end; return its exit code."""
        while self._read():
            pass
        return self.process.wait(PATIENCE_S)

    def _read(self, patience_s: float = PATIENCE_S) -> bool:
        if not select.select([self._ours], [], [], patience_s)[0]:
            return False
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # EIO: the program has closed its side.
            return False
        self.shown += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)
