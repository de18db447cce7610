"""A task ends although cancellations get lost in what it waits for, or is given up."""

import asyncio

import pytest

from gateway.heartbeat.cancelling import CANCELLATION_S, CANCELLATIONS_MAX, cancelled


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
