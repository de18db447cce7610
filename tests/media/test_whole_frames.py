"""Audio of any lengths goes out in whole frames, with nothing lost, doubled or put elsewhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from media.conceal import HISTORY_SAMPLES
from media.whole_frames import SILENCE, WholeFrames

PIECES = st.lists(st.integers(0, 700).map(lambda size: bytes(n % 251 for n in range(size))))


@given(PIECES)
def test_what_goes_in_comes_out_in_frames_and_less_than_one_waits(pieces: list[bytes]) -> None:
    out, given_ = WholeFrames(), b""
    for piece in pieces:
        due = out.due(len(piece))
        whole = out.write(piece)
        assert len(whole) == due
        assert not len(whole) % 160
        assert len(out.rest) < 160
        assert (len(out.rest) + out.missing) % 160 == 0
        given_ += whole
    assert given_ + out.rest == b"".join(pieces)


def test_whole_frames_pass_as_they_are() -> None:
    out, frame = WholeFrames(), bytes(320)
    assert out.write(frame) is frame
    assert out.complete(frame) is frame
    assert (out.rest, out.missing) == (b"", 0)


def test_what_does_not_go_on_is_completed_by_silence_as_is_what_was_left_over() -> None:
    out = WholeFrames()
    assert out.write(b"a" * 170) == b"a" * 160
    assert out.complete(b"b" * 80) == b"a" * 10 + SILENCE * 150 + b"b" * 80 + SILENCE * 80
    assert out.rest == b""


@given(PIECES)
def test_enough_is_remembered_to_conceal_from_and_no_more(pieces: list[bytes]) -> None:
    out = WholeFrames()
    for piece in pieces:
        out.write(piece)
    history, said = b"".join(out.history), SILENCE * HISTORY_SAMPLES + b"".join(pieces)
    assert said.endswith(history)
    assert len(history) >= HISTORY_SAMPLES
    assert len(out.history) <= 4
