"""Measures processes: CPU time and memory from /proc, and the core they run on. Linux only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_ns(pid: int) -> int:
    """Return the CPU time of all living threads of a process, user and system.

    `schedstat` counts nanoseconds on a core (Linux, Documentation/scheduler/sched-stats.rst),
    where `stat` counts clock ticks of 10 ms.
    """
    total = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        # A thread may end between the listing and the reading.
        with suppress(FileNotFoundError, ProcessLookupError):
            # The first field is the time on a core, the second that of waiting for one.
            total += int(path.read_text().split()[0])
    return total


def spent_s(pid: int) -> float:
    """Return the CPU time of a process and of all its threads, also those that have ended.

    To the clock tick, 10 ms; of its children nothing.
    """
    # Behind the command's name, which may hold anything, the state is the third field (proc(5)).
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = map(int, fields[11:13])
    return (user + system) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError):
        return 0


def core_busy_ns(core: int) -> int:
    """Return how long a core has been busy, by the kernel's clock ticks.

    Time that a hypervisor gave to others counts as busy: it was not there to be used.
    """
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            # The two columns behind these, guest time, are part of user and nice already (proc(5)).
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
            busy = user + nice + system + irq + softirq + steal
            return busy * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    raise ValueError("there is no such core")


def total_cpu_ns(pids: Iterable[int]) -> int:
    """Return the CPU time of several processes."""
    return sum(cpu_ns(pid) for pid in pids)


def total_resident_bytes(pids: Iterable[int]) -> int:
    """Return the resident memory of several processes; pages they share count once for each."""
    return sum(resident_bytes(pid) for pid in pids)


def descendants(pid: int) -> Iterator[int]:
    """Yield a process and everything it has started, parents first."""
    yield pid
    # A child is listed with the thread that started it.
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in path.read_text().split():
                yield from descendants(int(child))


def command_line(pid: int) -> str:
    """Return the command of a process, its arguments joined by spaces; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@contextmanager
def on_cores(cores: Iterable[int]) -> Iterator[None]:
    """Run the calling thread on `cores`; threads and processes it starts meanwhile inherit them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
