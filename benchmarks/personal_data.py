"""Measures the export of an account with many calls, and the forgetting of a million.

`python -m benchmarks.personal_data [URL]`: on SQLite in a temporary folder, or on the database of
the URL, which must be empty. Prints seconds, the longest transaction and the most memory.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.holder import Holder
from accounts.stores import holders
from billing.clock import utc_now
from billing.rating import Rate
from billing.stores import tables
from database.engine import create_engine
from database.migrations import migrate
from gateway.data_map import KINDS
from gateway.people.export_store import SqlExports
from gateway.personal_data.retention import SqlRetention
from gateway.personal_data.rows import SqlPersonalRows
from gateway.privacy.export_maker import ExportMaker

EXPORTED = 100_000
FORGOTTEN = 1_000_000
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


async def fill(url: str, exported: int, forgotten: int) -> None:
    """Make a book with both accounts."""
    engine = create_engine(url)
    await migrate(engine)
    await add_account(engine, "many")
    await add_account(engine, "old")
    await add_calls(engine, "many", exported, NOW - timedelta(days=30))
    await add_calls(engine, "old", forgotten, NOW - timedelta(days=500))
    await engine.dispose()


async def measure(url: str, exported: int) -> None:
    """Measure both."""
    engine = create_engine(url)
    await export(engine, exported)
    await forget(engine)
    await engine.dispose()


async def export(engine: AsyncEngine, calls: int) -> None:
    store = SqlExports(engine)
    await store.ask("many", 1, "e1", "0" * 64)

    async def no_sessions(_account_id: str) -> list[dict[str, str]]:
        return []

    maker = ExportMaker(
        store,
        SqlPersonalRows(engine),
        no_sessions,
        asyncio.to_thread,
        utc_now,
        "Caller",
        "http://127.0.0.1",
    )
    before_kb = memory_kb()
    begun_s, used_s = time.perf_counter(), time.process_time()
    await maker.round()
    passed_s, used_s = time.perf_counter() - begun_s, time.process_time() - used_s
    (made,) = await store.of_account("many")
    rows = sum(1 for kind in KINDS if kind.is_exported)
    print(
        f"export: {calls:,} calls, {rows} kinds, {made.state}: {passed_s:.1f} s"
        f" ({used_s:.1f} s of a core), {made.size_bytes / 1e6:.1f} MB,"
        f" peak {memory_kb() / 1024:.0f} MB (before: {before_kb / 1024:.0f} MB)"
    )


async def forget(engine: AsyncEngine) -> None:
    retention = SqlRetention(engine, clock=lambda: NOW)
    begun_s, durations_s, count, is_more = time.perf_counter(), list[float](), 0, True
    while is_more:
        at_s = time.perf_counter()
        forgotten, is_more = await retention.sweep("calls")
        durations_s.append(time.perf_counter() - at_s)
        count += forgotten
    durations_s.sort()
    print(
        f"retention: {count:,} calls: {time.perf_counter() - begun_s:.0f} s,"
        f" {len(durations_s)} transactions,"
        f" median {1e3 * durations_s[len(durations_s) // 2]:.0f} ms,"
        f" 99 % {1e3 * durations_s[len(durations_s) * 99 // 100]:.0f} ms,"
        f" longest {1e3 * durations_s[-1]:.0f} ms"
    )
    at_s = time.perf_counter()
    await retention.sweep("calls")
    print(f"a look that finds nothing: {1e3 * (time.perf_counter() - at_s):.1f} ms")


async def add_account(engine: AsyncEngine, account_id: str) -> None:
    async with engine.begin() as connection:
        row = tables.new_account(account_id, "USD", NOW)
        await connection.execute(sa.insert(tables.accounts).values(row))
        holder = Holder(account_id, f"{account_id}@example.com", NOW, "hash", 1, "en", NOW)
        await holders.insert(connection, holder, f"{account_id}@example.com")


async def add_calls(engine: AsyncEngine, account_id: str, count: int, begin: datetime) -> None:
    quality = '{"frames_in":1500,"frames_out":1500,"talk_ms":12000,"mos":4.3,"jitter_ms":7.1}'
    call = {
        "account_id": account_id,
        "opened": True,
        "closed": True,
        "node": "n1",
        "destination": "+4915123456789",
        "country": "DE",
        "codec": "PCMU",
        "origin": "https://calls.example.com",
        "currency": "USD",
        "rate": Rate(per_minute_micros=60_000).to_json(),
        "spent_micros": 30_000,
        "seconds": 30,
        "cause": 16,
        "cause_name": "NORMAL_CLEARING",
        "ended_by": "caller",
        "carrier_call_id": "CA" + "0" * 32,
        "carrier_seconds": 30,
        "browser_quality": quality,
        "carrier_quality": quality,
        "key_id": "",
    }
    charge = {
        "kind": "charge",
        "source": "customer",
        "target": "usage",
        "micros": 30_000,
        "currency": "USD",
        "account_id": account_id,
        "reason": "",
    }
    for first in range(0, count, 10_000):
        calls, charges = [], []
        for number in range(first, min(count, first + 10_000)):
            at, name = begin + timedelta(seconds=number), f"{account_id}-{number:08}"
            ended = at + timedelta(seconds=30)
            times = {"created_at": at, "ringing_at": at, "answered_at": at, "ended_at": ended}
            calls.append(call | times | {"id": name, "booked_at": ended})
            of = {"reference": f"charge:{name}", "call_id": name, "at": ended}
            charges.append(charge | of)
        async with engine.begin() as connection:
            await connection.execute(sa.insert(tables.calls), calls)
            await connection.execute(sa.insert(tables.transfers), charges)


def memory_kb() -> int:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Measure on the database that is named, or on a new one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.personal_data", description=__doc__)
    parser.add_argument("url", nargs="?", help="an empty database")
    parser.add_argument("--calls", type=int, default=EXPORTED, help="of the account exported")
    parser.add_argument("--old", type=int, default=FORGOTTEN, help="calls to be forgotten")
    parser.add_argument("--fill", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.url or f"sqlite:///{folder}/book.db"
        if given.fill:
            asyncio.run(fill(url, given.calls, given.old))
            return
        # In a process of its own, whose memory is not counted.
        sizes = (f"--calls={given.calls}", f"--old={given.old}")
        command = (sys.executable, "-m", "benchmarks.personal_data", "--fill", *sizes, url)
        subprocess.run(command, check=True)
        asyncio.run(measure(url, given.calls))


if __name__ == "__main__":
    main()
