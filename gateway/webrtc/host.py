"""Declares the transport that a WebRTC session depends on, and what it passes to the session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from gateway.webrtc._native import Line
    from gateway.webrtc.srtp import SrtpTransport

Session_contra = TypeVar("Session_contra", contravariant=True)
"""The session's own type."""
Address = tuple[str, int] | tuple[str, int, int, int]
"""A socket address of IPv4 or of IPv6."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Both ends' credentials for connectivity checks (RFC 8445, 5.3)."""

    ufrag: str
    password: str
    remote_ufrag: str


@dataclass(frozen=True, slots=True)
class SessionTimeouts:
    """How long a browser may take, in nanoseconds."""

    connect_ns: int
    """From the offer to the end of the handshake."""
    consent_ns: int
    """Longest time without a check, once connected."""


class Host(Protocol[Session_contra]):
    """Carries a session's datagrams, and finds the session by address and user name fragment."""

    def send(self, datagram: bytes, address: Address) -> object:
        """Send a datagram; one that cannot be sent is lost."""

    def latch(self, session: Session_contra, address: Address) -> None:
        """Route datagrams from this address to the session."""

    def unlatch(self, session: Session_contra, address: Address) -> None:
        """Undo that."""

    def retire(self, ufrag: str) -> None:
        """Forget a fragment that a restart has replaced."""

    def make_line(self, session: Session_contra, transport: SrtpTransport) -> Line | None:
        """Return the native line that carries the session's audio; None if there is none."""

    def aim(self, line: Line, address: Address) -> None:
        """Let a line send to this address."""

    def not_sent(self) -> None:
        """Count a packet that the kernel did not accept from a line."""

    def connected(self, session: Session_contra) -> None:
        """Count a session as connected: it was pending until now."""

    def forget(self, session: Session_contra) -> None:
        """Forget a session that has ended."""
