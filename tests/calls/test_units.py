"""The units of `deploy/systemd`, examined by systemd itself, and for what they promise."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.settings import Settings

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
NAMES = ("caller", "caller-media@", "caller-web", "caller-worker")
EXPOSURE_MAX = 20
"""Of 100, as systemd counts it; what has a network and runs as a user of its own has some."""
STOPPING_S = 40
"""What a node may take beside its drain, by docs/operations.md."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def values(name: str, key: str) -> list[str]:
    text = (UNITS / f"{name}.service").read_text()
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """The units with a program that is there, and a node's under its name."""
    made = []
    for name in NAMES:
        text = (UNITS / f"{name}.service").read_text()
        assert "/opt/caller/bin/caller serve" in text
        path = tmp_path / f"{name}{'n1' * name.endswith('@')}.service"
        path.write_text(text.replace("/opt/caller/bin/caller", "/bin/true"))
        made.append(path)
    return made


@needs_systemd
def test_systemd_understands_every_unit(installed: list[Path]) -> None:
    command = ["systemd-analyze", "verify", "--man=no", *map(str, installed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    said = [line for line in done.stderr.splitlines() if str(installed[0].parent) in line]
    assert (done.returncode, said) == (0, [])


@needs_systemd
def test_no_unit_has_a_privilege(installed: list[Path]) -> None:
    for path in installed:
        command = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
        done = subprocess.run(
            [*command, f"--threshold={EXPOSURE_MAX}", str(path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout


def test_all_are_hardened_alike() -> None:
    parts = {
        (UNITS / f"{name}.service").read_text().partition("\n# No privilege")[2] for name in NAMES
    }
    assert len(parts) == 1
    assert "NoNewPrivileges=yes" in parts.pop()


def test_a_node_has_time_to_drain_and_its_children_are_left_to_it() -> None:
    for name in NAMES:
        (patience,) = values(name, "TimeoutStopSec")
        assert values(name, "KillMode") == ["mixed"]
        # Settings that are wrong stay so; any other end is followed by another start.
        assert values(name, "RestartPreventExitStatus") == ["2"]
        if name in ("caller", "caller-media@"):
            assert int(patience) > Settings().drain_timeout_s + STOPPING_S


def test_audio_goes_before_pages_and_pages_before_books() -> None:
    media, web, worker = (int(values(name, "CPUWeight")[0]) for name in NAMES[1:])
    assert media > web > worker


def test_each_role_is_run_by_one_unit() -> None:
    ran = [values(name, "ExecStart")[0].partition("serve")[2].split() for name in NAMES]
    assert ran == [[], ["--role", "media"], ["--role", "web"], ["--role", "worker"]]
    assert values("caller-media@", "Environment")[1] == "CALLER_NODE=%i"
