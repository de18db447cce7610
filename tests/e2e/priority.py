"""Sound is made in real time: what plays it goes before the other tests on the same cores."""

from __future__ import annotations

import contextlib
import os
import shutil

NICENESS = -10


def at_once(command: list[str]) -> list[str]:
    """Return what runs this command ahead of others; where that is not allowed, as any other."""
    nice = shutil.which("nice") if os.geteuid() == 0 else None
    return [nice, "-n", str(NICENESS), *command] if nice else command


def hurry(pid: int) -> None:
    """Let the main thread of a process go ahead of others, where that is allowed."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
