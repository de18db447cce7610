"""Names that others can read, and those that they cannot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.shown_name import NameFault, fault_of

NEEDED, HIDDEN, LONG = NameFault


@pytest.mark.parametrize(
    "name",
    [
        "Sales",
        "می\u200cخواهم",
        "क्\u200dष",
        "\U0001f469\u200d\U0001f469\u200d\U0001f466",
        "❤\ufe0f",
        "1",
        "e\u0301",
        "?",
    ],
)
def test_what_is_read_is_a_name(name):
    assert fault_of(name, 20) is None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", NEEDED),
        ("  ", NEEDED),
        *(
            (each, NEEDED)
            for each in "\u3164\u115f\u1160\u2800\uffa0\u034f\u17b4\u200c\u200d\ufe0f"
        ),
        ("\u3164 \u2800", NEEDED),
        *((f"a{each}b", HIDDEN) for each in "\0\r\n\t\u202e\u2066\u200b\u200f\u00ad\ufeff\ue000"),
        ("a\ud800", HIDDEN),
        ("x" * 21, LONG),
        ("x" * 21 + "\n", HIDDEN),
    ],
)
def test_what_cannot_be_read_is_none(name, fault):
    assert fault_of(name, 20) is fault


@given(st.text(max_size=30))
def test_nothing_but_joiners_is_taken_that_is_not_printable(name):
    if fault_of(name, 20) is None:
        assert len(name) <= 20
        assert name.replace("\u200c", "").replace("\u200d", "").isprintable()
        assert name.strip()
