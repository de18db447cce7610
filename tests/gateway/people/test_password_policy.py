"""The policy of passwords, off the loop: one at a time, and not without end."""

import asyncio

import pytest

from accounts.ports import HasherBusyError
from gateway.people.password_policy import PasswordPolicy


async def test_it_says_what_is_wrong():
    policy = PasswordPolicy("Caller")
    assert await policy.fault("correct-zebra-tram-92", "ada@example.com") == ""
    assert await policy.fault("short", "ada@example.com") == "password_short"
    assert await policy.fault("CallerCaller", "ada@example.com") == "password_guessable"


async def test_only_so_many_wait():
    policy = PasswordPolicy("Caller")
    answers = await asyncio.gather(
        *(policy.fault("short", "") for _ in range(20)), return_exceptions=True
    )
    busy = [each for each in answers if isinstance(each, HasherBusyError)]
    assert len(busy) == 4
    assert answers.count("password_short") == 16
    assert await policy.fault("short", "") == "password_short"


async def test_who_gives_up_waiting_leaves_the_place_to_another():
    policy = PasswordPolicy("Caller")
    waiting = [asyncio.ensure_future(policy.fault("short", "")) for _ in range(16)]
    await asyncio.sleep(0)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    with pytest.raises(asyncio.CancelledError):
        await waiting[-1]
    assert await policy.fault("short", "") == "password_short"
