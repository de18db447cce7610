"""Decides when to clear the carrier, because it is in doubt what it still has to play.

A clear makes the carrier drop all audio it has. After that the model is certainly right, and
the next mark measures the network alone. A clear is inaudible in a pause that is longer than what
it takes back; most doubts wait for one, up to a time.
"""

from __future__ import annotations

from typing import Final

from media.clock import MS_NS, NEVER_NS

PATIENCE_NS: Final = 2_000 * MS_NS
"""How long a clear waits for a pause, as a rule."""
CLEARS_APART_NS: Final = 1_000 * MS_NS
"""Least time between two clears. It doubles with each clear that no mark came back after."""
DOUBLINGS: Final = 3
UNMARKED_APART_NS: Final = 4_000 * MS_NS
"""The same for a carrier that has never returned a mark: nothing tells what it has."""


class ClearControl:
    """Whether and when the carrier of one stream is cleared."""

    __slots__ = (
        "_clears",
        "_forced_ns",
        "_quiet_ns",
        "_waits_ns",
        "is_in_doubt",
        "is_measuring",
        "surplus_ns",
    )

    def __init__(self) -> None:
        self.is_in_doubt = False
        """Whether the model may be wrong by more than noise."""
        self.is_measuring = False
        """Whether the carrier was cleared and no mark sent since has come back."""
        self.surplus_ns = 0
        """Audio that the carrier may have beyond the model, by the newest mark."""
        self._forced_ns = NEVER_NS
        """When a clear stops waiting for a pause."""
        self._waits_ns = -NEVER_NS
        """No clear before this."""
        self._clears = 0
        """Clears since a mark came back."""
        self._quiet_ns = 0
        """Length of the pause that was sent last."""

    def doubt(self, forced_ns: int) -> None:
        """Ask for a clear in a pause, or at `forced_ns` if there is none before."""
        if not self.is_in_doubt:
            # Pauses are measured only while in doubt (`sent`), so an older length says nothing.
            self._quiet_ns = 0
        self.is_in_doubt = True
        # Of several doubts the most urgent decides.
        self._forced_ns = min(self._forced_ns, forced_ns)

    def trust(self) -> None:
        """End all doubts: the model is right."""
        self.is_in_doubt = False
        self._forced_ns = NEVER_NS

    def wait_until(self, time_ns: int) -> None:
        """Clear no sooner than this."""
        self._waits_ns = time_ns

    def mark_returned(self) -> None:
        """Note that the carrier answers."""
        self._clears = 0

    def sent(self, length_ns: int, *, is_quiet: bool) -> None:
        """Note audio that was sent to the carrier while the model is in doubt."""
        self._quiet_ns = self._quiet_ns + length_ns if is_quiet else 0

    def is_due(self, now_ns: int, lead_ns: int) -> bool:
        """Return whether to clear now; `lead_ns` is what the carrier has to play by the model."""
        if not self.is_in_doubt or now_ns < self._waits_ns:
            return False
        # All that the carrier has to play is quiet then, also what it may have beyond the model: a
        # clear takes no word away.
        is_pause = self._quiet_ns >= lead_ns + self.surplus_ns
        # Until the mark after the last clear is back, another clear would only start the
        # measurement again.
        return now_ns >= self._forced_ns or (is_pause and not self.is_measuring)

    def cleared(self, now_ns: int, *, has_marks: bool) -> None:
        """Note a clear. The doubt lasts until the next mark has come back."""
        apart_ns = CLEARS_APART_NS << min(self._clears, DOUBLINGS)
        self._waits_ns = now_ns + (apart_ns if has_marks else UNMARKED_APART_NS)
        self._clears += 1
        self._forced_ns = NEVER_NS
        self.surplus_ns = self._quiet_ns = 0
        self.is_measuring = self.is_in_doubt = True
