"""The phone page in a stock Firefox, by WebRTC and by the socket, through the simulated carrier.

Browser and gateway are two machines: Firefox takes no loopback address for WebRTC. Microphone and
loudspeaker are a sound server's: without any, Firefox starts no sound at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from tests.calls.test_buttons import shop_of
from tests.calls.world import ECHO, Customer, World, eventually
from tests.e2e.firefox import ENTER, WITHIN, Firefox, Page, firefox
from tests.e2e.network import Wire, wire
from tests.e2e.phone_page import RAW, assert_like, heard_for, live_call
from tests.e2e.sound_server import SoundServer, sound_server
from tests.priority import hurry
from tests.web.fake_embed import HostPages, hosting
from tests.web.speech import WIRE_HZ, Samples, likeness_at_any_speed

pytestmark = pytest.mark.asyncio(loop_scope="module")

GATEWAY, BROWSER = "10.77.0.1", "10.77.0.2"

# The gateway's address stands for a page with TLS. Tabs begin with one that has no microphone.
SECURE = {"dom.securecontext.allowlist": GATEWAY}
SCRIPT = f"if (isSecureContext) {{ {RAW} }}"

SPELL_S = 2

SHOWN_CALL = f"""() => {{
  {WITHIN}
  return within(document).find(({{ localName }}) => localName === 'caller-in-call')?.state;
}}"""

KEY_5_HZ = (770, 1336)
"""ITU-T Q.23."""


@pytest.fixture(scope="module")
def network() -> Iterator[Wire]:
    """A wire from the gateway, on whose machine the tests are too, to the browser."""
    with wire(GATEWAY, BROWSER) as made, made.near.entered():
        yield made


@pytest.fixture(scope="module")
def world(network: Wire, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    # A browser that has to wait for its turn on a busy machine is silent for seconds.
    patience = {"CALLER_MEDIA_SILENCE_S": "20", "CALLER_RESUME_S": "10"}
    world = World(tmp_path_factory.mktemp("firefox-world"), host=GATEWAY, **patience)
    # The phone rings until `in_call` lets it be answered.
    world.start_carrier(ring_s="60")
    world.start_gateway()
    for process in filter(None, (world.gateway, world.carrier)):
        hurry(process.popen.pid)
    yield world
    world.stop()


@pytest.fixture(scope="module")
def sound(speech: Samples, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoundServer]:
    with sound_server(tmp_path_factory.mktemp("sound"), speech) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(
    network: Wire, sound: SoundServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Firefox]:
    profile = tmp_path_factory.mktemp("firefox")
    async with firefox(network.far, profile, sound.environ, SCRIPT, **SECURE) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Firefox, caller: Customer) -> AsyncIterator[Page]:
    async with browser.page() as page:
        await page.goto(f"{caller.world.base}/#key={caller.key}")
        yield page


async def in_call(page: Page, caller: Customer, path: str) -> dict[str, Any]:
    """Call; the phone is answered once this path carries the audio."""
    await page.click("input#number")
    await page.type(ECHO + ENTER)
    await page.find(".status", "^Ringing")

    async def is_carried() -> bool:
        found = await page.run(SHOWN_CALL)
        return found is not None and found["path"] == path.lower()

    # As long as ICE may take on a busy machine.
    await eventually(is_carried, timeout_s=30)
    call = await live_call(caller)
    await caller.world.carrier_act(call["carrier_call_id"], action="answer")
    await page.find(".status", "^In call$")
    await expect_path(page, path)
    return call


async def expect_path(page: Page, path: str) -> None:
    await page.find("small", rf"^{path}\b")


async def assert_heard(caller: Customer, call: dict[str, Any], speech: Samples) -> None:
    """The phone hears from now on what is said."""
    await assert_like(speech, lambda: heard_for(caller, call, SPELL_S))


async def assert_conversation(
    caller: Customer, call: dict[str, Any], sound: SoundServer, speech: Samples
) -> None:
    """The phone hears what is said, and its echo comes out of the loudspeaker."""
    await asyncio.gather(
        assert_heard(caller, call, speech),
        assert_like(speech, lambda: sound.played(SPELL_S), likeness_at_any_speed),
    )


async def hang_up(page: Page, caller: Customer, call: dict[str, Any]) -> list[str]:
    """End the call; return each path that was in use, in order of first use.

    The socket may be the first of them: the record begins with the ringing, and WebRTC takes more
    than the first second of it on a busy machine. In which order they carried the words is seen on
    the page.
    """
    await page.click("button", "^Hang up$")
    await page.find(".status", "^Call ended$")
    record = await caller.record(call["id"])
    assert record["ended_by"] == "caller"
    paths: list[str] = record["browser"]["paths"]
    return paths


def has_key_5(heard: Samples) -> bool:
    """Whether at some time nothing but the two tones of this key was heard."""
    window = WIRE_HZ // 20
    parts = heard[: heard.size // window * window].reshape(-1, window) * np.hanning(window)
    power = np.abs(np.fft.rfft(parts)) ** 2
    hz = np.fft.rfftfreq(window, 1 / WIRE_HZ)
    low, high = (power[:, np.abs(hz - tone) < 50].sum(axis=1) for tone in KEY_5_HZ)
    whole = power.sum(axis=1) + 1e-3
    return bool(np.any((low + high > 0.9 * whole) & (low > 0.2 * whole) & (high > 0.2 * whole)))


async def test_a_call_by_webrtc(page: Page, caller: Customer, sound: SoundServer, speech: Samples):
    call = await in_call(page, caller, "WebRTC")
    await assert_conversation(caller, call, sound, speech)

    await page.click("button", "^Mute$")
    await page.find("button[aria-pressed=true]", "^Mute$")

    async def is_silent() -> bool:
        return float(np.abs(await heard_for(caller, call, 0.5)).max()) < 0.001

    await eventually(is_silent)
    await page.click("button", "^Keypad$")
    hearing = asyncio.create_task(heard_for(caller, call, 2))
    await page.click("button", "^Key 5$")
    await page.find("span", "^Sent: 5$")
    assert has_key_5(await hearing)
    assert (await hang_up(page, caller, call))[-1] == "webrtc"


async def test_without_udp_the_socket_carries_the_call(
    page: Page, caller: Customer, sound: SoundServer, speech: Samples, network: Wire
):
    with network.without_udp():
        call = await in_call(page, caller, "WebSocket")
        await assert_conversation(caller, call, sound, speech)
        assert await hang_up(page, caller, call) == ["websocket"]


async def test_a_call_goes_on_when_udp_dies_and_when_it_lives_again(
    page: Page, caller: Customer, speech: Samples, network: Wire
):
    call = await in_call(page, caller, "WebRTC")
    with network.without_udp():
        await expect_path(page, "WebSocket")
        await assert_heard(caller, call, speech)
    await expect_path(page, "WebRTC")
    await assert_heard(caller, call, speech)
    assert set(await hang_up(page, caller, call)) == {"webrtc", "websocket"}


async def test_a_button_calls_from_the_page_of_somebody_else(
    browser: Firefox, caller: Customer, sound: SoundServer, speech: Samples
):
    world = caller.world
    async with (
        hosting(HostPages(world.base), GATEWAY) as pages,
        shop_of(world, caller, origins=(pages.origin,)) as shop,
        browser.page() as page,
    ):
        button = f'<caller-button key="{shop.key}" label="Call us"></caller-button>'
        await page.goto(pages.add("/", button=button))
        await page.click("button", "^Call us$")
        phone = await page.frame()
        await phone.click("button", "^Call now$")
        await phone.find(".status", "^Ringing")
        call = await live_call(caller)
        await world.carrier_act(call["carrier_call_id"], action="answer")
        await phone.find(".status", "^In call$")
        await assert_conversation(caller, call, sound, speech)
        await phone.click("button", "^Hang up$")
        await phone.find(".status", "^Call ended$")
        assert (await caller.record(call["id"]))["ended_by"] == "caller"
