"""Measures the time from a click to the carrier: `python -m benchmarks.set_up`.

From the request for a call token to the carrier's receipt of the order to call: token, media
socket, start, hold and REST request, including the client's own work and the carrier's. Beside it,
the time of two bare requests to the gateway.
"""

from __future__ import annotations

import argparse
import statistics
import time

from benchmarks.peers.gateway import RunningGateway, start_gateway


def _click_ms(gateway: RunningGateway, index: int) -> float:
    started_ns = time.monotonic_ns()
    call = gateway.dial(index)
    # Only what comes before is timed; the gateway ends a call whose sockets are gone.
    call.browser.close()
    call.carrier.close()
    return (call.placed_ns - started_ns) / 1e6


def _bare_ms(gateway: RunningGateway) -> float:
    started_ns = time.monotonic_ns()
    for _ in range(2):
        gateway.api.request("GET", "/healthz")
        # Read to its end, or the connection could not carry the next request.
        gateway.api.getresponse().read()
    return (time.monotonic_ns() - started_ns) / 1e6


def _line(name: str, values_ms: list[float]) -> str:
    p99_ms = sorted(values_ms)[len(values_ms) * 99 // 100]
    return f"{name:<24}{statistics.median(values_ms):>8.1f}{p99_ms:>8.1f}{max(values_ms):>8.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100, help="dialled one after another (100)")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two (0.1)")
    options = parser.parse_args()
    clicks_ms, bare_ms = [], []
    with start_gateway() as gateway:
        for index in range(options.calls):
            clicks_ms.append(_click_ms(gateway, index))
            time.sleep(options.pause)
            # In turns with the clicks, so that both meet the same noise.
            bare_ms.append(_bare_ms(gateway))
    print(f"{'ms':<24}{'median':>8}{'p99':>8}{'worst':>8}")
    print(_line("click to carrier", clicks_ms))
    print(_line("two bare requests", bare_ms))
    # By itself: it pays for what a process does once.
    print(f"the first of the process {clicks_ms[0]:>7.1f}")


if __name__ == "__main__":
    main()
