"""Files that keep time wait for no others on the cores, and none is left over."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sharing_out import KEEPS_TIME, NICENESS, first_fit
from tests.thorough import ROOT

CALLS, PAGES, MONEY, SOUND = (
    "tests/calls/test_api.py",
    "tests/web/test_site.py",
    "tests/billing/test_money.py",
    "tests/media/test_vad.py",
)
TEST = """
import os
from pathlib import Path

def test():
    Path(__file__).with_suffix(".nice").write_text(str(os.nice(0)))
"""
CONFTEST = """
def pytest_addoption(parser):
    parser.addoption("--thorough", action="store_true")
"""


@pytest.mark.parametrize("folder", KEEPS_TIME)
def test_there_is_such_a_folder(folder: str) -> None:
    assert (ROOT / folder).is_dir()


@pytest.mark.parametrize(
    ("files", "gives_way", "first"),
    [
        ([MONEY, CALLS, PAGES], False, CALLS),
        ([CALLS, MONEY, SOUND], True, MONEY),
        ([MONEY, SOUND], False, MONEY),
        ([CALLS, PAGES], True, None),
        ([], False, None),
        ([], True, None),
    ],
)
def test_each_worker_takes_the_next_of_its_kind(
    files: list[str], gives_way: bool, first: str | None
) -> None:
    assert first_fit(files, gives_way=gives_way) == first


@pytest.mark.parametrize("workers", [3, 4])
def test_all_run_and_only_what_computes_gives_way(tmp_path: Path, workers: int) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    names = [f"{folder}/test_{n}.py" for folder in ("billing", "calls") for n in range(6)]
    for name in names:
        file = tmp_path / "tests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TEST)
    (tmp_path / "tests/calls/test_5.py").unlink()

    options = [
        "--thorough",
        f"--numprocesses={workers}",
        "--dist=loadfile",
        "--import-mode=importlib",
    ]
    plugins = ["-p", "tests.sharing_out", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *plugins, *options, f"--rootdir={tmp_path}", "tests"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT.parent)}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stdout + run.stderr
    niceness = {
        path.parent.name + path.stem[-1]: int(path.read_text()) for path in tmp_path.rglob("*.nice")
    }
    ours = os.nice(0)
    assert len(niceness) == 11
    assert {niceness[f"calls{n}"] for n in range(5)} == {ours}
    assert niceness["billing0"] == ours + (NICENESS if workers >= 4 else 0)
