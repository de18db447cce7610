"""Visitors are told apart for a day, at one button."""

from datetime import UTC, datetime, timedelta, timezone

from gateway.embed.visitor import DIGEST_CHARS, SALT_BYTES, day_ends_in_s, day_of, visitor_digest

SALT = bytes(SALT_BYTES)


def test_one_network_is_one_visitor_at_one_button_under_one_salt():
    name = visitor_digest(SALT, "b1", "192.0.2.7:5060")
    assert len(name) == DIGEST_CHARS
    assert name == visitor_digest(SALT, "b1", "192.0.2.200")
    others = [
        visitor_digest(SALT, "b1", "192.0.3.7"),
        visitor_digest(SALT, "b2", "192.0.2.7"),
        visitor_digest(b"\1" * SALT_BYTES, "b1", "192.0.2.7"),
        visitor_digest(SALT, "b1", "2001:db8:1::7"),
        visitor_digest(SALT, "b1", ""),
    ]
    assert len({name, *others}) == len(others) + 1
    assert others[3] == visitor_digest(SALT, "b1", "2001:db8:1:ff::1")


def test_days_are_those_of_utc_on_all_nodes():
    late = datetime(2026, 11, 27, 23, 59, 59, 500_000, tzinfo=UTC)
    assert (day_of(late), day_ends_in_s(late)) == ("2026-11-27", 1)
    there = late.astimezone(timezone(timedelta(hours=9)))
    assert day_of(there) == "2026-11-27"
    assert day_ends_in_s(datetime(2026, 11, 27, tzinfo=UTC)) == 86_400
