"""The page of live calls, with feeds that a test plays."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.web.conftest import Faults, async_fixture, faults_of, held_back
from tests.web.fake_gateway import KEY, until
from tests.web.live_gateway import (
    OPERATOR_KEY,
    LiveGateway,
    alarm,
    at,
    credit_report,
    fraud_report,
    node,
    row,
    running,
    sample,
    totals,
)
from tests.web.test_accessibility import RULES, SIDEWAYS

pytestmark = pytest.mark.asyncio(loop_scope="session")

_OBSERVE = """document.addEventListener('securitypolicyviolation',
  (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));"""


_FOCUSED = """() => {
  let at = document.activeElement;
  while (at.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  return at.ariaLabel ?? at.textContent.trim();
}"""


@async_fixture
async def live(built_pages: Path) -> AsyncIterator[LiveGateway]:
    assert built_pages
    async with running(LiveGateway()) as gateway:
        yield gateway


async def opened(
    browser: Browser,
    live: LiveGateway,
    view: str = "",
    *,
    key: str | None = OPERATOR_KEY,
    **options: Any,
) -> tuple[Page, Faults]:
    """Open a view in a context of its own."""
    context = await browser.new_context(**{"locale": "en-US", **options})
    await context.add_init_script(_OBSERVE)
    page = await context.new_page()
    faults = faults_of(page)
    if key:
        await page.goto(f"{live.origin}/live#key={key}")
    await page.goto(f"{live.origin}/live#/{view}")
    return page, faults


async def closed(page: Page, faults: Faults) -> None:
    """Close the page; fail if the browser complained of anything."""
    await page.context.close()
    assert faults.texts == []


def connection(page: Page) -> Any:
    return page.locator("header [role=status]")


async def test_calls_come_change_and_go(browser: Browser, live: LiveGateway) -> None:
    live.snapshot = {"calls": [row("call_1")], "totals": totals(1)}
    page, faults = await opened(browser, live, "calls")
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(1)
    await expect(connection(page)).to_have_text("● Live")
    await expect(page).to_have_title("(1) Live calls · Caller")
    await expect(rows.first).to_contain_text("+1 415 555 2671")
    await expect(rows.first).to_contain_text("1:03")
    await expect(rows.first).to_contain_text("≈ $0.01")
    ringing = row("call_2", state="ringing", answered_at=None, mos=None, path="", created_at=at())
    live.tell(calls=[ringing], totals=totals(2))
    await expect(rows.first).to_contain_text("ringing")
    await expect(page).to_have_title("(2) Live calls · Caller")
    live.tell(calls=[row("call_1", state="ended", ended_at=at(), cause=16)])
    await expect(rows.nth(1)).to_contain_text("ended")
    await expect(rows.nth(1).get_by_role("button")).to_have_count(0)
    live.tell(gone=["call_1"])
    await expect(rows).to_have_count(1)
    await closed(page, faults)


async def test_the_table_is_filtered_sorted_and_turned_over(
    browser: Browser, live: LiveGateway
) -> None:
    calls = [row(f"call_{n}", destination=f"+1415555{n:04}", mos=3 + n / 100) for n in range(120)]
    live.snapshot = {"calls": calls, "totals": totals(120)}
    page, faults = await opened(browser, live, "calls")
    await expect(page.get_by_text("Page 1 of 3 · 120 calls")).to_be_visible()
    await page.get_by_role("button", name="Next").click()
    await expect(page.get_by_text("Page 2 of 3 · 120 calls")).to_be_visible()
    await page.get_by_role("button", name="MOS").click()
    header = page.get_by_role("columnheader", name="MOS")
    await expect(header).to_have_attribute("aria-sort", "descending")
    await expect(page.locator("tbody tr").first).to_contain_text("4.19")
    await page.get_by_role("button", name="MOS").click()
    await expect(header).to_have_attribute("aria-sort", "ascending")
    await expect(page.locator("tbody tr").first).to_contain_text("3.00")
    await page.keyboard.press("/")
    await page.keyboard.type("555-0042")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("searchbox").fill("nobody")
    await page.get_by_role("button", name="Show all calls").click()
    await expect(page.locator("tbody tr")).to_have_count(50)
    await closed(page, faults)


async def test_an_operator_ends_a_call_with_a_reason(browser: Browser, live: LiveGateway) -> None:
    live.snapshot = {"calls": [row("call_1")], "totals": totals(1)}
    live.refusal = (404, {"status": 404, "code": "call_not_found", "detail": "It is over."})
    page, faults = await opened(browser, live, "calls")
    await page.get_by_role("button", name="End the call: +1 415 555 2671").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="End the call").click()
    assert live.changed == [], "a reason is required"
    await dialog.get_by_label("Reason").fill("Asked by the holder")
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("alert")).to_have_text("It is over.")
    live.refusal = None
    await page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    await expect(page.locator(".told")).to_have_text("The call to +1 415 555 2671 is being ended.")
    asked = ("POST", "/v1/admin/live-calls/call_1/end", {"reason": "Asked by the holder"})
    assert live.changed == [asked, asked]
    await closed(page, faults)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-US", "de-DE", "es-ES"])
async def test_what_ends_a_call_is_in_sight_however_wide_its_row_is(
    browser: Browser, live: LiveGateway, locale: str, scheme: Literal["light", "dark"]
) -> None:
    begun = {"created_at": at(-5000), "ringing_at": at(-4990), "answered_at": at(-4980)}
    measured = {"mos": 2.1, "rtt_ms": 1234, "jitter_ms": 123.0, "loss_percent": 12.3}
    named = {"account_id": "a" * 60, "node": "n" * 60, "tags": ["silence", "high_latency"]}
    wide = row("call_2", cost_micros=1_234_567_890, **begun, **measured, **named)
    live.snapshot = {"calls": [row("call_1"), wide], "totals": totals(2)}
    size: Any = {"width": 1280, "height": 800}
    page, faults = await opened(
        browser, live, "calls", locale=locale, viewport=size, color_scheme=scheme
    )
    ends = page.locator("live-calls tbody button")
    await expect(ends).to_have_count(2)
    for end in await ends.all():
        await expect(end).to_be_in_viewport(ratio=1)
        box = await end.bounding_box()
        assert box is not None
        await page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.keyboard.press("Escape")
    await closed(page, faults)


@pytest.mark.parametrize("locale", ["en-US", "de-DE", "es-ES"])
async def test_what_is_asked_of_a_node_is_in_sight_however_long_its_name_is(
    browser: Browser, live: LiveGateway, locale: str
) -> None:
    logs = {"log_level": "debug", "log_level_until": at(900)}
    live.snapshot = {"nodes": [node("n" * 60, is_draining=True, lag_ms=1200, **logs)]}
    size: Any = {"width": 1280, "height": 800}
    page, faults = await opened(browser, live, "nodes", locale=locale, viewport=size)
    buttons = page.locator("live-nodes tbody button")
    await expect(buttons).to_have_count(2)
    for button in await buttons.all():
        await expect(button).to_be_in_viewport(ratio=1)
    await closed(page, faults)


async def test_a_table_that_is_cut_off_casts_a_shade_until_its_end_is_reached(
    browser: Browser, live: LiveGateway
) -> None:
    live.snapshot = {"calls": [row("call_1")], "totals": totals(1)}
    live.reports["credit"] = credit_report(**{"x" * 60: 30_000})
    size: Any = {"width": 320, "height": 800}
    page, faults = await opened(browser, live, "credit", viewport=size)
    table = page.get_by_role("region").filter(has=page.get_by_role("table"))
    await expect(table.get_by_role("row")).to_have_count(2)
    box = await table.bounding_box()
    assert box is not None
    # Above all letters.
    edge: Any = {"x": box["x"] + box["width"] - 3, "y": box["y"] + 1, "width": 3, "height": 3}
    shaded = await page.screenshot(clip=edge)
    await table.evaluate("(table) => table.scrollTo(table.scrollWidth, 0)")
    assert await page.screenshot(clip=edge) != shaded
    await closed(page, faults)


async def expect_focus(page: Page, name: str) -> None:
    """Fail unless the focus comes to what is named so."""
    await page.wait_for_function(f"(name) => ({_FOCUSED})() === name", arg=name, timeout=5000)


@pytest.mark.parametrize("is_early", [False, True])
async def test_whoever_ends_calls_by_keyboard_goes_on_at_the_next_one(
    browser: Browser, live: LiveGateway, is_early: bool
) -> None:
    calls = [row(f"call_{n}", destination=f"+1415555000{n}", created_at=at(-n)) for n in (1, 2, 3)]
    live.snapshot = {"calls": calls, "totals": totals(3)}
    page, faults = await opened(browser, live, "calls")

    async def end(number: int, left: int) -> None:
        ending = row(f"call_{number}", state="ending", created_at=at(-number))
        button = page.get_by_role("button", name=f"End the call: +1 415 555 000{number}")
        await button.focus()
        await page.keyboard.press("Enter")
        await page.keyboard.type("Asked by the holder")
        if is_early:
            live.tell(calls=[ending])
            await expect(page.locator("live-calls td button")).to_have_count(left)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        if not is_early:
            live.tell(calls=[ending])
        await expect(button).to_have_count(0)

    for number, left, then in (
        (2, 2, "End the call: +1 415 555 0003"),
        (3, 1, "End the call: +1 415 555 0001"),
        (1, 0, "Calls"),
    ):
        await end(number, left)
        await expect_focus(page, then)
    await closed(page, faults)


async def test_where_no_row_is_left_the_focus_goes_to_what_shows_all(
    browser: Browser, live: LiveGateway
) -> None:
    live.snapshot = {"calls": [row("call_1")], "totals": totals(1)}
    page, faults = await opened(browser, live, "calls")
    await page.locator("live-calls select").first.select_option("answered")
    await page.get_by_role("button", name="End the call").focus()
    live.tell(calls=[row("call_1", state="ending")])
    await expect_focus(page, "Show all calls")
    live.tell(calls=[row("call_1", state="answered")])
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("button", name="End the call").focus()
    await page.get_by_role("button", name="Pause").focus()
    live.tell(calls=[row("call_1", state="ending")])
    await expect(page.locator("tbody tr")).to_have_count(0)
    await expect_focus(page, "Pause")
    await closed(page, faults)


async def test_whoever_ends_a_call_on_its_page_goes_on_at_its_heading(
    browser: Browser, live: LiveGateway
) -> None:
    live.call = live.snapshot = {"calls": [row("call_1")]}
    page, faults = await opened(browser, live, "call/call_1")
    await page.get_by_role("button", name="End the call").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.type("Asked by the holder")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    live.tell(calls=[row("call_1", state="ended", ended_at=at())])
    await expect_focus(page, "Call to +1 415 555 2671")
    await closed(page, faults)


async def test_whoever_is_signed_in_ends_their_own_calls(
    browser: Browser, live: LiveGateway
) -> None:
    live.signed_in = True
    live.snapshot = {"audience": "account", "calls": [row("call_1")], "totals": totals(1)}
    page, faults = await opened(browser, live, "calls", key=None)
    await expect(page.get_by_role("columnheader", name="Account")).to_have_count(0)
    await expect(page.get_by_role("link", name="Nodes")).to_have_count(0)
    await page.get_by_role("button", name="End the call").click()
    await page.get_by_role("dialog").get_by_role("button", name="End the call").click()
    await until(lambda: live.changed)
    assert live.changed == [("DELETE", "/v1/calls/call_1", {})]
    await closed(page, faults)


async def test_a_connection_that_breaks_is_told_and_gone_on_from(
    browser: Browser, live: LiveGateway
) -> None:
    live.snapshot = {"calls": [row("call_1")], "totals": totals(1)}
    page, faults = await opened(browser, live, "calls")
    await expect(page.locator("tbody tr")).to_have_count(1)
    live.tell(calls=[row("call_2")])
    await expect(page.locator("tbody tr")).to_have_count(2)
    live.status = 503
    live.cut()
    await expect(page.locator("main")).to_have_class(re.compile("old"))
    await expect(page.locator(".state")).to_contain_text("trying again in")
    await expect(page.locator(".state")).to_contain_text("old")
    await expect(page.locator("tbody tr")).to_have_count(2)
    live.status = 200
    await page.get_by_role("button", name="Try again now").click()
    await expect(connection(page)).to_have_text("● Live")
    assert live.resumed[-1] == "1:1"
    live.tell(calls=[row("call_3")])
    await expect(page.locator("tbody tr")).to_have_count(3)
    await closed(page, faults)


async def test_rights_that_end_lead_to_the_door(browser: Browser, live: LiveGateway) -> None:
    page, faults = await opened(browser, live, key=KEY)
    await expect(connection(page)).to_have_text("● Live")
    live.tell("end", code="unauthorized")
    await expect(page.get_by_role("alert")).to_contain_text("This API key is not valid")
    await expect(page.get_by_role("link", name="Sign in")).to_have_attribute("href", "sign-in")
    await page.get_by_label("API key").fill(OPERATOR_KEY)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="Nodes")).to_be_visible()
    await expect(page.get_by_role("main")).to_be_focused()
    await closed(page, faults)


async def test_rights_that_end_take_what_is_asked_with_them(
    browser: Browser, live: LiveGateway
) -> None:
    live.snapshot = {"nodes": [node("node-a")]}
    page, faults = await opened(browser, live, "nodes")
    await page.get_by_role("button", name="Drain: node-a").click()
    asked = page.get_by_role("dialog")
    await expect(asked).to_be_visible()
    live.tell("end", code="unauthorized")
    await expect(page.get_by_role("alert")).to_contain_text("This API key is not valid")
    await expect(asked).to_have_count(0)
    # Nor does it stand in the way of whoever gives another key.
    await page.get_by_label("API key").fill(OPERATOR_KEY)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Drain: node-a")).to_be_visible()
    await expect(asked).to_have_count(0)
    await closed(page, faults)


async def test_whoever_gives_no_key_is_not_signed_in(browser: Browser, live: LiveGateway) -> None:
    page, _ = await opened(browser, live, key=None)
    await expect(page.get_by_role("alert")).to_contain_text("You are not signed in")
    await expect(page.get_by_role("button", name="Forget the API key")).to_have_count(0)
    await page.context.close()


async def test_of_keys_that_are_tried_the_last_one_is_spoken_of(
    browser: Browser, live: LiveGateway
) -> None:
    page, _ = await opened(browser, live, key=None)
    field, alert = page.get_by_label("API key"), page.get_by_role("alert")
    await expect(field).to_have_attribute("aria-invalid", "false")
    tried = (
        ("no", "This does not look like an API key"),
        ("ck_of_nobody", "This API key is not valid"),
        ("no", "This does not look like an API key"),
        ("two words of it", "This does not look like an API key"),
        ("ck_of_nobody_either", "This API key is not valid"),
        ("ck_of_nobody_at_all", "This API key is not valid"),
    )
    for key, what in tried:
        told = await alert.element_handle()
        await field.fill(key)
        await page.keyboard.press("Enter")
        # Another element, even where it says the same: it is announced again.
        await page.wait_for_function("(told) => !told.isConnected", arg=told)
        await expect(alert.get_by_role("heading")).to_have_text(what)
        await expect(
            page.get_by_role("main").get_by_text(re.compile("API key is|like an"))
        ).to_have_count(1)
        await expect(connection(page)).to_have_text("✕ No access")
        await expect(field).to_be_focused()
        await expect(field).to_have_attribute("aria-invalid", "true")
        # What is typed or pasted takes its place.
        assert await field.evaluate("(each) => each.selectionEnd - each.selectionStart") == len(key)
    await page.keyboard.insert_text(OPERATOR_KEY)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="Nodes")).to_be_visible()
    await expect(alert).to_have_count(0)
    await page.context.close()


async def test_a_key_that_is_slowly_answered_keeps_what_asks_for_one(
    browser: Browser, live: LiveGateway
) -> None:
    page, _ = await opened(browser, live, key=None)
    field, alert = page.get_by_label("API key"), page.get_by_role("alert")
    await expect(alert).to_contain_text("You are not signed in")
    answering = await held_back(page, "**/v1/key")
    await field.fill("ck_of_nobody")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Connecting…")).to_be_visible()
    await expect(alert).to_have_count(0)
    await expect(field).to_be_focused()
    # What is refused by the page itself is so at once, and the late answer changes nothing.
    await field.fill("no")
    await page.keyboard.press("Enter")
    await expect(alert).to_contain_text("This does not look like an API key")
    async with page.expect_response("**/v1/key"):
        answering.set()
    await page.evaluate("() => new Promise((done) => setTimeout(done, 1000))")
    await expect(alert).to_contain_text("This does not look like an API key")
    await page.context.close()


async def test_a_link_brings_no_other_account_unasked(browser: Browser, live: LiveGateway) -> None:
    live.signed_in = True
    page, faults = await opened(browser, live, key=OPERATOR_KEY)
    question = page.get_by_role("alertdialog")
    await expect(question).to_be_visible()
    await question.get_by_role("button", name="Use the link’s key").click()
    await expect(page.get_by_role("link", name="Nodes")).to_be_visible()
    await closed(page, faults)


async def test_a_link_that_comes_to_an_open_page_brings_no_other_account_unasked(
    browser: Browser, live: LiveGateway
) -> None:
    live.snapshot = {"calls": [row("call_1")], "totals": totals(1)}
    page, faults = await opened(browser, live, "calls", key=KEY)
    await page.get_by_role("button", name="End the call").click()
    ending = page.get_by_role("dialog")
    await expect(ending).to_be_visible()
    question = page.get_by_role("alertdialog")
    for answer, operators in (("Stay", 0), ("Use the link’s key", 1)):
        await page.goto(f"{live.origin}/live#key={OPERATOR_KEY}")
        await expect(question).to_be_visible()
        await expect(ending).to_have_count(0)
        assert OPERATOR_KEY not in page.url
        await question.get_by_role("button", name=answer).click()
        await expect(question).to_have_count(0)
        await expect(connection(page)).to_have_text("● Live")
        await expect(page.get_by_role("link", name="Nodes")).to_have_count(operators)
    await closed(page, faults)


async def test_a_view_that_is_paused_stays(browser: Browser, live: LiveGateway) -> None:
    live.snapshot = {"calls": [row("call_1")], "totals": totals(1)}
    page, faults = await opened(browser, live, "calls")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.keyboard.press("p")
    await expect(page.locator(".state")).to_contain_text("Paused: 0 changes since")
    live.tell(calls=[row("call_2"), row("call_3")])
    await expect(page.locator(".state")).to_contain_text("Paused: 2 changes since")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator("tbody tr")).to_have_count(3)
    await closed(page, faults)


async def test_one_call_stays_as_it_ended(browser: Browser, live: LiveGateway) -> None:
    live.signed_in = True
    live.snapshot = {"audience": "account", "calls": [row("call_1")], "totals": totals(1)}
    samples = [sample(second) for second in range(-120, 0)]
    live.call = {"calls": [row("call_1")], "samples": samples}
    page, faults = await opened(browser, live, "calls", key=None)
    await page.get_by_role("link", name="+1 415 555 2671").click()
    await expect(page.get_by_role("heading", name="Call to +1 415 555 2671")).to_be_visible()
    await expect(page.locator("live-chart canvas")).to_have_count(5)
    record = page.get_by_role("link", name="Its record")
    await expect(record).to_have_attribute("href", "account/calls/call_1")
    failed = row("call_1", state="ended", ended_at=at(), cause=1, ended_by="carrier")
    live.tell(calls=[{**failed, "carrier_code": 13227}])
    await expect(page.get_by_text("· the carrier’s code 13227")).to_be_visible()
    ended = row("call_1", state="ended", ended_at=at(), cause=602, ended_by="gateway")
    live.tell(calls=[ended], samples=[sample(0)])
    await expect(page.get_by_text("Ended by the gateway · Credit used up")).to_be_visible()
    live.tell(gone=["call_1"])
    await expect(page.get_by_role("button", name="End the call")).to_have_count(0)
    await page.go_back()
    await expect(page.get_by_role("searchbox")).to_be_visible()
    await until(lambda: len(live.viewers) == 1)
    await closed(page, faults)


async def test_operators_see_nodes_and_warnings(browser: Browser, live: LiveGateway) -> None:
    warning = {"at": at(), "node": "node-a", "level": "error", "event": "the store is away"}
    nodes = [node("node-a"), node("node-b", is_draining=True), node("node-c", is_lost=True)]
    live.snapshot = {"nodes": nodes, "warnings": [{**warning, "call_id": "call_1"}]}
    page, faults = await opened(browser, live, "nodes")
    await page.get_by_role("button", name="Drain: node-a").click()
    await page.get_by_role("button", name="Drain", exact=True).click()
    await expect(page.locator(".told")).to_have_text("node-a takes no new calls.")
    await page.get_by_role("button", name="Take calls again: node-b").click()
    await expect(page.locator(".told")).to_have_text("node-b takes new calls again.")
    paths = [path for _, path, _ in live.changed]
    assert paths == ["/v1/admin/nodes/node-a/drain", "/v1/admin/nodes/node-b/resume"]
    await expect(page.locator("tbody tr").nth(2).get_by_role("button")).to_have_count(0)
    link = page.get_by_role("listitem").get_by_role("link")
    await expect(link).to_have_attribute("href", "#/call/call_1")
    await closed(page, faults)


@pytest.mark.parametrize("width", [320, 1280])
async def test_a_node_is_drained_only_once_that_is_confirmed(
    browser: Browser, live: LiveGateway, width: int
) -> None:
    live.snapshot = {"nodes": [node("node-a"), node("node-b")]}
    size: Any = {"width": width, "height": 640}
    page, faults = await opened(browser, live, "nodes", viewport=size)
    drain = page.get_by_role("button", name="Drain: node-a")
    asked = page.get_by_role("dialog", name="Stop new calls on node-a?")
    await drain.press("Enter")
    goes_on = "Its live calls continue until they end, at most for CALLER_"
    await expect(asked).to_have_accessible_description(
        re.compile(rf"New calls go to other nodes\. {re.escape(goes_on)}")
    )
    assert await page.evaluate(SIDEWAYS) == 0
    assert await asked.evaluate("(each) => each.scrollWidth <= each.clientWidth")
    results = await Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert results.response["violations"] == []
    await expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(asked).to_have_count(0)
    await expect(drain).to_be_focused()
    assert live.changed == []

    await page.keyboard.press("Enter")
    await page.keyboard.press("Escape")
    await expect(asked).to_have_count(0)
    assert live.changed == []

    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    await page.keyboard.press("Tab")
    live.refusal = (409, {"code": "node_stopping", "detail": "The node is being stopped."})
    await page.keyboard.press("Enter")
    await expect(asked.get_by_role("alert")).to_have_text("The node is being stopped.")
    live.refusal = None
    await page.keyboard.press("Enter")
    await expect(page.locator(".told")).to_have_text("node-a takes no new calls.")
    assert live.changed == [("POST", "/v1/admin/nodes/node-a/drain", {})] * 2
    await closed(page, faults)


@pytest.mark.parametrize(
    "other",
    [{"is_draining": True}, {"is_lost": True}, {"calls": 100}],
    ids=["draining", "lost", "full"],
)
async def test_whoever_drains_the_last_node_is_told_that_nobody_can_call(
    browser: Browser, live: LiveGateway, other: dict[str, Any]
) -> None:
    live.snapshot = {"nodes": [node("node-a"), node("node-b", **other)]}
    page, faults = await opened(browser, live, "nodes")
    await page.get_by_role("button", name="Drain: node-a").click()
    nobody = "No other node takes calls, so no new calls will be possible."
    await expect(page.get_by_role("dialog")).to_contain_text(nobody)
    await expect(page.get_by_role("button", name="Drain", exact=True)).to_have_class(
        re.compile("danger")
    )
    await closed(page, faults)


async def test_a_node_that_was_just_drained_takes_no_calls_of_the_next(
    browser: Browser, live: LiveGateway
) -> None:
    live.snapshot = {"nodes": [node("node-a"), node("node-b")]}
    page, faults = await opened(browser, live, "nodes")
    asked = page.get_by_role("dialog")
    await page.get_by_role("button", name="Drain: node-b").click()
    await expect(asked).to_contain_text("New calls go to other nodes.")
    await page.get_by_role("button", name="Drain", exact=True).click()
    await expect(page.get_by_role("button", name="Take calls again: node-b")).to_be_focused()
    # The feed does not know it yet.
    live.tell(nodes=[node("node-a", calls=4), node("node-b")])
    await expect(page.locator("tbody tr").first).to_contain_text("4 of 100")
    await page.get_by_role("button", name="Drain: node-a").click()
    await expect(asked).to_contain_text("No other node takes calls")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Take calls again: node-b").click()
    await page.get_by_role("button", name="Drain: node-a").click()
    await expect(asked).to_contain_text("New calls go to other nodes.")
    await closed(page, faults)


@pytest.mark.parametrize("is_paused", [False, True], ids=["live", "paused"])
async def test_what_is_asked_of_a_node_follows_the_others(
    browser: Browser, live: LiveGateway, is_paused: bool
) -> None:
    live.snapshot = {"nodes": [node("node-a"), node("node-b")]}
    page, faults = await opened(browser, live, "nodes")
    drain = page.get_by_role("button", name="Drain: node-a")
    await expect(drain).to_be_visible()
    if is_paused:
        await page.get_by_role("button", name="Pause").click()
    await drain.click()
    asked = page.get_by_role("dialog")
    yes = asked.get_by_role("button", name="Drain")
    for is_draining in (False, True, False):
        live.tell(nodes=[node("node-a"), node("node-b", is_draining=is_draining)])
        said = "No other node takes calls" if is_draining else "New calls go to other nodes."
        await expect(asked).to_contain_text(said)
        await expect(yes).to_have_class(re.compile("danger" if is_draining else "primary"))
    await expect(asked.get_by_role("button", name="Cancel")).to_be_focused()
    await closed(page, faults)


async def test_operators_let_a_node_log_more_for_a_while(
    browser: Browser, live: LiveGateway
) -> None:
    debug = {"log_level": "debug", "log_level_until": at(600)}
    older = {"log_level": "", "is_lost": False}
    live.snapshot = {"nodes": [node("node-a"), node("node-b", **debug), node("node-c", **older)]}
    page, faults = await opened(browser, live, "nodes")
    rows = page.locator("tbody tr")
    await expect(rows.nth(0)).to_contain_text("info")
    await expect(rows.nth(1)).to_contain_text("debug until ")
    # One of a release that does not say what it logs is not asked for more.
    await expect(rows.nth(2).get_by_role("button")).to_have_count(1)
    await page.get_by_role("button", name="Log level: node-a").click()
    await page.get_by_role("button", name="Change").click()
    assert live.changed == []
    await page.get_by_label("Log from").select_option("debug, for 1 hour")
    await page.get_by_label("Reason").fill("calls drop")
    live.refusal = (503, {"code": "node_silent", "detail": "The node does not answer."})
    await page.get_by_role("button", name="Change").click()
    await expect(page.get_by_role("alert")).to_have_text("The node does not answer.")
    live.refusal = None
    await page.get_by_role("button", name="Change").click()
    await expect(page.locator(".told")).to_have_text("The log level of node-a has been changed.")
    wished = {"level": "debug", "minutes": 60, "reason": "calls drop"}
    assert live.changed == [("POST", "/v1/admin/nodes/node-a/log-level", wished)] * 2
    await closed(page, faults)


async def test_operators_see_what_is_refused_and_who_is_frozen(
    browser: Browser, live: LiveGateway
) -> None:
    page, faults = await opened(browser, live, key=None)
    await page.clock.install()
    # Nothing is asked for before the view is open.
    await page.goto(f"{live.origin}/live#key={OPERATOR_KEY}")
    await expect(connection(page)).to_have_text("● Live")
    assert live.asked == []
    await page.get_by_role("link", name="Fraud").click()
    view = page.locator("live-fraud")
    await expect(view.get_by_role("status")).to_contain_text("The books are away.")
    live.reports["fraud"] = fraud_report()
    await page.clock.run_for(15_000)
    await expect(view).to_contain_text("No call was refused in the last 24 hours.")
    await expect(view).to_contain_text("No account is frozen or locked.")
    await expect(view.get_by_role("status")).to_have_text("")
    await page.get_by_role("button", name="Pause").click()
    rule = {"rule": "velocity", "count": 1204, "accounts": 2, "by_hour": [0] * 23 + [1204]}
    refused = {"account_id": "acc_1", "count": 1200, "rules": {"velocity": 1200}}
    frozen = {"account_id": "acc_2", "reasons": ["dispute", "of-another-release"]}
    live.reports["fraud"] = fraud_report(
        rules=[rule],
        accounts=[{**refused, "last_hour": at(-60)}],
        accounts_total=101,
        frozen=[{**frozen, "since": at(-300)}],
        frozen_total=1,
    )
    await page.clock.run_for(60_000)
    assert live.asked == ["fraud", "fraud"], "a view that is held still asks for nothing"
    await page.get_by_role("button", name="Resume").click()
    tables = view.get_by_role("table")
    await expect(tables).to_have_count(3)
    await expect(tables.first).to_contain_text("Too many calls")
    line = tables.first.get_by_role("img")
    await expect(line).to_have_accessible_name(re.compile("by hour.*: 0; .*; 1,204$"))
    await expect(tables.nth(1)).to_contain_text("Too many calls 1,200")
    await expect(view).to_contain_text("1 of 101 accounts are listed.")
    await expect(tables.nth(2)).to_contain_text("a payment is disputed; of-another-release")
    await page.get_by_role("link", name="Wall screen").click()
    await page.clock.run_for(60_000)
    assert live.asked == ["fraud"] * 3, "a wall screen asks for nothing"
    await closed(page, Faults([each for each in faults.texts if "503" not in each]))


async def test_operators_see_whose_credit_runs_out(browser: Browser, live: LiveGateway) -> None:
    rich = {"account_id": "acc_rich", "per_minute_micros": 6_500}
    calls = [row("call_1"), row("call_2"), row("call_3", **rich), row("call_4", account_id="acc_3")]
    live.snapshot = {"calls": calls, "totals": totals(4)}
    live.reports["credit"] = credit_report(acc_rich=13_000_000, acc_1=104_000)
    page, faults = await opened(browser, live, "credit")
    rows = page.locator("live-credit tbody tr")
    await expect(rows.first).to_contain_text(
        re.compile("acc_1.*▲ [23]:.*\\$0.10.*\\$0.0260.*2", re.DOTALL)
    )
    await expect(rows.nth(1)).to_contain_text(re.compile("acc_rich.*1 d.*\\$13.00", re.DOTALL))
    await expect(rows.nth(2)).to_contain_text(re.compile("acc_3.*–.*–.*\\$0.0130", re.DOTALL))
    await expect(page.locator("live-credit")).to_contain_text("No call was cut off")
    live.tell(gone=["call_1", "call_2", "call_4"], totals=totals(1))
    await expect(rows).to_have_count(1)
    live.tell(gone=["call_3"], totals=totals(0))
    await expect(page.locator("live-credit")).to_contain_text("No account has a live call.")
    await closed(page, faults)


def country(code: str, *prefixes: str, attempts: int = 40) -> dict[str, Any]:
    """Return a country of which each of these prefixes has ten attempts."""
    health = {"calls": 1, "asr_percent": 60.0, "pdd_ms": 900, "mos": 4.1, "failed": 2}
    parts = [{"prefix": each, **health, "attempts": 10} for each in prefixes]
    return {
        "country": code,
        **health,
        "calls": 9,
        "attempts": attempts,
        "failed": 9,
        "prefixes": parts,
    }


async def test_a_country_shows_its_prefixes_at_once_where_it_stands_alone(
    browser: Browser, live: LiveGateway
) -> None:
    live.snapshot = {"totals": {**totals(9), "countries": [country("DE", "+4915", "+4930")]}}
    page, faults = await opened(browser, live)
    rows = page.locator("live-countries tbody tr")
    await expect(rows).to_have_count(4)
    await expect(rows.nth(1)).to_contain_text("+4915")
    await expect(rows.nth(3)).to_contain_text(
        re.compile("Other prefixes.*7.*20.*–.*–.*–.*5", re.DOTALL)
    )
    fold = page.get_by_role("button", name="Germany: calls by prefix")
    await expect(fold).to_have_attribute("aria-expanded", "true")
    await fold.click()
    await expect(rows).to_have_count(1)
    # What somebody has hidden stays so as figures come.
    live.tell(totals={**totals(9), "countries": [country("DE", "+4915", attempts=41)]})
    await expect(rows.first).to_contain_text("41")
    await expect(rows).to_have_count(1)
    await closed(page, faults)


async def test_of_many_countries_each_shows_its_prefixes_to_whom_asks_for_them(
    browser: Browser, live: LiveGateway
) -> None:
    codes = ["DE", "FR", "GB", "IT", "ES", "AT"]
    countries = [country(code, f"+{n}", attempts=10 + n) for n, code in enumerate(codes, 1)]
    live.snapshot = {"totals": {**totals(9), "countries": [*countries, country("")]}}
    page, faults = await opened(browser, live)
    rows = page.locator("live-countries tbody tr")
    await expect(rows).to_have_count(7)
    # Nothing is to be shown of the one without a prefix.
    await expect(page.locator("live-countries .fold")).to_have_count(6)
    await page.get_by_role("button", name="France: calls by prefix").click()
    await expect(rows).to_have_count(9)
    await page.get_by_role("button", name="Attempts").click()
    names = [
        await each.inner_text() for each in await page.locator("live-countries th[scope=row]").all()
    ]
    assert names[1:] == [
        "Austria",
        "Spain",
        "Italy",
        "United Kingdom",
        "France",
        "+2",
        "Other prefixes",
        "Germany",
    ]
    await closed(page, faults)


async def test_holders_have_no_views_of_operators(browser: Browser, live: LiveGateway) -> None:
    live.snapshot = {"totals": totals(0)}
    page, faults = await opened(browser, live, "fraud", key=KEY)
    await expect(page.locator("live-overview")).to_be_visible()
    await expect(page.get_by_role("link", name="Fraud")).to_have_count(0)
    assert live.asked == []
    await closed(page, faults)


async def test_an_operator_says_of_alarms_what_is_done(browser: Browser, live: LiveGateway) -> None:
    lost, full = alarm("node_lost:n2"), alarm("node_full:n1", title="Node n1 is 95 % full.")
    live.snapshot = {"alarms": [lost, full]}
    live.refusal = (404, {"status": 404, "code": "alarm_not_found", "detail": "It is over."})
    page, faults = await opened(browser, live)
    alarms, dialog = page.locator("live-alarms li"), page.get_by_role("dialog")
    await expect(alarms.first).to_contain_text("▲ raised Node n2 is gone.")
    await expect(alarms.first).to_contain_text("3 min ago")
    await expect(alarms.first).to_contain_text("Look whether its process runs.")
    await expect(page).to_have_title("▲ 2 (0) Live calls · Caller")
    await expect(page.get_by_role("link", name="Overview ▲ 2 alarms")).to_be_visible()

    await page.get_by_role("button", name="Acknowledge: Node n2 is gone.").click()
    await dialog.get_by_role("button", name="Acknowledge").click()
    assert live.changed == [], "a reason is required"
    await dialog.get_by_label("Reason").fill("Starting it")
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("alert")).to_have_text("It is over.")
    live.refusal = None
    await page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    await expect(page.locator(".told")).to_have_text(
        "Others can now see that you are working on it."
    )

    await page.get_by_role("button", name="Silence: Node n1 is 95 % full.").click()
    await dialog.get_by_label("For").select_option("8 hours")
    await dialog.get_by_label("Reason").fill("A load test")
    await page.keyboard.press("Enter")
    await expect(page.locator(".told")).to_have_text("The alarm is silenced.")
    by = {"by": "key ops", "reason": "A load test"}
    live.tell(alarms=[{**lost, "state": "acknowledged", **by}, {**full, "state": "silenced", **by}])
    await expect(alarms.first).to_contain_text("◆ acknowledged")
    await expect(alarms.nth(1)).to_contain_text("by key ops: A load test")
    await expect(page).to_have_title("(0) Live calls · Caller")
    await page.get_by_role("button", name="Undo: Node n1 is 95 % full.").click()
    await expect(page.locator(".told")).to_contain_text("no longer acknowledged or silenced")

    told = {"name": "node_lost:n2", "reason": "Starting it"}
    assert live.changed == [
        *[("POST", "/v1/admin/alarms/acknowledge", told)] * 2,
        (
            "POST",
            "/v1/admin/alarms/silence",
            {"name": "node_full:n1", "minutes": 480, "reason": "A load test"},
        ),
        ("POST", "/v1/admin/alarms/unsilence", {"name": "node_full:n1"}),
    ]
    live.tell(alarms=[])
    await expect(page.get_by_text("✓ No active alarms")).to_be_visible()
    await closed(page, faults)


async def test_what_is_said_of_an_alarm_by_keyboard_can_be_taken_back_at_once(
    browser: Browser, live: LiveGateway
) -> None:
    live.snapshot = {"alarms": [alarm("node_lost:n2")]}
    page, faults = await opened(browser, live)
    for said, state in (("Acknowledge", "acknowledged"), ("Silence", "silenced")):
        live.tell(alarms=[alarm("node_lost:n2")])
        await page.get_by_role("button", name=f"{said}: Node n2 is gone.").focus()
        live.tell(alarms=[alarm("node_lost:n2", state=state, by="key ops", until=at(900))])
        await expect_focus(page, "Undo: Node n2 is gone.")
        live.tell(alarms=[alarm("node_lost:n2")])
        await expect_focus(page, f"{said}: Node n2 is gone.")
    await closed(page, faults)


async def test_a_new_alarm_is_announced_once_on_every_view(
    browser: Browser, live: LiveGateway
) -> None:
    live.snapshot = {"calls": [row("call_1")], "totals": totals(1), "alarms": [alarm("low_mos:")]}
    page, faults = await opened(browser, live, "calls")
    said = page.locator("live-alarms [role=status]")
    await expect(said).to_have_text("")
    await said.evaluate("""(status) => {
      window.changes = 0;
      new MutationObserver(() => (window.changes += 1)).observe(
        status, { characterData: true, childList: true, subtree: true });
    }""")
    for _ in range(3):
        live.tell(alarms=[alarm("low_mos:"), alarm("node_lost:n2")], totals=totals(1))
        await expect(said).to_have_text("New alarm: Node n2 is gone.")
        await page.wait_for_timeout(600)
    assert await page.evaluate("window.changes") == 1
    await expect(page.locator("live-alarms li")).to_have_count(0)
    await closed(page, faults)


async def test_only_operators_load_what_only_they_see(browser: Browser, live: LiveGateway) -> None:
    live.snapshot = {"totals": totals(0)}
    for key, count in ((KEY, 0), (OPERATOR_KEY, 1)):
        page, faults = await opened(browser, live, key=key)
        await expect(connection(page)).to_have_text("● Live")
        await expect(page.get_by_text("✓ No active alarms")).to_have_count(count)
        loaded = "performance.getEntriesByType('resource').map(({ name }) => name)"
        names = [name for name in await page.evaluate(loaded) if "/operators-" in name]
        assert len(names) == count
        await closed(page, faults)


async def test_what_operators_see_is_loaded_again_where_that_failed(
    browser: Browser, live: LiveGateway
) -> None:
    live.snapshot = {"nodes": [node("node-a")]}
    page, faults = await opened(browser, live, key=None)
    await page.clock.install()
    await page.route("**/operators-*", lambda route: route.abort())
    await page.goto(f"{live.origin}/live#key={OPERATOR_KEY}")
    await page.reload()
    await expect(page.get_by_role("alert")).to_contain_text("could not be loaded")
    await page.unroute("**/operators-*")
    await page.clock.run_for(16_000)
    await page.goto(f"{live.origin}/live#/nodes")
    await expect(page.get_by_role("button", name="Drain: node-a")).to_be_visible()
    await expect(page.get_by_role("alert")).to_have_count(0)
    await closed(page, faults)


async def test_states_are_counted_in_one_line_and_long_calls_are_found(
    browser: Browser, live: LiveGateway
) -> None:
    counts = {"held": 1, "answered": 14, "ringing": 2, "ending": 0}
    calls = [row("call_1"), row("call_2", answered_at=at(-3700), destination="+442079460018")]
    live.snapshot = {"calls": calls, "totals": {**totals(17), "by_state": counts}}
    page, faults = await opened(browser, live)
    await expect(page.get_by_text("2 ringing · 14 answered · 1 on hold")).to_be_visible()
    await page.get_by_role("link", name="Calls").click()
    await expect(page.locator("tbody tr")).to_have_count(2)
    await page.get_by_role("combobox").first.select_option("long calls only")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator("tbody tr")).to_contain_text("▲ long")
    await page.get_by_label("Long from").fill("1")
    await page.keyboard.press("Enter")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await closed(page, faults)


async def test_a_wall_screen_only_shows(browser: Browser, live: LiveGateway) -> None:
    alarms = [alarm("node_lost:n2")]
    live.snapshot = {"calls": [row("call_1")], "totals": totals(1), "alarms": alarms}
    page, faults = await opened(browser, live, "wall")
    await expect(page.locator("live-overview")).to_contain_text("$0.01")
    await expect(page.get_by_role("listitem")).to_contain_text("Node n2 is gone.")
    assert await page.get_by_role("button").count() == 0
    assert await page.get_by_role("link").count() == 0
    await closed(page, faults)


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_view_is_accessible(
    browser: Browser, live: LiveGateway, width: int, scheme: Literal["light", "dark"]
) -> None:
    poor = row("call_2", mos=3.1, rtt_ms=430, tags=["high_latency", "silence"], account_id="x" * 60)
    warning = {"at": at(), "node": "node-a", "level": "warning", "event": "e" * 200}
    live.snapshot = {
        "calls": [row("call_1"), poor],
        "totals": totals(2),
        "nodes": [node("node-a"), node("n" * 60, is_lost=True)],
        "alarms": [
            alarm("node_lost:n2"),
            alarm(f"node_full:{'n' * 60}"),
            alarm("low_mos:", state="acknowledged", by="key ops", reason="r" * 80),
            alarm("spend:USD", state="silenced", by="key ops", reason="Repair", until=at(900)),
        ],
        "warnings": [{**warning, "call_id": None}],
    }
    live.call = {"calls": [poor], "samples": [sample(second) for second in range(-60, 0)]}
    long = {"account_id": "x" * 60, "since": at(-90_000), "last_hour": at(-300), "last_at": at()}
    live.reports["fraud"] = fraud_report(
        rules=[
            {"rule": "r" * 60, "count": 9, "accounts": 2, "by_hour": [n % 5 for n in range(24)]}
        ],
        accounts=[{**long, "count": 9, "rules": {"velocity": 8, "r" * 60: 1}}],
        frozen=[{**long, "reasons": ["operator", "dispute", "locked", "leaving", "restricted"]}],
    )
    live.reports["credit"] = credit_report(acc_1=9_000, **{"x" * 60: 30_000}) | {
        "cut_off": [{**long, "calls": 3}]
    }
    size: Any = {"width": width, "height": 800}
    page, faults = await opened(browser, live, viewport=size, color_scheme=scheme)
    for view, shown in (
        ("", "live-overview .value"),
        ("calls", "live-calls tbody tr"),
        ("nodes", "live-nodes tbody tr"),
        ("fraud", "live-fraud tbody tr"),
        ("credit", "live-credit tbody .poor"),
        ("call/call_2", "live-call canvas"),
        ("wall", "live-overview .wall"),
    ):
        await page.goto(f"{live.origin}/live#/{view}")
        await expect(page.locator(shown).first).to_be_visible()
        results = await Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
        found = [(each["id"], each["nodes"]) for each in results.response["violations"]]
        assert found == [], view
        assert await page.evaluate(SIDEWAYS) == 0, view
    await closed(page, faults)
