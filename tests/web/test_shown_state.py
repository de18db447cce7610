"""What the page says of a call is true: no line that is gone, nobody speaking who is not heard."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web.conftest import open_page
from tests.web.fake_gateway import ECHO, FakeGateway, Line, money, past_call, until
from tests.web.test_phone import alert, button, dial, status
from tests.web.test_resume import RESUME, reload, stored

pytestmark = pytest.mark.asyncio(loop_scope="session")

OTHER = "+442079460018"
OTHER_SHOWN = "+44 20 7946 0018"


def in_call(page: Page) -> Any:
    """The phone during a call."""
    return page.locator("caller-in-call")


async def live(browser: Browser, gateway: FakeGateway, **options: Any) -> tuple[Page, Line]:
    """Open the phone at a gateway that keeps lost calls, and call."""
    gateway.resume_seconds = 15
    page, _ = await open_page(browser, gateway, **options)
    return page, await dial(page, gateway)


# -- no connection -------------------------------------------------------------------------------


async def test_silence_of_the_gateway_is_no_good_line(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, line = await live(browser, gateway)
    await line.sample(4.3)
    await line.send("talk", leg="carrier", talking=True)
    await expect(in_call(page)).to_contain_text("speaking")
    await expect(in_call(page)).to_contain_text("Good")
    gateway.is_mute = True
    # The socket stays open and says nothing, as where a network swallows all: 6.5 s until pings
    # alone would tell.
    await expect(status(page)).to_contain_text("No connection", timeout=4_000)
    await expect(in_call(page)).not_to_contain_text("speaking")
    await expect(in_call(page)).not_to_contain_text("Good")
    await expect(in_call(page)).to_contain_text(re.compile(r"ends in 0:1[0-6]"))
    levels = page.locator("caller-in-call .bar i")
    for level in await levels.all():
        await expect(level).to_have_attribute("style", re.compile(r"--share: ?0(\.00)?;"))
    gateway.is_mute = False
    await expect(status(page)).to_have_text("In call")
    await expect(in_call(page)).not_to_contain_text("ends in")
    await page.context.close()


COUNT = """(status) => {
  window.changes = 0;
  new MutationObserver(() => (window.changes += 1)).observe(
    status, { characterData: true, childList: true, subtree: true });
}"""


@pytest.mark.parametrize(
    ("language", "hears", "over"),
    [
        ("en", "is listening to this call", "the other side does not hear you"),
        ("de", "hört diesen Anruf mit", "Die Gegenseite hört Sie nicht"),
        ("es", "escucha esta llamada", "la otra parte no le oye"),
    ],
)
async def test_who_else_is_in_the_call_is_told_once_for_each_change(
    browser: Browser, gateway: FakeGateway, language: str, hears: str, over: str
) -> None:
    gateway.resume_seconds = 15
    page, _ = await open_page(browser, gateway, locale=language)
    await page.get_by_role("textbox").first.fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(status(page)).to_have_class("status live")
    line, note = gateway.lines[-1], page.locator("caller-call-notices p[role=status]").first
    await note.evaluate(COUNT)
    await line.send("supervised", mode="listen")
    await expect(note).to_contain_text(hears)
    await line.sample(4.3, 3)
    await page.wait_for_timeout(600)
    assert await page.evaluate("window.changes") == 1
    await line.send("supervised", mode="take-over")
    await expect(note).to_contain_text(over)
    await line.send("supervised", mode=None)
    await expect(note).to_have_text("")
    await page.context.close()


async def test_a_line_that_is_warned_of_is_not_good(browser: Browser, gateway: FakeGateway) -> None:
    page, line = await live(browser, gateway)
    await line.sample(4.3)
    await expect(in_call(page)).to_contain_text("Good")
    await line.send("warning", name="high-packets-lost-fraction", message="Much is lost.")
    await expect(in_call(page)).to_contain_text("Fair")
    await expect(in_call(page)).not_to_contain_text("Good")
    gateway.is_mute = True
    await expect(status(page)).to_have_class("status lost", timeout=4_000)
    await expect(in_call(page)).not_to_contain_text("Much is lost.")
    gateway.is_mute = False
    await expect(status(page)).to_have_class("status live")
    await expect(in_call(page)).to_contain_text("Much is lost.")
    await line.send("warning-cleared", name="high-packets-lost-fraction")
    await line.sample(4.3)
    await expect(in_call(page)).to_contain_text("Good")
    await page.context.close()


async def test_of_two_warnings_of_loss_the_worse_is_shown(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, line = await live(browser, gateway)
    await line.send("warning", name="high-packet-loss", message="Some is lost.")
    await expect(in_call(page)).to_contain_text("Some is lost.")
    await line.send("warning", name="high-packets-lost-fraction", message="Much is lost.")
    await expect(in_call(page)).to_contain_text("Much is lost.")
    await expect(in_call(page)).not_to_contain_text("Some is lost.")
    await line.send("warning-cleared", name="high-packets-lost-fraction")
    await expect(in_call(page)).to_contain_text("Some is lost.")
    await page.context.close()


async def test_who_hung_up_is_said(page: Page, gateway: FakeGateway) -> None:
    line = await dial(page, gateway)
    await line.end()
    await expect(page.locator("caller-phone .summary")).to_contain_text("The other side hung up.")
    await dial(page, gateway)
    await button(page, "Hang up").click()
    await expect(page.locator("caller-phone .summary")).to_contain_text("You hung up.")


async def test_how_a_call_was_is_said_once_by_keyboard(page: Page, gateway: FakeGateway) -> None:
    gateway.unwritten = 1
    await dial(page, gateway)
    await gateway.line.end()
    stars = page.get_by_role("radio", name="star")
    await expect(stars).to_have_count(5)
    await stars.first.focus()
    await page.keyboard.press("Space")
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("radio", name="2 stars")).to_be_checked()
    await page.get_by_role("checkbox", name="Echo").check()
    await button(page, "Send").click()
    await expect(page.get_by_text("Thank you.")).to_be_visible()
    assert gateway.feedback == [("call_1", {"stars": 2, "flaws": ["echo"]})]
    await expect(stars).to_have_count(0)


async def test_whoever_objects_is_not_asked_and_reads_what_the_call_cost(
    browser: Browser, gateway: FakeGateway
) -> None:
    gateway.takes_feedback = False
    gateway.sessions = {"s": "alice"}
    page, _ = await open_page(browser, gateway, key=None)
    await page.context.add_cookies([{"name": "caller", "value": "s", "url": gateway.origin}])
    await page.reload()
    await dial(page, gateway)
    await gateway.line.send("cost", seconds=1, cost=money(217))
    await gateway.line.end()
    receipt = page.locator("caller-outcome").get_by_role("link", name="Receipt of the call")
    await expect(receipt).to_have_attribute("href", "account/calls/call_1")
    assert await page.get_by_role("radio").count() == 0
    await page.context.close()


async def test_a_lost_call_counts_down_to_its_end(browser: Browser, gateway: FakeGateway) -> None:
    page, _ = await live(browser, gateway)
    await page.route_web_socket("**/media/browser", lambda socket: socket.close())
    gateway.keeps = True
    await page.context.set_offline(True)
    gateway.cut()
    await expect(status(page)).to_contain_text("No connection")
    await expect(in_call(page)).to_contain_text(re.compile(r"ends in 0:1[0-5]"))
    await expect(in_call(page)).to_contain_text(re.compile(r"ends in 0:0\d"), timeout=15_000)
    await page.context.close()


@pytest.mark.parametrize("control", ["Mute", "Hold"])
async def test_nobody_speaks_who_is_not_heard(
    page: Page, gateway: FakeGateway, control: str
) -> None:
    line = await dial(page, gateway)
    for leg in ("browser", "carrier"):
        await line.send("talk", leg=leg, talking=True)
    speaking = page.get_by_text("speaking", exact=True)
    await expect(speaking).to_have_count(2)
    await button(page, control).click()
    await expect(speaking).to_have_count(1 if control == "Mute" else 0)
    await button(page, control).click()
    await expect(speaking).to_have_count(2)


async def test_a_gateway_that_drains_says_how_long_is_left(
    page: Page, gateway: FakeGateway
) -> None:
    line = await dial(page, gateway)
    await line.send("draining", seconds_left=30)
    told = in_call(page).get_by_text("The gateway is being restarted")
    await expect(told).to_contain_text(re.compile(r"calls end in 0:(30|2\d)"))
    await expect(told).to_contain_text(re.compile(r"calls end in 0:2[0-8]"))


# -- after a reload ------------------------------------------------------------------------------


async def test_a_call_that_is_not_taken_up_can_be_ended(
    browser: Browser, gateway: FakeGateway
) -> None:
    gateway.phonebook = [{"number": ECHO, "label": "Echo"}]
    page, _ = await live(browser, gateway)
    await reload(page)
    await expect(alert(page)).to_contain_text("Echo (+1 500 555 1000)")
    await button(page, "End it").click()
    await until(lambda: len(gateway.lines) == 2 and gateway.line.of_type("hangup"))
    assert gateway.line.start == {**RESUME, "token": "resume_1"}
    await expect(page.locator("caller-phone .summary")).to_contain_text("$0.0")
    await expect(page.locator("caller-return-call")).to_have_count(0)
    await expect(status(page)).to_have_text("Call ended")
    assert await stored(page) is None
    await page.context.close()


async def test_dialling_another_ends_the_call_before_it(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, _ = await live(browser, gateway)
    await reload(page)
    await expect(alert(page)).to_contain_text("Calling another number ends it.")
    gateway.lines.clear()
    await page.get_by_role("textbox").fill(OTHER)
    await page.keyboard.press("Enter")
    await until(lambda: len(gateway.lines) == 2)
    first, second = gateway.lines
    assert (first.start["type"], second.start["type"]) == ("resume", "start")
    assert first.of_type("hangup")
    await expect(status(page)).to_have_text("In call")
    await expect(in_call(page)).to_contain_text(OTHER_SHOWN)
    await page.context.close()


async def test_what_the_gateway_has_no_more_is_in_nobodys_way(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, _ = await live(browser, gateway)
    await reload(page)
    gateway.keeps = False
    gateway.lines.clear()
    await page.get_by_role("textbox").fill(OTHER)
    await page.keyboard.press("Enter")
    await expect(status(page)).to_have_text("In call")
    assert [line.start["type"] for line in gateway.lines] == ["start"]
    await page.context.close()


async def test_a_call_that_cannot_be_ended_keeps_another_from_beginning(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, _ = await live(browser, gateway)
    await reload(page)
    await page.route_web_socket("**/media/browser", lambda socket: socket.close(code=1011))
    before = len(gateway.token_requests)
    await button(page, "End it").click()
    await expect(alert(page)).to_contain_text("It could not be ended.")
    await page.get_by_role("textbox").fill(OTHER)
    await page.keyboard.press("Enter")
    await expect(alert(page).first).to_contain_text("The gateway does not answer.")
    assert len(gateway.token_requests) == before
    await expect(button(page, "Return to the call")).to_be_visible()
    await page.context.close()


# -- the list of calls ---------------------------------------------------------------------------


async def test_another_tab_follows_a_live_call(page: Page, gateway: FakeGateway) -> None:
    call = past_call(ECHO, "2026-11-20T11:00:00Z", 4, 16)
    gateway.calls = [{**call, "state": "live", "ended_at": None, "cause": None}]
    await page.reload()
    row = page.locator("caller-recent-calls li")
    await expect(row).to_contain_text("In progress")
    await expect(row).to_contain_text("0:04")
    gateway.calls = [{**gateway.calls[0], "seconds": 9, "cost": past_call(ECHO, "", 9, 0)["cost"]}]
    gateway.balance = 4_000_000
    await expect(row).to_contain_text("0:09")
    await expect(page.get_by_text("Credit $4.00")).to_be_visible()
    gateway.calls = [{**gateway.calls[0], "state": "settling", "cost": None, "cause": 16}]
    await expect(row).to_contain_text("settling")
    gateway.calls = [past_call(ECHO, "2026-11-20T11:00:00Z", 10, 16)]
    await expect(row).to_contain_text("Completed")
    await expect(row).to_contain_text("$0.0022")
    asked = sum("v1/calls" in address for address in gateway.addresses)
    await asyncio.sleep(3)
    # What is over is not asked for any more.
    assert sum("v1/calls" in address for address in gateway.addresses) <= asked + 1


async def test_a_key_that_may_only_read_calls_nobody_again(
    browser: Browser, gateway: FakeGateway
) -> None:
    gateway.scopes = ("records",)
    gateway.calls = [past_call(ECHO, "2026-11-20T11:00:00Z", 7, 16)]
    page, _ = await open_page(browser, gateway)
    await expect(page.locator("caller-recent-calls li")).to_be_visible()
    await expect(page.get_by_role("button", name=re.compile("again"))).to_have_count(0)
    await page.context.close()
