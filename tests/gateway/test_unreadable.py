"""What somebody else sends as JSON raises nothing that is not named."""

import contextlib

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.unreadable import UNREADABLE


class Wish(msgspec.Struct):
    name: str
    more: dict[str, list[int]] = {}


@given(st.binary(max_size=200) | st.text().map(lambda text: b'{"name":"%b"}' % text.encode()))
@example(b'{"name":"\xff"}')
@example(b'{"name":"\xed\xa0\x80"}')
@example(b'{"other":' + b"[" * 100_000)
def test_whatever_comes_is_read_or_unreadable(text):
    with contextlib.suppress(UNREADABLE):
        assert isinstance(msgspec.json.decode(text, type=Wish), Wish)


@pytest.mark.parametrize("text", [b'{"name":"\xff"}', b'{"other":' + b"[" * 100_000, b"{"])
def test_each_kind_is_raised_by_something(text):
    with pytest.raises(UNREADABLE):
        msgspec.json.decode(text, type=Wish)
