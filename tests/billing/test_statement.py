"""A statement's arithmetic: signs, and what was left after each line."""

from datetime import UTC, datetime

from billing.ledger import charge_transfers, credit_transfer
from billing.statement import lines

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_each_line_shows_what_it_moved_and_what_it_left():
    transfers = [
        credit_transfer("alice", "USD", -300, reference="r", kind="refund"),
        *charge_transfers("c1", "alice", "USD", charged_micros=200, written_off_micros=0),
        credit_transfer(
            "alice", "USD", 50, reference="cr", kind="call-refund", reason="why", call_id="c0"
        ),
        credit_transfer("alice", "USD", 1_000, reference="g", kind="grant"),
    ]
    found = list(lines([(transfer, AT) for transfer in transfers], 550))
    assert [(line.micros, line.balance_micros) for line in found] == [
        (-300, 550),
        (-200, 850),
        (50, 1_050),
        (1_000, 1_000),
    ]
    assert (found[2].reason, found[2].call_id, found[2].kind) == ("why", "c0", "call-refund")
    assert (found[1].reference, found[1].call_id, found[1].currency) == ("charge:c1", "c1", "USD")


def test_a_line_says_that_its_call_is_forgotten():
    (charge,) = charge_transfers("c1", "alice", "USD", charged_micros=5, written_off_micros=0)
    for forgotten in ((), ("c1",)):
        (line,) = lines([(charge, AT)], 0, forgotten)
        assert (line.call_id, line.is_forgotten) == ("c1", bool(forgotten))


def test_no_transfers_are_no_lines():
    assert list(lines([], 5)) == []
