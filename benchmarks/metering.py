"""Measures the cost of metering: `python -m benchmarks.metering`, and a part of `make bench`.

Runs the gateway's own spend gate on a Valkey of its own, as the gateway does: one script per
partition and second for all its calls, eight partitions in one request. Beside it, as the peer, one
script per call, all in flight at once. Then the drainer into SQLite, and the price of a second.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
import timeit
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import uvloop
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from billing.cdr import CallOpened
from billing.drain import Drainer
from billing.ports import PARTITIONS, Opening, PartitionState, Tick
from billing.rating import Rate
from billing.stores import tables
from billing.stores.redis import RedisSpendGate, connect, disconnect
from billing.stores.sql import SqlLedgerStore
from database.engine import create_engine
from database.migrations import migrate
from gateway.stores.embedded import EmbeddedValkey

RATE = Rate(per_minute_micros=13_000)
HORIZON_S = 8
GROUP = 8
"""Partitions sent at once: an eighth of them, as the gateway spreads them over a second."""

OPENED_AT_ONCE = 200
BLOCK_PROBE_S = 0.0001

LIMIT_CALLS = 1_000
SERVER_US_MAX = 8.0
CLIENT_US_MAX = 3.0
BLOCK_MS_MAX = 0.3

Round = Callable[[RedisSpendGate, dict[int, list[Tick]]], Awaitable[None]]


@dataclass(frozen=True)
class Cost:
    """Costs per call and second."""

    calls: int
    scripts: str
    server_us: float
    client_us: float
    round_p50_ms: float
    round_p99_ms: float
    """Of a group of partitions, from request to answer."""
    block_ms: float
    """Longest that the event loop was held by the work of one group: the median of the rounds, as
    the machine's own pauses come on top."""
    aof_bytes: float


async def batched(gate: RedisSpendGate, ticks: dict[int, list[Tick]]) -> None:
    """Send one script per partition."""
    await gate.tick_all(ticks)


async def one_by_one(gate: RedisSpendGate, ticks: dict[int, list[Tick]]) -> None:
    """Send one script per call."""
    calls = ((p, tick) for p, claims in ticks.items() for tick in claims)
    await asyncio.gather(*(gate.tick(partition, [tick]) for partition, tick in calls))


class LoopProbe:
    """Measures how long the event loop is held, by calling itself back without a pause."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._last = 0.0
        self._handle: asyncio.Handle | None = None

    def start(self) -> None:
        self._last = time.perf_counter()
        self._handle = asyncio.get_running_loop().call_soon(self._seen)

    def stop(self) -> float:
        """Return the longest seconds between two looks."""
        if self._handle is not None:
            self._handle.cancel()
        longest_s, self.longest_s = self.longest_s, 0.0
        return longest_s

    def _seen(self) -> None:
        now = time.perf_counter()
        self.longest_s = max(self.longest_s, now - self._last)
        self._last = now
        self._handle = asyncio.get_running_loop().call_soon(self._seen)


async def measure(client: Redis, calls_count: int, rounds: int, play: Round) -> Cost:
    """Open calls, let them run for `rounds` seconds, and see what each second took."""
    # Each load starts from an empty server.
    await client.flushall()
    gate = RedisSpendGate(client, timeout_s=60)
    calls = await open_calls(gate, calls_count)
    for group in groups(claims(gate, calls, 1)):
        await play(gate, group)  # the first round still sends the script itself
    # The server's own figures: this process shares the machine with it.
    before = await usage(client)
    client_s, times_ms = 0.0, []
    for second in range(2, rounds + 2):
        for group in groups(claims(gate, calls, second)):
            # CPU for the client's cost, elapsed time for the round: the client waits in between.
            started, started_cpu = time.perf_counter(), time.process_time()
            await play(gate, group)
            client_s += time.process_time() - started_cpu
            times_ms.append((time.perf_counter() - started) * 1e3)
    after = await usage(client)
    # In seconds of their own: the probe would add its CPU to the client's cost.
    blocks_s = [await longest_block_s(gate, calls, rounds + 2 + n, play) for n in range(5)]
    per_call = calls_count * rounds
    return Cost(
        calls=calls_count,
        scripts=play.__name__.replace("_", " "),
        server_us=(after[0] - before[0]) * 1e6 / per_call,
        client_us=client_s * 1e6 / per_call,
        round_p50_ms=statistics.median(times_ms),
        round_p99_ms=sorted(times_ms)[len(times_ms) * 99 // 100],
        block_ms=statistics.median(blocks_s) * 1e3,
        aof_bytes=(after[1] - before[1]) / per_call,
    )


async def longest_block_s(
    gate: RedisSpendGate, calls: list[tuple[str, str]], second: int, play: Round
) -> float:
    """Play one more second, with the probe beside it, which costs CPU of its own."""
    probe, longest_s = LoopProbe(), 0.0
    for group in groups(claims(gate, calls, second)):
        probe.start()
        await play(gate, group)
        longest_s = max(longest_s, probe.stop())
    return longest_s


def groups(ticks: dict[int, list[Tick]]) -> list[dict[int, list[Tick]]]:
    """Return the groups of partitions in which the gateway sends a second."""
    every = [
        {p: ticks[p] for p in range(first, first + GROUP) if p in ticks}
        for first in range(0, PARTITIONS, GROUP)
    ]
    return [group for group in every if group]


async def open_calls(gate: RedisSpendGate, count: int) -> list[tuple[str, str]]:
    """Open calls, two for each account; return their ids and accounts."""
    for partition in range(PARTITIONS):
        await gate.rebuild(partition, PartitionState())
    # Two calls share an account, so that claims on one balance meet.
    calls = [(f"call-{n:07d}", f"account-{n // 2:06d}") for n in range(count)]
    for start in range(0, count, OPENED_AT_ONCE):
        chunk = calls[start : start + OPENED_AT_ONCE]
        await asyncio.gather(*(open_call(gate, *call) for call in chunk))
    return calls


def opening_of(call_id: str, account_id: str) -> Opening:
    """Return what opens a call that holds its horizon."""
    detail = CallOpened(
        call_id=call_id,
        account_id=account_id,
        node="n1",
        destination="+15005551000",
        country="",
        codec="pcmu",
        origin="",
        currency="USD",
        rate=RATE.to_json(),
        created_at=datetime.now(UTC),
    )
    return Opening(
        call_id,
        account_id,
        "n1",
        1,
        RATE.cost(HORIZON_S),
        50,
        msgspec.json.encode(detail),
        per_minute_micros=RATE.per_minute_micros,
    )


async def open_call(gate: RedisSpendGate, call_id: str, account_id: str) -> None:
    await gate.credit(account_id, 1, 100_000_000)
    opening = opening_of(call_id, account_id)
    outcome = await gate.open(opening)
    # A call that was refused would make every round after it cheaper.
    assert outcome.granted_micros == opening.want_micros


def claims(
    gate: RedisSpendGate, calls: list[tuple[str, str]], second: int
) -> dict[int, list[Tick]]:
    """Return all calls' ticks at one second, by partition."""
    ticks: dict[int, list[Tick]] = {}
    # As the meter claims: what has passed, and the horizon ahead.
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


async def measure_drain(client: Redis, folder: Path, calls_count: int) -> float:
    """Return the CPU microseconds that the drainer takes per opened call, into SQLite."""
    await client.flushall()
    gate = RedisSpendGate(client, timeout_s=60)
    engine = create_engine(f"sqlite:///{folder / 'benchmark.db'}")
    try:
        await migrate(engine)
        ledger = SqlLedgerStore(engine)
        await open_calls(gate, calls_count)
        now = datetime.now(UTC)
        accounts = [tables.new_account(f"account-{n:06d}", "USD", now) for n in range(calls_count)]
        # The drainer books calls of accounts that the book knows.
        async with engine.begin() as connection:
            await connection.execute(tables.accounts.insert(), accounts)
        drainer = Drainer(gate, ledger, PARTITIONS)
        started = time.process_time()
        booked = await drainer.drain_once()
        return (time.process_time() - started) * 1e6 / booked
    finally:
        await engine.dispose()


def rating_us() -> float:
    """Return the microseconds that the price of a duration takes."""
    # With increments and a fee, so that each part of a price is computed.
    rate = Rate(per_minute_micros=13_000, first_s=60, next_s=6, connect_fee_micros=5_000)
    calls = 20_000
    return min(timeit.repeat(lambda: rate.cost(4_321), number=calls, repeat=5)) * 1e6 / calls


async def measure_all(counts: Sequence[int], rounds: int) -> tuple[list[Cost], float]:
    """Return the costs of metering, and the drainer's microseconds per row."""
    costs = []
    with tempfile.TemporaryDirectory(prefix="caller-") as folder:
        valkey = EmbeddedValkey(Path(folder) / "valkey")
        client = connect(await valkey.start())
        assert isinstance(client, Redis)
        try:
            # The two ways one after the other at each load, so that they meet the same noise.
            for count, play in itertools.product(counts, (batched, one_by_one)):
                # Large loads take long for each second, and need fewer of them for a stable mean.
                seconds = rounds if count <= LIMIT_CALLS else max(2, rounds // 4)
                costs.append(await measure(client, count, seconds, play))
            drain_us = await measure_drain(client, Path(folder), LIMIT_CALLS)
        finally:
            await disconnect(client)
            await valkey.stop()
    return costs, drain_us


def report(costs: Sequence[Cost], drain_us: float) -> dict[str, object]:
    """Print what was measured; return it as it is kept in the history."""
    table = Table(
        "calls",
        "scripts",
        "Valkey µs",
        "gateway µs",
        "group p50 ms",
        "p99 ms",
        "loop held ms",
        "AOF bytes",
        title="Metering, per call and second (64 partitions, AOF everysec)",
    )
    for cost in costs:
        table.add_row(
            f"{cost.calls:,}",
            cost.scripts,
            f"{cost.server_us:.1f}",
            f"{cost.client_us:.1f}",
            f"{cost.round_p50_ms:.1f}",
            f"{cost.round_p99_ms:.1f}",
            f"{cost.block_ms:.2f}",
            f"{cost.aof_bytes:.0f}",
        )
    console = Console(width=110)
    console.print(table)
    price_us = rating_us()
    console.print(
        f"Drainer: {drain_us:.0f} µs a row into SQLite. Rating: {price_us:.2f} µs a price."
    )
    for cost in costs:
        # Limits hold for the gateway's own way only.
        if cost.calls == LIMIT_CALLS and cost.scripts == "batched":
            for what, value, most in (
                ("Valkey µs", cost.server_us, SERVER_US_MAX),
                ("gateway µs", cost.client_us, CLIENT_US_MAX),
                ("loop held ms", cost.block_ms, BLOCK_MS_MAX),
            ):
                verdict = "kept" if value <= most else "MISSED"
                console.print(f"{verdict:<8}{what} at {cost.calls:,} calls: {value:.2f} ({most})")
    return {
        "costs": [msgspec.to_builtins(cost) for cost in costs],
        "drain_us": round(drain_us, 1),
        "rating_us": round(price_us, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--rounds", type=int, default=12, help="seconds of metering to play")
    options = parser.parse_args()
    report(*uvloop.run(measure_all(options.calls, options.rounds)))


if __name__ == "__main__":
    main()
