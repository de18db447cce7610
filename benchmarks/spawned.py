"""Runs clients in a process of their own, which say what they have counted whenever asked."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import get_context
from typing import Any


class Spawned:
    """A process that runs a function with one end of a pipe, and more.

    The function sends something once all its clients are connected, and an answer for each thing
    that comes by the pipe.
    """

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        """Start it, and wait until it is ready. Raises EOFError where it dies before."""
        # Spawned, so that it shares nothing with the threads here.
        context = get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
        self._process.start()
        # Nobody else holds that end: its death is noticed.
        theirs.close()
        self._ours.recv()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process.pid is not None
        return self._process.pid

    def ask(self) -> Any:
        """Return what it has counted. Raises EOFError, OSError where it has died."""
        self._ours.send(None)
        return self._ours.recv()

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.join()
