"""Keeps order among connections on their way to another process. Pure.

A parcel is sent while fewer than a window of them are unanswered, and waits until then; answers
come in the order of sending.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

SENT_MAX = 64
"""Parcels of one node without an answer: fewer than its socket's buffer holds."""
WAITING_MAX = 1024
"""Parcels that wait for these: a node that stands still for a second at a thousand a second."""


class Parcel:
    """One connection to be handed over: its descriptor, and what has been read of it."""

    __slots__ = ("_on_answer", "data", "descriptor", "is_open")

    def __init__(
        self, descriptor: Callable[[], int], data: bytes, on_answer: Callable[[bool], None]
    ) -> None:
        """Make a parcel; `descriptor` returns a negative number where the connection is closing."""
        self.descriptor = descriptor
        self.data = data
        self.is_open = True
        """Whether the descriptor is still the connection's, and somebody waits for the answer."""
        self._on_answer = on_answer

    def withdraw(self) -> None:
        """Forget the connection: it has ended, and its descriptor may be another's by now."""
        self.is_open = False
        self.data = b""

    def answer(self, is_taken: bool) -> None:
        """Tell the owner, once, whether the other process has the connection now."""
        if self.is_open:
            self.withdraw()
            self._on_answer(is_taken)


class Parcels:
    """Those on their way to one process."""

    def __init__(self, sent_max: int = SENT_MAX, waiting_max: int = WAITING_MAX) -> None:
        self._sent_max = sent_max
        self._waiting_max = waiting_max
        self._sent: deque[Parcel] = deque()
        self._waiting: deque[Parcel] = deque()

    def __len__(self) -> int:
        return len(self._sent) + len(self._waiting)

    def enter(self, parcel: Parcel) -> bool:
        """Put a parcel in line; False where too many wait."""
        if len(self._waiting) >= self._waiting_max:
            # Those that have ended meanwhile leave only when their turn comes.
            self._waiting = deque(each for each in self._waiting if each.is_open)
        if len(self._waiting) >= self._waiting_max:
            return False
        self._waiting.append(parcel)
        return True

    def next_to_send(self) -> Parcel | None:
        """Return the parcel whose turn it is, if one may be sent now; it stays in line."""
        waiting = self._waiting
        while waiting and not waiting[0].is_open:
            waiting.popleft()
        return waiting[0] if waiting and len(self._sent) < self._sent_max else None

    def sent(self) -> None:
        """Note that the parcel whose turn it was is on its way."""
        self._sent.append(self._waiting.popleft())

    def answered(self) -> Parcel | None:
        """Return the parcel that an answer is for; None where none is due."""
        return self._sent.popleft() if self._sent else None

    def is_any_sent(self) -> bool:
        """Tell whether an answer is due, so that there will be another turn."""
        return bool(self._sent)

    def fail(self) -> list[Parcel]:
        """Return all parcels, and forget them: the other process is gone."""
        lost = [*self._sent, *self._waiting]
        self._sent.clear()
        self._waiting.clear()
        return lost
