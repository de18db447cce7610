"""Who may ask for an export, and how long it is there."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from accounts.export import (
    A_DAY_MAX,
    Export,
    ExportRefusal,
    ExportState,
    expiry,
    refusal,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
READY = Export(
    "e1", "alice", ExportState.READY, 100, "0" * 64, NOW, 1, 10, NOW, NOW + timedelta(days=7)
)


@pytest.mark.parametrize("state", ExportState)
def test_one_at_a_time(state):
    is_under_way = state in (ExportState.QUEUED, ExportState.MAKING)
    export = replace(READY, state=state)
    assert export.is_under_way == is_under_way
    assert refusal([export], NOW) is (ExportRefusal.UNDER_WAY if is_under_way else None)


def test_few_a_day():
    asked = [replace(READY, asked_at=NOW - n * timedelta(hours=1)) for n in range(A_DAY_MAX)]
    assert refusal(asked, NOW) is ExportRefusal.TOO_MANY
    assert refusal(asked[1:], NOW) is None
    assert refusal(asked, NOW + DAY) is None


def test_it_is_there_for_a_week_once_it_is_ready():
    assert expiry(NOW) == NOW + 7 * DAY
    assert READY.can_be_fetched(NOW)
    assert not READY.can_be_fetched(NOW + 7 * DAY)
    assert not replace(READY, state=ExportState.EXPIRED).can_be_fetched(NOW)
    assert not replace(READY, expires_at=None).can_be_fetched(NOW)


def test_an_export_names_no_session_where_it_is_shown():
    assert "0" * 64 not in repr(READY)
