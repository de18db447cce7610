"""The text of a settings file: read as it was written, by us and by a shell."""

import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import SettingsError
from gateway.settings_file import assignment, parse, updated

NAME = "CALLER_X"
# All that a file can hold: no NUL, and no half of a surrogate pair.
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=80)
NAMES = st.from_regex(r"CALLER_[A-Z0-9_]{1,12}", fullmatch=True)
ODD = [
    "",
    " ",
    "#",
    "a #b",
    "it's",
    '"',
    "\\",
    "\\\\",
    "$HOME",
    "`id`",
    "a\nb",
    "\n",
    "\r\n",
    "ä☎",
    "\\n",
]


@given(st.dictionaries(NAMES, VALUES, max_size=6), st.dictionaries(NAMES, VALUES, max_size=6))
def test_whatever_is_written_is_read_again(first, second):
    text = updated("", first)
    assert parse(text) == {name: value for name, value in first.items() if value}
    both = parse(updated(text, second))
    assert both == {name: value for name, value in {**first, **second}.items() if value}


@given(st.lists(VALUES, min_size=1, max_size=5))
@example(ODD[1:])
@settings(max_examples=25)
def test_a_shell_reads_the_same(values):
    # A shell drops a carriage return nowhere, but its own reading of a file has no such value.
    named = {f"{NAME}{place}": value for place, value in enumerate(values)}
    text = "".join(assignment(name, value) for name, value in named.items())
    shown = 'printf "%s\\0" ' + " ".join(f'"${name}"' for name in named)
    done = subprocess.run(
        ["/bin/sh"], input=f"{text}{shown}\n".encode(), capture_output=True, check=True
    )
    assert done.stdout.decode().split("\0")[:-1] == values


@given(st.text(max_size=200))
@example('CALLER_A="')
@example("CALLER_A='\n\n")
@example('CALLER_A="\\')
def test_any_text_is_read_or_refused(text):
    """No other error, and what was read once is read again."""
    try:
        found = parse(text)
    except SettingsError:
        return
    changed = updated(text, {"CALLER_ADDED": "1"})
    assert parse(changed) == {**found, "CALLER_ADDED": "1"}


@pytest.mark.parametrize("value", ODD)
def test_odd_values_one_by_one(value):
    assert parse(assignment(NAME, value)) == {NAME: value}


def test_what_people_write():
    text = """\ufeff# comment
; another
  CALLER_A=plain text, with = and é \r
CALLER_B="quoted # $5 \\$6 \\"x\\" \\n"\r
CALLER_C='single "quotes" \\ $'
CALLER_D=
CALLER_E="two
lines"
CALLER_F="con\\
tinued"
OTHER=left out
CALLER_A=the last counts
CALLER_G=end#"""
    assert parse(text.removeprefix("\ufeff")) == {
        "CALLER_A": "the last counts",
        "CALLER_B": 'quoted # $5 $6 "x" \\n',
        "CALLER_C": 'single "quotes" \\ $',
        "CALLER_D": "",
        "CALLER_E": "two\nlines",
        "CALLER_F": "continued",
        "CALLER_G": "end#",
    }


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("CALLER_A", "is not NAME=value"),
        ("export CALLER_A=1", "is not NAME=value"),
        ("=secret", "is not NAME=value"),
        ('CALLER_A=se"cret"', "needs quotes"),
        ("CALLER_A=sec\0ret", "has a NUL"),
        ('CALLER_A="sec\nr\0et"', "quotes do not end it"),
        ("CALLER_A=sec#ret # why", "needs quotes"),
        ("CALLER_A=#secret", "needs quotes"),
        ("CALLER_A=sec\\ret", "needs quotes"),
        ("CALLER_A=$secret", "needs quotes"),
        ('CALLER_A= "secret"', "needs quotes"),
        ('CALLER_A="secret', "do not end it"),
        ("CALLER_A='secret' more", "do not end it"),
        ('CALLER_A="secret" # why', "do not end it"),
    ],
)
def test_what_readers_disagree_about_is_refused_by_its_line(line, why):
    with pytest.raises(SettingsError, match=why) as caught:
        parse(f'# first\nCALLER_B="two\nlines"\n{line}\n')
    assert str(caught.value).startswith("Line 4 of the settings file ")
    assert "secret" not in str(caught.value)


def test_what_was_there_stays():
    text = "# my file\nCALLER_A=1\n\nCALLER_B=2\nCALLER_A=3\n  OTHER=x y"
    assert updated(text, {"CALLER_A": "4 5", "CALLER_C": "6", "CALLER_D": ""}) == (
        '# my file\n\nCALLER_B=2\nCALLER_A="4 5"\n  OTHER=x y\nCALLER_C=6\n'
    )
    assert parse(updated(text, {"CALLER_A": ""})) == {"CALLER_B": "2"}
    assert updated(text, {}) == text + "\n"


@pytest.mark.parametrize("value", ["a\0b", "\udcff"])
def test_what_no_file_can_hold_is_refused(value):
    with pytest.raises(SettingsError, match=f"{NAME} has a character"):
        updated("", {NAME: value})
