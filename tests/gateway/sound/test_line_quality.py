"""What a call says of its line, second by second; nothing here has a clock."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.cdr import LegQuality
from gateway.browser import messages as wire
from gateway.sound.line_quality import PHONE_NETWORK_MS, RULES, LineQuality, Measured
from media.quality import mos
from tests.thorough import first_of, one_in

PACKETS = 50
"""A second's."""

FIRST = Measured(
    path="webrtc",
    rtt_ms=40.0,
    carrier_rtt_ms=60.0,
    uplink_frames=500,
    uplink_packets=500,
    uplink_lost=3,
    uplink_jitter_ms=4.0,
    packet_ms=20,
    concealed_ms=60.0,
    delay_ms=35.0,
    uplink_level_dbov=-30,
    carrier_frames=500,
    downlink_frames=500,
    downlink_jitter_ms=2.0,
    downlink_held_ms=0.0,
    downlink_level_dbov=-28,
    report=wire.Report(packets=500, lost=2, jitter_ms=5.0, buffer_ms=45.0),
    is_muted=False,
    is_on_hold=False,
    is_away=False,
)


class Line:
    """A line whose seconds pass well unless a test says otherwise."""

    def __init__(self, **changes):
        self.quality = LineQuality()
        self.last = FIRST._replace(**changes)
        self.sample: wire.Sample
        self.standing: set[str] = set()
        self.messages = self._take(self.last)

    def second(self, *, lost=0, lost_down=0, packets=PACKETS, frames=PACKETS, **changes):
        """Let a second pass; counts go on by these, all else but the level stays as it was."""
        last = self.last
        report = last.report
        if report is not None and "report" not in changes:
            changes["report"] = msgspec.structs.replace(
                report, packets=report.packets + frames - lost_down, lost=report.lost + lost_down
            )
        changes.setdefault("uplink_level_dbov", -61 - last.uplink_level_dbov)
        changes.setdefault("uplink_frames", last.uplink_frames + packets)
        changes.setdefault("uplink_packets", last.uplink_packets + packets)
        changes.setdefault("uplink_lost", last.uplink_lost + lost)
        changes.setdefault("carrier_frames", last.carrier_frames + frames)
        changes.setdefault("downlink_frames", last.downlink_frames + frames)
        self.last = last._replace(**changes)
        return self._take(self.last)

    def seconds(self, count, **changes):
        """Return all that so many such seconds say besides their samples."""
        return [message for _ in range(count) for message in self.second(**changes)]

    def _take(self, measured):
        sample, *rest = self.quality.each_second(measured)
        assert isinstance(sample, wire.Sample)
        self.sample = sample
        for message in rest:
            wire.encode(message)
            if isinstance(message, wire.Warning):
                assert message.name not in self.standing
                self.standing.add(message.name)
            else:
                assert isinstance(message, wire.WarningCleared)
                self.standing.remove(message.name)
        return rest

    @property
    def legs(self):
        return self.quality.legs(LegQuality(frames_in=7), LegQuality(frames_out=9))


# Samples.


def test_a_good_second():
    line = Line()
    assert line.second() == []
    sample = line.sample
    assert (sample.path, sample.rtt_ms, sample.carrier_rtt_ms) == ("webrtc", 40.0, 60.0)
    assert (sample.browser.loss_percent, sample.carrier.loss_percent) == (0, 0)
    assert (sample.browser.jitter_ms, sample.carrier.jitter_ms) == (4.0, 5.0)
    assert (sample.browser.backlog_ms, sample.carrier.backlog_ms) == (35.0, 45.0)
    assert (sample.browser.level_dbov, sample.carrier.level_dbov) == (-31, -28)
    delay_ms = 20 + 40 / 2 + 60 / 2 + PHONE_NETWORK_MS
    assert sample.browser.mos == round(mos(delay_ms=delay_ms + 35, loss_percent=0), 2)
    assert sample.carrier.mos == round(mos(delay_ms=delay_ms + 45, loss_percent=0), 2)


def test_what_was_lost_before_the_first_sample_is_not_its_loss():
    assert Line().sample.browser.loss_percent == 0


def test_loss_is_that_of_the_second():
    line = Line()
    line.second(lost=10, packets=40, lost_down=5)
    assert (line.sample.browser.loss_percent, line.sample.carrier.loss_percent) == (20, 10)
    line.second()
    assert (line.sample.browser.loss_percent, line.sample.carrier.loss_percent) == (0, 0)


def test_concealment_counts_where_nothing_was_lost():
    line = Line()
    line.second()
    good = line.sample.browser.mos
    line.second(packets=45, concealed_ms=160.0)
    assert (line.sample.browser.loss_percent, line.sample.browser.concealed_percent) == (0, 10)
    assert line.sample.browser.mos < good - 0.5


def test_counts_of_another_source_are_no_loss():
    line = Line()
    line.second()
    line.second(uplink_packets=20, uplink_lost=15)
    assert line.sample.browser.loss_percent == 0
    line.second(lost=1, packets=49)
    assert line.sample.browser.loss_percent == 2
    assert line.legs[0].packets_lost == 1


def test_a_packet_that_comes_late_is_no_negative_loss():
    line = Line()
    line.second(lost=2, packets=48)
    line.second(lost=-1, packets=51)
    assert line.sample.browser.loss_percent == 0


def test_the_same_report_twice_is_one_report():
    line = Line()
    line.second(lost_down=5)
    line.second(report=line.last.report)
    assert line.sample.carrier.loss_percent == 10
    assert line.legs[1].packets_lost == 5


def test_a_report_holds_for_three_seconds():
    line = Line()
    line.second(lost_down=5)
    for _ in range(3):
        line.second(report=None)
        assert (line.sample.carrier.loss_percent, line.sample.carrier.backlog_ms) == (10, 45)
    line.second(report=None)
    assert (line.sample.carrier.loss_percent, line.sample.carrier.backlog_ms) == (0, 0)
    assert line.legs[1].packets_lost == 5


def test_longer_packets_take_longer_and_carry_more():
    line = Line(packet_ms=40)
    line.second(packets=25)
    assert line.sample.browser.mos == round(mos(delay_ms=40 + 110 + 35, loss_percent=0), 2)
    line.second(packets=24, concealed_ms=100.0)
    assert line.sample.browser.concealed_percent == 4


def test_without_a_report_the_gateways_own_figures_stand_in():
    line = Line(report=None, path="websocket")
    line.second()
    assert (line.sample.carrier.jitter_ms, line.sample.carrier.backlog_ms) == (2.0, 0)
    line = Line(rtt_ms=None, report=wire.Report(packets=1, rtt_ms=90.0))
    assert line.sample.rtt_ms == 90
    line = Line(rtt_ms=None, carrier_rtt_ms=None, report=None)
    assert (line.sample.rtt_ms, line.sample.carrier_rtt_ms) == (None, None)


# Seconds in which nothing comes.


def test_a_blackout_of_the_callers_voice_is_lost():
    """What falls silent counts no loss of its own."""
    line = Line()
    line.seconds(10)
    good = line.sample.browser.mos
    line.seconds(10, packets=0)
    assert (line.sample.browser.loss_percent, line.sample.browser.mos < 1.5) == (100, True)
    browser, _ = line.legs
    assert (browser.packets_lost, browser.loss_percent) == (500, 50)
    assert browser.mos_min == line.sample.browser.mos
    assert browser.mos < (good + 1.5) / 2


def test_what_is_lost_is_not_lost_again_once_the_numbers_tell():
    line = Line()
    line.seconds(5)
    line.seconds(4, packets=0)
    line.second(packets=40, lost=211)
    assert line.legs[0].packets_lost == 211
    assert line.sample.browser.loss_percent == pytest.approx(100 * 11 / 51, abs=0.1)
    line.second(lost=3)
    assert line.legs[0].packets_lost == 214


def test_a_second_of_which_half_is_missing_has_lost_it():
    line = Line()
    line.second(packets=25)
    assert line.sample.browser.loss_percent == 50
    line.second(packets=47)
    assert line.sample.browser.loss_percent == 0, "clocks and jitter move so many"


def test_nothing_is_missed_of_a_caller_who_is_muted_or_holds():
    for quiet in ("is_muted", "is_on_hold"):
        line = Line()
        line.seconds(5, packets=0, **{quiet: True})
        line.second(packets=20, **{quiet: False})
        assert line.legs[0].packets_lost == 0, quiet


def test_while_the_caller_is_away_both_directions_are_lost():
    line = Line()
    line.second()
    line.seconds(4, packets=0, report=None, is_away=True)
    assert (line.sample.browser.loss_percent, line.sample.carrier.loss_percent) == (100, 100)
    line.second(report=FIRST.report, is_away=False)
    browser, carrier = line.legs
    assert (browser.packets_lost, carrier.packets_lost) == (200, 200)
    assert carrier.mos < 3
    assert "low-mos" not in line.standing, "nobody is there to be warned"


def test_a_blackout_of_the_phones_voice_is_lost():
    line = Line()
    report = FIRST.report
    line.seconds(3)
    still = line.last.report
    for _ in range(3):
        line.second(report=msgspec.structs.replace(still))
    assert line.sample.carrier.loss_percent == 100
    assert line.legs[1].packets_lost == 150
    # The numbers of the packets tell it too, as soon as one comes.
    after = msgspec.structs.replace(still, packets=still.packets + 50, lost=still.lost + 150)
    line.second(report=after)
    assert line.legs[1].packets_lost == 150
    assert report.packets < after.packets


@pytest.mark.parametrize(
    ("unnoticed", "away", "late"), [(0, 9, 1), (3, 0, 0), (5, 4, 2), (7, 1, 0)]
)
@pytest.mark.parametrize("is_told_by_numbers", [True, False])
def test_a_blackout_counts_once_however_it_is_noticed(unnoticed, away, late, is_told_by_numbers):
    line = Line()
    line.seconds(10)
    last = line.last.report
    line.seconds(unnoticed, packets=0, report=None)
    line.seconds(away, packets=0, report=None, is_away=True)
    line.seconds(late, report=None, is_away=False)
    lost = PACKETS * (unnoticed + away)
    back = msgspec.structs.replace(
        last,
        packets=last.packets + PACKETS * (late + 1),
        lost=last.lost + lost * is_told_by_numbers,
        concealed_ms=1_000.0 * (unnoticed + away),
    )
    line.second(report=back, is_away=False)
    line.seconds(5)
    browser, carrier = line.legs
    assert (browser.packets_lost, carrier.packets_lost) == (lost, lost)
    assert carrier.mos == pytest.approx(browser.mos, abs=0.3)
    # What no number has told hides no loss that comes later.
    line.second(lost_down=5)
    assert line.legs[1].packets_lost == lost + 5


def test_a_report_that_is_late_by_a_part_of_a_second_has_lost_nothing():
    line = Line()
    last = line.last.report
    for packets in (32, 68, 50, 40, 60):
        last = msgspec.structs.replace(last, packets=last.packets + packets)
        line.second(report=last)
    line.second(report=None)
    line.second(report=msgspec.structs.replace(last, packets=last.packets + 100))
    assert line.legs[1].packets_lost == 0


def test_a_call_that_moves_counts_what_came_by_either_path():
    """The socket counts all frames of the call, a session its own packets."""
    line = Line(uplink_packets=80, uplink_lost=0)
    line.second()
    # Packets are lost for 0.6 s, then frames of the socket come.
    line.second(packets=20, path="websocket", uplink_packets=570, uplink_lost=0)
    assert line.legs[0].packets_lost == 30
    line.seconds(3)
    # Back: the session counts what was lost when it was left.
    line.second(path="webrtc", uplink_packets=80 + 50 + 48, uplink_lost=30)
    assert line.legs[0].packets_lost == 30
    line.second(lost=2, packets=48)
    assert line.legs[0].packets_lost == 32


def test_a_page_that_is_loaded_again_begins_to_count():
    line = Line()
    line.second()
    line.second(report=wire.Report(packets=12))
    line.second()
    assert line.legs[1].packets_lost == 0


# Warnings.


def names(messages):
    return [(type(message), message.name) for message in messages]


@pytest.mark.parametrize(
    ("name", "bad", "good", "raised_after", "cleared_after"),
    [
        ("high-rtt", {"rtt_ms": 401.0}, {"rtt_ms": 400.0}, 3, 4),
        ("high-jitter", {"uplink_jitter_ms": 31.0}, {"uplink_jitter_ms": 30.0}, 3, 4),
        ("high-packet-loss", {"lost": 1, "packets": 49}, {}, 3, 4),
        ("high-packet-loss", {"lost_down": 1}, {}, 3, 4),
        ("high-packets-lost-fraction", {"lost": 2, "packets": 48}, {}, 6, 6),
        ("low-mos", {"carrier_rtt_ms": 900.0}, {"carrier_rtt_ms": 60.0}, 3, 4),
        ("high-delay", {"delay_ms": 401.0}, {"delay_ms": 400.0}, 3, 3),
        ("constant-audio-input-level", {"uplink_level_dbov": -127}, {}, 11, 1),
        ("constant-audio-input-level", {"uplink_level_dbov": -66}, {}, 11, 1),
        ("no-audio-from-phone", {"frames": 0}, {}, 8, 1),
        (
            "no-audio-from-phone",
            {"downlink_level_dbov": -127},
            {"downlink_level_dbov": -40},
            8,
            1,
        ),
        ("no-audio-from-browser", {"packets": 0}, {}, 3, 1),
    ],
)
def test_a_warning_is_raised_and_cleared(name, bad, good, raised_after, cleared_after):
    line = Line()
    line.seconds(10)
    assert line.standing == set()
    line.seconds(raised_after - 1, **bad)
    assert name not in line.standing
    assert (wire.Warning, name) in names(line.second(**bad))
    assert name not in [message.name for message in line.seconds(20, **bad)]
    line.seconds(cleared_after - 1, **good)
    assert name in line.standing
    assert (wire.WarningCleared, name) in names(line.second(**good))
    line.seconds(20, **good)
    assert name not in line.standing


def test_every_warning_is_a_sentence():
    for rule in RULES:
        assert rule.message[0].isupper()
        assert rule.message.endswith(".")
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("level", [-65, -30, -3])
def test_a_level_that_stays_and_can_be_heard_is_no_silence(level):
    line = Line()
    line.seconds(60, uplink_level_dbov=level)
    assert line.standing == set()


def test_the_phones_silence_is_told_in_seconds():
    (warning,) = Line().seconds(9, frames=0)
    assert warning.message == "The phone's side has been silent for 8 seconds."


@pytest.mark.parametrize("why", ["is_muted", "is_on_hold"])
def test_who_need_not_speak_is_not_missed(why):
    line = Line(**{why: True})
    line.seconds(20, packets=0, uplink_level_dbov=-127)
    assert not line.standing & {"no-audio-from-browser", "constant-audio-input-level"}


def test_muting_ends_the_search_for_a_voice():
    line = Line()
    line.seconds(5, packets=0)
    assert line.standing == {"no-audio-from-browser"}
    line.second(packets=0, is_muted=True)
    assert line.standing == set()


def test_a_phone_on_hold_is_not_missed():
    line = Line(is_on_hold=True)
    line.seconds(20, frames=0, downlink_level_dbov=-127)
    assert line.standing == set()
    line.seconds(7, frames=0, is_on_hold=False)
    assert line.standing == set()


def test_an_unknown_round_trip_neither_warns_nor_clears():
    line = Line()
    line.seconds(3, rtt_ms=500.0)
    line.seconds(10, rtt_ms=None)
    assert "high-rtt" in line.standing


# The call record.


def test_a_phone_that_was_never_heard_has_no_quality():
    """The browser still reports what it was sent, such as the ringing tone."""
    line = Line(downlink_frames=0)
    line.seconds(3, frames=0)
    browser, carrier = line.legs
    assert (carrier.mos, carrier.mos_min, carrier.jitter_ms) == (None, None, None)
    assert browser.mos is not None
    line.second()
    assert line.legs[1].mos is not None


def test_the_record_has_means_and_extremes():
    line = Line()
    line.second(uplink_jitter_ms=2.0, delay_ms=30.0, concealed_ms=60.0)
    good = line.sample
    line.second(
        lost=10,
        packets=40,
        lost_down=1,
        uplink_jitter_ms=8.0,
        delay_ms=250.0,
        concealed_ms=220.0,
        rtt_ms=100.0,
        path="websocket",
    )
    bad = line.sample
    browser, carrier = line.legs
    assert (browser.frames_in, carrier.frames_out) == (7, 9)
    assert (browser.paths, carrier.paths) == (("webrtc", "websocket"), ())
    assert (browser.packets_lost, browser.loss_percent) == (10, 10)
    assert (carrier.packets_lost, carrier.loss_percent) == (1, 1)
    assert (browser.jitter_ms, browser.jitter_ms_max) == (5, 8)
    assert (browser.concealed_ms, browser.backlog_ms_max) == (160, 250)
    assert browser.mos == pytest.approx((good.browser.mos + bad.browser.mos) / 2, abs=0.01)
    assert browser.mos_min == bad.browser.mos < 3.5
    assert carrier.mos_min == min(good.carrier.mos, bad.carrier.mos)
    # The first second counts for round trips, though nothing was counted in it.
    assert (browser.rtt_ms, carrier.rtt_ms) == (60, 60)
    assert (carrier.level_dbov, carrier.backlog_ms_max) == (-28, 45)


def test_a_level_is_the_mean_power_of_what_was_heard():
    line = Line(downlink_level_dbov=-20)
    line.second(downlink_level_dbov=-127)
    line.second(downlink_level_dbov=-60)
    assert line.legs[1].level_dbov == -23


def test_what_nobody_measured_is_unknown():
    for leg in LineQuality().legs(LegQuality(), LegQuality()):
        assert leg == LegQuality()
    line = Line(report=None, rtt_ms=None, carrier_rtt_ms=None)
    line.seconds(3)
    browser, carrier = line.legs
    assert (browser.rtt_ms, carrier.rtt_ms) == (None, None)
    assert browser.mos is not None
    assert (carrier.mos, carrier.jitter_ms) == (4.36, 2.0), "the carrier's part is known"


def test_seconds_in_which_nobody_can_speak_do_not_count():
    line = Line()
    line.second()
    before = line.legs
    line.seconds(5, is_on_hold=True, lost=9, lost_down=9, delay_ms=500.0)
    assert line.legs == before
    line.seconds(5, is_on_hold=False, is_muted=True, lost=9, delay_ms=500.0)
    assert line.legs[0] == before[0]


def test_a_record_of_old_still_reads_and_a_new_one_comes_back():
    decode = msgspec.json.Decoder(LegQuality).decode
    assert decode(b'{"frames_in":5,"talk_ms":40}') == LegQuality(frames_in=5, talk_ms=40)
    line = Line()
    line.seconds(3, lost=1)
    for leg in line.legs:
        assert decode(msgspec.json.encode(leg)) == leg


# Whatever comes.

counts = st.integers(0, 1 << 40)
millis = st.floats(0, 600_000)
dbov = st.integers(-127, 0)
reports = st.builds(
    wire.Report,
    packets=counts,
    lost=counts,
    concealed_ms=millis,
    jitter_ms=millis,
    buffer_ms=millis,
    rtt_ms=st.none() | millis,
)
measurements = st.builds(
    Measured,
    path=st.sampled_from(["webrtc", "websocket"]),
    rtt_ms=st.none() | millis,
    carrier_rtt_ms=st.none() | millis,
    uplink_frames=counts,
    uplink_packets=counts,
    uplink_lost=st.integers(-(1 << 24), 1 << 40),
    uplink_jitter_ms=millis,
    packet_ms=st.integers(10, 60),
    concealed_ms=millis,
    delay_ms=millis,
    uplink_level_dbov=dbov,
    carrier_frames=counts,
    downlink_frames=counts,
    downlink_jitter_ms=millis,
    downlink_held_ms=millis,
    downlink_level_dbov=dbov,
    report=st.none() | reports,
    is_muted=st.booleans(),
    is_on_hold=st.booleans(),
    is_away=st.booleans(),
)


@given(st.lists(measurements, max_size=30))
def test_no_figures_break_it(all_measured):
    quality, standing = LineQuality(), set()
    for measured in all_measured:
        sample, *rest = quality.each_second(measured)
        assert isinstance(sample, wire.Sample)
        for leg in (sample.browser, sample.carrier):
            assert 1 <= leg.mos <= 4.5
            assert 0 <= leg.loss_percent <= 100
            assert 0 <= leg.concealed_percent <= 100
        for message in rest:
            assert isinstance(message, wire.Warning | wire.WarningCleared)
            assert (message.name in standing) == isinstance(message, wire.WarningCleared)
            standing ^= {message.name}
    for whole in quality.legs(LegQuality(), LegQuality()):
        assert whole.mos is None or 1 <= whole.mos_min <= whole.mos + 0.005
        assert 0 <= whole.loss_percent <= 100
        msgspec.json.encode(whole)


# What the carrier does not bring.

reporting = pytest.mark.parametrize("is_reporting", [True, False])
paths = pytest.mark.parametrize("path", ["webrtc", "websocket"])


def line_of_carrier(arrivals, *, seconds, phase_ms=0, is_reporting=True, path="websocket"):
    """Return a line to which the carrier's frames come at these milliseconds; it judges nothing."""
    report = FIRST.report if is_reporting else None
    line = Line(report=report, path=path)
    for second in range(seconds):
        frames = sum(
            1_000 * second + phase_ms <= ms < 1_000 * (second + 1) + phase_ms for ms in arrivals
        )
        heard = report and msgspec.structs.replace(
            line.last.report, packets=line.last.report.packets + frames
        )
        line.second(frames=frames, report=heard)
    return line


@paths
@reporting
def test_a_carrier_silent_for_a_part_of_each_second_is_lost(is_reporting, path):
    arrivals = [
        ms for ms in range(0, 50_000, 20) if not (5_000 <= ms < 35_000 and ms % 1_000 < 450)
    ]
    line = line_of_carrier(arrivals, seconds=25, is_reporting=is_reporting, path=path)
    assert line.sample.carrier.loss_percent == pytest.approx(46, abs=2)
    assert {"high-packet-loss", "low-mos"} <= line.standing
    line = line_of_carrier(arrivals, seconds=50, is_reporting=is_reporting, path=path)
    _, carrier = line.legs
    assert carrier.packets_lost == 2_500 - len(arrivals)
    assert carrier.mos_min < 2
    assert carrier.mos < 3.3


@paths
@reporting
@pytest.mark.parametrize("silent_ms", [100, 300, 500, 1_500, 5_000])
@pytest.mark.parametrize("begin_ms", one_in(4, range(5_000, 6_000, 140)))
def test_a_gap_of_the_carrier_is_lost_to_the_frame(is_reporting, path, silent_ms, begin_ms):
    arrivals = [ms for ms in range(0, 20_000, 20) if not begin_ms <= ms < begin_ms + silent_ms]
    line = line_of_carrier(arrivals, seconds=20, is_reporting=is_reporting, path=path)
    assert line.legs[1].packets_lost == silent_ms // 20
    assert line.legs[1].mos_min < 4


@paths
@pytest.mark.parametrize("is_reporting", first_of([True, False]))
@given(
    # What jitter moves over the end of a second is two frames at most.
    jitter=st.lists(st.integers(0, 40), min_size=1_000, max_size=1_000),
    phase_ms=st.integers(0, 400),
    stall_ms=st.integers(2_000, 18_000),
)
def test_jitter_and_a_stall_lose_nothing(is_reporting, path, jitter, phase_ms, stall_ms):
    """A stall of less than a second brings all of it at its end."""
    arrivals, last = [], 0
    for frame, late in enumerate(jitter):
        ms = 20 * frame + late
        if stall_ms <= ms < stall_ms + 900:
            ms = stall_ms + 900
        last = max(last, ms)
        arrivals.append(last)
    line = line_of_carrier(
        arrivals, seconds=19, phase_ms=phase_ms, is_reporting=is_reporting, path=path
    )
    assert line.legs[1].packets_lost == 0


@reporting
@pytest.mark.parametrize("millionths", first_of([-150, 150]))
def test_clocks_that_differ_lose_nothing_and_hide_nothing(is_reporting, millionths):
    step = 20 * (1 + millionths / 1e6)
    arrivals = [frame * step for frame in range(round(300_000 / step))]
    arrivals = [ms for ms in arrivals if not 200_000 <= ms < 201_000]
    line = line_of_carrier(arrivals, seconds=299, is_reporting=is_reporting)
    assert line.legs[1].packets_lost == pytest.approx(50, abs=1)


def test_what_the_carrier_and_the_way_to_the_client_lose_adds_up():
    line = Line()
    line.second()
    report = line.last.report
    # The carrier brings 30 of 50, the network loses 3 of these.
    for _ in range(10):
        report = msgspec.structs.replace(report, packets=report.packets + 27, lost=report.lost + 3)
        line.second(frames=30, report=report)
    line.seconds(2)
    assert line.legs[1].packets_lost == 10 * (20 + 3)


def test_what_no_report_covers_any_more_is_lost_all_the_same():
    line = Line()
    line.second()
    line.seconds(5, frames=0, report=None)
    line.second(report=None)
    assert line.legs[1].packets_lost == 250


def test_the_second_that_ends_a_hold_is_not_judged():
    line = Line(is_on_hold=True)
    line.seconds(3, frames=0)
    line.second(frames=12, is_on_hold=False)
    line.seconds(3)
    assert line.legs[1].packets_lost == 0


def test_little_that_is_lost_of_the_callers_voice_in_each_second_adds_up():
    line = Line(path="websocket", uplink_lost=0)
    line.seconds(30, packets=46)
    line.seconds(2)
    assert line.legs[0].packets_lost == 120
