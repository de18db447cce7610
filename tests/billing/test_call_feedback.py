"""What a caller says of a call: it is kept as a few words, and read back as it was said."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.call_feedback import Feedback, Flaw, feedback_in, feedback_text


@given(st.integers(1, 5), st.sets(st.sampled_from(Flaw)))
def test_what_is_kept_is_what_was_said(stars, flaws):
    said = Feedback(stars=stars, flaws=tuple(flaw for flaw in Flaw if flaw in flaws))
    assert feedback_in(feedback_text(said)) == said


def test_a_flaw_that_is_said_twice_is_kept_once():
    said = Feedback(stars=2, flaws=(Flaw.NOISY_CALL, Flaw.ECHO, Flaw.ECHO))
    assert feedback_text(said) == "2 echo noisy-call"


@pytest.mark.parametrize(
    "text", ["", "0", "6", "x", "3 laughter", "3  echo", "3.5", " 3", "\ud800"]
)
def test_what_cannot_be_read_is_none(text):
    assert feedback_in(text) is None


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"stars":0}',
        b'{"stars":6}',
        b'{"stars":4.5}',
        b'{"stars":"5"}',
        b'{"stars":5,"flaws":["bad language"]}',
        b'{"stars":5,"flaws":["echo","echo","echo","echo","echo","echo"]}',
        b'{"stars":5,"text":"hello"}',
    ],
)
def test_nothing_else_can_be_said(body):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=Feedback)
