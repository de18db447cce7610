"""Paying from the page in a real browser, against a gateway that takes no money."""

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
    payment,
    top_up_offer,
    until,
)
from tests.web.test_accessibility import check

pytestmark = pytest.mark.asyncio(loop_scope="session")

RECEIPT = "https://pay.example/receipt"

HURRY = """
const later = window.setTimeout;
window.setTimeout = (callback, ms, ...rest) => later(callback, ms / 100, ...rest);
"""
"""Makes the page's waits a hundred times shorter."""


def button(page: Page, name: str) -> Any:
    """A button by its whole name."""
    return page.get_by_role("button", name=name, exact=True)


def progress(page: Page) -> Any:
    """How the payment stands."""
    return page.locator("caller-payment-progress")


def field(page: Page, name: str) -> Any:
    """A field for an amount."""
    return page.get_by_role("textbox", name=name, exact=True)


async def open_dialog(browser: Browser, gateway: FakeGateway, **options: Any) -> Page:
    """Open the phone, and the dialog with the keyboard."""
    gateway.top_ups.offer = gateway.top_ups.offer or top_up_offer()
    page, _ = await open_page(browser, gateway, **options)
    await page.locator("caller-top-up .open").press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    return page


async def come_back(
    browser: Browser, gateway: FakeGateway, *answers: dict[str, Any], script: str = ""
) -> Page:
    """Open the phone, then return to it from the payment page."""
    gateway.top_ups.offer = top_up_offer()
    gateway.top_ups.answers = list(answers)
    page, _ = await open_page(browser, gateway, script=script)
    await expect(button(page, "Top up")).to_be_visible()
    await page.goto(gateway.payment_page)
    await page.goto(f"{gateway.origin}/?top-up=pay_1")
    return page


# -- choosing an amount --------------------------------------------------------------------------


async def test_nothing_is_offered_or_loaded_where_nobody_can_pay(
    page: Page, gateway: FakeGateway
) -> None:
    await expect(page.get_by_text("$5.00")).to_be_visible()
    await until(lambda: any("top-ups" in address for address in gateway.addresses))
    await page.wait_for_load_state("networkidle")
    await expect(page.locator("caller-top-up, caller-payments")).to_have_count(0)
    assert not any("paying" in address for address in gateway.addresses)


async def test_person_is_sent_to_the_payment_page_by_keyboard(
    browser: Browser, gateway: FakeGateway
) -> None:
    page = await open_dialog(browser, gateway)
    await expect(page.get_by_role("radio", name="$10.00")).to_be_focused()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await page.keyboard.press("Enter")
    await page.wait_for_url(gateway.payment_page)
    (started,) = gateway.top_ups.started
    assert (started["amount"], started["save_card"]) == ("25.00", True)
    assert len(started["key"]) > 16
    await page.context.close()


async def test_double_click_is_one_payment(browser: Browser, gateway: FakeGateway) -> None:
    gateway.top_ups.gate = asyncio.Event()
    page = await open_dialog(browser, gateway)
    await button(page, "Continue to payment").dblclick()
    await expect(button(page, "Opening the payment page…")).to_be_disabled()
    await page.locator("caller-top-up form").evaluate("(form) => form.requestSubmit()")
    gateway.top_ups.gate.set()
    await page.wait_for_url(gateway.payment_page)
    assert len(gateway.top_ups.started) == 1
    await page.context.close()


async def test_same_payment_tried_again_keeps_its_key_and_another_has_its_own(
    browser: Browser, gateway: FakeGateway
) -> None:
    gateway.top_ups.refusal = (503, {"code": "payment_unavailable", "title": "Not now."})
    page = await open_dialog(browser, gateway)
    for amount in ("$10.00", "$10.00", "$50.00"):
        await page.get_by_role("radio", name=amount).check()
        await button(page, "Continue to payment").click()
        await expect(page.get_by_role("alert")).to_contain_text("Not now.")
        await expect(button(page, "Continue to payment")).to_be_focused()
    first, again, other = (started["key"] for started in gateway.top_ups.started)
    assert first == again != other
    await page.context.close()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "Enter an amount such as 500.00."),
        ("ten", "Enter an amount such as 500.00."),
        ("25.001", "Enter an amount such as 500.00."),
        ("4.99", "The minimum is $5.00."),
        ("1,000", "The maximum is $500.00."),
    ],
)
async def test_amount_that_cannot_be_is_explained_and_not_sent(
    browser: Browser, gateway: FakeGateway, typed: str, words: str
) -> None:
    page = await open_dialog(browser, gateway)
    await page.get_by_role("radio", name="Other amount").check()
    other = field(page, "Other amount")
    await expect(other).to_have_accessible_description("From $5.00 to $500.00")
    await other.fill(typed)
    await page.keyboard.press("Enter")
    await expect(other).to_have_accessible_description(words)
    await expect(other).to_have_attribute("aria-invalid", "true")
    await expect(other).to_be_focused()
    assert gateway.top_ups.started == []
    await other.fill("12.5")
    await expect(other).to_have_attribute("aria-invalid", "false")
    await page.keyboard.press("Enter")
    await page.wait_for_url(gateway.payment_page)
    assert gateway.top_ups.started[0]["amount"] == "12.50"
    await page.context.close()


async def test_german_reader_writes_a_comma_and_reads_german(
    browser: Browser, gateway: FakeGateway
) -> None:
    gateway.top_ups.refusal = (422, {"code": "amount_out_of_range", "title": "No.", "action": "-"})
    page = await open_dialog(browser, gateway, locale="de-DE")
    await page.get_by_role("radio", name="Anderer Betrag").check()
    await field(page, "Anderer Betrag").fill("1.000,00")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Höchstens 500,00")).to_be_visible()
    await field(page, "Anderer Betrag").fill("12,5")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("Wählen Sie einen anderen Betrag.")
    assert gateway.top_ups.started[0]["amount"] == "12.50"
    await page.context.close()


async def test_escape_closes_and_nobody_is_sent_away_afterwards(
    browser: Browser, gateway: FakeGateway
) -> None:
    gateway.top_ups.gate = asyncio.Event()
    page = await open_dialog(browser, gateway)
    answered: list[tuple[str, str]] = []
    page.on("requestfinished", lambda request: answered.append((request.method, request.url)))
    await button(page, "Continue to payment").click()
    await until(lambda: gateway.top_ups.started)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(button(page, "Top up")).to_be_focused()
    gateway.top_ups.gate.set()
    await until(lambda: ("POST", f"{gateway.origin}/v1/top-ups") in answered)
    await button(page, "Top up").click()
    await expect(button(page, "Continue to payment")).to_be_enabled()
    assert page.url == f"{gateway.origin}/"
    await page.context.close()


async def test_unreachable_gateway_says_that_nobody_pays_twice(
    browser: Browser, gateway: FakeGateway
) -> None:
    page = await open_dialog(browser, gateway)
    await page.route("**/v1/top-ups", lambda route: route.abort())
    await button(page, "Continue to payment").click()
    await expect(page.get_by_role("alert")).to_contain_text("you will not pay twice")
    await page.context.close()


# -- during a call -------------------------------------------------------------------------------


async def test_call_goes_on_while_its_caller_pays(browser: Browser, gateway: FakeGateway) -> None:
    gateway.top_ups.offer = top_up_offer()
    gateway.top_ups.answers = [payment("open"), payment("paid", receipt_url=RECEIPT)]
    page, faults = await open_page(browser, gateway)
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(page.locator("caller-phone .status")).to_have_text("In call")
    await button(page, "Top up").click()
    await expect(page.get_by_text("so your call continues")).to_be_visible()
    async with page.context.expect_page() as opened:
        await button(page, "Continue to payment").click()
    tab = await opened.value
    await tab.wait_for_url(gateway.payment_page)
    assert await tab.evaluate("window.opener") is None
    await tab.close()
    await expect(progress(page)).to_contain_text("Pay in the new tab.")
    link = page.get_by_role("link", name="Open the payment page (opens in a new tab)")
    await expect(link).to_have_attribute("href", gateway.payment_page)
    gateway.balance += 25_000_000
    await expect(progress(page)).to_contain_text("Added $25.00.")
    # Less what the call has cost by then.
    await expect(page.get_by_text("Credit $29.99")).to_be_visible()
    await expect(link).to_be_hidden()
    await expect(page.locator("caller-phone .status")).to_have_text("In call")
    assert gateway.line.close_code is None
    assert faults.texts == []
    await page.context.close()


async def test_a_call_that_ends_meanwhile_is_not_said_to_go_on(
    browser: Browser, gateway: FakeGateway
) -> None:
    gateway.top_ups.offer = top_up_offer()
    gateway.top_ups.answers = [payment("open")]
    page, _ = await open_page(browser, gateway)
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(page.locator("caller-phone .status")).to_have_text("In call")
    await button(page, "Top up").click()
    await button(page, "Continue to payment").click()
    await expect(progress(page)).to_contain_text("Your call continues. If no tab has opened")
    await gateway.line.end(16, "gateway", cut_off="credit")
    await expect(page.locator("caller-phone .status")).to_have_text("Call ended")
    await expect(progress(page)).not_to_contain_text("goes on")
    await expect(progress(page)).to_contain_text("Pay in the new tab. If no tab has opened")
    await page.context.close()


async def test_warning_before_the_cut_off_opens_the_dialog(
    browser: Browser, gateway: FakeGateway
) -> None:
    gateway.top_ups.offer = top_up_offer()
    page, _ = await open_page(browser, gateway)
    await expect(button(page, "Top up")).to_be_visible()
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(page.locator("caller-phone .status")).to_have_text("In call")
    await gateway.line.send("credit-warning", seconds_left=10, cause="credit")
    await button(page, "Top up now").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(button(page, "Top up now")).to_be_focused()
    await page.context.close()


# -- back from the payment page ------------------------------------------------------------------


async def test_returned_payment_is_confirmed_and_leaves_the_address(
    browser: Browser, gateway: FakeGateway
) -> None:
    page = await come_back(browser, gateway, payment("open"), payment("paid", receipt_url=RECEIPT))
    status = progress(page).get_by_role("status")
    await expect(status).to_have_text("Confirming your payment…")
    gateway.balance += 25_000_000
    await expect(status).to_have_text("Added $25.00.")
    await expect(page.get_by_text("Credit $30.00")).to_be_visible()
    receipt = page.get_by_role("link", name="Receipt (opens in a new tab)")
    await expect(receipt).to_have_attribute("href", RECEIPT)
    assert page.url == f"{gateway.origin}/"
    assert gateway.top_ups.asked == ["pay_1", "pay_1"]
    await button(page, "Close").click()
    await expect(progress(page)).to_have_count(0)
    await expect(button(page, "Top up")).to_be_focused()
    await page.context.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (payment("processing"), "$25.00 will be added when the bank confirms."),
        (payment("failed"), "The payment failed; nothing was added. Try again"),
        (payment("failed", failure="insufficient_funds"), "The card does not have enough money"),
        (payment("expired"), "The payment page was closed unpaid"),
        (payment("disputed"), "The payment of $25.00 is disputed."),
        (
            {"status": 404, "code": "payment_not_found", "title": "No such payment."},
            "No such payment.",
        ),
    ],
)
async def test_returned_payment_that_is_not_paid_is_explained(
    browser: Browser, gateway: FakeGateway, answer: dict[str, Any], words: str
) -> None:
    page = await come_back(browser, gateway, answer)
    await expect(progress(page)).to_contain_text(words)
    again = progress(page).get_by_role("button", name="Try again")
    if answer.get("state") in ("failed", "expired"):
        await again.click()
        await expect(page.get_by_role("dialog")).to_be_visible()
    await page.context.close()


async def test_unconfirmed_payment_is_asked_for_half_a_minute_and_again_on_request(
    browser: Browser, gateway: FakeGateway
) -> None:
    unavailable = {"status": 503, "code": "payment_unavailable", "retry": True}
    page = await come_back(browser, gateway, unavailable, payment("open"), script=HURRY)
    await expect(progress(page)).to_contain_text("The payment is not confirmed yet.")
    await expect(progress(page)).to_contain_text("you do not need to pay again")
    assert len(gateway.top_ups.asked) == 30
    gateway.top_ups.answers = [payment("paid")]
    await progress(page).get_by_role("button", name="Try again").click()
    await expect(progress(page)).to_contain_text("Added $25.00.")
    await page.context.close()


async def test_page_that_nobody_sees_does_not_ask(browser: Browser, gateway: FakeGateway) -> None:
    hidden = """
    window.away = location.search.includes('top-up');
    Object.defineProperty(document, 'hidden', { get: () => window.away });
    """
    page = await come_back(browser, gateway, payment("paid"), script=HURRY + hidden)
    await expect(progress(page)).to_contain_text("Confirming your payment…")
    assert gateway.top_ups.asked == []
    await page.evaluate(
        "() => { window.away = false; document.dispatchEvent(new Event('visibilitychange')); }"
    )
    await expect(progress(page)).to_contain_text("Added $25.00.")
    await page.context.close()


async def test_tab_without_a_key_says_where_to_go_on(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, _ = await open_page(browser, gateway, key=None)
    await page.goto(f"{gateway.origin}/?top-up=pay_1")
    await expect(page.get_by_role("status")).to_contain_text("Paid. You can close this tab.")
    await expect(page.get_by_label("API key")).to_have_count(0)
    assert page.url == f"{gateway.origin}/"
    await button(page, "Open the phone here instead").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    await page.context.close()


# -- what was paid -------------------------------------------------------------------------------


async def test_latest_payments_are_listed(browser: Browser, gateway: FakeGateway) -> None:
    gateway.top_ups.offer = top_up_offer()
    gateway.top_ups.payments = [
        payment("paid", receipt_url=RECEIPT),
        payment("paid", 50_000_000, kind="auto", refunded=money(12_500_000)),
        *(payment("expired") for _ in range(5)),
    ]
    page, faults = await open_page(browser, gateway, timezone_id="UTC")
    rows = page.locator("caller-payments li")
    await expect(rows).to_have_count(5)
    await expect(rows.first).to_have_text(re.compile(r"\$25\.00\s+Nov 20, 11:00 AM · Paid"))
    receipt = rows.first.get_by_role("link")
    await expect(receipt).to_have_accessible_name(
        "Receipt for $25.00, Nov 20, 11:00 AM (opens in a new tab)"
    )
    await expect(rows.nth(1)).to_contain_text("Paid · Automatic")
    await expect(rows.nth(1)).to_contain_text("$12.50 refunded")
    await expect(rows.nth(2)).to_contain_text("Not paid")
    await expect(rows.nth(2).get_by_role("link")).to_have_count(0)
    assert faults.texts == []
    await page.context.close()


async def test_there_is_no_list_before_the_first_payment(
    browser: Browser, gateway: FakeGateway
) -> None:
    gateway.top_ups.offer = top_up_offer()
    page, _ = await open_page(browser, gateway)
    await until(lambda: any("v1/payments" in address for address in gateway.addresses))
    await expect(page.locator("caller-payments section")).to_have_count(0)
    await page.context.close()


# -- automatic top-ups ---------------------------------------------------------------------------


async def open_settings(page: Page) -> Any:
    """Unfold the settings of automatic top-ups; return their switch."""
    await page.locator("caller-auto-top-up summary").click()
    return page.get_by_role("switch", name="Top up automatically")


async def test_automatic_top_up_needs_a_saved_card(browser: Browser, gateway: FakeGateway) -> None:
    page = await open_dialog(browser, gateway)
    switch = await open_settings(page)
    await expect(switch).to_be_disabled()
    await expect(switch).to_have_accessible_description(re.compile("needs a saved card"))
    await expect(button(page, "Save")).to_have_count(0)
    await page.context.close()


async def test_automatic_top_up_is_set(browser: Browser, gateway: FakeGateway) -> None:
    gateway.top_ups.offer = top_up_offer(has_card=True)
    page = await open_dialog(browser, gateway)
    switch = await open_settings(page)
    await switch.check()
    await field(page, "When credit falls below").fill("7.5")
    await field(page, "Add").fill("20")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Saved.")).to_be_visible()
    assert gateway.top_ups.settings == [{"enabled": True, "threshold": "7.50", "amount": "20.00"}]
    await expect(page.locator("caller-auto-top-up summary")).to_contain_text("On")
    await expect(field(page, "Add")).to_have_value("20.00")
    await switch.uncheck()
    await expect(page.get_by_text("Saved.")).to_be_hidden()
    await button(page, "Save").click()
    await expect(page.locator("caller-auto-top-up summary")).to_contain_text("Off")
    assert gateway.top_ups.settings[-1]["enabled"] is False
    assert gateway.top_ups.started == []
    await page.context.close()


async def test_settings_that_cannot_be_are_explained(
    browser: Browser, gateway: FakeGateway
) -> None:
    gateway.top_ups.offer = top_up_offer(has_card=True)
    page = await open_dialog(browser, gateway)
    await open_settings(page)
    threshold = field(page, "When credit falls below")
    await threshold.fill("0")
    await field(page, "Add").fill("501")
    await button(page, "Save").click()
    await expect(threshold).to_have_accessible_description("The minimum is $0.01.")
    await expect(threshold).to_be_focused()
    await expect(field(page, "Add")).to_have_accessible_description("The maximum is $500.00.")
    assert gateway.top_ups.settings == []
    await threshold.fill("5")
    await field(page, "Add").fill("25")
    gateway.top_ups.refusal = (409, {"code": "no_saved_card", "title": "No card is saved."})
    await button(page, "Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("No card is saved.")
    await page.context.close()


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("authentication_required", "your bank wants you to confirm each payment"),
        ("expired_card", "your card has expired"),
        ("card_gone", "no longer on file"),
        ("pickup_card", "your card was declined"),
    ],
)
async def test_why_automatic_top_up_was_switched_off_is_told(
    browser: Browser, gateway: FakeGateway, reason: str, words: str
) -> None:
    gateway.top_ups.offer = top_up_offer(has_card=True, off_reason=reason)
    page = await open_dialog(browser, gateway)
    await open_settings(page)
    await expect(page.locator("caller-auto-top-up")).to_contain_text(words)
    await page.context.close()


# -- for everybody -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "width", "colours"),
    [("light", 320, "none"), ("dark", 320, "none"), ("light", 1280, "active")],
)
async def test_paying_is_accessible(
    browser: Browser,
    gateway: FakeGateway,
    scheme: Literal["light", "dark"],
    width: int,
    colours: Literal["active", "none"],
) -> None:
    gateway.top_ups.offer = top_up_offer(has_card=True, off_reason="expired_card")
    gateway.top_ups.payments = [payment("paid", receipt_url=RECEIPT), payment("expired")]
    gateway.top_ups.answers = [payment("failed")]
    options: dict[str, Any] = {
        "viewport": {"width": width, "height": 800},
        "color_scheme": scheme,
        "forced_colors": colours,
        "reduced_motion": "reduce",
    }
    page, faults = await open_page(browser, gateway, **options)
    await expect(button(page, "Top up")).to_be_visible()
    await page.goto(f"{gateway.origin}/?top-up=pay_1")
    await expect(progress(page)).to_contain_text("The payment failed")
    await expect(page.locator("caller-payments li").first).to_be_visible()
    await check(page)
    await button(page, "Top up").click()
    await page.get_by_role("radio", name="Other amount").check()
    await field(page, "Other amount").fill("1")
    await page.keyboard.press("Enter")
    await open_settings(page)
    await expect(button(page, "Save")).to_be_visible()
    await check(page)
    dialog = page.get_by_role("dialog")
    assert await dialog.evaluate("(e) => e.scrollWidth - e.clientWidth") == 0
    assert faults.texts == []
    await page.context.close()


async def test_chosen_amount_is_seen_in_forced_colours(
    browser: Browser, gateway: FakeGateway
) -> None:
    page = await open_dialog(browser, gateway, forced_colors="active")
    edge = "(e) => getComputedStyle(e).borderTopWidth"
    chosen, other = page.locator(".option").nth(0), page.locator(".option").nth(1)
    assert await chosen.evaluate(edge) != await other.evaluate(edge)
    await page.context.close()
