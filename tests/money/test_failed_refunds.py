"""A refund that fails once its account is erased is tried again, and then told to an operator.

Deaths are exceptions out of a store or the payment service, before a change and after it.
"""

from datetime import timedelta

import pytest

from accounts.erasure import Unspent
from billing.credit_returns import RETRY_AFTER
from billing.payments import LEAVING_NAMES
from billing.stores import deletion_refunds
from billing.stores.audit import ADVICE, audit
from billing.stores.gate_audit import audit_gate
from database.engine import TIMEOUT_S, reading
from gateway.personal_data.erasing import LEASED
from tests.money import test_late_payments
from tests.money.ledger_world import UNIT
from tests.money.test_late_payments import API_KEY, Died

SECOND = timedelta(seconds=1)
till = test_late_payments.till


@pytest.fixture
def bank(till):
    """The till, on one clock, and what the bank does with its refunds."""
    till.at = lambda: till.now
    return Bank(till)


class Bank:
    def __init__(self, till):
        self.till, self.gate = till, till.world.gate

    async def _control(self, verb, path, **options):
        reply = await self.till.browser.request(
            verb,
            f"{self.till.simulator.origin}/simulator/v1{path}",
            headers={"authorization": f"Bearer {API_KEY}"},
            **options,
        )
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def refunds(self):
        """Return the refunds at the payment service, the first first."""
        return (await self._control("GET", "/objects/refunds"))["data"][::-1]

    async def fails(self, *, told=1):
        """Fail the newest refund, of which a webhook tells as often; return it."""
        refund = (await self.refunds())[-1]
        await self._control("POST", f"/refunds/{refund['id']}/fail")
        for _ in range(told):
            await self.hears(refund)
        return refund

    async def hears(self, refund):
        """Take a webhook about a refund."""
        await self.till.payments.book_object("refund", refund["id"])

    async def paid(self, name, account_id="alice", **options):
        payment, url = await self.till.open_page(name, account_id, **options)
        await self.till.pay(url)
        return await self.till.payments.book_outcome(payment)

    async def go_on(self, later=RETRY_AFTER):
        self.till.now += later
        await self.till.go_on()

    async def balance(self, account_id="alice"):
        return await self.gate.balance(account_id)

    async def findings(self, later=timedelta()):
        """Return what the audits of book and gate find; the first as on another day."""
        engine = self.till.world.engine
        now = self.till.now + later
        found = await audit(engine, clock=lambda: now)
        return found + await audit_gate(self.gate, engine, self.till.world.partitions)

    async def failed(self):
        async with reading(self.till.world.engine, TIMEOUT_S) as connection:
            return await deletion_refunds.listed(connection, 9)


def names(refunds):
    return [each["metadata"]["refund"].rpartition(":")[2] for each in refunds]


@pytest.mark.parametrize("unspent", Unspent)
async def test_it_is_tried_again_six_hours_later(bank, unspent):
    """Whatever was chosen: what was on its way to a card is not given up."""
    if unspent is Unspent.REFUND:
        await bank.paid("pay_1")
        await bank.till.leave(unspent)
    else:
        await bank.till.leave(unspent)
        await bank.paid("pay_1")
        await bank.go_on(SECOND)
    before = await bank.balance()
    await bank.fails(told=2)
    assert await bank.balance() == before + 25 * UNIT
    await bank.go_on(RETRY_AFTER - SECOND)
    assert await bank.balance() == before + 25 * UNIT
    await bank.go_on(SECOND)
    assert await bank.balance() == before
    assert [(r["amount"], r["status"]) for r in await bank.refunds()] == [
        (2500, "failed"),
        (2500, "succeeded"),
    ]
    assert names(await bank.refunds()) == list(LEAVING_NAMES[:2])
    # Once more changes nothing, and nothing is left to be named.
    await bank.go_on()
    assert len(await bank.refunds()) == 2
    assert (await bank.failed(), await bank.findings(timedelta(days=9))) == ([], [])


async def strand(bank):
    """Let all attempts of one refund fail; return the refunds."""
    await bank.paid("pay_1")
    await bank.till.leave()
    for number in range(len(LEAVING_NAMES)):
        if number:
            await bank.go_on()
        await bank.fails()
    return await bank.refunds()


async def test_after_three_failures_an_operator_is_told_what_to_do(bank):
    refunds = await strand(bank)
    assert names(refunds) == list(LEAVING_NAMES)
    for _ in range(3):
        await bank.go_on()
    assert len(await bank.refunds()) == 3
    assert await bank.balance() == 25 * UNIT
    (found,) = await bank.findings()
    assert found.startswith(f"{deletion_refunds.RULE}: pay_1 (account alice, left 25.000000, ")
    assert "attempts 3" in found
    assert "--write-off" in ADVICE[deletion_refunds.RULE]
    (listed,) = await bank.failed()
    assert (listed.payment_id, listed.micros, listed.attempts) == ("pay_1", 25 * UNIT, 3)
    assert listed.is_given_up
    # A webhook that is late or comes again changes nothing.
    for refund in (refunds[2], refunds[0], refunds[1]):
        await bank.hears(refund)
    assert await bank.balance() == 25 * UNIT


async def test_an_operators_write_off_ends_it(bank):
    await strand(bank)
    bank.till.now += SECOND
    await bank.till.leave(Unspent.GIVE_UP)
    assert (await bank.balance(), await bank.failed(), await bank.findings()) == (0, [], [])
    await bank.go_on()
    assert len(await bank.refunds()) == 3


async def test_an_alarm_says_that_nobody_tries(bank):
    await bank.paid("pay_1")
    await bank.till.leave()
    await bank.fails()
    soon, later = deletion_refunds.TRIED_WITHIN, deletion_refunds.TRIED_WITHIN + SECOND
    assert await bank.findings(soon) == []
    (found,) = await bank.findings(later)
    assert "attempts 1" in found


async def test_what_is_refused_at_once_in_a_second_attempt_is_not_given_up(bank):
    await bank.paid("pay_1")
    await bank.till.leave()
    await bank.fails()
    await bank.till.refuse_refunds()
    await bank.go_on()
    assert await bank.balance() == 25 * UNIT
    assert [each.attempts for each in await bank.failed()] == [2]
    await bank.go_on()
    assert [each.is_given_up for each in await bank.failed()] == [True]
    assert len(await bank.findings()) == 1


async def test_what_comes_late_does_not_give_up_what_has_failed(bank):
    """A payment that no card takes, while a refund waits for its second attempt."""
    await bank.paid("pay_1")
    await bank.till.leave()
    await bank.fails()
    bank.till.now += SECOND
    await bank.paid("pay_2")
    await bank.till.refuse_refunds()
    await bank.go_on(SECOND)
    assert await bank.balance() == 50 * UNIT
    await bank.till.browser.delete(
        f"{bank.till.simulator.origin}/simulator/v1/faults",
        headers={"authorization": f"Bearer {API_KEY}"},
    )
    await bank.go_on()
    assert await bank.balance() == 0
    assert await bank.findings(timedelta(days=9)) == []


async def test_what_was_given_up_once_is_not_taken_for_a_failure_later(bank):
    """A refund that was refused as the account was deleted; then another payment's fails."""
    await bank.paid("pay_1")
    await bank.till.refuse_refunds()
    await bank.till.leave()
    assert (await bank.balance(), await bank.failed()) == (0, [])
    await bank.till.browser.delete(
        f"{bank.till.simulator.origin}/simulator/v1/faults",
        headers={"authorization": f"Bearer {API_KEY}"},
    )
    bank.till.now += SECOND
    await bank.paid("pay_2")
    await bank.go_on(SECOND)
    await bank.fails()
    assert [each.payment_id for each in await bank.failed()] == ["pay_2"]


async def test_a_refund_that_fails_amid_the_deletion_is_tried_again_once_that_is_done(bank):
    """Its news comes between the step and the end of the deletion."""
    await bank.paid("pay_1")
    forget = bank.till.work.forget_customer

    async def slow(customer_id):
        await bank.fails()
        await forget(customer_id)

    object.__setattr__(bank.till.work, "forget_customer", slow)
    await bank.till.store.save_card("alice", "cus_1", "pm_1", "")
    await bank.till.leave()
    assert await bank.balance() == 25 * UNIT
    await bank.go_on()
    assert await bank.balance() == 0


async def test_news_of_a_failure_that_comes_after_the_next_attempt_changes_nothing(bank):
    """The service's event of the first failure is delivered again when the second stands."""
    await bank.paid("pay_1")
    await bank.till.leave()
    first = await bank.fails()
    await bank.go_on()
    await bank.hears(first)
    assert await bank.balance() == 0
    await bank.go_on()
    assert len(await bank.refunds()) == 2


@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.parametrize("attempt", [2, 3])
async def test_it_is_tried_once_whenever_the_process_dies(bank, attempt):
    """An account for each moment at which a process can die in an attempt."""
    till = bank.till
    accounts = [f"a{moment}" for moment in range(1, 120)]
    await till.world.open_accounts(**dict.fromkeys(accounts, 0))
    for moment, account_id in enumerate(accounts, 1):
        await bank.paid(f"pay_{moment}", account_id)
        await till.leave(account_id=account_id)
        await bank.fails()
        for _ in range(attempt - 2):
            await bank.go_on()
            await bank.fails()
        till.now += RETRY_AFTER
        till.deaths.moments, till.deaths.dies_at = 0, moment
        before = await bank.refunds()
        for _ in range(2):
            try:
                await till.go_on()
                break
            except Died:
                # What the dead process held is over.
                till.now += LEASED
        till.deaths.dies_at = None
        # What the second go could not know to be due yet, a third does.
        await bank.go_on(SECOND)
        new = (await bank.refunds())[len(before) :]
        assert [(r["amount"], r["status"]) for r in new] == [(2500, "succeeded")], moment
        assert names(new) == [LEAVING_NAMES[attempt - 1]]
        assert await bank.balance(account_id) == 0
        if till.deaths.moments < moment:
            break
    assert 15 < moment < len(accounts)
    assert await bank.findings(timedelta(days=9)) == []


@pytest.mark.parametrize("where", ["here", "on the service's pages"])
@pytest.mark.parametrize("unspent", Unspent)
async def test_a_refund_that_an_operator_made_before_the_deletion_is_tried_again(
    bank, where, unspent
):
    """Two of one payment, which both fail once the account is gone."""
    payment = await bank.paid("pay_1")
    await bank.till.world.credit("alice", -5 * UNIT, "taken back", kind="grant")
    for number, micros in enumerate((10 * UNIT, 15 * UNIT)):
        if where == "here":
            await bank.till.refunds_of.send_back("pay_1", micros, reference=f"by-hand-{number}")
        else:
            order = {"payment_intent": payment.payment_intent_id, "amount": micros // 10_000}
            await bank._control("POST", "/refunds", json=order)
            await bank.till.payments.book_outcome(payment)
    bank.till.now += SECOND
    await bank.till.leave(unspent)
    bank.till.now += SECOND
    for refund in await bank.refunds():
        await bank._control("POST", f"/refunds/{refund['id']}/fail")
        await bank.hears(refund)
    assert await bank.balance() == 25 * UNIT
    await bank.go_on(SECOND)
    assert len(await bank.refunds()) == 2
    for attempt in LEAVING_NAMES:
        await bank.go_on()
        *_, last = await bank.refunds()
        assert (last["amount"], last["status"]) == (2500, "succeeded")
        assert names([last]) == [attempt]
        assert await bank.balance() == 0
        await bank.fails()
    assert await bank.balance() == 25 * UNIT
    assert [each.is_given_up for each in await bank.failed()] == [True]
    assert len(await bank.findings()) == 1
