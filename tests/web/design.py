"""Serves `/design` with the built pages, for a browser to look at every element."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn

from gateway.buttons.frames import LOADER, files_in
from gateway.http import pages
from gateway.http.access import public
from gateway.http.app import create_app
from gateway.http.site.design import DesignPages
from tests.gateway.http.site.conftest import Site
from tests.valkey import free_port
from tests.web.fake_embed import BUTTON
from tests.web.fake_gateway import until


@asynccontextmanager
async def design_served(static_dir: Path) -> AsyncIterator[str]:
    """Serve the page on loopback; yield its origin."""
    site = Site()

    async def loader(request: object) -> object:
        return files_in(static_dir)[LOADER].respond(request)

    routes = [
        *DesignPages(site.door, static_dir, BUTTON).routes(),
        *site.pages.routes(),
        *pages.routes(static_dir, site.pages.phone_page),
        public("/embed/v1.js", loader),
    ]
    port = free_port()
    config = uvicorn.Config(create_app(routes), port=port, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = server.force_exit = True
        await task
