"""The sequence of a stream: whose turn is next, and what a frame off the sequence means."""

from __future__ import annotations

from media.g711 import FRAME_NS
from media.sequencer import JitterBuffer, Sequencer


def attached(number: int = 65_534) -> Sequencer:
    sequencer = Sequencer()
    sequencer.attach(number)
    return sequencer


def test_the_first_frame_sets_the_sequence() -> None:
    sequencer = Sequencer()
    assert not sequencer.is_attached
    assert sequencer.turns_ahead(4_000) == 0
    sequencer.attach(4_000)
    assert sequencer.is_attached
    assert (sequencer.next_number, sequencer.turns_ahead(4_003)) == (4_000, 3)
    sequencer.detach()
    assert sequencer.turns_ahead(9) == 0


def test_turns_are_counted_across_the_end_of_the_numbers() -> None:
    sequencer = attached()
    assert (sequencer.turns_ahead(1), sequencer.turns_ahead(65_530)) == (3, -4)
    for _ in range(3):
        sequencer.advance()
    assert sequencer.next_number == 1


def test_two_frames_in_a_row_off_the_sequence_are_a_restart() -> None:
    sequencer = attached(10)
    assert not sequencer.is_restart(65_535)
    assert not sequencer.is_restart(7_000)
    assert sequencer.is_restart(7_001)


def test_what_arrives_in_any_order_leaves_the_newest() -> None:
    sequencer = attached(65_534)
    for number in (65_534, 1, 65_535):
        sequencer.arrived(number, 160)
    assert sequencer.arriving == 2
    assert sequencer.missing_ns(3) == FRAME_NS
    sequencer.arrived_unplayed(9)
    assert sequencer.arriving == 10


def test_a_frame_that_was_concealed_has_had_its_turn() -> None:
    sequencer = attached(5)
    sequencer.arrived(5, 160)
    assert not sequencer.conceal(80)
    assert sequencer.offset_ns(2) == 2 * FRAME_NS - FRAME_NS // 2
    assert sequencer.conceal(80)
    assert (sequencer.next_number, sequencer.concealed_turns, sequencer.concealed_bytes) == (
        6,
        1,
        0,
    )


def test_a_frame_that_takes_its_turn_back_is_played_after_its_concealment() -> None:
    sequencer = attached(5)
    sequencer.conceal(160)
    sequencer.reclaim(5, sequencer.turns_ahead(5))
    assert (sequencer.next_number, sequencer.concealed_turns) == (5, 0)
    assert sequencer.offset_ns(0) == -FRAME_NS, "its turn began a frame ago"


def test_nothing_has_a_turn_without_a_sequence() -> None:
    sequencer = attached(5)
    sequencer.detach()
    assert not sequencer.conceal(480)
    assert sequencer.concealed_bytes == sequencer.concealed_turns == 0


def test_skipped_turns_leave_nothing_concealed() -> None:
    sequencer = attached(5)
    sequencer.conceal(80)
    sequencer.skip(4)
    assert (sequencer.next_number, sequencer.offset_ns(0)) == (9, 0)


MS = 1_000_000


def test_what_is_put_is_taken_once_and_counted_until_then() -> None:
    held = JitterBuffer()
    assert not held
    held.put(5, b"\x01" * 160)
    held.put(7, b"\x02" * 80)
    assert 5 in held
    assert 6 not in held
    assert (len(held), held.length_ns) == (2, 30 * MS)
    assert held.take(6) == b""
    assert held.take(5) == b"\x01" * 160
    assert held.take(5) == b""
    assert held.length_ns == 10 * MS
    held.clear()
    assert (len(held), held.length_ns) == (0, 0)


def test_the_first_that_waits_is_found_across_the_end_of_the_numbers() -> None:
    held = JitterBuffer()
    held.put(2, b"\x01" * 160)
    held.put(4, b"\x01" * 160)
    assert held.first_after(65_535) == 3
