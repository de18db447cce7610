"""Keeps track of where a media socket is counted: as a stranger, until its peer is authenticated.

Knows no handshake and no leg.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.limits.source import host_of, source_of
from gateway.sockets.strangers import Stranger, Strangers


class Standing:
    """Where one media socket is counted."""

    __slots__ = ("_admit", "_authenticated", "_authenticated_max", "_stranger", "_strangers")

    def __init__(
        self,
        admit: Callable[[str, Callable[[], object]], Stranger],
        strangers: Strangers,
        authenticated: set[Any],
        authenticated_max: int,
        stranger: Stranger | None = None,
    ) -> None:
        """Begin as this stranger, if another protocol had the connection before.

        Args:
            admit: Makes a stranger of an address and of what drops its connection.
            strangers: Where `admit` counts it.
            authenticated: The sockets that are none, at most `authenticated_max`.
            authenticated_max: Authenticated handshakes are refused beyond it.
            stranger: The connection, if it is counted already.

        """
        self._admit = admit
        self._strangers = strangers
        self._authenticated = authenticated
        self._authenticated_max = authenticated_max
        self._stranger = stranger

    def arrive(self, peer: str, drop: Callable[[], object]) -> None:
        """Count the connection, unless it is counted already; `drop` ends it from now on."""
        if self._stranger is None:
            self._stranger = self._admit(host_of(peer), drop)
        else:
            self._stranger.drop = drop

    def answer(self) -> None:
        """Lift the deadline: the opening handshake is complete."""
        if self._stranger is not None:
            self._strangers.lift_deadline(self._stranger)

    def open(self, media: object, peer: str, is_authenticated: bool) -> bool:
        """Take the place of an accepted handshake; tell whether there is one.

        Args:
            media: The socket.
            peer: Its remote address if a proxy has named it, else empty.
            is_authenticated: Whether the handshake has authenticated the peer.

        """
        stranger = self._stranger
        if stranger is None or not stranger.is_in:
            return False
        if is_authenticated:
            # Refused rather than made room for: none of these may be dropped for another.
            if len(self._authenticated) >= self._authenticated_max:
                return False
            self.mark_authenticated(media)
            return True
        if peer:
            # The client may have as many connections as it can through this or another proxy; then
            # this very one may be dropped, and its handshake is refused.
            self._strangers.rename(stranger, source_of(host_of(peer)))
        return stranger.is_in

    def mark_authenticated(self, media: object) -> None:
        """Count the peer as authenticated; does nothing where it is already, or has ended."""
        if self._stranger is not None and self._stranger.is_in:
            self._strangers.leave(self._stranger)
            self._stranger = None
            self._authenticated.add(media)

    def leave(self, media: object) -> None:
        """Count the socket nowhere: its connection has ended."""
        self._authenticated.discard(media)
        if self._stranger is not None:
            self._strangers.leave(self._stranger)
            self._stranger = None
