"""A task goes on whatever happens, and says an outage once."""

import asyncio

import pytest
from structlog.testing import capture_logs

from database.errors import StoreUnavailableError
from gateway.heartbeat.periodic_task import (
    CANCELLATION_S,
    CANCELLATIONS_MAX,
    PeriodicTask,
    cancelled,
)


async def run(outcomes, seconds):
    """Run a task each ten seconds with these outcomes; return when it worked."""
    times = []
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def work():
        times.append(round(loop.time() - begun))
        if outcomes and (error := outcomes.pop(0)) is not None:
            raise error

    task = PeriodicTask("sweep", work, 10)
    task.start()
    await asyncio.sleep(seconds)
    await task.stop()
    await asyncio.sleep(100)
    return times


async def test_the_work_is_done_at_once_and_again_until_stopped():
    assert await run([], 35) == [0, 10, 20, 30]


async def test_an_outage_is_logged_when_it_begins_and_when_it_ends():
    away = StoreUnavailableError("the store is away")
    with capture_logs() as logs:
        assert len(await run([None, away, away, None, away], 65)) == 7
    task = {"task": "sweep"}
    waiting = {
        "event": "periodic task waiting",
        "log_level": "warning",
        "reason": "the store is away",
        **task,
    }
    resumed = {"event": "periodic task resumed", "log_level": "info", **task}
    assert logs == [waiting, resumed, waiting, resumed]


async def test_a_bug_ends_no_task():
    with capture_logs() as logs:
        assert await run([ZeroDivisionError()], 15) == [0, 10]
    assert logs[0]["event"] == "periodic task failed"
    assert logs[0]["exc_info"]


async def test_a_task_that_is_hurried_works_at_once_and_again_after_the_work_under_way():
    times = []
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def work():
        times.append(round(loop.time() - begun))
        await asyncio.sleep(2)

    task = PeriodicTask("sweep", work, 10)
    task.start()
    for pause_s in (1, 4):
        await asyncio.sleep(pause_s)
        task.run_now()
        task.run_now()
    await asyncio.sleep(16)
    await task.stop()
    assert times == [0, 2, 5, 17]


async def test_a_task_is_stopped_in_mid_work_and_before_it_began():
    async def hang():
        await asyncio.Event().wait()

    task = PeriodicTask("sweep", hang, 1)
    await task.stop()
    task.start()
    await asyncio.sleep(1)
    async with asyncio.timeout(1):
        await task.stop()


async def test_a_cancellation_that_is_lost_in_the_work_is_repeated():
    lost = []

    async def work():
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            lost.append(True)

    task = PeriodicTask("stubborn work", work, 10.0)
    task.start()
    await asyncio.sleep(1)
    await task.stop()
    assert lost == [True]
    assert task._task.done()


async def test_work_that_cannot_be_ended_is_abandoned_and_logged():
    async def work():
        while True:
            try:
                await asyncio.sleep(1_000)
            except asyncio.CancelledError:
                if ended:
                    raise

    ended = []
    task = PeriodicTask("endless work", work, 10.0)
    task.start()
    await asyncio.sleep(1)
    with capture_logs() as logs:
        await task.stop()
    assert [(line["event"], line["task"]) for line in logs] == [
        ("periodic task not stopped", "endless work")
    ]
    assert logs[0]["where"][0].startswith("_run:"), "where it stands"
    ended.append(True)
    task._task.cancel()
    await asyncio.gather(task._task, return_exceptions=True)


@pytest.mark.parametrize("lost", [0, 1, CANCELLATIONS_MAX - 1, CANCELLATIONS_MAX])
async def test_cancellations_are_repeated_a_few_times(lost):
    async def work():
        for _ in range(lost):
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                continue
        await asyncio.sleep(600)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert await cancelled(task) is (lost < CANCELLATIONS_MAX)
    assert loop.time() - begun == lost * CANCELLATION_S
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_that_has_ended_is_no_matter():
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    assert await cancelled(task)
