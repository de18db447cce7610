"""Resume tokens: one for each call and each time, and no other text is one."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.call.resume_token import generation_of, resume_token

KEY = bytes(range(32))


@given(st.text(max_size=32), st.integers(0, 10**9 - 1))
def test_a_token_tells_what_it_was_made_for(call_id, generation):
    assert generation_of(KEY, call_id, resume_token(KEY, call_id, generation)) == generation


def test_a_token_of_another_call_key_or_time_is_none():
    token = resume_token(KEY, "call", 3)
    assert generation_of(KEY, "other", token) is None
    assert generation_of(bytes(32), "call", token) is None
    assert generation_of(KEY, "call", "4" + token[1:]) is None
    assert generation_of(KEY, "call", "0" + token) is None
    assert generation_of(KEY, "call", token + "A") is None


@given(st.text(max_size=300))
def test_any_other_text_is_none(text):
    assert generation_of(KEY, "call", text) is None
