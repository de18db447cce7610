"""Tracks where a media socket is counted: as a stranger, until its peer is authenticated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from gateway.limits.source import host_of, source_of
from gateway.sockets.limits import MediaLimits
from gateway.sockets.strangers import Stranger, Strangers


class Places(Protocol):
    """Where all sockets of a node are counted."""

    limits: MediaLimits
    """Authenticated handshakes are refused beyond `connections_max`."""
    strangers: Strangers
    authenticated: set[Any]
    """The sockets that are none."""
    answer_fields: dict[str, str]
    """Of every answer that refuses a handshake."""

    def admit(self, host: str, drop: Callable[[], object], /) -> Stranger:
        """Make a stranger of an address and of what drops its connection."""


class Standing:
    """Where one media socket is counted."""

    __slots__ = ("_places", "_stranger")

    def __init__(self, places: Places, stranger: Stranger | None = None) -> None:
        """Begin as this stranger, if another protocol had the connection before."""
        self._places = places
        self._stranger = stranger

    @property
    def answer_fields(self) -> Mapping[str, str]:
        """Fields of every answer that refuses a handshake."""
        return self._places.answer_fields

    def arrive(self, peer: str, drop: Callable[[], object]) -> None:
        """Count the connection, unless it is counted already; `drop` ends it from now on."""
        if self._stranger is None:
            self._stranger = self._places.admit(host_of(peer), drop)
        else:
            self._stranger.drop = drop

    def answer(self) -> None:
        """Lift the deadline: the opening handshake is complete."""
        if self._stranger is not None:
            self._places.strangers.lift_deadline(self._stranger)

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
            if len(self._places.authenticated) >= self._places.limits.connections_max:
                return False
            self.mark_authenticated(media)
            return True
        if peer:
            # The client may have as many connections as it can through this or another proxy; then
            # this very one may be dropped, and its handshake is refused.
            self._places.strangers.rename(stranger, source_of(host_of(peer)))
        return stranger.is_in

    def mark_authenticated(self, media: object) -> None:
        """Count the peer as authenticated; does nothing where it is already, or has ended."""
        if self._stranger is not None and self._stranger.is_in:
            self._places.strangers.leave(self._stranger)
            self._stranger = None
            self._places.authenticated.add(media)

    def leave(self, media: object) -> None:
        """Count the socket nowhere: its connection has ended."""
        self._places.authenticated.discard(media)
        if self._stranger is not None:
            self._places.strangers.leave(self._stranger)
            self._stranger = None
