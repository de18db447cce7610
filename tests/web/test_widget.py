"""The button in other people's pages: what they may forbid, what it asks of them, what it keeps."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Playwright, Route, expect

from tests.e2e import browser as browsers
from tests.web.fake_embed import BUTTON, problem, status
from tests.web.fake_gateway import STATIC, until
from tests.web.visits import Visit, visiting

pytestmark = pytest.mark.asyncio(loop_scope="session")

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

STRICT = (
    "default-src 'self'; script-src 'self' {gateway}; frame-src {gateway}; style-src 'self';"
    " require-trusted-types-for 'script'"
)


def integrity() -> str:
    """Return the digest of the loader, as a page states it."""
    digest = hashlib.sha384((STATIC / "loader.js").read_bytes()).digest()
    return f"sha384-{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("headers", "proof"),
    [
        ({}, ""),
        ({"Content_Security_Policy": STRICT}, "right"),
        ({"Permissions_Policy": 'microphone=(self "{gateway}")'}, ""),
        ({"Cross_Origin_Embedder_Policy": "require-corp"}, ""),
        ({"Cross_Origin_Embedder_Policy": "credentialless"}, ""),
    ],
    ids=["no policy", "strict policy", "microphone lent", "require-corp", "credentialless"],
)
async def test_a_call_from_a_page_that_allows_it(
    visit: Visit, headers: dict[str, str], proof: str
) -> None:
    pages = visit.site.pages
    url = pages.add("/allowed", integrity=proof and integrity(), **headers)
    await visit.page.goto(url)
    await visit.call()
    line = visit.site.gateway.line
    await until(lambda: len(line.frames) > 25)
    await visit.frame.get_by_role("button", name="Hang up").click()
    await expect(visit.status).to_have_text("Call ended")
    assert line.of_type("hangup")
    told = await visit.events()
    assert [event["name"] for event in told] == ["connecting", "ringing", "accept", "ended"]
    assert told[-1]["outcome"] == "answered"


_REFUSED = (
    ("frame-src missing", {"Content_Security_Policy": STRICT.replace("frame-src {gateway};", "")}),
    ("not on the list", {}),
)


@pytest.mark.parametrize(("why", "headers"), _REFUSED, ids=[why for why, _ in _REFUSED])
async def test_where_no_frame_may_open_a_link_leads_to_our_page(
    visit: Visit, why: str, headers: dict[str, str]
) -> None:
    gateway = visit.site.gateway
    if why == "not on the list":
        gateway.origins = "https://elsewhere.example"
    await visit.page.goto(visit.site.pages.add("/refused", **headers))
    await visit.button.click()
    await expect(visit.link).to_be_focused()
    await expect(visit.link).to_have_text("Call us ↗")
    assert (await visit.link.get_attribute("href")).startswith(f"{gateway.origin}/c/{BUTTON}#")
    await expect(visit.page.locator("iframe")).to_have_count(0)
    assert {"name": "error", "code": "frame-blocked"} in await visit.events()
    # The browser says so in the console as well, for whoever looks after the page.
    assert visit.faults
    visit.faults.clear()


async def test_a_slow_network_is_no_refusal(visit: Visit) -> None:
    page = visit.page
    await page.clock.install()
    held: list[Route] = []
    asked = asyncio.Event()

    async def hold(route: Route) -> None:
        held.append(route)
        asked.set()

    frames = f"{visit.site.gateway.origin}/embed/{BUTTON}"
    await page.route(frames, hold)
    await page.goto(visit.site.pages.add("/slow"))
    await visit.button.click()
    await asked.wait()
    await page.clock.fast_forward(15_000)
    await expect(visit.link).to_have_count(0)
    await held.pop().continue_()
    await expect(visit.status).to_have_text("Ready to call")
    await page.clock.fast_forward(60_000)
    await expect(visit.status).to_have_text("Ready to call")
    assert await visit.events() == []


async def test_a_frame_that_did_not_come_is_asked_for_again_by_the_next_click(visit: Visit) -> None:
    page = visit.page
    await page.clock.install()
    asked = asyncio.Event()

    async def hold(_route: Route) -> None:
        asked.set()

    frames = f"{visit.site.gateway.origin}/embed/{BUTTON}"
    await page.route(frames, hold)
    await page.goto(visit.site.pages.add("/lost"))
    await visit.button.click()
    await asked.wait()
    await page.clock.fast_forward(20_000)
    await page.clock.fast_forward(20_000)
    await expect(visit.link).to_be_focused()
    assert {"name": "error", "code": "frame-blocked"} in await visit.events()
    await page.unroute(frames)
    await visit.call()
    await expect(visit.link).to_have_count(0)


async def test_a_button_that_is_in_no_page_says_so_and_calls_once_it_is(visit: Visit) -> None:
    page = visit.page
    await page.goto(visit.site.pages.add("/apart"))
    await expect(visit.button).to_be_visible()
    said = await page.evaluate("""() => {
      window.apart = document.querySelector('caller-button');
      window.apart.remove();
      try { window.apart.call(); } catch (error) { return `${error}`; }
    }""")
    assert said == "Error: not connected"
    await page.evaluate("() => document.body.append(window.apart)")
    await visit.call()


async def test_where_our_script_is_not_what_it_should_be_the_link_within_stays(
    visit: Visit,
) -> None:
    wrong = f"sha384-{base64.b64encode(bytes(48)).decode()}"
    await visit.page.goto(visit.site.pages.add("/wrong", integrity=wrong))
    await expect(visit.page.get_by_role("link", name="Call us")).to_be_visible()
    await expect(visit.button).to_have_count(0)
    assert "integrity" in visit.faults.pop()


@pytest.mark.parametrize("policy", ["microphone=()", "microphone=(self)"])
async def test_where_the_microphone_is_kept_from_frames_the_phone_says_so(
    visit: Visit, policy: str
) -> None:
    await visit.page.goto(visit.site.pages.add("/deaf", Permissions_Policy=policy))
    await visit.button.click()
    await expect(visit.status).to_have_text("This page keeps the microphone from the phone")
    link = visit.frame.get_by_role("link", name="Call from a page of its own")
    assert await link.get_attribute("href") == f"{visit.site.gateway.origin}/c/{BUTTON}"
    assert await link.get_attribute("target") == "_blank"
    assert (await visit.events())[-1]["code"] == "blocked_by_page"


async def test_a_page_that_stands_still_disturbs_no_call(visit: Visit) -> None:
    pages, gateway = visit.site.pages, visit.site.gateway
    await visit.page.goto(pages.add("/still"))
    await visit.call()
    # Holds the page's main thread until the answer comes.
    wait = (
        "() => { const ask = new XMLHttpRequest(); ask.open('GET', '/gate', false); ask.send(); }"
    )
    still = asyncio.create_task(visit.page.evaluate(wait))
    before = len(gateway.line.frames)
    await until(lambda: len(gateway.line.frames) > before + 100)
    assert not still.done()
    pages.gate.set()
    await still


async def test_nothing_is_asked_for_before_the_click_and_nothing_is_kept_after(
    visit: Visit,
) -> None:
    site, page = visit.site, visit.page
    url = site.pages.add("/quiet")
    await page.goto(url)
    await expect(visit.button).to_be_visible()
    await page.mouse.move(20, 20)
    await visit.button.hover()
    await page.wait_for_load_state("networkidle")
    assert visit.requests == [url, f"{site.gateway.origin}/embed/v1.js"]
    await visit.call()
    await until(lambda: site.gateway.line.frames)
    await visit.frame.get_by_role("button", name="Hang up").click()
    await expect(visit.status).to_have_text("Call ended")
    homes = (site.gateway.origin, site.pages.origin)
    assert [url for url in visit.requests if not url.startswith(homes)] == []
    assert not any("language" in address for address in site.gateway.addresses)
    assert await page.context.cookies() == []
    kept = """async () => [document.cookie, localStorage.length, sessionStorage.length,
      (await indexedDB.databases()).length, (await caches.keys()).length]"""
    for frame in page.frames:
        assert await frame.evaluate(kept) == ["", 0, 0, 0, 0]


_HOSTILE: list[Any] = [
    None,
    7,
    "close",
    {"caller": 1},
    {"caller": 1, "type": "close"},
    {"caller": 2, "type": "close"},
    {"caller": 1, "type": "size", "height": "9999"},
    {"caller": 1, "type": "accept", "__proto__": {"polluted": True}},
    {"caller": 1, "type": "ended", "outcome": "answered", "seconds": 1},
]


async def test_messages_of_strangers_change_nothing(visit: Visit) -> None:
    page = visit.page
    await page.goto(visit.site.pages.add("/hostile", "<iframe id=stranger srcdoc=''></iframe>"))
    await visit.call()
    told = await visit.events()
    say = """(messages) => { for (const message of messages) {
      window.postMessage(message, '*');
      document.getElementById('stranger').contentWindow.eval(
        `parent.postMessage(${JSON.stringify(message)}, '*')`);
    } }"""
    await page.evaluate(say, _HOSTILE)
    # The same from a page of the gateway's own origin that is not the frame, from what has taken
    # the frame's place, and from a frame of another version.
    forged = """([messages, origin]) => {
      const frame = document.querySelector('caller-button').shadowRoot.querySelector('iframe');
      const fire = (data, origin, source) =>
        window.dispatchEvent(new MessageEvent('message', { data, origin, source }));
      for (const data of messages) {
        fire(data, origin, window);
        fire(data, 'https://elsewhere.example', frame.contentWindow);
        if (data?.caller === 1) fire({ ...data, caller: 2 }, origin, frame.contentWindow);
      }
    }"""
    await page.evaluate(forged, [_HOSTILE, visit.site.gateway.origin])
    # And to the frame, from a window that is not the one around it.
    inward = """(messages) => messages.forEach((message) => document.getElementById('stranger')
      .contentWindow.eval(`parent.document.querySelector('caller-button').shadowRoot
      .querySelector('iframe').contentWindow.postMessage(${JSON.stringify(message)}, '*')`))"""
    await page.evaluate(inward, [*_HOSTILE, {"caller": 1, "type": "hang-up"}])
    moved = """(origin) => {
      const data = { caller: 1, type: 'hang-up' };
      const fire = (data, origin) =>
        window.dispatchEvent(new MessageEvent('message', { data, origin, source: parent }));
      fire(data, 'https://elsewhere.example');
      fire({ ...data, caller: 2 }, origin);
    }"""
    await page.frames[-1].evaluate(moved, visit.site.pages.origin)
    await expect(visit.status).to_have_text("In call")
    assert await visit.events() == told
    assert await page.evaluate("() => ({}).polluted") is None
    await until(lambda: len(visit.site.gateway.line.frames) > 100)
    assert not visit.site.gateway.line.of_type("hangup")


async def test_the_page_around_may_hang_up(visit: Visit) -> None:
    await visit.page.goto(visit.site.pages.add("/hangs-up"))
    await visit.call()
    await visit.page.evaluate("() => document.querySelector('caller-button').hangUp()")
    await expect(visit.status).to_have_text("Call ended")


async def test_a_page_whose_prototypes_are_spoiled_still_calls(visit: Visit) -> None:
    spoil = (
        "Object.prototype.type = 'close'; Object.prototype.caller = 1; Array.prototype.extra = 1;"
    )
    await visit.page.add_init_script(spoil)
    await visit.page.goto(visit.site.pages.add("/spoiled"))
    await visit.call()


async def test_of_two_buttons_one_calls_at_a_time(visit: Visit) -> None:
    other = f'<caller-button id="other" key="{BUTTON}" label="The other"></caller-button>'
    page = visit.page
    await page.goto(visit.site.pages.add("/two", other))
    first, second = await page.locator("caller-button button").all()
    await first.click()
    await expect(page.locator("iframe")).to_have_count(1)
    await expect(visit.frame.get_by_role("button", name="Call now")).to_be_visible()
    await second.click()
    await expect(page.locator("iframe")).to_have_count(1)
    await expect(page.locator("#other iframe")).to_be_visible()
    await visit.frame.get_by_role("button", name="Call now").click()
    await expect(visit.status).to_have_text("In call")
    await first.click()
    await expect(page.locator("#other iframe")).to_be_visible()
    await expect(visit.status).to_have_text("In call")
    assert len(visit.site.gateway.lines) == 1


async def test_a_button_without_words_is_called_by_the_title_of_its_page(visit: Visit) -> None:
    bare = f'<caller-button key="{BUTTON}"> </caller-button>'
    await visit.page.goto(visit.site.pages.add("/bare", button=bare))
    await expect(visit.button).to_have_accessible_name("☎ Shop")
    await expect(visit.button).to_have_text("☎")
    await visit.button.click()
    await expect(visit.page.locator("iframe")).to_have_attribute("title", "☎ Shop")
    await visit.page.locator("caller-button").first.evaluate(
        "(e) => e.setAttribute('label', 'Hola')"
    )
    await expect(visit.button.first).to_have_accessible_name("Hola")


async def test_a_thousand_buttons_ask_for_one_script(visit: Visit) -> None:
    many = f'<caller-button key="{BUTTON}" label="Call"></caller-button>' * 1000
    await visit.page.goto(visit.site.pages.add("/thousand", many))
    await expect(visit.page.locator("caller-button button")).to_have_count(1001)
    assert len(visit.requests) == 2
    await visit.page.locator("caller-button button").last.click()
    await expect(visit.frame.get_by_role("button", name="Call now")).to_be_focused()


async def test_the_focus_goes_into_the_phone_and_comes_back(visit: Visit) -> None:
    page = visit.page
    await page.goto(visit.site.pages.add("/focus"))
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(visit.frame.get_by_role("button", name="Call now")).to_be_focused()
    results = await Axe().run(page, options={"runOnly": {"type": "tag", "values": WCAG}})
    assert results.violations_count == 0, results.generate_report()
    await page.keyboard.press("Escape")
    await expect(page.locator("iframe")).to_have_count(0)
    await expect(visit.button).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(visit.frame.get_by_role("button", name="Call now")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(visit.status).to_have_text("In call")
    # A call under way is put away, not ended, and comes back by the button.
    await page.keyboard.press("Escape")
    await expect(page.locator("iframe")).to_be_hidden()
    await expect(visit.button).to_be_focused()
    await expect(page.locator("caller-button[live]")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(page.locator("iframe")).to_be_visible()
    await expect(visit.status).to_have_text("In call")


async def test_a_page_left_in_a_call_ends_it_and_can_call_again_on_return(visit: Visit) -> None:
    page, gateway = visit.page, visit.site.gateway
    there = visit.site.pages.add("/there")
    await page.goto(visit.site.pages.add("/left"))
    await visit.call()
    line = gateway.line
    await page.goto(there)
    await until(lambda: line.of_type("hangup") or line.close_code is not None)
    await page.go_back()
    await page.reload()
    await visit.call()
    assert gateway.line is not line


async def test_a_page_that_comes_back_as_it_was_calls(
    visit: Visit, playwright: Playwright, microphone: Path
) -> None:
    # Only a whole browser keeps pages for the way back.
    browser = await browsers.launch(
        playwright, microphone=microphone, without=("--disable-back-forward-cache",)
    )
    kept, pages = await visiting(visit.site, browser), visit.site.pages
    there = pages.add("/elsewhere")
    # The page acts by itself: of one that has been kept, the driver sees nothing.
    returns = """<script>addEventListener('pageshow', ({ persisted }) => {
      if (!persisted) return;
      const button = document.querySelector('caller-button');
      button.close();
      button.setAttribute('start', 'at-once');
      button.call();
    });</script>"""
    await kept.page.goto(pages.add("/kept", returns))
    await kept.button.click()
    await expect(kept.frame.get_by_role("button", name="Call now")).to_be_visible()
    await kept.page.goto(there)
    await kept.page.evaluate("() => history.back()")
    await until(lambda: visit.site.gateway.lines)
    assert pages.addresses.count("/kept") == 1
    await browser.close()


async def test_a_button_of_the_pages_own(visit: Visit) -> None:
    own = """<button id="own">Talk</button>"""
    page, gateway = visit.page, visit.site.gateway
    await page.goto(visit.site.pages.add("/own", own, button=" "))
    await page.evaluate(
        """async ([loader, key]) => {
          const { Caller } = await import(loader);
          const phone = Caller.button({ key, language: 'de', theme: 'dark' });
          document.getElementById('own').onclick = () => phone.call();
        }""",
        [f"{gateway.origin}/embed/v1.js", BUTTON],
    )
    await page.locator("#own").click()
    await expect(visit.status).to_have_text("Bereit")
    assert await visit.frame.locator("html").get_attribute("data-theme") == "dark"
    assert await visit.frame.locator("html").get_attribute("lang") == "de"
    await page.keyboard.press("Escape")
    await expect(page.locator("#own")).to_be_focused()


async def test_a_call_that_the_owner_signs_needs_no_proof(visit: Visit) -> None:
    page, gateway = visit.page, visit.site.gateway
    await page.goto(visit.site.pages.add("/signed"))
    solved = len(gateway.solutions)
    await page.evaluate(
        """() => {
          document.querySelector('caller-button').token = async () => ({ token: 'of_the_owner' });
        }"""
    )
    await visit.call()
    assert gateway.signed == ["of_the_owner"]
    assert len(gateway.solutions) == solved
    assert gateway.hosts[-1] == visit.site.pages.origin


@pytest.mark.parametrize("is_closed_before", [True, False])
async def test_a_page_is_told_once_that_the_button_is_closed(
    visit: Visit, is_closed_before: bool
) -> None:
    """Whether it closes before the phone is opened or before the call is placed."""
    gateway = visit.site.gateway
    await visit.page.goto(visit.site.pages.add("/closed"))
    open_now, closed = gateway.status, status(state="closed", opens_at="2026-11-30T08:00:00Z")
    if is_closed_before:
        gateway.status = closed
    await visit.button.click()
    if not is_closed_before:
        await expect(visit.status).to_have_text("Ready to call")
        gateway.status = closed
        gateway.refusals.append(problem("button_closed", 409))
        await visit.frame.get_by_role("button", name="Call now").click()
    await expect(visit.status).to_have_text("Closed now")
    if not is_closed_before:
        assert "409" in visit.faults.pop()
    gateway.status = open_now
    told = [each for each in await visit.events() if each["name"] != "connecting"]
    error, *ended = told
    assert (error["name"], error["code"], error["retry"]) == ("error", "button_closed", False)
    # A call that was connecting has ended as well.
    assert [(each["name"], each["outcome"], each["seconds"], each["cost"]) for each in ended] == (
        [] if is_closed_before else [("ended", "failed", 0, None)]
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("too_many_calls", "All lines are in use"),
        ("gateway_unreachable", "No answer from the phone service"),
        # What is between the owner and the gateway.
        ("insufficient_credit", "This button takes no calls right now"),
        ("scope_missing", "This button takes no calls right now"),
    ],
)
async def test_what_the_owners_back_end_was_refused_for_is_said(
    visit: Visit, code: str, said: str
) -> None:
    page, gateway = visit.page, visit.site.gateway
    await page.goto(visit.site.pages.add("/refused-signing"))
    solved = len(gateway.solutions)
    sign = """(code) => { document.querySelector('caller-button').token =
      () => ({ status: 403, code, title: 'Top up.' }); }"""
    await page.evaluate(sign, code)
    await visit.button.click()
    await visit.frame.get_by_role("button", name="Call now").click()
    await expect(visit.status).to_have_text(said)
    # Nobody works for a call that there will not be.
    assert (len(gateway.solutions), gateway.signed) == (solved, [])


async def test_a_page_may_have_the_click_call_at_once(visit: Visit) -> None:
    button = f'<caller-button key="{BUTTON}" label="Call" start="at-once"></caller-button>'
    await visit.page.goto(visit.site.pages.add("/at-once", button=button))
    await visit.button.click()
    await expect(visit.status).to_have_text("In call")


async def test_terms_are_accepted_first(visit: Visit) -> None:
    terms = 'terms="https://shop.example/terms" start="at-once"'
    button = f'<caller-button key="{BUTTON}" label="Call" {terms}></caller-button>'
    await visit.page.goto(visit.site.pages.add("/terms", button=button))
    await visit.button.click()
    call = visit.frame.get_by_role("button", name="Call now")
    await call.click()
    await expect(visit.frame.get_by_role("alert")).to_contain_text(["Accept the terms first."])
    link = visit.frame.get_by_role("link", name="terms")
    assert await link.get_attribute("href") == "https://shop.example/terms"
    assert visit.site.gateway.lines == []
    await visit.frame.get_by_role("checkbox").check()
    await call.click()
    await expect(visit.status).to_have_text("In call")


async def test_a_script_is_no_address_of_terms(visit: Visit) -> None:
    terms = 'terms="javascript:alert(1)"'
    button = f'<caller-button key="{BUTTON}" label="Call" {terms}></caller-button>'
    await visit.page.goto(visit.site.pages.add("/script", button=button))
    await visit.button.click()
    await expect(visit.frame.get_by_role("button", name="Call now")).to_be_visible()
    await expect(visit.frame.get_by_role("checkbox")).to_have_count(0)


async def test_looks_are_the_pages_to_choose(visit: Visit) -> None:
    style = """<style>caller-button { --caller-color: rgb(120, 0, 120); }
      caller-button::part(button) { text-transform: uppercase; }</style>"""
    floating = f'<caller-button key="{BUTTON}" label="Call" placement="floating"></caller-button>'
    page = visit.page
    await page.goto(visit.site.pages.add("/looks", style, button=floating))
    looks = "(b) => [getComputedStyle(b).backgroundColor, getComputedStyle(b).textTransform]"
    assert await visit.button.evaluate(looks) == ["rgb(120, 0, 120)", "uppercase"]
    side = "(b) => innerWidth - b.getBoundingClientRect().right"
    assert await visit.button.evaluate(side) == 16
    await page.evaluate("() => { document.documentElement.dir = 'rtl'; }")
    assert await visit.button.evaluate("(b) => b.getBoundingClientRect().left") == 16
    await visit.button.evaluate("(b) => b.getRootNode().host.setAttribute('label', 'Talk')")
    await expect(visit.button).to_have_text("Talk")
