"""Hands connections of this process over to another one on the same machine, by a Unix socket.

Never waits: what cannot be handed over is refused at once, and what was not taken is given back. A
parcel is sent while fewer than a window of them are unanswered; others wait in line. Answers come
in the order of sending.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

SENT_MAX = 64
"""Parcels of one node without an answer: fewer than its socket's buffer holds."""
WAITING_MAX = 1024
"""Parcels that wait for these: enough while a node stalls for a second, at a thousand a second."""


class Parcel:
    """One connection to be handed over: its descriptor, and what has been read of it."""

    __slots__ = ("_on_answer", "data", "descriptor", "is_open")

    def __init__(
        self, descriptor: Callable[[], int], data: bytes, on_answer: Callable[[bool], None]
    ) -> None:
        """Make a parcel; `descriptor` returns a negative number where the connection is closing."""
        self.descriptor = descriptor
        self.data = data
        self.is_open = True
        """Whether the descriptor is still the connection's, and its owner waits for the answer."""
        self._on_answer = on_answer

    def withdraw(self) -> None:
        """Forget the connection: it has ended, and its descriptor may be another's by now."""
        self.is_open = False
        self.data = b""

    def answer(self, is_taken: bool) -> None:
        """Tell the owner, once, whether the other process has the connection now."""
        if self.is_open:
            self.withdraw()
            self._on_answer(is_taken)


class Parcels:
    """Those on their way to one process."""

    def __init__(self, sent_max: int = SENT_MAX, waiting_max: int = WAITING_MAX) -> None:
        self._sent_max = sent_max
        self._waiting_max = waiting_max
        self._sent: deque[Parcel] = deque()
        self._waiting: deque[Parcel] = deque()

    def __len__(self) -> int:
        return len(self._sent) + len(self._waiting)

    def enter(self, parcel: Parcel) -> bool:
        """Put a parcel in line; False where too many wait."""
        if len(self._waiting) >= self._waiting_max:
            # Those that have ended meanwhile leave only when their turn comes.
            self._waiting = deque(each for each in self._waiting if each.is_open)
        if len(self._waiting) >= self._waiting_max:
            return False
        self._waiting.append(parcel)
        return True

    def next_to_send(self) -> Parcel | None:
        """Return the parcel whose turn it is, if one may be sent now; it stays in line."""
        waiting = self._waiting
        while waiting and not waiting[0].is_open:
            waiting.popleft()
        return waiting[0] if waiting and len(self._sent) < self._sent_max else None

    def sent(self) -> None:
        """Note that the parcel whose turn it was is on its way."""
        self._sent.append(self._waiting.popleft())

    def answered(self) -> Parcel | None:
        """Return the parcel that an answer is for; None where none is due."""
        return self._sent.popleft() if self._sent else None

    def is_any_sent(self) -> bool:
        """Tell whether an answer is due, so that there will be another turn."""
        return bool(self._sent)

    def fail(self) -> list[Parcel]:
        """Return all parcels, and forget them: the other process is gone."""
        lost = [*self._sent, *self._waiting]
        self._sent.clear()
        self._waiting.clear()
        return lost


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


class NodeDoor:
    """The connection to one node, made when it is needed and again after the node has restarted."""

    def __init__(self, node: str, inbox: Path) -> None:
        """Name the node and its socket `inbox`, which need not exist yet; connects later."""
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
        """Disconnect; connections that were not taken are given back."""
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
            # The callback of an answer may close this door.
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
    """Return a connection to an inbox; None if it is not accepted at once."""
    with contextlib.ExitStack() as stack:
        try:
            way = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            way.setblocking(False)
            way.connect(inbox)
        except OSError:  # not started yet, just died, behind with accepting; no descriptor left
            return None
        stack.pop_all()
        return way
