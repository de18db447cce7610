"""When a mail is tried again, when it is given up, and how many leave at once."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.notice import MailState, Notice, QueuedMail
from gateway.post import outbox_rules as rules

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


URGENT = {"reset", "verify"}


def mail(number, account_id="alice", notice="told"):
    return QueuedMail(
        str(number),
        account_id,
        Notice(notice),
        MailState.SENDING,
        1,
        AT,
        AT,
        "<1@x>",
        None,
        "",
    )


def tries(*, is_away=False):
    """Return when a mail that is never taken is tried, at once each time that it is due."""
    moments = [AT]
    while again := rules.retry_at(len(moments), AT, moments[-1], is_away=is_away):
        moments.append(again)
    return moments


def test_pauses_grow_from_seconds_to_hours_and_end_after_three_days():
    moments = tries()
    pauses = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert pauses[:3] == [timedelta(seconds=seconds) for seconds in (10, 30, 90)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == timedelta(hours=4)
    assert timedelta(days=2, hours=20) < moments[-1] - AT < timedelta(days=3)
    assert len(moments) == 25


def test_a_server_that_is_away_is_asked_every_five_minutes():
    moments = tries(is_away=True)
    assert moments[-1] - moments[-2] == timedelta(minutes=5)
    assert moments[-1] - AT > timedelta(days=2, hours=23, minutes=50)


@given(st.integers(0, 10**9), st.timedeltas(timedelta(0), timedelta(days=9)), st.booleans())
def test_every_try_has_a_next_time_after_it_or_none_at_all(number, age, is_away):
    again = rules.retry_at(number, AT, AT + age, is_away=is_away)
    assert again is None or AT + age < again < AT + rules.LIFETIME
    assert again is not None or age >= rules.LIFETIME - rules.PAUSE_MAX


@pytest.mark.parametrize(
    ("code", "expected"),
    [(0, False), (250, False), (421, False), (450, False), (499, False), (500, True), (554, True)],
)
def test_only_a_reply_of_5yz_is_final(code, expected):
    assert rules.is_final(code) is expected


def test_a_failure_is_named_by_code_and_kind():
    assert rules.describe(550, "SMTPDataError") == "550 SMTPDataError"
    assert rules.describe(0, "TimeoutError") == "TimeoutError"


def test_a_batch_ends_before_its_claim_does():
    # Connect, greeting, EHLO, TLS, EHLO, login (3), MAIL, RCPT, DATA, the end of the data.
    steps = 12
    assert rules.BATCH_TIME_MAX + steps * timedelta(seconds=10) < rules.SENDING_MAX


def test_nobody_is_flooded():
    due = [mail(number) for number in range(15)] + [mail(99, "bob")]
    now, later = rules.paced(due, {}, URGENT)
    assert [each.id for each in now] == [*map(str, range(10)), "99"]
    assert [each.id for each in later] == [*map(str, range(10, 15))]


def test_what_was_sent_lately_counts():
    lately = {("alice", "told"): rules.PACE_MAX - 3, ("alice", "reset"): 2, ("carol", "told"): 99}
    now, later = rules.paced([mail(1), mail(2), mail(3, "bob")], lately, URGENT)
    assert [each.id for each in now] == ["1", "3"]
    assert [each.id for each in later] == ["2"]


def test_what_is_urgent_is_held_up_by_its_own_kind_alone():
    lately = {
        ("alice", "told"): 9 * rules.PACE_MAX,
        ("alice", "verify"): rules.PACE_MAX,
        ("alice", "reset"): rules.PACE_MAX - 1,
    }
    due = [mail(1, notice="reset"), mail(2, notice="reset"), mail(3, notice="verify"), mail(4)]
    now, later = rules.paced(due, lately, URGENT)
    assert [each.id for each in now] == ["1"]
    assert [each.id for each in later] == ["2", "3", "4"]
