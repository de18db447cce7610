"""Challenges: harder under pressure, and good for one key, one visitor and two minutes."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.buttons.challenge import (
    CALM,
    NUMBERS_MAX,
    NUMBERS_MIN,
    SOLUTION_CHARS_MAX,
    Solution,
    is_for,
    numbers_of,
    parameters,
    read_solution,
)

SALT = "0011?expires=1000&key=k1&visitor=v1&"
GOOD = {"algorithm": "SHA-256", "challenge": "c", "number": 7, "salt": SALT, "signature": "s"}


def payload(**changes):
    return base64.b64encode(json.dumps(GOOD | changes).encode()).decode()


def test_it_is_easy_while_it_is_calm_and_never_beyond_a_bound():
    assert numbers_of(0) == numbers_of(CALM) == NUMBERS_MIN
    assert numbers_of(2 * CALM) == 2 * NUMBERS_MIN
    assert numbers_of(10**12) == NUMBERS_MAX


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_more_use_is_never_easier(one, other):
    assert numbers_of(min(one, other)) <= numbers_of(max(one, other))


def test_a_payload_is_read():
    assert read_solution(payload()) == Solution(**GOOD)
    assert read_solution(payload(took=12)) == Solution(**GOOD)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        base64.b64encode(b"[]").decode(),
        base64.b64encode(b"\xff").decode(),
        base64.b64encode(b"[" * 1200).decode(),
        payload(number="key=k1&visitor=v1&7"),
        payload(number=-1),
        payload(number=7.5),
        payload(number=NUMBERS_MAX + 1),
        payload(salt=None),
        payload(signature="s" * 129),
        "A" * (SOLUTION_CHARS_MAX + 4),
    ],
)
def test_what_is_none_is_not(text):
    assert read_solution(text) is None


@given(st.text(max_size=200))
def test_reading_never_fails(text):
    read_solution(text)


def is_good(salt=SALT, algorithm="SHA-256", key="k1", visitors=("v1", "v2"), now_s=1000):
    solution = Solution(algorithm, "c", 7, salt, "s")
    return is_for(solution, key=key, visitors=visitors, now_s=now_s)


def test_what_was_named_is_found():
    named = parameters(expires_s=1000, key="k1", visitor="v1")
    assert is_good("0011?" + "&".join(f"{k}={v}" for k, v in named.items()) + "&")
    assert is_good(visitors=("v0", "v1"))
    assert is_good(now_s=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"now_s": 1001},
        {"key": "k2"},
        {"visitors": ("v2",)},
        {"algorithm": "SHA-1"},
        {"salt": "0011"},
        {"salt": "0011?key=k1&visitor=v1&"},
        {"salt": SALT + "expires=9999&"},
        {"salt": SALT + "key=k1&"},
        {"salt": SALT.replace("1000", "-1000")},
        {"salt": SALT.replace("1000", "9e9")},
        {"salt": SALT.replace("1000", "")},
    ],
)
def test_of_anything_else_it_is_not(wrong):
    assert not is_good(**wrong)
