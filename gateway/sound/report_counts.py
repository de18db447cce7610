"""Turns what a client reports, and its absence, into seconds of the phone's voice.

Called once a second.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.browser import messages as wire
from gateway.sound.packet_counts import Counts, Flow, Slack
from media.g711 import FRAME_MS

FRAMES_PER_S: Final = 1_000 // FRAME_MS
REPORT_S: Final = 3
"""Seconds for which a client's report counts as current."""
CARRIER_SLACK: Final = Slack(at_once=FRAMES_PER_S, lasting=2)
"""What a stall holds back may come within the next second; jitter of 40 ms moves as many as two
frames over the end of a second. More slack would hide the end of a gap: three frames of it may lie
in a second of their own."""
REPORT_SLACK: Final = Slack(at_once=FRAMES_PER_S / 2, lasting=FRAMES_PER_S / 2)
"""A report counts until the client's second ends, which is not aligned with ours."""


class Heard(NamedTuple):
    """What became known in one second of what the caller hears."""

    flow: Flow = Flow()
    seconds: int = 0
    """How many seconds that covers; 0 if nothing became known."""
    before_s: int = 0
    """Seconds that were counted as lost earlier, and that the flow's concealment covers too."""

    def scores(self, delay_ms: float) -> list[tuple[float, int]]:
        """Return the quality of these seconds, and how many have it.

        Loss of whole seconds lies in one piece: no report comes through a network that is down. So
        it does not make the other seconds worse.
        """
        flow = self.flow
        lost_s = min(flow.lost // FRAMES_PER_S, self.seconds)
        concealed_ms = max(0.0, flow.concealed_ms - 1_000 * (lost_s + self.before_s))
        rest = Flow(flow.packets, flow.lost - lost_s * FRAMES_PER_S, concealed_ms)
        scores = [
            (Flow(lost=FRAMES_PER_S).mos(delay_ms), lost_s),
            (rest.mos(delay_ms), self.seconds - lost_s),
        ]
        return [(round(mos, 2), seconds) for mos, seconds in scores if seconds]


class ReportCounts:
    """Counts what the caller hears of the phone, each second once.

    What the carrier does not bring is counted here, second by second; what is lost between here and
    the client, by its reports, beside what was sent to it. A second counts with the report that
    covers it, however late that is, or as lost at once while the caller is away. Of a client that
    never reports only what is known here counts.
    """

    __slots__ = (
        "_age_s",
        "_carrier",
        "_counts",
        "_heard",
        "_lost_s",
        "_open_s",
        "_sent",
        "_sent_open",
        "_was_due",
        "report",
        "untold_lost",
    )

    def __init__(self) -> None:
        self.report: wire.Report | None = None
        """The newest report, while it is current."""
        self.untold_lost = 0
        """Frames that the carrier did not bring in the seconds that the next report covers."""
        self._heard: Heard | None = None
        """Figures of the newest report; None before the first."""
        self._age_s = 0
        self._open_s = 0
        """Seconds that the next report covers."""
        self._lost_s = 0
        """Seconds since the last report that were counted as lost without one."""
        self._sent = 0
        self._sent_open = 0
        """Frames that the next report should have counted."""
        self._was_due = False
        self._counts = Counts()
        self._carrier = Counts()

    def step(
        self,
        report: wire.Report | None,
        carrier_frames: int,
        sent_frames: int,
        *,
        is_due: bool,
        is_away: bool,
        is_counted_later: bool,
    ) -> Heard:
        """Return what this second tells.

        Args:
            report: The newest one. By identity: the same object again is no new measurement.
            carrier_frames: Received from the carrier so far.
            sent_frames: Sent to the caller so far.
            is_due: Whether the caller should hear the phone.
            is_away: Whether the caller can neither hear nor report.
            is_counted_later: Whether the client will count what it misses now, once more comes.

        """
        is_new = report is not None and report is not self.report
        is_lost = is_away and not is_new
        sent = max(0, sent_frames - self._sent)
        self._sent = sent_frames
        # If the phone was to be heard only at the end of a second, it is unknown how much is due.
        # One that is lost as a whole cannot lose its frames once more.
        is_whole = is_due and self._was_due and not is_lost
        self._was_due = is_due
        flow = self._carrier.step(
            "carrier",
            Flow(carrier_frames),
            carrier_frames,
            FRAMES_PER_S if is_whole else 0,
            CARRIER_SLACK,
            is_counted_later=False,
        )
        if is_lost:
            self._age_s += 1
            self.report = None
            self._lost_s += is_due
            return Heard(Flow(lost=FRAMES_PER_S if is_due else 0), int(is_due))
        self._sent_open += sent if is_due else 0
        if report is not None and is_new:
            return self._take(report, flow, is_due=is_due, is_counted_later=is_counted_later)
        self._age_s += 1
        if self._heard is None:
            return Heard(flow, int(is_due))
        self._open_s += is_due
        self.untold_lost += flow.lost
        if self._age_s > REPORT_S or self.report is None:
            self.report = None
            return Heard(flow)
        return self._heard._replace(seconds=0)

    def _take(
        self, report: wire.Report, carrier: Flow, *, is_due: bool, is_counted_later: bool
    ) -> Heard:
        # A report covers the seconds since the last one, which may be more than one.
        seconds = self._open_s + is_due
        lost_s, self._lost_s = self._lost_s, 0
        if is_counted_later:
            self._counts.expect(lost_s * FRAMES_PER_S)
        flow = self._counts.step(
            "report",
            Flow(report.packets, report.lost, report.concealed_ms),
            report.packets,
            self._sent_open,
            REPORT_SLACK,
            is_counted_later=is_counted_later,
        )
        flow.lost += self.untold_lost + carrier.lost
        if self._heard is None:
            # The first report is where counting begins; the carrier's frames stand in.
            flow.packets = carrier.packets
        self.report = report
        self._age_s = 0
        self._open_s = 0
        self._sent_open = self.untold_lost = 0
        self._heard = Heard(flow, seconds, lost_s)
        return self._heard
