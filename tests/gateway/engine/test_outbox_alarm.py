"""The alarm is raised once when too much waits, and falls when it does not."""

import logging

import pytest

from billing.errors import StoreUnavailableError
from gateway.engine.outbox_alarm import OutboxAlarm


class Gate:
    """The length of an outbox."""

    length = 0

    async def outbox_length(self):
        if self.length is None:
            raise StoreUnavailableError("the spend gate refused or is away")
        return self.length


async def test_the_alarm_is_said_once_and_clears(caplog):
    caplog.set_level(logging.INFO)
    gate, raised = Gate(), []
    alarm = OutboxAlarm(gate, 100)
    for gate.length in (100, 101, 5_000, 101, 100, 0):
        await alarm.look()
        raised.append(alarm.is_raised)
    assert raised == [False, True, True, True, False, False]
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.INFO]
    assert "101 entries" in caplog.messages[0]


async def test_an_outage_leaves_the_alarm_as_it_was():
    gate = Gate()
    gate.length = 101
    alarm = OutboxAlarm(gate, 100)
    await alarm.look()
    gate.length = None
    with pytest.raises(StoreUnavailableError):
        await alarm.look()
    assert alarm.is_raised
