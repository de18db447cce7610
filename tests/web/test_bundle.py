"""What the build leaves: small enough and complete."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.web.conftest import open_page
from tests.web.fake_gateway import ECHO, FakeGateway, until

TALK_BYTES_MAX = 27 * 1024 + 512
"""Everything loaded to talk, gzipped, a fifth of it Lit: a tenth of a second on a slow mobile
network, and little more than half of what calling libraries take without a page."""

BESIDE = "beside-"
"""What stands beside the phone; it comes when it comes, and no call waits for it."""

NUMBERS = "number-format-"
"""How numbers are grouped while they are written; loaded by the field, and no call waits for it."""

NUMBERS_BYTES_MAX = 35 * 1024
"""Most of it the plans of all countries."""

LIVE_BYTES_MAX = 28 * 1024
"""Script and style of the live page as operators load it, gzipped; 7 KB are Lit."""

CALL_BYTES_MAX = 28 * 1024
"""What one call's page needs besides; 23 KB of it draw lines."""

SUPERVISION_BYTES_MAX = 8 * 1024
"""What a supervisor needs besides, with their sound; others load none of it."""

DOOR_BYTES_MAX = 2 * 1024
"""What whoever may see no calls needs besides, to give another key."""

REPORTS_BYTES_MAX = 4 * 1024
"""What operators' views of refused calls and of credit need besides, once they are opened."""

OPERATORS = "operators-"
"""What only operators see of it, and only they load."""

LATER = (
    "feedback-",
    "key-form-",
    "key-offer-",
    "line-check-",
    "paying-",
    "return-call-",
    "sound-settings-",
    "de-",
    "es-",
)
"""What is loaded only when it is wanted, or in other languages than the reader's."""


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
    names = {"index.html", *files} - beside(built_pages) - imported(built_pages, NUMBERS)
    assert not any(name.startswith(LATER) for name in names)
    for part in ("app", "main", "page", "worklets", "socket-worker"):
        assert any(name.startswith(f"{part}-") for name in names), part
    sizes = {name: len(gzip.compress((built_pages / name).read_bytes(), 9)) for name in names}
    assert sum(sizes.values()) <= TALK_BYTES_MAX, sizes
    await page.context.close()


def imported(static: Path, prefix: str) -> set[str]:
    """The script that begins so, and all that it cannot start without."""
    found: set[str] = set()
    wanted = {path.name for path in static.glob(f"{prefix}*.js")}
    while wanted:
        name = wanted.pop()
        found.add(name)
        wanted |= (
            set(re.findall(r'(?:from|import)"\./([^"]+)"', (static / name).read_text())) - found
        )
    return found


def beside(static: Path) -> set[str]:
    """What is loaded for what stands beside the phone and for nothing else."""
    return imported(static, BESIDE) - imported(static, "app-") - imported(static, "main-")


def test_what_groups_numbers_is_small(built_pages: Path) -> None:
    names = imported(built_pages, NUMBERS)
    assert names
    sizes = [len(gzip.compress((built_pages / name).read_bytes(), 9)) for name in names]
    assert sum(sizes) <= NUMBERS_BYTES_MAX


def test_the_live_page_is_small(built_pages: Path) -> None:
    html = (built_pages / "live.html").read_text()
    named = re.findall(r'(?:src|href)="static/([^"]+(?:js|css))"', html)
    own = imported(built_pages, "live-page-")
    assert own <= set(named), "nothing is found only file by file"
    operators = imported(built_pages, OPERATORS)
    assert len(operators - own) == 1, "and nothing more than what they see"
    call = imported(built_pages, "call-")
    assert len(call - own) == 1, "and nothing more than one call"

    door = imported(built_pages, "door-")
    assert len(door - own) == 1, "and nothing more than what asks for a key"

    reports = imported(built_pages, "reports-")
    assert len(reports - own) == 1, "and nothing more than reports"

    supervision = imported(built_pages, "supervision-")
    assert len(supervision - own) == 1, "and nothing more than supervision"

    def weight(names: set[str]) -> int:
        return sum(len(gzip.compress((built_pages / name).read_bytes(), 9)) for name in names)

    assert weight({*named, *operators}) <= LIVE_BYTES_MAX
    assert weight(call - own) <= CALL_BYTES_MAX
    assert weight(door - own) <= DOOR_BYTES_MAX
    assert weight(reports - own) <= REPORTS_BYTES_MAX
    assert weight(supervision - own) <= SUPERVISION_BYTES_MAX


@pytest.mark.parametrize("page", ["index.html", "live.html"])
def test_every_file_of_the_page_is_there(built_pages: Path, page: str) -> None:
    html = (built_pages / page).read_text()
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
