"""Child processes: started, restarted, ended; real ones, of a stand-in for the command line."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import gateway
from gateway.roles import children
from gateway.roles.children import (
    START_S_MAX,
    START_SILENCE_S_MAX,
    Backoff,
    Child,
    Pulse,
    StartWait,
    give_step,
)

STAND_IN = """
import os, signal, sys, time
name = sys.argv[1]
with open("started", "a") as file:
    file.write(f"{os.getpid()} {' '.join(sys.argv[1:])} {os.environ.get('WORD', '')}\\n")
if name == "stubborn":
    while True:
        time.sleep(1)
if name == "refused":
    sys.exit(3)
if name == "restarting":
    os.write(0, b".")
    if open("started").read().count("\\n") < 4:
        sys.exit(64)
if name == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if name == "serving":
    os.write(0, b".")
if name in ("climbing", "stuck"):
    for step in range(8):
        os.write(0, f"+step {step}\\n".encode())
        time.sleep(0.3)
    if name == "climbing":
        os.write(0, b".")
if name == "beating":
    while True:
        os.write(0, b".")
        time.sleep(0.02)
if name == "listening":
    os.fstat(int(sys.argv[2]))
    os.write(0, b".")
if name == "obedient":
    with open("orders", "a") as file:
        while True:
            order = os.read(0, 1).decode()
            file.write(order)
            if order == "e":
                sys.exit()
sys.stdin.read()
with open("finished", "a") as file:
    file.write("in good order")
"""

PARENT_GONE = """
import uvloop
from gateway.roles.children import parent_gone
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
    monkeypatch.setattr(children, "HOME", str(tmp_path))
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


def test_a_child_imports_the_gateway_that_its_parent_is():
    assert Path(gateway.__file__).parents[1] == Path(children.HOME)


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


async def test_a_child_that_ends_to_be_started_again_is_so_at_once(yard, monkeypatch, caplog):
    assert children.RESTART_CODE == 64
    # No test has the time to wait for this.
    monkeypatch.setattr(children, "_RESTART_DELAY_S", 3600.0)
    caplog.set_level("INFO", "gateway.roles.children")
    child = Child(["restarting"], environ(), name="n1-2")
    assert await child.start_serving() is None
    await started(yard, 4)
    await child.stop()
    assert {(each.levelname, each.getMessage()) for each in caplog.records} == {
        ("INFO", "Process n1-2 ended to be started again.")
    }
    assert len(caplog.records) == 3


async def test_a_child_that_cannot_be_started_again_is_tried_again(yard, monkeypatch, caplog):
    child = Child(["drain"], environ())
    await child.start()
    (first,) = await started(yard, 1)
    python = sys.executable
    monkeypatch.setattr(sys, "executable", str(yard / "nowhere"))
    os.kill(int(first.split()[0]), signal.SIGKILL)
    async with asyncio.timeout(20):
        while caplog.text.count("Process drain cannot be started: No such file") < 2:
            await asyncio.sleep(0.01)
    monkeypatch.setattr(sys, "executable", python)
    await started(yard, 2)
    await child.stop()
    assert (yard / "finished").read_text() == "in good order"


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


def alive(line):
    try:
        os.kill(int(line.split()[0]), 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_child_that_is_stopped_is_replaced(yard, monkeypatch, caplog):
    monkeypatch.setattr(children, "_END_S_MAX", 0.2)
    child = Child(["beating"], environ(), silence_s_max=2)
    await child.start()
    (first,) = await started(yard, 1)
    # Longer than it may be silent.
    await asyncio.sleep(2.5)
    assert len((yard / "started").read_text().splitlines()) == 1
    os.kill(int(first.split()[0]), signal.SIGSTOP)
    await started(yard, 2)
    await child.stop()
    assert not alive(first)
    assert "Process beating is stuck" in caplog.text


async def test_a_parent_that_stood_still_itself_finds_its_child_alive(yard, caplog):
    child = Child(["beating"], environ(), silence_s_max=1.5)
    await child.start()
    await started(yard, 1)
    await asyncio.sleep(0.5)
    for _ in range(3):
        time.sleep(2)
        await asyncio.sleep(0.1)
    await child.stop()
    assert len((yard / "started").read_text().splitlines()) == 1
    assert "is stuck" not in caplog.text


async def test_a_child_that_never_shows_a_sign_of_life_is_replaced(yard, monkeypatch):
    monkeypatch.setattr(children, "START_SILENCE_S_MAX", 0.5)
    monkeypatch.setattr(children, "_STOP_TIMEOUT_S", 0.2)
    monkeypatch.setattr(children, "_END_S_MAX", 0.2)
    child = Child(["stubborn"], environ(), silence_s_max=0.1)
    await child.start()
    first, second = await started(yard, 2)
    await child.stop()
    assert not alive(first)
    assert not alive(second)


async def test_a_silent_child_that_nobody_listens_to_is_left_alone(yard, monkeypatch):
    monkeypatch.setattr(children, "START_SILENCE_S_MAX", 0.1)
    child = Child(["drain"], environ())
    await child.start()
    await started(yard, 1)
    await asyncio.sleep(0.5)
    await child.stop()
    assert len((yard / "started").read_text().splitlines()) == 1


async def test_a_child_that_serves_is_watched_over(yard):
    child = Child(["serving"], environ())
    assert await child.start_serving() is None
    (first,) = await started(yard, 1)
    os.kill(int(first.split()[0]), signal.SIGKILL)
    await started(yard, 2)
    await child.stop()


@pytest.mark.parametrize(("name", "code"), [("refused", 3), ("killed", -9), ("stubborn", -9)])
async def test_a_child_that_never_serves_is_not_started_again(
    name, code, yard, monkeypatch, caplog
):
    monkeypatch.setattr(children, "START_SILENCE_S_MAX", 2 if name == "stubborn" else 60)
    monkeypatch.setattr(children, "_END_S_MAX", 0.2)
    child = Child([name], environ())
    assert await child.start_serving() == code
    assert ("ended with -9 before it served" in caplog.text) == (code < 0)
    await asyncio.sleep(0.2)
    await child.stop()
    assert len((yard / "started").read_text().splitlines()) <= 1


async def test_a_child_is_waited_for_while_it_goes_from_step_to_step(yard, monkeypatch, caplog):
    monkeypatch.setattr(children, "START_SILENCE_S_MAX", 1.5)
    child = Child(["climbing"], {})
    # Longer in all than any step of it may take.
    assert await child.start_serving() is None
    await child.stop()
    assert (yard / "finished").exists()
    assert caplog.text == ""


async def test_a_child_that_is_stuck_in_its_start_is_ended_and_its_last_step_named(
    yard, monkeypatch, caplog
):
    monkeypatch.setattr(children, "START_SILENCE_S_MAX", 1.5)
    child = Child(["stuck"], {})
    assert await child.start_serving() == 0
    await child.stop()
    assert "Process stuck showed no progress for 2 s. Its last step: step 7." in caplog.text


def test_a_start_is_given_up_after_a_minute_without_a_sign_or_ten_in_all():
    start = StartWait(100.0)
    assert start.left_s(100.0) == START_SILENCE_S_MAX
    # However the steps are cut, and whatever is in their names.
    for second, signs in ((130.0, b"+a."), (150.0, b"b+"), (155.0, b"\n+sto"), (200.0, b"res\n")):
        start.take(signs, second)
        assert not start.has_ended
        assert start.left_s(second) == START_SILENCE_S_MAX
    assert start.step == "stores"
    assert start.left_s(260.0) == 0
    assert start.why(260.0) == "showed no progress for 60 s"
    for second in range(200, 700, 50):
        start.take(b"+again\n", second)
    assert start.left_s(660.0) == 100.0 + START_S_MAX - 660.0
    assert start.left_s(700.0) == 0
    assert start.why(700.0) == "did not serve within 600 s"
    start.take(b"+late\n.", 699.0)
    assert (start.has_ended, start.step) == (True, "late")


def test_what_is_no_step_grows_without_bound_nowhere():
    start = StartWait(0.0)
    start.take(b"+" + b"x" * 100_000, 1.0)
    start.take(b"\xff\n.", 1.0)
    assert (start.has_ended, start.step) == (True, "x" * 64)


def test_steps_are_told_to_a_parent_and_to_nobody_else(monkeypatch):
    ours, its = socket.socketpair()
    with ours, its:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(fileno=its.fileno))
        give_step("stores")
        start = StartWait(0.0)
        start.take(ours.recv(100), 0.0)
        assert start.step == "stores"
    # Its parent is gone.
    give_step("stores")


async def test_a_pulse_ceases_when_the_work_comes_to_no_turn(monkeypatch):
    now_s, sent, beats = 0.0, [], iter(range(6))
    pulse = Pulse(3.0, lambda: now_s)

    async def second_passes(_delay_s):
        nonlocal now_s
        now_s += 1
        if now_s == 5:
            pulse.turn()
        if next(beats) == 5:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", second_passes)
    monkeypatch.setattr(children, "sys", SimpleNamespace(stdin=SimpleNamespace(fileno=lambda: 9)))
    monkeypatch.setattr(os, "write", lambda fd, data: sent.append((now_s, fd, data)))
    with pytest.raises(asyncio.CancelledError):
        await pulse.run()
    assert sent == [(at, 9, b".") for at in (0, 1, 2, 5)]


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


def test_a_process_that_dies_at_once_is_started_ever_more_rarely():
    backoff = Backoff()
    now_s, delays = 100.0, []
    for _ in range(7):
        backoff.born(now_s)
        now_s += 0.5
        delays.append(backoff.next_delay_s(now_s))
    assert delays == [1, 2, 4, 8, 16, 30, 30]
    # One that was well for a while is nobody's fault.
    backoff.born(now_s)
    assert backoff.next_delay_s(now_s + 60) == 1
    # A start that the system refuses counts like a death.
    assert backoff.next_delay_s(now_s + 61) == 2


async def test_a_child_finishes_in_its_own_time_unless_hurried(yard):
    end_now = asyncio.Event()
    child = Child(["obedient"], environ())
    await child.start()
    await started(yard, 1)
    finishing = asyncio.create_task(child.finish(end_now, 20))
    await asyncio.sleep(0.2)
    assert not finishing.done()
    end_now.set()
    await finishing
    assert (yard / "orders").read_text() == "de"
    assert len(await started(yard, 1)) == 1


async def test_a_child_that_does_not_finish_is_stopped(yard):
    child = Child(["serving"], environ())
    await child.start()
    await started(yard, 1)
    await child.finish(asyncio.Event(), 0.1)
    assert len(await started(yard, 1)) == 1


async def test_a_child_inherits_what_it_keeps(yard):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        child = Child(["listening", str(listener.fileno())], environ(), keeps=[listener.fileno()])
        assert await child.start_serving() is None
        await child.stop()
