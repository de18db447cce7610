"""Two runs at once: what each is told, at which priority, and how both end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.in_time import IN_TIME, NICENESS, code_of

TOLD = "import os, sys; print(os.nice(0), *sys.argv[1:])"
WAITS = (
    "import pathlib, sys, signal, time\n"
    "name = 'in_time' if 'tests/e2e' in sys.argv else 'others'\n"
    "def end(number, _):\n"
    "    pathlib.Path(name + '.told').write_text(str(number))\n"
    "    sys.exit(2)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "pathlib.Path(name + '.ready').touch()\n"
    "time.sleep(600)\n"
)
ROOT = Path(__file__).parent.parent


def started(folder: Path, script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.in_time", sys.executable, "-c", script, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_those_that_keep_time_run_by_themselves_and_ahead_of_the_others(tmp_path):
    run = started(tmp_path, TOLD, "--numprocesses=3", "-v")
    said, _ = run.communicate(timeout=60)
    others, _, title, in_time = said.splitlines()
    nice = os.nice(0)
    assert others.split() == [
        str(min(19, nice + NICENESS)),
        *("--numprocesses=3", "-v", f"--ignore={IN_TIME}"),
    ]
    assert title == f"{IN_TIME}, beside the others:"
    assert in_time.split() == [
        str(nice),
        *("--numprocesses=3", "-v", "--numprocesses=0", "-p", "no:cacheprovider", IN_TIME),
    ]
    assert run.returncode == 0


def test_what_is_named_runs_alone(tmp_path):
    (tmp_path / "test_it.py").touch()
    said, _ = started(tmp_path, TOLD, "test_it.py::test_one").communicate(timeout=60)
    assert said.split() == [str(os.nice(0)), "test_it.py::test_one"]


@pytest.mark.parametrize(
    ("codes", "code"),
    [([0, 0], 0), ([1, 0], 1), ([0, 2], 2), ([5, 0], 0), ([5, 5], 5), ([5, 1], 1)],
)
def test_a_run_fails_if_either_does_and_need_not_find_tests_for_both(codes, code):
    assert code_of(codes) == code


def test_who_ends_the_run_ends_both(tmp_path):
    run = started(tmp_path, WAITS)
    while not all((tmp_path / f"{name}.ready").exists() for name in ("in_time", "others")):
        time.sleep(0.01)
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=60)
    told = [(tmp_path / f"{name}.told").read_text() for name in ("in_time", "others")]
    assert told == [str(int(signal.SIGTERM))] * 2
    assert run.returncode == 2
