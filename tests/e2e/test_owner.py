"""From nothing to a first call on a page of one's own, on the demo: every step, counted.

The owner's pages run without script, as all of them do; the page with the button does.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.calls.world import eventually
from tests.e2e.phone_page import RAW
from tests.e2e.test_button import phone
from tests.e2e.test_real_call import TAP
from tests.gateway.roles.test_demo import running_demo
from tests.valkey import free_port
from tests.web.fake_embed import HostPages, hosting

pytestmark = pytest.mark.asyncio(loop_scope="module")

EMAIL, PASSWORD = "owner@example.com", "correct-zebra-tram-92"
PHONE = "+1 500 555 1000"
"""The carrier's echo."""
CLICKS, FIELDS = 16, 8
"""What it takes, with the address and the password that somebody has anyhow."""


@dataclass
class Running:
    """A demo, by the addresses that it prints."""

    base: str
    mails: str
    said: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("demo")
    environ = {"CALLER_DATA_DIR": str(folder / "data"), "CALLER_PORT": str(free_port())}
    log = folder / "log"
    with running_demo(environ, log) as (base, _):
        printed = log.read_text()
        mails = re.search(r"Mails of this demo: (\S+)/", printed)
        said = re.search(r"Codes that calls speak: (\S+)", printed)
        assert mails is not None
        assert said is not None
        yield Running(base, mails[1], said[1])


@pytest_asyncio.fixture(loop_scope="module")
async def pages(demo: Running) -> AsyncIterator[HostPages]:
    async with hosting(HostPages(demo.base)) as pages:
        yield pages


@dataclass
class Owner:
    """Somebody who reads, clicks and types, and is counted."""

    page: Page
    clicks: int = 0
    fields: int = 0

    async def click(self, role: str, name: str) -> None:
        self.clicks += 1
        # An exact name: each is one thing on its page.
        await self.page.get_by_role(role, name=name, exact=True).click()

    async def tick(self, label: str) -> None:
        self.clicks += 1
        await self.page.get_by_label(label).check()

    async def fill(self, label: str, text: str) -> None:
        self.fields += 1
        await self.page.get_by_label(label, exact=True).fill(text)


async def link_in_mail(demo: Running) -> str:
    """Return the link of the newest mail, as its reader sees it."""

    async def found() -> str | None:
        async with httpx.AsyncClient(base_url=demo.mails) as client:
            mails = (await client.get("/mails")).json()
            mine = [mail["id"] for mail in mails if EMAIL in str(mail["to"])]
            if not mine:
                return None
            text = (await client.get(f"/mails/{mine[0]}")).json()["text"]
        link = re.search(r"http://\S+/l/\S+", text)
        return None if link is None else link[0]

    return str(await eventually(found, 30))


async def spoken_code(demo: Running) -> str:
    """Return the code that the phone was told."""

    async def found() -> str | None:
        async with httpx.AsyncClient() as client:
            spoken = re.search(r"code is: ((?:\d\. ?){6})", (await client.get(demo.said)).text)
        return None if spoken is None else re.sub(r"\D", "", spoken[1])

    return str(await eventually(found, 30))


async def sign_up(owner: Owner, demo: Running) -> None:
    await owner.page.goto(f"{demo.base}/sign-up")
    await owner.fill("E-mail address", EMAIL)
    await owner.fill("Password", PASSWORD)
    await owner.tick("I accept the")
    await owner.tick("I am 18 years old")
    await owner.click("button", "Create account")
    await owner.page.goto(await link_in_mail(demo))
    owner.clicks += 1
    await owner.fill("Password", PASSWORD)
    await owner.click("button", "Confirm and sign in")


async def top_up(owner: Owner) -> None:
    await owner.click("link", "Credit")
    await owner.click("button", "$10.00")
    # The payment service's own page, which is not ours to word.
    owner.clicks += 1
    await owner.page.get_by_role("button").first.click()
    await expect(owner.page.locator("main")).to_contain_text("Paid", timeout=30_000)


async def make_button(owner: Owner, demo: Running, origin: str) -> str:
    """Prove the number, make the button; return what is copied."""
    await owner.click("link", "Buttons")
    await owner.click("link", "Prove your number")
    await owner.fill("Your phone number", PHONE)
    await owner.click("button", "Call me with a code")
    await owner.fill("Code from the call", await spoken_code(demo))
    await owner.click("button", "Check the code")
    await owner.click("link", "Create a button")
    await owner.fill("Who answers", "Sales of Example")
    await owner.fill("Name for yourself", "shop")
    await owner.fill("Sites that show it", origin)
    await owner.click("button", "Create the button")
    return await owner.page.get_by_label("For visitors").input_value()


async def test_an_owner_gets_from_nothing_to_a_first_call(
    chromium: Browser, demo: Running, pages: HostPages
) -> None:
    context = await chromium.new_context(locale="en-US", java_script_enabled=False)
    owner = Owner(await context.new_page())
    await sign_up(owner, demo)
    await top_up(owner)
    tag = await make_button(owner, demo, pages.origin)
    visit = await chromium.new_context(locale="en-US")
    await visit.add_init_script(RAW + TAP)
    page = await visit.new_page()
    await page.goto(pages.add("/", button=tag))
    owner.clicks += 2
    await page.locator("caller-button button").click()
    await phone(page).get_by_role("button", name="Call now").click()
    await expect(phone(page).locator(".status")).to_have_text("In call", timeout=30_000)
    await page.frames[1].wait_for_function("() => window.played > 0.02")
    await phone(page).get_by_role("button", name="Hang up").click()
    await expect(phone(page).locator(".status")).to_have_text("Call ended")
    assert (owner.clicks, owner.fields) == (CLICKS, FIELDS)

    # And the owner sees what it cost.
    async def is_counted() -> bool:
        await owner.page.reload()
        return "1 call," in await owner.page.locator("main").inner_text()

    await eventually(is_counted, 40)
    await expect(owner.page.get_by_role("img", name="Calls of each day")).to_be_visible()
    await visit.close()
    await context.close()
