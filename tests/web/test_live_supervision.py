"""Supervision on the page of live calls, with a gateway that a test plays."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, expect

from tests.web.conftest import async_fixture
from tests.web.fake_gateway import KEY, until
from tests.web.live_gateway import OPERATOR_KEY, LiveGateway, Supervisor, at, row, running
from tests.web.test_accessibility import RULES, SIDEWAYS
from tests.web.test_live import closed, opened

pytestmark = pytest.mark.asyncio(loop_scope="session")

MICROPHONES = """
window.asked = 0;
window.tracks = [];
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  window.asked += 1;
  const stream = await ask(wanted);
  window.tracks.push(...stream.getTracks());
  return stream;
};
"""
CLOSED = "() => window.tracks.every(({ readyState }) => readyState === 'ended')"


@async_fixture
async def live(built_pages: Path) -> AsyncIterator[LiveGateway]:
    assert built_pages
    gateway = LiveGateway(signed_in=True)
    gateway.snapshot = {"calls": [row("call_1")]}
    gateway.call = {"calls": [row("call_1")]}
    async with running(gateway):
        yield gateway


async def shown(browser: Browser, live: LiveGateway, **options: Any) -> tuple[Page, Any]:
    """Open the call as its holder, who counts how often the microphone is asked for."""
    page, faults = await opened(browser, live, "call/call_1", **{"key": None, **options})
    await page.context.add_init_script(MICROPHONES)
    await page.reload()
    await expect(page.get_by_role("heading", name="Supervise")).to_be_visible()
    return page, faults


async def listening(live: LiveGateway, page: Page) -> Supervisor:
    await page.get_by_role("button", name="Listen").click()
    await expect(said(page)).to_have_text("No one hears you. Your microphone is off.")
    return live.supervisors[-1]


def said(page: Page) -> Locator:
    """Who hears the supervisor, as screen readers are told it."""
    return page.locator("live-supervision [role=status]")


def trouble(page: Page) -> Locator:
    return page.locator("live-supervision [role=alert]")


async def meter_moves(page: Page, which: int) -> None:
    bar = page.locator("live-supervision .bar i").nth(which)
    await expect(bar).to_have_attribute("style", re.compile(r"--share: (0\.[1-9]|1)"))


async def test_who_listens_sends_nothing_and_who_speaks_is_told_who_hears(
    browser: Browser, live: LiveGateway
) -> None:
    page, faults = await shown(browser, live)
    supervisor = await listening(live, page)
    assert live.changed == [("POST", "/v1/live-calls/call_1/supervision", {})]
    await meter_moves(page, 0)
    await expect(page.get_by_label("Listen")).to_be_focused()
    for mode, name, hears in (
        ("whisper", "Whisper", "The caller hears you now. The phone does not."),
        ("barge", "Barge in", "The caller and the phone hear you now."),
        (
            "take-over",
            "Take over",
            "The phone hears you now, in the caller’s place. "
            "The caller neither hears nor is heard.",
        ),
    ):
        assert (mode == "whisper") == (not supervisor.frames), "only who speaks sends"
        await page.get_by_label(name).check()
        await expect(said(page)).to_have_text(hears)
        await until(lambda: supervisor.frames)
    await meter_moves(page, 1)
    assert {len(frame) for frame in supervisor.frames} == {160}
    assert await page.evaluate("window.asked") == 1
    await page.get_by_label("Listen").check()
    await expect(said(page)).to_have_text("No one hears you. Your microphone is off.")
    assert await page.evaluate(CLOSED), "the browser's sign of recording is out"
    assert supervisor.wanted == ["whisper", "barge", "take-over", "listen"]
    sent = len(supervisor.frames)
    await page.wait_for_timeout(300)
    assert len(supervisor.frames) == sent
    await page.get_by_role("button", name="Leave").click()
    await until(lambda: supervisor.has_left)
    await expect(said(page)).to_have_text("You have left. The call continues.")
    await expect(page.get_by_role("button", name="Listen")).to_be_focused()
    await closed(page, faults)


async def test_arrow_keys_only_look_and_the_space_bar_chooses(
    browser: Browser, live: LiveGateway
) -> None:
    live.most = "barge"
    page, faults = await shown(browser, live)
    supervisor = await listening(live, page)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_label("Barge in")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_label("Listen")).to_be_focused()
    await page.keyboard.press("ArrowUp")
    assert supervisor.wanted == []
    assert await page.evaluate("window.asked") == 0
    await page.keyboard.press("Space")
    await expect(said(page)).to_have_text("The caller and the phone hear you now.")
    assert supervisor.wanted == ["barge"]
    await closed(page, faults)


async def test_what_the_account_does_not_allow_is_there_and_says_so(
    browser: Browser, live: LiveGateway
) -> None:
    live.most, live.announced = "whisper", False
    page, faults = await shown(browser, live)
    await listening(live, page)
    for name in ("Barge in", "Take over"):
        await expect(
            page.get_by_role("radio", name=re.compile(f"{name}.*Not allowed"))
        ).to_be_disabled()
    await expect(page.get_by_label("Whisper")).to_be_enabled()
    await expect(page.get_by_text("Neither side is told that you are there")).to_be_visible()
    where = page.get_by_role("link", name="Account → Supervision")
    await expect(where).to_have_attribute("href", "account/supervision")
    await closed(page, faults)


async def test_an_operator_says_why_and_comes_back_by_one_click(
    browser: Browser, live: LiveGateway
) -> None:
    live.signed_in = False
    page, faults = await opened(browser, live, "call/call_1", key=OPERATOR_KEY)
    listen = page.get_by_role("button", name="Listen")
    await listen.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Listen").click()
    assert live.changed == [], "a reason is required"
    await dialog.get_by_label("Reason").fill("A complaint")
    await page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    await expect(said(page)).to_have_text(re.compile("No one hears you"))
    asked = ("POST", "/v1/admin/live-calls/call_1/supervision", {"reason": "A complaint"})
    assert live.changed == [asked]
    await live.supervisors[0].socket.close(1012)
    await expect(trouble(page)).to_contain_text("The gateway is being restarted.")
    await page.get_by_role("button", name="Rejoin").click()
    await expect(said(page)).to_have_text(re.compile("No one hears you"))
    await expect(trouble(page)).to_have_text("")
    assert live.changed == [asked, asked]
    assert [each.token for each in live.supervisors] == ["grant_1", "grant_2"]
    # Whoever has left says anew why they listen.
    await page.get_by_role("button", name="Leave").click()
    await listen.click()
    await expect(dialog).to_be_visible()
    await closed(page, faults)


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (403, "supervision_refused", "The account of this call does not let you supervise it."),
        (503, "node_silent", "The node that holds this call does not answer."),
        (409, "call_not_answered", "The call is not answered yet."),
        (418, "of_a_newer_gateway", "It is a teapot. Get a kettle."),
    ],
)
async def test_who_is_refused_is_told_why_and_can_try_again(
    browser: Browser, live: LiveGateway, status: int, code: str, told: str
) -> None:
    problem = {"code": code, "detail": "It is a teapot.", "action": "Get a kettle."}
    live.refusal = (status, {"status": status, **problem})
    page, faults = await shown(browser, live)
    await page.get_by_role("button", name="Listen").click()
    await expect(trouble(page)).to_contain_text(told)
    where = trouble(page).get_by_role("link", name="Account → Supervision")
    await expect(where).to_have_count(int(code == "supervision_refused"))
    live.refusal = None
    again = page.get_by_role("button", name="Try again")
    await expect(again).to_be_focused()
    await again.click()
    await expect(said(page)).to_have_text(re.compile("No one hears you"))
    await closed(page, faults)


async def test_somebody_else_is_there_already(browser: Browser, live: LiveGateway) -> None:
    live.not_let_in = "already_supervised"
    page, faults = await shown(browser, live)
    await page.get_by_role("button", name="Listen").click()
    await expect(trouble(page)).to_contain_text("Somebody else is supervising this call.")
    live.not_let_in = ""
    await page.get_by_role("button", name="Try again").click()
    await expect(said(page)).to_have_text(re.compile("No one hears you"))
    await closed(page, faults)


async def test_the_end_of_the_call_is_told_and_leaves_nothing_to_press(
    browser: Browser, live: LiveGateway
) -> None:
    page, faults = await shown(browser, live)
    supervisor = await listening(live, page)
    await page.get_by_label("Barge in").check()
    await until(lambda: supervisor.frames)
    live.tell(calls=[row("call_1", state="ended", ended_at=at(), cause=16)])
    await supervisor.refuse("call_ended")
    await expect(trouble(page)).to_contain_text("The call has ended.")
    await expect(page.locator("live-supervision").get_by_role("button")).to_have_count(0)
    assert await page.evaluate(CLOSED)
    await closed(page, faults)


async def test_who_may_not_speak_goes_on_listening(
    deaf_browser: Browser, live: LiveGateway
) -> None:
    page, faults = await shown(deaf_browser, live)
    supervisor = await listening(live, page)
    await page.get_by_label("Whisper").click()
    await expect(trouble(page)).to_contain_text("No microphone was found. You are still listening.")
    await expect(page.get_by_label("Listen")).to_be_checked()
    assert (supervisor.wanted, supervisor.frames) == ([], [])
    assert not supervisor.has_left
    await meter_moves(page, 0)
    await closed(page, faults)


async def test_a_microphone_that_is_refused_is_told(
    asking_browser: Browser, live: LiveGateway
) -> None:
    page, faults = await shown(asking_browser, live)
    await page.evaluate("""() => {
      navigator.mediaDevices.getUserMedia = () =>
        Promise.reject(new DOMException('no', 'NotAllowedError'));
    }""")
    await listening(live, page)
    await page.get_by_label("Take over").click()
    await expect(trouble(page)).to_contain_text("was not allowed to use the microphone")
    await expect(page.get_by_label("Listen")).to_be_checked()
    await closed(page, faults)


async def test_who_changes_their_mind_while_the_browser_asks_is_not_heard(
    browser: Browser, live: LiveGateway
) -> None:
    page, faults = await shown(browser, live)
    supervisor = await listening(live, page)
    await page.evaluate("""() => {
      const ask = navigator.mediaDevices.getUserMedia;
      navigator.mediaDevices.getUserMedia = (wanted) =>
        new Promise((resolve) => (window.allow = resolve)).then(() => ask(wanted));
    }""")
    await page.get_by_label("Barge in").check()
    await expect(page.get_by_text("If the browser asks, allow it")).to_be_visible()
    await page.get_by_label("Listen").check()
    await page.evaluate("window.allow()")
    await page.wait_for_function("() => window.tracks.length > 0")
    await page.wait_for_function(CLOSED)
    assert set(supervisor.wanted) <= {"listen"}
    assert supervisor.frames == []
    # And whoever chooses more instead gets that.
    await page.get_by_label("Whisper").check()
    await page.get_by_label("Barge in").check()
    await page.evaluate("window.allow()")
    await expect(said(page)).to_have_text("The caller and the phone hear you now.")
    await closed(page, faults)


async def test_what_the_gateway_does_not_do_is_told(browser: Browser, live: LiveGateway) -> None:
    live.confirms = False
    page, faults = await shown(browser, live)
    supervisor = await listening(live, page)
    await page.get_by_label("Barge in").check()
    await until(lambda: supervisor.wanted)
    assert supervisor.frames == [], "nobody hears it before the gateway has confirmed it"
    await supervisor.tell("listen")
    await expect(trouble(page)).to_contain_text("The gateway has not changed what you do.")
    await expect(page.get_by_label("Listen")).to_be_checked()
    await page.wait_for_function(CLOSED)
    await closed(page, faults)


async def test_leaving_the_page_leaves_the_call(browser: Browser, live: LiveGateway) -> None:
    page, faults = await shown(browser, live)
    supervisor = await listening(live, page)
    await page.get_by_role("link", name="All calls").click()
    await until(lambda: supervisor.has_left)
    await closed(page, faults)


@pytest.mark.parametrize(("key", "view"), [(KEY, "call/call_1"), (OPERATOR_KEY, "wall")])
async def test_who_may_only_look_is_shown_none_of_it(
    browser: Browser, live: LiveGateway, key: str, view: str
) -> None:
    live.signed_in = False
    page, faults = await opened(browser, live, view, key=key)
    await expect(page.locator("live-call h2, live-overview .value").first).to_be_visible()
    loaded = "performance.getEntriesByType('resource').map(({ name }) => name)"
    assert not any("/supervision-" in name for name in await page.evaluate(loaded))
    await expect(page.locator("live-supervision")).to_have_count(0)
    await closed(page, faults)


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_is_accessible(
    browser: Browser, live: LiveGateway, width: int, scheme: Literal["light", "dark"]
) -> None:
    live.most = "whisper"
    size: Any = {"width": width, "height": 800}
    page, faults = await shown(browser, live, viewport=size, color_scheme=scheme)
    await listening(live, page)
    await page.get_by_label("Whisper").check()
    await expect(said(page)).to_have_text(re.compile("The caller hears you now"))
    results = await Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert [each["id"] for each in results.response["violations"]] == []
    assert await page.evaluate(SIDEWAYS) == 0
    await closed(page, faults)
