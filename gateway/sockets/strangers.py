"""Bounds the connections whose peers are not authenticated, and picks which is dropped first.

A connection is a stranger from the moment it is accepted until its peer is authenticated (a signed
handshake, a redeemed token, a good resume), or for as long as it is HTTP. Strangers are counted by
source and in all. Where one bound is reached, the newcomer stays and the one that has been silent
longest goes: of the address or network that is over its bound, else of the greediest of all.

Time and addresses are arguments; what drops a connection is a callable of its owner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from gateway.limits.source import Source, host_of, source_of
from gateway.sockets.limits import MediaLimits

_K = TypeVar("_K")


def _nothing() -> None:
    """Drop nothing: the connection is not among the strangers."""


class Stranger:
    """One connection in the accounting. Its owner changes `drop` when the protocol changes."""

    __slots__ = ("drop", "is_in", "is_silent", "source")

    def __init__(self, source: Source | None, drop: Callable[[], object]) -> None:
        self.source = source
        """None for a trusted proxy that has not named a client."""
        self.drop = drop
        self.is_in = True
        self.is_silent = False


class _Ranking(Generic[_K]):
    """Counts by key, with a key of the largest count at hand. Every operation takes O(1)."""

    def __init__(self) -> None:
        self._counts: Counter[_K] = Counter()
        self._ranks: list[dict[_K, None]] = []  # of index n: the keys that count n + 1

    def __bool__(self) -> bool:
        return bool(self._ranks)

    def add(self, key: _K) -> None:
        count = self._counts[key]
        if count:
            del self._ranks[count - 1][key]
        # Counts change by one, so the list grows and shrinks at its end only.
        if count == len(self._ranks):
            self._ranks.append({})
        self._ranks[count][key] = None
        self._counts[key] = count + 1

    def subtract(self, key: _K) -> None:
        count = self._counts[key]
        del self._ranks[count - 1][key]
        if count == 1:
            del self._counts[key]
        else:
            self._ranks[count - 2][key] = None
            self._counts[key] = count - 1
        if not self._ranks[-1]:
            self._ranks.pop()

    def first(self) -> _K:
        """Return the key that counts most; of several the one that has done so longest."""
        return next(iter(self._ranks[-1]))


class Strangers:
    """The strangers of one process.

    A stranger is silent while the peer has to act: to complete a handshake or a request, to read
    what it asked for, or to ask for something. Only silent ones are dropped to make room. Those
    that wait for us are counted with the rest.
    """

    def __init__(self, limits: MediaLimits) -> None:
        self._limits = limits
        self._count = 0
        self._held: Counter[bytes] = Counter()
        """Strangers by address and by network, silent or not."""
        self._silent: dict[bytes, dict[Stranger, None]] = {}
        """By address, the one that has been silent longest first."""
        self._addresses: dict[bytes, _Ranking[bytes]] = {}
        """By network, the addresses by how many silent strangers they have."""
        self._networks: _Ranking[bytes] = _Ranking()
        self._relayed: dict[Stranger, None] = {}
        """Silent connections of trusted proxies, in order."""
        self._due_ns: dict[Stranger, int] = {}
        """When a handshake or a request's head must be complete; the earliest first."""
        self.dropped = 0
        """How many have been dropped to make room."""

    def __len__(self) -> int:
        return self._count

    def enter(self, source: Source | None, drop: Callable[[], object], now_ns: int) -> Stranger:
        """Count a new connection, silent and with a deadline; drop one where there are too many.

        It may be the new one itself that is dropped, if all others wait for us.

        Args:
            source: None for a trusted proxy, which is bounded only together with everyone.
            drop: Ends the connection at once.
            now_ns: Never less than before.

        """
        # Counted first, judged after: the newcomer stays and another one goes, or the first
        # to come could lock everyone out.
        stranger = Stranger(source, drop)
        self._count += 1
        self._hold(stranger)
        self._insert(stranger)
        self.set_deadline(stranger, now_ns)
        self._make_room(source)
        return stranger

    def leave(self, stranger: Stranger) -> None:
        """Forget a connection that has ended, or has proven whose it is."""
        if stranger.is_in:
            self._remove(stranger)
            self._release(stranger)
            self._due_ns.pop(stranger, None)
            self._count -= 1
            stranger.is_in = False
            # It holds its owner, who holds it: together they would stay until a full collection.
            stranger.drop = _nothing

    def rename(self, stranger: Stranger, source: Source | None) -> None:
        """Count a connection under another source from now on; drop one where it has too many."""
        if stranger.is_in and stranger.source != source:
            # One that waits for us keeps doing so under its new source.
            was_silent = stranger.is_silent
            self._remove(stranger)
            self._release(stranger)
            stranger.source = source
            self._hold(stranger)
            if was_silent:
                self._insert(stranger)
            self._make_room(source)

    def peer_done(self, stranger: Stranger) -> None:
        """Keep the connection: the peer has done its part, and no deadline applies."""
        self._remove(stranger)
        self._due_ns.pop(stranger, None)

    def peer_due(self, stranger: Stranger) -> None:
        """Count the connection as silent from now on: the peer is to act."""
        if stranger.is_in:
            self._remove(stranger)
            self._insert(stranger)

    def set_deadline(self, stranger: Stranger, now_ns: int) -> None:
        """Set the deadline by which a handshake, or the head of a request, must be complete."""
        if stranger.is_in:
            # Taken out first, so that it goes to the end: all have the same time, and `drop_late`
            # relies on the earliest being in front.
            self._due_ns.pop(stranger, None)
            self._due_ns[stranger] = now_ns + self._limits.handshake_timeout_ns

    def lift_deadline(self, stranger: Stranger) -> None:
        """Lift the deadline: what was expected is complete."""
        self._due_ns.pop(stranger, None)

    def drop_late(self, now_ns: int) -> int:
        """Drop every connection whose deadline has come; return how many."""
        late = 0
        while self._due_ns:
            stranger, due_ns = next(iter(self._due_ns.items()))
            # The others are due later still: a sweep costs what is late, not what is there.
            if now_ns < due_ns:
                break
            self._drop(stranger)
            late += 1
        return late

    def drop_one(self) -> bool:
        """Drop the longest silent one of the greediest source, else of the proxies; tell if any."""
        if self._networks:
            self._drop_of_network(self._networks.first())
        elif self._relayed:
            self._drop(next(iter(self._relayed)))
        else:
            return False
        self.dropped += 1
        return True

    def _make_room(self, source: Source | None) -> None:
        limits = self._limits
        held = self._held
        # The narrowest bound first: one address over its own bound costs no other a place.
        # Where all of a source wait for us there is none to drop, and the bound is exceeded for as
        # long as the answers take.
        if source is not None and held[source.address] > limits.strangers_per_address_max:
            if self._silent.get(source.address):
                self.dropped += 1
                self._drop_of_address(source.address)
        elif source is not None and held[source.network] > limits.strangers_per_network_max:
            if source.network in self._addresses:
                self.dropped += 1
                self._drop_of_network(source.network)
        elif self._count > limits.strangers_max:
            self.drop_one()

    def _drop_of_network(self, network: bytes) -> None:
        self._drop_of_address(self._addresses[network].first())

    def _drop_of_address(self, address: bytes) -> None:
        self._drop(next(iter(self._silent[address])))

    def _drop(self, stranger: Stranger) -> None:
        # Forgotten before it is dropped: its owner reports the end of the connection too, maybe at
        # once.
        drop = stranger.drop
        self.leave(stranger)
        drop()

    def _hold(self, stranger: Stranger) -> None:
        if stranger.source is not None:
            self._held.update(stranger.source)

    def _release(self, stranger: Stranger) -> None:
        # A key that counts nothing goes: an attacker can bring any number of addresses.
        for key in stranger.source or ():
            if self._held[key] == 1:
                del self._held[key]
            else:
                self._held[key] -= 1

    def _insert(self, stranger: Stranger) -> None:
        """Put a stranger behind the silent ones of its source."""
        stranger.is_silent = True
        if stranger.source is None:
            self._relayed[stranger] = None
            return
        network, address = stranger.source
        self._silent.setdefault(address, {})[stranger] = None
        self._addresses.setdefault(network, _Ranking()).add(address)
        self._networks.add(network)

    def _remove(self, stranger: Stranger) -> None:
        """Take a stranger out of the silent ones."""
        if not stranger.is_silent:
            return
        stranger.is_silent = False
        if stranger.source is None:
            del self._relayed[stranger]
            return
        network, address = stranger.source
        del self._silent[address][stranger]
        if not self._silent[address]:
            del self._silent[address]
        self._addresses[network].subtract(address)
        if not self._addresses[network]:
            del self._addresses[network]
        self._networks.subtract(network)


class PeerPlaces(Protocol):
    """Where all sockets of a node are counted."""

    limits: MediaLimits
    """Authenticated handshakes are refused beyond `connections_max`."""
    strangers: Strangers
    authenticated: set[Any]
    """The sockets whose peers are authenticated."""
    answer_fields: dict[str, str]
    """Header fields of every answer that refuses a handshake."""

    def admit(self, host: str, drop: Callable[[], object], /) -> Stranger:
        """Make a stranger of an address and of what drops its connection."""


class PeerStatus:
    """Where one media socket is counted."""

    __slots__ = ("_places", "_stranger")

    def __init__(self, places: PeerPlaces, stranger: Stranger | None = None) -> None:
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
