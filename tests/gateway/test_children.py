"""Child processes: started, restarted, ended; real ones, of a stand-in for the command line."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from gateway import children
from gateway.children import Child

STAND_IN = """
import os, signal, sys, time
name = sys.argv[1]
with open("started", "a") as file:
    file.write(f"{os.getpid()} {' '.join(sys.argv[1:])} {os.environ.get('WORD', '')}\\n")
if name == "stubborn":
    while True:
        time.sleep(1)
sys.stdin.read()
with open("finished", "a") as file:
    file.write("in good order")
"""

PARENT_GONE = """
import uvloop
from gateway.children import parent_gone
uvloop.run(parent_gone())
print("gone")
"""


@pytest.fixture
def yard(tmp_path, monkeypatch):
    """A folder whose `python -m gateway` is the stand-in."""
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "__init__.py").touch()
    (tmp_path / "gateway" / "__main__.py").write_text(STAND_IN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(children, "_HOME", str(tmp_path))
    monkeypatch.setattr(children, "_RESTART_DELAY_S", 0.05)
    return tmp_path


async def started(yard, count):
    """Return the lines that the stand-ins wrote, once there are so many."""
    path = yard / "started"
    async with asyncio.timeout(20):
        while not path.exists() or path.read_text().count("\n") < count:
            await asyncio.sleep(0.01)
    return path.read_text().splitlines()


def environ(**more):
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | more


async def test_a_child_gets_its_arguments_and_only_the_given_environment(yard):
    child = Child(["drain"], environ(WORD="hello"))
    await child.start()
    (line,) = await started(yard, 1)
    await child.stop()
    assert line.split()[1:] == ["drain", "--child", "hello"]


async def test_a_stopped_child_finishes_what_it_does(yard):
    child = Child(["drain"], environ())
    await child.start()
    await started(yard, 1)
    await child.stop()
    assert (yard / "finished").read_text() == "in good order"


async def test_a_child_that_dies_is_started_again(yard, caplog):
    child = Child(["drain"], environ())
    await child.start()
    (first,) = await started(yard, 1)
    os.kill(int(first.split()[0]), signal.SIGKILL)
    _, second = await started(yard, 2)
    await child.stop()
    assert first.split()[0] != second.split()[0]
    assert "Process drain ended with -9" in caplog.text
    assert len((yard / "started").read_text().splitlines()) == 2, "none is started after the end"


async def test_a_child_that_does_not_end_is_killed(yard, monkeypatch):
    monkeypatch.setattr(children, "_STOP_TIMEOUT_S", 0.2)
    child = Child(["stubborn"], environ())
    await child.start()
    (line,) = await started(yard, 1)
    before = time.monotonic()
    await child.stop()
    assert time.monotonic() - before < 5
    with pytest.raises(ProcessLookupError):
        os.kill(int(line.split()[0]), 0)


async def test_stopping_what_was_never_started_is_harmless():
    await Child(["drain"], {}).stop()


def test_a_child_knows_when_its_parent_is_gone():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT_GONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"not yet")
        process.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        out, _ = process.communicate(timeout=20)
    assert out == b"gone\n"
