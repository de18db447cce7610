"""The daily audit: by one process, confirmed, kept for alarms, and repeated while it finds much."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from database.errors import StoreUnavailableError
from gateway.charging.audited import AUDIT_LINE, Audited
from gateway.charging.book_audit import (
    AGAIN,
    CONFIRMED_AFTER_S,
    DUTY,
    EVERY,
    RENEWED_EVERY_S,
    BookAudit,
)
from tests.gateway.virtual_time import virtual_loop

FAULT = {"balance is not ledger less holds": 2}
OTHER = {"credit sequence has gaps": 1}


class World:
    """An audit that takes a second, the result that is kept, and a duty others may have."""

    def __init__(self, *found, took_s=1.0):
        self.found = list(found)
        self.took_s = took_s
        self.kept = None
        self.done_s = None
        self.takes_max = 10**9
        self.taken = self.audits = 0
        self.is_away = False
        self.duty = BookAudit(self.audit, self, self, virtual_loop().time, asyncio.sleep)

    async def audit(self):
        self.audits += 1
        await asyncio.sleep(self.took_s)
        if self.is_away:
            raise StoreUnavailableError("away")
        return dict(self.found.pop(0)) if self.found else {}

    async def read(self):
        return self.kept

    async def write(self, audited):
        self.kept = audited

    async def is_due(self, name, every):
        assert name == DUTY
        return self.done_s is None or virtual_loop().time() - self.done_s >= every.total_seconds()

    async def take(self, name):
        assert name == DUTY
        self.taken += 1
        return self.taken <= self.takes_max

    async def done(self, name):
        assert name == DUTY
        self.done_s = virtual_loop().time()


async def rounds_until_audited(world, count):
    """Look every ten minutes; return hours that passed until so many audits were made."""
    begun_s = virtual_loop().time()
    while world.audits < count:
        await asyncio.sleep(600)
        await world.duty.round()
    return (virtual_loop().time() - begun_s) / 3600


async def test_a_book_in_order_is_audited_once_a_day():
    world = World()
    with capture_logs() as logs:
        await world.duty.round()
        assert world.kept == Audited(at_s=virtual_loop().time(), findings={})
        assert await rounds_until_audited(world, 2) == pytest.approx(24, abs=0.3)
    assert [line["event"] for line in logs] == ["ledger audited"] * 2
    assert timedelta(hours=24) == EVERY


async def test_what_two_audits_in_a_row_find_is_kept_and_looked_for_again_within_an_hour():
    world = World(FAULT | OTHER, FAULT)
    with capture_logs() as logs:
        await world.duty.round()
    assert (world.kept.findings, world.audits) == (FAULT, 2)
    (line,) = logs
    assert (line["event"], line["log_level"], line["found"]) == (AUDIT_LINE, "error", 2)
    # It has been put right.
    assert await rounds_until_audited(world, 3) == pytest.approx(1, abs=0.3)
    assert world.kept.findings == {}
    assert timedelta(hours=1) == AGAIN


async def test_what_nodes_bring_in_line_meanwhile_is_no_fault():
    world = World(FAULT, OTHER)
    begun_s = virtual_loop().time()
    await world.duty.round()
    assert world.kept == Audited(at_s=begun_s + CONFIRMED_AFTER_S + 2, findings={})


async def test_while_another_process_does_it_nothing_is_asked_of_the_book():
    world = World()
    world.takes_max = 0
    await world.duty.round()
    assert (world.audits, world.kept, world.done_s) == (0, None, None)


async def test_a_long_audit_keeps_its_duty_and_one_that_has_lost_it_ends_without_a_result():
    world = World(took_s=10 * RENEWED_EVERY_S)
    await world.duty.round()
    assert world.taken >= 10
    assert world.kept is not None
    world = World(took_s=10 * RENEWED_EVERY_S)
    world.takes_max = 3
    await world.duty.round()
    assert (world.taken, world.kept, world.done_s) == (4, None, None)
    assert len(asyncio.all_tasks()) == 1


async def test_an_audit_that_a_store_has_hindered_leaves_the_last_result_and_is_due_still():
    world = World()
    world.is_away = True
    with pytest.raises(StoreUnavailableError):
        await world.duty.round()
    assert (world.kept, world.done_s) == (None, None)
    world.is_away = False
    await world.duty.round()
    assert world.kept is not None


async def test_a_result_that_was_lost_is_found_again_at_the_next_look():
    world = World(FAULT, FAULT, FAULT, FAULT)
    await world.duty.round()
    world.kept = None
    await world.duty.round()
    assert (world.kept.findings, world.audits) == (FAULT, 4)


async def test_a_process_that_stops_in_the_middle_leaves_no_audit_behind():
    world = World(took_s=1_000)
    task = asyncio.ensure_future(world.duty.round())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(asyncio.all_tasks()) == 1
    assert world.kept is None
