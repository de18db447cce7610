"""The process that hashes passwords, and checks new ones.

Its parent starts it (`password_process`) with a socket as its standard input, on which requests
arrive. It yields to all other processes, answers as many requests at a time as its argument says,
and ends when its parent closes the socket or dies.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import Final

from accounts.errors import PasswordError
from accounts.password import check_password
from gateway.people.password_hashes import Argon2Hashes
from gateway.people.password_wire import REQUEST, Outcome, Task, answer, context_read

NICENESS: Final = 10
"""A tenth of the weight of what carries audio: on a busy core a hash takes half a second.
With 19, or SCHED_IDLE, it takes ten seconds and more, and no one can sign in."""


class Service:
    """Answers the requests on one socket."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._hashes = Argon2Hashes()
        self._reading, self._writing = threading.Lock(), threading.Lock()

    def run(self) -> None:
        """Answer until the other end is closed."""
        # The other end may be gone by the time an answer is ready.
        with suppress(OSError):
            while True:
                with self._reading:
                    head = self._take(REQUEST.size)
                    if not head:
                        return
                    number, task, stored_bytes, password_bytes = REQUEST.unpack(head)
                    stored, password = self._take(stored_bytes), self._take(password_bytes)
                made = self._answer(number, Task(task), stored, password)
                with self._writing:
                    self._line.sendall(made)

    def _answer(self, number: int, task: Task, stored: bytes, password: bytes) -> bytes:
        if task is Task.HASH:
            made = self._hashes.hash(password)
            outcome = Outcome.FAILED if made is None else Outcome.YES
            return answer(number, outcome, (made or "").encode())
        if task is Task.JUDGE:
            fault = _fault(password, stored)
            return answer(number, Outcome.NO if fault else Outcome.YES, fault.encode())
        is_same = self._hashes.is_of(password, stored.decode(errors="replace"))
        if is_same is None:
            return answer(number, Outcome.FAILED)
        return answer(number, Outcome.YES if is_same else Outcome.NO)

    def _take(self, count: int) -> bytes:
        """Return this many bytes; fewer at the end of the stream."""
        taken = b""
        while len(taken) < count and (more := self._line.recv(count - len(taken))):
            taken += more
        return taken


def _fault(password: bytes, context: bytes) -> str:
    """Return the code of what is wrong with a new password; empty if nothing is."""
    try:
        check_password(password.decode(errors="surrogatepass"), context_read(context))
    except PasswordError as error:
        return error.code
    return ""


def give_way() -> None:
    """Yield to all other processes, and disable core dumps."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICENESS)


def main() -> None:
    """Serve with as many threads as the first argument says."""
    # A service manager signals every process of a service: this one ends with its parent instead.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    give_way()
    service = Service(socket.socket(fileno=0))
    threads = [threading.Thread(target=service.run) for _ in range(int(sys.argv[1]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
