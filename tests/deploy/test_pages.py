"""The pages on containers and hardening: what they say is what the files of `deploy/` do."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.settings import Settings
from tests.deploy.compose import DEPLOY, read
from tests.deploy.pages import DOCS, blocks, run

ROOT = DEPLOY.parent
STOPPING_S = 40
"""What a node may take beside its drain, by docs/operations.md."""


def commands(page: str) -> list[list[str]]:
    """Return the commands of a page's blocks without a name, word by word."""
    found = re.findall(r"^```sh\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)
    lines = "".join(found).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


def test_docker_runs_the_image_as_compose_does() -> None:
    build, start = commands("container.md")
    assert build[:2] == ["docker", "build"]
    assert build[-3:] == ["-t", "caller", "."]
    service = read(DEPLOY / "compose.yaml")["services"]["caller"]
    assert (start[:2], start[-1]) == (["docker", "run"], service["image"])
    given = dict(pairwise(start))
    assert int(given["--stop-timeout"]) > Settings().drain_timeout_s + STOPPING_S
    assert f"{given['--stop-timeout']}s" == service["stop_grace_period"]
    assert given["--restart"] == service["restart"]
    assert [given["--tmpfs"]] == service["tmpfs"]
    assert [given["--cap-drop"]] == service["cap_drop"]
    assert [f"{given['--security-opt']}:true"] == service["security_opt"]
    assert given["--ulimit"] == f"nofile={service['ulimits']['nofile']}"
    published = [start[n + 1] for n, word in enumerate(start) if word == "-p"]
    assert published == service["ports"]
    for flag, key in (("--read-only", "read_only"), ("--init", "init")):
        assert flag in start
        assert service[key] is True


def test_the_page_lists_what_there_is() -> None:
    text = (DOCS / "container.md").read_text()
    named = set(re.findall(r"`([\w.]+(?:\.yaml|\.sh|/))`", text.partition("| file in")[2]))
    there = {*DEPLOY.glob("compose*.yaml"), DEPLOY / "pin_images.sh", DEPLOY / "make_secrets.sh"}
    assert {file.name for file in there} <= named
    assert (DEPLOY / "kubernetes" / "kustomization.yaml").exists()
    for path in re.findall(r"`(tests/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path


def test_what_is_so_by_itself_names_what_keeps_it() -> None:
    text = (DOCS / "hardening.md").read_text().partition("## Yours")[0]
    rows = re.findall(r"^\| (?!\|)[^-].*$", text, re.MULTILINE)
    assert len(rows) > 5
    for row in rows:
        named = re.findall(r"`((?:[\w.@-]+/)+[\w.@-]+|Dockerfile)`", row)
        assert named, row
        assert [path for path in named if not (ROOT / path).exists()] == [], row
        assert any(path.startswith("tests/") for path in named), row


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_command_that_judges_a_unit_passes_ours(tmp_path: Path) -> None:
    (command,) = commands("hardening.md")
    unit = tmp_path / "caller.service"
    text = (DEPLOY / "systemd" / "caller.service").read_text()
    unit.write_text(text)
    assert command[-1] == "/etc/systemd/system/caller.service"
    ours = [*command[:-1], str(unit)]
    assert subprocess.run(ours, capture_output=True, check=False, timeout=60).returncode == 0
    unit.write_text(text.partition("# No privilege")[0])
    assert subprocess.run(ours, capture_output=True, check=False, timeout=60).returncode != 0


def test_a_block_of_a_page_ends_at_its_first_failure(tmp_path: Path) -> None:
    assert set(blocks("backup.md")) == {
        f"{what}-{kind}" for what in ("copy", "restore") for kind in ("sqlite", "postgres")
    }
    with pytest.raises(AssertionError, match="CALLER_DATA_DIR"):
        run("backup.md", "restore-sqlite", {"PATH": "/bin:/usr/bin"}, tmp_path)
