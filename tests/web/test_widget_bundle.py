"""What a visitor loads to talk: counted as a browser asks for it, with both ways of the audio."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.web.fake_embed import BUTTON
from tests.web.fake_gateway import until
from tests.web.visits import Visit

LOADER_BYTES_MAX = 1536
"""What every page with a button loads, clicked or not, gzipped."""
TALK_BYTES_MAX = 25 * 1024
"""Everything until the phone speaks, gzipped: loader, frame, words, worklets and workers."""


@pytest.mark.asyncio(loop_scope="session")
async def test_all_that_a_visitor_loads_to_talk_is_small(visit: Visit, built_pages: Path) -> None:
    gateway = visit.site.gateway
    gateway.webrtc = True
    button = f'<caller-button key="{BUTTON}" lang="de"></caller-button>'
    await visit.page.goto(visit.site.pages.add("/small", button=button))
    await visit.button.click()
    await visit.frame.get_by_role("button", name="Jetzt anrufen").click()
    await expect(visit.status).to_have_text("Im Gespräch")
    await until(lambda: gateway.line.peer.selected)
    files = re.findall(r"/static/([^?\s]+)", " ".join(gateway.addresses))
    names = {"loader.js", "frame.html", *files}
    for part in ("frame", "style", "de", "solver", "worklets", "socket-worker"):
        assert any(name.startswith(f"{part}-") for name in names), part
    sizes = {name: _gzipped(built_pages / name) for name in names}
    assert sizes["loader.js"] <= LOADER_BYTES_MAX
    # What differs from visitor to visitor is one file: the words of their language.
    words = {path.name: _gzipped(path) for path in built_pages.glob("??-*.js") if _is_words(path)}
    (loaded,) = names & words.keys()
    assert loaded.startswith("de-")
    assert len(words) > 2
    rest = sum(sizes.values()) - sizes[loaded]
    assert rest + max(words.values()) <= TALK_BYTES_MAX, sizes


def _gzipped(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), 9))


def _is_words(path: Path) -> bool:
    """Whether a file has the frame's words, not the phone's."""
    return "blocked_by_page" in path.read_text()


def test_every_file_of_the_frame_is_there(built_pages: Path) -> None:
    html = (built_pages / "frame.html").read_text()
    named = set(re.findall(r'(?:src|href)="../static/([^"]+)"', html))
    assert named
    for name in named:
        assert (built_pages / name).is_file(), name


def test_the_loader_brings_nothing_along(built_pages: Path) -> None:
    """All of us that runs in other people's pages is one file: they can demand it by its hash."""
    text = (built_pages / "loader.js").read_text()
    assert not re.search(
        r"\bimport\s*[({\"']|\beval\b|\bFunction\b|innerHTML|document\.write", text
    )
