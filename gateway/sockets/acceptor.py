"""Accepts the connections of a listener: each is counted before anything is done for it.

Event loops accept by themselves, but say nothing of a connection before its TLS handshake is done,
and uvloop gives a listener up when descriptors run out. Knows no protocol above TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import socket
from collections.abc import Callable
from typing import Final

from gateway.nanoseconds import SECOND_NS
from gateway.sockets.engine import MediaEngine
from gateway.sockets.strangers import Stranger
from gateway.sockets.tls import ServerTls

_ACCEPTS_PER_PASS: Final = 16
"""A flood of connections is taken in turns with everything else that the loop has to do."""
_PAUSE_S: Final = 0.1
"""How long nothing is accepted when descriptors have run out and no stranger holds one."""
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor:
    """Makes protocols for the connections of one listening socket."""

    def __init__(
        self,
        listener: socket.socket,
        engine: MediaEngine,
        new_protocol: Callable[[Stranger], asyncio.Protocol],
        tls: ServerTls | None = None,
    ) -> None:
        """Accept from now on, on the running loop.

        Args:
            listener: Not blocking; closed by `close`.
            engine: Counts strangers, and has the limits of time.
            new_protocol: Makes the protocol of a connection, after its TLS handshake if there is
                one. The protocol has to set `drop` when its connection is made, and to tell the
                engine when the stranger leaves.
            tls: Certificate of the port; without one it speaks plainly.

        """
        self._listener = listener
        self._engine = engine
        self._new_protocol = new_protocol
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(listener, self._accept_some)

    async def close(self) -> None:
        """Accept nothing more; drop whose TLS handshake goes on, and let the others have begun."""
        if self._pause is None:
            self._loop.remove_reader(self._listener)
        else:
            self._pause.cancel()
        self._listener.close()
        if self._tls is not None:
            for task in self._connecting:
                task.cancel()
        # One without TLS has its protocol in no time. uvloop answers a cancellation by closing the
        # handle under a protocol that may have its connection by then, and is never told.
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _accept_some(self) -> None:
        for _ in range(_ACCEPTS_PER_PASS):
            try:
                connection, address = self._listener.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._free_descriptor()
                # accept(2): what is wrong with one connection, or with the network under it, is
                # reported here, and the next one may be sound.
                return
            connection.setblocking(False)
            self._welcome(connection, str(address[0]))

    def _welcome(self, connection: socket.socket, host: str) -> None:
        stranger = self._engine.admit(host, functools.partial(_shut, connection))
        if not stranger.is_in:
            connection.close()
            return
        task = self._loop.create_task(self._connect(connection, stranger))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: socket.socket, stranger: Stranger) -> None:
        limits, new_protocol = self._engine.limits, functools.partial(self._new_protocol, stranger)
        try:
            if self._tls is None:
                await self._loop.connect_accepted_socket(new_protocol, connection)
            else:
                await self._loop.connect_accepted_socket(
                    new_protocol,
                    connection,
                    ssl=self._tls.context,
                    ssl_handshake_timeout=limits.handshake_timeout_ns / SECOND_NS,
                    ssl_shutdown_timeout=limits.close_timeout_ns / SECOND_NS,
                )
        except (OSError, asyncio.CancelledError):  # no TLS, or not in time: nobody is there to tell
            self._engine.strangers.leave(stranger)

    def _free_descriptor(self) -> None:
        """Let the connection go that matters least; without one, leave the rest to the kernel."""
        if not self._engine.strangers.drop_one():
            self._loop.remove_reader(self._listener)
            self._pause = self._loop.call_later(_PAUSE_S, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept_some)


def _shut(connection: socket.socket) -> None:
    """End a connection whose transport is out of reach; the transport finds that it has ended."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
