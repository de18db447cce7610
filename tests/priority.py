"""Who goes first on the cores that all tests share: what keeps time before what only counts."""

from __future__ import annotations

import contextlib
import os
import shutil

NICENESS = 10


def at_once(command: list[str]) -> list[str]:
    """Return what runs this command ahead of others; where that is not allowed, as any other."""
    return _nice(-NICENESS, command) if os.geteuid() == 0 else command


def later(command: list[str]) -> list[str]:
    """Return what runs this command behind others."""
    return _nice(NICENESS, command)


def hurry(pid: int) -> None:
    """Let the main thread of a process go ahead of others, where that is allowed."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, -NICENESS)


def _nice(niceness: int, command: list[str]) -> list[str]:
    nice = shutil.which("nice")
    return [nice, "-n", str(niceness), *command] if nice else command
