"""Measures what it takes to admit a call, by who asks: `python -m benchmarks.admission`.

Admission with real stores (Valkey and SQLite of its own), one at a time, so that every wait counts:
the time of each, the commands that Valkey executes for it, and the statements of SQL. Times are of
this machine and of nobody else on it; commands and statements are exact.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import uvloop

from billing.rate_deck import RateDeck
from gateway import settings
from gateway.calls.admission import Admission, Buyer, CallRequest
from gateway.charging.recovery import bring_credits
from gateway.limits.fraud import AccountFacts
from gateway.roles import storage
from gateway.roles.access import build_velocity, compose_access
from gateway.roles.fraud import compose_fraud
from gateway.roles.prices import load_prices
from gateway.settings_variables import from_mapping
from gateway.stores.accounts import AccountRow
from gateway.stores.opened import Stores

ROUNDS = 500
HOME, ABROAD = "+15005551000", "+442079460018"
DECK = "prefix,description,country,rate_per_minute,connect_fee,first,next\n1 44,All,,0.01,0,1,1\n"
FASTER = ",".join(f"{who}_tokens_minute=1000000" for who in ("account", "key", "address"))


class _Book:
    """What is kept of an account, without asking: only how often it would be asked counts."""

    def __init__(self, standing: AccountFacts) -> None:
        self._standing = standing
        self.asked = 0

    async def standing(self, _account_id: str) -> AccountFacts:
        self.asked += 1
        return self._standing


async def _cases(stores: Stores, environ: Mapping[str, str]) -> None:
    at = datetime.now(UTC)
    paid = AccountFacts(frozenset({"GB"}), at - timedelta(days=1))
    settled = AccountFacts(frozenset({"GB"}), at - timedelta(days=30))
    for name, number, has_holder, standing in (
        ("program", ABROAD, False, AccountFacts()),
        ("person, rules off", ABROAD, True, AccountFacts()),
        ("person who never paid", HOME, True, AccountFacts()),
        ("person, abroad, old card", ABROAD, True, settled),
        ("person, abroad, new card", ABROAD, True, paid),
    ):
        rules = {} if "off" in name else {"CALLER_HOME_COUNTRIES": "US"}
        days = {"CALLER_NEW_CARD_DAYS": "0" if "off" in name else "7"}
        read = from_mapping({**environ, **rules, **days})
        book = _Book(standing)
        admission = await _admission(read, stores, book)
        row = AccountRow("alice", "USD", False, at, key_id="k1", has_holder=has_holder)
        buyer = Buyer(row, "e1", "::1")
        await _measure(name, admission, buyer, number, stores, book)


async def _admission(read: settings.Settings, stores: Stores, book: _Book) -> Admission:
    prices = await load_prices(read, stores.engine, RateDeck.from_csv(DECK))
    fraud = compose_fraud(read, stores)
    access = compose_access(read, stores)
    object.__setattr__(fraud.risk, "book", book)
    return Admission(
        read,
        tokens=access.tokens,
        velocity=build_velocity(read, stores, time.monotonic_ns),
        gate=stores.gate,
        ledger=stores.ledger,
        rates=prices.rates,
        closed_destinations=prices.closed_destinations,
        risk=fraud.risk,
        choose_node=lambda: "n1",
    )


async def _measure(
    name: str,
    admission: Admission,
    buyer: Buyer,
    number: str,
    stores: Stores,
    book: _Book,
) -> None:
    statements = 0

    def count(*_arguments: Any) -> None:
        nonlocal statements
        statements += 1

    request = CallRequest(number, "pcmu", "")
    await admission.admit(buyer, request)
    sa.event.listen(stores.engine.sync_engine, "before_cursor_execute", count)
    before, began_ns = await _commands(stores), time.perf_counter_ns()
    for _ in range(ROUNDS):
        await admission.admit(buyer, request)
    each_us = (time.perf_counter_ns() - began_ns) / ROUNDS / 1000
    # Of which one is that which asks for the figure.
    commands = (await _commands(stores) - before - 1) / ROUNDS
    sa.event.remove(stores.engine.sync_engine, "before_cursor_execute", count)
    sys.stdout.write(
        f"{name:<28} {each_us:>7.0f} µs {commands:>6.1f} commands"
        f" {statements / ROUNDS:>4.1f} statements, asked of the book: {book.asked}\n"
    )


async def _commands(stores: Stores) -> int:
    return int((await stores.redis.info("stats"))["total_commands_processed"])


async def _run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            # Only as many tokens as are measured; the other limits count as they are.
            "CALLER_VELOCITY_LIMITS": FASTER,
            "CALLER_DATA_DIR": str(Path(folder) / "data"),
            "CALLER_TWILIO_AUTH_TOKEN": "0" * 32,
        }
        stores = await storage.open_stores(from_mapping(environ))
        try:
            await stores.accounts.create_account("alice", "USD")
            await stores.ledger.add_credit("alice", 10**9, reference="r1", kind="grant")
            await bring_credits(stores.gate, stores.ledger, "alice")
            await _cases(stores, environ)
        finally:
            await stores.close()


if __name__ == "__main__":
    uvloop.run(_run())
