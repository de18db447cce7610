"""A duty goes on whatever happens, and says an outage once."""

import asyncio
import logging

from billing.errors import StoreUnavailableError
from gateway.heartbeat.periodic_task import PeriodicTask


async def run(outcomes, seconds):
    """Run a duty each ten seconds with these outcomes; return when it worked."""
    times = []
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def work():
        times.append(round(loop.time() - begun))
        if outcomes and (error := outcomes.pop(0)) is not None:
            raise error

    duty = PeriodicTask("sweep", work, 10)
    duty.start()
    await asyncio.sleep(seconds)
    await duty.stop()
    await asyncio.sleep(100)
    return times


async def test_the_work_is_done_at_once_and_again_until_stopped():
    assert await run([], 35) == [0, 10, 20, 30]


async def test_an_outage_is_said_once_and_its_end_too(caplog):
    caplog.set_level(logging.INFO)
    away = StoreUnavailableError("the store is away")
    assert len(await run([None, away, away, None, away], 65)) == 7
    assert caplog.messages == [
        *("The sweep waits: the store is away.", "The sweep goes on."),
        *("The sweep waits: the store is away.", "The sweep goes on."),
    ]


async def test_a_bug_ends_no_duty(caplog):
    assert await run([ZeroDivisionError()], 15) == [0, 10]
    assert caplog.records[0].exc_info


async def test_a_duty_is_stopped_in_mid_work_and_before_it_began():
    async def hang():
        await asyncio.Event().wait()

    duty = PeriodicTask("sweep", hang, 1)
    await duty.stop()
    duty.start()
    await asyncio.sleep(1)
    async with asyncio.timeout(1):
        await duty.stop()


async def test_a_cancellation_that_is_lost_in_the_work_is_repeated():
    lost = []

    async def work():
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            lost.append(True)

    duty = PeriodicTask("stubborn work", work, 10.0)
    duty.start()
    await asyncio.sleep(1)
    await duty.stop()
    assert lost == [True]
    assert duty._task.done()


async def test_work_that_cannot_be_ended_is_left_behind_with_a_word(caplog):
    async def work():
        while True:
            try:
                await asyncio.sleep(1_000)
            except asyncio.CancelledError:
                if ended:
                    raise

    ended = []
    duty = PeriodicTask("endless work", work, 10.0)
    duty.start()
    await asyncio.sleep(1)
    await duty.stop()
    assert "endless work did not end" in caplog.text
    ended.append(True)
    duty._task.cancel()
    await asyncio.gather(duty._task, return_exceptions=True)
