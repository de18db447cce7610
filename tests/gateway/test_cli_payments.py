"""`caller payments`: lists, refunds, reconciling and evidence, and what is said when it fails."""

import asyncio
import re
import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from typer.testing import CliRunner

from gateway import build, cli_accounts, cli_payments, settings
from gateway.command import EXIT_SETTINGS, EXIT_UNAVAILABLE
from gateway.payment_simulator.service import PaymentSimulatorService, PaymentSimulatorSettings
from tests.valkey import valkey_server, valkey_url

__all__ = ["valkey_server", "valkey_url"]

API_KEY = "sk_test_desk"
UNIT = 1_000_000


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

    def run(self, *arguments, app=cli_payments.app, **changes):
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
        read = settings.from_mapping(self.environ)

        async def begin():
            stores = await build.open_stores(read)
            desk = build.build_card_desk(read, stores, notify=lambda name, data: None)
            try:
                payment, _ = await desk.payments.start_checkout("acme", units * UNIT)
            finally:
                await desk.service.close()
                await stores.close()
            return payment

        payment = asyncio.run(begin())
        self.does("POST", f"/sessions/{payment.checkout_id}/pay", method="card")
        return payment.id

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
    opened.says("create", "acme", app=cli_accounts.app)
    yield opened
    opened.control.close()


def test_what_was_paid_without_our_knowing_is_found_and_listed(desk):
    payment_id = desk.pays(25)
    assert "open" in desk.says("list", "acme")
    assert desk.says("reconcile") == "Looked at 1."
    listed = desk.says("list", "acme")
    for told in (payment_id, "checkout", "$25.00", "paid", str(datetime.now(UTC).year)):
        assert told in listed
    assert payment_id not in desk.says("list", "nobody")


def test_unspent_credit_is_refunded_once_by_its_reference(desk):
    payment_id = desk.paid(25)
    for _ in range(2):
        said = desk.says("refund", payment_id, "5", "--reference", "sorry")
        assert said == "Refund sorry Refunded. Of this payment so far: $5.00"
    assert re.fullmatch(
        r"Refund [0-9a-f]{12} Refunded\. Of this payment so far: \$8\.00",
        desk.says("refund", payment_id, "3.00"),
    )
    balance = desk.says("credit", "acme", "1", "--reference", "look", app=cli_accounts.app)
    assert balance == "Granted. Balance: $18.00"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pay_none", "5"), "There is no such payment."),
        (("{id}", "26"), "Only credit that is unspent, and no more than was paid"),
        (("{id}", "-5"), "This amount cannot be charged."),
        (("{id}", "five"), "The amount is not a number"),
    ],
)
def test_what_cannot_be_refunded_is_said_in_words(desk, arguments, words):
    payment_id = desk.paid(25)
    asked = [each.format(id=payment_id) for each in arguments]
    done = desk.run("refund", "--", *asked)
    assert done.exit_code == EXIT_SETTINGS
    assert words in " ".join(done.output.split())


def test_a_refund_without_an_answer_says_how_it_is_finished(desk):
    payment_id = desk.paid(25)
    desk.does("PUT", "/faults", requests={"status": 500, "count": 9, "path": "/v1/refunds"})
    done = desk.run("refund", payment_id, "5", "--reference", "sorry")
    assert done.exit_code == EXIT_UNAVAILABLE
    assert "--reference sorry" in done.output
    desk.does("DELETE", "/faults")
    assert desk.says("refund", payment_id, "5", "--reference", "sorry").endswith("$5.00")


def test_a_refund_that_is_refused_is_said_so(desk):
    payment_id = desk.paid(25)
    desk.does("POST", "/refunds", payment_intent=desk.intent_id())
    done = desk.run("refund", payment_id, "5")
    assert done.exit_code == EXIT_UNAVAILABLE
    assert "refused" in done.output


def test_a_dispute_freezes_and_is_answered(desk):
    payment_id = desk.paid(25)
    assert desk.run("evidence", payment_id).exit_code == EXIT_SETTINGS
    desk.does("POST", "/disputes", payment_intent=desk.intent_id())
    said = desk.says("evidence", payment_id)
    assert "Prepaid credit of $25.00" in said
    assert said.endswith("Stored; --submit hands it to the bank.")
    assert desk.says("evidence", payment_id, "--submit").endswith("Handed to the bank.")
    (dispute,) = desk.does("GET", "/objects/disputes")["data"]
    assert dispute["status"] == "under_review"


def test_without_a_payment_service_nothing_is_tried(desk):
    done = desk.run("reconcile", CALLER_STRIPE_API_KEY="")
    assert done.exit_code == EXIT_SETTINGS
    assert "CALLER_STRIPE_API_KEY" in done.output


def test_a_service_that_is_away_is_said_so(desk):
    desk.pays(25)
    done = desk.run("reconcile", CALLER_STRIPE_URL="http://127.0.0.1:9")
    assert done.exit_code == EXIT_UNAVAILABLE
    assert "Traceback" not in done.output
