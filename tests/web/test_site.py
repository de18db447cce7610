"""The pages of people in a browser: without script, by keyboard, at 320 px, in every scheme."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Literal

import pytest
import uvicorn
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from billing.statement import CallLine, StatementLine
from gateway.buttons.ports import DayUsage, NewButton, ProvenDestination
from gateway.embed.hours import OpeningHours
from gateway.http.app import create_app
from gateway.own_keys import NewKey
from gateway.scopes import PAGE
from tests.gateway.buttons.button_books import NUMBER, button_of, rules
from tests.gateway.http.site.books import AT, UNIT, live, payment, record
from tests.gateway.http.site.conftest import Site
from tests.gateway.people.memory import EMAIL, OTHER_PASSWORD, PASSWORD
from tests.valkey import free_port
from tests.web.conftest import async_fixture
from tests.web.fake_gateway import until
from tests.web.test_accessibility import RULES, SIDEWAYS, TARGET_PX

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIVE, TEST = "pk_live_" + "a" * 24, "pk_test_" + "b" * 24

# A link in a sentence is as large as its words (WCAG 2.2, 2.5.8), a box is clicked by its label,
# and the link that skips is seen by whoever has a keyboard.
_EXEMPT = (
    "p a, label a, .summary a, [type=hidden], [hidden], [hidden] *, [type=checkbox], [type=radio]"
    ", .skip"
)
_SMALL_TARGETS = """([least, exempt]) => [...document.querySelectorAll('button, input, a[href]')]
  .filter((it) => !it.matches(exempt))
  .filter((it) => {
    const { width, height } = it.getBoundingClientRect();
    return width < least || height < least;
  })
  .map((it) => it.outerHTML)"""


async def check(page: Page) -> None:
    """Fail on anything axe finds, on sideways scrolling and on small targets."""
    results = await Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert results.violations_count == 0, results.generate_report()
    assert await page.evaluate(SIDEWAYS) == 0
    assert await page.evaluate(_SMALL_TARGETS, [TARGET_PX, _EXEMPT]) == []


@async_fixture
async def site() -> AsyncIterator[Site]:
    """All pages on loopback, with stores in memory."""
    port = free_port()
    site = Site(origin=f"http://127.0.0.1:{port}")
    config = uvicorn.Config(create_app(site.routes), port=port, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    yield site
    server.should_exit = server.force_exit = True
    await task


async def opened(browser: Browser, site: Site, path: str, **options: Any) -> Page:
    context = await browser.new_context(**{"locale": "en-US", **options})
    page = await context.new_page()
    await page.goto(f"{site.origin}{path}")
    return page


async def sign_in(page: Page, site: Site, password: str = PASSWORD) -> None:
    await page.goto(f"{site.origin}/sign-in")
    await page.get_by_label("E-mail address").fill(EMAIL)
    await page.get_by_label("Password").fill(password)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your account")


async def test_a_person_gets_an_account_and_back_into_it_without_script(
    browser: Browser, site: Site
) -> None:
    page = await opened(browser, site, "/sign-in", java_script_enabled=False)
    await page.get_by_role("link", name="Create an account").click()
    await page.get_by_role("button", name="Create account").click()
    alert = page.get_by_role("alert")
    await expect(alert).to_be_focused()
    await alert.get_by_role("link").first.click()
    await page.get_by_label("E-mail address").fill(EMAIL)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_label("I accept the").check()
    await page.get_by_label("18 years").check()
    await page.get_by_role("button", name="Create account").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Check your mail")
    await page.goto(f"{site.origin}/l/{site.world.link('verify_email')}")
    await page.get_by_label("Password").fill(OTHER_PASSWORD)
    await page.get_by_role("button", name="Confirm and sign in").click()
    await expect(page.get_by_role("alert")).to_be_focused()
    await expect(page.get_by_role("link", name="Set a new one")).to_be_visible()
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Confirm and sign in").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    await expect(page.get_by_role("status")).to_contain_text("confirmed")
    (cookie, device) = sorted(await page.context.cookies(), key=lambda each: each["name"])
    assert (cookie["name"], device["name"]) == ("caller", "caller-device")
    for each in (cookie, device):
        assert each["httpOnly"]
        assert (each["sameSite"], each["path"], each["domain"]) == ("Lax", "/", "127.0.0.1")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("status")).to_have_text("You are signed out.")
    await page.get_by_role("link", name="Forgot your password?").click()
    await page.get_by_label("E-mail address").fill(EMAIL)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("on its way")
    await page.goto(f"{site.origin}/l/{site.world.link('reset_password')}")
    await page.get_by_label("New password").fill(OTHER_PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("password is changed")
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_label("E-mail address").fill(EMAIL)
    await page.get_by_label("Password").fill(OTHER_PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    # The way back sends nothing twice.
    await page.go_back()
    await page.go_forward()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    await page.context.close()


async def test_where_a_session_ended_one_signs_in_and_goes_on(browser: Browser, site: Site) -> None:
    site.world.add()
    page = await opened(browser, site, "/sign-in")
    await sign_in(page, site)
    await page.get_by_role("link", name="Where you are signed in").click()
    site.world.sessions.kept.clear()
    await page.reload()
    await expect(page.get_by_role("status")).to_contain_text("You were signed out")
    await page.get_by_label("E-mail address").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Where you are signed in")
    await page.context.close()


async def test_a_form_on_another_site_does_nothing(browser: Browser, site: Site) -> None:
    site.world.add()
    page = await opened(browser, site, "/sign-in")
    await sign_in(page, site)
    kept = dict(site.world.sessions.kept)
    elsewhere = site.origin.replace("127.0.0.1", "localhost")
    await page.route(
        f"{elsewhere}/evil",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f"<form method=post action={site.origin}/account/devices/end-all>"
            "<button>Win</button></form>",
        ),
    )
    await page.goto(f"{elsewhere}/evil")
    await page.get_by_role("button", name="Win").click()
    await expect(page.get_by_text("The form came from another site")).to_be_visible()
    assert site.world.sessions.kept == kept
    await page.context.close()


def furnish(site: Site) -> None:
    """Give the pages of calls, money and keys all that they can show."""
    site.books.records.kept = [record("c1")]
    site.books.live.calls = [live("l1")]
    charge = CallLine(AT, "charge", "", 112_500, "USD")
    site.books.statements.of_calls["c1"] = [charge]
    site.books.statements.lines = [
        StatementLine("r1", AT, "charge", "", -112_500, UNIT, "USD", "c1")
    ]
    site.till.payments["pay_1"] = payment(receipt_url="https://receipt.example/1")
    site.till.profile = replace(
        site.till.profile, customer_id="cus_1", payment_method_id="pm_1", auto_off_reason="other"
    )
    site.keys.made["ab" * 32] = NewKey("ab" * 32, "robot", PAGE, UNIT, AT)


WIDE_AND_NARROW: list[dict[str, Any]] = [
    {"viewport": {"width": 320, "height": 640}, "color_scheme": "light"},
    {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
]


@pytest.mark.parametrize("options", WIDE_AND_NARROW, ids=["narrow", "dark"])
async def test_every_page_is_accessible(
    browser: Browser, site: Site, options: dict[str, Any]
) -> None:
    site.world.add(proven=False)
    furnish(site)
    page = await opened(browser, site, "/sign-up", **options)
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    for path in (
        "/sign-up",
        "/sign-up/done?said=sent",
        "/sign-in?said=locked",
        "/reset",
        "/l/x",
        "/terms",
        "/privacy",
        "/docs/api",
        "/docs/api/make_button",
    ):
        await page.goto(f"{site.origin}{path}")
        await check(page)
    await page.goto(f"{site.origin}/sign-up")
    await page.get_by_role("button", name="Create account").click()
    await check(page)
    await page.goto(f"{site.origin}/l/{await reset_link(site)}")
    await check(page)
    await site.post("/sign-up/again", email=EMAIL)
    await page.goto(f"{site.origin}/l/{site.world.link('verify_email')}")
    await check(page)
    await page.get_by_role("button", name="Confirm and sign in").click()
    await check(page)
    await sign_in(page, site)
    for path in (
        "/account",
        "/account/devices",
        "/account/password",
        "/account/address",
        "/confirm",
        "/account/calls",
        "/account/calls/c1",
        "/account/credit",
        "/account/credit/statement",
        "/account/credit/payments",
        "/account/credit/payments/pay_1?looks=99",
        "/account/credit/auto",
        "/rates?country=GB",
        "/account/keys",
        "/account/keys/new",
        "/account/webhooks",
        "/account/webhooks/new",
        "/account/data?said=export_asked",
    ):
        await page.goto(f"{site.origin}{path}")
        await check(page)
        await page.evaluate("() => { document.documentElement.style.fontSize = '200%' }")
        assert await page.evaluate(SIDEWAYS) == 0, path
    # What a page says with a status of its own.
    refused = "Failed to load resource"
    assert not [text for text in faults if refused not in text]
    faults.clear()
    await page.goto(f"{site.origin}/account/calls?from=x")
    await check(page)
    # A date that is none is shown again, which the browser remarks upon.
    assert all(
        refused in text or "does not conform to the required format" in text for text in faults
    )
    await page.context.close()


@pytest.mark.parametrize("options", WIDE_AND_NARROW, ids=["narrow", "dark"])
async def test_the_pages_of_buttons_are_accessible(
    browser: Browser, site: Site, options: dict[str, Any]
) -> None:
    site.world.add()
    kept = rules(hours=OpeningHours(week=((),) * 7, holidays=(AT.date(),)))
    button = NewButton("0" * 24, "shop", kept, LIVE, TEST)
    site.buttons.kept[button.id] = button_of(button)
    site.buttons.used[button.id] = [DayUsage(site.world.now.date(), 3, 2, 3_700, UNIT)]
    site.buttons.proven = [ProvenDestination(NUMBER, AT)]
    page = await opened(browser, site, "/sign-in", **options)
    await sign_in(page, site)
    one = f"/account/buttons/{button.id}"
    for path in ("/account/buttons", one, f"{one}/rules", "/account/destinations"):
        await page.goto(f"{site.origin}{path}")
        for each in await page.locator("summary").all():
            await each.click()
        await check(page)
    await page.get_by_label("Your phone number").fill(NUMBER)
    await page.get_by_role("button", name="Call me with a code").click()
    await check(page)
    await page.goto(f"{site.origin}/account/buttons/new")
    await page.get_by_label("Sites that show it").fill("https://*.example.com")
    await page.get_by_role("button", name="Create the button").click()
    await expect(page.get_by_role("alert")).to_be_focused()
    await check(page)
    await page.context.close()


async def reset_link(site: Site) -> str:
    await site.post("/reset", email=EMAIL)
    return site.world.link("reset_password")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_is_seen_where_the_keyboard_is(
    browser: Browser, site: Site, scheme: Literal["light", "dark"]
) -> None:
    page = await opened(browser, site, "/sign-in", color_scheme=scheme)
    seen = []
    for _ in range(8):
        await page.keyboard.press("Tab")
        seen.append(
            await page.evaluate(
                "() => { const it = document.activeElement; const s = getComputedStyle(it);"
                " return [it.id || it.textContent.trim(), s.outlineStyle, s.outlineWidth] }"
            )
        )
    assert [name for name, _, _ in seen[:7]] == [
        "Skip to the content",
        "Example Calls",
        "email",
        "password",
        "Sign in",
        "Forgot your password?",
        "Create an account",
    ]
    assert {(style, width) for _, style, width in seen} == {("solid", "3px")}
    await page.context.close()


async def test_forced_colours_keep_every_outline(browser: Browser, site: Site) -> None:
    page = await opened(browser, site, "/sign-in?said=locked", forced_colors="active")
    for selector in ("main", "button", ".said", "input[type=email]"):
        width = await page.locator(selector).first.evaluate(
            "(it) => getComputedStyle(it).borderTopWidth"
        )
        assert float(width.removesuffix("px")) >= 1, selector
    await page.context.close()
