"""The closed list in use follows the list that was synced, and nothing that fails takes it away."""

from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from database.errors import StoreUnavailableError
from gateway.calls.closed_destinations import ClosedDestinations


@dataclass
class Synced:
    version: int
    prefixes: dict[str, str]


class Lists:
    def __init__(self):
        self.held = None
        self.read_count = 0
        self.is_away = False

    async def version(self):
        if self.is_away:
            raise StoreUnavailableError("away")
        return self.held and self.held.version

    async def newest(self):
        self.read_count += 1
        return self.held


@pytest.fixture
def lists():
    return Lists()


async def test_without_a_synced_list_the_shipped_one_holds(lists):
    destinations = ClosedDestinations(lists, [])
    await destinations.load()
    assert destinations.closed.closes("5371234567")
    assert not destinations.closed.closes("37181123456")


async def test_a_synced_list_is_read_once_and_the_operators_word_stays(lists):
    destinations = ClosedDestinations(lists, ["53"])
    for version, prefix in ((1, "37181"), (2, "37190")):
        lists.held = Synced(version, {prefix: "LV"})
        for _ in range(2):
            await destinations.refresh()
        assert lists.read_count == version
        assert [
            destinations.closed.closes(f"{p}12345") for p in ("37181", "37190", "537", "252")
        ] == [prefix == "37181", prefix == "37190", False, True]


async def test_a_store_that_is_away_leaves_the_present_list_and_is_told_once_each_time(lists):
    destinations = ClosedDestinations(lists, [])
    lists.held = Synced(1, {"37181": "LV"})
    await destinations.load()
    with capture_logs() as lines:
        for is_away in (True, True, False, True):
            lists.is_away = is_away
            await destinations.refresh()
    assert [line["code"] for line in lines] == ["store_unavailable"] * 2
    assert destinations.closed.closes("37181123456")


async def test_a_node_does_not_start_on_a_list_that_may_be_wrong(lists):
    lists.is_away = True
    with pytest.raises(StoreUnavailableError):
        await ClosedDestinations(lists, []).load()
