"""Visitors are told apart for a day, at one button."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.buttons.visitor import (
    DIGEST_CHARS,
    SALT_BYTES,
    day_ends_in_s,
    day_of,
    named_digest,
    network_digest,
    range_digest,
    visitor_digest,
)

SALT = bytes(SALT_BYTES)


@pytest.mark.parametrize(
    ("digest", "same", "other"),
    [
        (visitor_digest, ("192.0.2.7", "192.0.2.7:5060"), "192.0.2.8"),
        (network_digest, ("192.0.2.7", "192.0.2.200"), "192.0.3.7"),
        (visitor_digest, ("2001:db8:1::7", "2001:db8:1::8"), "2001:db8:1:ff::1"),
        (network_digest, ("2001:db8:1::7", "2001:db8:1:ff::1"), "2001:db8:2::7"),
        (range_digest, ("192.0.2.7", "192.0.255.1"), "192.1.2.7"),
        (range_digest, ("2001:db8:1::7", "2001:db8:2::7"), "2001:db9:1::7"),
    ],
)
def test_one_place_has_one_name_at_one_button_under_one_salt(digest, same, other):
    (name,) = {digest(SALT, "b1", address) for address in same}
    assert len(name) == DIGEST_CHARS
    others = {
        digest(SALT, "b1", other),
        digest(SALT, "b2", same[0]),
        digest(b"\1" * SALT_BYTES, "b1", same[0]),
        digest(SALT, "b1", ""),
    }
    assert len({name, *others}) == 5


def test_an_address_and_its_network_have_two_names():
    assert visitor_digest(SALT, "b1", "") != network_digest(SALT, "b1", "")


def test_days_are_those_of_utc_on_all_nodes():
    late = datetime(2026, 11, 27, 23, 59, 59, 500_000, tzinfo=UTC)
    assert (day_of(late), day_ends_in_s(late)) == ("2026-11-27", 1)
    there = late.astimezone(timezone(timedelta(hours=9)))
    assert day_of(there) == "2026-11-27"
    assert day_ends_in_s(datetime(2026, 11, 27, tzinfo=UTC)) == 86_400


def test_whom_a_back_end_names_is_one_at_one_button_and_not_to_be_read():
    name = named_digest("b1", "ada@example.com")
    assert name == named_digest("b1", "ada@example.com")
    assert len({name, named_digest("b2", "ada@example.com"), named_digest("b1", "bob")}) == 3
    assert "ada" not in name
