"""The page of live calls in the reader's language, with feeds that a test plays."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from gateway.watching.alarms import AT_CARRIER, ERRORS, UNAUDITED
from gateway.watching.alarms import RULES as ALARM_RULES
from gateway.words.languages import DEFAULT_LANGUAGE, LANGUAGES
from tests.web.conftest import Faults, async_fixture
from tests.web.design import design_served
from tests.web.fake_gateway import KEY
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
from tests.web.test_design import looked_at
from tests.web.test_live import closed, connection, opened

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Language(NamedTuple):
    """What a reader of a language finds."""

    locale: str
    title: str
    live: str
    mos: str
    cost: str
    clock: str
    """What the time of day looks like."""
    country: str


ENGLISH = Language("en-US", "Live calls", "● Live", "4.20", "$0.013", r"\d [AP]M", "United States")
GERMAN = Language(
    "de-DE", "Laufende Anrufe", "● Live", "4,20", "0,013", r"^\d\d:\d\d:\d\d$", "Vereinigte Staaten"
)
SPANISH = Language(
    "es-ES",
    "Llamadas en curso",
    "● En directo",
    "4,20",
    "0,013",
    r"\d:\d\d:\d\d$",
    "Estados Unidos",
)
FRENCH = Language(
    "fr-FR",
    "Appels en cours",
    "● En direct",
    "4,20",
    "0,013",
    r"^\d\d:\d\d:\d\d$",
    "États-Unis",
)
READERS = [ENGLISH, GERMAN, SPANISH, FRENCH]
OTHERS = pytest.mark.parametrize("language", READERS[1:], ids=lambda each: each.locale)

VIEWS = {
    "": "live-overview .value",
    "calls": "live-calls tbody tr",
    "nodes": "live-nodes tbody tr",
    "fraud": "live-fraud tbody tr",
    "credit": "live-credit tbody .poor",
    "call/call_2": "live-call canvas",
    "wall": "live-overview .wall",
}
"""Each view, and what is there once it is drawn."""

SAID = """() => {
  const found = new Set([document.title]);
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE) found.add(node.data);
    if (['STYLE', 'SCRIPT', 'NOSCRIPT'].includes(node.nodeName)) return;
    for (const name of ['aria-label', 'title', 'placeholder', 'alt']) {
      if (node.getAttribute?.(name)) found.add(node.getAttribute(name));
    }
    if (node.shadowRoot) walk(node.shadowRoot);
    node.childNodes.forEach(walk);
  };
  walk(document.body);
  return [...found].map((text) => text.trim().replace(/\\s+/g, ' '));
}"""
"""Each text of the page, and what screen readers are told besides."""

WORD = "[A-Za-z]{2}"
GIVEN = "live question"
"""The specimen that shows what it is asked to."""
READY = "() => 'ready' in document.documentElement.dataset"
SHOWN = "(name) => document.documentElement.dataset.shown === name"

ALIKE = re.compile(
    # What the feed says, and the gateway's name.
    r"[+\d. ]+( ms)?|node-\w|acc_\w+|(call|key)_\w+|US|GB|info|of another release|Repair|Caller"
    r"|https://shop.example|a media socket was lost|of-another-release|ck_…"
    # What the languages have in common.
    r"|● Live|Filter|Jitter( ms)?|MOS|ASR|PDD|RTT ms|jitter|WebRTC|WebSocket|Id|■ error"
    r"|long|Supervision"
)


@async_fixture
async def live(built_pages: Path) -> AsyncIterator[LiveGateway]:
    assert built_pages
    async with running(LiveGateway()) as gateway:
        yield gateway


def furnish(live: LiveGateway) -> None:
    """Give the gateway something to show in each view."""
    poor = row("call_2", mos=3.1, rtt_ms=430, tags=["high_jitter", "high_pdd", "silence"])
    ended = row("call_3", state="ended", ended_at=at(-2), cause=602, ended_by="gateway")
    warning = {"at": at(), "node": "node-a", "level": "error", "event": "of another release"}
    live.snapshot = {
        "calls": [row("call_1"), poor, ended],
        "totals": totals(2),
        "nodes": [node("node-a"), node("node-b", is_draining=True), node("node-c", is_lost=True)],
        "alarms": [
            alarm("node_lost:node-c"),
            alarm("low_mos:", value=2.9, state="silenced", reason="Repair", until=at(900)),
        ],
        "warnings": [{**warning, "call_id": "call_1"}],
    }
    live.call = {"calls": [poor], "samples": [sample(second) for second in range(-60, 0)]}
    account = {"account_id": "acc_2", "since": at(-90_000), "last_hour": at(-300), "last_at": at()}
    live.reports["fraud"] = fraud_report(
        rules=[{"rule": "velocity", "count": 9, "accounts": 2, "by_hour": [1200] * 24}],
        accounts=[{**account, "count": 9, "rules": {"velocity": 8, "premium": 1}}],
        accounts_total=3,
        frozen=[{**account, "reasons": ["operator", "dispute", "leaving"]}],
    )
    cut_off = {"cut_off": [{**account, "calls": 3}]}
    live.reports["credit"] = credit_report(acc_1=9_000) | cut_off


async def test_a_reader_of_each_language_is_asked() -> None:
    assert {each.locale[:2] for each in READERS} == set(LANGUAGES)


async def texts(page: Page, live: LiveGateway, view: str) -> set[str]:
    """Return all that a view says."""
    await page.goto(f"{live.origin}/live#/{view}")
    await expect(page.locator(VIEWS[view]).first).to_be_visible()
    return set(await page.evaluate(SAID))


@OTHERS
@pytest.mark.parametrize("width", [320, 1280])
async def test_every_view_is_whole_in_every_language(
    browser: Browser, live: LiveGateway, language: Language, width: int
) -> None:
    furnish(live)
    size: Any = {"width": width, "height": 800}
    page, faults = await opened(browser, live, locale=language.locale, viewport=size)
    await expect(page.locator("html")).to_have_attribute("lang", language.locale[:2])
    await expect(connection(page)).to_have_text(language.live)
    await expect(page).to_have_title(f"▲ 1 (2) {language.title} · Caller")
    for view, shown in VIEWS.items():
        await page.goto(f"{live.origin}/live#/{view}")
        await expect(page.locator(shown).first).to_be_visible()
        results = await Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
        found = [(each["id"], each["nodes"]) for each in results.response["violations"]]
        assert found == [], view
        assert await page.evaluate(SIDEWAYS) == 0, view
    await closed(page, faults)


@OTHERS
async def test_nothing_is_said_in_english(
    browser: Browser, live: LiveGateway, language: Language
) -> None:
    furnish(live)
    english, _ = await opened(browser, live)
    page, faults = await opened(browser, live, locale=language.locale)
    for view in VIEWS:
        common = await texts(page, live, view) & await texts(english, live, view)
        left = {text for text in common if re.search(WORD, text)}
        assert {text for text in left if not ALIKE.fullmatch(text)} == set(), view
    await english.context.close()
    await closed(page, faults)


@OTHERS
async def test_whether_to_drain_is_asked_in_the_readers_language(
    browser: Browser, live: LiveGateway, language: Language
) -> None:
    said = []
    size: Any = {"width": 320, "height": 640}
    for locale in (ENGLISH.locale, language.locale):
        for others in ([], [node("node-b")]):
            live.snapshot = {"nodes": [node("node-a"), *others]}
            page, faults = await opened(browser, live, "nodes", locale=locale, viewport=size)
            await page.locator("live-nodes tbody button").first.click()
            asked = page.get_by_role("dialog")
            said.append(set(await asked.locator("h2, p, button").all_inner_texts()))
            assert await asked.evaluate("(each) => each.scrollWidth <= each.clientWidth")
            await closed(page, faults)
    alone, beside, *others_said = said
    assert len(alone | beside) == 5
    assert not (alone | beside) & set().union(*others_said)


async def specimens(browser: Browser, origin: str, locale: str) -> tuple[dict[str, set[str]], Any]:
    """Return what each state of the page's elements says, and what is wrong with how it looks."""
    size: Any = {"width": 320, "height": 900}
    context = await browser.new_context(locale=locale, viewport=size, reduced_motion="reduce")
    page = await context.new_page()
    said: dict[str, set[str]] = {}
    wrong = {}
    await page.goto(f"{origin}/design")
    await page.wait_for_function(READY)
    names = await page.locator("[data-list=phone] figcaption").all_text_contents()
    await page.goto(f"{origin}/design/phone")
    await page.wait_for_function(READY)
    for name in (each for each in names if each.startswith("live ")):
        await page.evaluate("(name) => { location.hash = encodeURIComponent(name); }", name)
        await page.wait_for_function(SHOWN, arg=name)
        faults, _ = await looked_at(page, None)
        if faults:
            wrong[name] = faults
        said[name] = set(await page.evaluate(SAID))
    await context.close()
    return said, wrong


async def test_every_state_is_whole_and_without_english_in_every_language(
    browser: Browser, built_pages: Path
) -> None:
    async with design_served(built_pages) as origin:
        english, _ = await specimens(browser, origin, ENGLISH.locale)
        for language in READERS[1:]:
            said, wrong = await specimens(browser, origin, language.locale)
            assert wrong == {}, language.locale
            assert len(said) > 30
            for name in said.keys() - {GIVEN}:
                left = {each for each in said[name] & english[name] if re.search(WORD, each)}
                assert {each for each in left if not ALIKE.fullmatch(each)} == set(), name


@pytest.mark.parametrize("language", READERS, ids=lambda each: each.locale)
async def test_figures_amounts_and_times_are_those_of_the_reader(
    browser: Browser, live: LiveGateway, language: Language
) -> None:
    live.snapshot = {"calls": [row("call_1")], "totals": totals(1)}
    page, faults = await opened(browser, live, "calls", locale=language.locale)
    await expect(page.locator(f"tbody td[title='{language.country}']")).to_have_text("US")
    cells = [text.strip() for text in await page.locator("tbody td").all_inner_texts()]
    for pattern in (re.escape(language.mos), re.escape(language.cost), language.clock):
        assert [each for each in cells if re.search(pattern, each)], (pattern, cells)
    await closed(page, faults)


async def test_a_variant_of_a_language_has_its_own_figures(
    browser: Browser, live: LiveGateway
) -> None:
    live.snapshot = {"calls": [row("call_1")], "totals": totals(1)}
    page, faults = await opened(browser, live, "calls", locale="es-MX")
    await expect(page.locator("html")).to_have_attribute("lang", "es")
    await expect(page.locator("tbody tr")).to_contain_text("en conversación")
    await expect(page.locator("tbody tr")).to_contain_text("4.20")
    await closed(page, faults)


@OTHERS
async def test_every_alarm_is_told_in_the_readers_language(
    browser: Browser, live: LiveGateway, language: Language
) -> None:
    subjects = {
        "calls_fail": "US +1415",
        "slow_ringing": "no country",
        "ghost_calls": AT_CARRIER,
        "audit_failure": UNAUDITED,
        ERRORS: "drainer overdue",
    }
    told = [
        alarm(
            f"{rule.name}:{subjects.get(rule.name, 'n1')}",
            title=rule.title.format(subject="n1", value="12.5"),
            action=rule.action,
            value=12.5,
        )
        for rule in ALARM_RULES
    ]
    of_another = alarm("of_another_release:n1", title="It rains.", action="Take an umbrella.")
    live.snapshot = {"alarms": told}
    page, faults = await opened(browser, live, locale=language.locale)
    items = page.locator("live-alarms li")
    await expect(items).to_have_count(len(ALARM_RULES))
    said = "\n".join(await items.all_inner_texts())
    assert [each["title"] for each in told if each["title"] in said or each["action"] in said] == []
    assert said.count("12,5") == sum("{value}" in rule.title for rule in ALARM_RULES)
    assert f"{language.country} +1415" in said
    # What is done first about this line, not how any line is looked up.
    assert "`caller drain`" in said
    assert [each for each in ("no country", AT_CARRIER, UNAUDITED) if each in said] == []
    live.tell(alarms=[*told, of_another])
    news = page.locator("live-alarms [role=status]")
    await expect(news).to_contain_text("It rains.")
    await expect(items.last).to_contain_text("Take an umbrella.")
    await closed(page, faults)


async def test_refusals_are_told_in_the_readers_language(
    browser: Browser, live: LiveGateway
) -> None:
    live.snapshot = {"calls": [row("call_1")], "totals": totals(1)}
    live.refusal = (404, {"status": 404, "code": "call_not_found", "detail": "It is over."})
    page, faults = await opened(browser, live, "calls", locale="de-DE")
    await page.get_by_role("button", name="Anruf beenden: +1 415 555 2671").click()
    dialog = page.get_by_role("dialog", name="Anruf an +1 415 555 2671 beenden?")
    await dialog.get_by_label("Grund").fill("Auf Wunsch")
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("alert")).to_have_text(
        "Diesen Anruf gibt es nicht, oder er ist beendet."
    )
    live.refusal = (409, {"status": 409, "code": "of_another_release", "detail": "It rains."})
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("alert")).to_have_text("It rains.")
    await closed(page, faults)


async def test_the_door_and_the_end_of_a_call_speak_the_readers_language(
    browser: Browser, live: LiveGateway
) -> None:
    ended = row("call_1", state="ended", ended_at=at(), cause=602, ended_by="gateway")
    live.call = {"calls": [ended]}
    page, faults = await opened(browser, live, "call/call_1", key=KEY, locale="es-ES")
    await expect(page.get_by_text("La terminó el servicio · Saldo agotado")).to_be_visible()
    live.tell("end", code="unauthorized")
    await expect(page.get_by_role("alert")).to_contain_text("Esta clave de API no es válida")
    await expect(page.get_by_role("link", name="Entrar")).to_be_visible()
    await page.get_by_label("Clave de API").fill("no")
    await page.keyboard.press("Enter")
    await expect(
        page.get_by_role("heading", name="Esto no parece una clave de API")
    ).to_be_visible()
    await closed(page, faults)


async def test_a_language_that_does_not_come_leaves_english(
    browser: Browser, live: LiveGateway
) -> None:
    live.snapshot = {"calls": [row("call_1")], "totals": totals(1)}
    context = await browser.new_context(locale="de-DE")
    page = await context.new_page()
    await page.route("**/static/de-*", lambda route: route.abort())
    await page.goto(f"{live.origin}/live#key={OPERATOR_KEY}")
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    await expect(page).to_have_title("(1) Live calls · Caller")
    assert "ck_" not in page.url
    await closed(page, Faults())


@pytest.mark.parametrize(("locale", "loaded"), [("en-GB", 0), ("it-IT", 0), ("de-CH", 1)])
async def test_only_readers_of_a_language_load_it(
    browser: Browser, live: LiveGateway, locale: str, loaded: int
) -> None:
    page, faults = await opened(browser, live, locale=locale)
    await expect(connection(page)).to_have_text("● Live")
    entries = "performance.getEntriesByType('resource').map(({ name }) => name)"
    names = await page.evaluate(entries)
    others = "|".join({*LANGUAGES} - {DEFAULT_LANGUAGE})
    assert len([name for name in names if re.search(f"/({others})-[^/]*$", name)]) == loaded
    await closed(page, faults)
