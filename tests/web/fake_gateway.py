"""A small gateway that speaks wire contracts 1 and 2 and echoes the caller; it takes payments too.

It shares no code with the real one on purpose: what both agree on is the contract.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.http import pages
from gateway.http.site.rendering import Pages
from tests.web.fake_webrtc import EchoPeer

KEY = "ck_test_0123456789abcdef"
OTHER_KEY = "ck_test_of_somebody_else"
ECHO = "+15005551000"
STATIC = Path(pages.__file__).parent / "static"


def money(micros: int) -> dict[str, Any]:
    """Return an amount of the contract."""
    return {"micros": micros, "currency": "USD", "text": f"${micros / 1e6:.2f}"}


RATE = {
    "per_minute": money(13_000),
    "connect_fee": money(0),
    "first_increment_s": 1,
    "next_increment_s": 1,
    "description": "Simulated phone network",
}


VERDICT = {
    "verdict": "good",
    "path": "websocket",
    "mos": 4.3,
    "rtt_ms": 12.4,
    "jitter_ms": 1.5,
    "loss_percent": 0.0,
    "level_dbov": -22,
    "message": "Calls will sound good from here.",
    "action": "",
}


def leg_sample(mos: float) -> dict[str, Any]:
    """Return one direction of a sample of the contract."""
    figures = {"loss_percent": 0, "jitter_ms": 1, "concealed_percent": 0, "backlog_ms": 0}
    return {**figures, "level_dbov": -20, "mos": mos}


def past_call(number: str, created_at: str, seconds: int, cause: int) -> dict[str, Any]:
    """Return a call record of the contract."""
    return {
        "id": f"call_{created_at}",
        "state": "ended",
        "destination": number,
        "created_at": created_at,
        "answered_at": created_at if seconds else None,
        "ended_at": created_at,
        "seconds": seconds,
        "cost": money(seconds * 13_000 // 60),
        "cause": cause,
        "cause_name": "X",
    }


def top_up_offer(**auto: Any) -> dict[str, Any]:
    """Return what can be topped up, as the contract says it; `auto` changes the automatic part."""
    settings = {"enabled": False, "threshold": money(0), "amount": money(0), "has_card": False}
    return {
        "enabled": True,
        "currency": "USD",
        "amounts": [money(micros) for micros in (10_000_000, 25_000_000, 50_000_000)],
        "minimum": money(5_000_000),
        "maximum": money(500_000_000),
        "auto": {**settings, "off_reason": "", **auto},
    }


def payment(state: str, micros: int = 25_000_000, **fields: Any) -> dict[str, Any]:
    """Return a payment of the contract."""
    return {
        "id": "pay_1",
        "state": state,
        "amount": money(micros),
        "receipt_url": "",
        "failure": "",
        "created_at": "2026-11-20T11:00:00Z",
        "kind": "checkout",
        "refunded": money(0),
        **fields,
    }


@dataclass
class TopUps:
    """The payments of the gateway."""

    offer: dict[str, Any] | None = None
    """None: nobody can top up here."""
    payments: list[dict[str, Any]] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    """How the payment stands, each time it is asked for; the last one stays."""
    refusal: tuple[int, dict[str, Any]] | None = None
    """Status and body with which top-ups and settings are refused."""
    started: list[dict[str, Any]] = field(default_factory=list)
    """Body of each request, and its Idempotency-Key."""
    taps: list[dict[str, Any]] = field(default_factory=list)
    """The same of each tap on the saved card."""
    tapped: dict[str, Any] = field(default_factory=dict)
    """The payment that a tap is answered with."""
    settings: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Ids of the payments that were asked for."""
    gate: asyncio.Event | None = None
    """Keeps the start of a payment waiting until it is set."""


@dataclass
class Line:
    """One media socket as the gateway saw it."""

    socket: WebSocket
    start: dict[str, Any]
    messages: list[dict[str, Any]] = field(default_factory=list)
    frames: list[tuple[float, bytes]] = field(default_factory=list)
    """Arrival, in monotonic seconds, and bytes of each audio message."""
    sent: int = 0
    """Frames that were given back by this socket."""
    close_code: int | None = None
    beat: asyncio.Task[None] | None = None
    peer: EchoPeer = field(default_factory=EchoPeer)
    """The audio beside the socket; goes on when another socket takes the call up."""

    async def send(self, kind: str, **fields: Any) -> None:
        """Send one message to the page."""
        await self.socket.send_json({"type": kind, **fields})

    async def end(
        self,
        cause: int = 16,
        ended_by: str = "callee",
        message: str = "",
        *,
        action: str = "",
        cut_off: str | None = None,
    ) -> None:
        """End the call as the contract says: `disconnect`, then a close."""
        await self.send(
            "disconnect",
            call_id="call_1",
            cause=cause,
            name="CAUSE",
            message=message or "The call has ended.",
            ended_by=ended_by,
            seconds=self.seconds,
            cost=money(self.seconds * 13_000 // 60),
            action=action,
            cut_off=cut_off,
        )
        await self.socket.close(1000)

    async def sample(self, mos: float, times: int = 1, rtt_ms: float = 34) -> None:
        """Say how good the line is, as often as a second would."""
        for _ in range(times):
            await self.send(
                "sample",
                path="webrtc" if self.peer.selected else "websocket",
                rtt_ms=rtt_ms,
                carrier_rtt_ms=None,
                browser=leg_sample(4.3),
                carrier=leg_sample(mos),
            )

    @property
    def seconds(self) -> int:
        """Seconds of audio that have come."""
        return len(self.frames) // 50

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Return the page's messages of one type."""
        return [message for message in self.messages if message["type"] == kind]


@dataclass
class FakeGateway:
    """What the gateway answers, to be set by a test, and what it has seen."""

    origin: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    phonebook: list[dict[str, str]] | None = None
    """None: this gateway has no phonebook."""
    refusal: tuple[int, dict[str, Any]] | None = None
    """Status and body with which call tokens are refused."""
    answers: bool = True
    """Whether the phone is answered; else it rings."""
    webrtc: bool = False
    """Whether offers are taken."""
    answers_offers: bool = True
    """Whether an offer that is taken is answered."""
    resume_seconds: int = 0
    """How long a call is kept whose socket was lost; zero: not at all."""
    keeps: bool = True
    """Whether a call that is taken up again is still there."""
    check_verdict: dict[str, Any] = field(default_factory=dict)
    """What the verdict of a check says besides the usual."""
    balance: int = 5_000_000
    tells_money: bool = True
    """Whether whoever calls is told each second what it costs."""
    keys: dict[str, str] = field(default_factory=lambda: {KEY: "alice", OTHER_KEY: "mallory"})
    """Key -> account, of those that are good."""
    scopes: tuple[str, ...] = ("calls", "records", "payments", "account")
    """What every key may do."""
    takes_feedback: bool = True
    feedback: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Id of the call and body, of all that was said of calls."""
    unwritten: int = 0
    """How often a call that is spoken of is not there yet."""
    sessions: dict[str, str] = field(default_factory=dict)
    """Cookie of whoever is signed in -> account."""
    senders: list[tuple[str, str]] = field(default_factory=list)
    """Path and account of every request with a good key."""
    top_ups: TopUps = field(default_factory=TopUps)
    lines: list[Line] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """Number -> code of why a quote of it is refused."""
    limited_by: str = "credit"
    """What ends a call that is quoted."""
    quoted: list[str] = field(default_factory=list)
    """Numbers that quotes were asked of."""
    is_silent: bool = False
    """Gives back nothing that comes by the socket."""
    is_mute: bool = False
    """Says and takes nothing any more, as a network that swallows all."""
    token_requests: list[dict[str, Any]] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    """Path and query of every request."""
    site: Pages | None = None
    """In whose name the phone page is; None for the page as it was built."""
    connections: Callable[[], set[Any]] = set
    """uvicorn's open connections."""

    @property
    def line(self) -> Line:
        """The latest media socket."""
        return self.lines[-1]

    @property
    def payment_page(self) -> str:
        """The payment service's page: of another origin than the phone's."""
        return f"{self.origin.replace('127.0.0.1', 'localhost')}/pay"

    def cut(self) -> None:
        """Break every connection without a word, as a dead network does."""
        for connection in list(self.connections()):
            connection.transport.abort()

    def app(self) -> ASGIApp:
        """Return the application."""
        app = Starlette(
            routes=[
                *self._pages(),
                *(self.site.routes() if self.site else ()),
                Route("/v1/key", self._key),
                Route("/v1/account", self._account),
                Route("/v1/calls", self._calls),
                Route("/v1/calls/{call}/feedback", self._feedback, methods=["PUT"]),
                Route("/v1/phonebook", self._phonebook),
                Route("/v1/top-ups", self._offer),
                Route("/v1/top-ups", self._start_top_up, methods=["POST"]),
                Route("/v1/saved-card-charges", self._tap, methods=["POST"]),
                Route("/v1/top-ups/{payment}", self._top_up),
                Route("/v1/payments", self._payments),
                Route("/v1/auto-top-up", self._set_auto, methods=["PUT"]),
                Route("/pay", self._payment_page),
                Route("/v1/quotes", self._quote, methods=["POST"]),
                Route("/v1/call-tokens", self._token, methods=["POST"]),
                Route("/v1/check-tokens", self._check_token, methods=["POST"]),
                WebSocketRoute("/n/test/media/browser", self._media),
            ]
        )

        async def noted(scope: Scope, receive: Receive, send: Send) -> None:
            self.addresses.append(f"{scope['path']}?{scope['query_string'].decode()}")
            await app(scope, receive, send)

        return noted

    def _pages(self) -> list[Any]:
        site = self.site
        return pages.routes(
            STATIC, site.phone_page if site else None, site.phone_manifest if site else None
        )

    async def _key(self, request: Request) -> Response:
        account = self._account_of(request) or ""
        key = {"account": account, "scopes": self.scopes, "takes_feedback": self.takes_feedback}
        return self._reply(request, key)

    async def _account(self, request: Request) -> Response:
        return self._reply(
            request, {"id": "a", "currency": "USD", "balance": money(self.balance), "live_calls": 0}
        )

    async def _calls(self, request: Request) -> Response:
        return self._reply(request, {"calls": self.calls, "next": None})

    async def _feedback(self, request: Request) -> Response:
        if self.unwritten:
            self.unwritten -= 1
            return JSONResponse({"status": 404, "code": "call_not_found"}, 404)
        said = await request.json()
        self.feedback.append((request.path_params["call"], said))
        return self._reply(request, {"kept": said})

    async def _phonebook(self, request: Request) -> Response:
        if self.phonebook is None:
            return JSONResponse({"status": 404, "code": "not_found"}, 404)
        return self._reply(request, {"entries": self.phonebook})

    async def _offer(self, request: Request) -> Response:
        return self._reply(request, self.top_ups.offer or {"enabled": False})

    async def _start_top_up(self, request: Request) -> Response:
        key = request.headers["idempotency-key"]
        self.top_ups.started.append({**await request.json(), "key": key})
        if self.top_ups.gate is not None:
            await self.top_ups.gate.wait()
        if self.top_ups.refusal is not None:
            status, body = self.top_ups.refusal
            return JSONResponse({"status": status, **body}, status)
        micros = round(float(self.top_ups.started[-1]["amount"]) * 1_000_000)
        reply = {"id": "pay_1", "url": self.payment_page, "amount": money(micros), "state": "open"}
        return self._reply(request, reply, 201)

    async def _tap(self, request: Request) -> Response:
        key = request.headers["idempotency-key"]
        self.top_ups.taps.append({**await request.json(), "key": key})
        if self.top_ups.refusal is not None:
            status, body = self.top_ups.refusal
            return JSONResponse({"status": status, **body}, status)
        return self._reply(request, self.top_ups.tapped, 201)

    async def _top_up(self, request: Request) -> Response:
        self.top_ups.asked.append(request.path_params["payment"])
        answers = self.top_ups.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return self._reply(request, answer, answer.get("status", 200))

    async def _payments(self, request: Request) -> Response:
        limit = int(request.query_params["limit"])
        return self._reply(request, {"payments": self.top_ups.payments[:limit], "next": None})

    async def _set_auto(self, request: Request) -> Response:
        body = await request.json()
        self.top_ups.settings.append(body)
        if self.top_ups.refusal is not None:
            status, problem = self.top_ups.refusal
            return JSONResponse({"status": status, **problem}, status)
        amounts = {name: money(round(float(body[name]) * 1e6)) for name in ("threshold", "amount")}
        auto = {"enabled": body["enabled"], **amounts, "has_card": True, "off_reason": ""}
        return self._reply(request, auto)

    async def _payment_page(self, _request: Request) -> Response:
        return HTMLResponse("<!doctype html><title>Pay</title><h1>Payment service</h1>")

    async def _quote(self, request: Request) -> Response:
        destination = (await request.json())["destination"]
        self.quoted.append(destination)
        if (code := self.refused.get(destination)) is not None:
            refusal = {"code": code, "title": f"Refused: {code}.", "action": "Do otherwise."}
            return self._reply(request, {"refusal": refusal})
        return self._reply(
            request,
            {
                "destination": destination,
                "rate": RATE,
                "balance": money(self.balance),
                "affordable_seconds": self.balance * 60 // 13_000,
                "limited_by": self.limited_by,
            },
        )

    async def _token(self, request: Request) -> Response:
        self.token_requests.append(await request.json())
        if self.refusal is not None:
            status, body = self.refusal
            return JSONResponse({"status": status, **body}, status)
        reply = {
            "token": "token_1",
            "expires_at": "2030-01-01T00:00:00Z",
            "expires_in_seconds": 60,
            # A name of its own, as behind a proxy: the page must stay on the origin it came from.
            "media_url": "wss://gateway.example/n/test/media/browser",
            "destination": self.token_requests[-1]["destination"],
            "codec": "pcmu",
            "rate": RATE,
            "balance": money(self.balance),
            "affordable_seconds": self.balance * 60 // 13_000,
        }
        return self._reply(request, reply, 201)

    async def _check_token(self, request: Request) -> Response:
        assert await request.json() == {}
        media_url = "wss://gateway.example/n/test/media/browser"
        return self._reply(request, {"token": "check_1", "media_url": media_url}, 201)

    def _account_of(self, request: Request) -> str | None:
        # As the gateway does, which believes neither of two.
        assert not ("authorization" in request.headers and "cookie" in request.headers)
        if session := request.cookies.get("caller"):
            return self.sessions.get(session)
        return self.keys.get(_bearer(request))

    def _reply(self, request: Request, body: dict[str, Any], status: int = 200) -> Response:
        account = self._account_of(request)
        if account is None:
            problem = {"status": 401, "code": "unauthorized", "title": "Wrong key.", "action": ""}
            return JSONResponse(problem, 401)
        if request.cookies.get("caller"):
            # A page names no account before it knows whose it is.
            is_first = request.url.path == "/v1/key"
            named = request.headers.get("caller-account", account if is_first else "")
            if named != account:
                code = "form_of_another_account"
                return JSONResponse({"status": 409, "code": code, "title": "Of another."}, 409)
        self.senders.append((request.url.path, account))
        return JSONResponse(body, status)

    async def _media(self, socket: WebSocket) -> None:
        await socket.accept()
        line = Line(socket, await socket.receive_json())
        if line.start["type"] == "resume" and not self.keeps:
            await line.send("error", code="bad_resume", message="Gone.", action="", retry=False)
            await socket.close(1008)
            return
        if line.start["type"] == "resume" and self.lines:
            line.peer = self.line.peer
            # A socket that is lost is closed already.
            with suppress(RuntimeError, WebSocketDisconnect):
                await self.line.socket.close(1000, "taken up elsewhere")
        self.lines.append(line)
        try:
            await self._place(line)
            await self._serve(line)
        except WebSocketDisconnect as closed:
            line.close_code = closed.code

    async def _place(self, line: Line) -> None:
        if line.start["token"] == "check_1":
            await line.send("check-ready", version=1, seconds=1, webrtc=self.webrtc)
            return
        token = f"resume_{len(self.lines)}" if self.resume_seconds else ""
        await line.send(
            "ready",
            version=1,
            call_id="call_1",
            destination=self.token_requests[-1]["destination"],
            codec="pcmu",
            frame_bytes=160,
            rate=RATE,
            webrtc=self.webrtc,
            resume_token=token,
            resume_seconds=self.resume_seconds,
        )
        if line.start["type"] == "start":
            await line.send("ringing")
        if self.answers:
            await self.answer(line)

    async def answer(self, line: Line) -> None:
        """Pick up the phone."""
        await line.send("accept", at="2026-11-24T12:00:00Z")
        line.beat = asyncio.create_task(self._beat(line))

    async def _beat(self, line: Line) -> None:
        """Say something each second, as the contract has it."""
        while line.close_code is None:
            await asyncio.sleep(1)
            with suppress(RuntimeError, WebSocketDisconnect):
                if not self.is_mute:
                    await line.send("volume", input_dbov=-20, output_dbov=-20)

    async def _serve(self, line: Line) -> None:
        while True:
            message = await line.socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            if self.is_mute:
                continue
            if (audio := message.get("bytes")) is not None:
                await self._echo(line, audio)
            elif await self._obey(line, message["text"]):
                return

    async def _echo(self, line: Line, audio: bytes) -> None:
        line.frames.append((time.monotonic(), audio))
        if not line.peer.selected and not self.is_silent:
            line.sent += 1
            await line.socket.send_bytes(audio)
        if line.start["token"] == "check_1" and line.seconds == 1:
            await line.send("check-result", **{**VERDICT, **self.check_verdict})
            await line.socket.close(1000)
            return
        if len(line.frames) % 50 == 0 and self.tells_money:
            cost = line.seconds * 13_000 // 60
            await line.send("cost", seconds=line.seconds, cost=money(cost))
            left = self.balance - cost
            await line.send("credit", balance=money(left), remaining_seconds=left * 60 // 13_000)

    async def _obey(self, line: Line, text: str) -> bool:
        """Answer one control message; return whether it ended the call."""
        message = json.loads(text)
        line.messages.append(message)
        kind = message["type"]
        if kind == "ping":
            await line.send("pong", id=message["id"])
        elif kind in ("mute", "hold", "media"):
            if kind == "media":
                line.peer.selected = message["path"] == "webrtc"
            await line.socket.send_json(message)
        elif kind == "offer" and self.answers_offers:
            await line.send("answer", id=message["id"], sdp=await line.peer.answer(message["sdp"]))
        elif kind == "hangup":
            await line.end(16, "caller")
            return True
        return False


def _bearer(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")


@asynccontextmanager
async def running(gateway: FakeGateway) -> AsyncIterator[FakeGateway]:
    """Serve the gateway on a free port of loopback."""
    config = uvicorn.Config(
        gateway.app(), port=0, log_level="error", ws="websockets-sansio", lifespan="off"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    gateway.connections = lambda: server.server_state.connections
    port = server.servers[0].sockets[0].getsockname()[1]
    gateway.origin = f"http://127.0.0.1:{port}"
    try:
        yield gateway
    finally:
        for line in gateway.lines:
            if line.beat is not None:
                line.beat.cancel()
            await line.peer.close()
        server.should_exit = server.force_exit = True
        await task


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
