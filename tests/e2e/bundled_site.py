"""A site that is made with a bundler: its package of the SDK, its build, and its server.

The bundlers are npm packages in `bundlers/`, installed when a test first needs them: half a minute
of network and 500 MB. What each is run with stands in docs/sdk.md, and so does the policy.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import mimetypes
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.calls.world import Customer
from tests.web.fake_gateway import until
from tests.web.sdk_project import ROOT

SOURCES = Path(__file__).parent / "bundlers"
PLACE = (SOURCES / "node_modules").resolve().parent
"""Where they are installed; tests that run in a copy of the tree share them."""
INSTALL_S = 600
BUILD_S = 300

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Shop</title>
<script {kind} src="main.js"></script></head>
<body><button>Call or hang up</button> <output></output><p></p></body></html>"""
"""Around a bundle that was made without a page."""

INLINE = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)


def documented() -> dict[str, list[str]]:
    """Return the commands of each bundler, as the table in docs/sdk.md has them."""
    table = (ROOT / "docs/sdk.md").read_text().partition("| bundler |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([\w.]+) \| (.*) \|$", table, re.MULTILINE)
    return {name: re.findall(r"`([a-z]+ [^`]+)`", cells) for name, cells in rows}


def install_bundlers() -> None:
    """Install what the lock file names, unless it is there."""
    lock, installed = SOURCES / "package-lock.json", PLACE / "node_modules/.package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        subprocess.run(command, cwd=PLACE, check=True, timeout=INSTALL_S, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"The bundlers cannot be installed by npm: {error}")


def install_sdk(package: Path, site: Path) -> None:
    """Install the package there as it comes from npm: packed and unpacked."""
    command = ["npm", "pack", "--silent", "--pack-destination", site]
    subprocess.run(command, cwd=package, check=True, stdout=subprocess.DEVNULL)
    [tarball] = site.glob("caller-sdk-*.tgz")
    with tarfile.open(tarball) as archive:
        archive.extractall(site, filter=_new)
    (site / "node_modules").mkdir()
    (site / "package").rename(site / "node_modules/caller-sdk")


def _new(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo | None:
    """As npm unpacks, with the time of now: in the archive all have that of 1985.

    A bundler that keeps a cache, as Parcel does, tells by it that the package is another one.
    """
    checked = tarfile.data_filter(member, place)
    return checked.replace(mtime=time.time(), deep=False)


def build(bundler: str, package: Path, *options: str) -> Path:
    """Make the site with a bundler, its commands as documented; return the files it serves."""
    # Beside the bundlers, where they look for packages of theirs; one folder for each site.
    site = PLACE / "build" / "-".join((bundler, *options)).replace("/", "_")
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(SOURCES / ("next" if bundler == "Next.js" else "site"), site)
    (site / "package.json").write_text('{"private": true}')
    install_sdk(package, site)
    environment = {
        **os.environ,
        "PATH": f"{PLACE / 'node_modules/.bin'}{os.pathsep}{os.environ['PATH']}",
        "NEXT_TELEMETRY_DISABLED": "1",
    }
    for command in documented()[bundler]:
        arguments = [*command.removeprefix("npx ").split(), *options]
        done = subprocess.run(
            arguments,
            cwd=site,
            env=environment,
            check=False,
            timeout=BUILD_S,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return _served(bundler, site)


def _served(bundler: str, site: Path) -> Path:
    """Return the folder that a server of the site would serve."""
    files = site / "dist"
    if bundler == "Next.js":
        shutil.copytree(site / ".next/static", files / "_next/static")
        shutil.copy(site / ".next/server/app/index.html", files)
    elif not (files / "index.html").exists():
        # Of these only Rollup makes a module.
        kind = 'type="module"' if bundler == "Rollup" else "defer"
        (files / "index.html").write_text(PAGE.format(kind=kind))
    return files


@dataclass
class BundledSite:
    """A server of the files, under the policy of the documents."""

    files: Path
    customer: Customer
    origin: str = ""
    changes: tuple[tuple[str, str], ...] = ()
    """Parts of the policy, and what stands in their place."""

    @property
    def policy(self) -> str:
        """Return the policy, with hashes of the scripts that the bundler wrote into the page."""
        scripts = INLINE.findall((self.files / "index.html").read_text())
        hashes = " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            for text in scripts
        )
        policy = "; ".join(
            (
                "default-src 'none'",
                f"script-src 'self' {hashes}".strip(),
                "worker-src 'self'",
                # Its own is for the token.
                f"connect-src 'self' {self.customer.world.base.replace('http', 'ws', 1)}",
            )
        )
        for before, after in self.changes:
            assert before in policy
            policy = policy.replace(before, after)
        return policy

    def app(self) -> Starlette:
        """Return the site's server."""
        return Starlette(
            routes=[
                Route("/call-token", self._token, methods=["POST"]),
                Route("/{path:path}", self._file),
            ]
        )

    async def _file(self, request: Request) -> Response:
        path = self.files / (request.path_params["path"] or "index.html")
        if not path.is_file():
            raise HTTPException(404)
        kind = mimetypes.guess_type(path.name)[0]
        headers = {"Content-Security-Policy": self.policy}
        return Response(path.read_bytes(), media_type=kind, headers=headers)

    async def _token(self, request: Request) -> Response:
        """Ask the gateway with the site's key, and pass on what it says."""
        body = {**await request.json(), "origin": self.origin}
        reply = await self.customer.http.post("/v1/call-tokens", json=body)
        kind = reply.headers["content-type"]
        return Response(reply.content, reply.status_code, media_type=kind)


@asynccontextmanager
async def serving(site: BundledSite, port: int) -> AsyncIterator[BundledSite]:
    """Serve the site on a port of localhost."""
    config = uvicorn.Config(site.app(), port=port, log_level="error", ws="none", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    site.origin = f"http://localhost:{port}"
    try:
        yield site
    finally:
        server.should_exit = server.force_exit = True
        await task
