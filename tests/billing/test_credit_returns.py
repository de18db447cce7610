"""Which refund a deletion begins, finishes or tries again: judged by entries and the time."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.credit_returns import RETRY_AFTER, ReturnAttempt, begun, due
from billing.payments import LEAVING_NAMES, BookedCredit, undone

PAID = datetime(2026, 11, 1, tzinfo=UTC)
ASKED = datetime(2026, 11, 27, tzinfo=UTC)
FIRST, SECOND, THIRD = LEAVING_NAMES


def entry(name, micros, at=ASKED, *, kind="refund"):
    return BookedCredit(name, "ada", micros, "USD", kind, "p1", at)


TOP_UP = entry("pi:1", 900, PAID, kind="top-up")


def refund(name, micros=500, at=ASKED):
    return entry(f"refund:p1:{micros}:{name}", -micros, at)


def failed(name, micros=500, at=ASKED):
    return [refund(name, micros, at), entry(undone(f"refund:p1:{micros}:{name}"), micros, at)]


def judged(*entries, later=RETRY_AFTER, since=None):
    return due("p1", entries, ASKED + later, since)


def test_the_first_attempt_is_of_all_there_is():
    assert judged(TOP_UP, later=timedelta()) == ReturnAttempt(FIRST, None)
    assert judged(TOP_UP, since=PAID) == ReturnAttempt(FIRST, None)
    assert judged(TOP_UP, since=ASKED) is None


@pytest.mark.parametrize("since", [None, ASKED])
@pytest.mark.parametrize("made", [1, 2])
def test_each_further_one_is_of_what_failed_and_waits_six_hours(made, since):
    entries = [TOP_UP, *(e for name in LEAVING_NAMES[:made] for e in failed(name))]
    assert judged(*entries, since=since) == ReturnAttempt(LEAVING_NAMES[made], 500)
    assert judged(*entries, since=since, later=RETRY_AFTER - timedelta(seconds=1)) is None


def test_the_third_is_the_last():
    entries = [e for name in LEAVING_NAMES for e in failed(name)]
    assert judged(TOP_UP, *entries, later=timedelta(days=99)) is None


def test_refunds_by_others_that_failed_since_are_tried_as_one():
    dashboard = entry("re:9:failed", 200, ASKED)
    before = failed("by-hand", 100, PAID)
    by_others = [TOP_UP, *before, *failed("by-hand-2", 300), dashboard]
    assert judged(*by_others, since=ASKED) == ReturnAttempt(FIRST, 500)
    assert judged(*by_others, since=ASKED, later=timedelta()) is None
    assert judged(TOP_UP, *before, since=ASKED) is None


def test_what_is_begun_is_the_one_that_has_not_come_back():
    assert begun("p1", [TOP_UP, refund("by-hand")]) is None
    assert begun("p1", [*failed(FIRST), refund(SECOND, 400)]) == ReturnAttempt(SECOND, 400)
    assert begun("p1", [*failed(FIRST), *failed(SECOND)]) is None
    # Another payment's, under whose name this one's begins.
    other = BookedCredit(f"refund:p12:500:{FIRST}", "ada", -500, "USD", "refund", "p12", ASKED)
    assert begun("p1", [other]) is None
