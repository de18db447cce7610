"""The book and the payment service, compared both ways: each kind of difference is named."""

import contextlib
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from billing.drain import Drainer
from billing.ports import Closing, Opening, OpenResult, Tick
from billing.stores import audit as book_audit
from billing.stores import gate_audit, tables
from billing.stores.audit import audit
from billing.stores.redis import RedisSpendGate
from billing.stores.redis_client import connect, disconnect
from gateway.charging.recovery import bring_credits
from gateway.errors import PaymentError, RequestRefusedError
from gateway.payments import comparison, proof
from gateway.payments.history import UNBOOKED, PaymentHistory
from gateway.payments.proof import ADVICE, PaymentProof
from tests.billing import outbox_entries as calls
from tests.gateway.payments.conftest import UNIT


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(proof, "PATIENCE_S", 0)
    monkeypatch.setattr(book_audit, "RECHECK_S", 0)


def history_of(shop):
    return PaymentHistory(shop.payments, service=shop.service, store=shop.store)


@pytest.fixture
def prove(shop):
    """Compare the last hour."""
    compared = PaymentProof(history_of(shop), service=shop.service, store=shop.store)

    async def found(since=timedelta(hours=1)):
        done = await compared.compare(datetime.now(UTC) - since)
        assert done.is_whole
        return list(done.findings)

    return found


async def change(shop, *statements):
    """Change the book behind its back."""
    async with shop.engine.begin() as connection:
        await connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        for table in ("credits", "transfers"):
            for event in ("update", "delete"):
                await connection.exec_driver_sql(
                    f"DROP TRIGGER IF EXISTS {table}_{event}_immutable"
                )
        for statement in statements:
            await connection.exec_driver_sql(statement)


@pytest.fixture
async def trade(shop):
    """Alice has paid 25 and was refunded 5 and 7; bob has paid 10 and lost it to a dispute."""
    paid, lost = await shop.paid(), await shop.paid("bob", units=10)
    await shop.refunds.send_back(paid.id, 5 * UNIT, reference="a")
    refund = await shop.does("POST", "/refunds", payment_intent=paid.payment_intent_id, amount=700)
    await shop.payments.book_object("refund", refund["id"])
    dispute = await shop.does("POST", "/disputes", payment_intent=lost.payment_intent_id)
    await shop.payments.book_object("dispute", dispute["id"])
    await shop.does("POST", f"/disputes/{dispute['id']}", status="lost")
    await shop.payments.book_object("dispute", dispute["id"])
    shop.names = {
        "PAID": paid.id,
        "LOST": lost.id,
        "PI": paid.payment_intent_id,
        "PI2": lost.payment_intent_id,
        "RE": f"re:{refund['id']}",
        "OUR": f"refund:{paid.id}:500:a",
        "DU": f"du:{dispute['id']}",
    }
    yield shop
    shop.check = nothing


async def nothing():
    """What a test has planted is not taken out again."""


def both(reference, micros):
    return [
        f"UPDATE credits SET micros = {micros} WHERE reference = '{reference}'",
        f"UPDATE transfers SET micros = abs({micros}) WHERE reference = 'credit:{reference}'",
    ]


INVENTED = [
    "INSERT INTO payments (id, account_id, kind, micros, currency, state, payment_intent_id,"
    " created_at, updated_at) SELECT 'pay_x', account_id, kind, 99, currency, 'paid', 'pi_x',"
    " created_at, updated_at FROM payments WHERE id = '{PAID}'",
    "INSERT INTO credits (account_id, sequence, micros, reference, kind, at, payment_id)"
    " SELECT account_id, 99, 99000000, 'pi:pi_x', kind, at, 'pay_x' FROM credits"
    " WHERE reference = 'pi:{PI}'",
]

FAULTS = {
    # what is changed, and every finding that follows
    "another amount, row and all": (
        [
            *both("pi:{PI}", 50 * UNIT),
            f"UPDATE payments SET micros = {50 * UNIT} WHERE id = '{{PAID}}'",
        ],
        [
            f"{comparison.AMOUNT_DIFFERS}: pi:{{PI}} (account alice: $50.00 here, $25.00 there)",
            f"{comparison.AMOUNT_DIFFERS}: {{PAID}} (account alice: paid $50.00 here, $25.00"
            " there)",
        ],
    ),
    "less than a cent": (
        both("pi:{PI}", 25 * UNIT + 1),
        [
            f"{comparison.AMOUNT_DIFFERS}: pi:{{PI}} (account alice: 25.000001 USD here, $25.00"
            " there)"
        ],
    ),
    "another account, row and all": (
        [
            "UPDATE credits SET account_id = 'bob', sequence = 9 WHERE payment_id = '{PAID}'"
            " AND kind = 'top-up'",
            "UPDATE transfers SET account_id = 'bob' WHERE reference = 'credit:pi:{PI}'",
            "UPDATE payments SET account_id = 'bob' WHERE id = '{PAID}'",
        ],
        [
            f"{comparison.ACCOUNT_DIFFERS}: pi:{{PI}} (account bob here, account alice there:"
            " $25.00 here, $25.00 there)",
            f"{comparison.PAYMENT_DIFFERS}: {{PAID}} (account bob: account bob here, alice there)",
        ],
    ),
    "a refund on another account": (
        [
            "UPDATE credits SET account_id = 'bob', sequence = 9 WHERE reference = '{RE}'",
            "UPDATE transfers SET account_id = 'bob' WHERE reference = 'credit:{RE}'",
        ],
        [
            f"{comparison.ACCOUNT_DIFFERS}: {{RE}} (account bob here, account alice there:"
            " -$7.00 here, -$7.00 there)"
        ],
    ),
    "another currency": (
        ["UPDATE accounts SET currency = 'EUR' WHERE id = 'alice'"],
        [
            f"{comparison.CURRENCY_DIFFERS}: pi:{{PI}} (account alice: €25.00 here, $25.00 there)",
            f"{comparison.CURRENCY_DIFFERS}: {{RE}} (account alice: -€7.00 here, -$7.00 there)",
            f"{comparison.CURRENCY_DIFFERS}: {{OUR}} (account alice: -€5.00 here, -$5.00 there)",
        ],
    ),
    "a refund of another amount": (
        [
            *both("{OUR}", -4 * UNIT),
            f"UPDATE payments SET refunded_micros = {11 * UNIT} WHERE id = '{{PAID}}'",
        ],
        [
            f"{comparison.AMOUNT_DIFFERS}: {{OUR}} (account alice: -$4.00 here, -$5.00 there)",
            f"{comparison.AMOUNT_DIFFERS}: {{PAID}} (account alice: refunded $11.00 here, $12.00"
            " there)",
        ],
    ),
    "a dispute of another amount": (
        [
            *both("{DU}", -4 * UNIT),
            f"UPDATE payments SET disputed_micros = {4 * UNIT} WHERE id = '{{LOST}}'",
        ],
        [
            f"{comparison.AMOUNT_DIFFERS}: {{DU}} (account bob: -$4.00 here, -$10.00 there)",
            f"{comparison.AMOUNT_DIFFERS}: {{LOST}} (account bob: disputed $4.00 here, $10.00"
            " there)",
        ],
    ),
    "a refund that is not here": (
        [
            "DELETE FROM credits WHERE reference = '{RE}'",
            "DELETE FROM transfers WHERE reference = 'credit:{RE}'",
        ],
        [f"{UNBOOKED}: {{RE}} (-$7.00, account alice)"],
    ),
    "a refund that is not there": (
        [
            "INSERT INTO credits (account_id, sequence, micros, reference, kind, at, payment_id)"
            f" SELECT account_id, 9, -{UNIT}, 're:re_x', kind, at, payment_id FROM credits"
            " WHERE reference = '{RE}'",
        ],
        [f"{comparison.UNPROVEN}: re:re_x (account alice: -$1.00 here, nothing there)"],
    ),
    "a refund that is not there and does not say of what": (
        [
            "INSERT INTO credits (account_id, sequence, micros, reference, kind, at)"
            f" SELECT account_id, 9, -{UNIT}, 're:re_x', kind, at FROM credits"
            " WHERE reference = '{RE}'",
        ],
        [f"{comparison.UNKNOWN}: re:re_x (account alice: -$1.00 here)"],
    ),
    "a refund that was given back, and stands there": (
        [
            "INSERT INTO credits (account_id, sequence, micros, reference, kind, at, payment_id)"
            f" SELECT account_id, 9, {5 * UNIT}, '{{OUR}}:failed', kind, at, payment_id"
            " FROM credits WHERE reference = '{OUR}'",
        ],
        [f"{comparison.UNPROVEN}: {{OUR}}:failed (account alice: $5.00 here, $0.00 there)"],
    ),
    "a dispute that was given back, and is lost there": (
        [
            "INSERT INTO credits (account_id, sequence, micros, reference, kind, at, payment_id)"
            f" SELECT account_id, 9, {10 * UNIT}, '{{DU}}:won', kind, at, payment_id"
            " FROM credits WHERE reference = '{DU}'",
        ],
        [f"{comparison.UNPROVEN}: {{DU}}:won (account bob: $10.00 here, $0.00 there)"],
    ),
    "a payment that nobody made": (
        INVENTED,
        [f"{comparison.UNKNOWN}: pi:pi_x (account alice: $99.00 here)"],
    ),
    "paid there, failed here": (
        [
            "DELETE FROM credits WHERE reference = 'pi:{PI}'",
            "DELETE FROM transfers WHERE reference = 'credit:pi:{PI}'",
            "UPDATE payments SET state = 'failed' WHERE id = '{PAID}'",
        ],
        [f"{UNBOOKED}: pi:{{PI}} ($25.00, account alice)"],
    ),
    "under another page's name": (
        ["UPDATE payments SET checkout_id = 'cs_x' WHERE id = '{PAID}'"],
        [f"{comparison.PAYMENT_DIFFERS}: {{PAID}} (account alice: checkout cs_x here, cs_"],
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
async def test_each_kind_of_difference_is_named_with_both_figures(trade, prove, kind):
    assert await prove() == []
    statements, findings = FAULTS[kind]
    await change(trade, *(statement.format(**trade.names) for statement in statements))
    found = await prove()
    due = [finding.format(**trade.names) for finding in findings]
    assert len(found) == len(due), found
    assert all(any(one.startswith(start) for one in found) for start in due), found
    assert all(ADVICE[one.partition(": ")[0]] for one in found)


async def test_what_is_booked_for_a_payment_that_failed_is_named(trade, prove):
    """Nobody has paid: the saved card was declined."""
    await trade.service._intents.create_async(
        {
            "amount": 700,
            "currency": "usd",
            "metadata": {"account": "alice", "payment": "pay_open"},
        }
    )
    (intent, *_) = await trade.objects("payment_intents")
    name = intent["id"]
    assert await prove() == []
    await trade.store.create("pay_open", "alice", "checkout", 7 * UNIT, "USD")
    await change(
        trade,
        f"UPDATE payments SET state = 'paid', payment_intent_id = '{name}' WHERE id = 'pay_open'",
    )
    await trade.ledger.add_credit(
        "alice", 7 * UNIT, reference=f"pi:{name}", kind="top-up", payment_id="pay_open"
    )
    assert await prove() == [
        f"{comparison.UNPROVEN}: pi:{name} (account alice: $7.00 here, $0.00 there)",
        f"{comparison.STATE_DIFFERS}: pay_open (account alice: paid here, failed there)",
    ]


async def test_what_was_booked_since_for_an_older_payment_is_asked_about(trade, prove, monkeypatch):
    """No list names it: it was created long before."""
    asked = []
    fetch = trade.service.intent

    async def intent(intent_id):
        asked.append(intent_id)
        return await fetch(intent_id)

    monkeypatch.setattr(trade.service, "intent", intent)
    monkeypatch.setattr("gateway.payments.history.REACH", dict.fromkeys(_KINDS, timedelta()))
    future = timedelta(seconds=-30)
    at = f"{datetime.now(UTC) + timedelta(seconds=60):%Y-%m-%d %H:%M:%S.%f}"
    await change(trade, f"UPDATE credits SET at = '{at}'")
    assert await prove(since=future) == []
    assert sorted(asked) == sorted((trade.names["PI"], trade.names["PI2"]))
    await change(trade, *(one.format(**trade.names) for one in both("{RE}", -UNIT)))
    assert await prove(since=future) == [
        f"{comparison.AMOUNT_DIFFERS}: {trade.names['RE']} (account alice: -$1.00 here, -$7.00"
        " there)"
    ]


_KINDS = ("checkout.session", "payment_intent", "refund", "dispute")


async def test_the_requests_are_bounded_and_what_is_left_out_is_said(trade, monkeypatch):
    monkeypatch.setattr(proof, "ASKED_MAX", 1)
    monkeypatch.setattr("gateway.payments.history.REACH", dict.fromkeys(_KINDS, timedelta()))
    at = f"{datetime.now(UTC) + timedelta(seconds=60):%Y-%m-%d %H:%M:%S.%f}"
    await change(trade, f"UPDATE credits SET at = '{at}'")
    compared = PaymentProof(history_of(trade), service=trade.service, store=trade.store)
    done = await compared.compare(datetime.now(UTC) + timedelta(seconds=30))
    assert (done.is_whole, done.findings) == (False, [])
    assert 0 < done.unasked < done.credits == 5


async def test_amounts_that_differ_are_reported_and_not_repaired(trade):
    await change(trade, *(one.format(**trade.names) for one in both("pi:{PI}", 50 * UNIT)))
    history = history_of(trade)
    before = await trade.ledger.balance("alice")
    steps = [step async for step in history.walk(datetime.now(UTC) - timedelta(hours=1))]
    assert [one for step in steps for one in step.unbooked] == []
    named = {str(one) for step in steps for points in step.differing.values() for one in points}
    assert any("$50.00 here, $25.00 there" in one for one in named)
    await trade.payments.book_object("payment_intent", trade.names["PI"])
    assert await trade.ledger.balance("alice") == before


async def test_a_refund_in_a_finding_shows_its_own_amount(trade, prove):
    await change(
        trade,
        "DELETE FROM credits WHERE kind = 'refund'",
        "DELETE FROM transfers WHERE kind = 'refund'",
    )
    (found,) = await prove()
    assert f"{trade.names['OUR']} (-$5.00, account alice)" in found
    assert f"{trade.names['RE']} (-$7.00, account alice)" in found


@pytest.mark.parametrize("is_automatic", [True, False])
async def test_a_payment_that_was_lost_is_found_again_as_what_it_was(shop, is_automatic):
    payment = await shop.paid(units=10, save_card=True)
    if is_automatic:
        await shop.payments.set_auto(
            "alice", enabled=True, threshold_micros=5 * UNIT, amount_micros=25 * UNIT
        )
        payment = await shop.auto.maybe_top_up("alice", UNIT)
    await change(shop, *(f"DELETE FROM {table}" for table in ("credits", "transfers", "payments")))
    await change(shop, "UPDATE accounts SET balance_micros = 0, credit_sequence = 0")
    history = history_of(shop)
    async for step in history.walk(datetime.now(UTC) - timedelta(hours=1)):
        for one in step.unbooked:
            assert await history.book(one) is None
    found = await shop.store.find(payment.id)
    assert found.kind == ("auto" if is_automatic else "checkout")
    assert found.state is payment.state


# -- what is in order stays so ---------------------------------------------------------------------


CURRENCIES = {"alice": "USD", "bob": "USD", "carol": "EUR", "dave": "JPY"}


PARTITIONS = 2
CENT = UNIT // 100


class Trade:
    """Random trade and calls of four accounts; every step leaves book and gate in order."""

    def __init__(self, shop, gate, seed):
        self.shop, self.gate, self.chance = shop, gate, random.Random(seed)
        self.paid = []
        self.disputes = []
        self.live = {}
        self.ended = 0
        self.drainer = Drainer(gate, shop.ledger, PARTITIONS)

    async def open(self):
        async with self.shop.engine.begin() as connection:
            rows = [
                tables.new_account(name, currency, datetime.now(UTC))
                for name, currency in CURRENCIES.items()
                if currency != "USD"
            ]
            await connection.execute(sa.insert(tables.accounts), rows)
        for partition in range(PARTITIONS):
            state = await self.shop.ledger.partition_state(partition, PARTITIONS)
            await self.gate.rebuild(partition, state)
        keep_frozen = self.shop._on_freeze

        async def freeze(account, frozen):
            await keep_frozen(account, frozen)
            await self.gate.freeze(account, frozen)

        self.shop.payments._on_freeze = freeze
        self.shop.payments._on_credit = self.bring

    async def bring(self, account):
        await bring_credits(self.gate, self.shop.ledger, account)

    async def call(self):
        """Begin a call, or let one go on for a second, or end it."""
        account = self.chance.choice(list(CURRENCIES))
        name = self.live.get(account)
        if name is None:
            name = f"c{self.chance.randrange(10**9)}"
            currency = CURRENCIES[account]
            opening = msgspec.structs.replace(
                calls.opening(name, account, at=datetime.now(UTC)), currency=currency
            )
            detail = msgspec.json.encode(opening)
            asked = Opening(name, account, "n1", CENT, 8 * CENT, 5, detail)
            asked = replace(asked, per_minute_micros=60 * CENT)
            if (await self.gate.open(asked)).result is OpenResult.OPENED:
                self.live[account] = name
        elif self.chance.random() < 0.5:
            tick = Tick(name, account, 12 * CENT, 4)
            await self.gate.tick(self.gate.partition(account), [tick])
        else:
            del self.live[account]
            self.ended += 1
            detail = msgspec.json.encode(calls.closing(4, at=datetime.now(UTC)))
            await self.gate.close(Closing(name, account, 4 * CENT, 4, detail))

    async def drain(self):
        await self.drainer.drain_once()

    async def step(self):
        deeds = (
            self.call,
            self.call,
            self.call,
            self.drain,
            self.pay,
            self.pay,
            self.refund,
            self.refund_there,
            self.dispute,
            self.decide,
            self.grant,
            self.top_up,
            self.fail_refund,
            self.forget,
        )
        await self.chance.choice(deeds)()

    async def pay(self):
        account = self.chance.choice(list(CURRENCIES))
        units = self.chance.randrange(50, 60)
        self.paid.append(await self.shop.paid(account, units, save_card=self.chance.random() < 0.5))

    async def refund(self):
        if payment := self.any_paid():
            with contextlib.suppress(PaymentError, RequestRefusedError):
                await self.shop.refunds.send_back(
                    payment.id,
                    self.chance.randrange(1, 5) * UNIT,
                    reference=str(self.chance.random()),
                )

    async def refund_there(self):
        if payment := self.any_paid():
            minor = self.chance.randrange(1, 3) * (1 if payment.currency == "JPY" else 100)
            reply = await self.shop.control.post(
                "/refunds",
                json={"payment_intent": payment.payment_intent_id, "amount": minor},
            )
            if reply.status_code == 200:
                await self.shop.payments.book_object("refund", reply.json()["id"])

    async def fail_refund(self):
        refunds = [r for r in await self.shop.objects("refunds") if r["status"] == "succeeded"]
        if refunds:
            name = self.chance.choice(refunds)["id"]
            reply = await self.shop.control.post(f"/refunds/{name}/fail")
            if reply.status_code == 200:
                await self.shop.payments.book_object("refund", name)

    async def dispute(self):
        if payment := self.any_paid():
            reply = await self.shop.control.post(
                "/disputes", json={"payment_intent": payment.payment_intent_id}
            )
            if reply.status_code == 200:
                self.disputes.append(reply.json()["id"])
                await self.shop.payments.book_object("dispute", self.disputes[-1])

    async def decide(self):
        if self.disputes:
            name = self.disputes.pop(self.chance.randrange(len(self.disputes)))
            await self.shop.does(
                "POST", f"/disputes/{name}", status=self.chance.choice(("won", "lost"))
            )
            await self.shop.payments.book_object("dispute", name)

    async def grant(self):
        account = self.chance.choice(list(CURRENCIES))
        reference = f"gift:{self.chance.random()}"
        await self.shop.ledger.add_credit(
            account, self.chance.choice((1, -1)) * 1_234, reference=reference, kind="grant"
        )
        await self.bring(account)

    async def top_up(self):
        account = self.chance.choice(("alice", "carol"))
        if (await self.shop.store.profile(account)).has_card:
            await self.shop.payments.set_auto(
                account, enabled=True, threshold_micros=5 * UNIT, amount_micros=20 * UNIT
            )
            done = await self.shop.auto.maybe_top_up(account, UNIT)
            self.shop.clock.ahead += timedelta(minutes=2)
            if hasattr(done, "payment_intent_id"):
                self.paid.append(done)

    async def forget(self):
        """Lose what was booked of the newest payment, as an older copy would, and recover it."""
        if not self.paid:
            return
        payment = self.paid[-1]
        entries = await self.shop.store.entries(payment)
        newest = await self.shop.ledger.credits_after(payment.account_id, 0)
        if len(entries) != 1 or newest[-1][1] != entries[0].micros:
            return
        reference, account = entries[0].reference, payment.account_id
        await change(
            self.shop,
            f"DELETE FROM credits WHERE reference = '{reference}'",
            f"DELETE FROM transfers WHERE reference = 'credit:{reference}'",
            f"DELETE FROM payments WHERE id = '{payment.id}'",
            "UPDATE accounts SET credit_sequence = credit_sequence - 1, balance_micros ="
            f" balance_micros - {entries[0].micros} WHERE id = '{account}'",
        )
        history = history_of(self.shop)
        async for step in history.walk(datetime.now(UTC) - timedelta(hours=1)):
            for one in step.unbooked:
                assert await history.book(one) is None

    def any_paid(self):
        return self.chance.choice(self.paid) if self.paid else None


@pytest.mark.parametrize("seed", range(6))
async def test_no_history_that_is_in_order_has_a_finding(
    shop, prove, valkey_url, seed, monkeypatch
):
    """Calls are under way all the time, and the outbox is drained now and then."""
    monkeypatch.setattr(gate_audit, "COMPARISON_PAUSE_S", 0)
    redis = connect(valkey_url)
    trade = Trade(shop, RedisSpendGate(redis, PARTITIONS, timeout_s=5), seed)
    try:
        await trade.open()
        for n in range(40):
            await trade.step()
            assert await audit(shop.engine, clock=shop.clock) == []
            assert await gate_audit.audit_gate(trade.gate, shop.engine, PARTITIONS) == []
            if n % 8 == 7:
                assert await prove() == []
        while not trade.ended:
            await trade.call()
        assert await gate_audit.audit_gate(trade.gate, shop.engine, PARTITIONS) == []
    finally:
        await disconnect(redis)
    assert trade.paid


ROWS = {
    # what is changed of a payment's row alone, and what is said
    "no page": ("PAID", "checkout_id = NULL", "checkout none here, cs_"),
    "an empty page": ("PAID", "checkout_id = ''", "checkout none here, cs_"),
    "another page of an open one": ("OPEN", "checkout_id = 'cs_x'", "checkout cs_x here, cs_"),
    "an intent of an open one": (
        "OPEN",
        "payment_intent_id = 'pi_x'",
        "payment intent pi_x here, none there",
    ),
    "another account of an open one": ("OPEN", "account_id = 'bob'", "account bob here, alice"),
    "another id of an open one": ("OPEN", "id = 'pay_x'", "payment pay_x here, "),
}


@pytest.mark.parametrize("kind", ROWS)
async def test_a_row_that_names_others_than_the_service_is_named(trade, prove, kind):
    """Paid or not: a page bears our notes from the beginning."""
    payment, _ = await trade.payments.start_checkout("alice", 13 * UNIT)
    assert await prove() == []
    names = {**trade.names, "OPEN": payment.id}
    name, value, said = ROWS[kind]
    await change(trade, f"UPDATE payments SET {value} WHERE id = '{names[name]}'")
    found = await prove()
    assert found
    assert all(one.startswith(f"{comparison.PAYMENT_DIFFERS}: ") for one in found), found
    assert any(said in one for one in found), found


async def told_otherwise(trade, monkeypatch, kind, **fields):
    """Have the service's lists say something else of all objects of a kind."""
    for name in ("_sessions", "_intents", "_refunds", "_disputes"):
        of_kind = getattr(trade.service, name)
        fetch = of_kind.list_async

        async def list_async(*arguments, fetch=fetch):
            found = await fetch(*arguments)
            reply = found.to_dict()
            for each in reply["data"]:
                if each["object"] == kind:
                    each.update(fields)
            return Told(reply)

        monkeypatch.setattr(of_kind, "list_async", list_async)


class Told:
    """What a list says."""

    def __init__(self, reply):
        self.reply = reply

    def to_dict(self):
        return self.reply


@pytest.mark.parametrize(("kind", "names"), [("refund", ("RE", "OUR")), ("dispute", ("DU",))])
async def test_the_currency_and_payment_of_what_went_back_are_compared(
    trade, prove, monkeypatch, kind, names
):
    assert await prove() == []
    with monkeypatch.context() as patch:
        await told_otherwise(trade, patch, kind, currency="eur")
        found = await prove()
        for name in names:
            due = f"{comparison.CURRENCY_DIFFERS}: {trade.names[name]} ("
            assert [one for one in found if one.startswith(due) and "€" in one], found
    other = trade.names["PI2" if kind == "refund" else "PI"]
    with monkeypatch.context() as patch:
        await told_otherwise(trade, patch, kind, payment_intent=other)
        found = await prove()
        for name in names:
            due = f"{comparison.ENTRY_DIFFERS}: {trade.names[name]} (account "
            assert [one for one in found if one.startswith(due)], found
            assert any(f"{other} there" in one for one in found), found
    assert await prove() == []


async def test_a_paid_intent_of_ours_that_has_lost_its_notes_is_named(trade, prove, monkeypatch):
    for kind in ("payment_intent", "checkout.session"):
        with monkeypatch.context() as patch:
            await told_otherwise(trade, patch, kind, metadata={}, client_reference_id=None)
            found = await prove()
        assert {one.partition(" (")[0] for one in found} == {
            f"{comparison.PAYMENT_DIFFERS}: {trade.names[name]}" for name in ("PAID", "LOST")
        }
        assert all("none there" in one for one in found)
    assert await prove() == []


async def test_a_top_up_that_is_dated_before_its_payment_is_named(trade, prove):
    """A day is left for clocks; what is booked late was lost and found again."""
    later, day = datetime.now(UTC) + timedelta(days=9), timedelta(days=1)
    for at, is_named in ((later, False), (later - 9 * day, False), (later - 19 * day, True)):
        await change(
            trade,
            *(
                f"UPDATE {table} SET at = '{at:%Y-%m-%d %H:%M:%S.%f}'"
                f" WHERE reference = '{prefix}pi:{trade.names['PI']}'"
                for table, prefix in (("credits", ""), ("transfers", "credit:"))
            ),
        )
        found = await prove()
        due = f"{comparison.BOOKED_BEFORE}: pi:{trade.names['PI']} (account alice: "
        assert [one.startswith(due) for one in found] == [True] * is_named, found


async def test_a_payment_that_is_recovered_has_its_page_again(trade, prove):
    page = (await trade.store.find(trade.names["PAID"])).checkout_id
    await change(
        trade,
        *(
            statement.format(**trade.names)
            for statement in (
                "DELETE FROM credits WHERE payment_id = '{PAID}'",
                "DELETE FROM transfers WHERE reference LIKE 'credit:%' AND account_id = 'alice'",
                "DELETE FROM payments WHERE id = '{PAID}'",
            )
        ),
    )
    history = history_of(trade)
    async for step in history.walk(datetime.now(UTC) - timedelta(hours=1)):
        for one in step.unbooked:
            await history.book(one)
    assert (await trade.store.find(trade.names["PAID"])).checkout_id == page
    assert await prove() == []


async def test_a_page_that_names_another_payment_is_named(trade, prove, monkeypatch):
    with monkeypatch.context() as patch:
        noted = {"account": "alice", "payment": "pay_7"}
        await told_otherwise(trade, patch, "checkout.session", metadata=noted)
        found = await prove()
    due = f"{comparison.PAYMENT_DIFFERS}: {trade.names['PAID']} ("
    assert [one for one in found if one.startswith(due) and "pay_7 there" in one], found


@pytest.mark.parametrize("notes", [{}, {"refund": "pay_x:500:b"}])
async def test_a_refund_whose_notes_were_changed_is_not_booked_again(
    trade, prove, monkeypatch, notes
):
    """Neither by a webhook, nor by the history: the same money went back once."""
    refunds = await trade.objects("refunds")
    (ours,) = [one["id"] for one in refunds if one["metadata"].get("refund")]
    name = f"refund:{notes['refund']}" if notes else f"re:{ours}"
    fetch = trade.service._refunds.list_async

    async def list_async(*arguments):
        reply = (await fetch(*arguments)).to_dict()
        for one in reply["data"]:
            if one["id"] == ours:
                one["metadata"] = notes
        return Told(reply)

    before = await trade.balance()
    with monkeypatch.context() as patch:
        patch.setattr(trade.service._refunds, "list_async", list_async)
        await trade.payments.book_object("refund", ours)
        history = history_of(trade)
        left = [
            await history.book(one)
            async for step in history.walk(datetime.now(UTC) - timedelta(hours=1))
            for one in step.unbooked
        ]
        found = await prove()
        # What is new is booked all the same, also of the same amount.
        new = await trade.does("POST", "/refunds", payment_intent=trade.names["PI"], amount=500)
        await trade.payments.book_object("refund", new["id"])
        assert await trade.balance() == before - 5
        assert await trade.store.is_booked(f"re:{new['id']}")
    assert left
    assert all("under another name" in str(one) for one in left)
    assert [one for one in found if one.startswith(f"{UNBOOKED}: {name} ")], found


UNREADABLE = [
    f"UPDATE {table} SET {column} = {value} WHERE {column} IS NOT NULL AND {which}"
    for table, which, columns in (
        (
            "payments",
            "id = '{PAID}'",
            {
                "kind": "CAST(x'ff' AS TEXT)",
                "micros": "'much'",
                "refunded_micros": "x'00'",
                "state": "'strange'",
                "created_at": "'yesterday'",
                "updated_at": "7",
                "currency": "CAST(x'ff' AS TEXT)",
                "disputed_micros": "'x'",
            },
        ),
        ("credits", "reference = 'pi:{PI}'", {"micros": "'much'", "at": "'then'", "kind": "x'ff'"}),
        ("accounts", "id = 'alice'", {"currency": "x'ff'", "created_at": "'x'"}),
    )
    for column, value in columns.items()
]


@pytest.mark.parametrize("planted", UNREADABLE)
async def test_a_row_that_cannot_be_read_hides_no_other_payment(trade, prove, planted):
    """It is the other audit's to name; here nothing is invented about it, and the rest compared."""
    other = "UPDATE credits SET micros = 9000000 WHERE reference = 'pi:{PI2}'"
    await change(trade, planted.format(**trade.names), other.format(**trade.names))
    found = await prove()
    assert [each for each in found if trade.names["PI2"] in each] != []
    assert not [each for each in found if each.startswith(UNBOOKED)]
    assert not [each for each in found if f"pi:{trade.names['PI']}" in each]
    named = await book_audit.audit(trade.engine)
    assert any(each.startswith("value that cannot be read") for each in named)
