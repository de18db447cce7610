"""Times as they are written."""

from datetime import UTC, datetime

from billing.clock import utc_now, utc_text


def test_a_time_of_utc_is_written_to_its_second():
    assert utc_text(datetime(2026, 3, 1, 12, 30, 5, 999_999, tzinfo=UTC)) == "2026-03-01T12:30:05Z"
    assert utc_now().tzinfo is UTC
