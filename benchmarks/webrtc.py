"""What a WebRTC call costs: `python -m benchmarks.webrtc`, and the last part of `make bench`.

The gateway's WebRTC leg alone beside aiortc doing the same work, in turns: 50 packets a second each
way. Then the leg with calls added until packets are lost or late, and the whole gateway with the
played carrier behind it. Servers have one core to themselves, the simulated browsers another.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from rich.console import Console

from benchmarks import installed, loopback
from benchmarks import webrtc_report as found
from benchmarks.browsers import Browser, Crowd, mirrored_pair, new_voice, sum_up
from benchmarks.dial import DialError, send_json, wait_for
from benchmarks.limits import CEILING_SECONDS, CEILING_STEP, LATE_P99_US_MAX
from benchmarks.peers.gateway import RunningGateway, start_gateway
from benchmarks.peers.offers import Offers
from benchmarks.peers.peer import server_process
from benchmarks.peers.webrtc import AIORTC_PCMU, LEG, PEERS, WebRtcPeer
from benchmarks.phones import ControlSocket, Phone
from benchmarks.process_cost import (
    core_busy_ns,
    on_cores,
    total_cpu_ns,
    total_resident_bytes,
)
from benchmarks.report import limit_line
from benchmarks.webrtc_report import GATEWAY, RATIO_LOAD, Results, Sample

FAULTS_EXIT, UNABLE_EXIT = 1, 2

GATEWAY_CALLS = 100
FIRST_CALLS = 3
"""Calls that are up before memory is first read, so that lazy imports and pools are not counted."""
SETTLE_S = 0.7
GATEWAY_SETTLE_S = 2.5
"""Its playout model looks back over two seconds of a network."""
GREETING_NS = 1_000_000_000
LADDER_FROM, LADDER_STEP = 500, 150


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does."""

    loads: tuple[int, ...]
    """Numbers of calls, ascending, of the leg alone."""
    rounds: int
    seconds: float
    ladder_max: int
    """0 for no ladder."""
    seconds_max: float
    """After which no further round or step is begun."""
    server_core: int
    generator_core: int
    peers: tuple[WebRtcPeer, ...] = PEERS
    is_patient: bool = True
    """Whether a window that was disturbed, or not held, is measured once more."""


Progress = Callable[[Sample], None]


def udp_drops(ports: Collection[int]) -> int:
    """Return what the kernel has dropped at UDP sockets of these ports (proc(5), last column)."""
    rows = [row.split() for row in Path("/proc/net/udp").read_text("ascii").splitlines()[1:]]
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
        self._crowd = Crowd()
        self._browsers: list[Browser] = []
        self._phones: list[Phone] = []
        self._controls: list[ControlSocket] = []
        self._connect_ms: list[float] = []
        self._resident_bytes_first = 0
        self._greeted_ns = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._crowd.close()
        for control in self._controls:
            control.close()

    def add_browser(self, browser: Browser, exchange: Callable[[str], str]) -> None:
        """Connect a browser."""
        started_ns = time.monotonic_ns()
        browser.connect(exchange(browser.offer()))
        self._connect_ms.append((time.monotonic_ns() - started_ns) / 1e6)
        self._browsers.append(browser)
        self._crowd.add(browser)
        if len(self._browsers) == FIRST_CALLS:
            self._resident_bytes_first = total_resident_bytes(self._processes)

    def add_phone(self, phone: Phone, control: ControlSocket) -> None:
        """Add the rest of the call whose browser was added last."""
        self._phones.append(phone)
        self._controls.append(control)
        self._crowd.add(phone)
        self._crowd.listen(control.fileno(), control.receive)

    def greet_now_and_then(self) -> None:
        """Let the calls that are up say a word, once a second, and return marks when they are due.

        None has been quiet for longer.
        """
        for phone in self._phones:
            phone.return_marks(time.monotonic_ns())
        if time.monotonic_ns() - self._greeted_ns > GREETING_NS:
            self._crowd.greet()
            self._greeted_ns = time.monotonic_ns()

    def sample(self, seconds: float) -> Sample:
        """Measure one window."""
        settle_s = GATEWAY_SETTLE_S if self._phones else SETTLE_S
        ports = {browser.server_port for browser in self._browsers}
        edges: list[tuple[int, ...]] = []

        def look() -> None:
            cpu_ns = total_cpu_ns(self._processes)
            foreign_ns = core_busy_ns(self._plan.server_core) - cpu_ns - total_cpu_ns(self._beside)
            edges.append((time.monotonic_ns(), cpu_ns, foreign_ns, udp_drops(ports)))

        pace = self._crowd.measure(settle_s, seconds, at_start=look, at_end=look)
        elapsed, cpu, foreign, dropped = (b - a for a, b in zip(*edges, strict=True))
        calls = len(self._browsers)
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
            downlink=sum_up(phone.voice for phone in self._phones) if self._phones else None,
            pace=pace,
            dropped=dropped,
            closed=sum(control.closed for control in self._controls),
        )

    def best_sample(self, seconds: float) -> Sample:
        """Measure a load; once more when the first window was disturbed or not held."""
        first = self.sample(seconds)
        if (first.held and not first.disturbed) or not self._plan.is_patient:
            return first
        second = self.sample(seconds)
        return second if second.held or not first.held else first


@contextmanager
def stage_of(peer: WebRtcPeer, turn: int, plan: Plan) -> Iterator[Callable[[int], Stage]]:
    """Start a server; yield what brings calls up to a number and returns the stage."""
    with loopback.listen() as listener:
        fd = listener.fileno()
        command = [sys.executable, "-m", peer.module, str(fd)]
        with (
            on_cores({plan.server_core}),
            server_process(command, pass_fds=[fd], environment=installed.environment()) as process,
            on_cores({plan.generator_core}),
            closing(Offers(loopback.connect(loopback.port_of(listener)))) as offers,
            Stage(peer.name, turn, plan, [process.pid]) as stage,
        ):

            def raise_to(calls: int) -> Stage:
                for index in range(len(stage._browsers), calls):
                    stage.add_browser(
                        peer.browser(index), lambda offer: offers.exchange(peer.offer(offer))
                    )
                return stage

            yield raise_to


def dial(stage: Stage, gateway: RunningGateway, index: int) -> None:
    """Place a call, answer it, and move its audio to WebRTC as a page does."""
    call = gateway.dial(index)
    spoken, heard = new_voice(2 * index), new_voice(2 * index + 1)
    browser = Browser(spoken)
    browser.heard = heard

    def exchange(offer: str) -> str:
        send_json(call.browser, {"type": "offer", "id": 1, "sdp": offer})
        return str(wait_for(call.browser, "answer")["sdp"])

    stage.add_browser(browser, exchange)
    send_json(call.browser, {"type": "media", "path": "webrtc"})
    selected = wait_for(call.browser, "media")
    if selected["path"] != "webrtc":
        raise DialError("the gateway keeps the audio on the socket")
    phone = Phone(call.carrier, call.stream_sid, heard, spoken)
    stage.add_phone(phone, ControlSocket(call.browser))


def _beside(gateway: RunningGateway) -> list[int]:
    """Return the gateway's other processes: its Valkey, and the drainer."""
    return [pid for pids in gateway.processes().values() for pid in pids if pid != gateway.pid]


def measure_gateway(plan: Plan, calls: int) -> Sample:
    """Measure the whole gateway."""
    with (
        on_cores({plan.server_core}),
        start_gateway() as gateway,
        on_cores({plan.generator_core}),
        Stage(GATEWAY, 1, plan, [gateway.pid], _beside(gateway)) as stage,
    ):
        for index in range(calls):
            dial(stage, gateway, index)
            stage.greet_now_and_then()
        return stage.best_sample(plan.seconds)


def generator_ceiling(plan: Plan) -> int:
    """Return the calls that the generator paces on time when its browsers are joined in pairs."""
    held = 0
    with on_cores({plan.generator_core}), closing(Crowd()) as crowd:
        while len(crowd.legs) < plan.ladder_max:
            for call in range(len(crowd.legs), len(crowd.legs) + CEILING_STEP, 2):
                for browser in mirrored_pair(call):
                    crowd.add(browser)
            # Twice where need be: one stall of a shared machine is not the generator's limit.
            if not any(_is_paced(crowd) for _ in range(2)):
                break
            held = len(crowd.legs)
    return held


def _is_paced(crowd: Crowd) -> bool:
    pace = crowd.measure(0.1, CEILING_SECONDS)
    tally = sum_up(leg.voice for leg in crowd.legs).tally
    return pace.late_p99_us <= LATE_P99_US_MAX and not tally.faults


def run(plan: Plan, progress: Progress) -> Results:
    """Measure everything, servers in turns."""
    results = Results()
    deadline = time.monotonic() + plan.seconds_max

    def keep(sample: Sample, samples: list[Sample]) -> Sample:
        samples.append(sample)
        progress(sample)
        return sample

    for turn in range(1, plan.rounds + 1):
        for peer in plan.peers:
            loads = plan.loads if peer is LEG else (peer.calls,)
            with stage_of(peer, turn, plan) as raise_to:
                for calls in loads:
                    keep(raise_to(calls).best_sample(plan.seconds), results.samples)
        if time.monotonic() > deadline:
            break
    keep(measure_gateway(plan, GATEWAY_CALLS), results.samples)
    if plan.ladder_max:
        results.ceiling_calls = generator_ceiling(plan)
        with stage_of(LEG, 0, plan) as raise_to:
            for calls in range(LADDER_FROM, plan.ladder_max + 1, LADDER_STEP):
                sample = keep(raise_to(calls).best_sample(plan.seconds), results.ladder)
                if not sample.held or time.monotonic() > deadline:
                    break
    return results


def report(results: Results) -> dict[str, object]:
    """Print what was measured; return it as it is kept in the history."""
    Console(width=110).print(found.table(results))
    if results.ceiling_calls:
        print(
            f"The generator alone, its browsers joined in pairs, paces {results.ceiling_calls} "
            f"calls. The leg held {results.calls_held}."
        )
    for limit in found.limits(results):
        print(limit_line(limit))
    for sample in found.broken(results):
        print(f"FAULT   {found.sample_line(sample)}")
    return found.history_record(results)


def plan_of(cores: Sequence[int], *, quick: bool) -> Plan:
    """Return what a part of `make bench` does."""
    return Plan(
        loads=(RATIO_LOAD,) if quick else (100, RATIO_LOAD),
        rounds=1,
        seconds=1.0 if quick else 2.0,
        ladder_max=0 if quick else 800,
        seconds_max=10 if quick else 75,
        server_core=cores[0],
        generator_core=cores[1],
        peers=(LEG, AIORTC_PCMU) if quick else PEERS,
        is_patient=not quick,
    )


def print_progress(sample: Sample) -> None:
    print(found.sample_line(sample), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webrtc", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, no ladder")
    parser.add_argument("--calls", type=int, nargs="+", metavar="N", help="loads of the leg")
    parser.add_argument("--seconds", type=float, help="length of each window")
    parser.add_argument("--rounds", type=int, help="times that every server is measured")
    parser.add_argument("--ladder", type=int, metavar="N", help="highest load tried; 0 for none")
    options = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("The benchmark needs two cores: one for the server, one for the browsers.")
        return UNABLE_EXIT
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    plan = plan_of(cores, quick=options.quick)
    wanted = {
        "loads": options.calls and tuple(sorted(options.calls)),
        "seconds": options.seconds,
        "rounds": options.rounds,
        "ladder_max": options.ladder,
    }
    plan = replace(plan, **{name: value for name, value in wanted.items() if value is not None})
    results = run(plan, print_progress)
    report(results)
    return FAULTS_EXIT if found.broken(results) else 0


if __name__ == "__main__":
    sys.exit(main())
