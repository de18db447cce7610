"""CPU time and memory are those of the processes asked for."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import threading
import time

import pytest

from benchmarks.process_cost import (
    command_line,
    core_busy_ns,
    cpu_ns,
    descendants,
    on_cores,
    resident_bytes,
    spent_s,
    total_cpu_ns,
    total_resident_bytes,
)

GONE = 2**22 - 1
"""No process has this id: it is the largest there can be."""


def test_work_costs_cpu_and_waiting_does_not() -> None:
    before = cpu_ns(os.getpid())
    end = time.process_time_ns() + 50_000_000
    while time.process_time_ns() < end:
        pass
    worked = cpu_ns(os.getpid()) - before
    assert worked >= 45_000_000


def test_what_ended_threads_have_spent_is_spent() -> None:
    before = spent_s(os.getpid())
    worker = threading.Thread(target=_burn_100_ms)
    worker.start()
    worker.join()
    assert spent_s(os.getpid()) - before >= 0.09


def _burn_100_ms() -> None:
    end = time.thread_time_ns() + 100_000_000
    while time.thread_time_ns() < end:
        pass


def test_a_core_is_busy_for_as_long_as_somebody_works_on_it() -> None:
    core = min(os.sched_getaffinity(0))
    with on_cores({core}):
        before = core_busy_ns(core)
        end = time.process_time_ns() + 100_000_000
        while time.process_time_ns() < end:
            pass
    # Clock ticks of 10 ms: one may be missing at either end.
    assert core_busy_ns(core) - before >= 70_000_000
    with pytest.raises(ValueError, match="no such core"):
        core_busy_ns(10_000)


def test_memory_that_is_touched_is_resident() -> None:
    before = resident_bytes(os.getpid())
    # Memory of its own: an allocator could give back what it has kept from earlier tests.
    with mmap.mmap(-1, 30_000_000) as held:
        held.write(b"x" * len(held))
        assert resident_bytes(os.getpid()) - before > 20_000_000


def test_a_process_that_is_gone_costs_nothing() -> None:
    assert total_cpu_ns([GONE]) == total_resident_bytes([GONE]) == 0
    assert command_line(GONE) == ""


def test_descendants_and_their_cores() -> None:
    core = min(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    script = "import os; print(os.sched_getaffinity(0), flush=True); input()"
    with on_cores({core}):
        child = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == f"{{{core}}}".encode()
        assert child.pid in descendants(os.getpid())
        assert "print(os.sched_getaffinity(0)" in command_line(child.pid)
        child.communicate(b"\n")
    assert os.sched_getaffinity(0) == before
