"""How the page's files are served: policies, caching, codings."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from gateway.http import pages

HTML = b"<!doctype html><title>Phone</title>"
LIVE = b"<!doctype html><title>Live calls</title>"
SCRIPT = b"export const answer = 42;\n"


@pytest.fixture
def static_dir(tmp_path: Path) -> Path:
    """A build of one page and one script."""
    (tmp_path / "index.html").write_bytes(HTML)
    (tmp_path / "live.html").write_bytes(LIVE)
    (tmp_path / "app-ABCD2345.js").write_bytes(SCRIPT)
    (tmp_path / "app-ABCD2345.js.gz").write_bytes(gzip.compress(SCRIPT))
    (tmp_path / "THIRD_PARTY_LICENSES.txt").write_text("BSD")
    (tmp_path / "manifest.webmanifest").write_text('{"name":"Caller"}')
    (tmp_path / "offline.js").write_bytes(SCRIPT)
    (tmp_path / "icon-512-ABCD2345.png").write_bytes(b"PNG")
    (tmp_path / "build.stamp").write_text("secret")
    (tmp_path / "sdk").mkdir()
    (tmp_path / "sdk/caller.js").write_bytes(SCRIPT)
    return tmp_path


@pytest.fixture
async def client(static_dir: Path) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Starlette(routes=pages.routes(static_dir)))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as opened:
        yield opened


@pytest.mark.parametrize(("path", "html"), [("/", HTML), ("/live", LIVE)])
async def test_page_is_served_under_a_strict_policy(
    client: httpx.AsyncClient, path: str, html: bytes
) -> None:
    reply = await client.get(path)
    assert (reply.status_code, reply.content) == (200, html)
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert reply.headers["permissions-policy"].startswith("microphone=(self)")
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["x-content-type-options"] == "nosniff"


async def test_the_phone_has_an_address_of_its_own(client: httpx.AsyncClient) -> None:
    assert (await client.get("/phone")).content == HTML


@pytest.mark.parametrize(
    ("path", "media_type", "caching"),
    [
        ("/manifest.webmanifest", "application/manifest+json", "no-cache"),
        # A worker that were kept for ever could never be replaced by a better one.
        ("/offline.js", "text/javascript; charset=utf-8", "no-cache"),
        ("/static/icon-512-ABCD2345.png", "image/png", "public, max-age=31536000, immutable"),
    ],
)
async def test_what_an_installed_phone_needs_is_served(
    client: httpx.AsyncClient, path: str, media_type: str, caching: str
) -> None:
    reply = await client.get(path)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == media_type
    assert reply.headers["cache-control"] == caching


async def test_without_a_build_there_is_nothing_to_install(tmp_path: Path) -> None:
    transport = httpx.ASGITransport(Starlette(routes=pages.routes(tmp_path)))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as opened:
        assert (await opened.get("/manifest.webmanifest")).status_code == 404
        assert (await opened.get("/offline.js")).status_code == 404


async def test_page_and_manifest_are_rewritten_each_in_its_way(static_dir: Path) -> None:
    routes = pages.routes(
        static_dir, lambda html: html + "<!-- page -->", lambda text: text.replace("Caller", "Ours")
    )
    transport = httpx.ASGITransport(Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as opened:
        assert (await opened.get("/")).text.endswith("<!-- page -->")
        assert (await opened.get("/manifest.webmanifest")).json() == {"name": "Ours"}


async def test_hashed_files_are_kept_for_ever_and_others_asked_for_anew(
    client: httpx.AsyncClient,
) -> None:
    async def caching(path: str) -> str:
        return str((await client.get(path)).headers["cache-control"])

    assert await caching("/static/app-ABCD2345.js") == "public, max-age=31536000, immutable"
    assert await caching("/static/THIRD_PARTY_LICENSES.txt") == "no-cache"
    assert await caching("/") == "no-cache"


async def test_worker_scripts_carry_the_policy_themselves(client: httpx.AsyncClient) -> None:
    reply = await client.get("/static/app-ABCD2345.js")
    assert reply.headers["content-security-policy"] == pages.CONTENT_SECURITY_POLICY
    assert reply.headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("br, gzip;q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("gzip; q=0.0, identity", None),
        ("identity", None),
        ("", None),
    ],
)
async def test_file_is_sent_in_a_coding_the_client_takes(
    client: httpx.AsyncClient, accepted: str, coding: str | None
) -> None:
    reply = await client.get("/static/app-ABCD2345.js", headers={"Accept-Encoding": accepted})
    assert reply.headers.get("content-encoding") == coding
    assert reply.content == SCRIPT
    assert reply.headers["vary"] == "Accept-Encoding"


async def test_known_version_is_not_sent_again(client: httpx.AsyncClient) -> None:
    tag = (await client.get("/")).headers["etag"]
    reply = await client.get("/", headers={"If-None-Match": tag})
    assert (reply.status_code, reply.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/static/none.js",
        "/static/build.stamp",
        "/static/index.html",
        "/static/live.html",
        "/static/..%2findex.html",
        "/static/app-ABCD2345.js.gz",
        "/static/",
    ],
)
async def test_nothing_but_the_build_is_served(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/", "/live"])
async def test_missing_build_is_explained(tmp_path: Path, path: str) -> None:
    transport = httpx.ASGITransport(Starlette(routes=pages.routes(tmp_path / "none")))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        reply = await client.get(path)
    assert reply.status_code == 503
    assert "npm run build" in reply.text


async def test_a_rewritten_page_is_served_with_its_own_codings_and_tag(static_dir: Path) -> None:
    built = b"<title>Phone \xc2\xb7 Caller</title>"
    (static_dir / "index.html").write_bytes(built)
    (static_dir / "index.html.gz").write_bytes(gzip.compress(built))
    (static_dir / "index.html.br").write_bytes(b"of the page as it was built")
    routes = pages.routes(static_dir, lambda html: html.replace("Caller", "Example"))
    transport = httpx.ASGITransport(Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        replies = [
            await client.get("/", headers={"accept-encoding": coding})
            for coding in ("br, gzip", "gzip", "identity")
        ]
    assert {reply.text for reply in replies} == {"<title>Phone · Example</title>"}
    assert [reply.headers.get("content-encoding") for reply in replies] == ["gzip", "gzip", None]
    (tag,) = {reply.headers["etag"] for reply in replies}
    assert tag != await _tag(static_dir)


async def _tag(static_dir: Path) -> str:
    transport = httpx.ASGITransport(Starlette(routes=pages.routes(static_dir)))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return str((await client.get("/")).headers["etag"])


async def test_any_page_may_load_the_sdk_and_none_the_phone(client: httpx.AsyncClient) -> None:
    reply = await client.get("/sdk/v1/caller.js", headers={"Origin": "https://shop.example"})
    assert (reply.status_code, reply.content) == (200, SCRIPT)
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["cross-origin-resource-policy"] == "cross-origin"
    assert reply.headers["cache-control"] == "no-cache"
    phone = await client.get("/static/app-ABCD2345.js", headers={"Origin": "https://shop.example"})
    assert "access-control-allow-origin" not in phone.headers
    assert phone.headers["cross-origin-resource-policy"] == "same-origin"
    assert (await client.get("/static/caller.js")).status_code == 404
    assert (await client.get("/sdk/v1/app-ABCD2345.js")).status_code == 404
