"""What a second of metering costs, in Valkey's CPU and in ours: `python -m benchmarks.metering`.

Runs the gateway's own spend gate on a Valkey of its own, as the gateway runs it: one script per
partition and second for all its calls. Beside it, one script per call, all in flight at once.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from billing.partition import PARTITIONS
from billing.ports import Opening, PartitionState, Tick
from billing.rating import Rate
from billing.stores.redis import RedisSpendGate, connect, disconnect
from gateway.stores.embedded import EmbeddedValkey

RATE = Rate(per_minute_micros=13_000)
HORIZON_S = 8
GROUP = 8
"""Partitions sent at once: an eighth of them, as the gateway spreads them over a second."""

OPENED_AT_ONCE = 200

Round = Callable[[RedisSpendGate, dict[int, list[Tick]]], Awaitable[None]]


@dataclass(frozen=True)
class Cost:
    """Of one call and second."""

    server_us: float
    client_us: float
    round_ms: float
    """Median time of a whole round."""
    aof_bytes: float


async def batched(gate: RedisSpendGate, ticks: dict[int, list[Tick]]) -> None:
    """Send one script per partition, a group of partitions at a time."""
    for group in range(0, PARTITIONS, GROUP):
        partitions = [p for p in range(group, group + GROUP) if p in ticks]
        await asyncio.gather(*(gate.tick(p, ticks[p]) for p in partitions))


async def one_by_one(gate: RedisSpendGate, ticks: dict[int, list[Tick]]) -> None:
    """Send one script per call."""
    calls = ((p, tick) for p, claims in ticks.items() for tick in claims)
    await asyncio.gather(*(gate.tick(partition, [tick]) for partition, tick in calls))


async def measure(client: Redis, calls_count: int, rounds: int, play: Round) -> Cost:
    """Open calls, let them run for `rounds` seconds, and see what each second took."""
    await client.flushall()
    gate = RedisSpendGate(client, timeout_s=60)
    calls = await open_calls(gate, calls_count)
    await play(gate, claims(gate, calls, 1))  # the first round still sends the script itself
    before = await usage(client)
    client_s, times_ms = 0.0, []
    for second in range(2, rounds + 2):
        ticks = claims(gate, calls, second)
        started, started_cpu = time.perf_counter(), time.process_time()
        await play(gate, ticks)
        client_s += time.process_time() - started_cpu
        times_ms.append((time.perf_counter() - started) * 1e3)
    after = await usage(client)
    per_call = calls_count * rounds
    return Cost(
        server_us=(after[0] - before[0]) * 1e6 / per_call,
        client_us=client_s * 1e6 / per_call,
        round_ms=statistics.median(times_ms),
        aof_bytes=(after[1] - before[1]) / per_call,
    )


async def open_calls(gate: RedisSpendGate, count: int) -> list[tuple[str, str]]:
    """Open calls, two for each account; return their ids and accounts."""
    for partition in range(PARTITIONS):
        await gate.rebuild(partition, PartitionState())
    calls = [(f"call-{n:07d}", f"account-{n // 2:06d}") for n in range(count)]
    for start in range(0, count, OPENED_AT_ONCE):
        chunk = calls[start : start + OPENED_AT_ONCE]
        await asyncio.gather(*(open_call(gate, *call) for call in chunk))
    return calls


async def open_call(gate: RedisSpendGate, call_id: str, account_id: str) -> None:
    await gate.credit(account_id, 1, 100_000_000)
    want = RATE.cost(HORIZON_S)
    outcome = await gate.open(Opening(call_id, account_id, "n1", 1, want, 50, b"{}"))
    assert outcome.granted_micros == want


def claims(
    gate: RedisSpendGate, calls: list[tuple[str, str]], second: int
) -> dict[int, list[Tick]]:
    """Return all calls' ticks at one second, by partition."""
    ticks: dict[int, list[Tick]] = {}
    want = RATE.cost(second + HORIZON_S)
    for call_id, account_id in calls:
        partition = gate.partition(account_id)
        ticks.setdefault(partition, []).append(Tick(call_id, account_id, want, second))
    return ticks


async def usage(client: Redis) -> tuple[float, int]:
    """Return the server's CPU seconds so far, and the bytes of its append-only file."""
    cpu = await client.info("cpu")
    persistence = await client.info("persistence")
    return cpu["used_cpu_user"] + cpu["used_cpu_sys"], persistence["aof_current_size"]


async def run(counts: list[int], rounds: int) -> None:
    table = Table("calls", "scripts", "Valkey µs", "gateway µs", "round ms", "AOF bytes")
    table.title = "Per call and second (64 partitions, AOF everysec)"
    with tempfile.TemporaryDirectory(prefix="caller-") as folder:
        valkey = EmbeddedValkey(Path(folder))
        client = connect(await valkey.start())
        assert isinstance(client, Redis)
        try:
            for count, play in itertools.product(counts, (batched, one_by_one)):
                seconds = rounds if count <= 1_000 else max(2, rounds // 4)
                cost = await measure(client, count, seconds, play)
                table.add_row(
                    *(f"{count:,}", play.__name__.replace("_", " ")),
                    *(f"{cost.server_us:.1f}", f"{cost.client_us:.1f}"),
                    *(f"{cost.round_ms:.1f}", f"{cost.aof_bytes:.0f}"),
                )
        finally:
            await disconnect(client)
            await valkey.stop()
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--rounds", type=int, default=12, help="seconds of metering to play")
    options = parser.parse_args()
    uvloop.run(run(options.calls, options.rounds))


if __name__ == "__main__":
    main()
