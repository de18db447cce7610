"""The SDK from npm in sites that are made with bundlers, each in its defaults.

Each site is served under the policy that docs/sdk.md names, and calls through a real gateway.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from tests.calls.world import Customer, World
from tests.e2e.bundled_site import BundledSite, build, documented, install_bundlers, serving
from tests.e2e.phone_page import RAW, assert_heard, live_call
from tests.valkey import free_port
from tests.web.sdk_project import pack
from tests.web.speech import Samples

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

BY_SOCKET = RAW + "delete window.RTCPeerConnection;"
"""All sound goes through the worklets and the socket: nothing else can stand in for them."""

BUNDLERS = ("Vite", "webpack", "Next.js", "Parcel", "Rollup", "esbuild")


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("bundled-world")
    world = World(folder, CALLER_ALLOWED_ORIGINS=f"http://localhost:{port}")
    world.start()
    yield world
    world.stop()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Needs Node.js.")
    install_bundlers()
    return pack(node, tmp_path_factory.mktemp("package") / "sdk")


@contextlib.asynccontextmanager
async def visited(
    chromium: Browser, site: BundledSite, port: int
) -> AsyncIterator[tuple[Page, list[str]]]:
    """Serve and open the site; what the browser complained of is in the list."""
    context = await chromium.new_context(locale="en-US")
    await context.add_init_script(BY_SOCKET)
    page, faults = await context.new_page(), []

    def note(said: ConsoleMessage) -> None:
        if said.type == "error" and "favicon.ico" not in said.location["url"]:
            faults.append(said.text)

    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", note)
    async with serving(site, port):
        await page.goto(site.origin)
        yield page, faults
        await context.close()


async def test_the_documents_name_them_all() -> None:
    assert tuple(documented()) == BUNDLERS


@pytest.mark.parametrize("bundler", BUNDLERS)
async def test_a_site_calls(
    chromium: Browser, caller: Customer, package: Path, speech: Samples, port: int, bundler: str
) -> None:
    site = BundledSite(build(bundler, package), caller)
    async with visited(chromium, site, port) as (page, faults):
        await page.get_by_role("button").click()
        await expect(page.locator("output")).to_have_text("open", timeout=15_000)
        assert len(page.workers) == 1
        call = await live_call(caller)
        await assert_heard(caller, call, speech)
        await page.get_by_role("button").click()
        await expect(page.locator("output")).to_have_text("closed")
        assert (await caller.record(call["id"]))["ended_by"] == "caller"
        assert faults == []


async def test_a_cache_of_the_last_build_holds_no_other_package(
    package: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(package, tmp_path / "sdk")
    with (other / "caller.js").open("a") as script:
        script.write("globalThis.isOther = 1;")
    for each, is_other in ((package, False), (other, True)):
        built = "".join(path.read_text() for path in build("Parcel", each).glob("*.js"))
        assert ("isOther" in built) is is_other


async def test_a_site_without_workers_calls_as_well(
    chromium: Browser, caller: Customer, package: Path, speech: Samples, port: int
) -> None:
    no_workers = (("worker-src 'self'", "worker-src 'none'"),)
    site = BundledSite(build("Vite", package), caller, changes=no_workers)
    async with visited(chromium, site, port) as (page, _):
        await page.get_by_role("button").click()
        await expect(page.locator("output")).to_have_text("open", timeout=15_000)
        assert page.workers == []
        call = await live_call(caller)
        await assert_heard(caller, call, speech)
        await page.get_by_role("button").click()
        await expect(page.locator("output")).to_have_text("closed")
        assert (await caller.record(call["id"]))["ended_by"] == "caller"


async def test_worklets_within_the_bundle_are_named_as_what_the_policy_refuses(
    chromium: Browser, caller: Customer, package: Path, port: int
) -> None:
    site = BundledSite(build("Vite", package, "--assetsInlineLimit=100000"), caller)
    async with visited(chromium, site, port) as (page, _):
        await page.get_by_role("button").click()
        fault = page.locator("p")
        await expect(fault).to_contain_text("policy_refused")
        await expect(fault).to_contain_text("build.assetsInlineLimit")


async def test_files_that_were_not_copied_are_named(
    chromium: Browser, caller: Customer, package: Path, port: int
) -> None:
    files = build("esbuild", package)
    (files / "worklets.js").unlink()
    async with visited(chromium, BundledSite(files, caller), port) as (page, _):
        await page.get_by_role("button").click()
        fault = page.locator("p")
        await expect(fault).to_contain_text("file_missing")
        await expect(fault).to_contain_text(f"http://localhost:{port}/worklets.js")
