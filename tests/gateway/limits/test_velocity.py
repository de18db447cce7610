"""Velocity limits: the table, what counts for whom, and when a refused use may be repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.velocity import (
    DAY_S,
    HOUR_S,
    LIMITS,
    MINUTE_S,
    CounterWindow,
    Limit,
    LimitRefusal,
    Override,
    Use,
    button_call_uses,
    button_making_uses,
    button_uses,
    call_uses,
    challenge_uses,
    checkout_uses,
    code_uses,
    effective,
    embed_uses,
    epoch_uses,
    grant_uses,
    key_uses,
    longest,
    markdown,
    outcome_wait_s,
    outcomes,
    parse_override,
    proof_call_uses,
    proof_mail_uses,
    quote_uses,
    reset_uses,
    sign_in_uses,
    sign_up_uses,
    step_up_uses,
    supervision_uses,
    token_uses,
    visitor_network_uses,
    visitor_token_uses,
    visitor_uses,
    wait_s,
    webhook_setting_uses,
    wrong_button_uses,
    wrong_key_uses,
    wrong_link_uses,
    wrong_session_uses,
)
from gateway.limits.velocity_limits import LONG_CALLS, SHORT_CALLS
from gateway.problems import PROBLEMS

TEN = Limit("ten", 10, 60, "rate_limited", "")


# The table.


def test_every_limit_has_a_bound_a_window_a_reason_and_a_refusal():
    for name, limit in LIMITS.items():
        assert limit.name == name
        assert limit.amount > 0
        assert limit.window_s == {"day": DAY_S, "hour": HOUR_S}.get(name.split("_")[-1], MINUTE_S)
        assert limit.reason
        assert PROBLEMS[limit.code].status == 429
        assert PROBLEMS[limit.code].retry
        assert f"`{name}`" in markdown()


def test_an_account_has_room_for_its_keys_and_an_address_for_its_accounts():
    for key, limit in LIMITS.items():
        if key.startswith("key_"):
            account = LIMITS[key.replace("key_", "account_")]
            address = LIMITS[key.replace("key_", "address_")]
            assert limit.amount < account.amount < address.amount


AMOUNTS = {
    "visitor_hour": 1,
    "visitor_day": 2,
    "network_hour": 3,
    "network_day": 4,
    "button_hour": 5,
    "button_day": 6,
}


def test_a_button_has_amounts_of_its_own():
    uses = [
        *visitor_uses("v", AMOUNTS),
        *visitor_network_uses("n", AMOUNTS),
        *button_uses("b", AMOUNTS),
    ]
    assert [(use.limit, use.subject, use.amount) for use in uses] == [
        ("visitor_button_calls_hour", "v", 1),
        ("visitor_button_calls_day", "v", 2),
        ("network_button_calls_hour", "n", 3),
        ("network_button_calls_day", "n", 4),
        ("button_calls_hour", "b", 5),
        ("button_calls_day", "b", 6),
    ]
    assert visitor_uses("", AMOUNTS) == visitor_network_uses("", AMOUNTS) == ()


def test_a_number_of_ones_own_is_called_as_often_as_one_likes():
    own = button_call_uses("a", "+442079460018", is_signed=False)
    assert {use.limit for use in own} == {"account_calls_minute", "account_calls_hour"}
    signed = button_call_uses("a", "+442079460018", is_signed=True)
    of_any_call = call_uses("a", "", "", "+442079460018")
    assert {*signed} == {use for use in of_any_call if not use.limit.startswith("address")}


def test_every_use_has_a_limit():
    uses = [
        *call_uses("a", "k", "192.0.2.1", "+442079460018"),
        *token_uses("a", "k", "192.0.2.1"),
        *quote_uses("a", "k", "192.0.2.1"),
        *checkout_uses("a", "192.0.2.1"),
        *wrong_key_uses("192.0.2.1"),
        *sign_in_uses("ada@example.com", "", "192.0.2.1"),
        *step_up_uses("ada", "d1"),
        *sign_up_uses("192.0.2.1"),
        *reset_uses("ada@example.com", "", "192.0.2.1"),
        *proof_mail_uses("ada@example.com"),
        *code_uses("a", "", "192.0.2.1"),
        *challenge_uses("192.0.2.1"),
        *wrong_link_uses("192.0.2.1"),
        *wrong_session_uses("192.0.2.1"),
        *epoch_uses("a", "d1"),
        *key_uses("a"),
        *supervision_uses("a"),
        *grant_uses("a"),
        *button_making_uses("a"),
        *webhook_setting_uses("a"),
        *embed_uses("192.0.2.1"),
        *wrong_button_uses("192.0.2.1"),
        *visitor_uses("v", AMOUNTS),
        *visitor_network_uses("n", AMOUNTS),
        *(use for uses in visitor_token_uses("v", "n", AMOUNTS) for use in uses),
        *button_uses("b", AMOUNTS),
        *proof_call_uses("a", "+442079460018", "192.0.2.1"),
    ]
    assert {use.limit for use in uses} == LIMITS.keys()


def test_a_call_counts_for_account_key_address_and_number():
    uses = set(call_uses("a", "k", "192.0.2.1:99", "+1"))
    assert {
        Use("account_calls_minute", "a"),
        Use("key_calls_hour", "k"),
        Use("address_calls_hour", "192.0.2.1"),
        Use("number_calls_minute", "a +1"),
    } <= uses


def test_a_device_that_was_signed_in_has_an_allowance_of_its_own():
    """Strangers use up what is theirs, wherever they are, and no other limit counts the known."""
    known = sign_in_uses("ada@example.com", "d1", "192.0.2.1")
    assert known == (Use("account_sign_ins_hour", "ada@example.com d1"),)
    assert not set(sign_in_uses("ada@example.com", "", "192.0.2.1")) & set(known)
    known = reset_uses("ada@example.com", "d1", "192.0.2.1")
    assert known == (Use("account_resets_hour", "ada@example.com d1"),)
    assert not set(reset_uses("ada@example.com", "", "192.0.2.1")) & set(known)


def test_a_place_is_an_address_and_its_network():
    assert {
        Use("address_sign_ins_hour", "192.0.2.7"),
        Use("network_sign_ins_hour", "192.0.2.0/24"),
    } < set(sign_in_uses("ada@example.com", "", "192.0.2.7:99"))
    assert sign_up_uses("2001:db8:1:2::9")[1].subject == "2001:db8:1::/48"


def test_an_account_without_a_key_counts_for_none():
    assert not [use for use in call_uses("a", "", "", "+1") if use.limit.startswith("key_")]


@pytest.mark.parametrize(
    ("seconds", "name"), [(0, SHORT_CALLS), (10, SHORT_CALLS), (11, LONG_CALLS)]
)
def test_a_call_is_short_or_long_for_its_account_and_for_its_range(seconds, name):
    of_range = name.replace("account", "range")
    found = outcomes("a", "+442079460018", seconds)
    assert found == (Use(name, "a"), Use(of_range, "a +44207946"))
    uses = call_uses("a", "k", "192.0.2.1", "+442079469999")
    assert Use("range_short_calls_hour", "a +44207946") in uses


# What the operator sets.


@pytest.mark.parametrize(
    ("text", "override"),
    [
        ("key_calls_hour=1000", Override("key_calls_hour", 1000)),
        (" key_calls_hour = off ", Override("key_calls_hour", None)),
        ("all=off", Override("all", None)),
    ],
)
def test_an_override_is_read(text, override):
    assert parse_override(text) == override


@pytest.mark.parametrize(
    "text",
    [
        "key_calls_hour",
        "key_calls_hour=",
        "key_calls_hour=0",
        "key_calls_hour=-1",
        "key_calls_hour=1000001",
        "key_calls_hour=99999999999",
        "key_calls_hour=1e3",
        "key_calls_hour=0000000019999999999",
        "key_calls_hour=" + "9" * 5_000,
        "all",
        "all=5",
        "calls=5",
        "=5",
        "key_calls_hour=٣",
    ],
)
def test_any_other_override_is_refused(text):
    with pytest.raises(ValueError, match=r"velocity limit|must be"):
        parse_override(text)


def test_overrides_change_what_they_name_and_the_last_one_counts():
    limits = effective([Override("key_calls_hour", 1), Override("key_calls_hour", 7)])
    assert limits["key_calls_hour"].amount == 7
    assert limits["key_calls_hour"].window_s == HOUR_S
    assert limits.keys() == LIMITS.keys()
    assert effective([]) == LIMITS
    assert "key_calls_hour" not in effective([Override("key_calls_hour", None)])
    assert effective([Override("all", None), Override("key_calls_hour", 7)]).keys() == {
        "key_calls_hour"
    }


# Addresses.


# When to try again.


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (CounterWindow(0, 0.0, 0, 0.0), 0),
        (CounterWindow(0, 0.0, 9, 61.0), 0),
        # Ten in one go, at once: the window must end before they begin to fade.
        (CounterWindow(0, 0.0, 10, 120.0), 61),
        (CounterWindow(0, 0.0, 10, 60.5), 1),
        # They fade by one each six seconds.
        (CounterWindow(10, 60.0, 0, 0.0), 1),
        (CounterWindow(10, 60.0, 1, 120.0), 7),
        (CounterWindow(10, 30.0, 5, 90.0), 1),
        (CounterWindow(10, 30.0, 4, 90.0), 0),
        # Beyond the limit, as outcomes are counted.
        (CounterWindow(0, 0.0, 40, 60.0), 46),
    ],
)
def test_the_wait_is_until_one_more_is_within_the_limit(window, expected):
    assert wait_s(TEN, window) == expected


@given(
    st.integers(0, 30),
    st.floats(0, 60),
    st.integers(0, 30),
    st.floats(60, 120),
)
def test_after_the_wait_one_more_is_within_the_limit(previous, left_s, current, current_left_s):
    """Windows a script can leave: what is left moves with the clock, and so do the counters."""
    left_s = min(left_s, current_left_s - 60)
    waited = wait_s(TEN, CounterWindow(previous, left_s, current, current_left_s))
    left_s, current_left_s = left_s - waited, current_left_s - waited
    if current_left_s <= 60:
        previous, left_s, current, current_left_s = current, current_left_s, 0, 0.0
    assert wait_s(TEN, CounterWindow(previous, max(0.0, left_s), current, current_left_s)) == 0
    assert waited <= 121


def test_outcomes_matter_while_the_bad_ones_outweigh_the_good():
    bad = CounterWindow(0, 0.0, 12, 90.0)
    assert outcome_wait_s(TEN, bad, CounterWindow(0, 0.0, 12, 90.0)) == 0
    assert outcome_wait_s(TEN, bad, CounterWindow(0, 0.0, 11, 90.0)) == wait_s(TEN, bad) > 0
    assert outcome_wait_s(TEN, CounterWindow(0, 0.0, 9, 90.0), CounterWindow(0, 0.0, 0, 0.0)) == 0
    # Good ones fade as bad ones do.
    assert outcome_wait_s(TEN, bad, CounterWindow(20, 30.0, 0, 0.0)) > 0


def test_the_longest_wait_is_told():
    assert longest([]) is None
    assert longest(
        [LimitRefusal(TEN, 3), LimitRefusal(TEN, 9), LimitRefusal(TEN, 4)]
    ) == LimitRefusal(TEN, 9)
