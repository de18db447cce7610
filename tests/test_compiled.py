"""The compiled frame path: every module compiles, and passes the tests that the sources pass.

They run in a copy of the tree that has the compiled modules beside their sources, as a wheel has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.compiling import ROOT, compile_path
from tests.priority import later

COPIED = ("gateway", "media", "billing", "simulators", "tests", "docs", "deploy", "pyproject.toml")
LEFT_OUT = shutil.ignore_patterns("node_modules", "__pycache__")

TESTS = (
    "tests/billing/sql/test_booking.py",
    "tests/media",
    *(
        f"tests/gateway/{room}"
        for room in ("browser", "calls", "charging", "heartbeat", "sound", "sockets", "webrtc")
    ),
    "tests/gateway/twilio/test_leg.py",
    "tests/gateway/twilio/test_media.py",
    "tests/gateway/twilio/test_native.py",
    "tests/gateway/twilio/test_outbound.py",
    *(
        f"tests/calls/test_whole_call.py::test_{name}"
        for name in (
            "a_call_is_answered_heard_counted_and_recorded",
            "wide_audio_is_converted_both_ways",
        )
    ),
    "tests/whole_calls/test_stories.py",
)
COMPILE_S = 600
TESTS_S = 900
"""A bound for what hangs: the run goes behind all others on the machine."""


def compiled_modules() -> list[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    modules: list[str] = settings["tool"]["hatch"]["build"]["hooks"]["custom"]["compiled"]
    return modules


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, compiled."""
    path = compile_path()
    if not path.can_compile():
        pytest.skip("No C compiler, or no Python headers: install gcc and python3-dev.")
    folder = tmp_path_factory.mktemp("compiled")
    command = [sys.executable, str(path.__file__), str(folder / "build"), *compiled_modules()]
    made = run(command, ROOT, COMPILE_S)
    assert made.returncode == 0, made.stdout[-4000:]
    copy = folder / "tree"
    copy.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=LEFT_OUT)
        else:
            shutil.copy(source, copy / name)
    shutil.copytree(folder / "build" / path.LIB, copy, dirs_exist_ok=True)
    return copy


def run(command: list[str], folder: Path, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a program that is no worker of this test run, and goes behind those that keep time."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return subprocess.run(
        later(command),
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )


@pytest.mark.timeout(COMPILE_S + 60)
def test_every_module_is_compiled_where_it_is_imported(tree: Path) -> None:
    names = [name.removesuffix(".py").replace("/", ".") for name in compiled_modules()]
    path = compile_path()
    names += [n for n in path.NATIVE if n != path.LINUX_ONLY or sys.platform == "linux"]
    script = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    print(importlib.import_module(name).__file__)"
    )
    done = run([sys.executable, "-c", script, *names], tree, 60)
    assert done.returncode == 0, done.stdout
    files = done.stdout.split()
    assert len(files) == len(names)
    assert all(file.endswith(".so") and file.startswith(str(tree)) for file in files), files


@pytest.mark.timeout(COMPILE_S + TESTS_S + 60)
def test_compiled_modules_pass_the_tests_of_their_sources(tree: Path) -> None:
    done = run([sys.executable, "-m", "pytest", "-q", *TESTS], tree, TESTS_S)
    assert done.returncode == 0, done.stdout[-8000:]
