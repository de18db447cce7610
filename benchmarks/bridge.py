"""Runs the comparison: all servers carry the same calls, in turn, and so meet the same noise.

A round restarts each server on a core of its own, brings calls up to the lowest load and measures
some windows there: another second, another noise. In the last round each server also runs the other
loads, and then calls are added until frames are lost or late: the highest load held.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest

from benchmarks import loopback
from benchmarks.dial import DialError
from benchmarks.generator import Generator, Measurement
from benchmarks.limits import (
    CEILING_SECONDS,
    CEILING_STEP,
    FOREIGN_SHARE_MAX,
    LATE_MAX_US_MAX,
    LATE_P99_US_MAX,
    P99_US_MAX,
    SHARE_MAX,
)
from benchmarks.peers.peer import Peer, RunningPeer
from benchmarks.process_cost import core_busy_ns, on_cores, total_cpu_ns, total_resident_bytes

WARM_UP_S = 1.0
LAST_ROUND_SHARE = 3
"""How much longer the last round takes than those before it, about."""
FIRST_CALLS = 10
"""Calls that are up before memory is first read, so that lazy imports and pools are not counted."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does."""

    loads: tuple[int, ...]
    """Numbers of calls, ascending, at which all servers are compared."""
    ladder: tuple[int, ...]
    """Others, ascending, at which the highest load held is sought."""
    rounds: int
    windows: int
    """At each load that is compared, in each round."""
    seconds: float
    """Length of a window."""
    seconds_max: float
    """After which no further round or step of the ladder is begun."""
    calls_max: int
    """How far the generator's own ceiling is sought."""
    server_core: int
    generator_core: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One server at one load in one round."""

    peer: str
    round: int
    """Counted from 1."""
    calls: int
    cpu_ms: Mapping[str, float]
    """CPU milliseconds per call and second, by part; the server's own part bears its name."""
    core_share: float
    """Of one core, all parts together."""
    foreign_share: float
    """Share of the server's core that other processes used."""
    resident_bytes: float
    """Growth of the server's own part, per call."""
    seen: Measurement | None
    """None when calls did not come up."""
    request_ms: float | None = None
    """A request beside the calls, just after the window; None for a server that takes none."""
    request_ratio: float | None = None
    """To what it took while the server carried its first few calls."""
    trouble: str = ""
    """Why calls did not come up, or what was wrong with their frames, in words."""

    @property
    def intact(self) -> bool:
        """Whether every frame arrived, unchanged, once and in order."""
        return self.seen is not None and not self.seen.faults

    @property
    def faulty(self) -> bool:
        """Whether the server is at fault: a machine too busy may lose time, but changes nothing."""
        return not self.intact and (
            self.seen is None or bool(self.seen.counts.damage) or not self.disturbed
        )

    @property
    def held(self) -> bool:
        """Whether every frame arrived intact, and 99 of 100 before the next was due."""
        return self.intact and self.seen is not None and self.seen.p99_us <= P99_US_MAX

    @property
    def disturbed(self) -> bool:
        """Whether other work on this machine delayed the generator or the server."""
        late = self.seen is not None and (
            self.seen.late_p99_us > LATE_P99_US_MAX or self.seen.late_max_us > LATE_MAX_US_MAX
        )
        return late or self.foreign_share > FOREIGN_SHARE_MAX


@dataclass(slots=True)
class Results:
    """Everything measured in a run."""

    rounds: int = 0
    ceiling_calls: int = 0
    """What the generator alone can pace, with nothing between its legs."""
    samples: list[Sample] = field(default_factory=list)
    calls_held: dict[str, int] = field(default_factory=dict)
    ladder: list[Sample] = field(default_factory=list)


Progress = Callable[[Sample], None]


class _Stage:
    """One server that is up, and the calls on it."""

    def __init__(
        self, peer: Peer, turn: int, core: int, running: RunningPeer, generator: Generator
    ) -> None:
        self._name = peer.name
        self._warm_up_s = peer.warm_up_s
        self._turn = turn
        self._core = core
        self._running = running
        self._generator = generator
        self._resident_bytes_first = 0
        self._request_ms_first: float | None = None

    def _raise_to(self, calls: int) -> None:
        while self._generator.calls < calls:
            # One after the other: a handshake is not what is compared.
            call = self._running.dial(self._generator.calls)
            self._generator.add_call(call.browser, call.carrier, call.stream_sid)

    def warm_up(self) -> None:
        """Bring the first calls up, then read how much memory the server starts from."""
        self._raise_to(FIRST_CALLS)
        time.sleep(WARM_UP_S)
        own = self._running.processes()[self._name]
        # Before memory is read: what a first request loads is no call's.
        self._request_ms_first = self._running.ask_ms()
        self._resident_bytes_first = total_resident_bytes(own)

    def samples(self, calls: int, windows: int, seconds: float) -> Iterator[Sample]:
        """Bring calls up to a load and measure there.

        One window more when all were late or disturbed; none after a fault of the server's.
        """
        try:
            self._raise_to(calls)
        except (DialError, OSError) as error:
            # The calls before it may have been ended; what the server told the first of them says
            # why.
            lost = self._generator.measure(0).last_text
            trouble = f"call {self._generator.calls} did not come up: {error} {lost}".strip()
            yield Sample(self._name, self._turn, calls, {}, 0, 0, 0, None, trouble=trouble)
            return
        # Playout models look back over the time in which calls came up.
        time.sleep(self._warm_up_s)
        was_good = False
        for window in range(windows + 1):
            # The window beyond the plan is for a load that no window has judged yet.
            if window == windows and was_good:
                return
            sample = self._measure(calls, seconds)
            yield sample
            # A fault of the server's is not excused by a better window.
            if sample.faulty:
                return
            was_good = was_good or (sample.held and not sample.disturbed)

    def _measure(self, calls: int, seconds: float) -> Sample:
        """Measure one window of the calls that are up."""
        processes = self._running.processes()
        self._generator.start_window()
        # Read after the window has begun and before it ends: the commands take time as well.
        busy_first, cpu_first = core_busy_ns(self._core), _cpu_by_part(processes)
        started = time.monotonic()
        time.sleep(seconds)
        busy_last, cpu_last = core_busy_ns(self._core), _cpu_by_part(processes)
        elapsed_s = time.monotonic() - started
        seen = self._generator.finish_window()
        cpu_ms = {part: (cpu_last[part] - cpu_first[part]) / 1e6 / elapsed_s for part in cpu_last}
        core_share = sum(cpu_ms.values()) / 1000
        # After the window, with all calls up: the request must not be part of its CPU.
        request_ms, first_ms = self._running.ask_ms(), self._request_ms_first
        grown = total_resident_bytes(processes[self._name]) - self._resident_bytes_first
        return Sample(
            peer=self._name,
            round=self._turn,
            calls=calls,
            cpu_ms={part: value / calls for part, value in cpu_ms.items()},
            core_share=core_share,
            # The core's busy time is counted in ticks, so that the difference can fall below zero.
            foreign_share=max(0.0, (busy_last - busy_first) / 1e9 / elapsed_s - core_share),
            resident_bytes=grown / max(1, calls - FIRST_CALLS),
            seen=seen,
            request_ms=request_ms,
            request_ratio=request_ms / first_ms if request_ms and first_ms else None,
            trouble=_describe(seen),
        )


def _cpu_by_part(processes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    return {part: total_cpu_ns(pids) for part, pids in processes.items()}


def _describe(seen: Measurement) -> str:
    words = [f"{count} {name}" for name, count in seen.faults.items()]
    if seen.before.faults:
        earlier = ", ".join(f"{count} {name}" for name, count in seen.before.faults.items())
        words.append(f"({earlier} while calls came up)")
    # The server's own reason, when it ended a call.
    if seen.counts.closed and seen.last_text:
        words.append(f"last told: {seen.last_text}")
    # All frames came, but the next was due before.
    if seen.p99_us > P99_US_MAX:
        words.append("late")
    return ", ".join(words)


def generator_ceiling(plan: Plan) -> int:
    """Return the calls that the generator paces on time when its legs are joined to each other."""
    held = 0
    with Generator(plan.calls_max, core=plan.generator_core) as generator:
        while generator.calls + CEILING_STEP <= plan.calls_max:
            for index in range(CEILING_STEP):
                generator.add_call(*loopback.pair(), f"MZ{index:032x}")
            # Twice where need be: one stall of a shared machine is not the generator's limit.
            if not any(_is_paced(generator.measure(CEILING_SECONDS)) for _ in range(2)):
                break
            held = generator.calls
    return held


def _is_paced(seen: Measurement) -> bool:
    return seen.late_p99_us <= LATE_P99_US_MAX and not seen.counts.faults


def highest_held(samples: Sequence[Sample], peer: str) -> int:
    """Return the highest load that a server held whenever the machine let it; 0 if none.

    A load that failed in a disturbed window and was held in another counts as held.
    """
    held = {s.calls for s in samples if s.peer == peer and s.held}
    failed = {s.calls for s in samples if s.peer == peer and not s.held and not s.disturbed}
    return max((calls for calls in held if not failed or calls < min(failed)), default=0)


@contextmanager
def _stage(peer: Peer, turn: int, plan: Plan) -> Iterator[_Stage]:
    """Start a server on its core, and bring the first calls up."""
    with ExitStack() as stack:
        # The server's processes inherit the core; this thread returns to the others.
        with on_cores({plan.server_core}):
            running = stack.enter_context(peer.running())
        calls_max = max(plan.calls_max, *plan.loads)
        # Its thread moves to its own core by itself. Another seed each round: other phases, other
        # audio.
        generator = stack.enter_context(Generator(calls_max, core=plan.generator_core, seed=turn))
        stage = _Stage(peer, turn, plan.server_core, running, generator)
        stage.warm_up()
        yield stage


def _compare(
    peer: Peer, turn: int, plan: Plan, loads: Sequence[int], deadline: float, keep: Progress
) -> None:
    """Measure one server at these loads, ascending, until it does not hold one."""
    with _stage(peer, turn, plan) as stage:
        for load, higher in zip_longest(loads, loads[1:]):
            # Steps of the ladder are only held or not: one window tells.
            windows = plan.windows if load in plan.loads else 1
            found = []
            for sample in stage.samples(load, windows, plan.seconds):
                keep(sample)
                found.append(sample)
            # The loads to be compared are measured whatever the time; only the ladder is cut short.
            is_spent = higher not in plan.loads and time.monotonic() > deadline
            if (
                higher is None
                or is_spent
                or not any(sample.held for sample in found)
                or is_hopeless(found[-1], higher)
            ):
                return


def is_hopeless(sample: Sample, load: int) -> bool:
    """Tell whether a load is beyond a server, by what it took for a lower one."""
    return sample.core_share * load / sample.calls > SHARE_MAX


def run(peers: Sequence[Peer], plan: Plan, progress: Progress) -> Results:
    """Measure all peers, in turns."""
    deadline = time.monotonic() + plan.seconds_max
    # This thread places the calls, and would take its share of the server's core.
    others = os.sched_getaffinity(0) - {plan.server_core}
    with on_cores(others):
        results = Results(ceiling_calls=generator_ceiling(plan))
        # A load that the generator cannot offer proves nothing of a server.
        ladder = [load for load in plan.ladder if load <= results.ceiling_calls]

        def keep(sample: Sample) -> None:
            # Only loads at which all servers were measured go into the table.
            (results.samples if sample.calls in plan.loads else results.ladder).append(sample)
            progress(sample)

        round_s = 0.0
        is_last = False
        while not is_last:
            started = time.monotonic()
            results.rounds += 1
            left_s = deadline - started
            # Ends early where the time left would not do for another round and the longer last one.
            is_last = results.rounds == plan.rounds or (1 + LAST_ROUND_SHARE) * round_s > left_s
            loads = sorted({*plan.loads, *ladder}) if is_last else plan.loads[:1]
            for peer in peers:
                _compare(peer, results.rounds, plan, loads, deadline, keep)
            round_s = time.monotonic() - started
        for peer in peers:
            found = results.samples + results.ladder
            results.calls_held[peer.name] = highest_held(found, peer.name)
    return results
