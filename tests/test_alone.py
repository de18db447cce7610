"""Whoever is alone is so, and does not wait for ever."""

import fcntl
import subprocess
import sys
import threading
from pathlib import Path

from tests.alone import turn
from tests.thorough import ROOT

TESTS = """
import os, time
from pathlib import Path
import pytest

PLACE = Path(__file__).parent
HERE = PLACE / f"here-{os.getpid()}"


def others():
    return [path for path in PLACE.glob("here-*") if path != HERE]


@pytest.fixture(autouse=True)
def _is_here():
    HERE.touch()
    yield
    HERE.unlink()


@pytest.mark.parametrize("number", range(20))
def test_beside_others(number):
    if others():
        (PLACE / "met").touch()
    time.sleep(0.02)


@pytest.mark.alone
@pytest.mark.parametrize("number", range(4))
def test_alone(number):
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        assert not others()
        time.sleep(0.001)
"""


def test_nobody_goes_in_before_one_who_waits_to_be_alone(tmp_path: Path) -> None:
    told: list[str] = []

    def alone() -> None:
        with turn(tmp_path, alone=True):
            told.append("alone")

    def late() -> None:
        with turn(tmp_path, alone=False):
            told.append("late")

    with turn(tmp_path, alone=False):
        # Beside each other, nobody waits.
        with turn(tmp_path, alone=False):
            pass
        waiting = threading.Thread(target=alone)
        waiting.start()
        while not _is_locked(tmp_path / "door"):
            pass
        newcomer = threading.Thread(target=late)
        newcomer.start()
        told.append("first")
    waiting.join()
    newcomer.join()
    assert told == ["first", "alone", "late"]


def test_a_marked_test_meets_no_test_of_another_worker(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    options = [
        "-p",
        "tests.alone",
        "--numprocesses=3",
        "--maxprocesses=3",
        "-p",
        "no:cacheprovider",
    ]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    # Of the others some did meet.
    assert (tmp_path / "met").exists()


def _is_locked(path: Path) -> bool:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
