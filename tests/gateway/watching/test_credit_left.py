"""How long the credit of accounts with live calls lasts."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.watching.credit_left import calling_of, least_lasting
from gateway.watching.rows import LIVE, TALKING
from tests.gateway.watching.played import row_of

STATES = ["connecting", "ringing", "answered", "held", "ending", "ended", "lost"]


def row(number, account_id, **differs):
    return row_of(
        f"call_{number}",
        account_id,
        **{"state": "answered", "per_minute_micros": 6000, **differs},
    )


def lasts(rows, balances, most=100):
    calling = calling_of(rows)
    usd = {each: ("USD", micros) for each, micros in balances.items()}
    return [(each.calling.account_id, each.lasts_s) for each in least_lasting(calling, usd, most)]


def test_calls_of_an_account_use_its_credit_up_together_and_the_least_comes_first():
    rows = [row(1, "alice"), row(2, "bob"), row(3, "bob", state="held", per_minute_micros=54_000)]
    assert lasts(rows, {"alice": 12_000, "bob": 60_000}) == [("bob", 60), ("alice", 120)]
    assert lasts(rows, {"alice": 12_000, "bob": 60_000}, most=1) == [("bob", 60)]


def test_what_rings_is_counted_and_spends_nothing_and_comes_last():
    rows = [row(1, "alice", state="ringing"), row(2, "bob"), row(3, "carol", state="ended")]
    assert [each.account_id for each in calling_of(rows)] == ["bob", "alice"]
    assert lasts(rows, {"alice": 0, "bob": 7}) == [("bob", 0), ("alice", None)]


def test_debts_last_no_time_and_unknown_accounts_are_left_out():
    assert lasts([row(1, "alice"), row(2, "bob")], {"alice": -5}) == [("alice", 0)]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(STATES), st.integers(0, 10**9)),
        max_size=20,
    ),
    st.dictionaries(st.sampled_from("abc"), st.integers(-(10**12), 10**12)),
)
def test_whatever_is_live_is_counted_once_and_credit_pays_for_what_it_is_said_to_last(
    calls, balances
):
    rows = [
        row(number, account_id, state=state, per_minute_micros=price)
        for number, (account_id, state, price) in enumerate(calls)
    ]
    calling = calling_of(rows)
    assert sum(each.calls for each in calling) == sum(state in LIVE for _, state, _ in calls)
    spent = [price for _, state, price in calls if state in TALKING]
    assert sum(each.per_minute_micros for each in calling) == sum(spent)
    usd = {each: ("USD", micros) for each, micros in balances.items()}
    found = least_lasting(calling, usd, 100)
    for each in found:
        if each.lasts_s is not None:
            assert each.lasts_s * each.calling.per_minute_micros <= 60 * max(0, each.balance_micros)
    known = [each.lasts_s for each in found if each.lasts_s is not None]
    assert known == sorted(known)
    assert [each.lasts_s for each in found][len(known) :] == [None] * (len(found) - len(known))
