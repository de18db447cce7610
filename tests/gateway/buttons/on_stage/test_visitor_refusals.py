"""Counts of refused visitors in one process: what is told to the store, and what is not."""

from datetime import UTC, datetime, timedelta

import pytest

from database.errors import StoreUnavailableError
from gateway.buttons import visitor_refusals
from gateway.buttons.visitor_refusals import VisitorRefusals
from gateway.embed.refusals import Reason

AT = datetime(2026, 11, 28, 23, 59, tzinfo=UTC)


class Store:
    """Keeps what it is told."""

    def __init__(self):
        self.told, self.is_away = [], False

    async def add(self, counts):
        if self.is_away:
            raise StoreUnavailableError("away")
        self.told.append(dict(counts))


class Desk:
    """Counts, with a clock that the test moves."""

    def __init__(self):
        self.now, self.store = AT, Store()
        self.counts = VisitorRefusals(self.store, lambda: self.now)


@pytest.fixture
def desk():
    return Desk()


async def test_refusals_are_added_by_button_day_and_reason(desk):
    await desk.counts.save()
    assert desk.store.told == []
    for code in ("button_busy", "gateway_full", "insufficient_credit"):
        desk.counts.note("b1", code)
    desk.now += timedelta(minutes=1)
    desk.counts.note("b1", "button_busy")
    desk.counts.note("b2", "nobody has heard of it")
    await desk.counts.save()
    await desk.counts.save()
    assert desk.store.told == [
        {
            ("b1", "2026-11-28", Reason.BUSY): 2,
            ("b1", "2026-11-28", Reason.CREDIT): 1,
            ("b1", "2026-11-29", Reason.BUSY): 1,
            ("b2", "2026-11-29", Reason.OTHER): 1,
        }
    ]


async def test_what_may_have_been_added_is_not_added_again(desk):
    desk.counts.note("b1", "button_busy")
    desk.store.is_away = True
    with pytest.raises(StoreUnavailableError):
        await desk.counts.save()
    desk.counts.note("b1", "button_closed")
    desk.store.is_away = False
    await desk.counts.close()
    assert desk.store.told == [{("b1", "2026-11-28", Reason.CLOSED): 1}]
    desk.counts.note("b1", "button_closed")
    desk.store.is_away = True
    await desk.counts.close()


async def test_counts_are_bounded(desk, monkeypatch):
    monkeypatch.setattr(visitor_refusals, "COUNTS_MAX", 2)
    for button_id in ("b1", "b2", "b3", "b1"):
        desk.counts.note(button_id, "button_busy")
    await desk.counts.save()
    (told,) = desk.store.told
    assert [(name[0], count) for name, count in told.items()] == [("b1", 2), ("b2", 1)]
