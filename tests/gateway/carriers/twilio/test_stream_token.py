"""Tokens of media streams: each names its call, and none is made without the secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.twilio.stream_token import call_of, stream_token

SECRET = "0f" * 16


def test_a_token_names_its_call():
    assert call_of(SECRET, stream_token(SECRET, "c1")) == "c1"


def test_it_tells_nothing_of_the_secret_and_fits_a_parameter():
    """Twilio: name and value together have less than 500 characters."""
    token = stream_token(SECRET, "a" * 12)
    assert SECRET not in token
    assert len(token) < 100


@pytest.mark.parametrize(
    "token",
    ["", ".", "c1", "c1.", "c1.x", stream_token(SECRET, "c1") + "x", "c1.sécret", "\udcff.x"],
)
def test_another_text_names_none(token):
    assert call_of(SECRET, token) == ""


def test_another_secret_or_call_makes_another_token():
    token = stream_token(SECRET, "c1")
    assert call_of("f0" * 16, token) == ""
    assert call_of(SECRET, token.replace("c1.", "c2.")) == ""


@given(st.text())
def test_nothing_made_up_is_genuine(token):
    assert call_of(SECRET, token) == ""
