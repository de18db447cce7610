"""Measures the quality of one call's line: a sample per second, warnings, and totals.

The totals go into the call record. The figures are passed once a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import log10
from typing import Final, NamedTuple

import msgspec

from billing.cdr import LegQuality
from gateway.browser import messages as wire
from gateway.sound.packet_counts import Counts, Flow, Slack
from gateway.sound.report_counts import Heard, ReportCounts
from media.g711 import FRAME_MS, SILENCE_DBOV
from media.quality import Monitor

PHONE_NETWORK_MS: Final = 60
"""Assumed delay between carrier and phone, which is not measured: more than a fixed line's few
milliseconds, less than the 80 to 110 of a mobile network (ITU-T G.114, Annex A)."""

# Twilio's Voice SDK has the same limits, where it has any: users know its warnings.
RTT_MS_MAX: Final = 400
JITTER_MS_MAX: Final = 30
LOSS_PERCENT_MAX: Final = 1
MOS_MIN: Final = 3
MEAN_LOSS_PERCENT_MAX: Final = 3
MEAN_LOSS_PERCENT_FINE: Final = 1
MEAN_LOSS_SAMPLES: Final = 7
SAME_LEVEL_S: Final = 10
INAUDIBLE_DBOV: Final = -66
"""Twice the smallest step of mu-law (ITU-T G.711): what changes by that is no voice."""

BACKLOG_MS_MAX: Final = 400
BACKLOG_S: Final = 3
BROWSER_SILENT_S: Final = 3
UPLINK_TOLERANCE: Final = 0.1
"""Share of a second's packets that clock drift and jitter may move to the next second."""
UPLINK_LASTING: Final = 0.04
"""Share of them that may stay there: less than two packets are where a second begins."""
PHONE_SILENT_S: Final = 8


class Measured(NamedTuple):
    """One second's input. Counters are cumulative; the uplink is the caller's voice."""

    path: wire.Path
    rtt_ms: float | None
    """Between browser and gateway; from the report if it is not measured here."""
    carrier_rtt_ms: float | None
    uplink_frames: int
    """Received, on either path."""
    uplink_packets: int
    """Counted by the path in use, as are the uplink figures below."""
    uplink_lost: int
    uplink_jitter_ms: float
    packet_ms: int
    """Duration of one uplink packet."""
    concealed_ms: float
    """Concealed by playout so far."""
    delay_ms: float
    """Audio of the caller that playout and carrier hold at this moment."""
    uplink_level_dbov: int
    carrier_frames: int
    """Received from the carrier, whether or not they could be forwarded."""
    downlink_frames: int
    """Sent to the caller."""
    downlink_jitter_ms: float
    """Between carrier and gateway."""
    downlink_held_ms: float
    """Audio of the phone that is held here for pacing."""
    downlink_level_dbov: int
    report: wire.Report | None
    """The client's newest report, or None; the last one stays valid for a few seconds."""
    is_muted: bool
    is_on_hold: bool
    is_away: bool
    """Whether the caller can neither be heard nor hear."""


MOS_BEST: Final = 5.0
"""The best of the scale (ITU-T P.800)."""


_Total = tuple[int, float]
"""How many values of one figure there were over the call, and their sum. Compiled, such a pair lies
in its owner and is no object of its own."""

_NOTHING: Final[_Total] = (0, 0.0)


def _plus(total: _Total, value: float, weight: int = 1) -> _Total:
    count, added = total
    return count + weight, added + value * weight


def _mean(total: _Total) -> float | None:
    """Return the mean; None of nothing."""
    count, added = total
    return added / count if count else None


class _Direction:
    """The figures of one direction over the call."""

    __slots__ = (
        "_backlog_ms_max",
        "_flow",
        "_jitter_ms",
        "_jitter_ms_max",
        "_mos",
        "_mos_min",
        "_power",
    )

    def __init__(self) -> None:
        self._flow = Flow()
        self._backlog_ms_max = 0.0
        self._jitter_ms: _Total = _NOTHING
        self._jitter_ms_max = 0.0
        self._power: _Total = _NOTHING
        self._mos: _Total = _NOTHING
        self._mos_min = MOS_BEST

    def heard(self, sample: wire.LegSample) -> None:
        """Add a second in which this direction was open."""
        self._backlog_ms_max = max(self._backlog_ms_max, sample.backlog_ms)
        # The level is that of the sound: seconds without any would only tell how long pauses were.
        if sample.level_dbov > SILENCE_DBOV:
            self._power = _plus(self._power, 10 ** (sample.level_dbov / 10))

    def counted(self, flow: Flow) -> None:
        """Add packets that were counted."""
        total = self._flow
        self._flow = Flow(
            total.packets + flow.packets,
            total.lost + flow.lost,
            total.concealed_ms + flow.concealed_ms,
        )

    def rated(self, sample: wire.LegSample, scores: Iterable[tuple[float, int]]) -> None:
        """Add the quality of seconds whose packets were counted, each with how many have it."""
        self._jitter_ms = _plus(self._jitter_ms, sample.jitter_ms)
        self._jitter_ms_max = max(self._jitter_ms_max, sample.jitter_ms)
        for mos, seconds in scores:
            self._mos = _plus(self._mos, mos, seconds)
            self._mos_min = min(self._mos_min, mos)

    def fill(self, leg: LegQuality, rtt: _Total, untold_lost: int = 0) -> LegQuality:
        """Return the leg's record with these figures filled in.

        `untold_lost` are lost packets of seconds that have not been counted.
        """
        flow = Flow(self._flow.packets, self._flow.lost + untold_lost)
        # Levels are averaged as power, not as decibels.
        power = _mean(self._power)
        jitter_ms = _mean(self._jitter_ms)
        mos = _mean(self._mos)
        return msgspec.structs.replace(
            leg,
            packets_lost=flow.lost,
            loss_percent=round(flow.loss_percent, 2),
            jitter_ms=_rounded(jitter_ms),
            jitter_ms_max=None if jitter_ms is None else self._jitter_ms_max,
            rtt_ms=_rounded(_mean(rtt)),
            concealed_ms=round(self._flow.concealed_ms),
            backlog_ms_max=round(self._backlog_ms_max),
            level_dbov=None if power is None else round(10 * log10(power)),
            mos=_rounded(mos, 2),
            mos_min=None if mos is None else self._mos_min,
        )


class _Second(NamedTuple):
    """What the warning rules judge."""

    sample: wire.Sample
    loss_percent: float | None
    """Of the direction that lost more; None if nothing was counted."""
    mean_loss_percent: float | None
    mos: float | None
    """Of the worse direction. A voice that does not arrive at all has warnings of its own and
    counts neither here nor as loss."""
    is_joined: bool
    """Whether the phone should be heard: the call is not on hold."""
    is_spoken: bool
    """Whether the caller should be heard: neither muted nor on hold."""
    is_browser_silent: bool
    is_phone_silent: bool
    is_same_level: bool


class _Rule(NamedTuple):
    """When to warn, and the text of the warning."""

    name: str
    message: str
    is_bad: Callable[[_Second], bool | None]
    """Returns None if the second allows no judgement, which leaves the warning as it is."""
    monitor: Monitor = Monitor()


def _in_a_row(
    name: str, message: str, is_bad: Callable[[_Second], bool | None], samples: int
) -> _Rule:
    """Return a rule raised by this many bad seconds in a row and cleared by one good one."""
    monitor = Monitor(samples=samples, raise_at=samples, clear_at=samples - 1)
    return _Rule(name, message, is_bad, monitor)


def _is_mean_loss_bad(second: _Second) -> bool | None:
    mean = second.mean_loss_percent
    if mean is None or MEAN_LOSS_PERCENT_FINE <= mean <= MEAN_LOSS_PERCENT_MAX:
        return None
    return mean > MEAN_LOSS_PERCENT_MAX


RULES: Final = (
    _Rule(
        "high-rtt",
        "The connection answers slowly: expect pauses, and to talk over each other.",
        lambda s: None if s.sample.rtt_ms is None else s.sample.rtt_ms > RTT_MS_MAX,
    ),
    _Rule(
        "high-jitter",
        "The connection is uneven: words may be chopped.",
        lambda s: max(s.sample.browser.jitter_ms, s.sample.carrier.jitter_ms) > JITTER_MS_MAX,
    ),
    _Rule(
        "high-packet-loss",
        "Some of the sound is lost on the way.",
        lambda s: None if s.loss_percent is None else s.loss_percent > LOSS_PERCENT_MAX,
    ),
    # One value is enough: it is a mean over seven seconds.
    _in_a_row(
        "high-packets-lost-fraction",
        "Much of the sound is lost on the way.",
        _is_mean_loss_bad,
        1,
    ),
    _Rule(
        "low-mos",
        "The line sounds bad.",
        lambda s: None if s.mos is None or not s.is_joined else s.mos < MOS_MIN,
    ),
    _Rule(
        "high-delay",
        "Your voice reaches the phone late.",
        lambda s: s.sample.browser.backlog_ms > BACKLOG_MS_MAX,
        Monitor(samples=BACKLOG_S, raise_at=BACKLOG_S, clear_at=0),
    ),
    _in_a_row(
        "constant-audio-input-level",
        f"Your microphone has given no sound for {SAME_LEVEL_S} seconds: it may be off.",
        lambda s: s.is_spoken and not s.is_browser_silent and s.is_same_level,
        SAME_LEVEL_S,
    ),
    _in_a_row(
        "no-audio-from-phone",
        f"The phone's side has been silent for {PHONE_SILENT_S} seconds.",
        lambda s: s.is_joined and s.is_phone_silent,
        PHONE_SILENT_S,
    ),
    _in_a_row(
        "no-audio-from-browser",
        f"Your voice has not arrived here for {BROWSER_SILENT_S} seconds.",
        lambda s: s.is_spoken and s.is_browser_silent,
        BROWSER_SILENT_S,
    ),
)
"""All warnings about the line."""


class LineQuality:
    """Judges one call's line, second by second."""

    __slots__ = (
        "_browser",
        "_browser_counts",
        "_carrier",
        "_carrier_rtt",
        "_downlink_frames",
        "_histories",
        "_is_expected",
        "_level_dbov",
        "_losses",
        "_paths",
        "_reports",
        "_rtt",
        "last",
    )

    def __init__(self) -> None:
        self.last: wire.Sample | None = None
        """The newest sample."""
        self._browser = _Direction()
        self._browser_counts = Counts()
        self._is_expected = False
        """Whether the caller should have been heard in the previous second."""
        self._carrier = _Direction()
        self._reports = ReportCounts()
        self._rtt: _Total = _NOTHING
        self._carrier_rtt: _Total = _NOTHING
        self._paths: tuple[str, ...] = ()
        """In order of first use."""
        self._losses: tuple[float, ...] = ()
        """Loss of the last seconds, newest last."""
        self._downlink_frames = 0
        self._level_dbov: int | None = None
        self._histories = [0] * len(RULES)
        """What each rule's monitor has watched."""

    def each_second(self, measured: Measured) -> list[wire.GatewayMessage]:
        """Return this second's sample, then the warnings it raises or clears."""
        heard = self._heard_by_caller(measured)
        flow = self._heard_of_caller(measured)
        self.last = sample = self._sample(measured, flow, heard.flow)
        self._record(measured, sample, flow, heard)
        return [sample, *self._warn(self._judged(measured, sample, flow, heard.flow))]

    def standing(self) -> list[str]:
        """Return the names of the active warnings."""
        each = zip(RULES, self._histories, strict=True)
        return [rule.name for rule, history in each if rule.monitor.is_raised(history)]

    def legs(self, browser: LegQuality, carrier: LegQuality) -> tuple[LegQuality, LegQuality]:
        """Return the records of both legs with the line's figures filled in."""
        browser = msgspec.structs.replace(browser, paths=self._paths)
        return (
            self._browser.fill(browser, self._rtt),
            self._carrier.fill(carrier, self._carrier_rtt, self._reports.untold_lost),
        )

    def _heard_of_caller(self, measured: Measured) -> Flow:
        is_expected = not (measured.is_muted or measured.is_on_hold)
        # A second that was muted in part has fewer packets due; only whole seconds are judged.
        due = 1_000 // measured.packet_ms if is_expected and self._is_expected else 0
        self._is_expected = is_expected
        counts = Flow(
            measured.uplink_packets,
            measured.uplink_lost,
            measured.concealed_ms,
            measured.packet_ms,
        )
        return self._browser_counts.step(
            measured.path,
            counts,
            measured.uplink_frames,
            due,
            Slack(due * UPLINK_TOLERANCE, due * UPLINK_LASTING),
            is_counted_later=measured.path == "webrtc",
        )

    def _heard_by_caller(self, measured: Measured) -> Heard:
        # Before the phone is heard there are only tones, and on hold there is nothing at all.
        return self._reports.step(
            measured.report,
            measured.carrier_frames,
            measured.downlink_frames,
            is_due=measured.downlink_frames > 0 and not measured.is_on_hold,
            is_away=measured.is_away,
            is_counted_later=measured.path == "webrtc",
        )

    def _sample(self, measured: Measured, flow: Flow, carrier_flow: Flow) -> wire.Sample:
        """Return this second's figures.

        A client that sends no reports is assumed to lose nothing on its own way and to buffer
        nothing.
        """
        report = self._reports.report
        rtt_ms = measured.rtt_ms
        jitter_ms = measured.downlink_jitter_ms
        buffer_ms = measured.downlink_held_ms
        if report is not None:
            rtt_ms = report.rtt_ms if rtt_ms is None else rtt_ms
            jitter_ms = report.jitter_ms
            buffer_ms = buffer_ms + report.buffer_ms
        network_ms = _network_ms(rtt_ms, measured.carrier_rtt_ms)
        return wire.Sample(
            path=measured.path,
            rtt_ms=_rounded(rtt_ms),
            carrier_rtt_ms=_rounded(measured.carrier_rtt_ms),
            browser=wire.LegSample(
                loss_percent=round(flow.loss_percent, 1),
                jitter_ms=round(measured.uplink_jitter_ms, 1),
                concealed_percent=round(flow.concealed_percent, 1),
                backlog_ms=round(measured.delay_ms, 1),
                level_dbov=measured.uplink_level_dbov,
                mos=round(flow.mos(measured.packet_ms + network_ms + measured.delay_ms), 2),
            ),
            carrier=wire.LegSample(
                loss_percent=round(carrier_flow.loss_percent, 1),
                jitter_ms=round(jitter_ms, 1),
                concealed_percent=round(carrier_flow.concealed_percent, 1),
                backlog_ms=round(buffer_ms, 1),
                level_dbov=measured.downlink_level_dbov,
                mos=round(carrier_flow.mos(FRAME_MS + network_ms + buffer_ms), 2),
            ),
        )

    def _record(self, measured: Measured, sample: wire.Sample, flow: Flow, heard: Heard) -> None:
        if measured.path not in self._paths:
            self._paths = (*self._paths, measured.path)
        # The network is measured on hold as well; everything else needs two parties that talk.
        if sample.rtt_ms is not None:
            self._rtt = _plus(self._rtt, sample.rtt_ms)
        if sample.carrier_rtt_ms is not None:
            self._carrier_rtt = _plus(self._carrier_rtt, sample.carrier_rtt_ms)
        if measured.is_on_hold:
            return
        self._carrier.heard(sample.carrier)
        # Until the phone is heard, the browser's reports are about our own tones.
        if heard.seconds and (heard.flow.packets or heard.flow.lost) and measured.downlink_frames:
            self._carrier.counted(heard.flow)
            network_ms = _network_ms(sample.rtt_ms, sample.carrier_rtt_ms)
            delay_ms = FRAME_MS + network_ms + sample.carrier.backlog_ms
            self._carrier.rated(sample.carrier, heard.scores(delay_ms))
        if not measured.is_muted:
            self._browser.heard(sample.browser)
            if flow.packets or flow.lost:
                self._browser.counted(flow)
                self._browser.rated(sample.browser, [(sample.browser.mos, 1)])

    def _judged(
        self, measured: Measured, sample: wire.Sample, flow: Flow, carrier_flow: Flow
    ) -> _Second:
        flows = (flow, sample.browser), (carrier_flow, sample.carrier)
        # A direction without any packet has its own warning (no audio) and is not judged by loss.
        losses = [f.loss_percent for f, _ in flows if f.packets]
        scores = [leg.mos for f, leg in flows if f.packets or not f.lost]
        if losses:
            self._losses = (*self._losses[1 - MEAN_LOSS_SAMPLES :], max(losses))
        is_full = len(self._losses) == MEAN_LOSS_SAMPLES
        # A dead microphone repeats one inaudible level. A tone, music or a steady noise
        # repeats its level as well, and is no silence.
        level_dbov = measured.uplink_level_dbov
        is_same_level = level_dbov == self._level_dbov and level_dbov <= INAUDIBLE_DBOV
        self._level_dbov = level_dbov
        # A carrier sends silence as frames, too: both their absence and their content count.
        is_phone_still = measured.downlink_frames == self._downlink_frames
        self._downlink_frames = measured.downlink_frames
        is_joined = not (measured.is_on_hold or measured.is_away)
        return _Second(
            sample=sample,
            loss_percent=max(losses, default=None),
            mean_loss_percent=sum(self._losses) / MEAN_LOSS_SAMPLES if is_full else None,
            mos=min(scores, default=None),
            is_joined=is_joined,
            is_spoken=is_joined and not measured.is_muted,
            is_browser_silent=not flow.packets,
            is_phone_silent=is_phone_still or measured.downlink_level_dbov == SILENCE_DBOV,
            is_same_level=is_same_level,
        )

    def _warn(self, second: _Second) -> Iterator[wire.GatewayMessage]:
        for place, rule in enumerate(RULES):
            # A second without a figure is neither good nor bad, and leaves the window as it is.
            is_bad = rule.is_bad(second)
            if is_bad is None:
                continue
            before = self._histories[place]
            monitor = rule.monitor
            self._histories[place] = after = monitor.feed(before, is_bad)
            if monitor.is_raised(after) != monitor.is_raised(before):
                yield (
                    wire.Warning(name=rule.name, message=rule.message)
                    if monitor.is_raised(after)
                    else wire.WarningCleared(name=rule.name)
                )


def _network_ms(rtt_ms: float | None, carrier_rtt_ms: float | None) -> float:
    """Return the delay of one way between caller and phone; an unknown round trip is zero."""
    # Half of each round trip, and the phone network's own delay (E-model, G.107).
    return ((rtt_ms or 0) + (carrier_rtt_ms or 0)) / 2 + PHONE_NETWORK_MS


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)
