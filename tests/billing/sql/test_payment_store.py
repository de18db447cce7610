"""Payments and saved cards, on both databases."""

import asyncio
from datetime import timedelta

import pytest

from billing.payments import AutoHistory, AutoRefusal, PaymentProfile, PaymentState
from billing.stores.payments import SqlPaymentStore
from gateway.personal_data.erasing import SqlErasing
from gateway.stores.accounts import SqlAccountStore
from tests.billing.outbox_entries import START

UNIT = 1_000_000


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def advance(self, **by):
        self.now += timedelta(**by)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def payments(store, engine, clock):
    """A store beside a book with two accounts: `alice` and `bob`."""
    return SqlPaymentStore(engine, clock=clock)


async def begin(payments, payment_id="pay_1", account_id="alice", kind="checkout", micros=UNIT):
    return await payments.create(payment_id, account_id, kind, micros, "USD")


async def test_a_payment_is_created_once(payments, clock):
    payment = await begin(payments)
    assert (payment.state, payment.kind, payment.micros) == (PaymentState.CREATED, "checkout", UNIT)
    assert payment.created_at == payment.updated_at == START
    clock.advance(seconds=5)
    again = await begin(payments, micros=9 * UNIT)
    assert again == payment
    assert await payments.find("pay_1") == payment
    assert await payments.find("pay_2") is None


async def test_nobody_pays_for_an_account_that_is_not_there(payments):
    with pytest.raises(LookupError):
        await begin(payments, account_id="nobody")
    with pytest.raises(LookupError):
        await payments.create_checkout("pay_1", "nobody", UNIT, "USD", since=START)
    with pytest.raises(LookupError):
        await payments.begin_charge("nobody", "pay_1", lambda profile, history: UNIT, written)
    with pytest.raises(LookupError):
        await payments.profile("nobody")
    assert await payments.find("pay_1") is None


def written(payment, profile):
    """Write a request that says what it was written for."""
    return f"{payment.id} of {profile.account_id}"


async def test_two_clicks_at_once_are_one_payment(payments):
    found = await asyncio.gather(
        *(payments.create_checkout(f"pay_{n}", "alice", UNIT, "USD", since=START) for n in range(5))
    )
    assert len({payment.id for payment in found}) == 1


async def test_another_amount_account_or_minute_is_another_payment(payments, clock):
    async def click(name, account_id="alice", micros=UNIT):
        since = clock.now - timedelta(seconds=30)
        payment = await payments.create_checkout(name, account_id, micros, "USD", since=since)
        return payment.id

    assert await click("pay_1") == "pay_1"
    assert await click("pay_2", micros=2 * UNIT) == "pay_2"
    assert await click("pay_3", account_id="bob") == "pay_3"
    clock.advance(seconds=30)
    assert await click("pay_4") == "pay_1"
    await payments.record("pay_1", PaymentState.PAID)
    assert await click("pay_5") == "pay_5"
    clock.advance(seconds=31)
    assert await click("pay_6") == "pay_6"


async def test_a_report_is_noted_and_a_late_one_takes_nothing_back(payments, clock):
    await begin(payments)
    clock.advance(seconds=5)
    paid = await payments.record(
        "pay_1",
        PaymentState.PAID,
        checkout_id="cs_1",
        payment_intent_id="pi_1",
        receipt_url="https://receipt",
        failure="card_declined",
    )
    assert (paid.state, paid.checkout_id, paid.payment_intent_id) == (
        PaymentState.PAID,
        "cs_1",
        "pi_1",
    )
    assert (paid.receipt_url, paid.failure) == ("https://receipt", "card_declined")
    assert paid.updated_at == START + timedelta(seconds=5)
    assert await payments.record("pay_1", PaymentState.OPEN, checkout_id="cs_2") == paid
    assert await payments.find_by_intent("pi_1") == paid
    assert await payments.find_by_intent("pi_2") is None
    with pytest.raises(LookupError):
        await payments.record("pay_2", PaymentState.PAID)


async def test_what_is_taken_back_follows_from_the_entries_alone(payments, store):
    await begin(payments)
    await begin(payments, "pay_2")

    async def book(kind, micros, reference):
        await store.add_credit("alice", micros, reference=reference, kind=kind, payment_id="pay_1")
        payment = await payments.record("pay_1", PaymentState.PAID)
        return payment.refunded_micros, payment.disputed_micros

    assert await book("top-up", UNIT, "pi:1") == (0, 0)
    for _ in range(2):
        assert await book("refund", -300, "re:1") == (300, 0)
    assert await book("refund", -200, "re:2") == (500, 0)
    assert await book("dispute", -400, "du:1") == (500, 400)
    assert await book("refund", 200, "re:2:failed") == (300, 400)
    assert await book("dispute", 400, "du:1:won") == (300, 0)
    other = await payments.find("pay_2")
    assert (other.refunded_micros, other.disputed_micros) == (0, 0)


async def test_reports_at_once_end_in_the_furthest(payments):
    await begin(payments)
    states = [*PaymentState] * 2
    await asyncio.gather(*(payments.record("pay_1", state) for state in states))
    payment = await payments.find("pay_1")
    assert payment.state is PaymentState.LOST


async def test_a_page_begins_after_a_payment(payments, clock):
    for number in range(5):
        await begin(payments, f"pay_{number}")
        clock.advance(seconds=1)
    await begin(payments, "pay_b", account_id="bob")

    async def ids(limit, before=None):
        found = await payments.page("alice", limit=limit, before=before)
        return [payment.id for payment in found]

    assert await ids(2) == ["pay_4", "pay_3"]
    assert await ids(2, "pay_3") == ["pay_2", "pay_1"]
    assert await ids(9, "pay_0") == await ids(0) == await ids(9, "pay_b") == []


async def test_what_has_waited_longest_is_looked_at_first(payments, clock):
    for number, state in enumerate(PaymentState):
        clock.advance(seconds=1)
        await begin(payments, f"pay_{number}")
        await payments.record(f"pay_{number}", state)
    waiting = await payments.pending(clock.now + timedelta(seconds=1), 9)
    assert [payment.id for payment in waiting] == ["pay_0", "pay_1", "pay_2"]
    assert await payments.pending(START + timedelta(seconds=1), 9) == []
    await payments.record("pay_0", PaymentState.CREATED)
    (first,) = await payments.pending(clock.now + timedelta(seconds=1), 1)
    assert first.id == "pay_1"


async def test_the_book_is_asked_what_is_booked(payments, store):
    await store.add_credit("alice", 5, reference="pi:1", kind="top-up")
    assert await payments.is_booked("pi:1")
    assert not await payments.is_booked("pi:2")


async def test_another_disputed_payment_is_found(payments):
    for name, state in (("pay_1", "disputed"), ("pay_2", "lost"), ("pay_3", "won")):
        await begin(payments, name)
        await payments.record(name, PaymentState(state))
    assert await payments.is_disputed("alice", besides="pay_1")
    assert await payments.is_disputed("alice", besides="pay_2")
    assert not await payments.is_disputed("bob", besides="pay_9")
    await begin(payments, "pay_4", account_id="bob")
    await payments.record("pay_4", PaymentState.DISPUTED)
    assert not await payments.is_disputed("bob", besides="pay_4")


async def test_a_profile_is_blank_until_something_is_kept(payments, store):
    assert await payments.profile("alice") == PaymentProfile("alice", "USD")
    await payments.save_card("alice", "cus_1", "pm_1", "a@example.com")
    await payments.save_card("alice", "cus_1", "pm_2")
    set_up = await payments.set_auto("alice", enabled=True, threshold_micros=5, amount_micros=25)
    assert (
        set_up
        == await payments.profile("alice")
        == PaymentProfile(
            account_id="alice",
            currency="USD",
            customer_id="cus_1",
            payment_method_id="pm_2",
            email="a@example.com",
            auto_enabled=True,
            auto_threshold_micros=5,
            auto_amount_micros=25,
        )
    )
    await store.freeze("alice", True)
    await payments.switch_auto_off("alice", "stolen_card")
    profile = await payments.profile("alice")
    assert (profile.frozen, profile.auto_enabled, profile.auto_off_reason) == (
        True,
        False,
        "stolen_card",
    )
    assert profile.has_card
    await payments.forget_card("alice", "card_gone")
    assert not (await payments.profile("alice")).has_card
    assert await payments.profile("bob") == PaymentProfile("bob", "USD")


async def test_at_most_one_automatic_top_up_is_in_flight(payments):
    def decide(profile, history):
        return AutoRefusal.IN_FLIGHT if history.is_in_flight else UNIT

    outcomes = await asyncio.gather(
        *(payments.begin_charge("alice", f"pay_{n}", decide, written) for n in range(6))
    )
    begun = [each for each in outcomes if each is not AutoRefusal.IN_FLIGHT]
    assert len(begun) == 1
    assert (begun[0].kind, begun[0].micros, begun[0].currency) == ("auto", UNIT, "USD")
    await payments.record(begun[0].id, PaymentState.PAID)
    again = await payments.begin_charge("alice", "pay_9", decide, written)
    assert again.id == "pay_9"


async def test_the_history_is_of_the_last_day(payments, clock):
    assert await payments.history("alice") == AutoHistory()
    for name, micros, state in (("a", 1, "paid"), ("b", 2, "failed"), ("c", 4, "won")):
        await begin(payments, name, kind="auto", micros=micros)
        await payments.record(name, PaymentState(state))
        clock.advance(hours=1)
    await begin(payments, "d", kind="checkout", micros=8)
    await begin(payments, "e", account_id="bob", kind="auto", micros=16)
    last_at = START + timedelta(hours=2)
    assert await payments.history("alice") == AutoHistory(False, 5, 1, last_at)
    clock.advance(hours=21)
    assert await payments.history("alice") == AutoHistory(False, 4, 1, last_at)
    clock.advance(hours=9)
    assert await payments.history("alice") == AutoHistory()


async def test_a_charge_without_an_answer_is_in_flight_however_old(payments, clock):
    await begin(payments, kind="auto")
    clock.advance(days=3)
    assert (await payments.history("alice")).is_in_flight


async def test_an_address_of_the_account_goes_before_one_given_with_a_payment(payments, engine):
    accounts = SqlAccountStore(engine)
    await accounts.set_email("alice", "home@example.com")
    assert (await payments.profile("alice")).email == "home@example.com"
    await payments.save_card("alice", "cus_1", "pm_1", "card@example.com")
    assert (await payments.profile("alice")).email == "home@example.com"
    await accounts.set_email("alice", "")
    assert (await payments.profile("alice")).email == "card@example.com"


async def test_nothing_is_kept_anew_of_an_account_that_was_deleted(payments, engine):
    accounts = SqlAccountStore(engine)
    assert await payments.save_card("alice", "cus_1", "pm_1", "card@example.com")
    await accounts.mark_deleted("alice")
    await SqlErasing(engine).erase_person("alice")
    assert not await payments.save_card("alice", "cus_2", "pm_2", "card@example.com")
    await payments.set_auto("alice", enabled=True, threshold_micros=5, amount_micros=25)
    deleted = PaymentProfile("alice", "USD", frozen=True, deleted=True)
    assert await payments.profile("alice") == deleted
    # What was paid all the same is still a payment.
    assert (await begin(payments)).account_id == "alice"
