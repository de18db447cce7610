"""Measures live calls on many screens: `python -m benchmarks.watching`.

A process of the pages alone is told of a thousand calls as nodes tell it, and serves viewers. Found
are how late a change of a call is on a screen, and what a viewer costs; beside it, in the same run,
what the same texts cost with Starlette's own streams. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import re
import resource
import selectors
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import quantiles

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks import loopback
from benchmarks.peers.gateway import RunningGateway, create_account, start_gateway
from benchmarks.peers.peer import server_process
from benchmarks.process_cost import resident_bytes, total_cpu_ns
from benchmarks.spawned import Spawned
from billing.stores.redis_client import connect, disconnect
from gateway.watching.rows import Batch, CallRow, Sound, encode
from gateway.watching.watch_channel import RedisWatchChannel

CALLS = 1_000
VIEWERS = 1_000
SECONDS = 10.0
SETTLE_S = 5.0
CHANGES_PER_S = 10
"""Calls that end, each replaced by another."""
BATCHES_PER_S = 5
TEXT_BYTES = 4_000
"""Of a text of the peer: about as long as those of the gateway."""
LATE_MS_MAX, MICROS_MAX, KILOBYTES_MAX = 1_000, 25, 4
NODE = "played"
_STAMP = re.compile(rb"played-(\d+)")


@dataclass(frozen=True, slots=True)
class Found:
    """What a server's viewers cost, and when they saw what."""

    core_share: float
    events: int
    kilobytes: float
    """Of memory, a viewer."""
    late_ms: Sequence[float]

    @property
    def micros(self) -> float:
        """Of CPU, for each viewer and event."""
        return self.core_share * SECONDS * 1e6 / max(1, self.events)


class Screens(Spawned):
    """Viewers in a process of their own, which read and count, and note when changes come."""

    def __init__(self, port: int, path: str, key: str, count: int) -> None:
        super().__init__(_view, port, path, key, count)

    def count(self) -> tuple[int, list[float]]:
        """Return how many events have come since it was asked last, and how late changes were."""
        events, late_ms = self.ask()
        return events, late_ms


def _view(pipe: Connection, port: int, path: str, key: str, count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * count)), hard))
    selector = selectors.DefaultSelector()
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    for number in range(count):
        viewer = socket.create_connection((loopback.HOST, port))
        viewer.sendall(head)
        selector.register(viewer, selectors.EVENT_READ, number)
        if number % 50 == 0:
            time.sleep(0.05)
    selector.register(pipe, selectors.EVENT_READ, -1)
    pipe.send(None)
    events, late_ms = 0, list[float]()
    while True:
        for key_of, _ in selector.select():
            if key_of.data == -1:
                pipe.recv()
                pipe.send((events, late_ms))
                events, late_ms = 0, list[float]()
                continue
            text = key_of.fileobj.recv(1 << 18)  # type: ignore[union-attr]
            events += text.count(b"event: ")
            # A tenth looks at what it reads: the rest would only take the servers' time.
            if key_of.data % 10 == 0:
                now_ns = time.monotonic_ns()
                late_ms += [(now_ns - int(at)) / 1e6 for at in set(_STAMP.findall(text))]


class PlayedNode:
    """Says of calls what a node says."""

    def __init__(self, url: str, count: int) -> None:
        self._url = url
        self._rows = [self._row(f"call-{number}", "answered") for number in range(count)]

    @staticmethod
    def _row(call_id: str, state: str) -> CallRow:
        now = datetime.now(UTC)
        given = {
            "node": NODE,
            "account_id": "somebody",
            "key_id": "k",
            "origin": "",
            "country": "US",
        }
        times = {
            "created_at": now,
            "answered_at": now,
            "currency": "USD",
            "mos": 4.2,
            "rtt_ms": 40.0,
        }
        row = {"id": call_id, "state": state, "destination": "+15005551000", **given, **times}
        return msgspec.convert(row, CallRow)

    async def run(self) -> None:
        """Speak of a part of the calls at a time, of each once a second; some change."""
        redis = connect(self._url)
        channel = RedisWatchChannel(redis)
        try:
            for tick in range(sys.maxsize):
                due = time.monotonic() + 1 / BATCHES_PER_S
                some = self._rows[tick % BATCHES_PER_S :: BATCHES_PER_S]
                stamp = time.monotonic_ns()
                changed = [
                    self._row(f"{NODE}-{stamp + each}", "ended")
                    for each in range(CHANGES_PER_S // BATCHES_PER_S)
                ]
                sounds = {row.id: Sound(-30, -40, 20) for row in some}
                batch = Batch(node=NODE, calls=[*some, *changed], sounds=sounds)
                await channel.publish(encode(batch))
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        finally:
            await disconnect(redis)


def _play(url: str, count: int) -> None:
    asyncio.run(PlayedNode(url, count).run())


@contextlib.contextmanager
def played(url: str, count: int) -> Iterator[None]:
    """Let a node of so many calls speak, from a process of its own."""
    process = get_context("spawn").Process(target=_play, args=(url, count), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def measure(port: int, path: str, key: str, count: int, pid: int) -> tuple[Found, float]:
    """Measure a server with so many viewers; return that, and the bytes of a text."""
    before = resident_bytes(pid)
    idle_ns, begun = total_cpu_ns([pid]), time.monotonic()
    time.sleep(SETTLE_S)
    idle = (total_cpu_ns([pid]) - idle_ns) / 1e9 / (time.monotonic() - begun)
    screens = Screens(port, path, key, count)
    try:
        time.sleep(SETTLE_S)
        kilobytes = (resident_bytes(pid) - before) / count / 1024
        screens.count()
        cpu_ns, begun = total_cpu_ns([pid]), time.monotonic()
        time.sleep(SECONDS)
        share = (total_cpu_ns([pid]) - cpu_ns) / 1e9 / (time.monotonic() - begun)
        events, late_ms = screens.count()
    finally:
        screens.close()
    return Found(share - idle, events, kilobytes, late_ms), idle


def conclude(ours: Found, peer: Found, idle: float, calls: int, viewers: int) -> Table:
    """Return what was found, beside what it is measured by."""
    table = Table(title=f"{calls} calls, {viewers} viewers, {SECONDS:.0f} s")
    for name in (
        "",
        "events/s each",
        "us per viewer and event",
        "KB a viewer",
        "late ms p50",
        "p95",
    ):
        table.add_column(name, justify="right" if name else "left")
    for name, found in (("gateway", ours), ("Starlette", peer)):
        late = quantiles(found.late_ms, n=20) if len(found.late_ms) > 1 else [float("nan")] * 19
        each = found.events / SECONDS / viewers
        figures = (each, found.micros, found.kilobytes, late[9], late[18])
        table.add_row(name, *(f"{figure:.1f}" for figure in figures))
    p95 = quantiles(ours.late_ms, n=20)[18] if len(ours.late_ms) > 1 else float("inf")
    verdicts = [
        f"{what} {figure:.1f} (at most {most}: {'reached' if figure <= most else 'MISSED'})"
        for what, figure, most in (
            ("late ms, p95", p95, LATE_MS_MAX),
            ("us per viewer and event", ours.micros, MICROS_MAX),
            ("KB a viewer", ours.kilobytes, KILOBYTES_MAX),
        )
    ]
    ratio = ours.micros / peer.micros if peer.micros else float("nan")
    table.caption = (
        "; ".join(verdicts) + f". {ratio:.2f} of Starlette's CPU. Following the calls alone takes"
        f" {idle:.3f} of a core."
    )
    return table


def _measure_ours(gateway: RunningGateway, calls: int, viewers: int) -> tuple[Found, float]:
    environment = gateway.environment
    key = create_account(environment, "operators", "--scope", "admin")
    with played(environment["CALLER_REDIS_URL"], calls):
        time.sleep(SETTLE_S)
        pid = gateway.others["web"]
        return measure(gateway.pages_port, "/v1/admin/live-feed", key, viewers, pid)


def _measure_peer(viewers: int) -> Found:
    port = loopback.free_port()
    command = [sys.executable, "-m", "benchmarks.peers.starlette_feed", str(port), str(TEXT_BYTES)]
    with server_process(command) as process:
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(loopback.HOST, port, timeout=1)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == http.client.OK:
                    break
            time.sleep(0.05)
        return measure(port, "/feed", "none", viewers, process.pid)[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watching", description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS, help=f"live calls ({CALLS})")
    parser.add_argument("--viewers", type=int, default=VIEWERS, help=f"viewers ({VIEWERS})")
    options = parser.parse_args(arguments)
    with start_gateway(apart=True) as gateway:
        ours, idle = _measure_ours(gateway, options.calls, options.viewers)
    peer = _measure_peer(options.viewers)
    Console().print(conclude(ours, peer, idle, options.calls, options.viewers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
