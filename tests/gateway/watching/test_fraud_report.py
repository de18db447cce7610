"""The shapes of the report on refusals, as programs read them."""

import msgspec

from gateway.watching.fraud_report import FraudReport, RefusingRule
from tests.gateway.watching.played import AT


def test_a_report_reads_back_as_it_was_written():
    rule = RefusingRule(rule="velocity", count=3, by_hour=[1, 2], accounts=1)
    report = FraudReport(
        at=AT, since=AT, rules=[rule], accounts=[], accounts_total=0, frozen=[], frozen_total=0
    )
    assert msgspec.json.decode(msgspec.json.encode(report), type=FraudReport) == report
