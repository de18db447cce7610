"""Measures calls of which some are listened to: `python -m benchmarks.supervised`.

Calls are carried, in turns, while nobody listens, while supervisors listen to as many of them as a
node lets in, and while a process that has nothing to do with the gateway takes as much of the
machine as the supervisors and what is done for them. Compared is how late frames come. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from selectors import EVENT_READ, DefaultSelector
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from benchmarks import loopback
from benchmarks.dial import DialError, open_websocket, send_json, wait_for
from benchmarks.generator import CompilerMissingError, Generator, Measurement, compile_library
from benchmarks.peers.gateway import RunningGateway, create_account, start_gateway
from benchmarks.people import (
    CALLS,
    PER_S,
    ROUNDS,
    SECONDS,
    SETTLE_S,
    UNABLE_EXIT,
    carried,
    measure,
    pids_of,
    stranger,
)
from benchmarks.spawned import Spawned

SUPERVISORS = 16
"""As many as a node lets in."""
_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Window:
    """What was seen within one window."""

    core_share: float
    """Of one core, by the node and the supervisors."""
    kilobytes: float
    """Heard by a supervisor, in a second."""
    seen: Measurement


class Round(NamedTuple):
    """Windows, one after the other."""

    alone: Window
    supervised: Window
    stranger: Window


class Supervisors(Spawned):
    """Listen to a call each, in a process of their own, and count what they hear."""

    def __init__(self, port: int, grants: Sequence[Mapping[str, str]]) -> None:
        super().__init__(_listen, port, grants)

    def heard_bytes(self) -> int:
        """Return how much has come for all of them."""
        heard: int = self.ask()
        return heard


def _listen(pipe: Connection, port: int, grants: Sequence[Mapping[str, str]]) -> None:
    selector = DefaultSelector()
    for grant in grants:
        socket = loopback.connect(port)
        path = urlsplit(grant["media_url"]).path
        open_websocket(socket, f"{loopback.HOST}:{port}", path)
        send_json(socket, {"type": "start", "version": 1, "token": grant["token"]})
        wait_for(socket, "supervision-ready")
        selector.register(socket, EVENT_READ, socket)
    selector.register(pipe, EVENT_READ, None)
    pipe.send(None)
    heard = 0
    while True:
        for key, _ in selector.select():
            if key.data is None:
                pipe.recv()
                pipe.send(heard)
                continue
            read = key.data.recv(_READ_BYTES)
            if not read:
                raise DialError("a supervisor was put out")
            heard += len(read)


@dataclass(frozen=True, slots=True)
class Desk:
    """Where supervisors come from: an operator, for calls of an account that allows it."""

    gateway: RunningGateway
    key: str

    @contextmanager
    def listening(self, number: int) -> Iterator[Supervisors]:
        """Let so many listen to a call each while this is open."""
        supervisors = Supervisors(self.gateway.port, [self._grant(c) for c in self._calls(number)])
        try:
            time.sleep(SETTLE_S)
            yield supervisors
        finally:
            supervisors.close()

    def _calls(self, number: int) -> list[str]:
        found = self._ask("GET", "")["calls"]
        return [each["call"]["id"] for each in found[:number]]

    def _grant(self, call_id: str) -> Mapping[str, str]:
        grant: Mapping[str, str] = self._ask(
            "POST", f"/{call_id}/supervision", {"reason": "benchmark"}
        )
        return grant

    def _ask(self, method: str, rest: str, body: Mapping[str, str] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        text = json.dumps(body) if body else None
        self.gateway.api.request(method, f"/v1/admin/live-calls{rest}", text, headers)
        reply = self.gateway.api.getresponse()
        content = reply.read()
        if reply.status >= 300:
            raise DialError(f"{reply.status} {content.decode(errors='replace')}")
        return json.loads(content)


def allow_listening(environment: Mapping[str, str]) -> None:
    """Let operators listen to the account's calls, without the tone that callers would hear."""
    command = [sys.executable, "-m", "gateway", "accounts", "supervision", "benchmark"]
    rule = ["--allow", "listen", "--no-tone", "benchmark", "--reason", "benchmark"]
    subprocess.run([*command, *rule], env=environment, stdout=subprocess.DEVNULL, check=True)


def rounds(desk: Desk, calls: int, supervisors: int, number: int) -> Iterator[Round]:
    """Yield rounds while calls are carried."""
    core = max(os.sched_getaffinity(0))
    with carried(desk.gateway, calls, core=core) as generator:
        for _ in range(number):
            alone = _measure(desk.gateway, generator, None)
            with desk.listening(supervisors) as crowd:
                supervised = _measure(desk.gateway, generator, crowd, supervisors)
            with stranger(max(0.0, supervised.core_share - alone.core_share) / PER_S):
                time.sleep(SETTLE_S)
                yield Round(alone, supervised, _measure(desk.gateway, generator, None))


def _measure(
    gateway: RunningGateway, generator: Generator, crowd: Supervisors | None, number: int = 1
) -> Window:
    pids = [*pids_of(gateway), *([crowd.pid] if crowd else [])]
    count = crowd.heard_bytes if crowd else lambda: 0
    heard, core_share, seen = measure(pids, generator, count)
    return Window(core_share, heard / number / SECONDS / 1_000, seen)


def conclude(found: Sequence[Round], calls: int, supervisors: int) -> Table:
    """Return the medians of each kind of window."""
    title = f"{calls} calls, {supervisors} supervised, medians of {len(found)} windows each"
    table = Table(title=title)
    for name in ("", "heard KB/s", "p50 us", "p99 us", "cores", "frames hurt"):
        table.add_column(name, justify="right" if name else "left")
    names = ("nobody listens", "supervisors listen", "a stranger is as busy")
    for name, each in zip(names, zip(*found, strict=True), strict=True):
        table.add_row(
            name,
            f"{median(w.kilobytes for w in each):.1f}",
            f"{median(w.seen.p50_us for w in each):.0f}",
            f"{median(w.seen.p99_us for w in each):.0f}",
            f"{median(w.core_share for w in each):.2f}",
            str(sum(sum(w.seen.faults.values()) for w in each)),
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.supervised", description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS, help=f"calls ({CALLS})")
    parser.add_argument(
        "--supervisors", type=int, default=SUPERVISORS, help=f"who listen ({SUPERVISORS})"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of windows ({ROUNDS})")
    options = parser.parse_args(arguments)
    try:
        compile_library()
    except CompilerMissingError as error:
        print(error)
        return UNABLE_EXIT
    with start_gateway() as gateway:
        key = create_account(gateway.environment, "operators", "--scope", "admin")
        allow_listening(gateway.environment)
        desk = Desk(gateway, key)
        found = list(rounds(desk, options.calls, options.supervisors, options.rounds))
    Console().print(conclude(found, options.calls, options.supervisors))
    return 0


if __name__ == "__main__":
    sys.exit(main())
