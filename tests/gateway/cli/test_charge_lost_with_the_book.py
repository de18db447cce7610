"""A card is charged, its process is killed before it hears so, and an older book is put back.

One story on PostgreSQL, by the role that is shipped: the commands of docs/backup.md, a real process
and its real death.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from billing.payments import AutoRefusal
from gateway.app import Services
from gateway.cli import accounts, ledger
from gateway.payments.build import compose_payments
from gateway.roles import storage
from gateway.settings_variables import from_mapping
from tests.gateway.cli.test_payments import API_KEY, UNIT, Desk, simulator

__all__ = ["simulator"]

TOP_UP = """
import asyncio, os
from gateway.app import Services
from gateway.roles import storage
from gateway.payments.build import compose_payments
from gateway.settings_variables import from_mapping

async def top_up():
    read = from_mapping(os.environ)
    stores = await storage.open_stores(read)
    desk = compose_payments(Services(settings=read, stores=stores))
    await desk.auto.maybe_top_up("acme", 4_000_000)

asyncio.run(top_up())
"""
INTENTS = {"path": "/v1/payment_intents", "method": "POST"}
PATIENCE_S = 60


class Shop(Desk):
    """The operator's desk, on PostgreSQL, and copies of its book."""

    def __init__(self, environ, simulator, server, folder):
        super().__init__(environ, simulator)
        self.server, self.copy = server, folder / "caller.dump"
        self.database = sa.make_url(environ["CALLER_DATABASE_URL"]).database

    def _does(self, program, *arguments):
        binary = self.server._binaries / program
        whose = ("--host", self.server.directory, "--username", "caller")
        subprocess.run([binary, *whose, *arguments], check=True)

    def back_up(self):
        self._does("pg_dump", "--format=custom", f"--file={self.copy}", self.database)

    def restore(self):
        self.server.drop_database(self.database)
        self.server._execute("postgres", f"CREATE DATABASE {self.database} OWNER caller")
        options = ("--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges")
        self._does("pg_restore", *options, f"--dbname={self.database}", self.copy)

    def with_services(self, work):
        """Do something as a node does."""
        read = from_mapping(self.environ)

        async def do():
            stores = await storage.open_stores(read)
            desk = compose_payments(Services(settings=read, stores=stores))
            try:
                return await work(stores, desk)
            finally:
                await desk.service.close()
                await stores.close()

        return asyncio.run(do())

    def save_card(self):
        """Pay 10 on a page with a card that may be charged again, when less than 5 is left."""

        async def begin(_stores, desk):
            payment, _ = await desk.payments.start_checkout("acme", 10 * UNIT, save_card=True)
            return payment

        async def wish(_stores, desk):
            await desk.payments.set_auto(
                "acme", enabled=True, threshold_micros=5 * UNIT, amount_micros=25 * UNIT
            )

        payment = self.with_services(begin)
        self.does("POST", f"/sessions/{payment.checkout_id}/pay", method="card")
        self.says("reconcile")
        self.with_services(wish)

    def charges(self):
        """Return how often the saved card was charged."""
        intents = self.does("GET", "/objects/payment_intents")["data"]
        return sum(bool(each["description"]) and bool(each["amount_received"]) for each in intents)

    def charge_and_die(self):
        """Charge the card from a process that is killed once it is charged, before it is told."""
        self.does("PUT", "/faults", requests={**INTENTS, "hold_s": 60, "count": 1})
        process = subprocess.Popen([sys.executable, "-c", TOP_UP], env=os.environ | self.environ)
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not self.charges():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.does("DELETE", "/faults")

    def balances(self):
        """Return the units that book and gate have."""

        async def read(stores, _desk):
            book = await stores.ledger.balance("acme")
            return book / UNIT, await stores.gate.balance("acme") / UNIT

        return self.with_services(read)

    def tops_up(self, balance=4 * UNIT):
        """Return what a node does for a call with so little left."""

        async def consider(_stores, desk):
            return await desk.auto.maybe_top_up("acme", balance)

        return self.with_services(consider)


@pytest.fixture
def shop(tmp_path, own_valkey, simulator, postgres_server, monkeypatch):
    monkeypatch.setattr("gateway.payments.reconciler.QUIET", timedelta())
    name = postgres_server.lend_database()
    environ = {
        "CALLER_DATA_DIR": str(tmp_path / "data"),
        "CALLER_DATABASE_URL": postgres_server.url(name),
        "CALLER_REDIS_URL": own_valkey.url,
        "CALLER_STRIPE_API_KEY": API_KEY,
        "CALLER_STRIPE_URL": simulator.origin,
    }
    shop = Shop(environ, simulator, postgres_server, tmp_path)
    shop.says("create", "acme", app=accounts.app)
    yield shop
    shop.control.close()
    postgres_server.take_back_database(name)


@pytest.mark.thorough
@pytest.mark.parametrize("is_all_lost", [True, False])
def test_it_is_found_booked_once_and_charged_once(shop, own_valkey, is_all_lost):
    shop.save_card()
    copied_at = datetime.now(UTC)
    shop.back_up()
    shop.charge_and_die()
    assert (shop.charges(), shop.balances()) == (1, (10, 10))
    shop.restore()
    if is_all_lost:
        own_valkey.command("FLUSHALL")
    for _ in range(2):
        shop.says("reconcile", "--since", copied_at.isoformat())
        assert (shop.charges(), shop.balances()) == (1, (35, 35))
    # The nodes start, and somebody has spent it: what was charged by the dead process counts.
    assert shop.tops_up(35 * UNIT) is AutoRefusal.ENOUGH_CREDIT
    assert shop.tops_up() is AutoRefusal.PAUSED

    async def history(_stores, desk):
        return await desk.store.history("acme")

    charged = shop.with_services(history)
    assert (charged.charged_micros, charged.is_in_flight) == (25 * UNIT, False)
    assert shop.says("list", "acme").split().count("auto") == 1
    shop.says("audit", "--since", (copied_at - timedelta(hours=1)).isoformat(), app=ledger.app)
    assert shop.charges() == 1
