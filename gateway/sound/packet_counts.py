"""Turns cumulative packet counters into what each second brought."""

from __future__ import annotations

from typing import Final, NamedTuple

from media.g711 import FRAME_MS
from media.quality import mos

DRIFT: Final = 0.0004
"""Share by which a sender's clock and ours may differ: 200 millionths each are more than any
crystal's."""


class Flow:
    """What one direction carried in one second, or over the whole call."""

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
        """Share of the expected packets that was lost."""
        return 100 * self.lost / (self.packets + self.lost) if self.lost else 0.0

    @property
    def concealed_percent(self) -> float:
        """Share of the audio played that was concealment."""
        due_ms = self.packets * self.packet_ms + self.concealed_ms
        return 100 * self.concealed_ms / due_ms if self.concealed_ms else 0.0

    def mos(self, delay_ms: float) -> float:
        """Return the quality of this second. Gaps too long to be concealed count as lost, too."""
        loss_percent = max(self.loss_percent, self.concealed_percent)
        return mos(delay_ms=delay_ms, loss_percent=loss_percent)


class Slack(NamedTuple):
    """How far a second's packets may be off without a loss."""

    at_once: float
    """More than this is lost at once: it is not waited for."""
    lasting: float
    """More than this is lost if the next second does not bring it; clock and jitter may move what
    is less for good."""


class Counts:
    """Turns cumulative counters into figures per second.

    The first counters are only the starting point; so are counters lower than before, which belong
    to another source. What should have arrived and did not is lost, no matter who counts it: a
    source that falls silent counts nothing. A WebRTC source counts it later, when it resumes; what
    is already known then is not counted twice. Of other sources the balance is carried over, so
    that what one second lacks and the next one brings is not lost, and many small losses are not
    forgotten.
    """

    __slots__ = ("_balance", "_came", "_is_counted_later", "_known", "_last", "_left", "_name")

    def __init__(self) -> None:
        self._last: Flow | None = None
        """The counters of the source in use."""
        self._name = ""
        self._left: dict[str, Flow] | None = None
        """The counters of each source that is no longer in use, if there is one."""
        self._came = 0
        self._known = 0
        """Lost packets that their source has not counted yet."""
        self._is_counted_later = False
        """Whether the previous second's source will still count what it missed."""
        self._balance = 0.0
        """Packets that are missing so far without being lost; negative if more came than due."""

    def expect(self, lost: int) -> None:
        """Expect the source to count this many lost packets that are counted elsewhere already."""
        self._known += lost

    def step(
        self,
        source_name: str,
        counts: Flow,
        came: int,
        due: int,
        slack: Slack,
        *,
        is_counted_later: bool,
    ) -> Flow:
        """Return what has arrived and what was lost since the last step.

        Args:
            source_name: The source in use.
            counts: Its cumulative counters.
            came: Cumulative packets from all sources.
            due: Packets that should have arrived since the last step; 0 if unknown.
            slack: How many may come later.
            is_counted_later: Whether the source will itself count what is missing now.

        """
        last, self._last = self._last, counts
        has_moved = self._name != source_name
        source = self._moved_to(source_name, last) if has_moved else last
        came, self._came = came - self._came, came
        # Counters from which nothing can be subtracted are a new starting point.
        if last is None or source is None or came < 0:
            self._balance = 0.0
            return Flow(packet_ms=counts.packet_ms)
        if counts.packets < source.packets:
            # A new session counts from zero; what the last one still owed it will never count.
            self._known = 0
            source = counts
            has_moved = True
        # While the source changes neither counter covers the whole second; the sum over all does.
        packets = came if has_moved else counts.packets - source.packets
        # A source lowers its count of lost packets when one arrives late.
        lost = max(counts.lost - source.lost, 0)
        known = min(lost, self._known)
        lost = lost - known
        self._known = self._known - known
        # The first packet that comes tells the gap before it: what is not counted then never is,
        # and must not hide later losses.
        if packets and is_counted_later and not has_moved:
            self._known = 0
        # What the source has counted as lost is not missing as well.
        missing = self._missing(due, due - packets - lost, slack) if due else 0
        lost += missing
        self._known += missing if is_counted_later or self._is_counted_later else 0
        # What is missing still is counted by a source that counts, and is not due where none is.
        if is_counted_later or not due:
            self._balance = 0.0
        self._is_counted_later = is_counted_later
        concealed_ms = max(counts.concealed_ms - last.concealed_ms, 0.0)
        return Flow(packets, lost, concealed_ms, counts.packet_ms)

    def _moved_to(self, source_name: str, last: Flow | None) -> Flow | None:
        """Leave the source in use for this one; return what it had counted when it was left.

        One that is new begins where the other one is, of which only the starting point is used.
        """
        left = self._left or {}
        self._left = None
        source = left.pop(source_name, last)
        if last is not None:
            left[self._name] = last
            self._left = left
        self._name = source_name
        return source

    def _missing(self, due: int, missing: int, slack: Slack) -> int:
        """Return how many packets are lost by what is missing now and was missing before."""
        before = self._balance
        # Two clocks drift apart; what that moves is neither lost nor may hide what is.
        if (off := abs(before)) <= slack.lasting:
            before *= 1 - min(1, DRIFT * due / off) if off else 1
        balance = before + missing
        lost = 0
        # What both seconds have too little of has not come; of too much nothing will be taken back.
        if (lasting := min(before, balance)) > slack.lasting:
            lost = round(lasting)
        elif (ahead := max(before, balance)) < -slack.lasting:
            balance -= ahead
        balance -= lost
        if balance > slack.at_once:
            lost += round(balance)
            balance = 0.0
        self._balance = balance
        return lost
