"""Sign-in: every event in every state, the next state, and the person's answer."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.sign_in import (
    CODE_TRIES_MAX,
    FINAL,
    METHODS,
    TABLE,
    SignInAnswer,
    SignInAttempt,
    SignInEvent,
    SignInState,
    advance,
)

EVENTS = st.lists(st.sampled_from(SignInEvent), max_size=12)
CODES = [SignInEvent.CODE_WRONG, SignInEvent.CODE_USED, SignInEvent.CLOCK_OFF]


def walk(*events: SignInEvent, second_factor: bool = False) -> SignInAttempt:
    attempt = SignInAttempt(second_factor)
    for event in events:
        attempt = advance(attempt, event)
    return attempt


def test_every_event_is_decided_in_every_state():
    assert set(TABLE) == set(itertools.product(set(SignInState) - FINAL, SignInEvent))


@pytest.mark.parametrize("state", sorted(FINAL))
@pytest.mark.parametrize("event", SignInEvent)
def test_what_is_final_stays(state, event):
    attempt = SignInAttempt(False, state, SignInAnswer.WELCOME, 1, frozenset({"pwd"}))
    assert advance(attempt, event) == attempt


@pytest.mark.parametrize(
    ("event", "state", "answer"),
    [
        (SignInEvent.PASSWORD_RIGHT, SignInState.SIGNED_IN, SignInAnswer.WELCOME),
        (SignInEvent.PASSWORD_WRONG, SignInState.REFUSED, SignInAnswer.WRONG),
        (SignInEvent.UNKNOWN_ADDRESS, SignInState.REFUSED, SignInAnswer.WRONG),
        (SignInEvent.LOCKED, SignInState.LOCKED, SignInAnswer.LOCKED),
        (SignInEvent.CODE_RIGHT, SignInState.REFUSED, SignInAnswer.BEGIN_AGAIN),
        (SignInEvent.CODE_WRONG, SignInState.REFUSED, SignInAnswer.BEGIN_AGAIN),
        (SignInEvent.CODE_USED, SignInState.REFUSED, SignInAnswer.BEGIN_AGAIN),
        (SignInEvent.CLOCK_OFF, SignInState.REFUSED, SignInAnswer.BEGIN_AGAIN),
        (SignInEvent.RECOVERY_CODE_RIGHT, SignInState.REFUSED, SignInAnswer.BEGIN_AGAIN),
        (SignInEvent.PASSKEY_RIGHT, SignInState.SIGNED_IN, SignInAnswer.WELCOME),
        (SignInEvent.PASSKEY_WRONG, SignInState.REFUSED, SignInAnswer.PASSKEY_WRONG),
        (SignInEvent.LINK_RIGHT, SignInState.SIGNED_IN, SignInAnswer.WELCOME),
        (SignInEvent.TOO_MANY, SignInState.REFUSED, SignInAnswer.WAIT),
    ],
)
def test_how_an_attempt_begins(event, state, answer):
    attempt = walk(event)
    assert (attempt.state, attempt.answer) == (state, answer)
    with_second_factor = walk(event, second_factor=True)
    if event is SignInEvent.PASSWORD_RIGHT:
        assert with_second_factor.state is SignInState.NEEDS_SECOND_FACTOR
        assert with_second_factor.answer is SignInAnswer.ASK_CODE
    elif event is SignInEvent.LINK_RIGHT:
        # One factor of two, and not the one that codes are asked for after.
        assert with_second_factor.state is SignInState.REFUSED
        assert with_second_factor.answer is SignInAnswer.BEGIN_AGAIN
    else:
        assert (with_second_factor.state, with_second_factor.answer) == (state, answer)


@pytest.mark.parametrize(
    ("event", "state", "answer"),
    [
        (SignInEvent.PASSWORD_RIGHT, SignInState.NEEDS_SECOND_FACTOR, SignInAnswer.ASK_CODE),
        (SignInEvent.PASSWORD_WRONG, SignInState.REFUSED, SignInAnswer.WRONG),
        (SignInEvent.UNKNOWN_ADDRESS, SignInState.REFUSED, SignInAnswer.WRONG),
        (SignInEvent.LOCKED, SignInState.LOCKED, SignInAnswer.LOCKED),
        (SignInEvent.CODE_RIGHT, SignInState.SIGNED_IN, SignInAnswer.WELCOME),
        (SignInEvent.CODE_WRONG, SignInState.NEEDS_SECOND_FACTOR, SignInAnswer.CODE_WRONG),
        (SignInEvent.CODE_USED, SignInState.NEEDS_SECOND_FACTOR, SignInAnswer.CODE_USED),
        (SignInEvent.CLOCK_OFF, SignInState.NEEDS_SECOND_FACTOR, SignInAnswer.CLOCK_OFF),
        (SignInEvent.RECOVERY_CODE_RIGHT, SignInState.SIGNED_IN, SignInAnswer.RECOVERY_CODE_USED),
        (SignInEvent.PASSKEY_RIGHT, SignInState.SIGNED_IN, SignInAnswer.WELCOME),
        (SignInEvent.PASSKEY_WRONG, SignInState.NEEDS_SECOND_FACTOR, SignInAnswer.PASSKEY_WRONG),
        (SignInEvent.LINK_RIGHT, SignInState.REFUSED, SignInAnswer.BEGIN_AGAIN),
        (SignInEvent.TOO_MANY, SignInState.REFUSED, SignInAnswer.WAIT),
    ],
)
def test_how_a_second_factor_ends(event, state, answer):
    attempt = walk(SignInEvent.PASSWORD_RIGHT, event, second_factor=True)
    assert (attempt.state, attempt.answer) == (state, answer)


@pytest.mark.parametrize("second_factor", [False, True])
def test_a_wrong_password_and_an_unknown_address_are_told_alike(second_factor):
    wrong = walk(SignInEvent.PASSWORD_WRONG, second_factor=second_factor)
    unknown = walk(SignInEvent.UNKNOWN_ADDRESS, second_factor=second_factor)
    assert wrong == unknown


@pytest.mark.parametrize("kind", CODES)
def test_codes_are_tried_five_times_after_one_password(kind):
    last_chance = walk(
        SignInEvent.PASSWORD_RIGHT, *[kind] * (CODE_TRIES_MAX - 1), second_factor=True
    )
    assert advance(last_chance, SignInEvent.CODE_RIGHT).state is SignInState.SIGNED_IN
    over = advance(last_chance, kind)
    assert (over.state, over.answer) == (SignInState.REFUSED, SignInAnswer.TOO_MANY_CODES)
    assert advance(over, SignInEvent.CODE_RIGHT) == over


def test_the_same_password_again_gives_no_more_tries():
    tries = [SignInEvent.CODE_WRONG, SignInEvent.PASSWORD_RIGHT] * CODE_TRIES_MAX
    assert walk(SignInEvent.PASSWORD_RIGHT, *tries, second_factor=True).state is SignInState.REFUSED


def test_a_session_learns_how_a_person_proved_who_they_are():
    assert walk(SignInEvent.PASSWORD_RIGHT).methods == {"pwd"}
    code = walk(
        SignInEvent.PASSWORD_RIGHT,
        SignInEvent.CODE_WRONG,
        SignInEvent.CODE_RIGHT,
        second_factor=True,
    )
    assert code.methods == {"pwd", "otp", "mfa"}
    recovered = walk(
        SignInEvent.PASSWORD_RIGHT, SignInEvent.RECOVERY_CODE_RIGHT, second_factor=True
    )
    assert recovered.methods == {"pwd", "otp", "mfa"}
    assert walk(SignInEvent.PASSKEY_RIGHT, second_factor=True).methods == {"pop", "user", "mfa"}
    assert walk(SignInEvent.LINK_RIGHT).methods == set()


@given(EVENTS, st.booleans())
def test_nobody_is_signed_in_without_proof(events, second_factor):
    """Replays every way of coming in, in words that do not use the table."""
    attempt = walk(*events, second_factor=second_factor)
    if attempt.state is SignInState.REFUSED:
        assert not attempt.methods
    if attempt.state is not SignInState.SIGNED_IN:
        return
    proven = set(events)
    if not attempt.methods:
        assert not second_factor
        assert events[0] is SignInEvent.LINK_RIGHT
        return
    if attempt.methods == {"pwd"}:
        assert not second_factor
        assert events[0] is SignInEvent.PASSWORD_RIGHT
    elif "otp" in attempt.methods:
        assert events[0] is SignInEvent.PASSWORD_RIGHT
        assert proven & {SignInEvent.CODE_RIGHT, SignInEvent.RECOVERY_CODE_RIGHT}
    else:
        assert SignInEvent.PASSKEY_RIGHT in proven
    assert "pwd" in attempt.methods or "pop" in attempt.methods
    assert attempt.wrong_codes < CODE_TRIES_MAX
    # Whoever wants a second factor has shown one.
    assert not second_factor or "mfa" in attempt.methods


@given(EVENTS)
def test_no_attempt_has_more_tries_than_are_allowed(events):
    attempt = walk(SignInEvent.PASSWORD_RIGHT, *events, second_factor=True)
    assert attempt.wrong_codes <= CODE_TRIES_MAX


def test_only_events_that_prove_something_name_methods():
    assert {event for event in SignInEvent if event.endswith("_right")} == set(METHODS)
