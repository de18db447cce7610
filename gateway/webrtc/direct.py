"""Moves WebRTC audio between the port and libsrtp directly, where `_native` is.

It is compiled with the frame path, on Linux only. Without it `UdpPort`, `WebRtcSession` and
`SrtpTransport` do the same for each packet.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pylibsrtp import Error
from pylibsrtp._binding import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from gateway.limits.frame_budget import BudgetLimits
    from gateway.webrtc._native import Line, Owner, Reader
    from gateway.webrtc.srtp import SrtpTransport


CIPHER: Final = "srtp_err_status_t(*)(struct srtp_ctx_t_ *, void *, int *)"
"""What `_native` takes either function for: that of libsrtp 2. The third version has another."""


def _address_of(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


_CIPHERS: Final = [ffi.addressof(lib, name) for name in ("srtp_protect", "srtp_unprotect")]
PROTECT, UNPROTECT = map(_address_of, _CIPHERS)
IS_KNOWN: Final = all(ffi.typeof(cipher).cname == CIPHER for cipher in _CIPHERS)


def begin(native: ModuleType, *, is_known: bool) -> tuple[bool, int]:
    """Let what is written in C use libsrtp; return whether it does, and what it reads at once.

    That is a number of datagrams. Unless the functions of libsrtp are known, Python reads them one
    by one.
    """
    if not is_known:
        return False, 1
    native.use(PROTECT, UNPROTECT, Error)
    return True, int(native.BATCH)


IS_AVAILABLE = False
BATCH = 1
with suppress(ImportError):  # interpreted, or not Linux
    from gateway.webrtc import _native

    IS_AVAILABLE, BATCH = begin(_native, is_known=IS_KNOWN)


def make_reader(
    descriptor: int,
    datagram_bytes_max: int,
    take: Callable[[bytes, Any], None],
    failed: Callable[[Exception], None],
) -> Reader | None:
    """Return a reader of this UDP socket; None where the loop has to read it.

    Args:
        descriptor: Of a non-blocking socket.
        datagram_bytes_max: Longer datagrams are cut to one byte more.
        take: Called with each datagram that no line takes, and its source address.
        failed: Called with what a call raised.

    """
    return _native.Reader(descriptor, datagram_bytes_max, take, failed) if IS_AVAILABLE else None


def make_line(session: Owner, transport: SrtpTransport, limits: BudgetLimits) -> Line | None:
    """Return what carries a session's audio by this transport; None where Python has to.

    `limits` bound what is looked at before it is authenticated.
    """
    if not IS_AVAILABLE:
        return None
    incoming, outgoing = (_address_of(context) for context in transport.contexts)
    return _native.Line(
        session, transport, incoming, outgoing, limits.frame_ns, limits.burst_frames
    )
