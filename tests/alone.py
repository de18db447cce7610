"""Gives a test that is marked `alone` the machine to itself, whatever other workers run.

It begins once their tests have ended, and they begin none until it has. What it sees is then our
own doing, and is judged without an allowance for what others do.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

_FOLDER = "alone_folder"


def pytest_configure(config: pytest.Config) -> None:
    """Take part in a run as one of its workers, or as who starts them."""
    config.addinivalue_line("markers", "alone: carries many calls in real time")
    config.pluginmanager.register(Turn(config) if hasattr(config, "workerinput") else Turns())


class Turns:
    """Tells the workers of a run where they wait for each other."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker, before it starts."""
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="caller-turns-"))
        node.workerinput[_FOLDER] = str(self._folder)

    def pytest_unconfigure(self) -> None:
        """Leave nothing behind."""
        if self._folder is not None:
            shutil.rmtree(self._folder)


class Turn:
    """Lets the tests of a worker wait."""

    def __init__(self, config: pytest.Config) -> None:
        self._folder = Path(config.workerinput[_FOLDER])  # type: ignore[attr-defined]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Wait before a time limit of the test's own begins."""
        with turn(self._folder, alone=item.get_closest_marker("alone") is not None):
            return (yield)


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Wait until nobody is alone, or until nobody else is there; stay so within the block."""
    with ExitStack() as stack:
        # Who waits to be alone keeps the door meanwhile, so that the others become fewer.
        with _locked(folder / "door", fcntl.LOCK_EX):
            stack.enter_context(_locked(folder / "room", fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
        yield


@contextmanager
def _locked(path: Path, operation: int) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, operation)
        try:
            yield
        finally:
            # Closing it is not enough: a process that a test has forked has it open as well.
            fcntl.flock(file, fcntl.LOCK_UN)
