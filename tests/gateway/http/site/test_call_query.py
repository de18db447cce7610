"""Which calls an address asks for: read, checked, and written again."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.cdr import ANY_CALL, CallFilter
from gateway.calls.outcome import CallOutcome, causes_of
from gateway.http.site.call_query import DIGITS_MAX, CallQuery, filter_of, read_query

TEXT = st.text(max_size=80)


@given(st.dictionaries(st.sampled_from(["from", "to", "number", "outcome", "ended_by", "x"]), TEXT))
def test_any_address_is_a_filter_or_is_told_why_not(given_):
    query = read_query(given_)
    asked, errors = filter_of(query)
    assert set(errors) <= {"from", "to", "number", "outcome", "ended_by"}
    assert len(asked.digits) <= DIGITS_MAX
    assert asked.digits == "" or asked.digits.isascii()
    # What it writes into its links asks for the same again.
    assert read_query(dict(parse_qsl(query.address()))) == query


@pytest.mark.parametrize(
    ("given_", "errors"),
    [
        ({"from": "2026-02-30"}, {"from": "date_invalid"}),
        ({"to": "9999-12-31"}, {"to": "date_invalid"}),
        ({"from": "2026-02-02", "to": "2026-02-01"}, {"to": "dates_swapped"}),
        ({"number": "12345678"}, {"number": "digits_long"}),
        ({"number": "٣٤"}, {"number": "digits_wrong"}),
        ({"number": "()"}, {"number": "digits_wrong"}),
        ({"number": "(12) 345-67"}, {}),
        ({"outcome": "live"}, {"outcome": "choice_unknown"}),
        ({"outcome": "x"}, {"outcome": "choice_unknown"}),
        ({"ended_by": "nobody"}, {"ended_by": "choice_unknown"}),
    ],
)
def test_what_is_wrong_is_told(given_, errors):
    asked, found = filter_of(read_query(given_))
    assert found == errors
    if "number" in errors or not errors:
        assert asked == CallFilter(digits="" if errors or "number" not in given_ else "1234567")


def test_the_last_day_is_included():
    asked, _ = filter_of(CallQuery(begin="2026-02-01", end="2026-02-01"))
    assert asked == CallFilter(
        since=datetime(2026, 2, 1, tzinfo=UTC), until=datetime(2026, 2, 2, tzinfo=UTC)
    )


def test_nothing_asks_for_every_call():
    assert read_query({}).is_empty
    assert filter_of(read_query({})) == (ANY_CALL, {})
    assert not CallQuery(number="1").is_empty


def test_outcomes_ask_for_their_causes():
    assert filter_of(CallQuery(outcome="answered"))[0] == CallFilter(answered=True)
    assert filter_of(CallQuery(outcome="failed"))[0] == CallFilter(
        answered=False, causes=causes_of(CallOutcome.FAILED)
    )
