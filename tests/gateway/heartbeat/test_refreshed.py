"""What cannot be had leaves what is in use, and is logged once until it has passed."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from billing.errors import RateDeckError
from database.errors import StoreUnavailableError
from gateway.heartbeat.refreshed import Refreshed


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
