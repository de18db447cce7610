"""Accepts the connections of a listener, and counts each before anything is done for it.

Event loops can accept by themselves, but report a connection only after its TLS handshake, and
uvloop gives a listener up when descriptors run out.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import socket
import struct
from collections.abc import Callable
from typing import Final

from gateway.limits.turns import Turns
from gateway.nanoseconds import SECOND_NS
from gateway.sockets.engine import MediaEngine
from gateway.sockets.strangers import Stranger
from gateway.sockets.tls import ServerTls

_ACCEPTS_PER_PASS: Final = 16
"""A flood of connections is taken in turns with everything else that the loop has to do."""
_RESETS_PER_PASS: Final = 256
"""Those that are turned away cost a few microseconds each, and would fill the kernel's queue."""
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of socket(7): `close` throws away what is unsent and answers by RST. A connection that
is closed in order stays with the kernel for a minute."""
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
        limits = engine.limits
        self._turns: Turns[asyncio.Future[None]] = Turns(
            limits.handshakes_per_address_max, limits.handshakes_max
        )
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(listener, self._accept_some)

    async def close(self) -> None:
        """Accept nothing more; drop unfinished TLS handshakes; wait for the other connections."""
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
        accepts_left = _ACCEPTS_PER_PASS
        for _ in range(_RESETS_PER_PASS):
            try:
                connection, address = self._listener.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._free_descriptor()
                # accept(2): what is wrong with one connection, or with the network under it, is
                # reported here, and the next one may be sound.
                return
            host = str(address[0])
            if not self._engine.may_connect(host):
                reset(connection)
                continue
            connection.setblocking(False)
            self._welcome(connection, host)
            accepts_left -= 1
            if not accepts_left:
                return

    def _welcome(self, connection: socket.socket, host: str) -> None:
        stranger = self._engine.admit(host, functools.partial(shut, connection))
        # Every other stranger may be waiting for us, and then the newcomer is the one that goes.
        if not stranger.is_in:
            connection.close()
            return
        # The loop holds tasks weakly, and `close` has to wait for these.
        task = self._loop.create_task(self._connect(connection, stranger))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: socket.socket, stranger: Stranger) -> None:
        try:
            # An accepted socket is handed to the loop by a coroutine even without TLS: hence a
            # task.
            if self._tls is None:
                new_protocol = functools.partial(self._new_protocol, stranger)
                await self._loop.connect_accepted_socket(new_protocol, connection)
            # A trusted proxy stands for many clients: their handshakes must not wait for one
            # another.
            elif stranger.source is None:
                await self._shake_hands(connection, stranger, self._tls)
            else:
                source = stranger.source.address
                await self._wait_for_turn(connection, stranger, source)
                try:
                    await self._shake_hands(connection, stranger, self._tls)
                finally:
                    self._give_back(source)
        except (OSError, asyncio.CancelledError):  # no TLS, or not in time: nobody is there to tell
            self._engine.strangers.leave(stranger)

    async def _shake_hands(
        self, connection: socket.socket, stranger: Stranger, tls: ServerTls
    ) -> None:
        limits = self._engine.limits
        await self._loop.connect_accepted_socket(
            functools.partial(self._new_protocol, stranger),
            connection,
            ssl=tls.context,
            ssl_handshake_timeout=limits.handshake_timeout_ns / SECOND_NS,
            ssl_shutdown_timeout=limits.close_timeout_ns / SECOND_NS,
        )

    async def _wait_for_turn(
        self, connection: socket.socket, stranger: Stranger, source: bytes
    ) -> None:
        """Return when the handshake may begin; its place is given back by the caller.

        Raises asyncio.CancelledError where the connection is dropped before that.
        """
        turn = self._loop.create_future()
        if self._turns.take(source, turn):
            return
        # Nothing reads the socket while it waits: shutting it down would not be noticed before its
        # turn, and dropping it has to free its memory now.
        shut = stranger.drop
        stranger.drop = turn.cancel
        try:
            await turn
        except asyncio.CancelledError:
            self._turns.withdraw(source, turn)
            # The place was given to it already: it must not be lost.
            if not turn.cancelled():
                self._give_back(source)
            connection.close()
            raise
        if not stranger.is_in:
            # Dropped in the pass in which its turn came: there was nothing left to cancel.
            self._give_back(source)
            connection.close()
            raise asyncio.CancelledError
        stranger.drop = shut

    def _give_back(self, source: bytes) -> None:
        """Free a place, and let who has waited for it begin."""
        following = self._turns.give_back(source)
        while following is not None:
            source, turn = following
            # One that was dropped in this very pass has not left the line yet.
            if not turn.done():
                turn.set_result(None)
                return
            following = self._turns.give_back(source)

    def _free_descriptor(self) -> None:
        """Let the connection go that matters least; without one, leave the rest to the kernel."""
        # accept(2) fails before the connection is taken from the queue: the listener stays
        # readable, and the loop would ask again without a rest.
        if not self._engine.strangers.drop_one():
            self._loop.remove_reader(self._listener)
            self._pause = self._loop.call_later(_PAUSE_S, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept_some)


def reset(connection: socket.socket) -> None:
    """End a connection without a place for it in the kernel afterwards."""
    with contextlib.suppress(OSError):  # it has ended already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()


def shut(connection: socket.socket) -> None:
    """End a connection whose transport is out of reach; the transport finds that it has ended."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
