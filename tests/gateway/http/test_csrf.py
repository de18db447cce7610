"""Where a request comes from: what browsers say of it, and what is believed."""

import pytest

from gateway.http.csrf import SAFE_METHODS, is_from_us

OURS = frozenset({"https://calls.example.com"})

FIVE = [
    ({"sec-fetch-site": "same-origin"}, True),
    ({"sec-fetch-site": "cross-site", "origin": "https://calls.example.com"}, False),
    ({"origin": "https://calls.example.com"}, True),
    ({"origin": "https://evil.example"}, False),
    ({}, False),
]
"""Header fields, and whether a change is believed to be meant."""


@pytest.mark.parametrize(
    ("headers", "believed"),
    [
        *FIVE,
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": ""}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "http://calls.example.com"}, False),
        ({"origin": "https://calls.example.com.evil.example"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "https://calls.example.com"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "https://evil.example"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, False),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_change_must_come_from_a_page_of_ours(method, headers, believed):
    assert is_from_us(method, *fields(headers), OURS) == believed


def fields(headers: dict[str, str]) -> tuple[list[str], list[str]]:
    """Return the values of both fields."""
    sites, origins = (
        [headers[name]] if name in headers else [] for name in ("sec-fetch-site", "origin")
    )
    return sites, origins


@pytest.mark.parametrize(
    ("sites", "origins"),
    [
        (["same-origin", "cross-site"], []),
        (["same-origin"], ["https://calls.example.com", "https://evil.example"]),
        ([], ["https://calls.example.com", "null"]),
    ],
)
def test_of_two_fields_both_must_agree(sites, origins):
    assert not is_from_us("POST", sites, origins, OURS)


@pytest.mark.parametrize("method", sorted(SAFE_METHODS))
@pytest.mark.parametrize("headers", [headers for headers, _ in FIVE])
def test_what_changes_nothing_may_come_from_anywhere(method, headers):
    assert is_from_us(method, *fields(headers), OURS)
