"""What is remembered of accounts, and what ends it."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from billing.errors import RateDeckError
from database.errors import StoreUnavailableError
from gateway.heartbeat.cached import Refreshed, Remembered


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


class Thing(Refreshed):
    """Fails as it is told."""

    NAME = "thing"

    def __init__(self, *errors: Exception | None) -> None:
        super().__init__()
        self.errors = list(errors)

    async def load(self) -> None:
        if (error := self.errors.pop(0)) is not None:
            raise error


async def test_a_failure_is_logged_once_until_it_has_passed_or_is_another():
    away, wrong = StoreUnavailableError("away"), RateDeckError("wrong")
    thing = Thing(None, away, away, wrong, None, away)
    with capture_logs() as logs:
        while thing.errors:
            await thing.refresh()
    assert [line["code"] for line in logs] == [away.code, wrong.code, away.code]
    assert {(line["event"], line["what"]) for line in logs} == {
        ("shared data not refreshed", "thing")
    }


async def test_a_fault_of_ours_is_not_taken_for_one():
    with pytest.raises(ZeroDivisionError):
        await Thing(ZeroDivisionError()).refresh()
