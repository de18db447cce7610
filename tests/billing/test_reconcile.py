"""Where gate and book differ, as a table; and what mends it."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from billing import reconcile
from billing.cdr import opening_left, times_left
from billing.ports import OpenCall, PartitionState
from billing.reconcile import (
    BookedDetail,
    Disagreement,
    KeptEnding,
    Repairs,
    Surplus,
    calls_at_no_gate,
    details_that_differ,
    disagreements,
    repairs,
    surpluses,
)
from tests.billing.outbox_entries import BOOKED_AT, START, opening

CALL = OpenCall("c1", "alice", "n1", held_micros=80, seconds=3)
AGREED = PartitionState(
    accounts=[("alice", 920, 2), ("bob", 5, 1)], open_calls=[CALL], frozen=["bob"]
)
NOTHING_DUE = Repairs(credits=[], freezes=[], unbooked=[], lost=[])


def gate(**changes):
    """Return a gate that agrees with the book but for these changes."""
    return replace(AGREED, **changes)


@pytest.mark.parametrize(
    ("side", "rule", "subject"),
    [
        (gate(accounts=[("alice", 921, 2), ("bob", 5, 1)]), reconcile.BALANCES_DIFFER, "alice"),
        (gate(accounts=[("alice", 900, 1), ("bob", 5, 1)]), reconcile.CREDIT_MISSING, "alice"),
        (gate(accounts=[("alice", 920, 2)]), reconcile.CREDIT_MISSING, "bob"),
        (gate(accounts=[("alice", 990, 3), ("bob", 5, 1)]), reconcile.CREDIT_UNKNOWN, "alice"),
        (gate(open_calls=[replace(CALL, held_micros=81)]), reconcile.HOLDS_DIFFER, "c1"),
        (gate(open_calls=[]), reconcile.CALL_MISSING, "c1"),
        (gate(open_calls=[CALL, replace(CALL, call_id="c2")]), reconcile.CALL_UNKNOWN, "c2"),
        (gate(frozen=[]), reconcile.FREEZE_DIFFERS, "bob"),
        (gate(frozen=["alice", "bob"]), reconcile.FREEZE_DIFFERS, "alice"),
    ],
)
def test_each_disagreement_is_named(side, rule, subject):
    assert list(disagreements(side, AGREED)) == [Disagreement(rule, subject)]


@pytest.mark.parametrize(
    "side",
    [
        AGREED,
        gate(accounts=[*AGREED.accounts, ("carol", 0, 0)]),
        gate(accounts=[*reversed(AGREED.accounts)]),
        gate(open_calls=[replace(CALL, seconds=4, carrier_call_id="CA1", per_minute_micros=9)]),
        gate(closed_calls=[("c0", 5)], spent=[("account:alice:day:2026-11-24", 80)]),
    ],
)
def test_what_only_one_side_keeps_is_no_disagreement(side):
    assert list(disagreements(side, AGREED)) == []
    assert list(disagreements(AGREED, side)) == []
    assert repairs(side, AGREED) == NOTHING_DUE


@pytest.mark.parametrize(
    ("side", "due"),
    [
        (gate(accounts=[("alice", 900, 1)]), {"credits": ["alice", "bob"]}),
        (gate(frozen=[]), {"freezes": [("bob", True)]}),
        (gate(frozen=["alice"]), {"freezes": [("bob", True), ("alice", False)]}),
        (gate(open_calls=[]), {"lost": [CALL]}),
        (
            gate(open_calls=[CALL, replace(CALL, call_id="c2")]),
            {"unbooked": [replace(CALL, call_id="c2")]},
        ),
        # A balance has no repair of its own, and a gate ahead of its book has none at all.
        (gate(accounts=[("alice", 999, 3), ("bob", 5, 1)]), {}),
    ],
)
def test_each_repair_is_due_where_it_helps(side, due):
    assert repairs(side, AGREED) == replace(NOTHING_DUE, **due)


@pytest.mark.parametrize(
    ("side", "found"),
    [
        (AGREED, []),
        (gate(accounts=[("alice", 919, 2), ("bob", 5, 1)]), []),
        (gate(accounts=[("alice", 921, 2), ("bob", 5, 1)]), [Surplus("alice", 0, 1)]),
        # A credit that the book lacks counts, though it may be spent.
        (gate(accounts=[("alice", 900, 3), ("bob", 5, 1)]), [Surplus("alice", 1, -20)]),
        (gate(accounts=[*AGREED.accounts, ("carol", 7, 1)]), [Surplus("carol", 1, 7)]),
        # What a call holds is still its account's.
        (gate(open_calls=[replace(CALL, held_micros=81)]), [Surplus("alice", 0, 1)]),
        (gate(open_calls=[CALL, replace(CALL, account_id="dan")]), [Surplus("dan", 0, 80)]),
    ],
)
def test_what_only_the_gate_has_of_money_is_a_surplus(side, found):
    assert list(surpluses(side, AGREED)) == found


def test_live_calls_of_a_partition_that_is_lost_are_missing():
    (found,) = calls_at_no_gate(AGREED)
    assert found == Disagreement(reconcile.CALL_MISSING, "c1")
    assert str(found) == f"{reconcile.CALL_MISSING}: c1 (account alice, holds 0.000080)"
    assert str(Disagreement("a rule", "c1")) == "a rule: c1"


# Details, of an ended call `c0` beside the live one.

DAY = "account:alice:day:2026-11-24"
TOLD = KeptEnding(50, 0, 5, "alice", 16, "caller", START, START + timedelta(seconds=5), START, 6)
BOOKED = replace(TOLD, booked_at=BOOKED_AT)
OPENED = opening("c0")
DETAIL = BookedDetail(
    openings={"c0": msgspec.structs.asdict(OPENED)},
    endings={"c0": BOOKED},
    caps={DAY: (100, 130)},
    owners={"account:alice": "alice"},
    recent={"c0": BOOKED},
)
KNOWN = gate(
    open_calls=[replace(CALL, cap_names=[DAY])], closed_calls=[("c0", 50)], spent=[(DAY, 120)]
)


def details(side=KNOWN, detail=DETAIL, openings=None, endings=None):
    """Return what differs: rule, subject and figures."""
    openings = {"c0": OPENED} if openings is None else openings
    endings = {"c0": TOLD} if endings is None else endings
    found = details_that_differ(side, AGREED, detail, openings, endings)
    return [(each.rule, each.subject, each.figures) for each in found]


def knowing(**changes):
    return replace(KNOWN, **changes)


def test_details_that_agree_are_no_finding():
    assert details() == []
    # Calls that one side has not are found by the other rules.
    assert details(knowing(open_calls=[replace(CALL, call_id="c2")])) == []


@pytest.mark.parametrize(
    ("changes", "rule", "figures"),
    [
        ({"node": "n2"}, reconcile.OWNER_DIFFERS, "gate alice on n2, book alice on n1"),
        ({"seconds": 4}, reconcile.SECONDS_DIFFER, "account alice, gate 4 s, book 3 s"),
        (
            {"per_minute_micros": 10_000},
            reconcile.RATE_DIFFERS,
            "account alice, gate 0.010000, book 0.000000",
        ),
        ({"cap_names": ["account:bob:day:2026-11-24"]}, reconcile.CAP_FOREIGN, ""),
    ],
)
def test_each_detail_of_a_live_call_is_named(changes, rule, figures):
    assert details(knowing(open_calls=[replace(CALL, **changes)])) == [(rule, "c1", figures)]


def test_a_cap_of_a_key_names_no_account():
    assert details(knowing(open_calls=[replace(CALL, cap_names=["key:k1:day:2026-11-24"])])) == []


def test_what_an_ended_call_cost_is_compared():
    figures = "account alice, gate 0.000060, book 0.000050"
    found = details(knowing(closed_calls=[("c0", 60)]))
    assert found == [(reconcile.ENDING_DIFFERS, "c0", figures)]


@pytest.mark.parametrize(
    ("openings", "endings", "whose"),
    [
        ({}, {}, ""),
        ({"c0": OPENED}, {}, "account alice, "),
        ({"c0": OPENED}, {"c0": replace(TOLD, account_id="")}, "account alice, "),
        ({}, {"c0": TOLD}, "account alice, "),
    ],
)
def test_an_end_that_the_book_has_not_says_whose_it_is_by_what_is_left(openings, endings, whose):
    detail = replace(DETAIL, openings={}, endings={}, recent={})
    found = details(KNOWN, detail, openings, endings)
    assert found == [(reconcile.ENDING_UNKNOWN, "c0", f"{whose}cost 0.000050")]


@pytest.mark.parametrize(
    ("openings", "endings", "is_forgotten"),
    [({}, {}, True), ({"c0": OPENED}, {}, False), ({}, {"c0": TOLD}, False)],
)
def test_a_call_of_which_anything_is_left_is_not_forgotten(openings, endings, is_forgotten):
    found = details(knowing(closed_calls=[]), DETAIL, openings, endings)
    named = (reconcile.ENDING_FORGOTTEN, "c0", "account alice, cost 0.000050")
    assert found == [named] * is_forgotten


@pytest.mark.parametrize(
    ("spent", "caps", "found"),
    [
        (99, {DAY: (100, 130)}, "account alice, gate 0.000099, calls 0.000100..0.000130"),
        (131, {DAY: (130, 130)}, "account alice, gate 0.000131, calls 0.000130"),
        (None, {DAY: (1, 1)}, "account alice, gate 0.000000, calls 0.000001"),
        # No bounds are known of a period that is over.
        (7, {}, None),
        (-1, {}, "account alice, gate -0.000001, calls -0.000001"),
    ],
)
def test_a_cap_counts_what_the_calls_have_cost(spent, caps, found):
    side = knowing(spent=[] if spent is None else [(DAY, spent)])
    expected = [] if found is None else [(reconcile.CAP_DIFFERS, DAY, found)]
    assert details(side, replace(DETAIL, caps=caps)) == expected


def test_a_cap_of_nobody_is_named_once():
    name = "key:a:b:day:2026-11-24"
    assert reconcile.cap_owner(name) == "key:a:b"
    found = details(knowing(spent=[(DAY, 120), (name, 5)]))
    assert found == [(reconcile.CAP_UNKNOWN, name, "")]
    found = details(knowing(spent=[(DAY, 120), (name, -5)]))
    assert [rule for rule, *_ in found] == [reconcile.CAP_DIFFERS]


def test_an_opening_that_is_remembered_otherwise_is_named_until_it_is_forgotten():
    other = msgspec.structs.replace(OPENED, destination="+1", codec="g722")
    found = details(openings={"c0": other})
    figures = "account alice, other destination, codec"
    assert found == [(reconcile.OPENING_MISREMEMBERED, "c0", figures)]
    left = opening_left(times_left(TOLD.ended_at, BOOKED_AT, TOLD.seconds))
    forgotten = msgspec.structs.replace(OPENED, **left)
    assert details(openings={"c0": forgotten}) == []
    # One that is live is forgotten by nobody.
    live = replace(DETAIL, endings={"c0": replace(BOOKED, ended_at=None)})
    found = details(KNOWN, live, {"c0": forgotten}, {})
    assert [rule for rule, *_ in found] == [reconcile.OPENING_MISREMEMBERED]


@pytest.mark.parametrize(
    ("told", "figures"),
    [
        ({"charged_micros": 60}, "charged: gate 0.000060, book 0.000050"),
        ({"written_off_micros": 1}, "written off: gate 0.000001, book 0.000000"),
        ({"seconds": 6}, "seconds: gate 6, book 5"),
        ({"account_id": "bob"}, "account: gate bob, book alice"),
        ({"cause": 17, "ended_by": "callee"}, "cause: gate 17, book 16, ended by: gate callee"),
        ({"carrier_seconds": 7}, "carrier's seconds: gate 7, book 6"),
        ({"ringing_at": None}, "ringing: gate None, book"),
        # What the end does not say, the book has from elsewhere.
        ({"account_id": "", "answered_at": None}, ""),
    ],
)
def test_an_end_that_is_remembered_otherwise_is_named(told, figures):
    found = details(endings={"c0": replace(TOLD, **told)})
    if not figures:
        assert found == []
        return
    ((rule, subject, said),) = found
    assert (rule, subject) == (reconcile.ENDING_MISREMEMBERED, "c0")
    assert said.startswith(f"account alice, {figures}")


def test_what_was_written_off_is_compared_where_the_gate_has_written_off():
    """A call that ended in the book first is closed at the gate by its charge alone."""
    detail = replace(DETAIL, endings={"c0": replace(BOOKED, written_off_micros=9)})
    assert details(KNOWN, detail) == []
    found = details(KNOWN, detail, endings={"c0": replace(TOLD, written_off_micros=8)})
    assert [rule for rule, *_ in found] == [reconcile.ENDING_MISREMEMBERED]


def test_an_end_that_is_forgotten_already_is_no_finding():
    times = times_left(TOLD.ended_at, BOOKED_AT, TOLD.seconds)
    left = {"answered_at": times.answered_at, "ended_at": times.ended_at}
    forgotten = replace(TOLD, **left, ringing_at=None, carrier_seconds=None)
    assert details(endings={"c0": forgotten}) == []
    # Of one whose end is not known nothing is forgotten.
    live = replace(DETAIL, endings={"c0": replace(BOOKED, ended_at=None)})
    assert len(details(KNOWN, live, {}, {"c0": forgotten})) == 1
