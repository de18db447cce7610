"""`python -m benchmarks`: the gateway beside HAProxy and Starlette, under the same load.

Then the cost of metering, beside one script per call; WebRTC, beside aiortc; and the quality of
speech.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from benchmarks import (
    charging,
    creep,
    installed,
    metering,
    report,
    speech,
    webrtc,
    webrtc_report,
)
from benchmarks.bridge import Plan, Results, Sample, run
from benchmarks.dial import DialError
from benchmarks.generator import CompilerMissingError, compile_library
from benchmarks.peers.gateway import GatewayPeer
from benchmarks.peers.haproxy import HaproxyPeer
from benchmarks.peers.peer import Peer
from benchmarks.peers.websocket_relay import StarlettePeer

HISTORY = Path(__file__).with_name("history.jsonl")
PEERS: dict[str, Callable[[], Peer]] = {
    "gateway": GatewayPeer,
    "haproxy": HaproxyPeer,
    "starlette": StarlettePeer,
}
LADDER = (400, 550, 700)
"""Loads at which the highest one held is sought."""
FAULTS_EXIT, UNABLE_EXIT, WORSE_EXIT = 1, 2, 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="Exit code 1: frames of the gateway were lost, changed, doubled or out of order "
        "at a load of --calls. 2: the benchmark cannot run here. 3: CPU beside a peer's, or memory "
        "is a tenth worse than the best median in benchmarks/history.jsonl.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round, under a minute")
    parser.add_argument(
        "--calls", type=int, nargs="+", metavar="N", help="loads to compare at (200 400)"
    )
    parser.add_argument("--seconds", type=float, help="length of each window (1.5)")
    parser.add_argument("--rounds", type=int, help="times that every server is started (2)")
    parser.add_argument(
        "--peers", nargs="+", choices=PEERS, default=list(PEERS), help="servers to compare (all)"
    )
    parser.add_argument("--no-ladder", action="store_true", help="do not seek the highest load")
    parser.add_argument("--no-metering", action="store_true", help="do not measure the metering")
    parser.add_argument("--no-webrtc", action="store_true", help="do not measure WebRTC")
    parser.add_argument("--no-speech", action="store_true", help="make no calls by a real browser")
    parser.add_argument("--history", type=Path, default=HISTORY, help="file to append the run to")
    return parser


def plan_of(options: argparse.Namespace, cores: Sequence[int]) -> Plan:
    """Return what the options ask for; `--quick` changes the defaults only."""
    quick = options.quick
    loads = tuple(sorted(options.calls or ((200,) if quick else (200, 400))))
    return Plan(
        loads=loads,
        ladder=() if quick or options.no_ladder else tuple(n for n in LADDER if n > loads[0]),
        rounds=options.rounds or (1 if quick else 2),
        windows=1 if quick else 2,
        seconds=options.seconds or 1.5,
        seconds_max=25 if quick else 150,
        calls_max=800,
        # A core each: a generator that shared the server's would measure itself.
        server_core=cores[0],
        generator_core=cores[1],
    )


def _able_peers(names: Sequence[str]) -> list[Peer]:
    """Return the servers that can run; say how to get the others."""
    able: list[Peer] = []
    for name in names:
        peer = PEERS[name]()
        # A rival that is not installed must not keep the others from being measured.
        missing = peer.missing()
        if missing is None:
            print(f"{name:<11}{peer.what}", flush=True)
            able.append(peer)
        else:
            print(f"{name:<11}left out. {missing}", flush=True)
    return able


def _context(options: argparse.Namespace, plan: Plan, rounds: int) -> dict[str, object]:
    commit = ""
    # A tree without git can be measured as well: its record then names no commit.
    with suppress(OSError, subprocess.CalledProcessError):
        command = ["git", "-C", str(HISTORY.parent), "rev-parse", "--short=12", "HEAD"]
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "python": platform.python_version(),
        "build": installed.kind(),
        "machine": _processor(),
        "quick": options.quick,
        "rounds": rounds,
        "seconds": plan.seconds,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _print_progress(sample: Sample) -> None:
    print(report.sample_line(sample), flush=True)


def _conclude(results: Results) -> int:
    """Print everything that was found; return the exit code."""
    print(f"\n{report.table(results)}\n")
    print(
        f"The generator alone, its legs joined to each other, paces {results.ceiling_calls} calls."
        "\nOne call is 100 frames a second: 50 each way. The server has one core to itself.\n"
    )
    if any(row.disturbed for row in report.rows(results)):
        print("Figures marked as disturbed were taken while other work kept the machine busy.\n")
    for limit in report.limits(results):
        print(report.limit_line(limit))
    for sample in report.faulty(results):
        print(f"FAULT   round {sample.round}, {sample.calls} calls: {sample.trouble}")
    return FAULTS_EXIT if report.faulty(results) else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; return the exit code."""
    options = _parser().parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("The benchmark needs two cores: one for the server, one for the generator.")
        return UNABLE_EXIT
    try:
        compile_library()
    except CompilerMissingError as error:
        print(error)
        return UNABLE_EXIT
    # A call is up to four sockets of one process; inherited by the servers.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    plan = plan_of(options, cores)
    peers = _able_peers(options.peers)
    print(f"\nThe gateway's frame path is {installed.kind()}.\n", flush=True)
    try:
        results = run(peers, plan, _print_progress)
    except DialError as error:
        print("A server did not start:", error, *getattr(error, "__notes__", ()), sep="\n")
        return UNABLE_EXIT
    code = _conclude(results)
    context = _context(options, plan, results.rounds)
    # Faults end nothing: the other parts are measured and recorded too.
    record = report.history_record(results, context)
    if not options.no_metering:
        # 1,000 calls in either case: the limits are of that load.
        counts, rounds = ([1_000], 4) if options.quick else ([100, 1_000, 10_000], 6)
        # On uvloop, as the gateway's own client is.
        record["metering"] = metering.report(*uvloop.run(metering.measure_all(counts, rounds)))
        seconds = 6.0 if options.quick else 15.0
        record["charging"] = charging.report(uvloop.run(charging.measure(charging.CALLS, seconds)))
    if not options.no_webrtc:
        print(flush=True)
        webrtc_plan = webrtc.plan_of(cores, quick=options.quick)
        webrtc_results = webrtc.run(webrtc_plan, webrtc.print_progress)
        record["webrtc"] = webrtc.report(webrtc_results)
        if webrtc_report.faulty(webrtc_results):
            code = FAULTS_EXIT
    # Its calls alone take most of the minute that a quick run may last.
    if not (options.no_speech or options.quick):
        print(flush=True)
        record["speech"] = speech.run()
    judged = creep.judge(report.read_history(HISTORY), record)
    print("\nBeside the best that three runs in a row have shown:")
    for each in judged:
        print(each.line())
    report.append_history(options.history, record)
    return code or (WORSE_EXIT if any(each.is_worse for each in judged) else 0)


if __name__ == "__main__":
    # A run that is terminated leaves by an exception: its servers would go on otherwise.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
