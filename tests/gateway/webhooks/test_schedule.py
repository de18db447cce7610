"""Ten attempts over three days, longer where the receiver asks for it, and never for ever."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.webhooks.schedule import (
    DELAYS,
    FAILING_MAX,
    FAILURES_CLOSE,
    JITTER,
    REST_MAX,
    REST_MIN,
    RETRY_AFTER_MAX,
    TRIES_MAX,
    Verdict,
    is_given_up,
    next_try_at,
    read_retry_after,
    rest_of,
    verdict_of,
)

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
EPOCH = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)
NONE = timedelta(0)


def test_a_message_is_tried_ten_times_at_the_pauses_of_the_specification():
    at, pauses = AT, [NONE]
    for tries in range(1, 10):
        again = next_try_at(tries, at, 0.0)
        pauses.append(again - at)
        at = again
    seconds = [0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert [pause.total_seconds() for pause in pauses] == seconds
    assert (len(DELAYS), TRIES_MAX, sum(DELAYS, NONE)) == (
        10,
        10,
        timedelta(hours=75, minutes=35, seconds=5),
    )
    assert next_try_at(10, at, 0.0) is None
    assert next_try_at(11, at, 0.0) is None


@given(st.integers(1, 9), st.floats(0, 1, exclude_max=True))
def test_chance_makes_pauses_longer_by_a_tenth_at_most(tries, chance):
    pause = next_try_at(tries, AT, chance) - AT
    assert DELAYS[tries] <= pause <= DELAYS[tries] * (1 + JITTER)


def test_a_receiver_may_ask_for_a_longer_pause_and_not_for_a_shorter_one():
    hour, second = timedelta(hours=1), timedelta(seconds=1)
    assert next_try_at(1, AT, 0.0, retry_after=hour) == AT + hour
    assert next_try_at(2, AT, 0.0, retry_after=second) == AT + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        *((status, Verdict.TAKEN) for status in (200, 201, 202, 204, 299)),
        *((status, Verdict.FAILED) for status in (100, 199, 300, 301, 302, 307, 308, 400, 404)),
        *((status, Verdict.FAILED) for status in (411, 500, 501, 503, 600)),
        *((status, Verdict.THROTTLED) for status in (429, 502, 504)),
        (410, Verdict.GONE),
    ],
)
def test_a_status_says_what_came_of_it(status, verdict):
    assert verdict_of(status) is verdict


@pytest.mark.parametrize(
    ("text", "pause_s"),
    [
        (None, None),
        ("", None),
        ("0", None),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        (" 120 ", 120),
        ("3600", 3600),
        ("3601", 3600),
        ("9" * 60, 3600),
        ("٣", None),
        ("9" * 65, None),
        ("+5", None),
        ("1e3", None),
        ("Sat, 99 Nov 2026 12:00:00 GMT", None),
        ("Sat, 28 Nov 2026 12:00:30 GMT", 30),
        ("Sat, 28 Nov 2026 12:00:30 -0000", 30),
        ("Sat, 28 Nov 2026 11:59:59 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 3600),
        ("Sat, 01 Jan 0001 00:00:00 +2359", None),
    ],
)
def test_a_pause_that_is_asked_for_is_read_and_bounded(text, pause_s):
    pause = read_retry_after(text, AT)
    assert pause == (None if pause_s is None else timedelta(seconds=pause_s))


@given(st.text(max_size=80))
def test_whatever_is_asked_for_is_within_bounds(text):
    pause = read_retry_after(text, AT)
    assert pause is None or NONE < pause <= RETRY_AFTER_MAX


@given(st.datetimes(EPOCH, timezones=st.just(UTC)))
def test_dates_are_read_as_they_are_written(at):
    pause = read_retry_after(format_datetime(at, usegmt=True), AT)
    left = at.replace(microsecond=0) - AT
    assert pause == (min(left, RETRY_AFTER_MAX) if left > NONE else None)


def test_an_endpoint_that_fails_is_rested_for_longer_and_longer():
    rests = [rest_of(count, Verdict.FAILED, None) for count in range(12)]
    assert rests[:FAILURES_CLOSE] == [NONE] * FAILURES_CLOSE
    assert [rest.total_seconds() for rest in rests[FAILURES_CLOSE:]] == [
        30,
        60,
        120,
        240,
        300,
        300,
        300,
    ]
    assert rest_of(10**9, Verdict.FAILED, None) == REST_MAX


def test_an_endpoint_that_is_overloaded_is_rested_at_once():
    assert rest_of(1, Verdict.THROTTLED, None) == REST_MIN
    assert rest_of(1, Verdict.THROTTLED, timedelta(minutes=10)) == timedelta(minutes=10)
    # Also 503, which is how most servers say that they are away (RFC 9110, 15.6.4).
    assert rest_of(1, Verdict.FAILED, timedelta(minutes=10)) == timedelta(minutes=10)
    assert rest_of(0, Verdict.TAKEN, timedelta(minutes=10)) == NONE


def test_an_endpoint_is_given_up_after_days_without_a_success():
    assert not is_given_up(None, AT)
    assert not is_given_up(AT, AT + FAILING_MAX - timedelta(seconds=1))
    assert is_given_up(AT, AT + FAILING_MAX)
    # One message has all its attempts first.
    assert sum(DELAYS, NONE) * (1 + JITTER) < FAILING_MAX
