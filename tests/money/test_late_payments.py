"""What is paid while an account is deleted, or after it, goes back by itself, whatever dies.

On a real book and gate, at the simulated payment service. Deaths are exceptions before and after
each step that changes something.
"""

import dataclasses
from datetime import timedelta

import httpx
import pytest
import sqlalchemy as sa

from accounts.audit_log import Actor
from accounts.erasure import ErasureState, ErasureStep, Unspent
from accounts.holder import Holder
from accounts.stores import holders
from billing.clock import utc_now
from billing.payments import AutoLimits, Payment, PaymentState
from billing.stores import late_payments, tables
from billing.stores.audit import audit
from billing.stores.payments import SqlPaymentStore
from billing.stores.sql import SqlLedgerStore
from database.engine import TIMEOUT_S, writing
from gateway.charging.account_erasure import AccountErasure
from gateway.charging.recovery import bring_credits
from gateway.payments.auto_top_up import AutoTopUps
from gateway.payments.credit_return import CreditReturn
from gateway.payments.last_payments import LastPayments
from gateway.payments.ports import CheckoutOrder
from gateway.payments.refunds import Refunds
from gateway.payments.service import CHECKOUT_LIFE, Payments
from gateway.payments.stripe_client import StripePayments
from gateway.personal_data.erasing import LEASED, SqlErasing
from gateway.settings import Settings
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.mail_outbox import SqlMailOutbox
from simulators.payments.service import PaymentSimulatorService, PaymentSimulatorSettings
from tests.money.ledger_world import UNIT

API_KEY = "sk_test_late"
SETTINGS = Settings(public_origin="https://calls.example.com")
CHANGES = frozenset(
    {
        "expire_checkout",
        "refund",
        "add_credit",
        "record",
        "reopen_paid_late",
        "reopen_failed_refunds",
        "lease",
        "proceed",
        "rest",
        "finish",
        "blank_records",
        "erase_person",
        "mark_deleted",
    }
)
"""What a process may die before, and after."""


class Died(Exception):
    """Stands for the death of the process."""


class Deaths:
    """Lets the process die once, at one of all moments before and after a change."""

    def __init__(self):
        self.moments, self.dies_at = 0, None

    def of(self, kept):
        return _Mortal(kept, self)

    def pass_moment(self):
        self.moments += 1
        if self.moments == self.dies_at:
            raise Died


class _Mortal:
    def __init__(self, kept, deaths):
        self._kept, self._deaths = kept, deaths

    def __getattr__(self, name):
        found = getattr(self._kept, name)
        if name not in CHANGES:
            return found

        async def call(*arguments, **named):
            self._deaths.pass_moment()
            answer = await found(*arguments, **named)
            self._deaths.pass_moment()
            return answer

        return call


class Till:
    """Alice's account, who pays and leaves, and all that works on it."""

    def __init__(self, world, simulator, service):
        self.world, self.simulator = world, simulator
        self.deaths, self.now, self.events = Deaths(), utc_now(), []
        self.service = self.deaths.of(service)
        self.store = self.deaths.of(SqlPaymentStore(world.engine))
        self.kept = SqlErasing(world.engine, world.gate.restate, clock=lambda: self.now)
        self.at = utc_now
        book = self.deaths.of(SqlLedgerStore(world.engine, clock=self.clock))

        async def on_credit(account_id):
            await bring_credits(world.gate, book, account_id)

        def notify(event, _data):
            self.events.append(event)

        parts = {"service": self.service, "store": self.store, "ledger": book, "notify": notify}
        self.payments = Payments(
            SETTINGS, **parts, on_credit=on_credit, on_freeze=world.gate.freeze
        )
        self.refunds_of = Refunds(
            self.payments, **parts, on_credit=on_credit, balance=world.gate.balance
        )
        auto = AutoTopUps(
            self.payments,
            service=self.service,
            store=self.store,
            limits=AutoLimits(100 * UNIT, timedelta(seconds=60)),
            notify=notify,
        )
        self.work = AccountErasure(
            gate=world.gate,
            ledger=book,
            erasures=self.deaths.of(self.kept),
            accounts=self.deaths.of(SqlAccountStore(world.engine, clock=self.clock)),
            profiles=self.store,
            drain=world.drainer.drain_once,
            settle=LastPayments(self.payments, self.service, self.store, auto.charge).settle,
            send_back=CreditReturn(
                self.store, self.refunds_of, world.gate.balance, clock=self.clock
            ).send_back,
            forget_customer=service.forget_customer,
            end_sessions=self.nothing,
            require_journal=self.nothing,
            note=self.nothing,
            rewrite_files=self.rewritten,
            clock=lambda: self.now,
        )
        self.browser = httpx.AsyncClient()

    def clock(self):
        """Return the time of what is booked: the real one, unless a test sets another."""
        return self.at()

    async def nothing(self, *_arguments):
        """Do what is proven elsewhere."""

    async def rewritten(self):
        return True

    async def open_page(self, name, account_id="alice") -> tuple[Payment, str]:
        """Open a page past all refusals: as who asked when they were still welcome."""
        payment = await self.store.create(name, account_id, "checkout", 25 * UNIT, "USD")
        order = CheckoutOrder(
            payment=payment,
            minor=2500,
            save_card=False,
            customer_id="",
            email="",
            success_url="https://calls.example.com/ok",
            cancel_url="https://calls.example.com/no",
            expires_at=payment.created_at + CHECKOUT_LIFE,
        )
        page = await self.service.open_checkout(order)
        return await self.store.record(name, PaymentState.OPEN, checkout_id=page.id), page.url

    async def pay(self, url):
        form = {"method": "card", "email": "alice@example.com"}
        return await self.browser.post(url, data=form)

    async def paid_late(self, name, account_id="alice"):
        """Pay on a page that outlived the account."""
        payment, url = await self.open_page(name, account_id)
        await self.pay(url)
        return payment

    async def leave(self, unspent=Unspent.REFUND, account_id="alice"):
        await self.kept.begin_now(account_id, unspent, Actor.HOLDER)
        assert (await self.work.perform(account_id)).next_step is None

    async def go_on(self):
        """Do what nodes do within some minutes."""
        await self.work.look_for_late_credit()
        await self.work.round()

    async def refunds(self):
        """Return payment intent -> minor units that went back at the payment service."""
        reply = await self.browser.get(
            f"{self.simulator.origin}/simulator/v1/objects/refunds",
            headers={"authorization": f"Bearer {API_KEY}"},
        )
        refunds = [(each["payment_intent"], each["amount"]) for each in reply.json()["data"]]
        assert len({intent for intent, _ in refunds}) == len(refunds)
        return dict(refunds)

    async def refuse_refunds(self):
        fault = {"status": 400, "count": 9, "path": "/v1/refunds"}
        await self.browser.put(
            f"{self.simulator.origin}/simulator/v1/faults",
            json={"requests": fault},
            headers={"authorization": f"Bearer {API_KEY}"},
        )

    async def is_in_order(self):
        """Assert that book, gate and deletion agree, also to an audit of another day."""
        assert await self.world.findings() == []
        later = utc_now() + 2 * late_payments.SENT_BACK_WITHIN
        assert await audit(self.world.engine, clock=lambda: later) == []
        assert (await self.kept.find("alice")).state is ErasureState.DONE


@pytest.fixture
async def till(new_world, valkey_url):
    world = new_world(valkey_url)
    await world.open_accounts(alice=5 * UNIT)
    simulator = PaymentSimulatorService(PaymentSimulatorSettings(api_key=API_KEY))
    await simulator.start()
    service = StripePayments(api_key=API_KEY, origin=simulator.origin)
    till = Till(world, simulator, service)
    yield till
    await till.browser.aclose()
    await service.close()
    await simulator.stop()


@pytest.mark.parametrize("unspent", Unspent)
async def test_a_payment_after_a_deletion_goes_back_and_leaves_nothing(till, unspent):
    await till.leave(unspent)
    before = await till.world.gate.balance("alice")
    payment = await till.payments.book_outcome(await till.paid_late("pay_late"))
    assert await till.world.gate.balance("alice") == before + 25 * UNIT
    for _ in range(2):
        await till.go_on()
        assert await till.world.gate.balance("alice") == before
        assert await till.refunds() == {payment.payment_intent_id: 2500}
        await till.is_in_order()
    # What names the payer does not come back with it.
    kept = await till.store.find(payment.id)
    assert (kept.receipt_url, kept.refunded_micros) == ("", 25 * UNIT)
    assert till.events == ["payment.received", "payment.account_deleted", "payment.refunded"]


@pytest.mark.parametrize(
    ("unspent", "is_refused", "told"),
    [
        (
            Unspent.REFUND,
            False,
            {"language": "de", "sent_back_micros": "25000000", "given_up_micros": "5000000"},
        ),
        (Unspent.REFUND, True, {"language": "de", "given_up_micros": "30000000"}),
        (Unspent.GIVE_UP, False, {"language": "de", "given_up_micros": "30000000"}),
    ],
)
async def test_the_last_mail_says_whether_credit_goes_back(till, unspent, is_refused, told):
    at, engine = till.now, till.world.engine
    async with writing(engine, TIMEOUT_S) as connection:
        alice = Holder("alice", "alice@example.com", at, "hash", 1, "de", at)
        assert await holders.insert(connection, alice, "alice@example.com")
    payment, url = await till.open_page("pay_1")
    await till.pay(url)
    payment = await till.payments.book_outcome(payment)
    if is_refused:
        await till.refuse_refunds()
    till.now = utc_now()
    await till.leave(unspent)
    assert bool(await till.refunds()) == ("sent_back_micros" in told)
    mails = SqlMailOutbox(engine, clock=lambda: till.now)
    claimed = await mails.claim(9, domain="example.com", until=till.now + timedelta(hours=1))
    assert [(mail.notice.name, mail.notice.values) for mail in claimed] == [
        ("account_deleted", told)
    ]


async def test_a_payment_goes_back_while_old_files_are_waited_for(till):
    async def not_yet():
        return False

    till.work = dataclasses.replace(till.work, rewrite_files=not_yet)
    await till.kept.begin_now("alice", Unspent.GIVE_UP, Actor.HOLDER)
    assert (await till.work.perform("alice")).next_step is ErasureStep.FILES
    payment = await till.payments.book_outcome(await till.paid_late("pay_late"))
    await till.go_on()
    assert await till.refunds() == {payment.payment_intent_id: 2500}


async def test_a_page_that_is_open_when_a_deletion_begins_takes_no_money(till):
    payment, url = await till.open_page("pay_open")
    await till.leave()
    await till.pay(url)
    assert (await till.payments.book_outcome(payment)).state is PaymentState.EXPIRED
    assert await till.refunds() == {}
    await till.is_in_order()


async def test_what_was_paid_and_not_told_of_goes_back_with_the_rest(till):
    payment = await till.paid_late("pay_untold")
    await till.leave(Unspent.GIVE_UP)
    payment = await till.store.find(payment.id)
    assert await till.refunds() == {payment.payment_intent_id: 2500}
    await till.is_in_order()


async def test_a_payment_that_comes_in_the_middle_of_the_step_is_not_written_off(till):
    """Its credit is booked when the others have been sent back."""
    late, send_back = [], till.work.send_back

    async def overtaken(account_id, since):
        await send_back(account_id, since)
        if not late:
            late.append(await till.payments.book_outcome(await till.paid_late("pay_amid")))

    till.work = dataclasses.replace(till.work, send_back=overtaken)
    await till.leave(Unspent.GIVE_UP)
    assert await till.refunds() == {late[0].payment_intent_id: 2500}
    await till.is_in_order()


@pytest.mark.parametrize("unspent", [Unspent.REFUND, Unspent.KEEP])
async def test_what_no_card_takes_is_treated_as_the_rest_was_and_is_not_tried_for_ever(
    till, unspent
):
    await till.leave(unspent)
    before = await till.world.gate.balance("alice")
    await till.payments.book_outcome(await till.paid_late("pay_late"))
    await till.refuse_refunds()
    for _ in range(2):
        await till.go_on()
        await till.is_in_order()
    left = 25 * UNIT if unspent is Unspent.KEEP else 0
    assert await till.world.gate.balance("alice") == before + left
    assert await till.kept.reopen_paid_late() == ()


async def test_one_that_nobody_sends_back_is_found_by_the_audit(till):
    await till.leave()
    await till.payments.book_outcome(await till.paid_late("pay_late"))
    soon, later = (
        utc_now() + factor * late_payments.SENT_BACK_WITHIN + timedelta(minutes=sign)
        for factor, sign in ((1, -1), (1, 1))
    )
    assert await audit(till.world.engine, clock=lambda: soon) == []
    (found,) = await audit(till.world.engine, clock=lambda: later)
    assert found.startswith(f"{late_payments.RULE}: pay_late (account alice, booked 25.000000")


@pytest.mark.thorough
@pytest.mark.timeout(600)
async def test_it_goes_back_once_whenever_the_process_dies(till):
    """An account for each moment at which a process can die while a payment goes back."""
    accounts = [f"a{moment}" for moment in range(1, 120)]
    await till.world.open_accounts(**dict.fromkeys(accounts, 0))
    sent = {}
    for moment, account_id in enumerate(accounts, 1):
        await till.leave(account_id=account_id)
        payment = await till.paid_late(f"pay_{moment}", account_id)
        till.deaths.moments, till.deaths.dies_at = 0, moment
        for _ in range(2):
            try:
                # As a webhook that is told again until it is taken.
                booked = await till.payments.book_outcome(payment)
                await till.go_on()
                break
            except Died:
                # What the dead process held is over.
                till.now += LEASED
        sent[booked.payment_intent_id] = 2500
        assert await till.refunds() == sent, moment
        assert await till.world.gate.balance(account_id) == 0
        if till.deaths.moments < moment:
            break
    assert 30 < moment < len(accounts)
    till.deaths.dies_at = None
    await till.leave()
    await till.is_in_order()


@pytest.mark.thorough
async def test_a_deletion_itself_closes_and_returns_once_whenever_it_dies(till):
    """One account, which dies again at each moment until it is done; nothing is done twice."""
    _, url = await till.open_page("pay_open")
    paid = await till.paid_late("pay_untold")
    await till.kept.begin_now("alice", Unspent.GIVE_UP, Actor.HOLDER)
    for moment in range(1, 200):
        till.deaths.moments, till.deaths.dies_at = 0, moment
        try:
            progress = await till.work.perform("alice")
        except Died:
            till.now += LEASED
            continue
        if progress is None or progress.next_step is None:
            break
    till.deaths.dies_at = None
    await till.pay(url)
    assert await till.refunds() == {(await till.store.find(paid.id)).payment_intent_id: 2500}
    async with till.world.engine.connect() as connection:
        states = sa.select(tables.payments.c.state).order_by(tables.payments.c.id)
        assert (await connection.scalars(states)).all() == ["expired", "paid"]
    await till.is_in_order()
