"""Measures what starts cost: `python -m benchmarks.starts`.

CPU seconds, user and system, of one process each, its children not counted: a command until it has
ended, a role until it serves. Beside them stands an interpreter that does nothing.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median

from benchmarks import installed, loopback
from benchmarks.carrier import PlayedCarrier
from benchmarks.dial import DialError
from benchmarks.peers.gateway import (
    CALLER,
    READY_S_MAX,
    create_account,
    environment_of,
    valkey,
    wait_until_ready,
)
from benchmarks.peers.peer import server_process
from benchmarks.process_cost import spent_s

COMMANDS: Mapping[str, Sequence[str]] = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "caller --help": (*CALLER, "--help"),
    "caller rates --help": (*CALLER, "rates", "--help"),
    "caller check --help": (*CALLER, "check", "--help"),
    "caller serve --help": (*CALLER, "serve", "--help"),
}


def of_command(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return what a command has spent when it has ended."""
    process = subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise DialError(f"{command} has failed")
    return used.ru_utime + used.ru_stime


def of_role(role: str, environment: Mapping[str, str]) -> float:
    """Return what a process of the gateway has spent when it is ready."""
    port = loopback.free_port()
    own = {"CALLER_PORT": str(port), "CALLER_PUBLIC_ORIGIN": f"http://{loopback.HOST}:{port}"}
    command = [*CALLER, "serve", "--role", role]
    with server_process(command, environment={**environment, **own}) as process:
        wait_until_ready(process, port)
        return spent_s(process.pid)


def of_drainer(environment: Mapping[str, str]) -> float:
    """Return what the drainer has spent when it works; its parent is this process."""
    ours, its = socket.socketpair()
    command = [*CALLER, "drain", "--child"]
    with ours, its:
        drainer = subprocess.Popen(
            command, env=dict(environment), stdin=its.fileno(), stderr=subprocess.DEVNULL
        )
        its.close()
        ours.settimeout(READY_S_MAX)
        try:
            signs = b""
            # Steps of its start are named first; a line feed ends each.
            while b"." not in signs.rpartition(b"\n")[2]:
                if not (more := ours.recv(4096)):
                    raise DialError("the drainer did not start")
                signs += more
            return spent_s(drainer.pid)
        finally:
            # Without a parent it ends.
            ours.close()
            drainer.wait(READY_S_MAX)


@contextmanager
def starts() -> Iterator[Mapping[str, Callable[[], float]]]:
    """Prepare stores as a node has them after its first start; yield what can be started."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="caller-starts-"))
        carrier = stack.enter_context(PlayedCarrier())
        alone = environment_of(loopback.free_port(), carrier, f"{folder}/alone")
        url, _ = stack.enter_context(valkey(folder))
        shared = environment_of(loopback.free_port(), carrier, f"{folder}/shared") | {
            "CALLER_REDIS_URL": url,
            "CALLER_DATABASE_URL": f"sqlite:///{folder}/shared.db",
        }
        for environment in (alone, shared):
            create_account(environment, "benchmark")
        yield {
            **{name: partial(of_command, each, alone) for name, each in COMMANDS.items()},
            "caller serve": partial(of_role, "all", alone),
            "caller serve --role media": partial(of_role, "media", shared),
            "caller serve --role web": partial(of_role, "web", shared),
            "the drainer of a node": partial(of_drainer, shared),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Start everything in turns, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="starts of each (5)")
    rounds = parser.parse_args(arguments).rounds
    with starts() as begun:
        # Once more, and first: what Python compiles is found compiled from then on.
        for begin in begun.values():
            begin()
        spent: dict[str, list[float]] = {name: [] for name in begun}
        for _ in range(rounds):
            for name, begin in begun.items():
                spent[name].append(begin())
    print(f"The gateway's frame path is {installed.kind()}.")
    print(f"{'CPU seconds':<28}{'median':>8}{'least':>8}{'most':>8}")
    for name, each in spent.items():
        print(f"{name:<28}{median(each):>8.2f}{min(each):>8.2f}{max(each):>8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
