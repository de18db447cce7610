"""Every element in every state, in a browser: what it shows is whole, apart, reachable and legible.

Letters differ from machine to machine, and so does every picture with letters in it. So no picture
is compared with an older one: what is demanded holds whatever the letters are. Boxes are asked of
the browser, and contrast of the pixels that it draws.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.words.languages import DEFAULT_LANGUAGE, LANGUAGES
from tests.web.conftest import WEB, async_fixture
from tests.web.design import design_served
from tests.web.test_site import check

pytestmark = pytest.mark.asyncio(loop_scope="session")

HERE = Path(__file__).parent
LAYOUT = (HERE / "layout.js").read_text()
CONTRAST = (HERE / "contrast.js").read_text()

TARGET_PX = 24
"""Side of the smallest control (WCAG 2.2, 2.5.8, AA)."""
CONTRAST_MIN = 4.5
"""Of text on its ground (WCAG 2.2, 1.4.3, AA)."""
SCALE = 2
"""Pixels of a picture per pixel of CSS: the stems of small letters have their whole colour."""


class Way(NamedTuple):
    """One way of looking at everything."""

    width: int
    scheme: str = "light"
    forced: bool = False
    direction: str = "ltr"
    reads: bool = False
    """Whether letters are looked at in the pixels, too."""
    language: str = "en-US"


WAYS = [
    Way(280, reads=True),
    Way(320, "dark", direction="rtl", reads=True),
    Way(320, forced=True, reads=True),
    Way(1280, direction="rtl"),
    Way(1280, "dark"),
    *(Way(320, language=language) for language in LANGUAGES if language != DEFAULT_LANGUAGE),
]


@async_fixture
async def origin(built_pages: Path) -> AsyncIterator[str]:
    async with design_served(built_pages) as served:
        yield served


async def opened(browser: Browser, way: Way, address: str) -> Page:
    """Open a page as this way has it, and once it is drawn."""
    options: dict[str, Any] = {
        "viewport": {"width": way.width, "height": 900},
        "color_scheme": way.scheme,
        "forced_colors": "active" if way.forced else "none",
        "reduced_motion": "reduce",
        "device_scale_factor": SCALE,
        "locale": way.language,
    }
    context = await browser.new_context(**options)
    page = await context.new_page()
    await page.goto(address)
    await page.wait_for_function("() => 'ready' in document.documentElement.dataset")
    await page.evaluate("(dir) => { document.documentElement.dir = dir; }", way.direction)
    return page


async def names_of(browser: Browser, origin: str, kind: str) -> list[str]:
    page = await opened(browser, Way(1280), f"{origin}/design")
    found = page.locator(f"[data-list={kind}] figcaption")
    names = await found.all_text_contents()
    await page.context.close()
    return names


async def looked_at(page: Page, blank: Page | None) -> tuple[list[str], set[str]]:
    """Return what is wrong with what a page shows, and the elements that it has."""
    await page.evaluate("() => new Promise((r) => requestAnimationFrame(() => setTimeout(r, 30)))")
    seen = await page.evaluate(LAYOUT, [TARGET_PX, blank is not None])
    faults: list[str] = seen["faults"]
    if blank is not None and seen["letters"]:
        picture = base64.b64encode(await page.screenshot()).decode()
        read = await blank.evaluate(CONTRAST, [picture, SCALE, seen["letters"]])
        faults += [
            f'"{each["words"]}" has a contrast of {each["ratio"]:.2f}'
            for each in read
            if each["ratio"] < CONTRAST_MIN
        ]
    return faults, set(seen["elements"])


@pytest.mark.parametrize("kind", ["phone", "frame"])
@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_every_specimen_is_whole_apart_and_legible(
    browser: Browser, origin: str, kind: str, way: Way
) -> None:
    names = await names_of(browser, origin, kind)
    assert len(names) > 40
    page = await opened(browser, way, f"{origin}/design/{kind}")
    blank = await page.context.new_page() if way.reads else None
    wrong: dict[str, list[str]] = {}
    told: Counter[str] = Counter()
    for name in names:
        # States of one kind have the same colours: two of each are looked at in the pixels.
        told[name.partition(":")[0]] += 1
        is_read = told[name.partition(":")[0]] <= 2
        await page.evaluate("(name) => { location.hash = encodeURIComponent(name); }", name)
        await page.wait_for_function(
            "(name) => document.documentElement.dataset.shown === name", arg=name
        )
        faults, _ = await looked_at(page, blank if is_read else None)
        if faults:
            wrong[name] = faults
    await page.context.close()
    assert wrong == {}


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_every_element_of_the_pages_is_whole_apart_and_legible(
    browser: Browser, origin: str, way: Way
) -> None:
    page = await opened(browser, way, f"{origin}/design")
    # The specimens have pages of their own.
    await page.evaluate("() => document.querySelectorAll('.gallery').forEach((e) => e.remove())")
    blank = await page.context.new_page() if way.reads else None
    faults, _ = await looked_at(page, blank)
    assert faults == []
    if not way.forced:
        await check(page)
    await page.context.close()


async def test_every_element_that_is_defined_is_shown(browser: Browser, origin: str) -> None:
    sources = "".join(path.read_text() for path in WEB.joinpath("src").rglob("*.ts"))
    defined = set(re.findall(r"customElements\.define\('([\w-]+)'", sources))
    page = await opened(browser, Way(1280), f"{origin}/design")
    await page.evaluate("() => document.querySelectorAll('.gallery').forEach((e) => e.remove())")
    _, shown = await looked_at(page, None)
    assert "caller-button" in shown
    names = await names_of(browser, origin, "phone")
    await page.goto(f"{origin}/design/phone")
    for name in names:
        await page.evaluate("(name) => { location.hash = encodeURIComponent(name); }", name)
        _, elements = await looked_at(page, None)
        shown |= elements
    await page.context.close()
    assert len(defined) > 20
    assert defined - shown == set()


async def test_the_page_of_all_asks_nothing_and_stays_where_it_is(
    browser: Browser, origin: str
) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    await page.goto(f"{origin}/design")
    await page.wait_for_function("() => 'ready' in document.documentElement.dataset")
    frames = await page.locator("[data-list] iframe").count()
    # Far ones are loaded as soon as they come near: here, at once.
    await page.evaluate(
        "() => document.querySelectorAll('iframe').forEach((f) => f.loading='eager')"
    )
    await page.wait_for_function(
        """(count) => [...document.querySelectorAll('[data-list] iframe')].filter((frame) =>
          'ready' in (frame.contentDocument?.documentElement?.dataset ?? {})).length === count""",
        arg=frames,
        timeout=180_000,
    )
    # What asks who is signed in, and a dialog, which focuses what is in it.
    app = page.frame_locator("iframe[title='app']")
    await expect(app.locator("caller-key-form")).to_be_attached()
    dialog = page.frame_locator("iframe[title='top-up: open']").locator("dialog")
    await expect(dialog).to_have_attribute("open", "")
    own = re.compile(re.escape(origin) + r"/(design(/phone|/frame)?$|static/|site/|embed/v1\.js)")
    assert [url for url in asked if not own.match(url)] == []
    assert await page.evaluate(
        "() => document.activeElement === document.body && document.hasFocus()"
    )
    assert await page.evaluate("() => scrollY") == 0
    await context.close()


FAULTS = {
    "a label that is clipped": (
        "(e) => { e.style.cssText = 'overflow:hidden;white-space:nowrap;width:4em;padding:0' }",
        "cuts it off",
    ),
    "words that run out of their block": (
        "(e) => { e.style.cssText = 'width:44px;padding:0;white-space:nowrap' }",
        "runs out of",
    ),
    "a word that is broken": (
        "(e) => { e.style.cssText = 'width:40px;min-width:0;padding:0;justify-self:start' }",
        "broken",
    ),
    "a button over another": ("(e) => { e.style.marginBlockEnd = '-30px' }", "lies over"),
    "a target that is small": (
        "(e) => { e.style.cssText = 'min-height:0;height:20px;padding:0;line-height:1' }",
        "by 20 px",
    ),
    "letters too faint": ("(e) => { e.style.color = '#3c8a68' }", "has a contrast of"),
    "a page that scrolls sideways": ("(e) => { e.style.marginInlineStart = '400px' }", "sideways"),
}


@pytest.mark.parametrize(("fault", "said"), FAULTS.values(), ids=FAULTS)
async def test_a_planted_fault_is_found(
    browser: Browser, origin: str, fault: str, said: str
) -> None:
    page = await opened(browser, Way(280), f"{origin}/design/frame#ended%3A%20busy")
    blank = await page.context.new_page()
    assert await looked_at(page, blank) == ([], set())
    await page.evaluate(
        "() => document.querySelector('.view').append("
        "Object.assign(document.createElement('button'), { textContent: 'Another' }))"
    )
    assert await looked_at(page, blank) == ([], set())
    await page.locator(".main").evaluate(fault)
    faults, _ = await looked_at(page, blank)
    assert any(said in each for each in faults), faults
    await page.context.close()
