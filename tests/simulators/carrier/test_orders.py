"""Create and update requests, and Twilio's error code for each thing that can be wrong."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.carrier import numbers
from simulators.carrier.errors import RestError
from simulators.carrier.orders import Form, Hook, read_order, read_update

OWNED = frozenset({"+15005550006"})
GOOD: dict[str, list[str]] = {
    "To": ["+15005551000"],
    "From": ["+15005550006"],
    "Twiml": ["<Response/>"],
}


def code(form: Form) -> int:
    with pytest.raises(RestError) as caught:
        read_order(form, OWNED)
    return caught.value.refusal.code


def test_reads_an_order() -> None:
    order = read_order(
        GOOD
        | {
            "StatusCallback": ["https://h/s#rc=2"],
            "StatusCallbackEvent": ["ringing", "answered completed"],
            "Timeout": ["30"],
            "TimeLimit": ["90"],
            "MachineDetection": ["Enable"],
            "AsyncAmd": ["true"],
        },
        OWNED,
    )
    assert order.status_callback == Hook("https://h/s#rc=2", "POST")
    assert order.events == {"ringing", "answered", "completed"}
    assert (order.timeout_s, order.time_limit_s) == (30, 90)
    assert (order.detection, order.detection_async) == ("Enable", True)


def test_defaults_are_twilios() -> None:
    order = read_order(GOOD, OWNED)
    assert order.events == {"completed"}
    assert (order.timeout_s, order.time_limit_s, order.detection) == (60, None, "")


def test_twiml_wins_over_a_url() -> None:
    order = read_order(GOOD | {"Url": ["http://h/"], "Method": ["get"]}, OWNED)
    assert order.twiml == "<Response/>"
    assert order.url == Hook("http://h/", "GET")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"To": []}, 21201),
        ({"To": [""]}, 21201),
        ({"To": ["+15005550001"]}, 21217),
        ({"To": ["+15005550002"]}, 21214),
        ({"To": ["+15005550003"]}, 21215),
        ({"To": ["+15005550004"]}, 21216),
        ({"To": ["5551000"]}, 21211),
        ({"To": ["+1911"]}, 21211),
        ({"To": ["+99912345678"]}, 21211),
        ({"From": []}, 21213),
        ({"From": ["+15005550001"]}, 21212),
        ({"From": ["abc"]}, 21212),
        ({"From": ["+12025550100"]}, 21210),
        ({"Twiml": []}, 21205),
        ({"Twiml": ["x" * 4001]}, 20001),
        ({"Twiml": [], "Url": ["ftp://h"]}, 20001),
        ({"Url": ["https://h"], "Method": ["PUT"]}, 21207),
        ({"StatusCallback": ["h"]}, 20001),
        ({"StatusCallbackEvent": ["hello"]}, 20001),
        ({"Timeout": ["0"]}, 20001),
        ({"Timeout": ["601"]}, 20001),
        ({"Timeout": ["x"]}, 20001),
        ({"Timeout": ["0000000309"]}, 20001),
        ({"TimeLimit": ["000000001" + "9" * 9]}, 20001),
        ({"TimeLimit": ["1" * 5000]}, 20001),
        ({"TimeLimit": ["-1"]}, 20001),
        ({"TimeLimit": ["٣"]}, 20001),
        ({"MachineDetection": ["yes"]}, 20001),
        ({"AsyncAmd": ["maybe"]}, 20001),
    ],
)
def test_refuses_with_twilios_code(changes: dict[str, list[str]], expected: int) -> None:
    assert code(GOOD | changes) == expected


def test_longest_twiml_is_accepted() -> None:
    assert read_order(GOOD | {"Twiml": ["x" * 4000]}, OWNED).twiml == "x" * 4000


def test_reads_an_update() -> None:
    change = read_update({"Status": ["completed"], "TimeLimit": ["5"], "Twiml": ["<Response/>"]})
    assert (change.status, change.time_limit_s, change.twiml) == ("completed", 5, "<Response/>")
    empty = read_update({})
    assert (empty.status, empty.time_limit_s, empty.twiml, empty.url) == (None, None, None, None)


def test_refuses_an_update_to_an_odd_status() -> None:
    with pytest.raises(RestError):
        read_update({"Status": ["ringing"]})


@given(st.dictionaries(st.sampled_from([*GOOD, "Timeout", "Url", "Status"]), st.lists(st.text())))
def test_any_form_is_an_order_or_a_rest_error(form: dict[str, list[str]]) -> None:
    for read in (lambda: read_order(form, OWNED), lambda: read_update(form)):
        with contextlib.suppress(RestError):
            read()


@pytest.mark.parametrize(
    ("number", "shown", "country"),
    [
        ("+15005551000", "(500) 555-1000", "US"),
        ("+442071838750", "+442071838750", "GB"),
        ("+4930123456", "+4930123456", "DE"),
        ("nonsense", "nonsense", ""),
    ],
)
def test_numbers_are_shown_as_twilio_shows_them(number: str, shown: str, country: str) -> None:
    assert (numbers.formatted(number), numbers.country(number)) == (shown, country)
