"""Reads and writes STUN binding requests and responses, as far as an ICE-lite agent needs them.

RFC 8489 (STUN) and RFC 8445 (ICE): short-term credentials, SHA-1 integrity. Input is
untrusted: nothing here raises, and nothing is trusted before its integrity has been verified.
"""

from __future__ import annotations

import hmac
import struct
from binascii import crc32
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

COOKIE: Final = b"\x21\x12\xa4\x42"
"""The magic cookie, bytes 4 to 7 of every message (RFC 8489 section 5)."""
HEADER_BYTES: Final = 20
MESSAGE_BYTES_MAX: Final = 1280
"""RFC 8489 section 6.1 keeps messages below the path MTU; this is the smallest one of IPv6."""

ATTRIBUTES_MAX: Final = 32
"""The checks of RFC 8445 section 7.1 have six; a message with more than this is not read."""

BINDING_REQUEST: Final = b"\x00\x01"
BINDING_SUCCESS: Final = b"\x01\x01"
BINDING_ERROR: Final = b"\x01\x11"

# RFC 8489 section 18.3, RFC 8445 section 16.1.
USERNAME: Final = 0x0006
MESSAGE_INTEGRITY: Final = 0x0008
ERROR_CODE: Final = 0x0009
UNKNOWN_ATTRIBUTES: Final = 0x000A
XOR_MAPPED_ADDRESS: Final = 0x0020
PRIORITY: Final = 0x0024
USE_CANDIDATE: Final = 0x0025
FINGERPRINT: Final = 0x8028
ICE_CONTROLLED: Final = 0x8029
ICE_CONTROLLING: Final = 0x802A

ROLE_CONFLICT: Final = 487
"""Error code: both agents claim the same role (RFC 8445 section 7.3.1.1)."""
UNKNOWN_ATTRIBUTE: Final = 420
"""Error code: the request relies on attributes that are not understood here."""

_UNDERSTOOD: Final = frozenset({USERNAME, MESSAGE_INTEGRITY, PRIORITY, USE_CANDIDATE})
_COMPREHENSION_OPTIONAL: Final = 0x8000
"""Attributes from here on may be ignored (RFC 8489 section 14)."""

_INTEGRITY_BYTES: Final = 4 + 20
_FINGERPRINT_BYTES: Final = 4 + 4
_FINGERPRINT_XOR: Final = 0x5354554E
_PORT_XOR: Final = 0x2112
_IPV4 = 1
_IPV6 = 2
_USERNAME_BYTES_MAX: Final = 513
"""RFC 8445 section 5.3 bounds a fragment to 256 characters; a colon joins two."""

Address = tuple[str, int]
"""Host and port, as the first two fields of a socket address."""


@dataclass(frozen=True, slots=True)
class BindingRequest:
    """A connectivity check whose integrity is verified."""

    transaction_id: bytes
    local_ufrag: str
    """The fragment of the agent addressed: ours."""
    remote_ufrag: str
    use_candidate: bool
    priority: int | None
    is_controlling: bool
    """False if the sender claims the controlled role, which is ours."""
    unknown: tuple[int, ...] = ()
    """Attributes that must be understood and are not: the reply is UNKNOWN_ATTRIBUTE."""


def is_stun(datagram: bytes) -> bool:
    """Distinguish STUN from DTLS and RTP by first byte (RFC 7983 section 7) and cookie."""
    return len(datagram) >= HEADER_BYTES and datagram[0] < 4 and datagram[4:8] == COOKIE


def username_of(datagram: bytes) -> str | None:
    """Return the unverified USERNAME, `local_ufrag:remote_ufrag`; None if not a request."""
    attributes = _attributes(datagram, BINDING_REQUEST)
    return None if attributes is None else _username(datagram, attributes)


def read_request(datagram: bytes, password: bytes) -> BindingRequest | None:
    """Return a valid request that was made with this password, or None."""
    attributes = _attributes(datagram, BINDING_REQUEST)
    if attributes is None or not _is_intact(datagram, attributes, password):
        return None
    username = _username(datagram, attributes)
    if username is None:
        return None
    # Ours comes first: a check names the agent it is sent to (RFC 8445 section 7.2.2).
    local_ufrag, _, remote_ufrag = username.partition(":")
    priority = attributes.get(PRIORITY)
    if priority is not None and len(priority) != 4:
        return None
    return BindingRequest(
        transaction_id=datagram[8:HEADER_BYTES],
        local_ufrag=local_ufrag,
        remote_ufrag=remote_ufrag,
        use_candidate=USE_CANDIDATE in attributes,
        priority=None if priority is None else _number(datagram, priority),
        # Without either attribute the sender is taken for the controlling agent, as a lite agent
        # may expect of every full one.
        is_controlling=ICE_CONTROLLED not in attributes,
        unknown=tuple(
            kind
            for kind in attributes
            if kind < _COMPREHENSION_OPTIONAL and kind not in _UNDERSTOOD
        ),
    )


def binding_success(request: BindingRequest, address: Address, password: bytes) -> bytes:
    """Return the response that tells the sender the source address of its request."""
    mapped = _xor_address(address, request.transaction_id)
    body = _attribute(XOR_MAPPED_ADDRESS, mapped)
    return _message(BINDING_SUCCESS, request.transaction_id, body, password)


def binding_error(request: BindingRequest, code: int, reason: str, password: bytes) -> bytes:
    """Return an error response; with the unknown attributes if it is about them."""
    # RFC 8489 section 14.8: the hundreds and the rest of the code in a byte each.
    number = struct.pack("!HBB", 0, *divmod(code, 100))
    body = _attribute(ERROR_CODE, number + reason.encode())
    if code == UNKNOWN_ATTRIBUTE:
        kinds = b"".join(kind.to_bytes(2, "big") for kind in request.unknown)
        body += _attribute(UNKNOWN_ATTRIBUTES, kinds)
    return _message(BINDING_ERROR, request.transaction_id, body, password)


def binding_request(
    username: str,
    password: bytes,
    *,
    transaction_id: bytes,
    priority: int,
    use_candidate: bool,
    tie_breaker: int,
    is_controlling: bool = True,
) -> bytes:
    """Return the connectivity check of a full agent (RFC 8445 section 7.1)."""
    role = ICE_CONTROLLING if is_controlling else ICE_CONTROLLED
    body = _attribute(USERNAME, username.encode())
    body += _attribute(PRIORITY, priority.to_bytes(4, "big"))
    body += _attribute(role, tie_breaker.to_bytes(8, "big"))
    if use_candidate:
        body += _attribute(USE_CANDIDATE, b"")
    return _message(BINDING_REQUEST, transaction_id, body, password)


def read_success(datagram: bytes, password: bytes, transaction_id: bytes) -> Address | None:
    """Return the mapped address of a valid success response to this transaction, or None."""
    attributes = _attributes(datagram, BINDING_SUCCESS)
    if attributes is None or datagram[8:HEADER_BYTES] != transaction_id:
        return None
    mapped = attributes.get(XOR_MAPPED_ADDRESS)
    if mapped is None or not _is_intact(datagram, attributes, password):
        return None
    return _read_xor_address(datagram[mapped.start : mapped.stop], transaction_id)


# -- attributes ----------------------------------------------------------------------------------


def _attributes(datagram: bytes, message_type: bytes) -> dict[int, range] | None:
    """Return where the value of each attribute lies; None if the framing is wrong.

    Of a repeated attribute the first counts (RFC 8489 section 14); of those after MESSAGE-INTEGRITY
    only FINGERPRINT does (section 14.5).
    """
    size = len(datagram)
    if not is_stun(datagram) or datagram[:2] != message_type or size > MESSAGE_BYTES_MAX:
        return None
    # A datagram is one message: what has more, or less, than its header says is not STUN.
    if int.from_bytes(datagram[2:4], "big") != size - HEADER_BYTES or size % 4:
        return None
    attributes: dict[int, range] = {}
    at = HEADER_BYTES
    # Bounded before any integrity is known: anybody can send this.
    for _ in range(ATTRIBUTES_MAX + 1):
        # A value that reaches beyond the end leaves `at` there too, and is refused.
        if at >= size:
            return attributes if at == size else None
        kind, length = struct.unpack_from("!HH", datagram, at)
        start = at + 4
        # Values are padded to 32 bits; `length` does not count the padding.
        at = start + length + -length % 4
        if MESSAGE_INTEGRITY not in attributes or kind == FINGERPRINT:
            attributes.setdefault(kind, range(start, start + length))
    return None


def _is_intact(datagram: bytes, attributes: dict[int, range], password: bytes) -> bool:
    """Check MESSAGE-INTEGRITY, and FINGERPRINT if present (RFC 8489 14.5, 14.7)."""
    integrity = attributes.get(MESSAGE_INTEGRITY)
    if integrity is None or len(integrity) != _INTEGRITY_BYTES - 4:
        return False
    expected = _integrity(datagram[: integrity.start - 4], password)
    # In constant time, or a forger could find the right code byte by byte.
    if not hmac.compare_digest(datagram[integrity.start : integrity.stop], expected):
        return False
    fingerprint = attributes.get(FINGERPRINT)
    if fingerprint is None:
        return True
    is_last = fingerprint.stop == len(datagram) and len(fingerprint) == _FINGERPRINT_BYTES - 4
    return is_last and _number(datagram, fingerprint) == _fingerprint(
        datagram[:-_FINGERPRINT_BYTES]
    )


def _username(datagram: bytes, attributes: dict[int, range]) -> str | None:
    where = attributes.get(USERNAME)
    if where is None or len(where) > _USERNAME_BYTES_MAX:
        return None
    username = datagram[where.start : where.stop]
    return username.decode("ascii") if username.isascii() and b":" in username else None


def _number(datagram: bytes, where: range) -> int:
    return int.from_bytes(datagram[where.start : where.stop], "big")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _message(message_type: bytes, transaction_id: bytes, body: bytes, password: bytes) -> bytes:
    """Return a whole message with integrity and fingerprint."""
    message = message_type + len(body).to_bytes(2, "big") + COOKIE + transaction_id + body
    message += _attribute(MESSAGE_INTEGRITY, _integrity(message, password))
    # Each of the two covers a length that ends with itself, so the header changes between.
    message = _with_length(message, len(message) + _FINGERPRINT_BYTES)
    return message + _attribute(FINGERPRINT, _fingerprint(message).to_bytes(4, "big"))


def _with_length(message: bytes, size: int) -> bytes:
    return message[:2] + (size - HEADER_BYTES).to_bytes(2, "big") + message[4:]


def _integrity(before: bytes, password: bytes) -> bytes:
    """Return the HMAC over what precedes it, whose length counts the attribute itself."""
    message = _with_length(before, len(before) + _INTEGRITY_BYTES)
    return hmac.digest(password, message, "sha1")


def _fingerprint(before: bytes) -> int:
    """Return the CRC over what precedes it, whose length already counts the attribute."""
    return crc32(before) ^ _FINGERPRINT_XOR


# -- addresses (RFC 8489 section 14.2) -----------------------------------------------------------


def _xor_address(address: Address, transaction_id: bytes) -> bytes:
    """Encode an address so that NATs that rewrite addresses do not recognise it."""
    host, port = address
    # A link-local peer has its interface behind a `%`.
    ip: IPv4Address | IPv6Address = ip_address(host.partition("%")[0])
    if isinstance(ip, IPv6Address):
        # A dual-stack socket shows IPv4 peers as mapped IPv6, but they know themselves as IPv4.
        ip = ip.ipv4_mapped or ip
    family = _IPV4 if isinstance(ip, IPv4Address) else _IPV6
    head = struct.pack("!BBH", 0, family, port ^ _PORT_XOR)
    return head + _xor(ip.packed, COOKIE + transaction_id)


def _read_xor_address(value: bytes, transaction_id: bytes) -> Address | None:
    if len(value) < 4 or (value[1], len(value)) not in {(_IPV4, 8), (_IPV6, 20)}:
        return None
    port = int.from_bytes(value[2:4], "big") ^ _PORT_XOR
    return str(ip_address(_xor(value[4:], COOKIE + transaction_id))), port


def _xor(packed: bytes, mask: bytes) -> bytes:
    # Four bytes of an IPv4 address meet the cookie alone; the mask is long enough for IPv6.
    return bytes(a ^ b for a, b in zip(packed, mask, strict=False))
