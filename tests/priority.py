"""Who goes first on the cores that all tests share: what keeps time before what only counts."""

from __future__ import annotations

import contextlib
import os
import shutil

NICENESS = 10


def at_once(command: list[str]) -> list[str]:
    """Return what runs this command ahead of others; where that is not allowed, as any other."""
    nice = shutil.which("nice")
    if nice is None or os.geteuid() != 0:
        return command
    return [nice, "-n", str(-NICENESS), *command]


def hurry(pid: int) -> None:
    """Let the main thread of a process go ahead of others, where that is allowed."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, -NICENESS)
