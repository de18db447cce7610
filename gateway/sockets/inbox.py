"""Takes over connections that another process of the machine has accepted.

Each is counted before anything is done for it, as `Acceptor` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.sockets.acceptor import reset, shut
from gateway.sockets.door import DATA_BYTES_MAX, NOT_TAKEN, TAKEN
from gateway.sockets.engine import MediaEngine
from gateway.sockets.strangers import Stranger

_PARCELS_PER_PASS: Final = 16
"""Taken in turns with everything else that the loop has to do: with the frames of calls above all.
What waits meanwhile is bounded by the window of who sends it."""
_WAYS_MAX: Final = 8
"""Processes that hand connections over at once: one, and those before it that end still."""

_PAUSE_S: Final = 0.1
"""How long no process is accepted when descriptors have run out and no stranger holds one."""


class Inbox:
    """A Unix socket at which connections arrive."""

    def __init__(
        self,
        path: Path,
        engine: MediaEngine,
        new_protocol: Callable[[Stranger, bytes], asyncio.Protocol],
    ) -> None:
        """Listen from now on, on the running loop.

        Args:
            path: Where, in a folder that only this user may enter; what an earlier process has left
                there is replaced.
            engine: Counts strangers, and has the limits of time.
            new_protocol: Makes the protocol of a connection, of which these bytes were read.

        Raises:
            OSError: the path cannot be bound.

        """
        self._engine = engine
        self._new_protocol = new_protocol
        self._loop = asyncio.get_running_loop()
        self._path = path
        self._pause: asyncio.TimerHandle | None = None
        self._ways: set[socket.socket] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._listener.setblocking(False)
            path.unlink(missing_ok=True)
            self._listener.bind(str(path))
            self._listener.listen(_WAYS_MAX)
        except OSError:
            self._listener.close()
            raise
        self._loop.add_reader(self._listener, self._accept)

    async def close(self) -> None:
        """Take nothing more over; wait until what was taken has its protocol."""
        if self._pause is None:
            self._loop.remove_reader(self._listener)
        else:
            self._pause.cancel()
        self._path.unlink(missing_ok=True)
        self._listener.close()
        for way in tuple(self._ways):
            self._lose(way)
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _accept(self) -> None:
        try:
            way, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            # No descriptor left: the listener stays readable, and the loop would ask again without
            # a rest.
            if not self._engine.strangers.drop_one():
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(_PAUSE_S, self._resume)
            return
        if len(self._ways) >= _WAYS_MAX:
            way.close()
            return
        way.setblocking(False)
        self._ways.add(way)
        self._loop.add_reader(way, self._take_some, way)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)

    def _take_some(self, way: socket.socket) -> None:
        for _ in range(_PARCELS_PER_PASS):
            try:
                data, descriptors, _, _ = socket.recv_fds(
                    way, DATA_BYTES_MAX, 1, socket.MSG_CMSG_CLOEXEC
                )
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data = b""
                descriptors = []
            if not data:
                self._lose(way)
                return
            # recvmsg(2) drops a descriptor that finds no place. Its sender still has it.
            if not descriptors:
                self._engine.strangers.drop_one()
            # If it has gone meanwhile, it gets no answer; its connection is ours all the same.
            with contextlib.suppress(OSError):
                way.send(TAKEN if descriptors else NOT_TAKEN)
            for descriptor in descriptors:
                self._welcome(socket.socket(fileno=descriptor), data)

    def _lose(self, way: socket.socket) -> None:
        self._loop.remove_reader(way)
        self._ways.discard(way)
        way.close()

    def _welcome(self, connection: socket.socket, data: bytes) -> None:
        try:
            host = str(connection.getpeername()[0])
        except (OSError, IndexError):  # it has ended already
            connection.close()
            return
        if not self._engine.may_connect(host):
            reset(connection)
            return
        connection.setblocking(False)
        stranger = self._engine.admit(host, functools.partial(shut, connection))
        # Every other stranger may be waiting for us, and then the newcomer is the one that goes.
        if not stranger.is_in:
            connection.close()
            return
        # The loop holds tasks weakly, and `close` has to wait for these.
        task = self._loop.create_task(self._connect(connection, stranger, data))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: socket.socket, stranger: Stranger, data: bytes) -> None:
        new_protocol = functools.partial(self._new_protocol, stranger, data)
        try:
            await self._loop.connect_accepted_socket(new_protocol, connection)
        except (OSError, asyncio.CancelledError):  # nobody is there to tell
            self._engine.strangers.leave(stranger)
