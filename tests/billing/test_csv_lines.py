"""CSV: what is written is read back as it was, and no cell is a formula."""

import ast
import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.csv_lines import as_it_is, as_text, harmless, lines
from billing.rate_deck import RateDeck
from tests.trees import tree_of

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
# A row of one empty cell is an empty line, which readers take for none.
ROWS = st.lists(st.lists(st.text(), min_size=2, max_size=4), max_size=4)
SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
NASTY = st.builds(
    "".join, st.lists(st.sampled_from([*SIGNS, " ", "\u3000", "\ufeff", "'", "1", "a"]))
)


def unguarded(rows):
    return [[cell.removeprefix("'") for cell in row] for row in rows]


@given(ROWS)
def test_what_is_written_is_read_back(rows):
    written = io.StringIO(lines(rows).decode(), newline="")
    assert unguarded(csv.reader(written, strict=True)) == unguarded(rows)


@given(ROWS | st.lists(st.lists(NASTY, min_size=2)))
def test_no_cell_is_a_formula(rows):
    for row in csv.reader(io.StringIO(lines(rows).decode(), newline="")):
        for cell in row:
            assert not cell.startswith(SIGNS)
            # Nor once a spreadsheet has skipped what cannot be seen.
            assert not cell.strip().strip("\ufeff\u200b\0").strip().startswith(SIGNS)


@given(NASTY | st.text())
def test_a_cell_that_was_guarded_is_had_back(text):
    ((written, _),) = csv.reader(io.StringIO(as_text([(text, "x")]), newline=""))
    assert as_it_is(written) in (text, as_it_is(text))
    if not text.startswith("'"):
        assert as_it_is(written) == text


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (Decimal("-0.50"), "-0.50"),
        (Decimal("-0.000001"), "-0.000001"),
        ("-0.50", "'-0.50"),
        ("-1+1", "'-1+1"),
        ("+44207", "'+44207"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("＝1", "'＝1"),
        ("＋1", "'＋1"),
        ("－1", "'－1"),
        ("＠A1", "'＠A1"),
        (" =1", "' =1"),
        ("\u3000＝1", "'\u3000＝1"),
        ("a=1", "a=1"),
        (" a", " a"),
        ('=HYPERLINK("http://x")', '"\'=HYPERLINK(""http://x"")"'),
        ("a,b", '"a,b"'),
        ("a\r\nb", '"a\r\nb"'),
        ("\r=1", '"\'\r=1"'),
        ("", ""),
        (-2, "-2"),
        (None, ""),
        (True, "True"),
        (NOW, "2026-11-24T12:00:00+00:00"),
    ],
)
def test_a_cell(value, cell):
    assert lines([(value, "x")]) == f"{cell},x\r\n".encode()


def test_what_has_no_formula_stays_byte_for_byte():
    text = "# a deck\nprefix,description\r\n44,'quoted'\n"
    assert harmless(text) == text


HEAD = "prefix,description,country,rate_per_minute,connect_fee,first,next\n"


@pytest.mark.parametrize("sign", ["=", "＝", "+", "＋", "-", "－", "@", "＠"])
def test_a_deck_with_a_formula_is_shown_and_written_without_and_read_as_it_was(sign):
    text = f"{HEAD}44,{sign}1+1,GB,0.01,0,60,60\n"
    deck = RateDeck.from_csv(text)
    assert deck.lookup("+442079460018").description == f"{sign}1+1"
    for written in (harmless(text), deck.to_csv()):
        _, row = csv.reader(io.StringIO(written))
        assert row[1] == f"'{sign}1+1"
        assert list(RateDeck.from_csv(written)) == list(deck)


def test_there_is_no_other_writer_of_csv():
    """Each `csv.writer` of its own would forget what a spreadsheet runs."""
    writers = {
        str(path.relative_to(ROOT))
        for package in ("gateway", "billing", "accounts", "database", "simulators")
        for path in (ROOT / package).glob("**/*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in ("writer", "DictWriter")
        if isinstance(node.value, ast.Name) and node.value.id == "csv"
    }
    assert writers == {"billing/csv_lines.py"}
