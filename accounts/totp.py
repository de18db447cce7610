"""Checks codes of authenticator apps: time-based one-time passwords (RFC 6238).

SHA-1, six digits, 30 seconds, which every app supports. Takes the time as an argument. The caller
stores the secret, and the step of the last right code.
"""

from __future__ import annotations

import base64
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

SECRET_BYTES: Final = 20
"""For a new secret: the length of a SHA-1 digest (RFC 4226, 4, requirement 6)."""
STEP_S: Final = 30
DIGITS: Final = 6
STEPS_ACCEPTED: Final = 1
"""Steps before and after the present one: a person types slowly, a clock is some seconds off."""
STEPS_RECOGNISED: Final = 10
"""Up to here a code is not accepted, but shows how far off the app's clock is."""

_TYPED_MAX = 32


@dataclass(frozen=True, slots=True)
class RightCode:
    """The code is right; `step` must be stored as the last one before anything else happens."""

    step: int


@dataclass(frozen=True, slots=True)
class Used:
    """The code is of a step that was used, or of an earlier one (RFC 6238, 5.2)."""


@dataclass(frozen=True, slots=True)
class ClockOff:
    """The code would be right at another time: the app's clock is off."""

    minutes: int
    """How many minutes the app's clock is fast; negative: slow. Never 0."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """Not a code of this secret at this time, or not a code."""


Verdict = RightCode | Used | ClockOff | Wrong


@dataclass(frozen=True, slots=True)
class _Code:
    """A code that would be right at some step."""

    step: int
    digits: bytes = field(repr=False)


def check(secret: bytes, code: str, now_s: int, last_step: int) -> Verdict:
    """Return whether a code is right at this Unix time, in seconds.

    `last_step` is that of the last right code; -1 if there was none. Each verdict but Right must
    count as a try: ClockOff tells an attacker that a code will be right soon, so that a guess hits
    one of 21 codes instead of 3.
    """
    typed = _digits(code)
    now = now_s // STEP_S
    steps = range(max(0, now - STEPS_RECOGNISED), now + STEPS_RECOGNISED + 1)
    matching = [each.step for each in _codes(secret, steps) if bytes_eq(each.digits, typed)]
    # Two steps have the same code now and then; the one that is right counts.
    fresh = [step for step in matching if step > last_step]
    accepted = [step for step in fresh if abs(step - now) <= STEPS_ACCEPTED]
    if accepted:
        # The latest, because an earlier one would let the same code pass again.
        return RightCode(accepted[-1])
    if len(fresh) < len(matching):
        return Used()
    if fresh:
        nearest = min(fresh, key=lambda step: abs(step - now))
        return ClockOff(_minutes(nearest - now))
    return Wrong()


def otpauth_uri(secret: bytes, account: str, issuer: str) -> str:
    """Return the URI that an app reads from a QR code; it contains the secret.

    The form is that of Google Authenticator's "Key URI Format", which allows no colon in names.
    """
    names = (name.replace(":", " ").strip() for name in (account, issuer))
    # Apps parse the URI by RFC 3986, in which a plus is not a space; nothing else here has one.
    return _totp(secret).get_provisioning_uri(*names).replace("+", "%20")


def readable_secret(secret: bytes) -> str:
    """Return a secret for typing it into an app: base 32 in groups of four."""
    text = base64.b32encode(secret).decode().rstrip("=")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, SHA1(), STEP_S)  # noqa: S303 - RFC 6238: as HMAC it is unbroken


def _codes(secret: bytes, steps: range) -> list[_Code]:
    totp = _totp(secret)
    return [_Code(step, totp.generate(step * STEP_S)) for step in steps]


def _digits(code: str) -> bytes:
    """Return what was typed without spaces between groups, in ASCII digits; empty if not a code."""
    if len(code) > _TYPED_MAX:
        return b""
    digits = "".join(unicodedata.normalize("NFKC", code).split())
    return digits.encode() if digits.isascii() and digits.isdigit() else b""


def _minutes(steps: int) -> int:
    """Return steps as minutes, rounded away from 0."""
    minutes = -(-abs(steps) * STEP_S // 60)
    return minutes if steps > 0 else -minutes
