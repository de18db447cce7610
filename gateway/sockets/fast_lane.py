"""Implements a media WebSocket on an asyncio transport, with a fast path for audio frames.

A complete, unfragmented, masked data frame within the size limit is unmasked and delivered right
here. Everything else (opening handshake, control frames, fragments, faults) goes frame by frame
to the sans-I/O core of `websockets`, so conformance to RFC 6455 is the library's (`library`).

Where `_native` was compiled, it does the same for sockets that are open and without TLS; what it
does not take arrives here as if the transport had read it.

`phase` says what each phase allows, `sending` does what goes out, `receive_bounds` limits what
comes in. There is no timer: deadlines, keepalive and congestion are checked in the engine's sweep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, cast

import structlog
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request

from gateway.connection_counters import ConnectionCounters
from gateway.limits.frame_budget import FLOODED
from gateway.ports import Refusal, Router
from gateway.sockets.counters import EngineCounters
from gateway.sockets.direct import DirectReader, DirectReading
from gateway.sockets.frame_header import (
    BINARY_FIN,
    MALFORMED,
    NEEDS_MORE,
    TEXT_FIN,
    frame_extent,
)
from gateway.sockets.library import Library, is_utf8
from gateway.sockets.limits import MediaLimits
from gateway.sockets.opening import OpeningHandshake, answer, refuse, with_fields
from gateway.sockets.phase import Phase, Reads
from gateway.sockets.receive_bounds import Due, ReceiveBounds, due_now
from gateway.sockets.sending import Sending
from gateway.sockets.strangers import PeerStatus

try:
    from websockets.speedups import apply_mask
except ImportError:  # pragma: no cover - no C extension for this platform
    from websockets.utils import apply_mask

log = structlog.get_logger(__name__)

_OUR_FAULT: Final = Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error.")
_FULL: Final = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "No place is free. Try again later.", {"Retry-After": "5"}
)


def _ignore(_: Any) -> None:
    """Stand in for a callable that a leg has not plugged in, or has withdrawn."""


class MediaSocket(Sending):
    """One media connection; implements `gateway.ports.MediaConnection`."""

    __slots__ = (
        "_arrived_ns",
        "_bounds",
        "_held",
        "_library",
        "_message_bytes_max",
        "_on_binary",
        "_on_fast_path",
        "_on_text",
        "_opening",
        "_pinged_ns",
        "_reading",
        "_rosters",
        "_router",
        "_status",
        "on_close",
    )

    _on_text: Callable[[bytes], None]
    _on_binary: Callable[[bytes], None]
    on_close: Callable[[int], None]

    def __init__(
        self,
        router: Router,
        limits: MediaLimits,
        clock_ns: Callable[[], int],
        engine_counters: EngineCounters,
        reader: DirectReader,
        *rosters: set[Any],
        status: PeerStatus,
    ) -> None:
        """Make a socket that enters itself into each of `rosters` while its connection lasts."""
        super().__init__(limits, clock_ns, engine_counters)
        self._router = router
        self._status = status
        self._rosters = rosters
        self._message_bytes_max = limits.message_bytes_max
        self._reading = DirectReading(reader)
        self._bounds = ReceiveBounds(limits, clock_ns, self._reading)
        self._library = Library(limits.message_bytes_max)
        self._opening: OpeningHandshake | None = OpeningHandshake(
            self._library.protocol, limits.head_bytes_max, status.answer_fields
        )
        self._on_fast_path = False  # the phase delivers, and no fragmented message is in progress
        self._held = b""  # the beginning of an incomplete frame
        self._arrived_ns = 0  # of the last frame that went to the library
        self._pinged_ns = 0
        self._on_text = self._on_binary = self.on_close = _ignore

    # The leg's callables, which the direct reader holds too.

    @property
    def on_text(self) -> Callable[[bytes], None]:
        """Called with each complete text message."""
        return self._on_text

    @on_text.setter
    def on_text(self, on_text: Callable[[bytes], None]) -> None:
        self._on_text = on_text
        self._reading.ask_again()

    @property
    def on_binary(self) -> Callable[[bytes], None]:
        """Called with each complete binary message."""
        return self._on_binary

    @on_binary.setter
    def on_binary(self, on_binary: Callable[[bytes], None]) -> None:
        self._on_binary = on_binary
        self._reading.ask_again()

    @property
    def counters(self) -> ConnectionCounters:
        """What the connection has carried so far."""
        counters = self._counters
        counters.messages_out = self._messages_out
        counters.bytes_out = self._bytes_out
        self._reading.take_counts(counters)
        return counters

    # The transport's calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; from now on the engine bounds how long the handshake may take."""
        self._take_transport(cast("asyncio.Transport", transport))  # uvloop's is one by shape only
        for roster in self._rosters:
            roster.add(self)
        self._status.arrive(self.peer, self.abort)

    def data_received(self, data: bytes) -> None:
        """Deliver the data frames in `data`; hand everything else to the library."""
        if self._held:
            # At most the beginning of one frame, so this copies no more than a frame and a
            # read.
            data = self._held + data
            self._held = b""
        size = len(data)
        at = 0
        counters = self._counters
        try:
            while at < size:
                # Two bytes of header, four of mask, and at least one of payload: an empty frame
                # goes to the library, where it is counted as idle.
                if self._on_fast_path and size - at > 6:
                    first = data[at]
                    length = data[at + 1] - 0x80  # negative when the frame is not masked
                    mask_at = at + 2
                    if length > 125:
                        # A 64-bit length is left to the library: it is over the limit, or padded.
                        length = (data[at + 2] << 8 | data[at + 3]) if length == 126 else 0
                        mask_at = at + 4
                    payload_at = mask_at + 4
                    end = payload_at + length
                    if (
                        TEXT_FIN <= first <= BINARY_FIN
                        and 0 < length <= self._message_bytes_max
                        and end <= size
                    ):
                        # A handler below may close or abort: what follows is then read as its phase
                        # asks.
                        at = end
                        # Judged by its header, before an excess frame costs any work.
                        verdict = self._bounds.spend(1 + (length >> 10))
                        if verdict:
                            self.frames_dropped(1, verdict == FLOODED)
                            continue
                        payload = apply_mask(data[payload_at:end], data[mask_at:payload_at])
                        counters.messages_in += 1
                        counters.bytes_in += length
                        counters.last_in_ns = self._clock_ns()
                        if first == BINARY_FIN:
                            self._on_binary(payload)
                        elif payload.isascii() or is_utf8(payload):
                            self._on_text(payload)
                        else:
                            self._fail(CloseCode.INVALID_DATA, "invalid UTF-8")
                        continue
                at = self._take_slowly(data, at)
        except Exception as error:  # a leg's fault ends its own connection, not the process
            self.handler_failed(error)

    def eof_received(self) -> bool:
        """Let the transport close: the peer will send nothing more."""
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget the transport and report the end, if it has not been reported."""
        self._reading.end(self._transport, self._counters)
        self._forget_transport()
        self._on_fast_path = False
        self._held = b""
        for roster in self._rosters:
            roster.discard(self)
        self._status.leave(self)
        self._library.release()
        self._report_close(CloseCode.ABNORMAL_CLOSURE)

    # The direct reader's calls.

    @property
    def takes_frames(self) -> bool:
        """Whether the next byte begins a frame that may be delivered as it is."""
        return self._on_fast_path and not self._held

    def peer_ended(self) -> None:
        """Let the transport find the end of the stream."""
        # It reads the end, or the failure, once more, so that `connection_lost` gets the same
        # as where there is no poller.
        self._reading.end(self._transport, self._counters)

    def frames_dropped(self, count: int, is_flooded: bool, /) -> None:
        """Count frames beyond the peer's budget; end the connection if they go on."""
        self._engine_counters.excess_frames += count
        if is_flooded:
            self._end_flood("frame budget exceeded")

    def handler_failed(self, error: Exception) -> None:
        """End the connection whose leg failed."""
        log.error("media handler failed", peer=self.peer, exc_info=error)
        self._engine_counters.handler_faults += 1
        # The loop was left in the midst of what had been read: the next byte begins no frame.
        self._held = b""
        if self._rules.speaks:
            self._fail(CloseCode.INTERNAL_ERROR, "")

    # Closing.

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Start the closing handshake; the socket is aborted if the peer does not answer it.

        Messages that arrive from now on are not delivered. A `reason` longer than a close frame
        can carry is cut.
        """
        if self._phase is Phase.OPEN:
            # The library makes the close frame first, and what waits in the queue is sent before it
            # is: messages behind a close frame would be ignored (RFC 6455, 5.5.1).
            self._library.close(code, reason)
            self._leave_open(Phase.CLOSING)
            self._flush()

    def mark_authenticated(self) -> None:
        """Count the peer as authenticated from now on: no stranger's arrival can drop it."""
        self._status.mark_authenticated(self)

    def shutdown(self) -> None:
        """Close because the server goes away; an HTTP server calls this on its connections."""
        if self._phase is Phase.OPENING:
            self.abort()
        self.close(CloseCode.GOING_AWAY)

    # The slow way in.

    def _take_slowly(self, data: bytes, at: int) -> int:
        """Take what starts at `at` and is no plain data frame; return where the next thing starts.

        An incomplete frame is held until the rest arrives, unless its header is already at fault:
        then the library gets all of it, to refuse it at once.
        """
        reads = self._rules.reads
        if reads is Reads.HANDSHAKE:
            return self._take_opening(data, at)
        if reads is Reads.NOTHING:
            self._discard(len(data) - at)
            return len(data)
        # The library counts the fragments it has seen of a message against the limit.
        seen_bytes = self._library.fragment_bytes
        extent = frame_extent(data, at, self._message_bytes_max - (seen_bytes or 0))
        end = len(data) if extent is MALFORMED else at + extent
        if extent is NEEDS_MORE or end > len(data):
            # The extent is within the limit, so what is held is too.
            self._held = data[at:]
            return len(data)
        # An honest peer sends on until it has read our close frame. Its plain frames are dropped by
        # their header and cost what plain frames cost, so they are no flood.
        is_whole_message = extent is not MALFORMED and seen_bytes is None
        if reads is Reads.CLOSE and is_whole_message and TEXT_FIN <= data[at] <= BINARY_FIN:
            if verdict := self._bounds.spend(1 + (end - at >> 10)):  # it goes nowhere either way
                self.frames_dropped(1, verdict == FLOODED)
            return end
        # What is no plain frame cannot be left out, so that only a flood ends it. It costs more.
        if self._bounds.spend(2 + (end - at >> 10)) == FLOODED:
            self._end_flood("frame budget exceeded")
        else:
            self._hand_over(data[at:end])
        return end

    def _take_opening(self, data: bytes, at: int) -> int:
        assert self._opening is not None
        taken, request = self._opening.receive(data[at:])
        if request is not None:
            self._answer(request)
            return at + taken
        if self._opening.last_words:
            self._send_control(self._opening.last_words)
        self._flush()
        return at + taken

    def _answer(self, request: Request) -> None:
        """Answer a complete opening handshake, and let the router's choice attach itself."""
        # The head is complete in any case; a refused socket has the deadline of ENDING.
        self._status.answer()
        protocol = self._library.protocol
        acceptance = None
        try:
            response, acceptance = answer(protocol, request, self._router, self.peer)
        except Exception:  # the router's fault refuses one handshake
            log.exception("media router failed", peer=self.peer)
            self._engine_counters.handler_faults += 1
            response = refuse(protocol, _OUR_FAULT)
        if acceptance is not None:
            # The place is taken before the 101 is written, which cannot be taken back.
            if not self._status.open(self, acceptance.peer, acceptance.is_authenticated):
                acceptance = None
                response = refuse(protocol, _FULL)
            elif acceptance.peer:
                self.peer = acceptance.peer
        if acceptance is None:
            with_fields(response, self._status.answer_fields)
        protocol.send_response(response)
        if acceptance is None:
            self._flush()
            return
        self._enter(Phase.OPEN)
        self._on_fast_path = True
        self._engine_counters.opened += 1
        self._counters.last_in_ns = self._clock_ns()
        self._flush()
        self._library.release()
        self._opening = None
        self._update_clearance()
        if self._writes_directly:
            # Frames that came with the head are taken first: the loop that called us goes on with
            # them before the poller looks at the socket.
            self._reading.begin(self._transport, self._descriptor, self, self._message_bytes_max)
        # Last: a leg may send, close or mark itself authenticated from here on.
        acceptance.attach(self)

    def _hand_over(self, frame: bytes) -> None:
        """Let the library judge one frame, then perform what it asks for."""
        self._arrived_ns = self._clock_ns()
        for accepted in self._library.judge(frame):
            self._take_frame(accepted)
        self._flush()

    def _take_frame(self, frame: Frame) -> None:
        """Deliver a data frame that the library found acceptable; count an idle one."""
        is_control = frame.opcode in {Opcode.PING, Opcode.PONG}
        if (is_control or not frame.data) and self._bounds.has_many_idle(self._arrived_ns):
            self._end_flood("too many control frames")
        elif not is_control and self._rules.reads is Reads.FRAMES:
            self._deliver(frame)

    def _deliver(self, frame: Frame) -> None:
        try:
            message = self._library.assemble(frame)
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, "invalid UTF-8")
            return
        self._on_fast_path = not self._library.is_within_message
        if message is None:
            return
        is_text, payload = message
        counters = self._counters
        counters.messages_in += 1
        counters.bytes_in += len(payload)
        counters.last_in_ns = self._arrived_ns
        if is_text:
            self._on_text(payload)
        else:
            self._on_binary(payload)

    # What ends a connection.

    def _end_flood(self, reason: str) -> None:
        """Fail the connection, and read nothing more of it: it may send on until it is aborted."""
        if self._rules.speaks:
            self._engine_counters.floods += 1
            log.warning("media peer flooded, closed", peer=self.peer, reason=reason)
            self._fail(CloseCode.POLICY_VIOLATION, reason)
            # Straight beyond the bound, so that nothing more of this peer is read.
            self._discard(self._limits.discarded_bytes_max + 1)

    def _discard(self, size: int) -> None:
        """Count bytes that are thrown away; beyond the bound, read no more until the abort."""
        if self._bounds.discard(size) and not self._transport.is_closing():
            self._transport.pause_reading()

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Fail the connection (RFC 6455, 7.1.7) for what the library does not see."""
        self._library.fail(code, reason)
        self._flush()

    def _flush(self) -> None:
        """Send what the library has ready; an empty item means the end of what we send."""
        for data in self._library.ready():
            if data:
                self._send_control(data)
            elif self._rules.speaks:
                self._finish()

    def _finish(self) -> None:
        """End the stream behind everything that waits, and report the end."""
        self._leave_open(Phase.ENDING)
        if self._library.is_refused:
            self._engine_counters.refused += 1
        else:
            self._report_close(self._library.close_code())

    def _leave_open(self, phase: Phase) -> None:
        self._on_fast_path = False
        self._reading.end(self._transport, self._counters)
        super()._leave_open(phase)

    def _report_close(self, code: int) -> None:
        """Call `on_close` once, and let go of the leg."""
        # Exchanged before the call: whatever the leg does, it hears of the end once, and is not
        # kept alive by a socket that still drains.
        on_close = self.on_close
        self.on_text = self.on_binary = self.on_close = _ignore
        try:
            on_close(int(code))
        except Exception:
            log.exception("media close handler failed", peer=self.peer)
            self._engine_counters.handler_faults += 1

    # What the sweep calls.

    def check(self, now_ns: int) -> None:
        """Watch a peer that does not read; ping a silent one; abort one that is gone."""
        if self._phase is Phase.OPEN:
            self.check_congestion()
            self._library.rest()
            self.keepalive(now_ns)
        elif self._rules.has_deadline and now_ns >= self._deadline_ns:
            self.abort()

    def keepalive(self, now_ns: int) -> None:
        """Ping a peer that has been silent for long; abort one that answers no ping."""
        # Frames that went to the library, and those that did not, each have their own time.
        arrived_ns = max(self._arrived_ns, self.counters.last_in_ns)
        due = due_now(self._limits, now_ns, arrived_ns, self._pinged_ns)
        if due is Due.PING:
            self._pinged_ns = now_ns
            self._library.ping()
            self._flush()
        elif due is Due.ABORT:
            self._engine_counters.unanswered += 1
            self.abort()
