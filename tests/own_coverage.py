"""Measures which branches and lines of each module its own tests take, and demands a share of them.

`python -m tests.own_coverage` runs pytest with this module as its plug-in: each test file is a
context of the measurement. `tests/own_tests.py` says which files are whose. A module is judged
where all of its own tests are run, but those that see a process from outside, for what a process
does that a test starts is not measured. Whose own tests `make test` leaves out in part is judged
with `--thorough` alone. So it can be run in pieces, by folders: whose own tests are not all in
these is not judged.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coverage
import pytest
from coverage.python import PythonFileReporter

from tests.own_tests import OF_PROCESSES, PACKAGES, ROOT, SIMULATIONS, modules, own_tests
from tests.thorough import is_left_out

FLOOR_PERCENT = 75
"""Least share of a module's branches that its own tests take."""
FOLDER = "COVERAGE_OF_TESTS"
"""Variable that tells the plug-in where to keep what it measures."""


# -- the plug-in: one process of pytest ------------------------------------------------------------


class Measurement:
    """What one process of pytest has run, by test file."""

    def __init__(self, folder: str) -> None:
        self._file = ""
        self._coverage = _coverage(Path(folder, "part"), data_suffix=True)

    def start(self) -> None:
        self._coverage.start()

    def enter(self, file: str) -> None:
        """Count what runs from now on for this test file."""
        if file != self._file:
            self._file = file
            self._coverage.switch_context(file)

    def stop(self) -> None:
        self._coverage.stop()
        self._coverage.save()


_measurement: list[Measurement] = []


def _coverage(data_file: Path, **options: Any) -> coverage.Coverage:
    return coverage.Coverage(
        data_file=str(data_file),
        config_file=False,
        branch=True,
        source=[str(ROOT / name) for name in PACKAGES],
        # SQLAlchemy's asyncio runs in greenlets.
        concurrency=["thread", "greenlet"],
        messages=False,
        **options,
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Begin before any module of ours is imported: what an import runs counts for every test."""
    if folder := os.environ.get(FOLDER):
        _measurement.append(Measurement(folder))
        _measurement[0].start()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Count a test, with its fixtures, for its file."""
    if _measurement:
        _measurement[0].enter(item.path.relative_to(ROOT).as_posix())


def pytest_unconfigure() -> None:
    """Keep what was measured."""
    if _measurement:
        _measurement.pop().stop()


# -- the report ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Share:
    """How much of something was run."""

    taken: int
    total: int

    @property
    def percent(self) -> float:
        """All of nothing is all."""
        return 100 * self.taken / self.total if self.total else 100.0

    def __str__(self) -> str:
        return f"{self.taken:4}/{self.total:<4}{self.percent:4.0f} %"


@dataclass(frozen=True, slots=True)
class Row:
    """One module: what its own tests run of it, and what all do."""

    module: str
    tests: tuple[str, ...]
    is_measured: bool
    """Whether all of its own tests that can be measured are run."""
    own_branches: Share
    all_branches: Share
    own_lines: Share
    all_lines: Share

    def __str__(self) -> str:
        shares = (self.own_branches, self.all_branches, self.own_lines, self.all_lines)
        remark = [] if self.is_judged else ["(its own tests are not all run here)"]
        return "  ".join([*map(str, shares), self.module, *remark])

    @property
    def is_judged(self) -> bool:
        """Whether its own tests are all run; a module without any is judged."""
        return not self.tests or self.is_measured

    @property
    def fault(self) -> str:
        """What is wrong, as a sentence; empty where nothing is."""
        if self.own_branches.percent >= FLOOR_PERCENT or not self.is_judged:
            return ""
        if not self.tests:
            return f"{self.module} has branches and no test file of its own (tests/own_tests.py)."
        return (
            f"{', '.join(self.tests)} takes {self.own_branches.percent:.0f} % of the branches of"
            f" {self.module}; at least {FLOOR_PERCENT} % are to be taken."
        )


def is_run(test: str, places: Iterable[Path] = (), *, thorough: bool) -> bool:
    """Return whether the measurement runs a test file, in the whole run or these places of it."""
    file, named = ROOT / test, tuple(places)
    if test.startswith(OF_PROCESSES) or (named and not any(map(file.is_relative_to, named))):
        return False
    return thorough or not any(is_left_out(place, named) for place in (file, *file.parents))


def are_run(tests: Iterable[str], places: Iterable[Path], *, thorough: bool) -> bool:
    """Return whether of some tests all are run, but those that see a process from outside."""
    measured = [test for test in tests if not test.startswith(OF_PROCESSES)]
    return bool(measured) and all(is_run(test, places, thorough=thorough) for test in measured)


def rows(
    measured: coverage.Coverage, places: Sequence[Path] = (), *, thorough: bool = False
) -> Iterator[Row]:
    """Yield what was measured of each module."""
    data = measured.get_data()
    for module, path in modules():
        tests = own_tests(module)
        source = PythonFileReporter(str(path), measured)
        # What an import runs belongs to no file.
        files = "|".join(map(re.escape, tests))
        data.set_query_contexts([f"^({files})?$"])
        own = _shares(source, data)
        data.set_query_contexts(None)
        every = _shares(source, data)
        is_measured = are_run(tests, places, thorough=thorough)
        yield Row(module, tests, is_measured, own[0], every[0], own[1], every[1])


def _shares(source: PythonFileReporter, data: coverage.CoverageData) -> tuple[Share, Share]:
    """Return the branches and the lines of a file that were run."""
    lines = source.lines()
    has_run = source.translate_lines(data.lines(source.filename) or [])
    forks = {line for line, exits in source.exit_counts().items() if exits > 1}
    forks -= source.no_branch_lines()
    branches = {(start, end) for start, end in source.arcs() if start in forks}
    taken = branches & source.translate_arcs(data.arcs(source.filename) or [])
    return Share(len(taken), len(branches)), Share(len(lines & has_run), len(lines))


def main(arguments: list[str]) -> int:
    """Run the tests, print the table, worst first; return 1 where a module is below the floor."""
    with tempfile.TemporaryDirectory() as folder:
        left_out = [f"--ignore={place}" for place in (*OF_PROCESSES, *SIMULATIONS)]
        command = [sys.executable, "-m", "pytest", "-p", "tests.own_coverage", *left_out]
        done = subprocess.run(
            [*command, *arguments], cwd=ROOT, env={**os.environ, FOLDER: folder}, check=False
        )
        if done.returncode:
            return done.returncode
        measured = _coverage(Path(folder, "part"))
        measured.combine([folder])
        thorough = "--thorough" in arguments
        places = [ROOT / word for word in arguments if (ROOT / word).exists()]
        table = sorted(
            rows(measured, places, thorough=thorough),
            key=lambda row: (row.own_branches.percent, row.module),
        )
    print("branches: own    branches: all    lines: own       lines: all       module")
    print(*table, sep="\n")
    faults = [row.fault for row in table if row.fault]
    print(*faults, sep="\n", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
