"""Programs that are forked: what they are given, how they end, and that they do not stay behind."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.calls import forks
from tests.calls.world import Process, World, eventually

pytestmark = pytest.mark.skipif(
    not forks.CAN_FORK, reason="platform: processes have no descriptors"
)


@pytest.fixture
def started(tmp_path):
    """Start a program with these arguments, and in this environment alone."""
    made = []

    def start(*arguments, **environ):
        environ = {"PATH": os.environ["PATH"], **environ}
        made.append(Process([*arguments], environ, tmp_path / "log", is_forked=True))
        return made[-1]

    yield start
    for process in made:
        process.popen.kill()
        process.popen.wait()


@pytest.fixture
def simulated(started, tmp_path):
    """A simulated carrier that answers."""
    world = World(tmp_path)
    process = started("simulate", "--port", str(world.carrier_port), **world.environ)
    process.wait_for(world.control + "/state")
    return process


def test_a_program_has_its_arguments_its_output_and_its_exit_code(started):
    for arguments, code, said in ((["--version"], 0, "caller "), (["x"], 2, "No such command")):
        process = started(*arguments)
        assert process.popen.wait(60) == process.popen.poll() == code
        assert said in process.log.read_text()


def test_a_program_has_the_environment_that_it_is_given_and_no_file_of_another(simulated, started):
    started("simulate", "--help", CALLER_NONSENSE="1")
    place = Path(f"/proc/{simulated.popen.pid}")
    kept = {os.readlink(file) for file in (place / "fd").iterdir()}
    assert {str(simulated.log), "/dev/null"} <= kept
    nursery = forks.nursery()._process.pid
    theirs = {os.readlink(file) for file in Path(f"/proc/{nursery}/fd").iterdir()}
    assert not {name for name in kept & theirs if name.startswith(("socket:", "pipe:"))}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -9)])
def test_a_program_ends_by_a_signal_to_its_group(simulated, number, code):
    pid = simulated.popen.pid
    assert os.getpgid(pid) == pid
    with pytest.raises(subprocess.TimeoutExpired):
        simulated.popen.wait(0)
    os.killpg(pid, number)
    assert simulated.popen.wait(60) == code
    simulated.popen.send_signal(signal.SIGTERM)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_programs_go_with_whoever_has_forked_them(tmp_path, monkeypatch):
    own, world = forks.Nursery(), World(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(forks, "nursery", lambda: own)
        world.start_carrier()
    program = world.carrier.popen
    assert program.poll() is None
    own._process.kill()
    own.close()
    assert program.wait(60) == -signal.SIGTERM

    async def is_gone():
        return not Path(f"/proc/{program.pid}").exists()

    await eventually(is_gone)
