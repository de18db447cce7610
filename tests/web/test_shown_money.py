"""What the page says of money: no hold is a cost, credit moves, refusals come before the call."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web.conftest import open_page
from tests.web.fake_gateway import (
    ECHO,
    FakeGateway,
    money,
    past_call,
    payment,
    top_up_offer,
    until,
)
from tests.web.test_accessibility import check
from tests.web.test_phone import alert, button, dial, status

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHONE = {"viewport": {"width": 375, "height": 667}}
_SIDEWAYS = "() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
_LARGE_TEXT = """
document.addEventListener('DOMContentLoaded',
  () => { document.documentElement.style.fontSize = '200%'; });
"""
# Every control and every amount whose content does not fit into it.
_CLIPPED = """() => {
  const all = (root) => [...root.querySelectorAll('*')].flatMap((element) => [
    element, ...(element.shadowRoot ? all(element.shadowRoot) : []),
  ]);
  return all(document)
    .filter((element) => element.matches('button, dd, p, strong, h2, dialog'))
    .filter((element) => !element.classList.contains('hidden'))
    .filter(({ scrollWidth, clientWidth }) => clientWidth && scrollWidth > clientWidth + 1)
    .map((element) => element.outerHTML);
}"""


def hint(page: Page) -> Any:
    """What stands under the number."""
    return page.locator("caller-dialler #hint")


# -- a hold is no cost ---------------------------------------------------------------------------


async def test_the_row_of_a_call_is_as_its_end_was_told(page: Page, gateway: FakeGateway) -> None:
    line = await dial(page, gateway)
    held = {**past_call(ECHO, "2026-11-20T11:00:00Z", 0, 19), "id": "call_1", "cause": None}
    gateway.calls = [{**held, "state": "settling", "cost": None}]
    await line.end(19, message="Nobody answered.")
    row = page.locator("caller-recent-calls li")
    await expect(row).to_contain_text("No answer")
    await expect(row).to_contain_text(re.compile(r"\$0\.000\d"))
    gateway.calls = [{**held, "state": "ended", "cause": 19, "cost": money(0), "seconds": 0}]
    await expect(row).to_contain_text("$0.0000")
    await expect(row).to_have_count(1)


# -- credit --------------------------------------------------------------------------------------


async def test_the_credit_moves_during_a_call(page: Page, gateway: FakeGateway) -> None:
    await expect(page.get_by_text("Credit $5.00")).to_be_visible()
    line = await dial(page, gateway)
    for micros, words in ((3_210_000, "Credit $3.21"), (3_194_999, "Credit $3.19")):
        await line.send("credit", balance=money(micros), remaining_seconds=60)
        await expect(page.get_by_text(words)).to_be_visible()
    gateway.balance = 3_000_000
    await line.end()
    await expect(page.get_by_text("Credit $3.00")).to_be_visible()


async def test_a_cost_keeps_its_decimals(page: Page, gateway: FakeGateway) -> None:
    line = await dial(page, gateway)
    cost = page.locator("caller-in-call dd").first
    for micros, words in ((217, "$0.0002"), (10_000, "$0.0100"), (1_000_000, "$1.0000")):
        await line.send("cost", seconds=1, cost=money(micros))
        await expect(cost).to_have_text(words)


@pytest.mark.parametrize("seconds", [60, 8])
async def test_the_coming_end_counts_with_the_time_left(
    page: Page, gateway: FakeGateway, seconds: int
) -> None:
    # Silence: the fake's own bill comes with the audio.
    gateway.is_mute = True
    line = await dial(page, gateway)
    told = f"This call ends in {seconds} seconds, when the credit is used up."
    shown = page.locator("caller-call-notices .ending > p")
    await line.send("credit-warning", seconds_left=seconds, cause="credit")
    for left in range(seconds, seconds - 5, -1):
        await expect(shown).to_have_text(
            f"This call ends in {_clock(left)}, when the credit is used up."
        )
        await expect(page.locator("caller-in-call dd").nth(1)).to_have_text(_clock(left))
        await expect(alert(page)).to_have_text(told)
        await line.send("credit", balance=money(10_000), remaining_seconds=left - 1)
    await expect(shown).to_have_attribute("aria-hidden", "true")


def _clock(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02}"


# -- what is known of a number -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("+449098790000", "number_premium"),
        ("+882161234567", "destination_not_priced"),
        ("+15550000000", "number_invalid"),
        ("112", "number_emergency"),
        (ECHO, "insufficient_credit"),
    ],
)
async def test_a_refusal_is_said_while_typing(
    page: Page, gateway: FakeGateway, typed: str, code: str
) -> None:
    # A gateway without a phonebook says so once.
    await page.wait_for_load_state("networkidle")
    failed: list[str] = []
    page.on("console", lambda message: failed.append(message.text))
    gateway.refused = {f"+{typed.removeprefix('+')}": code}
    await page.get_by_role("textbox").fill(typed)
    told = "Your credit does not cover" if code == "insufficient_credit" else f"Refused: {code}."
    await expect(hint(page)).to_contain_text(told)
    await expect(page.get_by_role("textbox")).to_have_attribute("aria-invalid", "true")
    await page.get_by_role("textbox").press("Enter")
    if code == "insufficient_credit":
        await expect(alert(page)).to_contain_text(told)
        # Once: the hint makes room for it.
        await expect(hint(page)).not_to_contain_text(told)
        await expect(status(page)).to_have_text("No call was placed")
    else:
        await expect(page.get_by_role("textbox")).to_be_focused()
        await expect(status(page)).to_have_text("Ready to call")
    assert gateway.token_requests == []
    assert failed == []
    assert not any(re.search(r"\d{6}", address) for address in gateway.addresses)


async def test_a_number_in_the_making_is_not_blamed(page: Page, gateway: FakeGateway) -> None:
    gateway.refused = {"+1500": "number_too_short"}
    await page.get_by_role("textbox").fill("+1500")
    await until(lambda: gateway.quoted == ["+1500"])
    await expect(hint(page)).to_have_text("With country code, any format · United States")


async def test_a_number_dialled_at_once_is_no_failed_request(
    page: Page, gateway: FakeGateway
) -> None:
    # A gateway without a phonebook says so once.
    await page.wait_for_load_state("networkidle")
    failed: list[str] = []
    page.on("console", lambda message: failed.append(message.text))
    gateway.refused = {ECHO: "number_premium"}
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(alert(page)).to_contain_text("Refused: number_premium.")
    assert (gateway.token_requests, gateway.lines, failed) == ([], [], [])


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("credit", "· enough for 6:24:36"),
        ("cap", "· up to 6:24:36 within the spending limit"),
        ("duration", "· calls last up to 6:24:36"),
    ],
)
async def test_the_longest_call_is_not_taken_for_credit(
    page: Page, gateway: FakeGateway, limit: str, words: str
) -> None:
    gateway.limited_by = limit
    await page.get_by_role("textbox").fill(ECHO)
    await expect(page.get_by_text(words)).to_be_visible()


# -- paying --------------------------------------------------------------------------------------


async def warned(browser: Browser, gateway: FakeGateway, **options: Any) -> Page:
    """Call with a saved card, until the credit is nearly used up."""
    gateway.top_ups.offer = top_up_offer(has_card=True)
    page, _ = await open_page(browser, gateway, **options)
    await expect(button(page, "Top up")).to_be_visible()
    line = await dial(page, gateway)
    await line.send("credit-warning", seconds_left=60, cause="credit")
    return page


async def test_one_tap_on_the_saved_card_tops_up(browser: Browser, gateway: FakeGateway) -> None:
    gateway.top_ups.tapped = payment("paid", 10_000_000)
    gateway.top_ups.answers = [payment("paid", 10_000_000)]
    page = await warned(browser, gateway)
    await button(page, "Add $10.00 from saved card").dblclick()
    await expect(alert(page)).to_contain_text("Added $10.00.")
    (tap,) = gateway.top_ups.taps
    assert (tap["amount"], len(tap["key"]) > 16) == ("10.00", True)
    await gateway.line.send("credit-warning-cleared", seconds_left=300)
    await expect(page.locator("caller-payment-progress")).to_contain_text("Added $10.00.")
    await expect(status(page)).to_have_text("In call")
    assert gateway.line.close_code is None
    await page.context.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (payment("failed", failure="insufficient_funds"), "does not have enough money"),
        ((409, {"code": "card_limit_reached", "title": "Not so much today."}), "Not so much"),
        ((409, {"code": "charge_in_flight", "title": "Is charged.", "retry": True}), "Is charged."),
    ],
)
async def test_a_tap_that_fails_says_why_and_leads_on(
    browser: Browser, gateway: FakeGateway, answer: Any, words: str
) -> None:
    if isinstance(answer, tuple):
        gateway.top_ups.refusal = answer
    else:
        gateway.top_ups.tapped = answer
    page = await warned(browser, gateway)
    await button(page, "Add $10.00 from saved card").click()
    await expect(alert(page)).to_contain_text(words)
    await expect(page.locator("caller-saved-card .tap")).to_have_count(0)
    await button(page, "Pay in another way").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.context.close()


async def test_a_tap_without_an_answer_is_repeated_with_the_same_key(
    browser: Browser, gateway: FakeGateway
) -> None:
    gateway.top_ups.refusal = (503, {"code": "payment_unavailable", "title": "Not now."})
    page = await warned(browser, gateway)
    await button(page, "Add $10.00 from saved card").click()
    await expect(alert(page)).to_contain_text("Not now.")
    gateway.top_ups.refusal = None
    gateway.top_ups.tapped = payment("created", 10_000_000)
    await button(page, "Try again").click()
    await expect(alert(page)).to_contain_text("has not answered yet")
    gateway.top_ups.tapped = payment("paid", 10_000_000)
    gateway.top_ups.answers = [payment("paid", 10_000_000)]
    await button(page, "Try again").click()
    await expect(alert(page)).to_contain_text("Added $10.00.")
    assert len({tap["key"] for tap in gateway.top_ups.taps}) == 1
    await page.context.close()


async def test_the_number_waits_while_its_caller_pays(
    browser: Browser, gateway: FakeGateway
) -> None:
    gateway.top_ups.offer = top_up_offer()
    gateway.top_ups.answers = [payment("open"), payment("paid")]
    gateway.refused = {ECHO: "insufficient_credit"}
    page, _ = await open_page(browser, gateway)
    await page.get_by_role("textbox").fill(ECHO)
    await expect(hint(page)).to_contain_text("Your credit does not cover")
    await button(page, "Top up").click()
    await button(page, "Continue to payment").click()
    await page.wait_for_url(gateway.payment_page)
    gateway.refused = {}
    await page.goto(f"{gateway.origin}/?top-up=pay_1")
    await expect(page.get_by_role("textbox")).to_have_value("+1 500 555 1000")
    await expect(page.locator("caller-payment-progress")).to_contain_text("Added $25.00.")
    await expect(button(page, "Call")).to_be_focused()
    await expect(hint(page)).to_have_text("Will dial +1 500 555 1000 · United States")
    assert "555" not in page.url.removeprefix(gateway.origin)
    await page.keyboard.press("Enter")
    await expect(status(page)).to_have_text("In call")
    await page.context.close()


async def run_out(browser: Browser, gateway: FakeGateway) -> Page:
    """Open a phone whose call was cut off for want of credit while its caller went to pay."""
    gateway.top_ups.offer = top_up_offer()
    gateway.top_ups.answers = [payment("open")]
    page, _ = await open_page(browser, gateway)
    line = await dial(page, gateway)
    await button(page, "Top up").click()
    await button(page, "Continue to payment").click()
    await expect(page.locator("caller-payment-progress")).to_contain_text("Pay in the new tab.")
    gateway.refused, gateway.balance = {ECHO: "insufficient_credit"}, 0
    await line.end(16, "gateway", cut_off="credit")
    await expect(page.get_by_text("Credit $0.00")).to_be_visible()
    return page


async def have_paid(page: Page, gateway: FakeGateway) -> None:
    """Let the payment come, too late for the call."""
    gateway.refused, gateway.balance = {}, 10_000_000
    gateway.top_ups.answers = [payment("paid", 10_000_000)]
    await expect(page.get_by_text("Credit $10.00")).to_be_visible()


async def test_a_number_is_asked_about_again_when_the_credit_is_another(
    browser: Browser, gateway: FakeGateway
) -> None:
    page = await run_out(browser, gateway)
    await expect(hint(page)).to_contain_text("Your credit does not cover")
    await have_paid(page, gateway)
    await expect(hint(page)).to_have_text("Will dial +1 500 555 1000 · United States")
    await expect(page.get_by_text("enough for")).to_be_visible()
    await page.context.close()


async def test_a_call_that_lacked_credit_is_not_said_to_once_credit_has_come(
    browser: Browser, gateway: FakeGateway
) -> None:
    page = await run_out(browser, gateway)
    await page.get_by_role("textbox").press("Enter")
    await expect(status(page)).to_have_text("No call was placed")
    await expect(alert(page)).to_contain_text("Your credit does not cover")
    await have_paid(page, gateway)
    await expect(page.get_by_text("Your credit does not cover")).to_have_count(0)
    await expect(status(page)).to_have_text("Ready to call")
    await page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_what_is_refused_warned_of_and_tapped_is_accessible(
    browser: Browser, gateway: FakeGateway, scheme: Literal["light", "dark"]
) -> None:
    gateway.refused = {"+449098790000": "number_premium"}
    gateway.resume_seconds = 15
    options: dict[str, Any] = {**PHONE, "color_scheme": scheme, "reduced_motion": "reduce"}
    gateway.top_ups.tapped = payment("failed", failure="expired_card")
    page = await warned(browser, gateway, **options)
    await gateway.line.send("draining", seconds_left=30)
    await check(page)
    await button(page, "Add $10.00 from saved card").click()
    await expect(alert(page)).to_contain_text("The card has expired")
    await check(page)
    await button(page, "Pay in another way").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await check(page)
    await page.keyboard.press("Escape")
    await expect(button(page, "Pay in another way")).to_be_focused()
    gateway.is_mute = True
    await expect(status(page)).to_contain_text("No connection")
    await check(page)
    gateway.is_mute = False
    await expect(status(page)).to_have_text("In call")
    await button(page, "Hang up").click()
    await page.get_by_role("textbox").fill("+449098790000")
    await expect(hint(page)).to_contain_text("number_premium")
    await check(page)
    await page.context.close()


# -- within reach --------------------------------------------------------------------------------


async def test_hang_up_and_mute_stay_within_reach(browser: Browser, gateway: FakeGateway) -> None:
    page = await warned(browser, gateway, **PHONE)
    await button(page, "Keypad").click()
    for key in ("Key 1", "Key #"):
        await button(page, key).click()
    await page.evaluate("() => window.scrollTo(0, 0)")
    await button(page, "Top up").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert await page.locator("dialog:modal").count() == 0
    for name in ("Mute", "Hang up"):
        box = await button(page, name).bounding_box()
        assert box is not None
        assert 0 <= box["y"] <= 667 - box["height"]
    await button(page, "Mute").click()
    await expect(status(page)).to_have_text("In call, muted")
    await button(page, "Hang up").click()
    await expect(status(page)).to_have_text("Call ended")
    await page.context.close()


@pytest.mark.parametrize(
    ("width", "height", "script"),
    [(375, 667, ""), (320, 568, ""), (320, 640, _LARGE_TEXT), (667, 375, "")],
)
async def test_a_call_that_begins_is_on_the_screen(
    browser: Browser, gateway: FakeGateway, width: int, height: int, script: str
) -> None:
    gateway.top_ups.offer = top_up_offer()
    gateway.calls = [past_call(ECHO, "2026-11-20T11:00:00Z", 7, 16)] * 5
    viewport = {"width": width, "height": height}
    page, _ = await open_page(browser, gateway, viewport=viewport, script=script)
    await expect(page.locator("caller-recent-calls li").first).to_be_visible()
    await button(page, "Call +1 500 555 1000 again").last.click()
    await expect(status(page)).to_have_text("In call")
    shown = [status(page), page.get_by_role("timer")]
    if height > width:
        shown.append(page.locator("caller-call-facts dd").first)
    if not script and height > width:
        shown.append(page.locator(".credit"))
    dock = await page.locator("caller-in-call .dock").bounding_box()
    assert dock is not None
    for what in shown:
        box = await what.bounding_box()
        assert box is not None
        assert 0 <= box["y"] <= dock["y"] - box["height"]
    await page.context.close()


@pytest.mark.parametrize("height", [568, 667])
async def test_the_open_keypad_is_on_the_screen_whatever_is_warned_of(
    browser: Browser, gateway: FakeGateway, height: int
) -> None:
    page, _ = await open_page(browser, gateway, viewport={"width": 375, "height": 800})
    line = await dial(page, gateway)
    await button(page, "Keypad").click()
    await line.send("warning", name="high-packets-lost-fraction", message="Much is lost.")
    await expect(page.get_by_text("Much is lost.")).to_be_visible()
    await page.set_viewport_size({"width": 320, "height": height})
    await asyncio.sleep(0.3)
    dock = await page.locator("caller-in-call .dock").bounding_box()
    for key in ("Key 1", "Key #"):
        box = await button(page, key).bounding_box()
        assert box is not None
        assert dock is not None
        assert 0 <= box["y"] <= dock["y"] - box["height"]
    await page.context.close()


@pytest.mark.parametrize(("width", "script"), [(320, ""), (640, _LARGE_TEXT), (320, _LARGE_TEXT)])
async def test_large_text_and_narrow_windows_neither_scroll_sideways_nor_clip(
    browser: Browser, gateway: FakeGateway, width: int, script: str
) -> None:
    gateway.calls = [past_call("+442079460018", "2026-11-20T11:00:00Z", 3725, 16)]
    gateway.resume_seconds = 15
    viewport = {"width": width, "height": 568}
    page = await warned(browser, gateway, viewport=viewport, script=script)

    async def fits() -> None:
        assert await page.evaluate(_SIDEWAYS) == 0
        assert await page.evaluate(_CLIPPED) == []

    await gateway.line.send("draining", seconds_left=30)
    await gateway.line.sample(4.3)
    await fits()
    await button(page, "Keypad").click()
    await fits()
    await button(page, "Sound").click()
    await fits()
    await button(page, "Hang up").click()
    await expect(status(page)).to_have_text("Call ended")
    await page.get_by_role("textbox").fill(ECHO)
    await expect(page.get_by_text("enough for")).to_be_visible()
    await fits()
    await button(page, "Top up").click()
    await fits()
    await page.context.close()
