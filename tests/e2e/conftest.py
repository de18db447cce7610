"""A browser that speaks into its microphone, and an account holder of a module's own `world`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.calls.world import Customer, World
from tests.e2e import browser as browsers
from tests.web.speech import MICROPHONE_HZ, Samples, speech_like, write_wav


@pytest.fixture(scope="module")
def speech() -> Samples:
    return speech_like(6, MICROPHONE_HZ)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium(
    tmp_path_factory: pytest.TempPathFactory, speech: Samples
) -> AsyncIterator[Browser]:
    microphone: Path = tmp_path_factory.mktemp("microphone") / "speech.wav"
    write_wav(microphone, speech, MICROPHONE_HZ)
    async with async_playwright() as driver:
        browser = await browsers.launch(driver, microphone=microphone)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def caller(world: World) -> AsyncIterator[Customer]:
    customer = await world.new_customer()
    yield customer
    await customer.http.aclose()
