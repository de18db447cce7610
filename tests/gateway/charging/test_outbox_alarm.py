"""The alarm is raised once when too much waits, and falls when it does not."""

import pytest
from structlog.testing import capture_logs

from database.errors import StoreUnavailableError
from gateway.charging.outbox_alarm import (
    DRAINED_AGE_S_MAX,
    STARTING_S_MAX,
    DrainerAlarm,
    OutboxAlarm,
)


class Gate:
    """The length of an outbox."""

    length = 0

    async def outbox_length(self):
        if self.length is None:
            raise StoreUnavailableError("the spend gate refused or is away")
        return self.length


async def test_the_alarm_is_said_once_and_clears():
    gate, raised = Gate(), []
    alarm = OutboxAlarm(gate, 100)
    with capture_logs() as logs:
        for gate.length in (100, 101, 5_000, 101, 100, 0):
            await alarm.look()
            raised.append(alarm.is_raised)
    assert raised == [False, True, True, True, False, False]
    told = [(line["event"], line["log_level"], line["entries"]) for line in logs]
    assert told == [("outbox too long", "error", 101), ("outbox short again", "info", 100)]


async def test_an_outage_leaves_the_alarm_as_it_was():
    gate = Gate()
    gate.length = 101
    alarm = OutboxAlarm(gate, 100)
    await alarm.look()
    gate.length = None
    with pytest.raises(StoreUnavailableError):
        await alarm.look()
    assert alarm.is_raised


class Mark:
    """When the outbox was last drained."""

    age: float | Exception | None = None

    async def age_s(self):
        if isinstance(self.age, Exception):
            raise self.age
        return self.age


async def test_an_outbox_that_nobody_drains_is_said_once_and_clears():
    now_s, mark, raised = 100.0, Mark(), []
    alarm = DrainerAlarm(mark, lambda: now_s)
    ages = ((1, None), (5, 0.2), (10, 10.2), (10, 20.2), (5, 25.2), (5, 0.1))
    with capture_logs() as logs:
        for passed_s, mark.age in ages:
            now_s += passed_s
            await alarm.look()
            raised.append(alarm.is_raised)
    assert raised == [False, False, False, True, True, False]
    told = [(line["event"], line["log_level"]) for line in logs]
    assert told == [("drainer overdue", "error"), ("drainer back", "info")]
    assert logs[0]["age_s"] == 20


async def test_a_mark_that_cannot_be_read_is_as_old_as_when_it_was():
    now_s, mark = 100.0, Mark()
    alarm = DrainerAlarm(mark, lambda: now_s)
    now_s += 1
    mark.age = 0.0
    await alarm.look()
    mark.age = StoreUnavailableError()
    now_s += DRAINED_AGE_S_MAX
    with pytest.raises(StoreUnavailableError):
        await alarm.look()
    assert not alarm.is_raised
    now_s += 1
    assert alarm.is_raised


async def test_a_mark_that_was_never_left_is_missed_from_the_start():
    now_s = 100.0
    alarm = DrainerAlarm(Mark(), lambda: now_s)
    await alarm.look()
    assert alarm.age_s == 0
    now_s += STARTING_S_MAX
    await alarm.look()
    assert not alarm.is_raised
    now_s += 1
    assert alarm.is_raised


async def test_a_drainer_that_takes_long_to_start_is_no_fault_and_is_missed_soon_from_then_on():
    """On a busy machine an interpreter alone takes half a minute."""
    now_s, mark = 100.0, Mark()
    alarm = DrainerAlarm(mark, lambda: now_s)
    with capture_logs() as logs:
        # What an earlier run has left.
        for passed_s, mark.age in ((1, 3_000.0), (40, 3_040.0), (10, 0.5)):
            now_s += passed_s
            await alarm.look()
            assert not alarm.is_raised
        assert logs == []
        mark.age = DRAINED_AGE_S_MAX + 0.6
        now_s += DRAINED_AGE_S_MAX + 0.1
        await alarm.look()
    assert alarm.is_raised
    assert [line["event"] for line in logs] == ["drainer overdue"]
