"""Codes of authenticator apps: the vectors of RFC 6238, the clock, and codes that were used."""

import base64
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from hypothesis import assume, given
from hypothesis import strategies as st

from accounts.totp import (
    SECRET_BYTES,
    STEP_S,
    ClockOff,
    RightCode,
    Used,
    Wrong,
    check,
    otpauth_uri,
    readable_secret,
)

RFC_SECRET = b"12345678901234567890"
NOW_S = 1_800_000_000
STEP = NOW_S // STEP_S
SECRET = bytes(range(SECRET_BYTES))


def code_of(step: int, secret: bytes = SECRET) -> str:
    return TOTP(secret, 6, SHA1(), STEP_S).generate(step * STEP_S).decode()


@pytest.mark.parametrize(
    ("at_s", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_codes_of_rfc_6238_are_right(at_s, code):
    """Its appendix B, of which the last six digits are shown here."""
    assert check(RFC_SECRET, code, at_s, -1) == RightCode(at_s // STEP_S)


@pytest.mark.parametrize("typed", ["{} {}", " {}{} ", "{}\u00a0{}", "{}\t{}\n"])
def test_spaces_and_digits_of_full_width_are_what_people_type(typed):
    code = code_of(STEP)
    assert check(SECRET, typed.format(code[:3], code[3:]), NOW_S, -1) == RightCode(STEP)
    wide = code.translate({ord(str(n)): 0xFF10 + n for n in range(10)})
    assert check(SECRET, wide, NOW_S, -1) == RightCode(STEP)


@pytest.mark.parametrize(
    ("offset", "verdict"),
    [
        (-11, Wrong()),
        (-10, ClockOff(-5)),
        (-3, ClockOff(-2)),
        (-2, ClockOff(-1)),
        (-1, RightCode(STEP - 1)),
        (0, RightCode(STEP)),
        (1, RightCode(STEP + 1)),
        (2, ClockOff(1)),
        (3, ClockOff(2)),
        (10, ClockOff(5)),
        (11, Wrong()),
    ],
)
def test_a_code_of_another_time_says_how_far_the_clock_is_off(offset, verdict):
    assert check(SECRET, code_of(STEP + offset), NOW_S, -1) == verdict
    # The whole step long.
    assert check(SECRET, code_of(STEP + offset), NOW_S + STEP_S - 1, -1) == verdict


@pytest.mark.parametrize("offset", [-10, -2, -1, 0, 1])
def test_a_code_is_right_once(offset):
    code = code_of(STEP + offset)
    assert check(SECRET, code, NOW_S, STEP + offset) == Used()
    assert check(SECRET, code, NOW_S, STEP + offset + 1) == Used()


def test_after_a_used_code_the_next_is_right():
    assert check(SECRET, code_of(STEP), NOW_S, STEP - 1) == RightCode(STEP)
    assert check(SECRET, code_of(STEP + 1), NOW_S, STEP) == RightCode(STEP + 1)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "12345",
        "1234567",
        "12345a",
        "-12345",
        "1.2345",
        "１２３４５",
        "²²²²²²",
        "१२३४५६",
        "1" * 10_000,
        "\ud800",
        "12 34 5",
        "0x1234",
    ],
)
def test_what_is_no_code_is_wrong(typed):
    assert check(SECRET, typed, NOW_S, -1) == Wrong()


def test_a_clock_at_the_beginning_of_time_has_no_steps_before():
    assert check(SECRET, code_of(0), 0, -1) == RightCode(0)
    assert check(SECRET, code_of(1), 0, -1) == RightCode(1)


@pytest.mark.parametrize(
    ("key", "code", "steps", "verdict"),
    [
        # The present step, and one whose clock would be off.
        (37_581, "471596", (0, 3), RightCode(STEP)),
        # Both would be right: the later one is used up with the earlier.
        (2_448_195, "105640", (-1, 1), RightCode(STEP + 1)),
        # Both are off: the nearer one is what the clock shows.
        (29_478, "540281", (4, 6), ClockOff(2)),
    ],
)
def test_of_two_steps_with_one_code_the_one_that_is_right_counts(key, code, steps, verdict):
    secret = key.to_bytes(SECRET_BYTES)
    assert {code_of(STEP + step, secret) for step in steps} == {code}
    assert check(secret, code, NOW_S, -1) == verdict
    if isinstance(verdict, RightCode):
        assert check(secret, code, NOW_S, verdict.step) == Used()


@given(st.binary(min_size=20, max_size=20), st.integers(0, 2**40), st.text(max_size=8))
def test_a_right_code_is_used_afterwards(secret, now_s, other):
    step = now_s // STEP_S
    verdict = check(secret, code_of(step, secret), now_s, -1)
    assert isinstance(verdict, RightCode)
    assert check(secret, code_of(step, secret), now_s, verdict.step) == Used()
    assume(not other.strip().isdigit())
    assert check(secret, other, now_s, -1) == Wrong()


def test_an_app_is_told_all_it_needs():
    uri = urlsplit(otpauth_uri(SECRET, "ann+phone@example.com", "Caller: Phone & Co"))
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert unquote(uri.path) == "/Caller  Phone & Co:ann+phone@example.com"
    assert "&" not in uri.path
    query = {name: values[0] for name, values in parse_qs(uri.query).items()}
    assert query == {
        "secret": base64.b32encode(SECRET).decode(),
        "issuer": "Caller  Phone & Co",
        "digits": "6",
        "algorithm": "SHA1",
        "period": "30",
    }


def test_a_secret_can_be_typed():
    shown = readable_secret(SECRET)
    assert [len(group) for group in shown.split()] == [4] * 8
    assert base64.b32decode(shown.replace(" ", "")) == SECRET


def test_a_short_secret_is_none():
    with pytest.raises(ValueError, match="128 bits"):
        check(b"short", "123456", NOW_S, -1)
