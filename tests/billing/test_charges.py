"""When a charge whose outcome is not known may be requested again, and when it has failed."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.charges import REPEATED_MAX, SETTLED_AFTER, ChargeRequest, is_settled, may_send
from billing.payments import Payment, PaymentState

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
