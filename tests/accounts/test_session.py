"""Sessions: how long they last, what ends them, and how fresh a proof must be."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from accounts.holder import Holder
from accounts.session import (
    AGE_MAX,
    IDLE_MAX,
    SKEW_MAX,
    STEP_UP_MAX,
    Session,
    is_alive,
    is_stepped_up,
)

AT = datetime(2026, 11, 27, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
HOLDER = Holder("ac_1", "ann@example.com", AT, "hash", 3, "en", AT)
SESSION = Session("ac_1", "dv_1", frozenset({"pwd"}), 3, AT, AT, AT)


def test_a_session_lives_until_it_has_been_idle_too_long():
    assert is_alive(SESSION, HOLDER, AT)
    assert is_alive(SESSION, HOLDER, AT + IDLE_MAX - MOMENT)
    assert not is_alive(SESSION, HOLDER, AT + IDLE_MAX)


def test_a_session_that_is_used_ends_all_the_same():
    end = AT + AGE_MAX
    assert is_alive(replace(SESSION, seen_at=end - MOMENT), HOLDER, end - MOMENT)
    assert not is_alive(replace(SESSION, seen_at=end), HOLDER, end)


@pytest.mark.parametrize(
    "changed",
    [{"credentials_epoch": 4}, {"credentials_epoch": 2}, {"locked_at": AT}, {"account_id": "ac_2"}],
)
def test_a_session_falls_with_what_it_stands_on(changed):
    assert not is_alive(SESSION, replace(HOLDER, **changed), AT)


def test_a_proof_is_fresh_for_ten_minutes():
    assert is_stepped_up(SESSION, AT)
    assert is_stepped_up(SESSION, AT + STEP_UP_MAX - MOMENT)
    assert not is_stepped_up(SESSION, AT + STEP_UP_MAX)


def test_a_node_whose_clock_is_behind_by_seconds_signs_nobody_out():
    earlier = AT - SKEW_MAX
    assert is_alive(SESSION, HOLDER, earlier)
    assert is_stepped_up(SESSION, earlier)


@pytest.mark.parametrize("field", ["seen_at", "began_at", "authenticated_at"])
def test_a_time_in_the_future_makes_no_session_last_longer(field):
    ahead = replace(SESSION, **{field: AT + SKEW_MAX + MOMENT})
    allowed = is_stepped_up if field == "authenticated_at" else None
    assert not (allowed(ahead, AT) if allowed else is_alive(ahead, HOLDER, AT))
