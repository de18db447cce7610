"""What `requirements/env.sh` installs for which tests: a newcomer waits only for what is used."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.thorough import ROOT

SCRIPT = ROOT.parent / "requirements/env.sh"
THOROUGH_ONLY = {
    "caddy", "contract", "postgresql", "haproxy", "nginx", "php", "chromium", "firefox",
}  # fmt: skip
TOOLS = (
    "cat",
    "cksum",
    "dirname",
    "env",
    "find",
    "flock",
    "grep",
    "mkdir",
    "rm",
    "sh",
    "sort",
    "tr",
    "true",
)
RECORDED = ("apt-get", "npm", "node")
RECORDER = '#!/bin/sh\necho "${0##*/} $*" >>"$RECORD"\n'


def plan(level: str) -> list[str]:
    """Return the steps that the script takes for a level."""
    done = subprocess.run([SCRIPT, "plan", level], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()


def test_make_test_needs_no_browser_server_proxy_or_php() -> None:
    assert THOROUGH_ONLY & {*plan("test")} == set()


def test_make_test_all_has_them_beside_what_make_test_has() -> None:
    usual = plan("test")
    everything = plan("test-all")
    assert everything[: len(usual)] == usual
    assert {*everything[len(usual) :]} == THOROUGH_ONLY


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with nothing set up, on a machine where nothing is installed."""
    for folder in ("bin", "requirements", "venv/bin", "web"):
        (tmp_path / folder).mkdir(parents=True)
    for tool in TOOLS:
        if found := shutil.which(tool):
            (tmp_path / "bin" / tool).symlink_to(found)
    for name in RECORDED:
        (tmp_path / "bin" / name).write_text(RECORDER)
    (tmp_path / "venv/bin/python").write_text(RECORDER)
    (tmp_path / "bin/id").write_text("#!/bin/sh\necho 0\n")
    for program in (*(tmp_path / "bin").iterdir(), tmp_path / "venv/bin/python"):
        if not program.is_symlink():
            program.chmod(0o755)
    shutil.copy2(SCRIPT, tmp_path / "requirements")
    for name in ("run", "dev", "test-all"):
        (tmp_path / f"requirements/{name}.txt").touch()
    for name in ("package.json", "package-lock.json"):
        (tmp_path / "web" / name).touch()
    shutil.copytree(tmp_path / "web", tmp_path / "tests/contract")
    return tmp_path


def done(project: Path, level: str) -> list[str]:
    """Set up a level, and return what was called for it."""
    record = project / "record"
    record.touch()
    environ = {"PATH": str(project / "bin"), "VENV": str(project / "venv"), "RECORD": str(record)}
    environ |= {"HOME": str(project), "LC_ALL": os.environ.get("LC_ALL", "C")}
    script = str(project / "requirements/env.sh")
    subprocess.run([script, level, "true"], env=environ, check=True, timeout=60)
    return record.read_text().splitlines()


def installed(calls: list[str]) -> list[str]:
    """Return the packages of the system that were asked for."""
    return [
        word
        for call in calls
        if call.startswith("apt-get install")
        for word in call.split()[2:]
        if not word.startswith("-")
    ]


def test_a_newcomer_waits_for_a_compiler_and_nothing_else_of_the_system(project: Path) -> None:
    calls = done(project, "test")
    assert installed(calls) == ["gcc", "libc6-dev"]
    assert [call for call in calls if "tests/contract" in call or "test-all.txt" in call] == []


def test_what_thorough_tests_drive_is_installed_for_them(project: Path) -> None:
    calls = done(project, "test-all")
    # The servers may be here already, in folders that the script names.
    assert {"php-cli", "firefox-esr"} <= {*installed(calls)}
    assert any("install" in call and "requirements/test-all.txt" in call for call in calls)
    assert any(call.startswith("npm --prefix tests/contract") for call in calls)
