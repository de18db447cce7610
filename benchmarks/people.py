"""Measures calls beside people who sign in: `python -m benchmarks.people`.

Calls are carried, in turns, while nothing else happens, while people sign in at an even pace by a
password that is right (with --requests and --viewers others ask for pages and lists, and watch the
calls, as well), and while one process, or two, that have nothing to do with the gateway take
as much of the machine. Compared are how late frames come and what a sign-in costs; what frames are
later by beside people than beside strangers is the gateway's own doing, the rest that of the cores
they share. With --own-core calls and their load have a core that nobody else uses. Linux only.
"""

from __future__ import annotations

import argparse
import http.client
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.parse import urlencode

from rich.console import Console
from rich.table import Table

from benchmarks import loopback
from benchmarks.generator import CompilerMissingError, Generator, Measurement, compile_library
from benchmarks.peers.gateway import RunningGateway, create_account, start_gateway
from benchmarks.process_cost import on_cores, total_cpu_ns
from benchmarks.watching import Screens

CALLS = 200
PER_S = 20
SECONDS = 4.0
ROUNDS = 5
WARM_UP_S = 3.0
SETTLE_S = 0.5
CORE_SHARE_MAX = 0.8
"""Of a core, by sign-ins at `PER_S`."""
WORKERS = 4
"""Connections that sign-ins come by: one alone would be paced by the answers."""

EMAIL, PASSWORD = "benchmark@example.com", "quiet otters paint fences"
UNABLE_EXIT = 2


@dataclass(frozen=True, slots=True)
class Window:
    """What was seen within one window."""

    sign_ins: int
    core_share: float
    """Of one core, by all of the node's processes."""
    seen: Measurement


class Round(NamedTuple):
    """Windows, one after the other."""

    alone: Window
    people: Window
    stranger: Window
    strangers: Window
    """Two, each half as busy: people, too, keep more than one process busy at a time."""


class Visitors:
    """Ask again and again, so many times a second, until they are stopped."""

    def __init__(self, per_s: int, ask: Callable[[], bool]) -> None:
        self._per_s = per_s
        self._ask = ask
        self._stopped = threading.Event()
        self.done = 0
        self.refused = 0
        self._counting = threading.Lock()

    @contextmanager
    def coming(self) -> Iterator[None]:
        """Ask while this is open."""
        workers = [threading.Thread(target=self._work, args=(n,)) for n in range(WORKERS)]
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            self._stopped.set()
            for worker in workers:
                worker.join()

    def _work(self, number: int) -> None:
        due = time.monotonic() + number / self._per_s
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            is_done = self._ask()
            with self._counting:
                self.done += is_done
                self.refused += not is_done
            due += WORKERS / self._per_s


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who comes beside the calls."""

    gateway: RunningGateway
    requests: int
    """Pages and lists of calls, a second, half of each."""
    viewers: int
    key: str
    """An operator's, for the viewers."""

    @contextmanager
    def coming(self) -> Iterator[Visitors]:
        """Let them come while this is open; yield those who sign in."""
        people = Visitors(PER_S, self._sign_in)
        numbers = count()
        others = Visitors(max(1, self.requests), lambda: self._ask(next(numbers)))
        with ExitStack() as stack:
            if self.viewers:
                port = self.gateway.pages_port
                screens = Screens(port, "/v1/admin/live-feed", self.key, self.viewers)
                stack.callback(screens.close)
            if self.requests:
                stack.enter_context(others.coming())
            with people.coming():
                time.sleep(SETTLE_S)
                yield people
        for visitors in (people, others):
            if visitors.refused:
                raise RuntimeError(f"{visitors.refused} requests were refused")

    def _sign_in(self) -> bool:
        return post(self.gateway, "/sign-in", {"email": EMAIL, "password": PASSWORD}) == 303

    def _ask(self, number: int) -> bool:
        if number % 2:
            return get(self.gateway, "/sign-in") == 200
        return get(self.gateway, "/v1/calls?limit=20", self.gateway.api_key) == 200


def get(gateway: RunningGateway, path: str, key: str = "") -> int:
    """Ask for a page, or with a key for a resource; return the status of the answer."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return _status(gateway, "GET", path, None, headers)


def post(gateway: RunningGateway, path: str, fields: dict[str, str]) -> int:
    """Send a form as a browser does that has no session; return the status of the answer."""
    # A proxy would stand at the public origin; without one that is the port of the calls.
    origin = f"http://{loopback.HOST}:{gateway.port}"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": origin}
    return _status(gateway, "POST", path, urlencode(fields), headers)


def _status(
    gateway: RunningGateway, method: str, path: str, body: str | None, headers: dict[str, str]
) -> int:
    connection = http.client.HTTPConnection(loopback.HOST, gateway.pages_port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        reply.read()
        return reply.status
    finally:
        connection.close()


@contextmanager
def stranger(cpu_s: float) -> Iterator[None]:
    """Let a process of its own be busy for so much CPU time, as often as people sign in."""
    # Spawned, so that it shares nothing with the threads here.
    process = get_context("spawn").Process(target=_be_busy, args=(cpu_s,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _be_busy(cpu_s: float) -> None:
    due = time.monotonic()
    while True:
        ended = time.thread_time() + cpu_s
        while time.thread_time() < ended:
            pass
        due = max(due + 1 / PER_S, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def keep_apart(gateway: RunningGateway) -> None:
    """Give the calls' process the last core, where their load comes from, and others the first."""
    cores = os.sched_getaffinity(0)
    for pids in gateway.processes().values():
        for pid in pids:
            core = max(cores) if pid == gateway.pid else min(cores)
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {core})
    # Those who come, and strangers, are started from here.
    os.sched_setaffinity(0, {min(cores)})


@contextmanager
def carried(gateway: RunningGateway, calls: int, *, core: int) -> Iterator[Generator]:
    """Carry calls while this is open."""
    with Generator(calls, core=core) as generator:
        for index in range(calls):
            call = gateway.dial(index)
            generator.add_call(call.browser, call.carrier, call.stream_sid)
        time.sleep(WARM_UP_S)
        yield generator


def pids_of(gateway: RunningGateway) -> list[int]:
    """Return all processes of a gateway."""
    return [pid for part in gateway.processes().values() for pid in part]


def measure(
    pids: Sequence[int], generator: Generator, count: Callable[[], int]
) -> tuple[int, float, Measurement]:
    """Let a window pass; return what was counted in it, what of a core was used, what was seen."""
    generator.start_window()
    before, cpu_ns, started = count(), total_cpu_ns(pids), time.monotonic()
    time.sleep(SECONDS)
    cpu_ns, elapsed_s = total_cpu_ns(pids) - cpu_ns, time.monotonic() - started
    counted = count() - before
    return counted, cpu_ns / 1e9 / elapsed_s, generator.finish_window()


def rounds(
    gateway: RunningGateway, crowd: Crowd, calls: int, number: int, *, core: int
) -> Iterator[Round]:
    """Yield rounds while calls are carried."""
    with carried(gateway, calls, core=core) as generator:
        for _ in range(number):
            alone = _measure(gateway, generator, None)
            with crowd.coming() as people:
                beside = _measure(gateway, generator, people)
            cpu_s = (beside.core_share - alone.core_share) / PER_S
            with stranger(cpu_s):
                time.sleep(SETTLE_S)
                one = _measure(gateway, generator, None)
            with stranger(cpu_s / 2), stranger(cpu_s / 2):
                time.sleep(SETTLE_S)
                yield Round(alone, beside, one, _measure(gateway, generator, None))


def _measure(gateway: RunningGateway, generator: Generator, people: Visitors | None) -> Window:
    return Window(*measure(pids_of(gateway), generator, lambda: people.done if people else 0))


def conclude(found: Sequence[Round], calls: int, *, is_only_signing_in: bool = True) -> Table:
    """Return the medians of each kind of window, and what a sign-in costs if nobody else came."""
    table = Table(title=f"{calls} calls, medians of {len(found)} windows each")
    for name in ("", "sign-ins/s", "p50 us", "p99 us", "cores", "frames hurt"):
        table.add_column(name, justify="right" if name else "left")
    alone, beside, one, two = zip(*found, strict=True)
    for name, each in (
        ("alone", alone),
        ("people sign in", beside),
        ("a stranger is as busy", one),
        ("two strangers are as busy", two),
    ):
        table.add_row(
            name,
            f"{median(w.sign_ins for w in each) / SECONDS:.1f}",
            f"{median(w.seen.p50_us for w in each):.0f}",
            f"{median(w.seen.p99_us for w in each):.0f}",
            f"{median(w.core_share for w in each):.2f}",
            str(sum(sum(w.seen.faults.values()) for w in each)),
        )
    if not is_only_signing_in:
        return table
    share = median(each.people.core_share - each.alone.core_share for each in found)
    came = median(w.sign_ins for w in beside) / SECONDS
    # A busy machine lets fewer come than are due, and those cost less.
    due = share * PER_S / max(came, 1)
    verdict = "reached" if due <= CORE_SHARE_MAX else "MISSED"
    table.caption = (
        f"A sign-in takes {1000 * due / PER_S:.0f} ms of CPU, {PER_S} a second {due:.2f} of a core"
        f" (at most {CORE_SHARE_MAX}: {verdict})."
    )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.people", description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS, help=f"calls beside them ({CALLS})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of windows ({ROUNDS})")
    parser.add_argument(
        "--requests", type=int, default=0, help="pages and lists asked for a second besides (0)"
    )
    parser.add_argument("--viewers", type=int, default=0, help="viewers of the live calls (0)")
    parser.add_argument(
        "--apart", action="store_true", help="run calls, pages and books in processes of their own"
    )
    parser.add_argument(
        "--own-core", action="store_true", help="with --apart: nobody else uses the calls' core"
    )
    options = parser.parse_args(arguments)
    if options.own_core and not options.apart:
        parser.error("--own-core needs --apart")
    try:
        compile_library()
    except CompilerMissingError as error:
        print(error)
        return UNABLE_EXIT
    started = start_gateway({"CALLER_SIGN_UP": "open"}, apart=options.apart)
    with started as gateway, on_cores(os.sched_getaffinity(0)):
        fields = {"email": EMAIL, "password": PASSWORD, "terms": "true", "adult": "true"}
        status = post(gateway, "/sign-up", fields)
        if status != 303:
            print(f"No account was made: {status}.")
            return UNABLE_EXIT
        key = create_account(gateway.environment, "operators", "--scope", "admin")
        calls_core = max(os.sched_getaffinity(0))
        if options.own_core:
            keep_apart(gateway)
        crowd = Crowd(gateway, options.requests, options.viewers, key)
        found = list(rounds(gateway, crowd, options.calls, options.rounds, core=calls_core))
    only = not (options.requests or options.viewers)
    Console().print(conclude(found, options.calls, is_only_signing_in=only))
    return 0


if __name__ == "__main__":
    sys.exit(main())
