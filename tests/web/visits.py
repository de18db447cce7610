"""Visitors of pages with a button: their tabs, and the phone in them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, FrameLocator, Page, Playwright, expect

from tests.e2e import browser as browsers
from tests.web.fake_embed import NUMBERS, FakeEmbedGateway, HostPages, hosting, status
from tests.web.fake_gateway import running

ASKS_FOR_A_CLICK = "--autoplay-policy=document-user-activation-required"
"""As people's browsers do: sound needs a click."""


@dataclass
class Site:
    """A gateway, somebody's pages with its button, and a browser in front of them."""

    gateway: FakeEmbedGateway
    pages: HostPages
    browser: Browser

    def forget(self) -> None:
        """Be as nobody had ever been here."""
        fake = self.gateway
        fake.origins, fake.status, fake.answers = "http://localhost:*", status(), True
        fake.is_away, fake.webrtc, fake.numbers = False, False, NUMBERS
        for kept in (fake.addresses, fake.lines, fake.refusals, fake.signed, fake.feedback):
            kept.clear()


@dataclass
class Visit:
    """One visitor's tab."""

    site: Site
    page: Page
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def note_error(self, said: ConsoleMessage) -> None:
        """Note what a page says on its console, if it is an error."""
        if said.type == "error":
            self.faults.append(said.text)

    @property
    def button(self) -> Any:
        """The button in the page."""
        return self.page.locator("caller-button button")

    @property
    def link(self) -> Any:
        """What stands in the button's place where no frame may open."""
        return self.page.locator("caller-button a[part]")

    @property
    def frame(self) -> FrameLocator:
        """The phone."""
        return self.page.frame_locator("caller-button iframe")

    @property
    def status(self) -> Any:
        """The line that says what the phone is doing."""
        return self.frame.locator(".status")

    async def call(self) -> None:
        """Open the phone, call, and wait for the answer."""
        await self.button.click()
        await self.frame.get_by_role("button", name="Call now").click()
        await expect(self.status).to_have_text("In call")

    async def events(self) -> list[dict[str, Any]]:
        """Return what the page has been told, in its order."""
        told: list[dict[str, Any]] = await self.page.evaluate("() => window.told")
        return told


_LISTEN = """
window.told = [];
for (const name of ['connecting', 'ringing', 'accept', 'mute', 'ended', 'error', 'close']) {
  document.addEventListener(`caller-${name}`, (event) =>
    window.told.push({ ...event.detail, name }));
}
"""


@asynccontextmanager
async def open_site(playwright: Playwright, microphone: Path) -> AsyncIterator[Site]:
    """Start all three."""
    browser = await browsers.launch(
        playwright, microphone=microphone, is_whole=False, flags=(ASKS_FOR_A_CLICK,)
    )
    async with (
        running(FakeEmbedGateway(resume_seconds=15)) as gateway,
        hosting(HostPages(gateway.origin)) as pages,
    ):
        yield Site(gateway, pages, browser)
    await browser.close()


async def visiting(site: Site, browser: Browser) -> Visit:
    """Open a tab in a context of its own."""
    context = await browser.new_context(locale="en-US")
    await context.add_init_script(_LISTEN)
    page = await context.new_page()
    visit = Visit(site, page)
    page.on("pageerror", lambda error: visit.faults.append(str(error)))
    page.on("console", visit.note_error)
    page.on("request", lambda request: visit.requests.append(request.url))
    return visit
