"""Defines what the benchmark needs from a server under test."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import ClassVar, Protocol

from benchmarks.dial import Call

STOP_S_MAX = 5.0
"""How long a server may take to stop before it is killed."""
LOG_TAIL_BYTES = 4000


class RunningPeer(Protocol):
    """A server that is up."""

    def dial(self, index: int, /) -> Call:
        """Bring up call `index`, counted from 0, and return both of its legs."""

    def ask_ms(self) -> float | None:
        """Return how long a request beside the calls takes; None for a server that takes none."""

    def processes(self) -> Mapping[str, Sequence[int]]:
        """Return the process ids by part. The part that moves the audio bears the peer's name."""


class Peer(Protocol):
    """A server that can be started."""

    name: ClassVar[str]
    what: ClassVar[str]
    """One line for the reader of the table."""
    warm_up_s: ClassVar[float]
    """Between the last call that comes up and the window."""

    def missing(self) -> str | None:
        """Return what it lacks to run here and how to get it; None when it can run."""

    def running(self) -> AbstractContextManager[RunningPeer]:
        """Start it on the cores of the calling thread, and stop it in the end."""


@contextmanager
def server_process(
    command: Sequence[str],
    *,
    pass_fds: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    cwd: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a process group of its own; in the end stop the group, first politely.

    An exception on its way through takes the end of the server's own output along.
    """
    # A file, not a pipe: a pipe that nobody reads stops the server once it is full.
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            pass_fds=pass_fds,
            env=None if environment is None else dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C reaches the benchmark alone, which then stops its servers in order.
            process_group=0,
        )
        try:
            yield process
        except Exception as error:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - LOG_TAIL_BYTES))
            # Where a server did not start, the reason is in what it wrote last.
            error.add_note(f"{command[0]} wrote:\n{log.read().decode(errors='replace')}")
            raise
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    # Politely first: a gateway that ends in order stops its drainer and its Valkey.
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S_MAX)
    # The group outlives its leader when a child was left behind.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
