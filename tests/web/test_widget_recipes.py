"""What docs/buttons.md says to paste, pasted: as platforms take it, and as they restrict it."""

from __future__ import annotations

import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.web.conftest import WEB
from tests.web.fake_embed import BUTTON, HostPages
from tests.web.visits import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[2]

GATEWAY = "https://calls.example.com"
KEY = re.compile(r"pk_(?:live|test)_KEY")


def filled(text: str, pages: HostPages) -> str:
    """Put a real gateway and a real key in the place of the document's."""
    return KEY.sub(BUTTON, text.replace(GATEWAY, pages.gateway))


def recipe(name: str, pages: HostPages) -> str:
    """Return the text of a recipe."""
    document = (ROOT / "docs/buttons.md").read_text()
    blocks = re.findall(rf"^```html{name}\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, name
    return filled(blocks[0], pages)


def component(heading: str, pages: HostPages) -> str:
    """Return the component of a recipe for React."""
    document = (ROOT / "docs/buttons.md").read_text()
    (block,) = re.findall(rf"^## {heading}$.*?^```jsx\n(.*?)^```", document, re.M | re.S)
    return filled(block, pages)


NEXT_SCRIPT = """import { useEffect } from 'react';
export default function Script(attributes) {
  useEffect(() => {
    document.head.append(Object.assign(document.createElement('script'), attributes));
  }, []);
}
"""
"""Does what next/script does: adds the script once the page is there."""

START = """import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import * as recipe from './recipe.jsx';
const CallButton = recipe.CallButton ?? recipe.default;
createRoot(document.getElementById('app')).render(<StrictMode><CallButton /></StrictMode>);
"""


def page(body: str, head: str = "") -> str:
    """Return a page as a site builder makes it."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Site</title>{head}'
        f"</head><body><h1>Site</h1><div><div>{body}</div></div></body></html>"
    )


PASTED = ["", " wordpress", " shopify", " wix"]

SHOPIFY = "block-all-mixed-content; frame-ancestors 'none'"
"""What Shopify sends with the pages of a shop."""


@pytest.mark.parametrize("name", PASTED, ids=lambda name: name.strip() or "plain")
async def test_pasted_text_calls(visit: Visit, name: str) -> None:
    pages = visit.site.pages
    headers = {"Content-Security-Policy": SHOPIFY} if "shopify" in name else {}
    pages.pages["/pasted"] = (page(recipe(name, pages)), headers)
    await visit.page.goto(f"{pages.origin}/pasted")
    await expect(visit.button).to_have_text("Call us")
    await visit.call()


async def test_webflow_has_script_and_button_apart(visit: Visit) -> None:
    pages = visit.site.pages
    head, body = recipe(" webflow head", pages), recipe(" webflow body", pages)
    pages.pages["/webflow"] = (page(body, head), {})
    await visit.page.goto(f"{pages.origin}/webflow")
    await visit.call()


class Filter(HTMLParser):
    """Keeps what WordPress lets authors write (wp_kses_post): tags of text, and no script."""

    KEPT = ("a", "p", "strong", "em")

    def __init__(self) -> None:
        super().__init__()
        self.kept = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag of text, with its address."""
        if tag in self.KEPT:
            named = "".join(f' {name}="{value}"' for name, value in attrs if name == "href")
            self.kept += f"<{tag}{named}>"

    def handle_endtag(self, tag: str) -> None:
        """Keep its end."""
        if tag in self.KEPT:
            self.kept += f"</{tag}>"

    def handle_data(self, data: str) -> None:
        """Keep all text."""
        self.kept += data


async def test_where_all_but_text_is_filtered_out_the_link_calls(visit: Visit) -> None:
    pages = visit.site.pages
    kept = Filter()
    kept.feed(recipe("", pages))
    pages.pages["/filtered"] = (page(kept.kept), {})
    await visit.page.goto(f"{pages.origin}/filtered")
    await visit.page.get_by_role("link", name="Call us").click()
    await visit.page.get_by_role("button", name="Call now").click()
    await expect(visit.page.locator(".status")).to_have_text("In call")


SANDBOX = "allow-same-origin allow-forms allow-popups allow-scripts allow-pointer-lock"
"""What Wix lets the frame of an element "Embed HTML" do; it lends it no microphone."""


async def test_in_a_frame_without_a_microphone_the_phone_leads_to_its_own_page(
    visit: Visit,
) -> None:
    pages = visit.site.pages
    pages.pages["/embedded"] = (page(recipe("", pages)), {})
    # Another site than the page around it, as that frame is.
    embedded = f"{pages.origin.replace('localhost', 'embedded.localhost')}/embedded"
    visit.site.gateway.origins += " http://embedded.localhost:*"
    pages.pages["/wix"] = (page(f'<iframe src="{embedded}" sandbox="{SANDBOX}"></iframe>'), {})
    await visit.page.goto(f"{pages.origin}/wix")
    embed = visit.page.frame_locator("iframe")
    await embed.locator("caller-button button").click()
    phone = embed.frame_locator("caller-button iframe")
    await expect(phone.locator(".status")).to_contain_text("keeps the microphone from the phone")
    await expect(phone.get_by_role("link", name="Call from a page of its own")).to_be_visible()


async def test_an_element_that_a_framework_makes_before_the_script_is_there(visit: Visit) -> None:
    """React, Next.js and Vue set attributes and properties on what is no button of ours yet."""
    pages = visit.site.pages
    pages.pages["/framework"] = (page('<div id="app"></div>'), {})
    await visit.page.goto(f"{pages.origin}/framework")
    await visit.page.evaluate(
        """async ([key, loader]) => {
          const button = document.createElement('caller-button');
          button.setAttribute('data-key', key);
          button.setAttribute('label', 'Call us');
          button.token = () => ({ token: 'of_the_owner' });
          document.getElementById('app').append(button);
          await import(loader);
        }""",
        [BUTTON, f"{pages.gateway}/embed/v1.js"],
    )
    await visit.call()
    assert visit.site.gateway.signed == ["of_the_owner"]


@pytest.mark.parametrize("heading", ["React", "Next.js"])
async def test_react_renders_it(visit: Visit, heading: str, node: str, tmp_path: Path) -> None:
    assert node
    if not (WEB / "node_modules/react-dom").is_dir():
        pytest.skip("Needs React: `npm ci` in web/.")
    pages = visit.site.pages
    (tmp_path / "recipe.jsx").write_text(component(heading, pages))
    (tmp_path / "script.jsx").write_text(NEXT_SCRIPT)
    (tmp_path / "start.jsx").write_text(START)
    options = ["--bundle", "--format=esm", "--jsx=automatic", "--minify", "--log-level=error"]
    named = [f"--alias:next/script={tmp_path}/script.jsx", "--external:http://*"]
    built = subprocess.run(
        [WEB / "node_modules/.bin/esbuild", tmp_path / "start.jsx", *options, *named],
        env={**os.environ, "NODE_PATH": str(WEB / "node_modules")},
        capture_output=True,
        text=True,
        check=True,
    )
    script = f'<div id="app"></div><script type="module">{built.stdout}</script>'
    pages.pages["/react"] = (page(script), {})
    await visit.page.goto(f"{pages.origin}/react")
    await expect(visit.button).to_have_text("Call us")
    await visit.call()


async def test_vue_writes_the_element_as_it_stands(visit: Visit) -> None:
    pages = visit.site.pages
    script = f'<script type="module" src="{pages.gateway}/embed/v1.js"></script>'
    pages.pages["/vue"] = (page(recipe(" vue", pages), script), {})
    await visit.page.goto(f"{pages.origin}/vue")
    await visit.call()


async def test_a_button_of_the_pages_own(visit: Visit) -> None:
    pages = visit.site.pages
    pages.pages["/own"] = (page(recipe(" own", pages)), {})
    await visit.page.goto(f"{pages.origin}/own")
    await visit.page.get_by_role("button", name="Talk to us").click()
    await visit.frame.get_by_role("button", name="Call now").click()
    await expect(visit.status).to_have_text("In call")


async def test_a_call_that_is_signed(visit: Visit) -> None:
    pages = visit.site.pages
    script = f'<script type="module" src="{pages.gateway}/embed/v1.js"></script>'
    pages.pages["/signed"] = (page(script + recipe(" signed", pages)), {})
    await visit.page.goto(f"{pages.origin}/signed")
    await visit.call()
    assert visit.site.gateway.signed == ["of_the_owner"]


async def test_what_a_check_of_persons_has_given_is_handed_on(visit: Visit) -> None:
    pages, gateway = visit.site.pages, visit.site.gateway
    script = f'<script type="module" src="{pages.gateway}/embed/v1.js"></script>'
    check = "<script>const solveTheCheck = async () => 'a person';</script>"
    pages.pages["/human"] = (page(script + check + recipe(" human", pages)), {})
    solved = len(gateway.solutions)
    await visit.page.goto(f"{pages.origin}/human")
    await visit.call()
    # Beside the work, and not in its place.
    assert gateway.humans[-1:] == ["a person"]
    assert len(gateway.solutions) == solved + 1
    assert gateway.signed == []


async def test_the_page_with_all_of_it(visit: Visit) -> None:
    pages = visit.site.pages
    pages.pages["/host"] = (filled((ROOT / "examples/host.html").read_text(), pages), {})
    await visit.page.goto(f"{pages.origin}/host")
    buttons = visit.page.locator("caller-button button")
    await expect(buttons.first).to_have_text("Ask us")
    await buttons.nth(1).click()
    await expect(visit.status).to_have_text("Bereit")
    await visit.page.keyboard.press("Escape")
    await visit.page.get_by_role("button", name="Talk to sales").click()
    await visit.frame.get_by_role("button", name="Call now").click()
    await expect(visit.status).to_have_text("In call")
    await visit.page.get_by_role("button", name="Hang up").click()
    told = visit.page.locator("#told")
    await expect(told).to_contain_text("caller-accept")
    await expect(told).to_contain_text(re.compile(r"caller-ended answered \d"))
