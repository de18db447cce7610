"""The double-entry rules, as tables."""

import pytest

from billing.ledger import CREDIT_SOURCES, charge_transfers, credit_transfer


@pytest.mark.parametrize(
    ("kind", "micros", "source", "target"),
    [
        ("top-up", 5, "payments", "customer"),
        ("refund", -5, "customer", "payments"),
        ("dispute", -5, "customer", "payments"),
        ("dispute", 5, "payments", "customer"),
        ("grant", 5, "grants", "customer"),
        ("grant", -5, "customer", "grants"),
        ("call-refund", 5, "revenue", "customer"),
        ("closing", -5, "customer", "write_off"),
        ("closing", 5, "write_off", "customer"),
    ],
)
def test_a_credit_moves_between_its_source_and_the_customer(kind, micros, source, target):
    transfer = credit_transfer("alice", "USD", micros, reference="r1", kind=kind)
    assert (transfer.source, transfer.target, transfer.micros) == (source, target, 5)
    assert (transfer.reference, transfer.account_id, transfer.currency) == (
        "credit:r1",
        "alice",
        "USD",
    )
    assert kind in CREDIT_SOURCES


@pytest.mark.parametrize(("kind", "micros"), [("gift", 5), ("", 5), ("top-up", 0)])
def test_a_credit_of_unknown_kind_or_of_nothing_is_refused(kind, micros):
    with pytest.raises(ValueError, match="credit"):
        credit_transfer("alice", "USD", micros, reference="r1", kind=kind)


@pytest.mark.parametrize(
    ("charged", "written_off", "moves"),
    [
        (0, 0, []),
        (9, 0, [("charge:c1", "customer", "revenue", 9)]),
        (0, 4, [("write-off:c1", "write_off", "revenue", 4)]),
        (
            9,
            4,
            [
                ("charge:c1", "customer", "revenue", 9),
                ("write-off:c1", "write_off", "revenue", 4),
            ],
        ),
    ],
)
def test_an_ended_call_earns_what_it_cost_whoever_bears_it(charged, written_off, moves):
    transfers = charge_transfers(
        "c1", "alice", "USD", charged_micros=charged, written_off_micros=written_off
    )
    assert [(t.reference, t.source, t.target, t.micros) for t in transfers] == moves
    assert all(t.call_id == "c1" for t in transfers)
