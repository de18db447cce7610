"""Measures what WebRTC calls leave in memory: `python -m benchmarks.webrtc_cycles`.

Browsers connect to the gateway's WebRTC leg, talk and hang up, one after another, while the
server's memory is read. What it still holds after the last call counts as growth.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from benchmarks import installed, loopback
from benchmarks.browsers import Browser, new_voice
from benchmarks.dial import DialError
from benchmarks.peers.offers import Offers
from benchmarks.peers.peer import server_process
from benchmarks.process_cost import resident_bytes
from benchmarks.report import Limit, limit_line

FIRST_CYCLES = 100
"""After which the process has everything that it makes but once."""
GROWTH_MB_MAX = 5
TALK_PACKETS = 10
TALK_S_MAX = 5.0
MB = 1 << 20


def talk(browser: Browser) -> None:
    """Say something and hear it come back.

    Raises:
        DialError: it did not.
    """
    for _ in range(TALK_PACKETS):
        browser.send(time.monotonic_ns())
    deadline = time.monotonic() + TALK_S_MAX
    # Spins: the socket does not block, and there is nothing else to do.
    while browser.voice.tally.received < TALK_PACKETS:
        if time.monotonic() > deadline:
            raise DialError("what was said did not come back")
        browser.receive(time.monotonic_ns())


def cycle(index: int, exchange: Callable[[str], str]) -> None:
    """Connect, talk and hang up."""
    browser = Browser(new_voice(index))
    with closing(browser):
        browser.connect(exchange(browser.offer()))
        talk(browser)
        browser.hang_up()


def measure(cycles: int, report_every: int) -> list[tuple[int, int]]:
    """Return (cycles, resident bytes of the server), read every `report_every` cycles."""
    seen = []
    # Listening before the server starts: to connect can then not come too early.
    with loopback.listen() as listener:
        fd = listener.fileno()
        with (
            server_process(
                [sys.executable, "-m", "benchmarks.peers.webrtc_leg", str(fd)],
                pass_fds=[fd],
                environment=installed.environment(),
            ) as process,
            closing(Offers(loopback.connect(loopback.port_of(listener)))) as offers,
        ):
            for index in range(1, cycles + 1):
                cycle(index, offers.exchange)
                if index % report_every == 0:
                    seen.append((index, resident_bytes(process.pid)))
    return seen


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webrtc_cycles", description=__doc__)
    parser.add_argument("--cycles", type=int, default=800, help="calls, one after another (800)")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    seen = measure(options.cycles, FIRST_CYCLES)
    elapsed_s = time.monotonic() - started
    for index, size_bytes in seen:
        print(f"{index:>6} cycles{size_bytes / MB:>9.1f} MB")
    print(f"{elapsed_s / options.cycles * 1000:.1f} ms a cycle")
    # From the first reading on: what a process makes once is in it already.
    growth_mb = (seen[-1][1] - seen[0][1]) / MB
    limit = Limit(f"RSS growth after the first {FIRST_CYCLES} cycles, MB", growth_mb, GROWTH_MB_MAX)
    print(limit_line(limit))
    return 0 if limit.kept else 1


if __name__ == "__main__":
    sys.exit(main())
