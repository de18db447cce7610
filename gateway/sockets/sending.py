"""Sends for a media socket: writes at once, or queues what the peer does not read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable

import structlog

from gateway.connection_counters import ConnectionCounters
from gateway.sockets import direct
from gateway.sockets.addresses import peer_of
from gateway.sockets.counters import EngineCounters
from gateway.sockets.frame_header import (
    BINARY_FIN,
    TEXT_FIN,
    data_header,
    message_bytes,
)
from gateway.sockets.limits import MediaLimits
from gateway.sockets.phase import RULES, Phase
from gateway.sockets.send_queue import SendQueue

if sys.platform == "linux":
    import fcntl
    import termios

log = structlog.get_logger(__name__)


class Sending(asyncio.Protocol):
    """Everything that goes out of one connection, in order and within bounds.

    Audio goes straight to the kernel. When the kernel's buffer is full, or holds more than the
    peer should be behind, audio waits in a short queue that forgets its oldest; control waits in
    full behind it.

    The socket derives from it, so that a frame out touches one object.
    """

    __slots__ = (
        "_audio_clear",
        "_bytes_out",
        "_clock_ns",
        "_counters",
        "_deadline_ns",
        "_descriptor",
        "_engine_counters",
        "_limits",
        "_messages_out",
        "_phase",
        "_queue",
        "_rules",
        "_transport",
        "_writes_directly",
        "peer",
    )

    # What a frame out touches comes first, and so lies side by side where this is compiled: with
    # hundreds of sockets, each line of memory is fetched again for each frame.
    _audio_clear: bool
    _writes_directly: bool
    _descriptor: int
    _messages_out: int
    _bytes_out: int

    _transport: asyncio.Transport
    _counters: ConnectionCounters
    peer: str

    def __init__(
        self, limits: MediaLimits, clock_ns: Callable[[], int], engine_counters: EngineCounters
    ) -> None:
        self._limits = limits
        self._clock_ns = clock_ns
        self._engine_counters = engine_counters
        self._queue = SendQueue(limits.audio_messages_waiting_max)
        self._phase = Phase.OPENING
        self._rules = RULES[Phase.OPENING]
        self._deadline_ns = 0  # of a phase that has one
        self._audio_clear = False  # the phase and the queue let audio be written at once
        self._descriptor = -1  # of the connection while it is known
        self._writes_directly = False  # frames may be written past the transport
        self._messages_out = 0
        self._bytes_out = 0
        self._counters = ConnectionCounters()
        self.peer = ""

    @property
    def phase(self) -> Phase:
        """The phase of the connection."""
        return self._phase

    # What a leg calls.

    def send_audio_binary(self, payload: bytes) -> None:
        """Send audio in a binary message; dropped, oldest first, when the peer does not read."""
        self._send_audio(BINARY_FIN, payload)

    def send_audio_text(self, payload: bytes) -> None:
        """Send audio in a text message; dropped, oldest first, when the peer does not read."""
        self._send_audio(TEXT_FIN, payload)

    def send_text(self, *payloads: bytes) -> None:
        """Send control texts: kept in order, never dropped; a peer that never reads is aborted."""
        frames = [data_header(TEXT_FIN, len(payload)) + payload for payload in payloads]
        if not self._rules.sends:
            return
        # All that a call tells in its second leaves in one write. Held audio does not matter here:
        # it would wait in the queue, which would then not be free.
        if self._queue.is_free:
            data = b"".join(frames)
            # What the kernel does not take goes to the transport, which keeps it and pauses us:
            # from then on everything waits in the queue, so that neither way of writing overtakes
            # the other.
            rest = direct.send_data(self._descriptor, data) if self._writes_directly else data
            if rest is not None:
                self._transport.write(rest)
            for frame in frames:
                self._count_out(frame)
            return
        for frame in frames:
            self._send_control(frame)

    def abort(self) -> None:
        """Drop the connection at once, with all that waits."""
        if self._phase is not Phase.LOST:
            # First, because leaving a phase sends what waits.
            self._queue.clear()
            self._leave_open(Phase.DRAINING)
            self._transport.abort()

    # What the transport calls.

    def pause_writing(self) -> None:
        """Queue frames from now on: the kernel's buffer is full."""
        self._queue.stop()
        self._update_clearance()

    def resume_writing(self) -> None:
        """Send what waits: the transport has handed everything to the kernel."""
        self._queue.go()
        self._send_waiting()

    # What the sweep calls.

    def check_congestion(self) -> None:
        """Hold audio back while the kernel has too much that the peer has not acknowledged."""
        if self._rules.sends:
            self.judge_unsent(self._unsent_bytes())

    def judge_unsent(self, unsent_bytes: int) -> None:
        """Hold audio back beyond the limit, until half of that is left of what is unsent."""
        bytes_max = self._limits.unsent_bytes_max
        queue = self._queue
        if queue.holds_audio:
            # Half the limit, or audio would be held and let go with each acknowledgement.
            if unsent_bytes < bytes_max // 2:
                queue.holds_audio = False
                self._send_waiting()
        elif unsent_bytes > bytes_max:
            queue.holds_audio = True
            self._update_clearance()

    # What the receiving half calls.

    def _take_transport(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        # No buffering by the transport: it writes at once, and pauses us as soon as the kernel
        # takes only a part. Then, and only then, frames wait here, where they can be dropped.
        # With uvloop this costs what a write(2) of our own would: 3.8 us for 164 bytes on loopback.
        # TLS pauses at its limit, not above it, so that 0 would pause it while it is empty. Below
        # is a TCP transport out of reach, which takes 64 KiB before it pauses: seconds of audio;
        # the watch on unsent bytes holds audio back long before.
        is_tls = transport.get_extra_info("sslcontext") is not None
        transport.set_write_buffer_limits(high=int(is_tls), low=0)
        peer = peer_of(transport)
        if peer is not None:
            host = f"[{peer[0]}]" if ":" in peer[0] else peer[0]
            self.peer = f"{host}:{peer[1]}"
        connection = transport.get_extra_info("socket")
        # Closed, or a peer that has gone already, which makes these fail: then the descriptor stays
        # unknown, all goes through the transport, and that reports the end.
        if connection is None:
            return
        with contextlib.suppress(OSError):
            connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_SNDBUF, self._limits.send_buffer_bytes
            )
            # Nagle's algorithm would keep a frame back until the one before it is acknowledged.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._descriptor = connection.fileno()
            self._writes_directly = direct.IS_AVAILABLE and not is_tls

    def _send_control(self, frame: bytes) -> None:
        """Write a frame that may not be dropped, or keep it behind what waits."""
        if not self._rules.speaks:
            return
        queue = self._queue
        if queue.is_free:
            self._transport.write(frame)
            self._count_out(frame)
            return
        queue.add_control(frame)
        self._update_clearance()
        # Control may not be dropped, and memory is bounded: so the connection has to go.
        if queue.control_bytes > self._limits.control_bytes_waiting_max:
            self._engine_counters.stalled += 1
            log.warning("media peer does not read, aborted", peer=self.peer)
            self.abort()

    def _enter(self, phase: Phase) -> None:
        assert phase in self._rules.followers, (self._phase, phase)
        self._phase = phase
        self._rules = RULES[phase]

    def _leave_open(self, phase: Phase) -> None:
        """Enter `phase`, and let go of audio that was held back.

        In `Phase.ENDING` the end of the stream follows it.
        """
        self._enter(phase)
        self._queue.holds_audio = False
        self._deadline_ns = self._clock_ns() + self._limits.close_timeout_ns
        self._send_waiting()

    def _end_stream(self) -> None:
        """Half-close.

        The peer closes in its turn. Closing both ways here, with input unread, would reset the
        connection and could take our last words from the peer (RFC 9112, 9.6).
        """
        self._enter(Phase.DRAINING)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _forget_transport(self) -> None:
        self._enter(Phase.LOST)
        # The kernel gives the number to the next connection: nothing may be written to it here.
        self._descriptor = -1
        self._writes_directly = False
        self._audio_clear = False
        self._queue.clear()

    # Our own.

    def _send_audio(self, first: int, payload: bytes) -> None:
        length = len(payload)
        # One flag covers phase, queue and held audio: this runs for every frame of every call.
        if not self._audio_clear:
            if self._rules.sends:
                frame = data_header(first, length) + payload
                self._counters.audio_dropped += self._queue.add_audio(frame)
                self._update_clearance()
            return
        if self._writes_directly:
            rest = direct.send_frame(self._descriptor, first, payload)
            # Through the transport, not the queue: the rest of a frame that has begun may not be
            # dropped.
            if rest is not None:
                self._transport.write(rest)
        else:
            self._transport.write(data_header(first, length) + payload)
        self._messages_out += 1
        self._bytes_out += length

    def _send_waiting(self) -> None:
        """Write what waits, in order, until the transport pauses us or audio must wait on."""
        queue = self._queue
        while (frame := queue.pop()) is not None:
            self._transport.write(frame)
            self._count_out(frame)
        self._update_clearance()
        # The half-close has to follow the last frame, whether that leaves now or when the peer
        # reads again; every way out of the queue ends here.
        if self._phase is Phase.ENDING and not queue:
            self._end_stream()

    def _count_out(self, frame: bytes) -> None:
        # Control frames of the protocol pass here too, and are no messages.
        payload_bytes = message_bytes(frame)
        if payload_bytes is not None:
            self._messages_out += 1
            self._bytes_out += payload_bytes

    def _update_clearance(self) -> None:
        queue = self._queue
        self._audio_clear = queue.is_free and not queue.holds_audio and self._rules.sends

    def _unsent_bytes(self) -> int:
        """Return SIOCOUTQ, tcp(7): bytes written and not acknowledged; 0 where it is unknown."""
        if sys.platform != "linux":
            return 0
        try:
            unsent = fcntl.ioctl(self._descriptor, termios.TIOCOUTQ, bytes(4))
        except (OSError, ValueError):  # it has failed, and is about to say so
            return 0
        return int.from_bytes(unsent, sys.byteorder)
