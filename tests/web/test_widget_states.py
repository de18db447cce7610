"""The phone behind a button, state by state: each says what to do, to everybody."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, expect

from gateway.words.languages import LANGUAGES
from tests.web.conftest import async_fixture
from tests.web.fake_embed import BUTTON, FakeEmbedGateway, problem, status
from tests.web.fake_gateway import until
from tests.web.test_accessibility import RULES, SIDEWAYS, TARGET_PX
from tests.web.visits import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")


@async_fixture
async def gateway(site: Site) -> FakeEmbedGateway:
    site.forget()
    return site.gateway


@async_fixture
async def visitors(site: Site) -> Browser:
    return site.browser


async def open_phone(
    visitors: Browser,
    gateway: FakeEmbedGateway,
    *,
    key: str = BUTTON,
    script: str = "",
    **options: Any,
) -> Page:
    """Open a button's page of its own; the options are Playwright's."""
    context = await visitors.new_context(**{"locale": "en-US", "timezone_id": "UTC", **options})
    if script:
        await context.add_init_script(script)
    page = await context.new_page()
    await page.goto(f"{gateway.origin}/c/{key}")
    return page


_SMALL = """(least) => [...document.querySelectorAll('button, label, .button')]
  .map((control) => control.getBoundingClientRect())
  .filter(({ width, height }) => width && (width < least || height < least)).length"""


async def check(page: Page) -> None:
    """Fail on anything axe finds, on sideways scrolling and on small targets."""
    results = await Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert results.violations_count == 0, results.generate_report()
    assert await page.evaluate(SIDEWAYS) == 0
    # Links within a sentence are as high as its lines (WCAG 2.2, 2.5.8: inline).
    assert await page.evaluate(_SMALL, TARGET_PX) == 0


def says(page: Page) -> Any:
    """The line that says how the phone stands."""
    return page.locator(".status")


async def press(page: Page, name: str) -> None:
    """Press a button."""
    await page.get_by_role("button", name=name, exact=True).click()


async def call(page: Page) -> None:
    """Call and wait for the answer."""
    await press(page, "Call now")
    await expect(says(page)).to_have_text("In call")


@pytest.mark.parametrize(
    ("changes", "said", "next_step"),
    [
        (
            {"state": "closed", "opens_at": "2026-11-30T08:00:00Z"},
            "Closed now",
            "Calls are taken again from Monday, November 30 at 8:00 AM, your time.",
        ),
        ({"state": "closed"}, "Closed now", "No calls are taken for now. Come back another day."),
        ({"state": "paused"}, "No calls are taken right now", "Please try again later."),
        (
            {"state": "unavailable"},
            "This button takes no calls right now",
            "Please reach them in another way.",
        ),
    ],
)
async def test_a_button_that_takes_no_calls_says_when_or_what_else(
    visitors: Browser,
    gateway: FakeEmbedGateway,
    changes: dict[str, Any],
    said: str,
    next_step: str,
) -> None:
    gateway.status = status(**changes)
    page = await open_phone(visitors, gateway)
    await expect(says(page)).to_have_text(said)
    await expect(page.get_by_text(next_step)).to_be_visible()
    gateway.status = status()
    await press(page, "Try again")
    await expect(says(page)).to_have_text("Ready to call")
    await page.context.close()


async def test_hours_are_told_on_both_clocks(visitors: Browser, gateway: FakeEmbedGateway) -> None:
    gateway.status = status(state="closed", opens_at="2026-11-30T08:00:00Z")
    page = await open_phone(visitors, gateway, timezone_id="America/New_York")
    await expect(page.get_by_text("November 30 at 3:00 AM, your time.")).to_be_visible()
    await expect(page.get_by_text("November 30 at 9:00 AM in Berlin.")).to_be_visible()
    hours = page.locator("dl")
    # Joined: no line ends between the two times of a span.
    joined = "\u2060–\u2060"
    spans = f"9:00 AM{joined}12:00 PM, 1:00 PM{joined}5:00 PM"
    await expect(hours).to_contain_text(f"Mon{spans}")
    await expect(hours).to_contain_text("Sunclosed")
    await page.context.close()
    page = await open_phone(visitors, gateway, timezone_id="Europe/Paris")
    await expect(page.get_by_text("November 30 at 9:00 AM, your time.")).to_be_visible()
    await expect(page.get_by_text("in Berlin.")).to_have_count(0)
    await page.context.close()


async def test_a_button_that_is_gone_is_said_to_be(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    page = await open_phone(visitors, gateway, key="pk_live_gone")
    await expect(says(page)).to_have_text("This button does not exist any more")
    await expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    await page.context.close()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("button_busy", "All lines are in use"),
        ("budget_reached", "No more calls are taken for now"),
        ("button_paused", "No calls are taken right now"),
        ("button_unavailable", "This button takes no calls right now"),
        ("challenge_used", "The check before the call failed"),
        ("human_check_failed", "We could not confirm that you are a person"),
        ("never_heard_of", "Something went wrong"),
    ],
)
async def test_a_refused_call_can_be_tried_again(
    visitors: Browser, gateway: FakeEmbedGateway, code: str, said: str
) -> None:
    gateway.refusals.append(problem(code))
    page = await open_phone(visitors, gateway)
    solved = len(gateway.solutions)
    await press(page, "Call now")
    await expect(says(page)).to_have_text(said)
    await press(page, "Try again")
    await expect(says(page)).to_have_text("In call")
    # Each try solves a challenge of its own.
    assert len({solution["salt"] for solution in gateway.solutions[solved:]}) == 2
    await page.context.close()


async def test_clicks_of_a_program_within_one_task_make_one_call(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    page = await open_phone(visitors, gateway)
    lines = len(gateway.lines)
    await page.get_by_role("button", name="Call now").evaluate(
        "(go) => { go.click(); go.click(); go.click(); }"
    )
    await expect(says(page)).to_have_text("In call")
    await press(page, "Hang up")
    await expect(says(page)).to_have_text("Call ended")
    assert len(gateway.lines) == lines + 1
    await page.context.close()


async def test_who_has_called_too_often_learns_how_long_to_wait(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    gateway.refusals.append(problem("button_limited", 429, **{"Retry-After": "754"}))
    page = await open_phone(visitors, gateway)
    await press(page, "Call now")
    await expect(says(page)).to_have_text("Too many calls from here")
    await expect(page.get_by_text("Please try again in 12:34.")).to_be_visible()
    await page.context.close()


_NOTE_SOUND = """const resume = AudioContext.prototype.resume;
AudioContext.prototype.resume = async function () {
  await resume.call(this);
  window.resumed = (window.resumed ?? 0) + 1;
};"""


async def test_a_slow_phone_may_take_its_time_over_a_challenge(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    page = await open_phone(visitors, gateway, script=_NOTE_SOUND)
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    await page.route("**/solver-*.js", hold)
    await page.clock.install()
    await press(page, "Call now")
    # Microphone and sound are there: the call waits for nothing but the solution.
    await page.wait_for_function("() => window.resumed === 2")
    await page.clock.fast_forward(50_000)
    await expect(says(page)).to_have_text("Connecting…")
    held.set()
    await expect(says(page)).to_have_text("In call")
    await page.context.close()


async def test_who_hangs_up_works_for_the_call_no_longer(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    # Minutes of work.
    gateway.numbers = 10**9
    page = await open_phone(visitors, gateway)
    async with page.expect_event("worker", lambda worker: "/solver-" in worker.url) as solver:
        await press(page, "Call now")
    worker = await solver.value
    async with worker.expect_event("close"):
        await press(page, "Hang up")
    await expect(says(page)).to_have_text("Call ended")
    await page.context.close()


async def test_a_link_to_the_page_of_a_button_calls_nobody_by_itself(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    page = await open_phone(visitors, gateway, key=f"{BUTTON}#start=at-once")
    await expect(page.get_by_role("button", name="Call now")).to_be_focused()
    await press(page, "Call now")
    await expect(says(page)).to_have_text("In call")
    assert len(gateway.lines) == 1
    await page.context.close()


async def test_a_button_that_has_closed_meanwhile_says_when_it_opens(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    page = await open_phone(visitors, gateway)
    await expect(says(page)).to_have_text("Ready to call")
    gateway.refusals.append(problem("button_closed"))
    gateway.status = status(state="closed", opens_at="2026-11-30T08:00:00Z")
    await press(page, "Call now")
    await expect(says(page)).to_have_text("Closed now")
    await page.context.close()


_REJECT = """void (navigator.mediaDevices.getUserMedia = () =>
  Promise.reject(new DOMException('', '{name}')));"""


@pytest.mark.parametrize(
    ("script", "said", "can_retry"),
    [
        (_REJECT.replace("{name}", "NotAllowedError"), "The microphone is not allowed", True),
        (_REJECT.replace("{name}", "NotFoundError"), "No microphone was found", True),
        (_REJECT.replace("{name}", "NotReadableError"), "The microphone is in use", True),
        ("delete window.AudioWorkletNode;", "This browser cannot place calls", False),
    ],
    ids=["refused", "missing", "taken", "unsupported"],
)
async def test_where_this_machine_cannot_another_may(
    visitors: Browser, gateway: FakeEmbedGateway, script: str, said: str, *, can_retry: bool
) -> None:
    page = await open_phone(visitors, gateway, script=script)
    await press(page, "Call now")
    await expect(says(page)).to_have_text(said)
    await expect(page.get_by_role("img")).to_have_attribute(
        "src", f"{gateway.origin}/c/{BUTTON}/qr.svg"
    )
    await expect(page.get_by_role("button", name="Try again")).to_have_count(int(can_retry))
    assert gateway.lines == []
    await page.context.close()


async def test_who_was_offline_is_told_of_the_network_and_calls_by_a_click_alone(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    page = await open_phone(visitors, gateway)
    await expect(says(page)).to_have_text("Ready to call")
    # A page that has all its files, as one in a train has.
    await call(page)
    await press(page, "Hang up")
    await page.context.set_offline(offline=True)
    await press(page, "Call again")
    await expect(says(page)).to_have_text("You are offline")
    await expect(page.get_by_role("button", name="Try again")).to_be_visible()
    # Who writes elsewhere meanwhile keeps the focus: their space bar must not call.
    await page.evaluate("document.activeElement.blur()")
    before = len(gateway.addresses)
    await page.context.set_offline(offline=False)
    await expect(says(page)).to_have_text("You are online again")
    await expect(page.get_by_role("button", name="Call now")).not_to_be_focused()
    assert gateway.addresses[before:] == [f"/v1/embed/{BUTTON}?"]
    assert len(gateway.lines) == 1
    await call(page)
    assert len(gateway.lines) == 2
    await page.context.close()


async def test_who_has_gone_on_is_not_called_back_by_the_network(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    page = await open_phone(visitors, gateway)
    await call(page)
    await press(page, "Hang up")
    await page.context.set_offline(offline=True)
    await press(page, "Call again")
    await expect(says(page)).to_have_text("You are offline")
    looked: asyncio.Future[Route] = asyncio.get_running_loop().create_future()

    async def hold(route: Route) -> None:
        looked.set_result(route)

    await page.route(f"**/v1/embed/{BUTTON}", hold)
    await page.context.set_offline(offline=False)
    held = await looked
    await press(page, "Try again")
    await expect(says(page)).to_have_text("In call")
    async with page.expect_response(f"**/v1/embed/{BUTTON}"):
        await held.continue_()
    await expect(says(page)).to_have_text("In call")
    await page.context.close()


async def test_a_gateway_that_does_not_answer_is_asked_again(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    gateway.is_away = True
    page = await open_phone(visitors, gateway)
    await expect(says(page)).to_have_text("No answer from the phone service")
    gateway.is_away = False
    await press(page, "Try again")
    await expect(says(page)).to_have_text("Ready to call")
    await page.context.close()


@pytest.mark.parametrize(
    ("ending", "said", "next_step"),
    [
        ({"cause": 17}, "The line is busy", "Call again in a few minutes."),
        ({"cause": 19}, "No answer", "Call again later."),
        ({"cause": 21}, "The call was declined", "Call again later."),
        ({"cause": 41}, "The call could not be connected", "Call again in a moment."),
        ({"cause": 504}, "The button was closed", "Please try again later."),
    ],
)
async def test_an_unanswered_call_says_why(
    visitors: Browser,
    gateway: FakeEmbedGateway,
    ending: dict[str, Any],
    said: str,
    next_step: str,
) -> None:
    gateway.answers = False
    page = await open_phone(visitors, gateway)
    await press(page, "Call now")
    await expect(says(page)).to_have_text("Ringing…")
    await gateway.line.end(**ending)
    await expect(says(page)).to_have_text(said)
    await expect(page.get_by_text(next_step)).to_be_visible()
    await page.context.close()


@pytest.mark.parametrize(
    ("cut_off", "said"),
    [
        ("duration", "The call reached its time limit"),
        ("credit", "The call had to end here"),
        ("cap", "The call had to end here"),
    ],
)
async def test_the_end_is_announced_and_explained_without_money(
    visitors: Browser, gateway: FakeEmbedGateway, cut_off: str, said: str
) -> None:
    page = await open_phone(visitors, gateway)
    await call(page)
    line = gateway.line
    await line.send("credit-warning", seconds_left=30, cause=cut_off)
    alert = page.get_by_role("alert")
    again = " You can call again then." if cut_off == "duration" else ""
    await expect(alert).to_have_text(f"This call ends in 0:30.{again}")
    seen = page.locator("p.alert").filter(has_text="This call ends")
    await expect(seen).to_contain_text(re.compile(r"0:2[0-8]"))
    await expect(alert).to_contain_text("0:30")
    await line.end(602, "gateway", cut_off=cut_off)
    await expect(says(page)).to_have_text(said)
    await expect(alert).to_have_text("")
    is_spent = cut_off != "duration"
    await expect(page.get_by_role("button", name="Call again")).to_have_count(int(not is_spent))
    await expect(page.get_by_text("Calls are taken again later.")).to_have_count(int(is_spent))
    assert "$" not in await page.inner_text("main")
    await page.context.close()


async def test_a_call_is_muted_and_keys_are_pressed(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    page = await open_phone(visitors, gateway)
    await call(page)
    line = gateway.line
    mute = page.get_by_role("button", name="Mute")
    await mute.click()
    await expect(mute).to_have_attribute("aria-pressed", "true")
    await expect(says(page)).to_have_text("In call, muted")
    await until(lambda: line.of_type("mute"))
    await press(page, "Keypad")
    await press(page, "Key 4")
    await page.keyboard.press("#")
    await page.keyboard.press("x")
    await expect(page.get_by_text("Sent: 4#")).to_be_visible()
    assert "".join(message["digits"] for message in line.of_type("dtmf")) == "4#"
    await line.sample(2.0)
    await expect(page.get_by_text("Line: poor")).to_be_visible()
    await page.context.close()


async def test_a_lost_connection_is_got_back(visitors: Browser, gateway: FakeEmbedGateway) -> None:
    page = await open_phone(visitors, gateway)
    await call(page)
    gateway.cut()
    await expect(says(page)).to_have_text("No connection. Getting it back…")
    await expect(says(page)).to_have_text("In call")
    assert gateway.line.start["type"] == "resume"
    await page.context.close()


async def test_a_test_button_says_so(visitors: Browser, gateway: FakeEmbedGateway) -> None:
    gateway.status = status(mode="test")
    page = await open_phone(visitors, gateway)
    await expect(page.get_by_text("Test: you will hear yourself")).to_be_visible()
    await page.context.close()


@pytest.mark.parametrize(
    ("language", "ready", "consent"),
    [("de-AT", "Bereit", "hier wird sie nie aufgezeichnet"), ("es", "Listo", "nunca se graba")],
)
async def test_visitors_read_their_own_language(
    visitors: Browser, gateway: FakeEmbedGateway, language: str, ready: str, consent: str
) -> None:
    page = await open_phone(visitors, gateway, locale=language)
    await expect(says(page)).to_contain_text(ready)
    await expect(page.get_by_text(consent)).to_be_visible()
    assert await page.get_attribute("html", "lang") == language
    await page.context.close()


@pytest.mark.parametrize(("width", "scheme"), [(280, "light"), (1280, "dark")])
async def test_every_state_is_for_everybody(
    visitors: Browser, gateway: FakeEmbedGateway, width: int, scheme: Literal["light", "dark"]
) -> None:
    options: dict[str, Any] = {"viewport": {"width": width, "height": 640}, "color_scheme": scheme}
    gateway.status = status(state="closed", opens_at="2026-11-30T08:00:00Z")
    page = await open_phone(visitors, gateway, reduced_motion="reduce", **options)
    await expect(says(page)).to_have_text("Closed now")
    await check(page)
    gateway.status, gateway.answers = status(), False
    await press(page, "Try again")
    await expect(page.get_by_role("button", name="Call now")).to_be_visible()
    await check(page)
    await press(page, "Call now")
    await expect(says(page)).to_have_text("Ringing…")
    pulse = page.locator(".pulse")
    assert await pulse.evaluate("(e) => getComputedStyle(e).animationName") == "none"
    await check(page)
    await gateway.answer(gateway.line)
    await press(page, "Keypad")
    await press(page, "Mute")
    await gateway.line.send("credit-warning", seconds_left=10, cause="duration")
    await gateway.line.send("supervised", mode="barge")
    await expect(page.get_by_text("is speaking with both of you in this call")).to_be_visible()
    await gateway.line.send("warning", name="no-audio-from-phone", message="m")
    await expect(page.get_by_text("No sound comes from the other side.")).to_be_visible()
    await check(page)
    clock = page.get_by_role("timer")
    assert await clock.evaluate("(e) => e.closest('[aria-live], [role=status]')") is None
    await press(page, "Hang up")
    await expect(says(page)).to_have_text("Call ended")
    await check(page)
    await page.evaluate(_REJECT.replace("{name}", "NotFoundError"))
    await press(page, "Call again")
    await expect(says(page)).to_have_text("No microphone was found")
    await check(page)
    await page.context.close()


async def test_forced_colours_keep_edges_and_states(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    page = await open_phone(visitors, gateway, forced_colors="active")
    await call(page)
    mute, keypad = (page.get_by_role("button", name=name) for name in ("Mute", "Keypad"))
    await mute.click()
    await expect(mute).to_have_attribute("aria-pressed", "true")
    edge = "(e) => getComputedStyle(e).borderTopColor"
    assert await keypad.evaluate(edge) != "rgba(0, 0, 0, 0)"
    ground = "(e) => getComputedStyle(e).backgroundColor"
    assert await mute.evaluate(ground) != await keypad.evaluate(ground)
    await page.context.close()


async def test_the_voice_is_as_loud_as_is_wanted(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    """On either path: what the page plays itself, and what the browser plays of WebRTC."""
    keep = """
    window.gains = [], window.audios = [];
    window.GainNode = class extends GainNode {
      constructor(...given) { super(...given); gains.push(this); }
    };
    window.Audio = class extends Audio { constructor() { super(); audios.push(this); } };"""
    page = await open_phone(visitors, gateway, script=keep)
    await call(page)
    volume = page.get_by_role("slider", name="Volume")
    await volume.focus()
    for _ in range(4):
        await page.keyboard.press("ArrowLeft")
    loudness = "() => [gains[0].gain.value, audios[0].volume].map((level) => level.toFixed(2))"
    assert await page.evaluate(loudness) == ["0.80", "0.80"]
    await page.context.close()


STARS = {
    "en-US": ("How was the call?", "4 stars: good", "Thank you."),
    "de": ("Wie war der Anruf?", "4 Sterne: gut", "Danke."),
    "es": ("¿Qué tal la llamada?", "4 estrellas: buena", "Gracias."),
    "fr": ("Comment était l’appel\u202f?", "4 étoiles\u202f: bon", "Merci."),
}


@pytest.mark.parametrize(("language", "words"), STARS.items(), ids=STARS)
async def test_whoever_has_talked_says_by_one_key_how_it_was(
    visitors: Browser, gateway: FakeEmbedGateway, language: str, words: tuple[str, str, str]
) -> None:
    page = await open_phone(
        visitors, gateway, locale=language, viewport={"width": 280, "height": 640}
    )
    await page.locator(".go").click()
    await expect(page.get_by_role("timer")).to_be_visible()
    # The record of the call is not written yet, once.
    gateway.unwritten = 1
    assert not any("/feedback-" in address for address in gateway.addresses)
    await page.locator(".stop").click()
    asked, stars, thanks = words
    await expect(page.get_by_text(asked)).to_be_visible()
    await check(page)
    await page.get_by_role("button", name=stars).focus()
    await page.keyboard.press("Enter")
    told = page.get_by_text(thanks)
    await expect(told).to_be_focused()
    assert gateway.feedback == [("call_1", {"stars": 4})]
    await expect(page.get_by_text(asked)).to_have_count(0)
    await page.context.close()


_BROKEN = r"""() => [...document.querySelectorAll('button')].flatMap((button) => {
  const text = button.firstChild;
  if (text?.nodeType !== Node.TEXT_NODE || !button.offsetParent) return [];
  return [...text.data.matchAll(/\S+/g)].filter(({ 0: word, index }) => {
    const range = document.createRange();
    range.setStart(text, index);
    range.setEnd(text, index + word.length);
    return new Set([...range.getClientRects()].map(({ top }) => top)).size > 1;
  }).map(([word]) => word);
})"""
"""Words on buttons that are broken in their middle."""


@pytest.mark.parametrize("language", LANGUAGES)
async def test_large_text_breaks_no_word_of_a_key(
    visitors: Browser, gateway: FakeEmbedGateway, language: str
) -> None:
    """Twice as large as usual, on the narrowest of phones (WCAG 2.2, 1.4.4)."""
    page = await open_phone(
        visitors, gateway, locale=language, viewport={"width": 280, "height": 640}
    )
    await page.evaluate("document.documentElement.style.fontSize = '200%'")
    await page.locator(".go").click()
    await expect(page.get_by_role("timer")).to_be_visible()
    assert await page.evaluate(_BROKEN) == []
    await check(page)
    await page.locator(".stop").click()
    await expect(page.get_by_role("timer")).to_have_count(0)
    assert await page.evaluate(_BROKEN) == []
    await page.context.close()


async def test_what_does_not_get_through_can_be_said_once_more(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    page = await open_phone(visitors, gateway)
    await call(page)
    await press(page, "Hang up")
    await page.route("**/feedback", lambda route: route.abort())
    await press(page, "1 star: bad")
    await expect(page.get_by_text("That did not get through.")).to_be_visible()
    await page.unroute("**/feedback")
    await press(page, "2 stars: poor")
    await expect(page.get_by_text("Thank you.")).to_be_visible()
    assert gateway.feedback == [("call_1", {"stars": 2})]
    await page.context.close()


async def test_nobody_is_asked_who_has_not_talked_or_where_nothing_is_kept(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    gateway.answers = False
    page = await open_phone(visitors, gateway)
    await press(page, "Call now")
    await expect(says(page)).to_have_text("Ringing…")
    await press(page, "Hang up")
    await expect(says(page)).to_have_text("Call ended")
    gateway.answers, gateway.status = True, status(takes_feedback=False)
    await page.reload()
    await call(page)
    await press(page, "Hang up")
    await expect(says(page)).to_have_text("Call ended")
    assert not any("/feedback-" in address for address in gateway.addresses)
    await page.context.close()


async def test_the_solver_comes_while_the_challenge_is_asked_for(
    visitors: Browser, gateway: FakeEmbedGateway
) -> None:
    page = await open_phone(visitors, gateway)

    async def answered_once_it_is_there(route: Route) -> None:
        await until(lambda: any("/solver-" in address for address in gateway.addresses))
        await route.continue_()

    await page.route("**/challenges", answered_once_it_is_there)
    await call(page)
    assert len(gateway.solutions) > 0
    await page.context.close()
