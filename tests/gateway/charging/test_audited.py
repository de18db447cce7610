"""What is kept of an audit: how many findings of each rule, and nobody's name."""

from gateway.charging.audited import by_rule


def test_findings_are_counted_by_their_rule_and_no_subject_is_kept():
    findings = [
        "balance is not ledger less holds: alice (balance 1.00, due 2.00)",
        "balance is not ledger less holds: bob (balance: odd)",
        "credit sequence has gaps: alice",
        "one without a subject",
    ]
    assert by_rule(findings) == {
        "balance is not ledger less holds": 2,
        "credit sequence has gaps": 1,
        "one without a subject": 1,
    }
    assert by_rule([]) == {}
