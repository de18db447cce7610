"""The image: its file as a linter reads it, and its steps and its program in a clean folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy import image
from tests.deploy.image import Image, Step
from tests.valkey import free_port

PATIENCE_S = 60
BUILD_TIMEOUT_S = 1200
HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed")
def test_a_linter_has_nothing_to_say_of_the_file() -> None:
    done = subprocess.run(
        [str(HADOLINT), "--no-color", str(image.ROOT / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.returncode) == ("", 0)
    # What is passed over is said why.
    text = (image.ROOT / "Dockerfile").read_text()
    assert len(re.findall(r"^# [^\n]+\n# hadolint ignore=", text, re.M)) == text.count("hadolint ")


def test_steps_are_read_as_a_builder_reads_them() -> None:
    text = "ARG A=1\nFROM a AS b\n# no step\nRUN x \\\n    && y\nFROM c\nENV P=1 \\\n    Q=2\n"
    assert image.stages(text) == [[Step("RUN", "x      && y")], [Step("ENV", "P=1      Q=2")]]


def test_the_builder_is_sent_what_the_build_reads_and_nothing_else(tmp_path: Path) -> None:
    kept = ("a/b.py", "c/d/e.py", "p.toml")
    for name in (*kept, "x/y.py", "a/__pycache__/b.pyc", "c/static/f", "a/caller.env", "secrets/t"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    rules = "# all\n*\n!a\n!c\n!p.toml\n**/__pycache__\nc/static\n**/*.env\n"
    assert sorted(map(str, image.sent(tmp_path, rules))) == sorted(kept)
    ignored = (image.ROOT / ".dockerignore").read_text()
    sent = set(map(str, image.sent(image.ROOT, ignored)))
    assert {"pyproject.toml", "gateway/__main__.py", "requirements/run.txt"} <= sent
    # No secret that lies beside them, no test.
    assert not [
        each for each in sent if re.match(r"deploy/(secrets|\.env|caller\.env)|tests/", each)
    ]


def builder() -> str:
    """Return the program that builds and runs images here; empty where none does."""
    for program in ("docker", "podman"):
        with contextlib.suppress(FileNotFoundError):
            asked = [program, "info"]
            if not subprocess.run(asked, capture_output=True, check=False, timeout=60).returncode:
                return program
    return ""


@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_the_image_is_built_and_serves_read_only_without_a_privilege() -> None:
    if not (docker := builder()):
        pytest.skip("platform: nothing builds images here; the next test takes the steps")
    name, port = f"caller-test-{os.getpid()}", free_port()

    def run(*words: str) -> str:
        done = subprocess.run(
            [docker, *words], capture_output=True, text=True, check=False, timeout=BUILD_TIMEOUT_S
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    run("build", "--tag", name, str(image.ROOT))
    try:
        # As docs/container.md has it, with settings that name no real account.
        options = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
        options += ["--security-opt", "no-new-privileges", "--stop-timeout", "90"]
        settings = {
            "CALLER_TWILIO_ACCOUNT_SID": "AC" + "0f" * 16,
            "CALLER_TWILIO_AUTH_TOKEN": "0f" * 16,
            "CALLER_CALLER_ID": "+15005550006",
        }
        for variable, value in settings.items():
            options += ["--env", f"{variable}={value}"]
        run(
            "run",
            "--init",
            "--detach",
            "--name",
            name,
            "-p",
            f"127.0.0.1:{port}:8080",
            *options,
            name,
        )
        deadline = time.monotonic() + PATIENCE_S
        while not is_healthy(f"http://127.0.0.1:{port}/healthz"):
            assert time.monotonic() < deadline, run("logs", name)
        assert run("exec", name, "id", "-u").strip() == "10001"
        run("stop", name)
        assert run("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
    finally:
        subprocess.run(
            [docker, "rm", "--force", name], capture_output=True, check=False, timeout=60
        )
        subprocess.run([docker, "rmi", name], capture_output=True, check=False, timeout=60)


def is_healthy(url: str) -> bool:
    time.sleep(0.2)
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, timeout=1).is_success
    return False


@pytest.fixture(scope="module")
def built() -> Iterator[Image]:
    """The image but for compiled modules, which are tested where `make test-all` installs them."""
    # Not pytest's directory, which is closed to the image's user.
    root = Path(tempfile.mkdtemp(prefix="caller-image-"))
    root.chmod(0o755)
    others = {
        "COMPILE_CALLER": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": "",
        # A builder keeps them from one build to the next, as this machine keeps its own.
        **dict.fromkeys(("PIP_CACHE_DIR", "NPM_CONFIG_CACHE"), ""),
    }
    try:
        yield image.build(root, others)
    finally:
        shutil.rmtree(root)


def confined(built: Image) -> list[str]:
    """Return how a program is run without a privilege; as the image's user where that can be."""
    uid = built.user.partition(":")[0]
    bare = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    tried = [built.here("/opt/caller/bin/python"), "-I", "-B", "-c", "import gateway.roles.serve"]
    # The interpreter of this machine, or its library, may be for another user's eyes alone.
    for guard in ([*bare, f"--reuid={uid}", f"--regid={uid}", "--clear-groups"], bare):
        with contextlib.suppress(FileNotFoundError):
            done = subprocess.run([*guard, *tried], stderr=subprocess.DEVNULL, check=False)
            if done.returncode == 0:
                return guard
    return []


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Return what is below a folder, with sizes and times."""
    found = {str(path): path.lstat() for path in folder.rglob("*") if not path.is_dir()}
    return {name: (status.st_size, status.st_mtime_ns) for name, status in found.items()}


@pytest.mark.thorough
@pytest.mark.timeout(1200)
def test_what_the_steps_make_serves_is_healthy_and_writes_only_its_data(built: Image) -> None:
    assert [each.split()[0] for each in built.left_out] == ["apt-get", "groupadd"]
    data, port = Path(built.here("/data")), free_port()
    data.chmod(0o700)
    uid, _, gid = built.user.partition(":")
    assert int(uid) > 0
    guard = confined(built)
    if is_its_user := f"--reuid={uid}" in guard:
        os.chown(data, int(uid), int(gid))
    environ = {
        name: built.here(value).replace("$PATH", os.environ["PATH"])
        for name, value in built.environ.items()
    }
    secret = Path(built.here("/opt/token"))
    secret.write_text("0f" * 16)
    environ |= {
        "HOME": "/nonexistent",
        "CALLER_HOST": "127.0.0.1",
        "CALLER_PORT": str(port),
        # Nobody is asked before a call.
        "CALLER_CARRIER_URL": f"http://127.0.0.1:{free_port()}",
        "CALLER_TWILIO_ACCOUNT_SID": "AC" + "0f" * 16,
        "CALLER_TWILIO_AUTH_TOKEN_FILE": str(secret),
        "CALLER_CALLER_ID": "+15005550006",
    }

    def run(*command: str, **more: Any) -> subprocess.Popen[bytes]:
        place = built.here(built.workdir)
        program = shutil.which(command[0], path=environ["PATH"])
        return subprocess.Popen([*guard, program, *command[1:]], env=environ, cwd=place, **more)

    def health() -> int:
        return run(*built.healthcheck, stderr=subprocess.DEVNULL).wait(PATIENCE_S)

    before = files_of(Path(built.here("/opt")))
    version = run(*built.entrypoint, "--version", stdout=subprocess.PIPE)
    assert version.communicate(timeout=PATIENCE_S)[0].startswith(b"caller 0.")
    assert health() != 0
    process = run(*built.entrypoint, *built.command)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while health() != 0:
            assert process.poll() is None
            assert time.monotonic() < deadline
        page = httpx.get(f"http://127.0.0.1:{port}/")
        assert (page.status_code, "<script" in page.text) == (200, True)
        if guard:
            status = Path(f"/proc/{process.pid}/status").read_text()
            assert is_its_user == bool(re.search(rf"^Uid:\s+{uid}\s", status, re.MULTILINE))
            for right in ("CapEff", "CapBnd"):
                assert re.search(rf"^{right}:\s+0+$", status, re.MULTILINE)
            assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    assert files_of(Path(built.here("/opt"))) == before
    assert (data / "caller.db").exists()
    # No compiler and no Node.js are left in it.
    assert not shutil.which("node", path=built.here("/opt/caller/bin"))
