"""The playout model against a model of its own: one byte string and a list of marks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulators.carrier.playout import CAPACITY_BYTES, FRAME_BYTES, MARKS_MAX, SILENCE, Playout

FRAME = b"\x01" * FRAME_BYTES


def test_plays_what_was_sent_in_order_whatever_the_cuts() -> None:
    playout = Playout()
    audio = bytes(i % 251 for i in range(FRAME_BYTES * 3))
    for start, end in ((0, 1), (1, 200), (200, 333), (333, 480)):
        assert playout.push(audio[start:end])
    assert b"".join(playout.pull() for _ in range(3)) == audio
    assert playout.pull() == SILENCE


def test_fills_a_partial_frame_with_silence() -> None:
    playout = Playout()
    playout.push(b"\x01" * 100)
    assert playout.pull() == b"\x01" * 100 + b"\xff" * 60


def test_mark_comes_at_once_when_nothing_waits() -> None:
    assert Playout().mark("a") == ["a"]


def test_mark_comes_when_the_audio_before_it_has_been_played() -> None:
    playout = Playout()
    playout.push(FRAME * 2)
    assert playout.mark("a") == []
    playout.push(FRAME)
    assert playout.mark("b") == []
    due = []
    for _ in range(3):
        playout.pull()
        due.append(playout.due())
    assert due == [[], ["a"], ["b"]]


def test_clear_returns_all_marks_in_order_and_forgets_the_audio() -> None:
    playout = Playout()
    playout.push(FRAME * 5)
    playout.mark("a")
    playout.push(FRAME)
    playout.mark("b")
    assert playout.clear() == ["a", "b"]
    assert (playout.backlog_ms, playout.marks_waiting) == (0, 0)
    assert playout.pull() == SILENCE
    assert playout.counters.cleared_bytes == 6 * FRAME_BYTES
    assert playout.counters.underruns == 0


def test_refuses_more_than_ten_minutes() -> None:
    playout = Playout()
    assert playout.push(b"\0" * CAPACITY_BYTES)
    assert playout.backlog_ms == 600_000
    assert not playout.push(b"\0")
    playout.pull()
    assert playout.push(b"\0" * FRAME_BYTES)
    assert playout.counters.refused_bytes == 1


def test_counts_each_time_the_audio_runs_out() -> None:
    playout = Playout()
    playout.pull()
    playout.push(FRAME)
    for _ in range(3):
        playout.pull()
    playout.push(FRAME)
    playout.pull()
    playout.pull()
    assert (playout.counters.underruns, playout.counters.starved_frames) == (2, 3)
    assert playout.counters.backlog_bytes_max == FRAME_BYTES


def test_marks_are_bounded() -> None:
    playout = Playout()
    playout.push(FRAME)
    for number in range(MARKS_MAX + 5):
        playout.mark(str(number))
    assert playout.marks_waiting == MARKS_MAX


def test_release_keeps_what_was_measured() -> None:
    playout = Playout()
    playout.push(FRAME * 2)
    playout.release()
    assert playout.backlog_ms == 40


_steps = st.one_of(
    st.binary(min_size=1, max_size=700),
    st.just("pull"),
    st.just("mark"),
    st.just("clear"),
)


@given(st.lists(_steps, max_size=60))
def test_agrees_with_a_byte_string(steps: list[bytes | str]) -> None:
    playout, waiting = Playout(), b""
    marks: list[tuple[int, str]] = []
    seen: list[str] = []
    expected: list[str] = []
    for number, step in enumerate(steps):
        name = str(number)
        if isinstance(step, bytes):
            playout.push(step)
            waiting += step
        elif step == "pull":
            frame = waiting[:FRAME_BYTES]
            waiting = waiting[FRAME_BYTES:]
            marks = [(at - len(frame), n) for at, n in marks]
            expected += [n for at, n in marks if at <= 0]
            marks = [(at, n) for at, n in marks if at > 0]
            assert playout.pull() == frame.ljust(FRAME_BYTES, b"\xff")
            seen += playout.due()
        elif step == "mark":
            seen += playout.mark(name)
            if waiting:
                marks.append((len(waiting), name))
            else:
                expected.append(name)
        else:
            seen += playout.clear()
            expected += [n for _, n in marks]
            waiting, marks = b"", []
        assert playout.backlog_bytes == len(waiting)
    assert seen == expected
