"""One browser with a fake microphone for all page tests; a gateway and a page for each."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Playwright, Route, async_playwright

from tests.e2e import browser as browsers
from tests.web.fake_gateway import KEY, STATIC, FakeGateway, running
from tests.web.speech import MICROPHONE_HZ, Samples, speech_like, write_wav
from tests.web.visits import Site, Visit, open_site, visiting

SPEECH_S = 8

INSECURE_HOST = "gateway.test"
"""A name of the fake gateway that no browser trusts with a microphone: it is not loopback's."""

WEB = Path(__file__).parents[2] / "web"
WORDS = WEB.parent / "gateway/words"
"""A folder for each language; the pages have their words from `*.ts` there."""

package_async = pytest_asyncio.fixture(scope="package", loop_scope="session")
async_fixture = pytest_asyncio.fixture(loop_scope="session")


@pytest.fixture(scope="session")
def node() -> str:
    """Node, with the packages of web/ installed."""
    found = shutil.which("node")
    if found is None or not (WEB / "node_modules/esbuild").is_dir():
        pytest.skip("Needs Node and `npm ci` in web/.")
    return found


@pytest.fixture(scope="session")
def built_pages() -> Path:
    """The pages, built anew if they are not what the sources would give."""
    sources = [*WEB.joinpath("src").rglob("*.*"), *WEB.glob("*.mjs"), WEB / "package-lock.json"]
    sources += WORDS.rglob("*.ts")
    sources += [STATIC.parent / "site" / name for name in ("tokens.css", "icon.svg")]
    index = STATIC / "index.html"
    newest = max(path.stat().st_mtime for path in sources)
    if not index.exists() or index.stat().st_mtime < newest:
        npm = shutil.which("npm")
        if npm is None or not (WEB / "node_modules/esbuild").is_dir():
            pytest.skip("The pages are not built: needs Node and `npm ci` in web/.")
        subprocess.run([npm, "run", "--silent", "build"], cwd=WEB, check=True)
    return STATIC


@pytest.fixture(scope="session")
def speech() -> Samples:
    """What the fake microphone says, again and again."""
    return speech_like(SPEECH_S, MICROPHONE_HZ)


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory, speech: Samples) -> Path:
    """The speech as a file for the browser, which plays it as it is."""
    path = tmp_path_factory.mktemp("audio") / "speech.wav"
    write_wav(path, np.asarray(speech), MICROPHONE_HZ)
    return path


@package_async
async def playwright() -> AsyncIterator[Playwright]:
    async with async_playwright() as driver:
        yield driver


@package_async
async def browser(playwright: Playwright, microphone: Path) -> AsyncIterator[Browser]:
    """A browser with a microphone."""
    chromium = await browsers.launch(
        playwright,
        microphone=microphone,
        is_whole=False,
        flags=(f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1",),
    )
    yield chromium
    await chromium.close()


@package_async
async def deaf_browser(playwright: Playwright) -> AsyncIterator[Browser]:
    """A browser without a microphone, on a machine without one."""
    chromium = await browsers.launch(playwright, microphone=None, is_whole=False)
    yield chromium
    await chromium.close()


@package_async
async def asking_browser(playwright: Playwright, microphone: Path) -> AsyncIterator[Browser]:
    """A browser whose microphone pages have to ask for."""
    chromium = await browsers.launch(playwright, microphone=microphone, grants=False)
    yield chromium
    await chromium.close()


@async_fixture
async def gateway(built_pages: Path) -> AsyncIterator[FakeGateway]:
    async with running(FakeGateway()) as fake:
        yield fake


@dataclass
class Faults:
    """What the browser complained about, page and policy alike."""

    texts: list[str] = field(default_factory=list)


# Reports policy violations that no console message carries, and keeps what the page opens where a
# test can see whether it is given back.
_OBSERVE = """
document.addEventListener('securitypolicyviolation',
  (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
window.opened = { streams: [], contexts: [], workers: [] };
if (navigator.mediaDevices) {
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await ask(wanted);
    window.opened.streams.push(stream);
    return stream;
  };
}
for (const [name, list] of [['AudioContext', 'contexts'], ['Worker', 'workers']]) {
  window[name] = class extends window[name] {
    constructor(...options) {
      super(...options);
      window.opened[list].push(this);
    }
  };
}
"""

# A refused request is an outcome the page shows; the browser's console line on it is not a fault.
_EXPECTED = "Failed to load resource"


def faults_of(page: Page) -> Faults:
    """Return what a page will complain of from now on."""
    faults = Faults()
    page.on("pageerror", lambda error: faults.texts.append(str(error)))
    page.on(
        "console",
        lambda message: (
            faults.texts.append(message.text)
            if message.type == "error" and _EXPECTED not in message.text
            else None
        ),
    )
    return faults


async def open_page(
    browser: Browser,
    gateway: FakeGateway,
    *,
    key: str | None = KEY,
    script: str = "",
    origin: str = "",
    **options: Any,
) -> tuple[Page, Faults]:
    """Open the phone in a context of its own; the options are Playwright's, such as locale."""
    context = await browser.new_context(**{"locale": "en-US", **options})
    await context.add_init_script(_OBSERVE + script)
    page = await context.new_page()
    faults = faults_of(page)
    fragment = f"#key={key}" if key else ""
    await page.goto(f"{origin or gateway.origin}/{fragment}")
    return page, faults


@async_fixture
async def page(browser: Browser, gateway: FakeGateway) -> AsyncIterator[Page]:
    """The phone with a good key; fails the test if the browser complained of anything."""
    phone, faults = await open_page(browser, gateway)
    yield phone
    await phone.context.close()
    assert faults.texts == []


@package_async
async def site(playwright: Playwright, microphone: Path, built_pages: Path) -> AsyncIterator[Site]:
    """A gateway with a button, somebody's pages that carry it, and a browser for their visitors."""
    assert built_pages
    async with open_site(playwright, microphone) as opened:
        yield opened


@async_fixture
async def visit(site: Site) -> AsyncIterator[Visit]:
    """A visitor who has been nowhere; fails the test if the browser complained of anything."""
    site.forget()
    visitor = await visiting(site, site.browser)
    yield visitor
    await visitor.page.context.close()
    assert visitor.faults == []


async def held_back(page: Page, address: str) -> asyncio.Event:
    """Let requests to an address wait for what is returned."""
    may_go = asyncio.Event()

    async def late(route: Route) -> None:
        await may_go.wait()
        await route.continue_()

    await page.route(address, late)
    return may_go
