"""What payments mean: amounts to the minor unit, facts, states, and when to charge by oneself."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import MoneyError
from billing.ledger import CREDIT_SOURCES
from billing.payments import (
    AUTOMATIC,
    BY_PAGE,
    DISPUTE_WON_REASON,
    PENDING,
    REASON_KEYS,
    REPEATED_MAX,
    SETTLED_AFTER,
    AutoHistory,
    AutoLimits,
    AutoRefusal,
    ChargeRequest,
    CheckoutPage,
    Dispute,
    Intent,
    Payment,
    PaymentFact,
    PaymentProfile,
    PaymentState,
    Refund,
    advance,
    auto_amount,
    dispute_reasons,
    facts_of,
    from_minor,
    is_final_decline,
    is_settled,
    may_send,
    refunded_micros,
    saved_card_amount,
    state_of,
    to_minor,
)
from gateway.http.site.words import WORDS
from simulators.payments.disputes import REASONS

UNIT = 1_000_000
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PAID = Intent("pi_1", "succeeded", 2_500, "USD")


def intent(**changes):
    return Intent(**{"id": "pi_1", "status": "succeeded", "received_minor": 2_500} | changes)


def usd(**changes):
    return intent(currency="USD", **changes)


# -- amounts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("micros", "currency", "minor"),
    [
        (25 * UNIT, "USD", 2_500),
        (10_000, "EUR", 1),
        (500 * UNIT, "JPY", 500),
        (1_230_000, "KWD", 1_230),
        # Written with two decimals that are always zero.
        (500 * UNIT, "ISK", 50_000),
    ],
)
def test_an_amount_is_told_in_the_services_own_units(micros, currency, minor):
    assert to_minor(micros, currency) == minor
    assert from_minor(minor, currency) == micros


@pytest.mark.parametrize(
    ("micros", "currency"),
    [(1, "USD"), (15_000, "USD"), (500_000, "JPY"), (500_000, "ISK"), (1_234_000, "KWD")],
)
def test_what_cannot_be_charged_exactly_is_not_charged(micros, currency):
    with pytest.raises(MoneyError):
        to_minor(micros, currency)


def test_an_unknown_currency_is_refused():
    with pytest.raises(MoneyError):
        to_minor(UNIT, "XXX")
    with pytest.raises(MoneyError):
        from_minor(1, "XXX")


# -- facts ---------------------------------------------------------------------------------------


def test_a_payment_is_one_fact():
    assert facts_of(PAID, "USD", BY_PAGE) == [
        PaymentFact("pi:pi_1", 25 * UNIT, "top-up", "Top-up by card.")
    ]
    (fact,) = facts_of(PAID, "USD", AUTOMATIC)
    assert fact.reason == "Automatic top-up."


@pytest.mark.parametrize(
    "status", ["processing", "requires_payment_method", "requires_action", "canceled"]
)
def test_what_is_not_paid_proves_nothing(status):
    assert facts_of(usd(status=status), "USD", BY_PAGE) == []
    assert facts_of(usd(received_minor=0), "USD", BY_PAGE) == []


@pytest.mark.parametrize(
    ("refund", "facts"),
    [
        (Refund("re_1", 500, "succeeded"), [("re:re_1", -5)]),
        (Refund("re_1", 500, "pending"), [("re:re_1", -5)]),
        (Refund("re_1", 500, "failed"), [("re:re_1", -5), ("re:re_1:failed", 5)]),
        (Refund("re_1", 500, "canceled"), [("re:re_1", -5), ("re:re_1:failed", 5)]),
        (Refund("re_1", 500, "succeeded", "pay_1:a"), [("refund:pay_1:a", -5)]),
        (
            Refund("re_1", 500, "failed", "pay_1:a"),
            [("refund:pay_1:a", -5), ("refund:pay_1:a:failed", 5)],
        ),
    ],
)
def test_a_refund_takes_and_a_failed_one_gives_back(refund, facts):
    found = facts_of(usd(refunds=[refund]), "USD", BY_PAGE)[1:]
    assert [(fact.reference, fact.micros // UNIT) for fact in found] == facts
    assert {fact.kind for fact in found} == {"refund"}


LOST = [("du:du_1", -25)]
WON = [*LOST, ("du:du_1:won", 25)]


@pytest.mark.parametrize(
    ("status", "facts"),
    [
        ("needs_response", LOST),
        ("under_review", LOST),
        ("lost", LOST),
        ("appeal_needs_response", LOST),
        ("appeal_under_review", LOST),
        ("won", WON),
        ("warning_needs_response", []),
        ("warning_under_review", []),
        ("warning_closed", []),
        ("prevented", []),
    ],
)
def test_a_dispute_takes_until_it_is_won(status, facts):
    found = facts_of(usd(disputes=[Dispute("du_1", 2_500, "USD", status)]), "USD", BY_PAGE)
    assert [(f.reference, f.micros // UNIT) for f in found[1:]] == facts


def test_every_fact_can_be_booked():
    dispute, refund = Dispute("d", 1, "USD", "won"), Refund("r", 1, "failed")
    facts = facts_of(usd(disputes=[dispute], refunds=[refund]), "USD", BY_PAGE)
    assert {fact.kind for fact in facts} <= CREDIT_SOURCES.keys()
    assert len({fact.reference for fact in facts}) == len(facts) == 5


def test_another_currency_is_never_booked():
    with pytest.raises(MoneyError):
        facts_of(intent(currency="EUR"), "USD", BY_PAGE)
    foreign = Dispute("du_1", 2_500, "EUR", "needs_response")
    with pytest.raises(MoneyError):
        facts_of(usd(disputes=[foreign]), "USD", BY_PAGE)


def test_only_refunds_that_reach_the_card_count_as_refunded():
    refunds = [Refund("a", 500, "succeeded"), Refund("b", 300, "failed"), Refund("c", 1, "pending")]
    assert refunded_micros(usd(refunds=refunds), "USD") == 5_010_000


# -- states --------------------------------------------------------------------------------------


def page(status, **changes):
    return CheckoutPage("cs_1", status, **changes)


def disputed(*statuses):
    return usd(disputes=[Dispute(f"du_{n}", 1, "USD", s) for n, s in enumerate(statuses)])


@pytest.mark.parametrize(
    ("seen_page", "seen_intent", "state"),
    [
        (None, None, "created"),
        (page("open"), None, "open"),
        (page("expired"), None, "expired"),
        (page("complete"), None, "created"),
        # A declined card: the person may try another on the same page.
        (page("open"), usd(status="requires_payment_method"), "open"),
        (page("complete"), usd(status="processing"), "processing"),
        (page("complete"), usd(status="requires_payment_method"), "failed"),
        (page("expired"), usd(status="canceled"), "expired"),
        (None, usd(status="requires_payment_method"), "failed"),
        (None, usd(status="canceled"), "failed"),
        (page("open"), PAID, "paid"),
        (None, PAID, "paid"),
        (None, disputed("warning_needs_response"), "paid"),
        (None, disputed("needs_response"), "disputed"),
        (None, disputed("won", "under_review"), "disputed"),
        (None, disputed("won"), "won"),
        (None, disputed("won", "lost"), "lost"),
    ],
)
def test_the_services_words_come_to_a_state(seen_page, seen_intent, state):
    assert state_of(seen_page, seen_intent) == PaymentState(state)


STATES = st.sampled_from(PaymentState)


@given(st.lists(STATES, max_size=6), st.randoms())
def test_reports_may_come_twice_and_in_any_order(reports, random):
    def after(sequence):
        state = PaymentState.CREATED
        for seen in sequence:
            state = advance(state, seen)
        return state

    shuffled = reports * 2
    random.shuffle(shuffled)
    first, second = after(reports), after(shuffled)
    # Failed and expired come to the same: nothing was paid, whichever was heard first.
    ends = {PaymentState.FAILED, PaymentState.EXPIRED}
    assert first == second or {first, second} == ends


@pytest.mark.parametrize(("late", "known"), [*itertools.combinations(PaymentState, 2)])
def test_a_late_report_takes_nothing_back(late, known):
    assert advance(known, late) == known
    is_pair = {late, known} == {PaymentState.FAILED, PaymentState.EXPIRED}
    assert advance(late, known) == (late if is_pair else known)


def test_something_follows_only_what_is_not_settled():
    assert {state.value for state in PENDING} == {"created", "open", "processing"}


def test_only_an_open_dispute_can_be_answered():
    statuses = ["needs_response", "under_review", "won", "lost", "warning_needs_response"]
    answerable = [s for s in statuses if Dispute("d", 1, "USD", s).is_answerable]
    assert answerable == ["needs_response", "under_review"]


# -- automatic top-ups ---------------------------------------------------------------------------

LIMITS = AutoLimits(day_max_micros=100 * UNIT, pause=timedelta(seconds=60))
PROFILE = {
    "account_id": "alice",
    "currency": "USD",
    "customer_id": "cus_1",
    "payment_method_id": "pm_1",
    "auto_enabled": True,
    "auto_threshold_micros": 5 * UNIT,
    "auto_amount_micros": 25 * UNIT,
}


def decide(history=None, balance=4 * UNIT, **changes):
    profile = PaymentProfile(**PROFILE | changes)
    return auto_amount(profile, history or AutoHistory(), LIMITS, balance, NOW)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"auto_enabled": False}, AutoRefusal.OFF),
        ({"frozen": True}, AutoRefusal.FROZEN),
        ({"payment_method_id": None}, AutoRefusal.NO_CARD),
        ({"customer_id": None}, AutoRefusal.NO_CARD),
        ({"balance": 5 * UNIT}, AutoRefusal.ENOUGH_CREDIT),
        ({"history": AutoHistory(is_in_flight=True)}, AutoRefusal.IN_FLIGHT),
        ({"history": AutoHistory(last_at=NOW - timedelta(seconds=59))}, AutoRefusal.PAUSED),
        (
            {"history": AutoHistory(failures=2, last_at=NOW - timedelta(seconds=239))},
            AutoRefusal.PAUSED,
        ),
        (
            {"history": AutoHistory(failures=1_000, last_at=NOW - timedelta(hours=23))},
            AutoRefusal.PAUSED,
        ),
        ({"history": AutoHistory(charged_micros=75 * UNIT + 1)}, AutoRefusal.DAY_CAP),
    ],
)
def test_a_card_is_not_charged_without_need(changes, refusal):
    assert decide(**changes) is refusal


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"balance": -UNIT},
        {"history": AutoHistory(last_at=NOW - timedelta(seconds=60))},
        {"history": AutoHistory(failures=2, last_at=NOW - timedelta(seconds=240))},
        {"history": AutoHistory(charged_micros=75 * UNIT)},
    ],
)
def test_a_card_is_charged_when_credit_runs_low(changes):
    assert decide(**changes) == 25 * UNIT


@pytest.mark.parametrize(
    ("code", "failures", "is_final"),
    [
        ("insufficient_funds", 1, False),
        ("insufficient_funds", 3, True),
        ("stolen_card", 1, True),
        ("authentication_required", 1, True),
        ("expired_card", 1, True),
        ("a_code_of_next_year", 1, True),
    ],
)
def test_a_card_that_will_not_work_is_left_alone(code, failures, is_final):
    assert is_final_decline(code, failures) is is_final


@pytest.mark.parametrize(
    ("profile", "history", "expected"),
    [
        ({}, {}, 25 * UNIT),
        ({"auto_enabled": False}, {"last_at": NOW, "failures": 9}, 25 * UNIT),
        ({"frozen": True}, {}, AutoRefusal.FROZEN),
        ({"deleted": True}, {}, AutoRefusal.FROZEN),
        ({"payment_method_id": None}, {}, AutoRefusal.NO_CARD),
        ({}, {"is_in_flight": True}, AutoRefusal.IN_FLIGHT),
        ({}, {"charged_micros": LIMITS.day_max_micros - 25 * UNIT}, 25 * UNIT),
        ({}, {"charged_micros": LIMITS.day_max_micros - 24 * UNIT}, AutoRefusal.DAY_CAP),
    ],
)
def test_a_tap_charges_the_saved_card_within_the_days_bound(profile, history, expected):
    card = {"customer_id": "cus_1", "payment_method_id": "pm_1"}
    found = saved_card_amount(
        PaymentProfile("alice", "USD", **(card | profile)),
        AutoHistory(**history),
        LIMITS,
        25 * UNIT,
    )
    assert found == expected


BEGUN = datetime(2026, 12, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
PAYMENT = Payment("pay_1", "alice", "saved", 1, "USD", PaymentState.CREATED, BEGUN, BEGUN)
NEW = ChargeRequest("…", None)


@pytest.mark.parametrize(
    ("request_", "is_frozen", "age", "expected"),
    [
        (NEW, False, timedelta(), True),
        (NEW, False, REPEATED_MAX, True),
        (NEW, False, REPEATED_MAX + TICK, False),
        (NEW, True, timedelta(), False),
        (None, False, timedelta(), False),
    ],
)
def test_a_request_is_sent_while_its_key_is_known_and_the_account_may_be_charged(
    request_, is_frozen, age, expected
):
    assert may_send(PAYMENT, request_, is_frozen=is_frozen, now=BEGUN + age) is expected


@pytest.mark.parametrize("tried", [None, timedelta(hours=20)])
def test_a_charge_that_is_unknown_failed_once_nothing_can_be_under_way(tried):
    last = BEGUN + (tried or timedelta())
    request = ChargeRequest("…", last if tried else None)
    assert not is_settled(PAYMENT, request, last + SETTLED_AFTER)
    assert is_settled(PAYMENT, request, last + SETTLED_AFTER + TICK)


def test_a_charge_without_a_request_is_as_old_as_its_payment():
    assert not is_settled(PAYMENT, None, BEGUN + SETTLED_AFTER)
    assert is_settled(PAYMENT, None, BEGUN + SETTLED_AFTER + TICK)


def test_the_service_knows_a_key_for_longer_than_it_is_used():
    assert timedelta(hours=24) > REPEATED_MAX + SETTLED_AFTER


def test_every_code_has_a_sentence_and_an_unknown_one_says_no_more_than_is_known():
    plain = "The payment was disputed at the card's bank."
    for code in ("", "general", "a_new_one"):
        assert dispute_reasons(code) == (plain, DISPUTE_WON_REASON)
    said = {code: dispute_reasons(code)[0] for code in REASONS}
    assert said["fraudulent"].startswith(plain[:-1] + ": ")
    assert set(said.values()) <= REASON_KEYS.keys()


@pytest.mark.parametrize("language", sorted(WORDS))
def test_each_sentence_has_words(language):
    named = {key for key in WORDS[language] if key.startswith("payment_reason.")}
    assert named == {f"payment_reason.{key}" for key in REASON_KEYS.values() if key}
