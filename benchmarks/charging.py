"""Measures what charging calls costs a node, by process: `python -m benchmarks.charging`.

The gateway's own meter in this process, the drainer and Valkey as processes of their own, an
account in each partition of the spend gate, and calls that constantly begin and end. Then the same
processes without a call. One account, or calls that never end, would hide the work done per
partition. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.metering import HORIZON_S, RATE, opening_of
from benchmarks.process_cost import cpu_ns
from billing.cdr import CallClosed, LegQuality
from billing.meter import CallMeter
from billing.ports import PARTITIONS, Closing, SpendCap, partition_of
from gateway.charging.rounds import Metering
from gateway.roles import storage
from gateway.settings_variables import from_mapping
from gateway.stores.drain_mark import RedisDrainMark
from gateway.stores.opened import Stores

CALLS = 200
CALL_S = 60
"""How long a call lasts: of `CALLS` some three end and begin in a second."""
UNMEASURED_S = 3.0
"""Before anything is measured: tables are made, scripts are sent, statements are compiled."""
START_S_MAX = 60.0
"""How long the drainer may take to start, which gives way to everything else on the machine."""

CPU_MS_MAX = 0.1
"""Of a call and second, in all processes together."""
IDLE_SHARE_MAX = 0.01
"""Of a core, by the drainer while there is nothing to book."""

CREDIT_MICROS = 100_000_000

PROCESSES = ("gateway's meter", "drainer", "Valkey")


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time of the processes, in the order of `PROCESSES`."""

    calls: int
    busy_ms: tuple[float, ...]
    """Of one call and second."""
    idle_share: tuple[float, ...]
    """Of a core, without calls."""
    booked: int
    """Calls that the book of record has in the end, all of them ended."""


class Call:
    """A call that has been answered, as the meter's rounds know it."""

    def __init__(self, account_id: str, meter: CallMeter) -> None:
        self.account_id = account_id
        self.meter = meter

    def caps(self, _now_ns: int) -> Sequence[SpendCap]:
        return ()

    def charged(self, _balance_micros: int | None) -> None:
        pass

    def known_in(self, _filling: str) -> None:
        pass

    def overdue(self) -> None:
        raise RuntimeError("the machine stood still for too long to measure anything")

    # None of these may happen here: a run in which one does has measured something else.
    settled_elsewhere = frozen = reopen = overdue


class Traffic:
    """Calls that begin and end, so that as many as wanted are live."""

    def __init__(self, stores: Stores, metering: Metering) -> None:
        self._stores = stores
        self._metering = metering
        self._accounts = itertools.cycle(_accounts())
        self._numbers = itertools.count()
        self._live: list[Call] = []

    async def open_accounts(self) -> None:
        """Give every account its credit."""
        stores = self._stores
        for account_id in _accounts():
            await stores.accounts.create_account(account_id, "USD")
            sequence = await stores.ledger.add_credit(
                account_id, CREDIT_MICROS, reference=f"grant:{account_id}", kind="grant"
            )
            assert sequence is not None
            await stores.gate.credit(account_id, sequence, CREDIT_MICROS)

    async def begin(self) -> None:
        """Open a call, which is answered and heard at once."""
        call_id, account_id = f"call-{next(self._numbers):07d}", next(self._accounts)
        outcome = await self._stores.gate.open(opening_of(call_id, account_id))
        meter = CallMeter(
            call_id,
            account_id,
            RATE,
            outcome.granted_micros,
            seconds_max=3_600,
            horizon_s=HORIZON_S,
        )
        meter.answered(time.monotonic_ns())
        # Without sound from the phone no second would be owed.
        meter.heard()
        call = Call(account_id, meter)
        self._live.append(call)
        # The gateway's own rounds raise its hold from here on.
        self._metering.add(call)

    async def end(self) -> None:
        """Close the oldest call."""
        call = self._live.pop(0)
        # First, so that no round raises a hold that is being settled.
        self._metering.remove(call)
        seconds, micros = call.meter.final(time.monotonic_ns())
        now = datetime.now(UTC)
        # Both sides spoke: no rule refunds the call.
        heard = LegQuality(frames_in=50 * seconds, frames_out=50 * seconds, talk_ms=400 * seconds)
        detail = CallClosed(
            ringing_at=now,
            answered_at=now,
            ended_at=now,
            seconds=seconds,
            cause=16,
            cause_name="NORMAL_CLEARING",
            ended_by="caller",
            carrier_call_id="CA1",
            carrier_seconds=60,
            browser=heard,
            carrier=heard,
        )
        await self._stores.gate.close(
            Closing(
                call.meter.call_id,
                call.account_id,
                micros,
                seconds,
                detail=msgspec.json.encode(detail),
            )
        )

    async def pass_seconds(self, seconds: float) -> None:
        """End calls and begin others, evenly, for this many seconds."""
        pause_s = CALL_S / len(self._live)
        # Ends are due at times counted from the start: one that takes long does not delay the
        # others.
        end_s = time.monotonic() + seconds
        due_s = time.monotonic() + pause_s
        while due_s < end_s:
            await asyncio.sleep(due_s - time.monotonic())
            await self.end()
            await self.begin()
            due_s += pause_s
        await asyncio.sleep(max(0.0, end_s - time.monotonic()))

    async def end_all(self) -> None:
        """Close every call."""
        while self._live:
            await self.end()


def _accounts() -> Iterator[str]:
    """Yield an account for each partition."""
    wanted = set(range(PARTITIONS))
    # Names are tried until each partition has one: the partition follows from a hash.
    for account_id in map("account-{:06d}".format, itertools.count()):
        if not wanted:
            return
        if partition_of(account_id) in wanted:
            wanted.remove(partition_of(account_id))
            yield account_id


@asynccontextmanager
async def _draining(environ: dict[str, str]) -> AsyncIterator[int]:
    """Run the drainer; yield its process id."""
    # As an operator starts it; it reads the same settings, and so the same stores.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        "drain",
        env={**os.environ, **environ},
        cwd=Path(__file__).parents[1],
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


async def _first_draining(stores: Stores) -> None:
    mark = RedisDrainMark(stores.redis)
    async with asyncio.timeout(START_S_MAX):
        # Only a draining to the end leaves the mark.
        while await mark.age_s() is None:
            await asyncio.sleep(0.1)


async def _cpu_s(drainer: int, redis: object) -> tuple[float, ...]:
    used = await redis.info("cpu")  # type: ignore[attr-defined]
    server_s = used["used_cpu_user"] + used["used_cpu_sys"]
    # In the order of `PROCESSES`. This process runs the meter and little else.
    return (time.process_time(), cpu_ns(drainer) / 1e9, server_s)


async def measure(calls_count: int, seconds: float, database_url: str = "") -> Cost:
    """Charge this many calls for `seconds`, then none for as long."""
    with tempfile.TemporaryDirectory(prefix="caller-") as folder:
        environ = {"CALLER_DATA_DIR": folder, "CALLER_DATABASE_URL": database_url}
        stores = await storage.open_stores(from_mapping(environ))
        metering = Metering(stores.gate, time.monotonic_ns)
        traffic = Traffic(stores, metering)
        try:
            await traffic.open_accounts()
            async with _draining(environ) as drainer:
                await _first_draining(stores)
                metering.start()
                for _ in range(calls_count):
                    await traffic.begin()
                # What a process does once must not be divided among the calls.
                await traffic.pass_seconds(UNMEASURED_S)
                before = await _cpu_s(drainer, stores.redis)
                await traffic.pass_seconds(seconds)
                busy = await _cpu_s(drainer, stores.redis)
                await traffic.end_all()
                # The drainer first books the ends of all calls.
                await asyncio.sleep(UNMEASURED_S)
                quiet = await _cpu_s(drainer, stores.redis)
                await asyncio.sleep(seconds)
                after = await _cpu_s(drainer, stores.redis)
                await metering.stop()
            booked = await _booked(stores)
        finally:
            await stores.close()
    return Cost(
        calls=calls_count,
        busy_ms=tuple(
            1e3 * (b - a) / (calls_count * seconds) for a, b in zip(before, busy, strict=True)
        ),
        idle_share=tuple((b - a) / seconds for a, b in zip(quiet, after, strict=True)),
        booked=booked,
    )


async def _booked(stores: Stores) -> int:
    # A drainer that has not kept up would look cheap.
    assert not await stores.gate.outbox_length()
    pages = [await stores.records.page(account_id, limit=500) for account_id in _accounts()]
    records = [record for page in pages for record in page]
    assert all(record.closed for record in records)
    return len(records)


def report(cost: Cost) -> dict[str, object]:
    """Print what was measured; return it as it is kept in the history."""
    table = Table(
        "process",
        "ms a call-second",
        "idle, % of a core",
        title=f"Charging {cost.calls} calls of {PARTITIONS} accounts, each in its own partition",
    )
    for name, busy_ms, share in zip(PROCESSES, cost.busy_ms, cost.idle_share, strict=True):
        table.add_row(name, f"{busy_ms:.4f}", f"{100 * share:.2f}")
    total_ms = sum(cost.busy_ms)
    table.add_row("all", f"{total_ms:.4f}", f"{100 * sum(cost.idle_share):.2f}")
    console = Console(width=110)
    console.print(table)
    drainer_share = cost.idle_share[PROCESSES.index("drainer")]
    for what, value, most in (
        (f"ms a call-second at {cost.calls} calls", total_ms, CPU_MS_MAX),
        ("share of a core that the idle drainer takes", drainer_share, IDLE_SHARE_MAX),
    ):
        verdict = "kept" if value <= most else "MISSED"
        console.print(f"{verdict:<8}{what}: {value:.4f} ({most})")
    return {
        "calls": cost.calls,
        "busy_ms": dict(zip(PROCESSES, (round(ms, 4) for ms in cost.busy_ms), strict=True)),
        "idle_share": dict(zip(PROCESSES, (round(s, 5) for s in cost.idle_share), strict=True)),
        "booked": cost.booked,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long to measure")
    parser.add_argument("--database", default="", help="a PostgreSQL URL; SQLite otherwise")
    options = parser.parse_args()
    report(uvloop.run(measure(options.calls, options.seconds, options.database)))


if __name__ == "__main__":
    main()
