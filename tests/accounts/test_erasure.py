"""The deletion of an account as a table: its steps, who may have it at once, what comes back."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.audit_log import Actor
from accounts.erasure import (
    GRACE,
    STEPS,
    Erasure,
    ErasureState,
    ErasureStep,
    Unspent,
    after,
    is_strong,
    must_repeat,
)

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def test_every_step_follows_once_and_the_last_is_followed_by_nothing():
    found, step = [ErasureStep.CLOSE], ErasureStep.CLOSE
    while (step := after(step)) is not None:
        found.append(step)
    assert tuple(found) == STEPS == tuple(ErasureStep)


def test_what_needs_the_person_comes_before_the_person_goes():
    order = {step: STEPS.index(step) for step in ErasureStep}
    assert order[ErasureStep.CLOSE] == 0
    # A call that is booked later would have its number again.
    assert (
        order[ErasureStep.CALLS]
        < order[ErasureStep.CREDIT]
        < order[ErasureStep.CUSTOMER]
        < order[ErasureStep.PERSON]
    )
    assert order[ErasureStep.CALLS] < order[ErasureStep.RECORDS]
    # Somebody could sign in as long as there is a holder.
    assert order[ErasureStep.PERSON] < order[ErasureStep.SESSIONS] < order[ErasureStep.FILES]


@pytest.mark.parametrize(
    ("state", "is_open"),
    [
        (ErasureState.WAITING, True),
        (ErasureState.ERASING, True),
        (ErasureState.DONE, False),
        (ErasureState.CANCELLED, False),
    ],
)
def test_a_deletion_is_open_until_it_is_done_or_cancelled(state, is_open):
    one = Erasure("a", state, STEPS[0], Unspent.REFUND, Actor.HOLDER, NOW, NOW + GRACE)
    assert one.is_open is is_open


@pytest.mark.parametrize(
    ("methods", "is_enough"),
    [
        (set(), False),
        ({"pwd"}, False),
        ({"pwd", "otp", "mfa"}, True),
        ({"pop", "user", "mfa"}, True),
        ({"otp"}, False),
    ],
    ids=["nothing", "password", "code", "passkey", "code_alone"],
)
def test_a_password_alone_deletes_nothing_at_once(methods, is_enough):
    assert is_strong(methods) is is_enough


def test_what_was_made_after_an_erasure_is_another_account():
    assert must_repeat(NOW, NOW - timedelta(seconds=1))
    assert not must_repeat(NOW, NOW)
