"""The model of a carrier: when it runs dry, by what it was sent."""

from __future__ import annotations

from media.carrier_model import CarrierModel

MS = 1_000_000


def test_a_carrier_that_was_sent_nothing_has_nothing() -> None:
    assert CarrierModel().lead_ns(0) == 0


def test_a_carrier_plays_what_it_has_and_then_is_dry() -> None:
    carrier = CarrierModel()
    carrier.end_ns = 100 * MS
    assert carrier.lead_ns(40 * MS) == 60 * MS
    assert carrier.lead_ns(130 * MS) == 0
    assert carrier.catch_up(100 * MS) == 0
    assert carrier.catch_up(130 * MS) == 30 * MS
    assert carrier.end_ns == 130 * MS


def test_after_it_was_dry_marks_lower_the_floor_again() -> None:
    carrier = CarrierModel()
    for second in range(20):
        carrier.end_ns = second * 1_000 * MS
        name = carrier.marks.due(carrier.end_ns, carrier.end_ns)
        assert name is not None
        carrier.marks.returned(carrier.end_ns + 40 * MS, name)
    assert carrier.marks.rtt_ns == 40 * MS
    at = 20_000 * MS
    assert carrier.catch_up(at)
    name = carrier.marks.due(at, at + 20 * MS)
    assert name is not None
    carrier.marks.returned(at + 55 * MS, name)
    assert carrier.marks.rtt_ns == 35 * MS


def test_frames_are_cut_until_little_is_left_or_it_was_cleared() -> None:
    carrier = CarrierModel()
    carrier.end_ns = 500 * MS
    carrier.cut_above(30 * MS)
    assert carrier.cut_until_ns == 470 * MS
    carrier.cleared(100 * MS)
    assert carrier.end_ns == 100 * MS
    assert carrier.cut_until_ns < 0
    assert carrier.marks.clear_control.is_measuring


def test_whole_frames_are_sent_and_counted_and_the_rest_waits() -> None:
    carrier, output = CarrierModel(), list[bytes]()
    carrier.end_ns = 0
    carrier.write(b"\x01" * 200, output)
    assert output == [b"\x01" * 160]
    assert (carrier.end_ns, carrier.delay_ns(0)) == (20 * MS, 25 * MS)
    carrier.complete(output)
    assert output[1] == b"\x01" * 40 + b"\xff" * 120
    assert carrier.end_ns == carrier.delay_ns(0) == 40 * MS


def test_audio_of_our_own_completes_the_rest() -> None:
    carrier, output = CarrierModel(), list[bytes]()
    carrier.end_ns = 0
    carrier.write(b"\x01" * 40, output)
    assert output == []
    assert (
        carrier.insert(b"\x02" * 80) == b"\x01" * 40 + b"\xff" * 120 + b"\x02" * 80 + b"\xff" * 80
    )
    assert carrier.end_ns == 40 * MS


def test_of_a_gap_that_was_waited_for_less_than_a_frame_is_not_sent() -> None:
    for waited, sent in ((0, 2), (10, 2), (11, 1), (30, 1), (31, 0), (90, 0)):
        carrier, output = CarrierModel(), list[bytes]()
        carrier.end_ns, carrier.gap_ns = 0, 40 * MS
        assert carrier.end_gap(waited * MS, output) == min(waited, 40) * MS
        assert b"".join(output) == b"\xff" * 160 * sent, waited
        assert carrier.gap_ns == 0


def test_a_clear_is_not_due_in_a_gap_or_while_frames_are_cut() -> None:
    carrier = CarrierModel()
    carrier.end_ns = 50 * MS
    assert not carrier.is_clear_due(0)
    carrier.marks.clear_control.doubt(0)
    assert carrier.is_clear_due(0)
    carrier.gap_ns = MS
    assert not carrier.is_clear_due(0)
    carrier.gap_ns = 0
    carrier.cut_above(30 * MS)
    assert not carrier.is_clear_due(20 * MS - 1)
    assert carrier.is_clear_due(20 * MS)
