"""Keeps track of where a media socket is counted: as a stranger, until somebody vouches for it.

Knows no handshake and no leg.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.limits.source import host_of, source_of
from gateway.sockets.strangers import Stranger, Strangers


class Standing:
    """Where one media socket is counted."""

    __slots__ = ("_admit", "_proven", "_proven_max", "_stranger", "_strangers")

    def __init__(
        self,
        admit: Callable[[str, Callable[[], object]], Stranger],
        strangers: Strangers,
        proven: set[Any],
        proven_max: int,
        stranger: Stranger | None = None,
    ) -> None:
        """Begin as this stranger, if another protocol had the connection before.

        Args:
            admit: Makes a stranger of an address and of what drops its connection.
            strangers: Where `admit` counts it.
            proven: The sockets that are none, at most `proven_max`.
            proven_max: Handshakes that prove something are refused beyond it.
            stranger: The connection, if it is counted already.

        """
        self._admit = admit
        self._strangers = strangers
        self._proven = proven
        self._proven_max = proven_max
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
            self._strangers.arrived(self._stranger)

    def open(self, media: object, peer: str, is_proven: bool) -> bool:
        """Take the place of an accepted handshake; tell whether there is one.

        Args:
            media: The socket.
            peer: Its remote address if a proxy has named it, else empty.
            is_proven: Whether the handshake has proven whose it is.

        """
        stranger = self._stranger
        if stranger is None or not stranger.is_in:
            return False
        if is_proven:
            # Refused rather than made room for: none of the proven may be dropped for another.
            if len(self._proven) >= self._proven_max:
                return False
            self.vouch(media)
            return True
        if peer:
            # The client may have as many connections as it can through this or another proxy; then
            # this very one may be dropped, and its handshake is refused.
            self._strangers.rename(stranger, source_of(host_of(peer)))
        return stranger.is_in

    def vouch(self, media: object) -> None:
        """Count the socket as proven; does nothing where it is already, or has ended."""
        if self._stranger is not None and self._stranger.is_in:
            self._strangers.leave(self._stranger)
            self._stranger = None
            self._proven.add(media)

    def leave(self, media: object) -> None:
        """Count the socket nowhere: its connection has ended."""
        self._proven.discard(media)
        if self._stranger is not None:
            self._strangers.leave(self._stranger)
            self._stranger = None
