"""Which calls are refunded, why and how much."""

from datetime import UTC, datetime

import pytest

from billing.call_refunds import CallRefund, RefundRule, refund_of
from billing.cdr import CallClosed, LegQuality

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SPOKE = LegQuality(frames_in=500, frames_out=500, talk_ms=4_000, silence_ms=6_000)
SILENT = LegQuality(frames_in=500, frames_out=500, talk_ms=0, silence_ms=10_000)
NOTHING = LegQuality()


def closed(seconds=10, ended_by="caller", browser=SPOKE, carrier=SPOKE):
    return CallClosed(
        answered_at=AT if seconds else None,
        ended_at=AT,
        seconds=seconds,
        cause=16,
        cause_name="NORMAL_CLEARING",
        ended_by=ended_by,
        browser=browser,
        carrier=carrier,
    )


@pytest.mark.parametrize(
    ("record", "short_call_s", "rule"),
    [
        (closed(), 0, None),
        (closed(carrier=NOTHING), 0, RefundRule.NO_AUDIO),
        (closed(seconds=2, carrier=NOTHING), 0, None),
        (closed(browser=NOTHING, carrier=NOTHING), 0, None),
        (closed(ended_by="gateway"), 0, RefundRule.OUR_FAULT),
        (closed(ended_by="carrier"), 0, None),
        (closed(ended_by="credit"), 0, None),
        (closed(carrier=SILENT), 0, RefundRule.ONE_WAY),
        (closed(seconds=7, carrier=SILENT), 0, None),
        (closed(browser=SILENT, carrier=SILENT), 0, None),
        (closed(seconds=5), 5, RefundRule.SHORT),
        (closed(seconds=6), 5, None),
        (closed(seconds=0), 5, None),
    ],
)
def test_each_rule_and_what_lies_beside_it(record, short_call_s, rule):
    refund = refund_of(1_000, record, short_call_s=short_call_s)
    assert (refund and refund.rule) == rule
    assert refund is None or refund.micros == 1_000


@pytest.mark.parametrize(
    ("seconds", "micros"), [(59, 7_000), (60, 7_000), (61, 6_886), (7_000, 60)]
)
def test_of_a_long_call_our_fault_gives_back_the_last_minute(seconds, micros):
    refund = refund_of(7_000, closed(seconds=seconds, ended_by="gateway"), short_call_s=0)
    assert refund == CallRefund(RefundRule.OUR_FAULT, micros)


def test_a_call_that_cost_nothing_is_not_refunded():
    assert refund_of(0, closed(ended_by="gateway"), short_call_s=0) is None
