"""A service that a process runs until it is to end."""

import asyncio
import signal

import pytest

from gateway.roles.process import serve_until_stopped


class Service:
    """A service that does nothing, or fails at one of its steps."""

    def __init__(self, failing=""):
        self._failing = failing
        self.did = []
        self.serving = asyncio.Event()

    def _do(self, what):
        self.did.append(what)
        if what == self._failing:
            raise ZeroDivisionError

    async def start(self):
        self._do("start")

    async def serve(self):
        self._do("serve")
        self.serving.set()
        await asyncio.Event().wait()

    async def stop(self):
        self._do("stop")


async def test_a_service_is_stopped_by_a_signal():
    service = Service()
    running = asyncio.ensure_future(serve_until_stopped(service, "", 0, is_child=False))
    await service.serving.wait()
    signal.raise_signal(signal.SIGTERM)
    await running
    assert service.did == ["start", "serve", "stop"]


@pytest.mark.parametrize("step", ["start", "serve"])
async def test_a_fault_of_a_service_ends_the_process(step):
    service = Service(step)
    with pytest.raises(ZeroDivisionError):
        await serve_until_stopped(service, "", 0, is_child=False)
    assert service.did == {"start": ["start"], "serve": ["start", "serve", "stop"]}[step]
