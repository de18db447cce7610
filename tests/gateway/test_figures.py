"""A new figure of call records takes a row of a table, a column, and words; all places follow."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from billing.cdr import FIGURES, FOR_MONEY, MEASURED, CallClosed, shown_in
from billing.figures import Shown
from billing.stores import tables
from gateway.calls.call_view import CallView
from gateway.data_map import KINDS
from gateway.words.data_map import WORDS
from gateway.words.languages import LANGUAGES
from tests.gateway.new_figures import add_to

ROOT = Path(__file__).parents[2]
COPIED = (
    "accounts",
    "billing",
    "client",
    "database",
    "deploy",
    "docs",
    "gateway",
    "media",
    "simulators",
)


def test_each_column_of_call_records_is_a_figure_or_needed_for_money():
    columns = [*(figure.column for figure in FIGURES), *FOR_MONEY]
    assert sorted(columns) == sorted(tables.calls.c.keys())
    assert all(FOR_MONEY.values())


def test_the_data_map_has_each_once():
    mapped = [
        name
        for kind in KINDS
        for columns in kind.sql
        if columns.table == "calls"
        for name in columns.names
    ]
    assert sorted(mapped) == sorted(tables.calls.c.keys())
    (calls,) = next(kind.sql for kind in KINDS if kind.name == "calls")
    assert sorted(calls.names) == sorted(figure.column for figure in FIGURES)


def test_what_is_measured_can_be_missing():
    nothing = CallClosed(ended_at=None, seconds=0, cause=16, cause_name="", ended_by="caller")
    assert {getattr(nothing, figure.name) for figure in MEASURED} == {None}


def test_what_is_shown_is_nobody_elses_and_has_words_and_an_example():
    shown = {figure for place in Shown for figure in shown_in(place)}
    assert shown
    for figure in shown:
        if figure.shown & ~Shown.OPERATOR:
            assert not figure.is_withheld, figure.name
        for words in WORDS.values():
            assert words[f"field.{figure.column}"]
    assert all(figure.example is not None for figure in shown_in(Shown.API))
    assert {figure.name for figure in shown_in(Shown.API)} <= set(CallView.__struct_fields__)


def test_the_view_is_what_its_class_says():
    assert (CallView.__name__, CallView.__module__) == ("CallView", "gateway.calls.call_view")
    assert CallView.__doc__.startswith("One call as the API shows it.")


@pytest.fixture
def tree(tmp_path):
    """A copy of the tree, as far as the places of figures need it."""
    left_out = shutil.ignore_patterns("node_modules", "__pycache__", "static", "images")
    for name in (*COPIED, "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=left_out)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.thorough)])
def test_a_new_figure_is_everywhere_after_edits_of_three_files(tree, kind):
    """With the line that measures it these are four: words count once, in all their languages."""
    edited = add_to(tree)
    assert {path.parent.name for path in edited} == {"versions", "billing", *LANGUAGES}
    tests = (
        "tests/gateway/figure_everywhere.py",
        "tests/gateway/test_figures.py::test_each_column_of_call_records_is_a_figure_or_needed_for_money",
        "tests/gateway/test_figures.py::test_what_is_shown_is_nobody_elses_and_has_words_and_an_example",
        "tests/gateway/test_data_map.py::test_each_column_of_the_database_is_mapped_and_none_besides",
        "tests/gateway/webhooks/test_events.py",
        "tests/gateway/words/test_data_map.py",
        "tests/billing/test_cdr.py",
        "tests/billing/test_outbox.py",
    )
    other = {"sqlite": "postgres", "postgres": "sqlite"}[kind]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-k",
            f"not {other}",
            *tests,
        ],
        check=False,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr
    assert "passed" in done.stdout
