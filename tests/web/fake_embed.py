"""A small gateway that serves one button, and pages of other people that carry it.

It shares no code with the real one on purpose: what both agree on is the contract.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.web.fake_gateway import STATIC, FakeGateway, until

BUTTON = "pk_live_0123456789abcdefghijklmn"
NUMBERS = 300
"""Numbers that a challenge makes a visitor's machine try at most, unless it is a hard one."""

WEEKDAYS = [[[540, 720], [780, 1020]]] * 5

_ISOLATED = {
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_SELF = ("script-src", "style-src", "connect-src", "worker-src", "img-src")


def status(**fields: Any) -> dict[str, Any]:
    """Return how a button stands, as the contract says it."""
    return {
        "state": "open",
        "mode": "live",
        "opens_at": None,
        "zone": "Europe/Berlin",
        "hours": [*WEEKDAYS, [], []],
        "name": "Sales of Example",
        "seconds_max": 600,
        "takes_feedback": True,
        "operator": {"name": "Example Calls", "privacy_url": "https://calls.example/privacy"},
        "codec": "pcmu",
        **fields,
    }


def problem(code: str, status: int = 403, **headers: str) -> Response:
    """Return a refusal of the contract."""
    body = {"status": status, "code": code, "title": "Refused.", "action": "", "retry": True}
    return JSONResponse(body, status, headers, "application/problem+json")


@dataclass
class FakeEmbedGateway(FakeGateway):
    """The gateway with one button on it."""

    tells_money: bool = False
    origins: str = "http://localhost:*"
    """Pages that may show the button, as `frame-ancestors` has them."""
    status: dict[str, Any] = field(default_factory=status)
    refusals: list[Response] = field(default_factory=list)
    """What the next requests for a token are answered with, each once."""
    solutions: list[dict[str, Any]] = field(default_factory=list)
    """What visitors' machines have found."""
    signed: list[str] = field(default_factory=list)
    """Tokens of the owner's back end that visitors' calls came with."""
    humans: list[str] = field(default_factory=list)
    """What host pages have handed on from a check of persons."""
    hosts: list[str] = field(default_factory=list)
    """Origins of the pages around the phone, as it told them."""
    is_away: bool = False
    """Answers no request for the button any more."""
    numbers: int = NUMBERS
    """Those of the next challenges."""

    def app(self) -> ASGIApp:
        """Return the application."""
        routes = [
            Route("/embed/v1.js", self._loader),
            Route("/embed/{key}", self._frame),
            Route("/c/{key}", self._frame),
            Route("/c/{key}/qr.svg", self._qr),
            Route("/v1/embed/{key}", self._status),
            Route("/v1/embed/{key}/challenges", self._challenge, methods=["POST"]),
            Route("/v1/embed/{key}/call-tokens", self._embed_token, methods=["POST"]),
            Route("/v1/embed/{key}/calls/{call}/feedback", self._said, methods=["PUT"]),
        ]
        own = Starlette(routes=routes)
        rest = super().app()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if any(route.matches(scope)[0].value for route in routes):
                self.addresses.append(f"{scope['path']}?{scope['query_string'].decode()}")
                await own(scope, receive, send)
                return
            await rest(scope, receive, _isolated(send) if scope["type"] == "http" else send)

        return app

    async def _loader(self, _request: Request) -> Response:
        headers = {"Access-Control-Allow-Origin": "*", **_ISOLATED}
        script = (STATIC / "loader.js").read_bytes()
        return Response(script, headers=headers, media_type="text/javascript")

    async def _frame(self, request: Request) -> Response:
        ancestors = self.origins if request.url.path.startswith("/embed/") else "'none'"
        policy = "; ".join(
            (
                "default-src 'none'",
                *(f"{what} 'self'" for what in _SELF),
                "base-uri 'none'",
                "form-action 'none'",
                f"frame-ancestors {ancestors}",
            )
        )
        headers = {"Content-Security-Policy": policy, **_ISOLATED}
        return HTMLResponse((STATIC / "frame.html").read_text(), headers=headers)

    async def _qr(self, _request: Request) -> Response:
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M1 1h7v7z"/></svg>'
        )
        return Response(svg, media_type="image/svg+xml", headers=_ISOLATED)

    async def _status(self, request: Request) -> Response:
        if self.is_away:
            return JSONResponse({}, 502)
        if request.path_params["key"] != BUTTON:
            return problem("button_not_found", 404)
        return JSONResponse(self.status)

    async def _challenge(self, _request: Request) -> Response:
        salt, number = f"salt{len(self.solutions)}?expires=4102444800&", self.numbers - 7
        digest = hashlib.sha256(f"{salt}{number}".encode()).hexdigest()
        challenge = {
            "algorithm": "SHA-256",
            "challenge": digest,
            "maxnumber": self.numbers,
            "salt": salt,
            "signature": "signed",
        }
        return JSONResponse({"challenge": challenge, "expires_in_seconds": 120}, 201)

    async def _said(self, request: Request) -> Response:
        if self.unwritten:
            self.unwritten -= 1
            return problem("call_not_found", 404)
        said = await request.json()
        self.feedback.append((request.path_params["call"], said))
        return JSONResponse({"kept": said})

    async def _embed_token(self, request: Request) -> Response:
        body = await request.json()
        self.hosts.append(body["host"])
        if "token" in body:
            self.signed.append(body["token"])
        else:
            self.humans.append(body["human"])
            self.solutions.append(json.loads(base64.b64decode(body["solution"])))
        if self.refusals:
            return self.refusals.pop(0)
        # A visitor's call has no destination of its own.
        self.token_requests.append({"destination": ""})
        reply = {
            "token": "token_1",
            "expires_at": "2030-01-01T00:00:00Z",
            "expires_in_seconds": 60,
            "media_url": "wss://gateway.example/n/test/media/browser",
            "codec": "pcmu",
        }
        return JSONResponse(reply, 201)


def _isolated(send: Send) -> Send:
    """Let files be loaded by a worker of a page that isolates itself."""

    async def isolated(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(name.lower().encode(), value.encode()) for name, value in _ISOLATED.items()]
            kept = [pair for pair in message["headers"] if not pair[0].startswith(b"cross-origin-")]
            message["headers"] = [*kept, *added]
        await send(message)

    return isolated


@dataclass
class HostPages:
    """A site of somebody else: its pages, and the requests it has had."""

    gateway: str
    """Origin of the gateway whose button stands in them."""
    origin: str = ""
    pages: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    """Path -> markup and headers."""
    addresses: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Until it is set, `/gate` is not answered."""

    def add(
        self,
        path: str,
        body: str = "",
        *,
        script: str = "/embed/v1.js",
        integrity: str = "",
        button: str = "",
        **headers: str,
    ) -> str:
        """Add a page with the button in it; return its address.

        In names of headers an underscore stands for a hyphen, in values `{gateway}` for its origin.
        """
        proof = f' integrity="{integrity}" crossorigin="anonymous"' if integrity else ""
        link = f'<a href="{self.gateway}/c/{BUTTON}">Call us</a>'
        button = button or f'<caller-button key="{BUTTON}">{link}</caller-button>'
        markup = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Shop</title>'
            f'<script type="module" src="{self.gateway}{script}"{proof}></script></head>'
            f"<body><h1>Shop</h1>{button}{body}</body></html>"
        )
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        filled = {name: value.replace("{gateway}", self.gateway) for name, value in named.items()}
        self.pages[path] = (markup, filled)
        return self.origin + path

    def app(self) -> ASGIApp:
        """Return the application."""

        async def page(request: Request) -> Response:
            self.addresses.append(request.url.path)
            found = self.pages.get(request.url.path)
            if found is None:
                return Response(status_code=404)
            return HTMLResponse(found[0], headers=found[1])

        async def sign(_request: Request) -> Response:
            return JSONResponse({"token": "of_the_owner", "media_url": "wss://gateway.example/"})

        async def wait(_request: Request) -> Response:
            await self.gate.wait()
            return Response()

        routes = [
            Route("/call-token", sign, methods=["POST"]),
            Route("/gate", wait),
            Route("/{path:path}", page),
        ]
        return Starlette(routes=routes)


@asynccontextmanager
async def hosting(pages: HostPages, address: str = "") -> AsyncIterator[HostPages]:
    """Serve the site on a free port of this address.

    Without one it is loopback's, under a name that is another site than the gateway's.
    """
    bound = address or "127.0.0.1"
    config = uvicorn.Config(pages.app(), host=bound, port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    pages.origin = f"http://{address or 'localhost'}:{port}"
    try:
        yield pages
    finally:
        server.should_exit = server.force_exit = True
        await task
