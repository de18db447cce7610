"""Texts of an operator: what becomes of each line, and which line of what is refused is named."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.people.own_text import BYTES_MAX, OwnText, OwnTextError, Shape, read_own_text

TEXT = """
# Terms of Example Calls

These are the terms
of Example Calls.

## What you pay
- The price that is shown.
- Nothing
else.

# Changes
## 2027-03-01
What is paid back.

- Within 14 days.
## 2026-12-01
"""


def shapes(text: str) -> list[tuple[Shape, tuple[str, ...]]]:
    return [(block.shape, tuple(block.lines)) for block in read_own_text(text.encode()).blocks]


def test_headings_paragraphs_and_lists_are_told_apart():
    assert shapes(TEXT) == [
        (Shape.HEADING, ("Terms of Example Calls",)),
        (Shape.PARAGRAPH, ("These are the terms of Example Calls.",)),
        (Shape.SUBHEADING, ("What you pay",)),
        (Shape.LIST, ("The price that is shown.", "Nothing")),
        (Shape.PARAGRAPH, ("else.",)),
        (Shape.HEADING, ("Changes",)),
        (Shape.SUBHEADING, ("2027-03-01",)),
        (Shape.PARAGRAPH, ("What is paid back.",)),
        (Shape.LIST, ("Within 14 days.",)),
        (Shape.SUBHEADING, ("2026-12-01",)),
    ]


def test_what_a_version_changed_stands_below_its_heading():
    text = read_own_text(TEXT.encode())
    assert text.changes("2027-03-01") == ["What is paid back.", "Within 14 days."]
    assert text.changes("2026-12-01") == []
    assert text.changes("2026-11-27") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("#hash", [(Shape.PARAGRAPH, ("#hash",))]),
        ("#", [(Shape.PARAGRAPH, ("#",))]),
        ("### three", [(Shape.PARAGRAPH, ("### three",))]),
        ("-", [(Shape.PARAGRAPH, ("-",))]),
        ("-5 degrees", [(Shape.PARAGRAPH, ("-5 degrees",))]),
        # Below no heading there is none of the second level.
        ("## first", [(Shape.HEADING, ("first",))]),
        ("<b>bold</b> [x](javascript:x)", [(Shape.PARAGRAPH, ("<b>bold</b> [x](javascript:x)",))]),
        ("{{ secret }} {name}", [(Shape.PARAGRAPH, ("{{ secret }} {name}",))]),
    ],
)
def test_what_is_no_mark_is_text(text, found):
    assert shapes(text) == found


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no text"),
        (b"\n \n\t\n", "no text"),
        (b"x" * (BYTES_MAX + 1), "more than 32768 bytes"),
        (b"one\ntwo \xff", "not UTF-8 in line 2"),
        ("one\ntwo\nthr\u202eee".encode(), "not shown in line 3"),
        ("\u2066x\u2069".encode(), "not shown in line 1"),
        (b"one\n\x1b[2Jtwo", "not shown in line 2"),
        (b"one\0", "not shown in line 1"),
        ("one\u2028two".encode(), "not shown in line 1"),
        (b"one\rtwo", "not shown in line 1"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_its_place(content, why):
    with pytest.raises(OwnTextError, match=why):
        read_own_text(content)


def test_a_text_is_the_same_however_its_editor_ends_lines_and_begins_files():
    plain = read_own_text(b"one\ntwo")
    assert read_own_text(b"\xef\xbb\xbfone\r\ntwo\r\n") == plain
    assert read_own_text(b"one\ntwo.").digest != plain.digest


def test_the_largest_text_is_read():
    assert len(read_own_text(b"x" * BYTES_MAX).blocks) == 1


@given(st.binary(max_size=200))
def test_any_bytes_are_a_text_or_refused(content):
    try:
        text = read_own_text(content)
    except OwnTextError:
        return
    assert isinstance(text, OwnText)


@given(st.text(string.ascii_letters + "#- \n", max_size=200))
def test_no_word_is_lost(text):
    try:
        blocks = read_own_text(text.encode()).blocks
    except OwnTextError:
        assert not text.strip()
        return
    kept = "".join(line for block in blocks for line in block.lines)
    for mark in "#- \n":
        text, kept = text.replace(mark, ""), kept.replace(mark, "")
    assert kept == text
    levels = [block.shape for block in blocks if "heading" in block.shape]
    assert levels[:1] in ([], [Shape.HEADING])
