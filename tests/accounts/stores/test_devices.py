"""Devices on both databases: which are new, and how many are kept."""

from dataclasses import replace
from datetime import timedelta

from accounts.holder import Device
from accounts.stores import devices
from accounts.stores.devices import DEVICES_MAX, Seen
from tests.accounts.stores.conftest import NOW

LAPTOP = Device("d1", "Firefox", "Linux", NOW, NOW)
PHONE = Device("d2", "Safari", "iOS", NOW, NOW + timedelta(hours=1), "FR")


async def test_the_first_device_of_all_is_told_from_a_new_one(change, people):
    later = replace(
        LAPTOP, browser="Chrome", first_seen_at=PHONE.last_seen_at, last_seen_at=PHONE.last_seen_at
    )
    async with change() as connection:
        assert await devices.note(connection, "alice", LAPTOP) is Seen.FIRST_OF_ALL
        assert await devices.note(connection, "alice", LAPTOP) is Seen.BEFORE
        assert await devices.note(connection, "alice", PHONE) is Seen.NEW
        assert await devices.of_account(connection, "alice") == [PHONE, LAPTOP]
        assert await devices.note(connection, "alice", later) is Seen.BEFORE
        seen = replace(later, first_seen_at=NOW)
        assert await devices.of_account(connection, "alice") == [seen, PHONE]
        # One browser may be the device of two people.
        assert await devices.note(connection, "bob", LAPTOP) is Seen.FIRST_OF_ALL


async def test_the_device_seen_longest_ago_makes_room(change, people):
    def device(n):
        seen_at = NOW + timedelta(minutes=n)
        return Device(f"d{n}", "Firefox", "Linux", seen_at, seen_at)

    async with change() as connection:
        await devices.note(connection, "bob", LAPTOP)
        for n in range(DEVICES_MAX + 1):
            await devices.note(connection, "alice", device(n))
        kept = await devices.of_account(connection, "alice")
        assert kept == [device(n) for n in range(DEVICES_MAX, 0, -1)]
        assert await devices.of_account(connection, "bob") == [LAPTOP]


async def test_a_device_is_forgotten_once(change, people):
    async with change() as connection:
        await devices.note(connection, "alice", LAPTOP)
        assert not await devices.forget(connection, "bob", "d1")
        assert await devices.forget(connection, "alice", "d1")
        assert not await devices.forget(connection, "alice", "d1")
        assert await devices.of_account(connection, "alice") == []
