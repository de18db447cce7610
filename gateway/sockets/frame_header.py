"""Writes WebSocket frame headers (RFC 6455, 5.2), and finds how far a received frame reaches.

Payloads are not checked: a fault found here only means that waiting for the remaining bytes
is pointless, because the protocol library will refuse those that are there.
"""

from __future__ import annotations

import struct
from typing import Final

TEXT_FIN: Final = 0x81
"""First byte of an unfragmented text frame: FIN, no reserved bit, opcode 1."""
BINARY_FIN: Final = 0x82
"""First byte of an unfragmented binary frame: FIN, no reserved bit, opcode 2."""

NEEDS_MORE: Final = 0
"""The header is not complete."""
MALFORMED: Final = -1
"""No continuation of these bytes is acceptable."""

# Opcodes 3 to 7 and 0xB to 0xF are reserved (RFC 6455, 5.2).
_OPCODES: Final = frozenset({0x0, 0x1, 0x2, 0x8, 0x9, 0xA})
_MASK_BYTES: Final = 4


def data_header(first: int, length: int) -> bytes:
    """Return the header of an unmasked server frame in the shortest form, as 5.2 demands."""
    if length < 126:
        return bytes((first, length))
    if length < 1 << 16:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)


def message_bytes(frame: bytes) -> int | None:
    """Return the payload length of a message that we sent; None for anything else we send."""
    if not TEXT_FIN <= frame[0] <= BINARY_FIN:
        return None
    # A server does not mask (5.1), so the second byte is the length and nothing else.
    header_bytes = {126: 4, 127: 10}.get(frame[1], 2)
    return len(frame) - header_bytes


def frame_extent(data: bytes, at: int, payload_bytes_max: int) -> int:
    """Return the bytes of the masked frame that starts at `at`, payload included.

    Returns NEEDS_MORE while its header is incomplete, and MALFORMED as soon as the header has a
    reserved opcode, no mask, or a payload longer than `payload_bytes_max`.
    """
    available = len(data) - at
    if available < 2:
        return NEEDS_MORE
    # Reserved bits and the length of a control frame are not looked at here: the library refuses
    # these once the frame is whole, and `payload_bytes_max` bounds what is kept until then.
    second = data[at + 1]
    if data[at] & 0x0F not in _OPCODES or second < 0x80:
        return MALFORMED
    length = second & 0x7F
    header_bytes = 2
    if length >= 126:
        header_bytes = 4 if length == 126 else 10
        if available < header_bytes:
            return NEEDS_MORE
        length = int.from_bytes(data[at + 2 : at + header_bytes], "big")
    if length > payload_bytes_max:
        return MALFORMED
    return header_bytes + _MASK_BYTES + length
