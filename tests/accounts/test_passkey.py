"""Passkeys: names, and counters that go back."""

import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.passkey import NAME_MAX, Passkey, has_counted_back, is_copied, read_name

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def passkey(sign_count, *, is_synced):
    return Passkey("id", "ada", b"key", sign_count, "", is_synced, is_synced, NOW)


@pytest.mark.parametrize(
    ("before", "now", "copied"),
    [
        (0, 0, False),
        (0, 1, False),
        (5, 6, False),
        (5, 5, True),
        (5, 4, True),
        (5, 0, True),
    ],
)
def test_a_counter_that_does_not_rise_is_of_a_copy_unless_it_is_meant_to_be_one(
    before, now, copied
):
    for is_synced in (False, True):
        assert has_counted_back(passkey(before, is_synced=is_synced), now) == copied
    assert is_copied(passkey(before, is_synced=False), now) == copied
    assert not is_copied(passkey(before, is_synced=True), now)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("  My  phone ", "My phone"),
        ("a\r\nb\tc", "a b c"),
        ("e\u0301", "é"),
        ("a\u202eb", "a b"),
        ("", ""),
        ("x" * 1000, "x" * NAME_MAX),
    ],
)
def test_a_name_is_on_one_line(typed, name):
    assert read_name(typed) == name


@given(st.text(max_size=200))
def test_no_name_hides_anything(typed):
    name = read_name(typed)
    assert len(name) <= NAME_MAX
    assert name == name.strip()
    assert not any(unicodedata.category(each).startswith("C") for each in name)
    assert read_name(name) == name
