"""The order in which a process stops, whatever its parts do."""

import asyncio

import pytest
from structlog.testing import capture_logs

from gateway.roles import stopping
from gateway.roles.stopping import Stops


@pytest.fixture
def stops():
    return Stops()


def noting(did, name, error=None):
    async def stop():
        did.append(name)
        if error is not None:
            raise error

    return stop


async def test_the_last_that_was_opened_stops_first(stops):
    did = []
    for name in ("stores", "calls", "sockets"):
        stops.add(name, noting(did, name))
    await stops.run()
    assert did == ["sockets", "calls", "stores"]
    await stops.run()
    assert len(did) == 3


async def test_a_part_that_fails_keeps_no_other_from_stopping(stops):
    did = []
    stops.add("stores", noting(did, "stores"))
    stops.add("calls", noting(did, "calls", OSError("away")))
    with capture_logs() as logs:
        await stops.run()
    assert did == ["calls", "stores"]
    (line,) = logs
    assert (line["log_level"], line["event"]) == ("error", "part failed to stop")
    assert line["part"] == "calls"


async def test_a_part_whose_stop_is_cancelled_keeps_no_other_from_stopping(stops):
    did = []
    stops.add("stores", noting(did, "stores"))
    stops.add("calls", noting(did, "calls", asyncio.CancelledError()))
    with capture_logs() as logs:
        await stops.run()
    assert did == ["calls", "stores"]
    (line,) = logs
    assert (line["event"], line["part"]) == ("part failed to stop", "calls")


async def test_a_part_that_hangs_is_left_behind_and_named(stops, monkeypatch):
    monkeypatch.setattr(stopping, "STOP_S_MAX", 0.01)
    did = []
    hangs = asyncio.Event()
    stops.add("stores", noting(did, "stores"))
    stops.add("calls", hangs.wait)
    with capture_logs() as logs:
        await stops.run()
    assert did == ["stores"]
    assert [(line["event"], line["part"]) for line in logs] == [("part not stopped", "calls")]
