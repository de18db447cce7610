"""The page of the simulated mails in a browser: each mail in a frame that runs nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Literal

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from gateway.post.mail import Envelope, compose
from gateway.post.notices import MailText
from simulators.mail.service import MailSimulatorService, MailSimulatorSettings
from tests.simulators.mail.conftest import MailServer
from tests.web.conftest import async_fixture
from tests.web.test_site import check

pytestmark = pytest.mark.asyncio(loop_scope="session")

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LINK = "/read/1/html?l=secret"
EVIL = """<!doctype html><html lang="en"><head><base href="https://evil.test/" target="_blank">
<title>Evil</title><style>p { color: rgb(1, 2, 3) }</style></head><body>
<p>Hello</p><p><a href="%s%s">Confirm</a></p>
<form action="%s/mails"><button>Send</button></form>
<img src="%s/mails" alt="picture" onerror="parent.document.title = 'evil'">
<script>document.body.textContent = "evil"; top.location = "https://evil.test/"</script>
</body></html>"""


@async_fixture
async def server() -> AsyncIterator[MailServer]:
    service = MailSimulatorService(MailSimulatorSettings(sign_up_url="http://a.test/sign-up"))
    await service.start()
    async with httpx.AsyncClient(base_url=service.origin) as client:
        yield MailServer(service, client)
    await service.stop()


async def send_evil(server: MailServer) -> None:
    origin = server.service.origin
    html = EVIL % (origin, LINK, origin, origin)
    envelope = Envelope("a@b.test", "c@d.test", "<1@b.test>", AT)
    text = MailText(subject="Confirm your address", text=f"{origin}{LINK}\n" * 9, html=html)
    await server.send(compose(text, envelope))


async def opened(browser: Browser, server: MailServer, path: str = "/") -> Page:
    context = await browser.new_context(viewport={"width": 320, "height": 800})
    page = await context.new_page()
    await page.goto(f"{server.service.origin}{path}")
    return page


async def test_a_mail_is_read_and_its_link_followed_by_keyboard(
    browser: Browser, server: MailServer
) -> None:
    page = await opened(browser, server)
    await expect(page.get_by_role("main")).to_contain_text("No mails yet. Sign up at http://a.test")
    await send_evil(server)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("listitem")).to_have_count(1)
    for _ in range(2):
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Confirm your address")
    await page.frame_locator("iframe").get_by_role("link").focus()
    await page.keyboard.press("Enter")
    # The whole window, not the frame, and without a new one.
    await page.wait_for_url(f"{server.service.origin}{LINK}")
    assert len(page.context.pages) == 1
    await page.context.close()


async def test_a_mail_runs_nothing_and_fetches_nothing(
    browser: Browser, server: MailServer
) -> None:
    await send_evil(server)
    page = await opened(browser, server)
    answered: list[str] = []
    page.on("response", lambda response: answered.append(response.url))
    await page.get_by_role("listitem").get_by_role("link").click()
    frame = page.frame_locator("iframe")
    await expect(frame.get_by_text("Hello")).to_have_css("color", "rgb(1, 2, 3)")
    await frame.get_by_role("button").click()
    await page.wait_for_load_state("networkidle")
    origin = server.service.origin
    assert answered == [f"{origin}/read/1", f"{origin}/read/1/html"]
    assert await page.title() == "Confirm your address"
    # Opened without the frame, it may do no more.
    await page.goto(f"{origin}/read/1/html")
    await expect(page.get_by_text("Hello")).to_be_visible()
    assert page.url == f"{origin}/read/1/html"
    await page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_can_be_read_by_everyone(
    browser: Browser, server: MailServer, scheme: Literal["light", "dark"]
) -> None:
    page = await opened(browser, server)
    await page.emulate_media(color_scheme=scheme)
    await check(page)
    await server.send(compose(*plain()))
    for path in ("/", "/read/1", "/read/2"):
        await page.goto(f"{server.service.origin}{path}")
        await check(page)
    await page.context.close()


def plain() -> tuple[MailText, Envelope]:
    """Return a mail whose words are too long for a narrow window."""
    html = '<!doctype html><html lang="en"><title>Mail</title><p>Hello</p></html>'
    text = MailText(subject="Address" * 20, text="http://a.test/l/" + "secret" * 30, html=html)
    return text, Envelope("a@b.test", f"{'c' * 60}@d.test", "<1@b.test>", AT)
