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
    Answer,
    Attempt,
    Event,
    State,
    advance,
)

EVENTS = st.lists(st.sampled_from(Event), max_size=12)
CODES = [Event.CODE_WRONG, Event.CODE_USED, Event.CLOCK_OFF]


def walk(*events: Event, second_factor: bool = False) -> Attempt:
    attempt = Attempt(second_factor)
    for event in events:
        attempt = advance(attempt, event)
    return attempt


def test_every_event_is_decided_in_every_state():
    assert set(TABLE) == set(itertools.product(set(State) - FINAL, Event))


@pytest.mark.parametrize("state", sorted(FINAL))
@pytest.mark.parametrize("event", Event)
def test_what_is_final_stays(state, event):
    attempt = Attempt(False, state, Answer.WELCOME, 1, frozenset({"pwd"}))
    assert advance(attempt, event) == attempt


@pytest.mark.parametrize(
    ("event", "state", "answer"),
    [
        (Event.PASSWORD_RIGHT, State.SIGNED_IN, Answer.WELCOME),
        (Event.PASSWORD_WRONG, State.REFUSED, Answer.WRONG),
        (Event.UNKNOWN_ADDRESS, State.REFUSED, Answer.WRONG),
        (Event.LOCKED, State.LOCKED, Answer.LOCKED),
        (Event.CODE_RIGHT, State.REFUSED, Answer.BEGIN_AGAIN),
        (Event.CODE_WRONG, State.REFUSED, Answer.BEGIN_AGAIN),
        (Event.CODE_USED, State.REFUSED, Answer.BEGIN_AGAIN),
        (Event.CLOCK_OFF, State.REFUSED, Answer.BEGIN_AGAIN),
        (Event.RECOVERY_CODE_RIGHT, State.REFUSED, Answer.BEGIN_AGAIN),
        (Event.PASSKEY_RIGHT, State.SIGNED_IN, Answer.WELCOME),
        (Event.PASSKEY_WRONG, State.REFUSED, Answer.PASSKEY_WRONG),
        (Event.LINK_RIGHT, State.SIGNED_IN, Answer.WELCOME),
        (Event.TOO_MANY, State.REFUSED, Answer.WAIT),
    ],
)
def test_how_an_attempt_begins(event, state, answer):
    attempt = walk(event)
    assert (attempt.state, attempt.answer) == (state, answer)
    with_second_factor = walk(event, second_factor=True)
    if event is Event.PASSWORD_RIGHT:
        assert with_second_factor.state is State.NEEDS_SECOND_FACTOR
        assert with_second_factor.answer is Answer.ASK_CODE
    elif event is Event.LINK_RIGHT:
        # One factor of two, and not the one that codes are asked for after.
        assert with_second_factor.state is State.REFUSED
        assert with_second_factor.answer is Answer.BEGIN_AGAIN
    else:
        assert (with_second_factor.state, with_second_factor.answer) == (state, answer)


@pytest.mark.parametrize(
    ("event", "state", "answer"),
    [
        (Event.PASSWORD_RIGHT, State.NEEDS_SECOND_FACTOR, Answer.ASK_CODE),
        (Event.PASSWORD_WRONG, State.REFUSED, Answer.WRONG),
        (Event.UNKNOWN_ADDRESS, State.REFUSED, Answer.WRONG),
        (Event.LOCKED, State.LOCKED, Answer.LOCKED),
        (Event.CODE_RIGHT, State.SIGNED_IN, Answer.WELCOME),
        (Event.CODE_WRONG, State.NEEDS_SECOND_FACTOR, Answer.CODE_WRONG),
        (Event.CODE_USED, State.NEEDS_SECOND_FACTOR, Answer.CODE_USED),
        (Event.CLOCK_OFF, State.NEEDS_SECOND_FACTOR, Answer.CLOCK_OFF),
        (Event.RECOVERY_CODE_RIGHT, State.SIGNED_IN, Answer.RECOVERY_CODE_USED),
        (Event.PASSKEY_RIGHT, State.SIGNED_IN, Answer.WELCOME),
        (Event.PASSKEY_WRONG, State.NEEDS_SECOND_FACTOR, Answer.PASSKEY_WRONG),
        (Event.LINK_RIGHT, State.REFUSED, Answer.BEGIN_AGAIN),
        (Event.TOO_MANY, State.REFUSED, Answer.WAIT),
    ],
)
def test_how_a_second_factor_ends(event, state, answer):
    attempt = walk(Event.PASSWORD_RIGHT, event, second_factor=True)
    assert (attempt.state, attempt.answer) == (state, answer)


@pytest.mark.parametrize("second_factor", [False, True])
def test_a_wrong_password_and_an_unknown_address_are_told_alike(second_factor):
    wrong = walk(Event.PASSWORD_WRONG, second_factor=second_factor)
    unknown = walk(Event.UNKNOWN_ADDRESS, second_factor=second_factor)
    assert wrong == unknown


@pytest.mark.parametrize("kind", CODES)
def test_codes_are_tried_five_times_after_one_password(kind):
    last_chance = walk(Event.PASSWORD_RIGHT, *[kind] * (CODE_TRIES_MAX - 1), second_factor=True)
    assert advance(last_chance, Event.CODE_RIGHT).state is State.SIGNED_IN
    over = advance(last_chance, kind)
    assert (over.state, over.answer) == (State.REFUSED, Answer.TOO_MANY_CODES)
    assert advance(over, Event.CODE_RIGHT) == over


def test_the_same_password_again_gives_no_more_tries():
    tries = [Event.CODE_WRONG, Event.PASSWORD_RIGHT] * CODE_TRIES_MAX
    assert walk(Event.PASSWORD_RIGHT, *tries, second_factor=True).state is State.REFUSED


def test_a_session_learns_how_a_person_proved_who_they_are():
    assert walk(Event.PASSWORD_RIGHT).methods == {"pwd"}
    code = walk(Event.PASSWORD_RIGHT, Event.CODE_WRONG, Event.CODE_RIGHT, second_factor=True)
    assert code.methods == {"pwd", "otp", "mfa"}
    recovered = walk(Event.PASSWORD_RIGHT, Event.RECOVERY_CODE_RIGHT, second_factor=True)
    assert recovered.methods == {"pwd", "otp", "mfa"}
    assert walk(Event.PASSKEY_RIGHT, second_factor=True).methods == {"pop", "user", "mfa"}
    assert walk(Event.LINK_RIGHT).methods == set()


@given(EVENTS, st.booleans())
def test_nobody_is_signed_in_without_proof(events, second_factor):
    """Replays every way of coming in, in words that do not use the table."""
    attempt = walk(*events, second_factor=second_factor)
    if attempt.state is State.REFUSED:
        assert not attempt.methods
    if attempt.state is not State.SIGNED_IN:
        return
    proven = set(events)
    if not attempt.methods:
        assert not second_factor
        assert events[0] is Event.LINK_RIGHT
        return
    if attempt.methods == {"pwd"}:
        assert not second_factor
        assert events[0] is Event.PASSWORD_RIGHT
    elif "otp" in attempt.methods:
        assert events[0] is Event.PASSWORD_RIGHT
        assert proven & {Event.CODE_RIGHT, Event.RECOVERY_CODE_RIGHT}
    else:
        assert Event.PASSKEY_RIGHT in proven
    assert "pwd" in attempt.methods or "pop" in attempt.methods
    assert attempt.wrong_codes < CODE_TRIES_MAX
    # Whoever wants a second factor has shown one.
    assert not second_factor or "mfa" in attempt.methods


@given(EVENTS)
def test_no_attempt_has_more_tries_than_are_allowed(events):
    attempt = walk(Event.PASSWORD_RIGHT, *events, second_factor=True)
    assert attempt.wrong_codes <= CODE_TRIES_MAX


def test_only_events_that_prove_something_name_methods():
    assert {event for event in Event if event.endswith("_right")} == set(METHODS)
