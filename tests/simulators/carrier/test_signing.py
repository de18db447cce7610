"""Signatures as twilio-python checks them, and connection overrides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from simulators.carrier.signing import Connection, sign, split_overrides


@given(
    st.sampled_from(["https://h/p", "http://h:8080/p?a=b%20c", "wss://h/media", "wss://h:9/m"]),
    st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=9), max_size=6),
    st.text(min_size=1, max_size=32),
)
def test_twilios_library_accepts_the_signature(
    url: str, params: dict[str, str], token: str
) -> None:
    try:
        token.encode()
        str(params).encode()
    except UnicodeEncodeError:
        return
    assert RequestValidator(token).validate(url, params, sign(url, params, token))


def test_twilios_documented_example() -> None:
    params = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert sign(url, params, "12345") == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_without_overrides_there_is_one_retry_after_a_failed_connection() -> None:
    url, connection = split_overrides("https://h/p?q=1")
    assert (url, connection) == ("https://h/p?q=1", Connection())
    assert [connection.retry_worthy(f) for f in ("ct", "rt", "4xx", "5xx")] == [True] + [False] * 3


def test_overrides_are_obeyed_and_bounded() -> None:
    url, connection = split_overrides("https://h/p#rc=9&ct=50&rt=2000&tt=99999&rp=5xx,ct&e=ashburn")
    assert url == "https://h/p"
    assert connection == Connection(100, 2000, 15000, 5, frozenset({"5xx", "ct"}))
    assert split_overrides("https://h#rp=all&rc=0")[1].retry_worthy("4xx")


@given(st.text())
def test_any_fragment_gives_bounded_numbers(fragment: str) -> None:
    _, connection = split_overrides(f"https://h#{fragment}")
    assert 0 <= connection.retries <= 5
    assert 100 <= connection.total_ms <= 15000


@pytest.mark.parametrize("policy", ["", "never", "5xx"])
def test_unknown_policies_leave_the_default(policy: str) -> None:
    _, connection = split_overrides(f"https://h#rp={policy}")
    assert connection.policy == ({"5xx"} if policy == "5xx" else {"ct"})
