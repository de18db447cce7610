"""`caller payments`: lists, refunds, reconciling and evidence, and what is said when it fails."""

import asyncio
import os
import pwd
import re
import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from billing.money import format_money, parse_money
from billing.stores.redis import RedisSpendGate
from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.app import Services
from gateway.cli import accounts, ledger, payments
from gateway.errors import EXIT_FINDINGS, EXIT_SETTINGS, EXIT_UNAVAILABLE
from gateway.payments.build import compose_payments
from gateway.roles import storage
from gateway.settings_variables import from_mapping
from simulators.payments.service import PaymentSimulatorService, PaymentSimulatorSettings

API_KEY = "sk_test_desk"
UNIT = 1_000_000
WHY = ("--reason", "asked for")


@pytest.fixture
def simulator():
    """The simulated payment service, on a loop of its own: each command brings its own, too."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    service = PaymentSimulatorService(PaymentSimulatorSettings(api_key=API_KEY))
    asyncio.run_coroutine_threadsafe(service.start(), loop).result(10)
    yield service
    asyncio.run_coroutine_threadsafe(service.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


class Desk:
    """An operator at the command line, and the rest of the world."""

    def __init__(self, environ, simulator):
        self.environ = environ
        self.control = httpx.Client(
            base_url=f"{simulator.origin}/simulator/v1",
            headers={"authorization": f"Bearer {API_KEY}"},
        )

    def run(self, *arguments, app=payments.app, **changes):
        return CliRunner().invoke(app, list(arguments), obj=self.environ | changes)

    def says(self, *arguments, **options):
        """Run a command that works; return what it says, on one line."""
        done = self.run(*arguments, **options)
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())

    def does(self, verb, path, **body):
        reply = self.control.request(verb, path, json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def pays(self, units):
        """Begin a payment of acme and make it; nobody has told us yet. Return its id."""
        read = from_mapping(self.environ)

        async def begin():
            stores = await storage.open_stores(read)
            desk = compose_payments(Services(settings=read, stores=stores))
            try:
                payment, _ = await desk.payments.start_checkout("acme", parse_money(str(units)))
            finally:
                await desk.service.close()
                await stores.close()
            return payment

        payment = asyncio.run(begin())
        self.does("POST", f"/sessions/{payment.checkout_id}/pay", method="card")
        return payment.id

    def paid_amount(self, amount):
        """Pay such an amount as 14.99, and find out by looking; return the session's id."""
        self.pays(amount)
        self.says("reconcile")
        return self.does("GET", "/objects/checkout.sessions")["data"][0]["id"]

    def told_of(self, session_id):
        """Be told by a webhook that a session was paid."""
        read = from_mapping(self.environ)

        async def book():
            stores = await storage.open_stores(read)
            desk = compose_payments(Services(settings=read, stores=stores))
            try:
                await desk.payments.book_object("checkout.session", session_id)
            finally:
                await desk.service.close()
                await stores.close()

        asyncio.run(book())

    def paid(self, units):
        """Pay, and find out by looking."""
        payment_id = self.pays(units)
        self.says("reconcile")
        return payment_id

    def intent_id(self):
        """Return the id of the newest payment intent."""
        return self.does("GET", "/objects/payment_intents")["data"][0]["id"]


@pytest.fixture
def desk(tmp_path, valkey_url, simulator, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    # A payment of this moment is looked at already, without waiting for its webhooks.
    monkeypatch.setattr("gateway.payments.reconciler.QUIET", timedelta())
    environ = {
        "CALLER_DATA_DIR": str(tmp_path),
        "CALLER_REDIS_URL": valkey_url,
        "CALLER_STRIPE_API_KEY": API_KEY,
        "CALLER_STRIPE_URL": simulator.origin,
    }
    opened = Desk(environ, simulator)
    opened.says("create", "acme", app=accounts.app)
    yield opened
    opened.control.close()


def damage(desk, *statements):
    """Change the database behind the ledger's back, or read it."""
    with (
        closing(sqlite3.connect(Path(desk.environ["CALLER_DATA_DIR"]) / "caller.db")) as book,
        book,
    ):
        for (name,) in book.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            book.execute(f"DROP TRIGGER {name}")
        return [row for statement in statements for row in book.execute(statement).fetchall()]


def test_what_was_paid_without_our_knowing_is_found_and_listed(desk):
    payment_id = desk.pays(25)
    assert "open" in desk.says("list", "acme")
    assert desk.says("reconcile") == "Checked 1 payments."
    listed = desk.says("list", "acme")
    for told in (payment_id, "checkout", "$25.00", "paid", str(datetime.now(UTC).year)):
        assert told in listed
    assert payment_id not in desk.says("list", "nobody")


def test_unspent_credit_is_refunded_once_by_its_reference(desk):
    payment_id = desk.paid(25)
    for _ in range(2):
        said = desk.says("refund", payment_id, "5", "--reference", "sorry", *WHY)
        assert said == "Refund sorry Refunded. Total of this payment: $5.00"
    assert re.fullmatch(
        r"Refund [0-9a-f]{12} Refunded\. Total of this payment: \$8\.00",
        desk.says("refund", payment_id, "3.00", *WHY, "--as", "kim"),
    )
    balance = desk.says("credit", "acme", "1", "--reference", "look", app=accounts.app)
    assert balance == "Credit granted. Balance: $18.00"
    query = "SELECT operator, reason FROM account_events WHERE act = 'payment_refunded' ORDER BY id"
    first, (who, why) = damage(desk, query)
    assert first == (pwd.getpwuid(os.getuid()).pw_name, f"{payment_id}: sorry: $5.00: asked for")
    assert who == "kim"
    assert re.fullmatch(rf"{payment_id}: [0-9a-f]{{12}}: \$3\.00: asked for", why)


def test_what_a_command_has_to_tell_is_queued_before_it_ends(desk):
    told = {
        "CALLER_EVENTS_URL": "https://events.example.com/",
        "CALLER_EVENTS_SECRET": "whsec_" + "a" * 32,
    }
    payment_id = desk.pays(25)
    assert desk.says("reconcile", **told) == "Checked 1 payments."
    desk.says("refund", payment_id, "5", *WHY, **told)
    query = "SELECT type FROM webhook_deliveries ORDER BY created_at"
    assert damage(desk, query) == [("payment.received",), ("payment.refunded",)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pay_none", "5"), "There is no such payment."),
        (("{id}", "26"), "Only unspent credit can be refunded, and no more than was paid"),
        (("{id}", "-5"), "The amount must not be negative."),
        (("{id}", "0"), "There is nothing to send back."),
        (("{id}", "0.001"), "This amount cannot be charged."),
        (("{id}", "five"), "The amount is not a number"),
        (("{id}", "5", "--reference", ""), "Write 1 to 100 printable characters"),
        (("{id}", "5", "--reference", "x" * 101), "Write 1 to 100 printable characters"),
        (("{id}", "5", "--reference", "a\nb"), "printable characters"),
        (("{id}", "5", "--reason", ""), "Give --reason, and --as if needed."),
    ],
)
def test_what_cannot_be_refunded_is_said_in_words(desk, arguments, words):
    payment_id = desk.paid(25)
    asked = [each.format(id=payment_id) for each in arguments]
    done = desk.run("refund", *WHY, *asked[2:], "--", *asked[:2])
    assert done.exit_code == EXIT_SETTINGS
    assert words in " ".join(done.output.split())


def test_a_refund_without_an_answer_says_how_it_is_finished(desk):
    payment_id = desk.paid(25)
    desk.does("PUT", "/faults", requests={"status": 500, "count": 9, "path": "/v1/refunds"})
    done = desk.run("refund", payment_id, "5", "--reference", "for you", *WHY)
    assert done.exit_code == EXIT_UNAVAILABLE
    assert "--reference 'for you'" in " ".join(done.output.split())
    desk.does("DELETE", "/faults")
    said = desk.says("refund", payment_id, "5", "--reference", "for you", *WHY)
    assert said.endswith("$5.00")


def test_a_refund_that_is_refused_is_said_so(desk):
    payment_id = desk.paid(25)
    desk.does("POST", "/refunds", payment_intent=desk.intent_id())
    done = desk.run("refund", payment_id, "5", *WHY)
    assert done.exit_code == EXIT_UNAVAILABLE
    assert "refused" in done.output
    assert damage(desk, "SELECT act FROM account_events WHERE act = 'payment_refunded'") == []


def test_a_dispute_freezes_and_is_answered(desk):
    payment_id = desk.paid(25)
    assert desk.run("evidence", payment_id).exit_code == EXIT_SETTINGS
    desk.does("POST", "/disputes", payment_intent=desk.intent_id())
    said = desk.says("evidence", payment_id)
    assert "Prepaid credit of $25.00" in said
    assert said.endswith("Stored; --submit sends it to the bank.")
    assert desk.says("evidence", payment_id, "--submit").endswith("Submitted to the bank.")
    (dispute,) = desk.does("GET", "/objects/disputes")["data"]
    assert dispute["status"] == "under_review"


class Restored:
    """A desk whose database was set back to a copy of before a payment; the credit store was not.

    $14.99 were paid and booked before the copy was taken, $20.00 after it.
    """

    def __init__(self, desk):
        self.desk = desk
        self.file = Path(desk.environ["CALLER_DATA_DIR"]) / "caller.db"
        desk.paid_amount("14.99")
        copy = self.file.with_suffix(".copy")
        with closing(sqlite3.connect(self.file)) as book, closing(sqlite3.connect(copy)) as into:
            book.backup(into)
        self.lost = desk.paid_amount("20.00")
        assert self.balances() == ("$34.99", 34_990_000)
        for suffix in ("-wal", "-shm"):
            self.file.with_name(self.file.name + suffix).unlink(missing_ok=True)
        shutil.copy(copy, self.file)
        assert self.balances() == ("$14.99", 34_990_000)

    def balances(self):
        """Return what the book says acme has, and what the credit store says."""
        with closing(sqlite3.connect(self.file)) as book:
            (micros,) = book.execute("SELECT balance_micros FROM accounts").fetchone()
        return format_money(micros, "USD"), self.at_gate()

    def at_gate(self):
        async def read():
            redis = connect(self.desk.environ["CALLER_REDIS_URL"])
            try:
                return await RedisSpendGate(redis, timeout_s=5).balance("acme")
            finally:
                await disconnect(redis)

        return asyncio.run(read())

    def fails(self, *arguments, code, app=payments.app, **changes):
        done = self.desk.run(*arguments, app=app, **changes)
        assert done.exit_code == code, done.output
        return " ".join(done.output.split())


@pytest.fixture
def restored(desk, monkeypatch):
    monkeypatch.setattr("billing.stores.gate_audit.COMPARISON_PAUSE_S", 0)
    monkeypatch.setattr("gateway.payments.proof.PATIENCE_S", 0)
    return Restored(desk)


TODAY = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"


def test_a_payment_that_a_restored_database_has_lost_is_found_and_booked_once(restored):
    desk = restored.desk
    assert desk.says("reconcile") == "Checked 0 payments.", "nothing here waits for it"
    said = restored.fails("audit", app=ledger.app, code=EXIT_FINDINGS)
    assert "paid at the payment service, and not booked: pi:" in said
    assert "$20.00, account acme" in said
    assert re.search(
        r"Compared with the payment service: \S+ \S+ to \S+ \S+ UTC, \d+ objects", said
    )
    assert "spend gate has a credit that the book has not: acme" in said
    assert "caller payments reconcile --since" in said
    said = restored.fails("rebuild", "--yes", app=ledger.app, code=EXIT_FINDINGS)
    assert re.search(r"acme │ 1 │ 20\.000000 USD", said), said
    assert "reconcile --since" in said
    assert restored.balances() == ("$14.99", 34_990_000), "nothing was changed"

    assert "newly booked: 1." in desk.says("reconcile", "--since", TODAY)
    assert restored.balances() == ("$34.99", 34_990_000)
    for _ in range(2):
        assert "newly booked: 0." in desk.says("reconcile", "--since", TODAY)
    desk.told_of(restored.lost)
    assert restored.balances() == ("$34.99", 34_990_000)
    assert "All agree." in desk.says("audit", app=ledger.app)
    assert "Filled 64" in desk.says("rebuild", "--yes", app=ledger.app)
    assert restored.balances() == ("$34.99", 34_990_000)


def test_no_credit_takes_the_number_of_one_that_was_lost(restored):
    """The spend gate would take it for that one, and ignore it for good."""
    desk = restored.desk
    arguments = ("credit", "acme", "5", "--reference", "sorry")
    said = restored.fails(*arguments, app=accounts.app, code=EXIT_UNAVAILABLE)
    assert "lacks credits that the spend gate has" in said
    assert "reconcile --since DATE" in said
    with pytest.raises(StoreUnavailableError):
        desk.told_of(restored.lost)
    assert restored.balances() == ("$14.99", 34_990_000)
    desk.says("reconcile", "--since", TODAY)
    assert desk.says(*arguments, app=accounts.app) == "Credit granted. Balance: $39.99"
    assert restored.balances() == ("$39.99", 39_990_000)
    assert "All agree." in desk.says("audit", app=ledger.app)


def test_a_lost_grant_is_given_up_by_word_only(restored):
    desk = restored.desk
    desk.says("reconcile", "--since", TODAY)
    copy = restored.file.with_suffix(".copy")
    with closing(sqlite3.connect(restored.file)) as book, closing(sqlite3.connect(copy)) as into:
        book.backup(into)
    desk.says("credit", "acme", "5", "--reference", "gift", app=accounts.app)
    for suffix in ("-wal", "-shm"):
        restored.file.with_name(restored.file.name + suffix).unlink(missing_ok=True)
    shutil.copy(copy, restored.file)
    assert "newly booked: 0." in desk.says("reconcile", "--since", TODAY)
    restored.fails("rebuild", "--yes", app=ledger.app, code=EXIT_FINDINGS)
    said = desk.says("rebuild", "--yes", "--forget-credits", app=ledger.app)
    assert re.search(r"acme │ 1 │ 5\.000000 USD", said), said
    assert restored.balances() == ("$34.99", 34_990_000)
    desk.says("credit", "acme", "5", "--reference", "gift", app=accounts.app)
    assert restored.balances() == ("$39.99", 39_990_000)


def test_a_payment_of_an_account_that_was_lost_is_named_and_not_booked(desk, monkeypatch):
    desk.paid(25)
    damage(desk, "DELETE FROM payments", "DELETE FROM credits", "DELETE FROM transfers")
    damage(desk, "DELETE FROM accounts")
    done = desk.run("reconcile", "--since", TODAY)
    assert done.exit_code == EXIT_FINDINGS, done.output
    said = " ".join(done.output.split())
    assert "$25.00, account acme): its account is not known here" in said
    desk.says("create", "acme", app=accounts.app)
    assert "newly booked: 1." in desk.says("reconcile", "--since", TODAY)
    assert "$25.00" in desk.says("list", "acme")


def test_lost_refunds_and_disputes_are_found_again(desk):
    """Of payments that are older than the history that is gone over."""
    desk.paid(25)
    intent = desk.intent_id()
    desk.does("POST", "/refunds", payment_intent=intent, amount=500)
    desk.does("POST", "/disputes", payment_intent=intent, amount=300)
    assert "newly booked: 1." in desk.says("reconcile", "--since", TODAY)
    assert "newly booked: 0." in desk.says("reconcile", "--since", TODAY)
    rows = damage(desk, "SELECT kind, micros FROM credits ORDER BY sequence")
    assert rows == [("top-up", 25 * UNIT), ("refund", -5 * UNIT), ("dispute", -3 * UNIT)]


def test_a_history_that_breaks_off_is_gone_on_with(desk, monkeypatch):
    for _ in range(3):
        desk.paid(25)
    # Triggers that keep the ledger are no concern of this test.
    damage(desk, "DELETE FROM credits", "DELETE FROM transfers", "DELETE FROM payments")
    damage(desk, "UPDATE accounts SET balance_micros = 0, credit_sequence = 0")
    monkeypatch.setattr("gateway.payments.stripe_client.LIST_MAX", 1)
    monkeypatch.setattr("gateway.payments.history.PAGES_MAX", 2)
    done = desk.run("reconcile", "--since", TODAY)
    assert done.exit_code == EXIT_UNAVAILABLE
    (after,) = re.findall(r"--after\s+(\S+)`", done.output)
    assert after.startswith("checkout.session:cs_")
    monkeypatch.setattr("gateway.payments.history.PAGES_MAX", 100)
    fault = {"status": 500, "count": 9, "path": "/v1/payment_intents"}
    desk.does("PUT", "/faults", requests=fault)
    done = desk.run("reconcile", "--since", TODAY, "--after", after)
    assert done.exit_code == EXIT_UNAVAILABLE
    assert "Interrupted" in done.output
    (after,) = re.findall(r"--after\s+(\S+)`", done.output)
    desk.does("DELETE", "/faults")
    desk.says("reconcile", "--since", TODAY, "--after", after)
    rows = damage(desk, "SELECT sum(micros) FROM credits")
    assert rows == [(75 * UNIT,)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--since", "yesterday"),
        ("--after", "refund:re_1"),
        ("--since", "2026-11-24", "--after", "x"),
    ],
)
def test_what_cannot_be_gone_over_is_said_in_words(desk, arguments):
    assert desk.run("reconcile", *arguments).exit_code == EXIT_SETTINGS


def test_without_a_payment_service_nothing_is_tried(desk):
    done = desk.run("reconcile", CALLER_STRIPE_API_KEY="")
    assert done.exit_code == EXIT_SETTINGS
    assert "CALLER_STRIPE_API_KEY" in done.output


def test_a_service_that_is_away_is_said_so(desk):
    desk.pays(25)
    done = desk.run("reconcile", CALLER_STRIPE_URL="http://127.0.0.1:9")
    assert done.exit_code == EXIT_UNAVAILABLE
    assert "Traceback" not in done.output


def test_an_amount_that_differs_is_named_by_both_and_changed_by_none(desk, monkeypatch):
    monkeypatch.setattr("gateway.payments.proof.PATIENCE_S", 0)
    monkeypatch.setattr("billing.stores.gate_audit.COMPARISON_PAUSE_S", 0)
    monkeypatch.setattr("billing.stores.audit.RECHECK_S", 0)
    desk.paid(25)
    damage(desk, "UPDATE credits SET micros = 50000000")
    for arguments, app in ((("audit",), ledger.app), (("reconcile", "--since", TODAY), None)):
        done = desk.run(*arguments, **({"app": app} if app else {}))
        said = " ".join(done.output.split())
        assert done.exit_code == EXIT_FINDINGS, done.output
        assert f"amount booked is not the payment service's: pi:{desk.intent_id()}" in said
        assert "account acme: $50.00 here, $25.00 there" in said
    assert "correct the outcome by a credit with a reason" in " ".join(
        desk.run("audit", app=ledger.app).output.split()
    )
    assert damage(desk, "SELECT micros FROM credits") == [(50_000_000,)]


@pytest.mark.parametrize(
    "lost",
    [
        "checkout_id = NULL",
        "checkout_id = ''",
        "payment_intent_id = NULL",
        "payment_intent_id = ''",
    ],
)
def test_what_a_payments_row_lacks_is_filled_in(desk, monkeypatch, lost):
    monkeypatch.setattr("gateway.payments.proof.PATIENCE_S", 0)
    monkeypatch.setattr("billing.stores.audit.RECHECK_S", 0)
    desk.paid(25)
    desk.paid(30)
    kept = "SELECT id, checkout_id, payment_intent_id FROM payments ORDER BY id"
    before = damage(desk, kept)
    damage(desk, f"UPDATE payments SET {lost} WHERE id = (SELECT max(id) FROM payments)")
    done = desk.run("audit", app=ledger.app)
    assert done.exit_code == EXIT_FINDINGS, done.output
    assert "none here" in done.output
    assert "fills it in" in " ".join(done.output.split())
    done = desk.run("reconcile", "--since", TODAY)
    assert done.exit_code == 0, done.output
    assert done.output.count(f"Completed the record of payment {before[-1][0]}.") == 1
    assert damage(desk, kept) == before
    assert desk.run("audit", app=ledger.app).exit_code == 0


def test_an_id_that_another_payment_has_is_given_to_no_second_one(desk, monkeypatch):
    monkeypatch.setattr("gateway.payments.proof.PATIENCE_S", 0)
    monkeypatch.setattr("billing.stores.audit.RECHECK_S", 0)
    desk.paid(25)
    desk.paid(30)
    (first, second) = damage(desk, "SELECT checkout_id FROM payments ORDER BY id")
    damage(
        desk,
        f"UPDATE payments SET checkout_id = NULL WHERE checkout_id = '{second[0]}'",
        f"UPDATE payments SET checkout_id = '{second[0]}' WHERE checkout_id = '{first[0]}'",
    )
    done = desk.run("reconcile", "--since", TODAY)
    assert done.exit_code == EXIT_FINDINGS, done.output
    assert "Filled in" not in done.output
    assert damage(desk, "SELECT count(*) FROM payments WHERE checkout_id IS NULL") == [(1,)]
