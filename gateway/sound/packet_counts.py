"""What a second brought of one direction, out of counts that run on. Knows no clock and no leg."""

from __future__ import annotations

from media.g711 import FRAME_MS
from media.quality import mos


class Flow:
    """What one direction carried within a second, or over the call."""

    __slots__ = ("concealed_ms", "lost", "packet_ms", "packets")

    def __init__(
        self,
        packets: int = 0,
        lost: int = 0,
        concealed_ms: float = 0.0,
        packet_ms: int = FRAME_MS,
    ) -> None:
        self.packets = packets
        self.lost = lost
        self.concealed_ms = concealed_ms
        self.packet_ms = packet_ms

    @property
    def loss_percent(self) -> float:
        """Share of what was due that is lost."""
        return 100 * self.lost / (self.packets + self.lost) if self.lost else 0.0

    @property
    def concealed_percent(self) -> float:
        """Share of what was heard that was invented."""
        due_ms = self.packets * self.packet_ms + self.concealed_ms
        return 100 * self.concealed_ms / due_ms if self.concealed_ms else 0.0

    def mos(self, delay_ms: float) -> float:
        """Return the quality of this second. Gaps too long to be concealed are lost as well."""
        loss_percent = max(self.loss_percent, self.concealed_percent)
        return mos(delay_ms=delay_ms, loss_percent=loss_percent)


class Counts:
    """Turns counts that run on into what a second brought.

    The first counts are where counting begins, and so are those of fewer packets than before, which
    are another source's. What should have come and did not is lost, whoever counts it: a source
    that falls silent counts nothing. One of WebRTC counts it once it goes on, and it is known then.
    """

    __slots__ = ("_came", "_is_counted_later", "_known", "_last", "_name", "_sources", "_tolerance")

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        """Share of what is due that may come in another second."""
        self._last: Flow | None = None
        self._name = ""
        self._sources: dict[str, Flow] = {}
        """What each had counted when it was last in use."""
        self._came = 0
        self._known = 0
        """Packets lost that their source has yet to count."""
        self._is_counted_later = False
        """Whether the source of the last second will count what it missed."""

    def step(
        self, source_name: str, counts: Flow, came: int, due: int, *, is_counted_later: bool
    ) -> Flow:
        """Return what has come and what is lost.

        Args:
            source_name: What counts now.
            counts: What it has counted.
            came: Packets that have come by whichever source.
            due: Packets that should have come since the last step; 0 where nothing says so.
            is_counted_later: Whether the source itself will count what does not come now.

        """
        last, self._last = self._last, counts
        source = self._sources.get(source_name, last)
        has_moved, self._name = self._name != source_name, source_name
        came, self._came = came - self._came, came
        self._sources[source_name] = counts
        if last is None or source is None or came < 0:
            return Flow(packet_ms=counts.packet_ms)
        if counts.packets < source.packets:
            self._known = 0
            source = counts
            has_moved = True
        packets = came if has_moved else counts.packets - source.packets
        # Packets that come late are lost no longer.
        lost = max(counts.lost - source.lost, 0)
        known = min(lost, self._known)
        lost, self._known = lost - known, self._known - known
        missing = due - packets - lost
        if missing > due * self._tolerance:
            lost += missing
            self._known += missing if is_counted_later or self._is_counted_later else 0
        self._is_counted_later = is_counted_later
        concealed_ms = max(counts.concealed_ms - last.concealed_ms, 0.0)
        return Flow(packets, lost, concealed_ms, counts.packet_ms)
