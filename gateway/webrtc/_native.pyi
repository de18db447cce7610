"""Types of `_native.c`, which is there where it was compiled."""

from collections.abc import Callable
from typing import Protocol

from gateway.webrtc.host import Address

BATCH: int
"""Datagrams that one `read` takes."""

class Owner(Protocol):
    """Whose audio a line carries; `_native.c` says when it is called."""

    def take_packet(
        self, payload_type: int, sequence: int, timestamp: int, payload: bytes, now_ns: int, /
    ) -> None: ...
    def packet_refused(self, status: int, /) -> None: ...

class Line:
    """Carries the audio of one session."""

    def __init__(
        self,
        session: Owner,
        transport: object,
        incoming: int,
        outgoing: int,
        frame_ns: int,
        burst_frames: int,
        /,
    ) -> None: ...
    @property
    def excess(self) -> int: ...
    def hear(self, ssrc: int, /) -> None: ...
    def aim(self, descriptor: int, address: Address, /) -> None: ...
    def send(
        self, type_and_marker: int, sequence: int, timestamp: int, ssrc: int, payload: bytes, /
    ) -> bool: ...
    def close(self) -> None: ...

class Reader:
    """Reads one UDP socket."""

    def __init__(
        self,
        descriptor: int,
        datagram_bytes_max: int,
        take: Callable[[bytes, Address], None],
        failed: Callable[[Exception], None],
        /,
    ) -> None: ...
    def read(self, now_ns: int, /) -> int: ...
    def route(self, address: Address, line: Line | None, /) -> None: ...
    def close(self) -> None: ...

def use(protect: int, unprotect: int, error: type[Exception], /) -> None: ...
