"""Measures the cost of a WebRTC call: `python -m benchmarks.webrtc`; part of `make bench`.

Whole calls: a simulated browser sends SRTP, the played carrier's phone media messages, 50 packets a
second each way. The gateway, everything on, beside a relay on aiortc. Servers have one core to
themselves, the simulated browsers and phones another.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

from rich.console import Console

from benchmarks import webrtc_report as found
from benchmarks.browsers import Browser, LoadLoop, mirrored_pair, new_voice, sum_up
from benchmarks.dial import Call, DialError, send_json, wait_for
from benchmarks.limits import CEILING_SECONDS, CEILING_STEP, LATE_P99_US_MAX, SHARE_MAX
from benchmarks.peers.gateway import start_gateway
from benchmarks.peers.websocket_relay import AiortcPeer
from benchmarks.phones import ControlSocket, Phone
from benchmarks.process_cost import (
    core_busy_ns,
    on_cores,
    total_cpu_ns,
    total_resident_bytes,
)
from benchmarks.report import limit_line
from benchmarks.webrtc_report import AIORTC, GATEWAY, LOAD, Results, Sample

FAULTS_EXIT, UNABLE_EXIT = 1, 2

AIORTC_CALLS = 10
FIRST_CALLS = 3
"""Calls that are up before memory is first read, so that lazy imports and pools are not counted."""
WARM_UP_S = 2.5
"""The gateway's playout model looks back over two seconds of a network."""
GREETING_NS = 1_000_000_000


class Running(Protocol):
    """A server that is up."""

    @property
    def pid(self) -> int:
        """The process that moves the audio."""

    def dial(self, index: int, /) -> Call:
        """Bring up call `index`, counted from 0, and return both of its sockets."""

    def processes(self) -> Mapping[str, Sequence[int]]:
        """Return all process ids, by part."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server under test."""

    name: str
    loads: tuple[int, ...]
    """Numbers of calls, ascending."""
    start: Callable[[], AbstractContextManager[Running]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does."""

    servers: tuple[Server, ...]
    rounds: int
    seconds: float
    ceiling_max: int
    """How far the generator's own ceiling is sought; 0 for not at all."""
    seconds_max: float
    """After which no further round or load is begun."""
    server_core: int
    generator_core: int
    is_patient: bool = True
    """Whether a window that was disturbed, or not held, is measured once more."""


Progress = Callable[[Sample], None]


def udp_drops(ports: Collection[int]) -> int:
    """Return what the kernel has dropped at UDP sockets of these ports (proc(5), last column)."""
    rows = [row.split() for row in Path("/proc/net/udp").read_text("ascii").splitlines()[1:]]
    # Ports are hexadecimal behind the last colon of the local address.
    return sum(int(row[-1]) for row in rows if int(row[1].rpartition(":")[2], 16) in ports)


class Stage:
    """One server that is up, and the calls on it."""

    def __init__(
        self,
        server: str,
        turn: int,
        plan: Plan,
        processes: Sequence[int],
        beside: Sequence[int] = (),
    ) -> None:
        self._server, self._turn, self._plan = server, turn, plan
        self._processes = processes
        """Those that move the audio."""
        self._beside = beside
        self._loop = LoadLoop(turn)
        self._browsers: list[Browser] = []
        self._phones: list[Phone] = []
        self._controls: list[ControlSocket] = []
        self._connect_ms: list[float] = []
        self._resident_bytes_first = 0
        self._greeted_ns = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.close()
        for control in self._controls:
            control.close()

    @property
    def calls(self) -> int:
        """How many are up."""
        return len(self._browsers)

    def add_browser(self, browser: Browser, exchange: Callable[[str], str]) -> None:
        """Connect a browser."""
        started_ns = time.monotonic_ns()
        browser.connect(exchange(browser.offer()))
        self._connect_ms.append((time.monotonic_ns() - started_ns) / 1e6)
        self._browsers.append(browser)
        self._loop.add(browser)
        # What the first calls make the process load is no call's memory.
        if len(self._browsers) == FIRST_CALLS:
            self._resident_bytes_first = total_resident_bytes(self._processes)

    def add_phone(self, phone: Phone, control: ControlSocket) -> None:
        """Add the rest of the call whose browser was added last."""
        self._phones.append(phone)
        self._controls.append(control)
        self._loop.add(phone)
        self._loop.listen(control.fileno(), control.receive)

    def greet_now_and_then(self) -> None:
        """Send a frame on each call that is up, once a second, and return marks when they are due.

        So no call is silent for long enough to be ended.
        """
        for phone in self._phones:
            phone.return_marks(time.monotonic_ns())
        if time.monotonic_ns() - self._greeted_ns > GREETING_NS:
            self._loop.greet()
            self._greeted_ns = time.monotonic_ns()

    def sample(self, seconds: float) -> Sample:
        """Measure one window."""
        ports = {browser.server_port for browser in self._browsers}
        edges: list[tuple[int, ...]] = []

        def look() -> None:
            # Read in the same order at both edges: the time between the readings cancels out.
            cpu_ns = total_cpu_ns(self._processes)
            foreign_ns = core_busy_ns(self._plan.server_core) - cpu_ns - total_cpu_ns(self._beside)
            edges.append((time.monotonic_ns(), cpu_ns, foreign_ns, udp_drops(ports)))

        pace = self._loop.measure(WARM_UP_S, seconds, at_start=look, at_end=look)
        elapsed, cpu, foreign, dropped = (b - a for a, b in zip(*edges, strict=True))
        calls = len(self._browsers)
        # After the window: reading it takes time of the machine.
        grown = total_resident_bytes(self._processes) - self._resident_bytes_first
        return Sample(
            server=self._server,
            round=self._turn,
            calls=calls,
            cpu_ms=cpu / elapsed * 1000 / calls,
            core_share=cpu / elapsed,
            foreign_share=max(0.0, foreign / elapsed),
            resident_kb=grown / 1024 / max(1, calls - FIRST_CALLS),
            connect_ms=tuple(self._connect_ms),
            uplink=sum_up(browser.voice for browser in self._browsers),
            downlink=sum_up(phone.voice for phone in self._phones),
            pace=pace,
            dropped=dropped,
            closed=sum(control.closed for control in self._controls),
        )

    def best_sample(self, seconds: float) -> Sample:
        """Measure a load; once more when the first window was disturbed or not held."""
        first = self.sample(seconds)
        if (first.held and not first.disturbed) or not self._plan.is_patient:
            return first
        # The machine's noise passes; a server's limit is there a second time.
        second = self.sample(seconds)
        return second if second.held or not first.held else first


def dial(stage: Stage, running: Running) -> None:
    """Place a call, answer it, and move its audio to WebRTC as a page does."""
    index = stage.calls
    call = running.dial(index)
    spoken, heard = new_voice(2 * index), new_voice(2 * index + 1)
    browser = Browser(spoken)
    # In a whole call a browser hears the phone, not itself.
    browser.heard = heard

    def exchange(offer: str) -> str:
        send_json(call.browser, {"type": "offer", "id": 1, "sdp": mulaw_only(offer)})
        return str(wait_for(call.browser, "answer")["sdp"])

    # As a page does: the offer goes over the control socket, `media` then asks for the move.
    stage.add_browser(browser, exchange)
    send_json(call.browser, {"type": "media", "path": "webrtc"})
    selected = wait_for(call.browser, "media")
    if selected["path"] != "webrtc":
        raise DialError("the gateway keeps the audio on the socket")
    # The gateway has confirmed the move: no audio comes by the socket after this.
    phone = Phone(call.carrier, call.stream_sid, heard, spoken)
    stage.add_phone(phone, ControlSocket(call.browser))


def mulaw_only(offer: str) -> str:
    """Offer no Opus, and to be the DTLS client, which aiortc would else be itself."""
    lines = offer.replace("SAVPF 111 0 126", "SAVPF 0 126").split("\r\n")
    # Opus would compare codecs; both servers are to move mu-law.
    kept = [line for line in lines if not line.startswith("a=rtpmap:111")]
    return "\r\n".join(kept).replace("a=setup:actpass", "a=setup:active")


def measure_server(server: Server, turn: int, plan: Plan, keep: Progress, deadline: float) -> None:
    """Measure one server at its loads, as long as a core will do by what the last one took."""
    with (
        on_cores({plan.server_core}),
        # Started on its core, which its processes inherit; then this thread leaves for its own.
        server.start() as running,
        on_cores({plan.generator_core}),
    ):
        every = [pid for pids in running.processes().values() for pid in pids]
        beside = [pid for pid in every if pid != running.pid]
        with Stage(server.name, turn, plan, [running.pid], beside) as stage:
            call_share = 0.0
            for load in server.loads:
                is_spent = time.monotonic() > deadline
                # The first load is measured in any case: without it there is nothing to compare.
                if stage.calls and (is_spent or call_share * load > SHARE_MAX):
                    return
                while stage.calls < load:
                    dial(stage, running)
                    # Calls come up for many seconds, and an early one must not end for its silence.
                    stage.greet_now_and_then()
                sample = stage.best_sample(plan.seconds)
                keep(sample)
                call_share = sample.core_share / load


def generator_ceiling(plan: Plan) -> int:
    """Return the calls that the generator paces on time when its browsers are joined in pairs."""
    held = 0
    with on_cores({plan.generator_core}), closing(LoadLoop()) as loop:
        while len(loop.legs) < plan.ceiling_max:
            for call in range(len(loop.legs), len(loop.legs) + CEILING_STEP, 2):
                for browser in mirrored_pair(call):
                    loop.add(browser)
            # Twice where need be: one stall of a shared machine is not the generator's limit.
            if not any(_is_paced(loop) for _ in range(2)):
                break
            held = len(loop.legs)
    return held


def _is_paced(loop: LoadLoop) -> bool:
    pace = loop.measure(0.1, CEILING_SECONDS)
    tally = sum_up(leg.voice for leg in loop.legs).tally
    return pace.late_p99_us <= LATE_P99_US_MAX and not tally.faults


def run(plan: Plan, progress: Progress) -> Results:
    """Measure everything, servers in turns."""
    results = Results()
    deadline = time.monotonic() + plan.seconds_max

    def keep(sample: Sample) -> None:
        results.samples.append(sample)
        progress(sample)

    if plan.ceiling_max:
        # Legs, not calls: a call has two.
        results.ceiling_calls = generator_ceiling(plan) // 2
    for turn in range(1, plan.rounds + 1):
        # In turns within a round, so that both meet the same noise.
        for server in plan.servers:
            measure_server(server, turn, plan, keep, deadline)
        if time.monotonic() > deadline:
            break
    return results


def report(results: Results) -> dict[str, object]:
    """Print what was measured; return it as it is kept in the history."""
    Console(width=110).print(found.table(results))
    if results.ceiling_calls:
        print(
            f"The generator alone, its browsers joined in pairs, paces {results.ceiling_calls} "
            "calls of two ends."
        )
    for limit in found.limits(results):
        print(limit_line(limit))
    for sample in found.faulty(results):
        print(f"FAULT   {found.sample_line(sample)}")
    return found.history_record(results)


def servers_at(loads: Sequence[int]) -> tuple[Server, ...]:
    """Return what is compared, the gateway at these loads."""
    return (
        Server(GATEWAY, tuple(sorted(loads)), start_gateway),
        Server(AIORTC, (AIORTC_CALLS,), AiortcPeer().running),
    )


def plan_of(cores: Sequence[int], *, quick: bool) -> Plan:
    """Return what a part of `make bench` does."""
    return Plan(
        servers=servers_at((LOAD,) if quick else (100, LOAD, 300)),
        rounds=1,
        seconds=1.0 if quick else 2.0,
        ceiling_max=0 if quick else 800,
        seconds_max=10 if quick else 75,
        server_core=cores[0],
        generator_core=cores[1],
        is_patient=not quick,
    )


def print_progress(sample: Sample) -> None:
    print(found.sample_line(sample), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webrtc", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--calls", type=int, nargs="+", metavar="N", help="loads of the gateway")
    parser.add_argument("--seconds", type=float, help="length of each window")
    parser.add_argument("--rounds", type=int, help="times that every server is measured")
    options = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("The benchmark needs two cores: one for the server, one for the browsers.")
        return UNABLE_EXIT
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A call takes sockets for browser, phone and control, here and in the server.
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    plan = plan_of(cores, quick=options.quick)
    wanted = {
        "servers": options.calls and servers_at(options.calls),
        "seconds": options.seconds,
        "rounds": options.rounds,
    }
    plan = replace(plan, **{name: value for name, value in wanted.items() if value is not None})
    results = run(plan, print_progress)
    report(results)
    return FAULTS_EXIT if found.faulty(results) else 0


if __name__ == "__main__":
    sys.exit(main())
