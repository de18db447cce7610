"""A page of another site that uses the SDK, and that site's server, which has the API key.

Its policy is the one that docs/sdk.md names, so that what is written there is what a page needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import uvicorn
from playwright.async_api import Browser, ConsoleMessage, Page
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.web.fake_gateway import KEY, FakeGateway, until

GATEWAY = "https://calls.example.com"
"""The gateway as documents and examples write it."""

BLANK = f"""<!doctype html><title>Shop</title><script type="module">
import * as sdk from '{GATEWAY}/sdk/v1/caller.js';
const getToken = (destination) => sdk.fetchToken('/call-token', {{ destination }});
const getCheckToken = () => sdk.fetchToken('/check-token');
Object.assign(window, {{ sdk, getToken, getCheckToken }});
</script>"""
"""A page with the SDK as `sdk` and how to get tokens, for a test to do the rest."""


@dataclass
class Shop:
    """The site: its files, by name, and where it is."""

    gateway: FakeGateway
    files: dict[str, str] = field(default_factory=lambda: {"blank.html": BLANK})
    origin: str = ""
    faults: list[str] = field(default_factory=list)
    """What the browser complained of."""
    policy_changes: tuple[tuple[str, str], ...] = ()
    """Parts of the policy, and what stands in their place; `{gateway}` is its origin."""

    @property
    def _policy(self) -> str:
        origin = self.gateway.origin
        socket = origin.replace("http", "ws", 1)
        # What is inline is the examples' own, and no business of the SDK's.
        policy = "; ".join(
            (
                "default-src 'none'",
                f"script-src 'self' 'unsafe-inline' {origin}",
                "style-src 'unsafe-inline'",
                f"connect-src 'self' {origin} {socket}",
                "worker-src 'self' blob:",
            )
        )
        for before, after in self.policy_changes:
            assert before.replace("{gateway}", origin) in policy
            policy = policy.replace(
                *(part.replace("{gateway}", origin) for part in (before, after))
            )
        return policy

    def app(self) -> Starlette:
        """Return the site's server."""
        return Starlette(
            routes=[
                Route("/call-token", self._token, methods=["POST"]),
                Route("/check-token", self._token, methods=["POST"]),
                Route("/{name}", self._file),
            ]
        )

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self.files:
            raise HTTPException(404)
        text = self.files[name].replace(GATEWAY, self.gateway.origin)
        kind = "text/html" if name.endswith(".html") else "text/javascript"
        return Response(text, media_type=kind, headers={"Content-Security-Policy": self._policy})

    async def _token(self, request: Request) -> Response:
        """Ask the gateway with the site's key, and pass on what it says."""
        async with httpx.AsyncClient(base_url=self.gateway.origin) as client:
            reply = await client.post(
                f"/v1{request.url.path}s",
                content=await request.body(),
                headers={"Authorization": f"Bearer {KEY}"},
            )
        kind = reply.headers["content-type"]
        return Response(reply.content, reply.status_code, media_type=kind)

    def _note_policy(self, message: ConsoleMessage) -> None:
        if message.text.startswith("CSP"):
            self.faults.append(message.text)

    async def open(self, browser: Browser, name: str = "blank.html", script: str = "") -> Page:
        """Open a page of the site in a context of its own."""
        context = await browser.new_context(locale="en-US")
        await context.add_init_script(_OBSERVE + script)
        page = await context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._note_policy)
        await page.goto(f"{self.origin}/{name}")
        return page


_OBSERVE = """
document.addEventListener('securitypolicyviolation',
  (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
"""


@asynccontextmanager
async def running(shop: Shop) -> AsyncIterator[Shop]:
    """Serve the site on a free port of loopback."""
    config = uvicorn.Config(shop.app(), port=0, log_level="error", ws="none", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    shop.origin = f"http://localhost:{port}"
    try:
        yield shop
    finally:
        server.should_exit = server.force_exit = True
        await task
