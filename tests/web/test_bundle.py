"""What the build leaves: small enough and complete."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.web.conftest import open_page
from tests.web.fake_gateway import ECHO, FakeGateway, until

TALK_BYTES_MAX = 29 * 1024
"""Everything loaded to talk, gzipped, a fifth of it Lit: an eighth of a second on a slow mobile
network, and less than two thirds of what calling libraries take without a page."""

BESIDE = "beside-"
"""The lists beside the phone; they come when they come, and no call waits for them."""

LATER = (
    "key-form-",
    "key-offer-",
    "line-check-",
    "paying-",
    "return-call-",
    "sound-settings-",
    "de-",
)
"""What is loaded only when it is wanted."""


@pytest.mark.asyncio(loop_scope="session")
async def test_all_that_is_loaded_to_talk_is_small(
    browser: Browser, gateway: FakeGateway, built_pages: Path
) -> None:
    gateway.webrtc = True
    page, _ = await open_page(browser, gateway)
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(page.locator("caller-phone .status")).to_have_text("In call")
    await until(lambda: gateway.line.peer.selected)
    files = re.findall(r"/static/([^?\s]+)", " ".join(gateway.addresses))
    names = {"index.html", *(name for name in files if not name.startswith(BESIDE))}
    assert not any(name.startswith(LATER) for name in names)
    for part in ("app", "main", "page", "worklets", "socket-worker"):
        assert any(name.startswith(f"{part}-") for name in names), part
    sizes = {name: len(gzip.compress((built_pages / name).read_bytes(), 9)) for name in names}
    assert sum(sizes.values()) <= TALK_BYTES_MAX, sizes
    await page.context.close()


def test_every_file_of_the_page_is_there(built_pages: Path) -> None:
    html = (built_pages / "index.html").read_text()
    named = set(re.findall(r'(?:src|href)="static/([^"]+)"', html))
    assert named
    for name in named:
        assert (built_pages / name).is_file(), name


def test_every_text_is_compressed_beforehand(built_pages: Path) -> None:
    for path in built_pages.iterdir():
        if path.suffix in (".js", ".css", ".html", ".svg"):
            assert (
                gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes()) == path.read_bytes()
            )
            assert path.with_name(f"{path.name}.br").is_file()
