"""Defines the steps of a sign-in as a table: state, event, next state, what the person may learn.

    START ──── NEEDS_SECOND_FACTOR ──── SIGNED_IN
      └──────────────┴──────────────── REFUSED, LOCKED

The velocity limits bound how often an attempt may be begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

CODE_TRIES_MAX: Final = 5
"""Codes of the second factor that may be tried after one password; NIST SP 800-63B-4 (3.2.2) allows
100 at most."""


class SignInState(StrEnum):
    """The states of an attempt to sign in."""

    START = "start"
    NEEDS_SECOND_FACTOR = "needs_second_factor"
    """The password was right; a code is required."""
    SIGNED_IN = "signed_in"
    """A session may begin. Final."""
    REFUSED = "refused"
    """This attempt is over; another may begin. Final."""
    LOCKED = "locked"
    """The holder has locked the account; a password reset unlocks it. Final."""


class SignInEvent(StrEnum):
    """Something that happens in an attempt."""

    PASSWORD_RIGHT = "password_right"  # noqa: S105
    PASSWORD_WRONG = "password_wrong"  # noqa: S105
    UNKNOWN_ADDRESS = "unknown_address"
    """No holder has the address; a password was checked anyway, so that the answer takes as
    long."""
    LOCKED = "locked"
    """Password or passkey are right, and the holder is locked: no one else is told so."""
    CODE_RIGHT = "code_right"
    CODE_WRONG = "code_wrong"
    """Also for a recovery code that is wrong or was used."""
    CODE_USED = "code_used"
    CLOCK_OFF = "clock_off"
    RECOVERY_CODE_RIGHT = "recovery_code_right"
    PASSKEY_RIGHT = "passkey_right"
    """A passkey that has verified its user: two factors in one, sufficient on its own."""
    PASSKEY_WRONG = "passkey_wrong"
    LINK_RIGHT = "link_right"
    """A link that replaces the password, for a holder without a second factor."""
    TOO_MANY = "too_many"
    """A velocity limit refuses the attempt."""


class SignInAnswer(StrEnum):
    """All that the person may learn."""

    NOTHING = "nothing"
    """Nothing has happened yet."""
    WELCOME = "welcome"
    ASK_CODE = "ask_code"
    WRONG = "wrong"
    """Address or password are wrong: the same answer for both, or addresses could be probed."""
    LOCKED = "locked"
    CODE_WRONG = "code_wrong"
    CODE_USED = "code_used"
    """Wait for the next code."""
    CLOCK_OFF = "clock_off"
    """Set the clock of the device that shows the codes."""
    TOO_MANY_CODES = "too_many_codes"
    """Begin again with the password."""
    RECOVERY_CODE_USED = "recovery_code_used"
    """Signed in, with one recovery code less."""
    PASSKEY_WRONG = "passkey_wrong"
    WAIT = "wait"
    """Too many attempts; try again later."""
    BEGIN_AGAIN = "begin_again"
    """The steps came in an order that the pages never ask for."""


FINAL: Final = frozenset({SignInState.SIGNED_IN, SignInState.REFUSED, SignInState.LOCKED})
"""States that no event changes: a repeated form signs no one in or out."""


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """One attempt to sign in."""

    has_second_factor: bool
    """Whether the holder has a second factor; False for an unknown address."""
    state: SignInState = SignInState.START
    answer: SignInAnswer = SignInAnswer.NOTHING
    wrong_codes: int = 0
    methods: frozenset[str] = frozenset()
    """How the person has proven who they are so far, as RFC 8176 names."""


class SignInOutcome(NamedTuple):
    """The result of an event."""

    state: SignInState
    answer: SignInAnswer
    counts: bool = False
    """Whether it counts as a try of a code."""


_WRONG = SignInOutcome(SignInState.REFUSED, SignInAnswer.WRONG)
_LOCKED = SignInOutcome(SignInState.LOCKED, SignInAnswer.LOCKED)
_WELCOME = SignInOutcome(SignInState.SIGNED_IN, SignInAnswer.WELCOME)
_WAIT = SignInOutcome(SignInState.REFUSED, SignInAnswer.WAIT)
_BEGIN_AGAIN = SignInOutcome(SignInState.REFUSED, SignInAnswer.BEGIN_AGAIN)
_ASK_CODE = SignInOutcome(SignInState.NEEDS_SECOND_FACTOR, SignInAnswer.ASK_CODE)
_TOO_MANY_CODES = SignInOutcome(SignInState.REFUSED, SignInAnswer.TOO_MANY_CODES)


def _again(answer: SignInAnswer) -> SignInOutcome:
    return SignInOutcome(SignInState.NEEDS_SECOND_FACTOR, answer, counts=True)


TABLE: Final[Mapping[tuple[SignInState, SignInEvent], SignInOutcome]] = {
    # For a holder with a second factor; without one it signs in.
    (SignInState.START, SignInEvent.PASSWORD_RIGHT): _ASK_CODE,
    (SignInState.START, SignInEvent.PASSWORD_WRONG): _WRONG,
    (SignInState.START, SignInEvent.UNKNOWN_ADDRESS): _WRONG,
    (SignInState.START, SignInEvent.LOCKED): _LOCKED,
    (SignInState.START, SignInEvent.PASSKEY_RIGHT): _WELCOME,
    (SignInState.START, SignInEvent.PASSKEY_WRONG): SignInOutcome(
        SignInState.REFUSED, SignInAnswer.PASSKEY_WRONG
    ),
    # For a holder with a second factor; without one it signs in.
    (SignInState.START, SignInEvent.LINK_RIGHT): _BEGIN_AGAIN,
    (SignInState.START, SignInEvent.TOO_MANY): _WAIT,
    # A right code does not replace the password that must come first.
    (SignInState.START, SignInEvent.CODE_RIGHT): _BEGIN_AGAIN,
    (SignInState.START, SignInEvent.CODE_WRONG): _BEGIN_AGAIN,
    (SignInState.START, SignInEvent.CODE_USED): _BEGIN_AGAIN,
    (SignInState.START, SignInEvent.CLOCK_OFF): _BEGIN_AGAIN,
    (SignInState.START, SignInEvent.RECOVERY_CODE_RIGHT): _BEGIN_AGAIN,
    (SignInState.NEEDS_SECOND_FACTOR, SignInEvent.CODE_RIGHT): _WELCOME,
    (SignInState.NEEDS_SECOND_FACTOR, SignInEvent.RECOVERY_CODE_RIGHT): SignInOutcome(
        SignInState.SIGNED_IN, SignInAnswer.RECOVERY_CODE_USED
    ),
    (SignInState.NEEDS_SECOND_FACTOR, SignInEvent.PASSKEY_RIGHT): _WELCOME,
    # Each counts as a try: hearing that a code was used, or is of another time, helps an attacker.
    (SignInState.NEEDS_SECOND_FACTOR, SignInEvent.CODE_WRONG): _again(SignInAnswer.CODE_WRONG),
    (SignInState.NEEDS_SECOND_FACTOR, SignInEvent.CODE_USED): _again(SignInAnswer.CODE_USED),
    (SignInState.NEEDS_SECOND_FACTOR, SignInEvent.CLOCK_OFF): _again(SignInAnswer.CLOCK_OFF),
    # A browser may offer any of its owner's passkeys; the code is still valid.
    (SignInState.NEEDS_SECOND_FACTOR, SignInEvent.PASSKEY_WRONG): _again(
        SignInAnswer.PASSKEY_WRONG
    ),
    (SignInState.NEEDS_SECOND_FACTOR, SignInEvent.LINK_RIGHT): _BEGIN_AGAIN,
    (SignInState.NEEDS_SECOND_FACTOR, SignInEvent.LOCKED): _LOCKED,
    (SignInState.NEEDS_SECOND_FACTOR, SignInEvent.TOO_MANY): _WAIT,
    # The password form again, by the back button: it gives no more tries.
    (SignInState.NEEDS_SECOND_FACTOR, SignInEvent.PASSWORD_RIGHT): _ASK_CODE,
    (SignInState.NEEDS_SECOND_FACTOR, SignInEvent.PASSWORD_WRONG): _WRONG,
    (SignInState.NEEDS_SECOND_FACTOR, SignInEvent.UNKNOWN_ADDRESS): _WRONG,
}
"""What follows in each state that is not final."""

ONE_FACTOR: Final = frozenset({SignInEvent.PASSWORD_RIGHT, SignInEvent.LINK_RIGHT})
"""What signs in a holder who has no second factor."""

METHODS: Final[Mapping[SignInEvent, frozenset[str]]] = {
    SignInEvent.PASSWORD_RIGHT: frozenset({"pwd"}),
    SignInEvent.CODE_RIGHT: frozenset({"otp", "mfa"}),
    SignInEvent.RECOVERY_CODE_RIGHT: frozenset({"otp", "mfa"}),
    SignInEvent.PASSKEY_RIGHT: frozenset({"pop", "user", "mfa"}),
    # RFC 8176 has no name for it.
    SignInEvent.LINK_RIGHT: frozenset(),
}
"""What an event proves, as RFC 8176 names: `pop` is possession of a key."""


def advance(attempt: SignInAttempt, event: SignInEvent) -> SignInAttempt:
    """Return the attempt after an event. The table decides every event in every state.

    Take a session's `methods` from the attempt, and begin one only if it is SIGNED_IN.
    """
    if attempt.state in FINAL:
        return attempt
    outcome = TABLE[attempt.state, event]
    wrong_codes = attempt.wrong_codes + outcome.counts
    if wrong_codes >= CODE_TRIES_MAX:
        outcome = _TOO_MANY_CODES
    elif event in ONE_FACTOR and not attempt.has_second_factor:
        outcome = _WELCOME
    proven = METHODS.get(event, frozenset())
    return replace(
        attempt,
        state=outcome.state,
        answer=outcome.answer,
        wrong_codes=wrong_codes,
        methods=frozenset() if outcome.state is SignInState.REFUSED else attempt.methods | proven,
    )
