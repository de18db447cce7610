"""Starts processes of the program as forks of one that has imported it, most of what a start costs.

`Nursery` is for the tests; `python -m tests.calls.forks FD` is the process that forks. A fork is in
all else what `python -m gateway` is: it has its own environment, output, process group and no file
of the test's. Needs pidfds: elsewhere than on Linux programs are started from nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import NoReturn

CAN_FORK = hasattr(os, "pidfd_open")
REQUEST_BYTES_MAX = 200_000
"""More than an environment takes; the kernel's bound of a message."""
IMPORTED = (
    *("gateway.__main__", "gateway.cli.process", "gateway.cli.serve"),
    *("gateway.cli.simulate", "gateway.cli.simulate_payments"),
)
PR_SET_PDEATHSIG = 1


class Fork:
    """A running program, as far as `subprocess.Popen` is asked."""

    def __init__(self, pid: int, status: int, arguments: Sequence[str]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status, self._arguments = status, arguments
        self._reading = threading.Lock()

    def poll(self) -> int | None:
        """Return the exit code, below zero for a signal; None while it runs."""
        return self._read(0)

    def wait(self, timeout_s: float | None = None) -> int:
        """Return the exit code once it has ended. Raises subprocess.TimeoutExpired."""
        code = self._read(timeout_s)
        if code is None:
            raise subprocess.TimeoutExpired(self._arguments, timeout_s or 0)
        return code

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _read(self, timeout_s: float | None) -> int | None:
        with self._reading:
            if self.returncode is None:
                poll = select.poll()
                poll.register(self._status, select.POLLIN)
                if poll.poll(None if timeout_s is None else timeout_s * 1000):
                    # Nothing is said where whoever forked it is gone, and with it all forks.
                    self.returncode = int(os.read(self._status, 16) or -signal.SIGTERM)
        return self.returncode

    def __del__(self) -> None:
        os.close(self._status)


class Nursery:
    """The process that forks, for one process of tests."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.calls.forks", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        atexit.register(self.close)

    def start(self, arguments: Sequence[str], environ: Mapping[str, str], output: int) -> Fork:
        """Start `python -m gateway ARGUMENTS` in a process group of its own."""
        status, theirs = os.pipe()
        try:
            request = json.dumps([arguments, dict(environ)]).encode()
            with self._asking:
                socket.send_fds(self._socket, [request], [output, theirs])
                pid = int(self._socket.recv(16))
        finally:
            os.close(theirs)
        return Fork(pid, status, arguments)

    def close(self) -> None:
        """End it, and with it all that it has forked."""
        self._socket.close()
        self._process.wait()


@functools.cache
def nursery() -> Nursery:
    """Return this process's."""
    return Nursery()


# -- the process that forks ------------------------------------------------------------------------


def serve(requests: socket.socket) -> None:
    """Fork for each request, and tell of each end, until nobody can ask any more."""
    running: dict[int, tuple[int, int]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd in running:
                    selector.unregister(key.fd)
                    tell_end(key.fd, *running.pop(key.fd))
                    continue
                request, descriptors, *_ = socket.recv_fds(requests, REQUEST_BYTES_MAX, 2)
                if not request:
                    return
                output, status = descriptors
                pid = os.fork()
                if not pid:
                    become(*json.loads(request), output)
                os.close(output)
                ending = os.pidfd_open(pid)
                running[ending] = pid, status
                selector.register(ending, selectors.EVENT_READ)
                requests.send(str(pid).encode())


def tell_end(ending: int, pid: int, status: int) -> None:
    """Say how a fork has ended."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    # Whoever started it may have forgotten it.
    with contextlib.suppress(BrokenPipeError):
        os.write(status, str(code).encode())
    os.close(status)
    os.close(ending)


def become(arguments: Sequence[str], environ: Mapping[str, str], output: int) -> NoReturn:
    """Be the program, in the fork."""
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    for number in (1, 2):
        os.dup2(output, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(environ)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main = importlib.import_module("gateway.__main__")
    sys.argv = [str(main.__file__), *arguments]
    try:
        main.main()
    finally:
        os._exit(1)


def begin(number: int) -> None:
    """Import what forks need, and serve."""
    # Ctrl-C is for whoever asks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in IMPORTED:
        importlib.import_module(name)
    importlib.import_module("gateway.call.number").load_numbering_plans()
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=number) as requests:
        serve(requests)


if __name__ == "__main__":
    begin(int(sys.argv[1]))
