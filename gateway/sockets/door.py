"""Hands connections of this process over to another one on the same machine, by a Unix socket.

Never waits: what cannot be handed over is refused at once, and what was not taken is given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Final

import structlog

from gateway.sockets.parcel import Parcel, Parcels

log = structlog.get_logger(__name__)

TAKEN: Final = b"\x01"
"""A process's answer to a parcel: the connection is its own now."""
NOT_TAKEN: Final = b"\x00"
"""The descriptor did not arrive."""
DATA_BYTES_MAX: Final = 64 * 1024
"""What may have been read of a connection: a head with a body of 32 KiB, as the carrier never sends
it. A larger packet might not fit into the buffer of the socket."""
_ANSWERS_PER_PASS: Final = 64


def inbox_of(folder: Path, node: str) -> Path:
    """Return where a node takes connections over."""
    return folder / f"{node}.sock"


class Door:
    """The way to one node. Connects when it is needed, and again when the node has started anew."""

    def __init__(self, node: str, inbox: Path) -> None:
        """Make the way to what listens, or will listen, at `inbox`; it opens nothing yet."""
        self._node = node
        self._inbox = str(inbox)
        self._parcels = Parcels()
        self._socket: socket.socket | None = None
        self._is_away = False

    def hand_over(self, parcel: Parcel) -> None:
        """Send a connection to the node; the parcel is answered, perhaps at once."""
        if not (self._is_connected() and self._parcels.enter(parcel)):
            parcel.answer(False)
            return
        self._send_some()

    def is_open(self) -> bool:
        """Tell whether the node takes connections: its process lives, and serves."""
        return self._is_connected()

    def close(self) -> None:
        """Close the way; what has not been taken is given back."""
        self._disconnect()

    def _is_connected(self) -> bool:
        if self._socket is not None:
            return True
        way = _connect(self._inbox)
        if way is None:
            # Once, however many come: anybody can ask.
            if not self._is_away:
                self._is_away = True
                log.warning("node takes no connections", node=self._node)
            return False
        if self._is_away:
            self._is_away = False
            log.info("node takes connections again", node=self._node)
        self._socket = way
        asyncio.get_running_loop().add_reader(way, self._read_answers)
        return True

    def _send_some(self) -> None:
        while (parcel := self._parcels.next_to_send()) is not None and self._socket is not None:
            descriptor = parcel.descriptor()
            # Closed, its number may be another connection's in a moment.
            if descriptor < 0:
                parcel.withdraw()
                continue
            try:
                socket.send_fds(self._socket, [parcel.data], [descriptor])
            except (BlockingIOError, InterruptedError):
                # The next answer makes room. Without one to come, nothing else would.
                if not self._parcels.is_any_sent():
                    self._disconnect()
                return
            except OSError:
                self._disconnect()
                return
            self._parcels.sent()

    def _read_answers(self) -> None:
        for _ in range(_ANSWERS_PER_PASS):
            # Whoever is told of an answer may close the way.
            if self._socket is None:
                return
            try:
                answer = self._socket.recv(1)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                answer = b""
            parcel = self._parcels.answered() if answer else None
            if parcel is None:
                self._disconnect()
                return
            parcel.answer(answer == TAKEN)
        self._send_some()

    def _disconnect(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        for parcel in self._parcels.fail():
            parcel.answer(False)


def _connect(inbox: str) -> socket.socket | None:
    """Return a connection to an inbox; None where nobody takes it at once."""
    with contextlib.ExitStack() as stack:
        try:
            way = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            way.setblocking(False)
            way.connect(inbox)
        except OSError:  # not started yet, just died, behind with accepting; no descriptor left
            return None
        stack.pop_all()
        return way
