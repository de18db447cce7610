"""Runs HAProxy as a byte relay: the lowest cost that a server in the middle can have.

It forwards the bytes of the two legs from one connection to the other: no handshake, frame, JSON or
base64. The generator plays both ends, so the carrier leg is accepted, not dialled.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks import loopback
from benchmarks.dial import Call, DialError, receive_exactly
from benchmarks.peers.peer import server_process

_TEMPLATE = Path(__file__).with_name("haproxy.cfg")


@dataclass(frozen=True, slots=True)
class RunningHaproxy:
    """HAProxy between a port and a listener of ours."""

    port: int
    carriers: socket.socket
    pid: int

    def dial(self, index: int) -> Call:
        """Connect one leg and accept the other; a first number proves that they belong together."""
        number = index.to_bytes(4, "big")
        with loopback.closed_on_error(loopback.connect(self.port)) as browser:
            # HAProxy dials the other side by itself: only what is sent through it tells which is
            # which.
            browser.sendall(number)
            with loopback.closed_on_error(loopback.accept(self.carriers)) as carrier:
                if receive_exactly(carrier, len(number)) != number:
                    raise DialError("another connection reached the carrier's listener")
        return Call(browser, carrier, f"MZ{index:032x}")

    def ask_ms(self) -> None:
        """It takes calls only."""

    def processes(self) -> Mapping[str, Sequence[int]]:
        """Return its one process."""
        return {"haproxy": [self.pid]}


class HaproxyPeer:
    """HAProxy in TCP mode."""

    name: ClassVar[str] = "haproxy"
    what: ClassVar[str] = "HAProxy, TCP mode: a byte relay"
    warm_up_s: ClassVar[float] = 2.0

    def missing(self) -> str | None:
        """Say how to get HAProxy."""
        if shutil.which("haproxy"):
            return None
        return "HAProxy is missing: `apt install haproxy` on Debian and Ubuntu."

    @contextmanager
    def running(self) -> Iterator[RunningHaproxy]:
        """Start it with a configuration of its own."""
        with (
            loopback.listen() as listener,
            loopback.listen() as carriers,
            tempfile.TemporaryDirectory(prefix="caller-benchmark-") as directory,
        ):
            configuration = Path(directory) / "haproxy.cfg"
            # Filled in and not formatted: a configuration may hold braces of its own.
            text = _TEMPLATE.read_text()
            text = text.replace("{fd}", str(listener.fileno()))
            text = text.replace("{carrier_port}", str(loopback.port_of(carriers)))
            configuration.write_text(text)
            # `-db` keeps it in the foreground, as one process that can be measured and stopped.
            command = ["haproxy", "-db", "-f", str(configuration)]
            with server_process(command, pass_fds=[listener.fileno()]) as process:
                yield RunningHaproxy(loopback.port_of(listener), carriers, process.pid)
