"""CSV: what is written is read back as it was, and no cell is a formula."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.site.csv_lines import line, lines

# A row of one empty cell is an empty line, which readers take for none.
ROWS = st.lists(st.lists(st.text(), min_size=2, max_size=4), max_size=4)


def unguarded(rows):
    return [[cell.removeprefix("'") for cell in row] for row in rows]


@given(ROWS)
def test_what_is_written_is_read_back(rows):
    written = io.StringIO(lines(rows).decode(), newline="")
    assert unguarded(csv.reader(written, strict=True)) == unguarded(rows)


@given(ROWS)
def test_no_cell_is_a_formula(rows):
    for row in csv.reader(io.StringIO(lines(rows).decode(), newline="")):
        for cell in row:
            assert not cell.startswith(("=", "+", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("-0.50", "-0.50"),
        ("-1+1", "'-1+1"),
        ("+44207", "'+44207"),
        ('=HYPERLINK("http://x")', '"\'=HYPERLINK(""http://x"")"'),
        ("a,b", '"a,b"'),
        ("a\r\nb", '"a\r\nb"'),
        ("", ""),
    ],
)
def test_a_cell(text, cell):
    assert line([text]) == f"{cell}\r\n"
