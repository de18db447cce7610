"""What is remembered of accounts, and what ends it."""

import pytest

from database.errors import StoreUnavailableError
from gateway.heartbeat.remembered import Remembered


class Epochs:
    """A key epoch that a test ends, or takes away."""

    def __init__(self):
        self.epoch = "first"

    async def current(self):
        if not self.epoch:
            raise StoreUnavailableError("away")
        return self.epoch


@pytest.fixture
def epochs():
    return Epochs()


@pytest.fixture
def remembered(epochs):
    return Remembered(epochs, 2)


async def test_a_value_counts_in_its_epoch_and_for_its_time(epochs, remembered):
    epoch = await remembered.epoch()
    remembered.keep("a", 1, epoch, 100)
    assert remembered.find("a", epoch, 109, 10) == 1
    assert remembered.find("a", epoch, 110, 10) is None
    epochs.epoch = "second"
    assert remembered.find("a", await remembered.epoch(), 100, 10) is None
    assert "a" in remembered, "that it was valid once is still known"


async def test_without_an_epoch_nothing_is_kept_or_believed(epochs, remembered):
    remembered.keep("a", 1, await remembered.epoch(), 0)
    epochs.epoch = ""
    epoch = await remembered.epoch()
    assert epoch == ""
    remembered.keep("b", 2, epoch, 0)
    assert remembered.find("a", epoch, 0, 10) is None
    assert "b" not in remembered


def test_of_too_many_the_first_kept_is_forgotten(remembered):
    for name in "abac":
        remembered.keep(name, name, "first", 0)
    assert (len(remembered), "a" in remembered, "b" in remembered) == (2, True, False)


def test_what_is_forgotten_is_not_found(remembered):
    remembered.keep("a", 1, "first", 0)
    remembered.forget("a")
    remembered.forget("never kept")
    assert remembered.find("a", "first", 0, 10) is None
