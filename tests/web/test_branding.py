"""The phone in the name of the service that it belongs to."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.async_api import Browser, expect

from gateway.http.site.branding import Branding, read_logo
from gateway.http.site.rendering import Pages
from tests.web.conftest import open_page
from tests.web.fake_gateway import FakeGateway, running
from tests.web.test_accessibility import check

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOGO = read_logo(
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 36" width="96" height="36">'
    b'<rect width="96" height="36" rx="6" fill="#7a1fa2"/></svg>'
)
LONGEST = "Donaudampfschifffahrtsgesellschaftskapitänsmützenferngespräch"[:60]
ACCENTS = {"light": "rgb(122, 31, 162)", "dark": "rgb(226, 182, 255)"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_title_header_logo_and_links_are_the_services(
    browser: Browser, built_pages: object, scheme: Literal["light", "dark"]
) -> None:
    site = Pages(Branding("Exämple & Sons", logo=LOGO, accents=("#7a1fa2", "#e2b6ff")))
    async with running(FakeGateway(site=site)) as gateway:
        page, faults = await open_page(browser, gateway, color_scheme=scheme)
        await expect(page).to_have_title("Phone · Exämple & Sons")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Exämple & Sons")
        logo = page.locator("caller-app > img")
        await expect(logo).to_be_visible()
        assert await logo.evaluate("(it) => it.complete && it.naturalWidth") == 96
        # The script's own header gives way.
        await expect(page.locator("caller-app .mark")).to_be_hidden()
        accent = "(it) => { const a = document.createElement('a'); a.style.color = 'var(--accent)';"
        accent += " it.append(a); return getComputedStyle(a).color; }"
        assert await page.locator("caller-app").evaluate(accent) == ACCENTS[scheme]
        assert faults.texts == []
        await page.context.close()


@pytest.mark.parametrize("locale", ["en-US", "de-DE"])
async def test_the_longest_name_keeps_the_narrowest_page_whole(
    browser: Browser, built_pages: object, locale: str
) -> None:
    async with running(FakeGateway(site=Pages(Branding(LONGEST)))) as gateway:
        viewport: dict[str, int] = {"width": 320, "height": 640}
        page, faults = await open_page(browser, gateway, viewport=viewport, locale=locale)
        await expect(page.get_by_role("heading", level=1)).to_have_text(LONGEST)
        await expect(page.get_by_role("textbox")).to_be_visible()
        await check(page)
        assert faults.texts == []
        await page.context.close()
