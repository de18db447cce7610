"""The rules of admission: their order, their names, and what they decide on plain values."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.limits.fraud import (
    COUNTED,
    RULES,
    AccountFacts,
    Allowance,
    Policy,
    is_home,
    markdown,
    may_call_country,
    new_card_bound,
    uses_left,
)
from gateway.limits.velocity import call_uses
from gateway.problems import PROBLEMS

AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
POLICY = Policy(frozenset({"DE"}), new_card_days=7, new_card_day_micros=20)
SOON, PAST = AT + timedelta(seconds=1), AT


def test_every_refusal_is_of_one_rule_and_says_what_to_do():
    codes = [code for rule in RULES for code in rule.codes]
    assert len(codes) == len(set(codes))
    assert set(codes) <= PROBLEMS.keys()
    assert {rule.lifted_by for rule in RULES} - {None} == set(Allowance)
    assert COUNTED["country_closed"] == "countries"
    assert "insufficient_credit" not in COUNTED
    assert all(f"| {rule.name} |" in markdown() for rule in RULES)


def test_all_countries_are_home_where_none_is_named():
    assert is_home(Policy(), "FR")
    assert is_home(Policy(), "")
    assert is_home(POLICY, "DE")
    assert not is_home(POLICY, "FR")


@pytest.mark.parametrize(
    ("standing", "country", "may"),
    [
        (AccountFacts(), "DE", True),
        (AccountFacts(), "FR", False),
        (AccountFacts(), "", False),
        (AccountFacts(opened=frozenset({"FR"})), "FR", True),
        (AccountFacts(lifted={Allowance.COUNTRIES: SOON}), "FR", True),
        (AccountFacts(lifted={Allowance.COUNTRIES: PAST}), "FR", False),
        (AccountFacts(lifted={Allowance.NEW_CARD: SOON}), "FR", False),
    ],
)
def test_a_country_is_home_or_opened_or_allowed(standing, country, may):
    assert may_call_country(POLICY, standing, country, AT) is may


@pytest.mark.parametrize(
    ("days", "changes", "bound"),
    [
        (0, {}, 20),
        (7, {}, None),
        (6.99, {}, 20),
        (1, {"is_disposable": True}, 10),
        (1, {"seen_in": frozenset({"FR"})}, 10),
        (1, {"seen_in": frozenset({"FR"}), "is_disposable": True}, 10),
        (1, {"seen_in": frozenset({"FR", "DE"})}, 20),
        (1, {"seen_in": frozenset({"FR"}), "opened": frozenset({"FR"})}, 20),
        (1, {"lifted": {Allowance.NEW_CARD: SOON}}, None),
        (1, {"lifted": {Allowance.NEW_CARD: PAST}}, 20),
    ],
)
def test_a_card_is_new_for_so_many_days(days, changes, bound):
    standing = AccountFacts(first_paid_at=AT - timedelta(days=days), **changes)
    assert new_card_bound(POLICY, standing, AT) == bound


def test_where_every_country_may_be_called_none_is_odd():
    standing = AccountFacts(first_paid_at=AT, seen_in=frozenset({"FR"}))
    anywhere = replace(POLICY, home_countries=frozenset())
    assert new_card_bound(anywhere, standing, AT) == POLICY.new_card_day_micros


def test_who_has_not_paid_has_no_card():
    assert new_card_bound(POLICY, AccountFacts(), AT) is None


def test_lifted_rules_take_their_limits_with_them_but_for_those_of_an_address():
    uses = call_uses("a", "k", "192.0.2.1", "+442079460018")
    left = {use.limit for use in uses_left(uses, {Allowance.VELOCITY})}
    assert left == {
        "address_calls_minute",
        "address_calls_hour",
        "account_short_calls_hour",
        "range_short_calls_hour",
    }
    left = {use.limit for use in uses_left(uses, {"short-calls"})}
    assert len(left) == len(uses) - 2
    assert uses_left(uses, ()) == list(uses)


def test_a_standing_names_what_is_lifted_now():
    standing = AccountFacts(lifted={Allowance.VELOCITY: SOON, Allowance.NEW_CARD: PAST})
    assert standing.lifted_at(AT) == {Allowance.VELOCITY}
    assert AccountFacts().lifted_at(AT) == frozenset()
