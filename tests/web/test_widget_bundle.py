"""What a visitor loads to talk: counted as a browser asks for it, with both ways of the audio."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.web.conftest import WEB, WORDS
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
    for part in ("chunk", "style", "de", "solver", "worklets", "socket-worker"):
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


PARTS = ("widget", "phone", "live")
"""What each language has of its own: the words of the button's frame, the phone and live calls."""


def test_another_language_is_one_folder_and_costs_every_page_nothing(
    built_pages: Path, node: str, tmp_path: Path
) -> None:
    web, site = tmp_path / "web", tmp_path / "gateway/http/site"
    shutil.copytree(WEB, web, ignore=shutil.ignore_patterns("node_modules"))
    web.joinpath("node_modules").symlink_to((WEB / "node_modules").resolve())
    site.mkdir(parents=True)
    for name in ("tokens.css", "icon.svg"):
        shutil.copy(built_pages.parent / "site" / name, site)
    words = tmp_path / "gateway/words"
    shutil.copytree(WORDS, words)
    shutil.copytree(words / "es", words / "tlh")
    for part in PARTS:
        said = (words / "tlh" / f"{part}.ts").read_text().replace(": '", ": 'Tlh · ")
        (words / "tlh" / f"{part}.ts").write_text(said)
    subprocess.run([node, "build.mjs"], cwd=web, check=True, stdout=subprocess.DEVNULL)
    built = tmp_path / "gateway/http/static"
    assert (built / "loader.js").read_bytes() == (built_pages / "loader.js").read_bytes()
    frame = re.findall(r"static/([^\"]+\.js)", (built / "frame.html").read_text())
    loads = "".join((built / name).read_text() for name in frame)
    (name,) = set(re.findall(r"tlh:\(\)=>import\(\"\./(tlh-\w+\.js)\"\)", loads))
    assert "Tlh · " in (built / name).read_text()
    assert len(list(built.glob("tlh-*.js"))) == len(PARTS)
