"""How a call went, in one word: every cause has an outcome, and every outcome finds its causes."""

from datetime import UTC, datetime

import pytest

from billing.cdr import LegQuality
from gateway.calls.outcome import CallOutcome, Quality, causes_of, outcome_of, quality_of
from gateway.cause import Cause
from tests.gateway.http.site.books import closed, live, record

UNANSWERED = [CallOutcome.BUSY, CallOutcome.NO_ANSWER, CallOutcome.CANCELLED, CallOutcome.FAILED]


@pytest.mark.parametrize("cause", sorted(Cause))
def test_each_cause_is_found_by_its_outcome_alone(cause):
    found = outcome_of(record("c1", closed(0, answered_at=None, cause=cause)))
    assert [each for each in UNANSWERED if cause in causes_of(each)] == [found]
    assert outcome_of(record("c1", closed(cause=cause))) is CallOutcome.ANSWERED


def test_an_unknown_cause_is_a_failure():
    assert outcome_of(record("c1", closed(0, answered_at=None, cause=999))) is CallOutcome.FAILED


def test_what_has_not_ended_is_live():
    ended = live("c1", ended_at=datetime(2026, 11, 20, tzinfo=UTC))
    assert outcome_of(live("c1")) is outcome_of(ended) is CallOutcome.LIVE
    assert quality_of(live("c1")) is Quality.UNKNOWN


@pytest.mark.parametrize(
    ("browser", "carrier", "quality"),
    [
        (4.0, 4.4, Quality.GOOD),
        (4.4, 3.99, Quality.FAIR),
        (3.6, None, Quality.FAIR),
        (None, 3.59, Quality.POOR),
        (None, None, Quality.UNKNOWN),
    ],
)
def test_a_line_is_as_good_as_its_worse_leg(browser, carrier, quality):
    end = closed(browser=LegQuality(mos=browser), carrier=LegQuality(mos=carrier))
    assert quality_of(record("c1", end)) is quality
