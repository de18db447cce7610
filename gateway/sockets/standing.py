"""A media socket's place among all connections: a stranger's until somebody vouches for it.

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
        """Be dropped by `drop` from now on."""
        if self._stranger is None:
            self._stranger = self._admit(host_of(peer), drop)
        else:
            self._stranger.drop = drop

    def answer(self) -> None:
        """The opening handshake is complete: it is not late any more."""
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
            if len(self._proven) >= self._proven_max:
                return False
            self.vouch(media)
            return True
        if peer:
            self._strangers.rename(stranger, source_of(host_of(peer)))
        return stranger.is_in

    def vouch(self, media: object) -> None:
        """Be no stranger any more."""
        if self._stranger is not None and self._stranger.is_in:
            self._strangers.leave(self._stranger)
            self._stranger = None
            self._proven.add(media)

    def leave(self, media: object) -> None:
        """Be counted nowhere."""
        self._proven.discard(media)
        if self._stranger is not None:
            self._strangers.leave(self._stranger)
            self._stranger = None
