"""Shares the files of `make test-all` out: one worker takes those that only compute, and gives way.

Files that keep time leave half of each core free, and must not wait for it when they want it. With
files that compute beside them from the beginning, and behind them on the cores, nothing lies idle.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Final

import pytest
from xdist.scheduler import LoadFileScheduling

NICENESS: Final = 5
"""A third of what others get, where all want the cores."""
WORKERS_MIN: Final = 4
"""With fewer there is none to spare."""
KEEPS_TIME: Final = (
    "benchmarks/",
    "calls/",
    "client/",
    "deploy/",
    "e2e/",
    "money/",
    "simulators/",
    "web/",
    "gateway/cli/",
    "gateway/roles/",
    "gateway/sockets/",
)
"""Folders of tests that watch clocks, other processes or browsers."""

_GIVES_WAY = "gives_way"


def keeps_time(test: str) -> bool:
    """Return whether a test, or a file, is one of those that must not wait for the cores."""
    return test.startswith(tuple(f"tests/{folder}" for folder in KEEPS_TIME))


def first_fit(files: Iterable[str], *, gives_way: bool) -> str | None:
    """Return which file a worker takes next; None if it has nothing more to do.

    Who gives way takes no file that keeps time; the others do when nothing else is left.
    """
    files = list(files)
    fitting = [file for file in files if keeps_time(file) is not gives_way]
    return next(iter(fitting if gives_way else [*fitting, *files]), None)


def pytest_configure(config: pytest.Config) -> None:
    """Give way, if this worker is to."""
    if getattr(config, "workerinput", {}).get(_GIVES_WAY):
        os.nice(NICENESS)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell the last worker that it is to give way."""
    number, count = int(node.gateway.id.removeprefix("gw")), node.workerinput["workercount"]
    is_spare = number == count - 1 and count >= WORKERS_MIN
    node.workerinput[_GIVES_WAY] = is_spare and node.config.getoption("thorough")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Share files out so, where some of them keep time."""
    is_so = config.getoption("thorough") and config.getoption("dist") == "loadfile"
    return FilesByKind(config, log) if is_so else None


class FilesByKind(LoadFileScheduling):  # type: ignore[misc]
    """Gives each worker the next file of its kind."""

    def _assign_work_unit(self, node: Any) -> None:
        file = first_fit(self.workqueue, gives_way=node.workerinput[_GIVES_WAY])
        if file is None:
            node.shutdown()
        else:
            self.workqueue.move_to_end(file, last=False)
            super()._assign_work_unit(node)
