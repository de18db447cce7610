"""Starts rivals that relay audio between two sockets, one process each, written the usual way.

They speak the same small protocol on `/media/browser/{n}` and `/media/carrier/{n}`: the carrier leg
sends Twilio's `connected` and `start`, the browser leg receives `accept`, then audio flows;
aiortc's takes the browser's offer first, as the gateway does. They meter nothing, detect no speech
and check no signature.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks import loopback
from benchmarks.dial import Call, open_websocket, start_stream, wait_for
from benchmarks.peers.peer import server_process

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class RunningRelay:
    """A relay that listens on a port."""

    name: str
    port: int
    pid: int

    def dial(self, index: int) -> Call:
        """Connect both legs; the relay says `accept` once it has paired them."""
        stream_sid = f"MZ{index:032x}"
        host = f"{loopback.HOST}:{self.port}"
        # Where the handshake fails, the connections that were made are closed here.
        with (
            loopback.closed_on_error(loopback.connect(self.port)) as browser,
            loopback.closed_on_error(loopback.connect(self.port)) as carrier,
        ):
            open_websocket(browser, host, f"/media/browser/{index}")
            open_websocket(carrier, host, f"/media/carrier/{index}")
            start_stream(
                carrier,
                stream_sid=stream_sid,
                call_sid=f"CA{index:032x}",
                account_sid=f"AC{0:032x}",
                parameters={},
            )
            # Paired: what is sent from here on reaches the other leg.
            wait_for(browser, "accept")
        return Call(browser, carrier, stream_sid)

    def ask_ms(self) -> None:
        """It takes calls only."""

    def processes(self) -> Mapping[str, Sequence[int]]:
        """Return its one process."""
        return {self.name: [self.pid]}


@contextmanager
def running_relay(name: str, command: Sequence[str]) -> Iterator[RunningRelay]:
    """Start a relay that takes its listening socket as file descriptor `{fd}` of `command`."""
    # Listening before the relay runs: to connect can then not come too early.
    with loopback.listen() as listener:
        fd = listener.fileno()
        arguments = [part.replace("{fd}", str(fd)) for part in command]
        # From the tree, for the relays are part of the benchmark and not of the gateway.
        root = str(_HERE.parents[1])
        with server_process(arguments, pass_fds=[fd], cwd=root) as process:
            yield RunningRelay(name, loopback.port_of(listener), process.pid)


class StarlettePeer:
    """A plain relay on Starlette and uvicorn."""

    name: ClassVar[str] = "starlette"
    what: ClassVar[str] = "Starlette on uvicorn, as one writes it"
    warm_up_s: ClassVar[float] = 2.0

    def missing(self) -> str | None:
        """Nothing: all of it is among the gateway's own requirements."""
        return None

    @contextmanager
    def running(self) -> Iterator[RunningRelay]:
        """Start it."""
        command = (sys.executable, "-m", "benchmarks.peers.starlette_relay", "{fd}")
        with running_relay(self.name, command) as relay:
            yield relay


class AiortcPeer:
    """A plain relay of WebRTC to a Media Stream, on aiortc, Starlette and uvicorn."""

    name: ClassVar[str] = "aiortc"
    what: ClassVar[str] = "aiortc on uvicorn, as one writes it"
    warm_up_s: ClassVar[float] = 2.0

    def missing(self) -> str | None:
        """Nothing: all of it is among the requirements of development."""
        return None

    @contextmanager
    def running(self) -> Iterator[RunningRelay]:
        """Start it."""
        command = (sys.executable, "-m", "benchmarks.peers.aiortc_relay", "{fd}")
        with running_relay(self.name, command) as relay:
            yield relay
