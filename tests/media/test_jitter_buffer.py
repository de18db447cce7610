"""Frames that wait: kept by number, taken once, measured."""

from __future__ import annotations

from media.jitter_buffer import JitterBuffer

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
