"""A small gateway that plays live feeds as a test says, by docs/design/0017-watching.md.

It shares no code with the real one on purpose: what both agree on is the contract.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.http import pages
from tests.web.fake_gateway import KEY, STATIC, until

OPERATOR_KEY = "ck_test_of_an_operator"

TONE = bytes([0x90] * 80 + [0x10] * 80)
"""A frame of 50 Hz in mu-law: loud enough to move a meter."""


def at(seconds: float = 0) -> str:
    """Return the time so many seconds from now."""
    when = datetime.now(UTC) + timedelta(seconds=seconds)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def row(call_id: str, **differs: Any) -> dict[str, Any]:
    """Return an answered call."""
    return {
        "id": call_id,
        "node": "node-a",
        "account_id": "acc_1",
        "key_id": "key_1",
        "destination": "+14155552671",
        "country": "US",
        "prefix": "+1",
        "origin": "",
        "state": "answered",
        "created_at": at(-70),
        "ringing_at": at(-65),
        "answered_at": at(-60),
        "ended_at": None,
        "seconds": 60,
        "cost_micros": 13_000,
        "currency": "USD",
        "per_minute_micros": 13_000,
        "cause": None,
        "cause_name": "",
        "ended_by": "",
        "path": "webrtc",
        "pdd_ms": 5000,
        "mos": 4.2,
        "rtt_ms": 80,
        "jitter_ms": 3.0,
        "loss_percent": 0.0,
        "tags": [],
        **differs,
    }


def totals(calls: int) -> dict[str, Any]:
    """Return what is said of so many calls together."""
    country = {"country": "US", "calls": calls, "attempts": calls, "asr_percent": 60, "pdd_ms": 900}
    return {
        "calls": calls,
        "by_state": {"answered": calls},
        "begun_per_minute": calls,
        "spend_micros_per_minute": {"USD": 13_000 * calls},
        "asr_percent": 60,
        "acd_s": 90,
        "pdd_ms": 900,
        "rtt_p95_ms": 120,
        "mos": 4.1,
        "talk_percent": 70,
        "durations": [0, 0, 0, calls, 0, 0, 0, 0],
        "countries": [{**country, "mos": 4.1, "failed": 0, "prefixes": []}] if calls else [],
    }


def node(name: str, **differs: Any) -> dict[str, Any]:
    """Return a node that takes calls."""
    load = {"calls": 3, "calls_max": 100, "is_draining": False, "lag_ms": 2, "is_lost": False}
    logs = {"log_level": "info", "log_level_until": None}
    return {"node": name, **load, **logs, "release": "1.0", "started_at": at(-7200), **differs}


def alarm(name: str, **differs: Any) -> dict[str, Any]:
    """Return an alarm that nobody is at."""
    rule, _, subject = name.partition(":")
    what = {"name": name, "rule": rule, "subject": subject, "value": 1, "unit": ""}
    told = {"title": f"Node {subject} is gone.", "action": "Look whether its process runs."}
    said = {"state": "raised", "by": "", "reason": "", "until": None}
    return {**what, **told, "since": at(-200), **said, **differs}


def sample(seconds: float) -> dict[str, Any]:
    """Return one second of a call."""
    quality = {"mos": 4.1, "rtt_ms": 80, "jitter_ms": 3, "loss_percent": 0, "backlog_ms": 20}
    levels = {"caller_dbov": -20, "phone_dbov": -30}
    return {"at": at(seconds), **quality, **levels, "seconds": 1, "cost_micros": 217}


def fraud_report(**differs: Any) -> dict[str, Any]:
    """Return a report of a day in which nothing was refused."""
    nothing = {"rules": [], "accounts": [], "accounts_total": 0, "frozen": [], "frozen_total": 0}
    return {"at": at(), "since": at(-23 * 3600), **nothing, **differs}


def credit_report(**balances: int) -> dict[str, Any]:
    """Return a report of what accounts have, in micros."""
    accounts = [
        {
            "account_id": account_id,
            "calls": 1,
            "per_minute": {"micros": 13_000, "currency": "USD", "text": "$0.0130"},
            "balance": {"micros": micros, "currency": "USD", "text": f"${micros / 1e6}"},
            "lasts_s": micros * 60 // 13_000,
        }
        for account_id, micros in balances.items()
    ]
    listed = {"accounts": accounts, "accounts_total": len(accounts)}
    return {"at": at(), **listed, "cut_off": [], "cut_off_total": 0}


@dataclass
class Supervisor:
    """One supervisor's socket as the gateway saw it."""

    socket: WebSocket
    token: str
    wanted: list[str] = field(default_factory=list)
    """Modes that were chosen, in order."""
    frames: list[bytes] = field(default_factory=list)
    """What their microphone sent."""
    has_left: bool = False

    async def tell(self, mode: str) -> None:
        """Say what holds."""
        await self.socket.send_json({"type": "supervise", "mode": mode})

    async def refuse(self, code: str, message: str = "", close: int = 1008) -> None:
        """Put them out."""
        problem = {"code": code, "message": message, "action": "", "retry": False}
        await self.socket.send_json({"type": "error", **problem})
        await self.socket.close(close)


@dataclass
class LiveGateway:
    """What the gateway answers, to be set by a test, and what it has seen."""

    origin: str = ""
    snapshot: dict[str, Any] = field(default_factory=dict)
    """What differs from a snapshot of no calls."""
    call: dict[str, Any] = field(default_factory=dict)
    """The same of the feed of one call."""
    signed_in: bool = False
    status: int = 200
    """With what feeds and `/v1/key` are answered, if they are not."""
    refusal: tuple[int, dict[str, Any]] | None = None
    """Status and body with which what is to be changed is refused."""
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Reports of operators by their names; others are answered with 503."""
    asked: list[str] = field(default_factory=list)
    """Names of the reports that were asked for."""
    resumed: list[str] = field(default_factory=list)
    """Ids that feeds went on from."""
    changed: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """Method, path and body of what was to be changed."""
    viewers: list[asyncio.Queue[str | None]] = field(default_factory=list)
    sent: int = 0
    most: str = "take-over"
    """What the account allows supervisors."""
    announced: bool = True
    supervisors: list[Supervisor] = field(default_factory=list)
    confirms: bool = True
    """Whether what supervisors choose is confirmed."""
    not_let_in: str = ""
    """Code with which supervisors are refused at the socket."""

    def app(self) -> Starlette:
        """Return the application."""
        changes = (
            ("/v1/calls/{call}", "DELETE"),
            ("/v1/admin/live-calls/{call}/end", "POST"),
            ("/v1/admin/nodes/{node}/drain", "POST"),
            ("/v1/admin/nodes/{node}/resume", "POST"),
            ("/v1/admin/nodes/{node}/log-level", "POST"),
            ("/v1/admin/alarms/{act}", "POST"),
        )
        return Starlette(
            routes=[
                *pages.routes(STATIC),
                Route("/v1/key", self._key),
                Route("/v1/live-feed", self._feed),
                Route("/v1/admin/live-feed", self._feed),
                Route("/v1/admin/{report:str}", self._report),
                Route("/v1/live-calls/{call}/supervision", self._grant, methods=["POST"]),
                Route("/v1/admin/live-calls/{call}/supervision", self._grant, methods=["POST"]),
                WebSocketRoute("/n/a/media/browser", self._supervise),
                *(Route(path, self._change, methods=[method]) for path, method in changes),
            ]
        )

    def tell(self, kind: str = "delta", **news: Any) -> None:
        """Send an event to all viewers."""
        self.sent += 1
        text = self._event(kind, {"at": at(), **news})
        for viewer in self.viewers:
            viewer.put_nowait(text)

    def cut(self) -> None:
        """Close all feeds."""
        for viewer in self.viewers:
            viewer.put_nowait(None)

    def _event(self, kind: str, data: dict[str, Any]) -> str:
        return f"id: 1:{self.sent}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"

    def _scopes(self, request: Request) -> list[str] | None:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        known = {KEY: ["calls"], OPERATOR_KEY: ["calls", "admin"]}
        return known.get(key) or (["calls", "supervise"] if self.signed_in and not key else None)

    def _refused(self, request: Request) -> Response | None:
        if self.status != 200:
            return Response(status_code=self.status)
        if self._scopes(request) is None:
            return JSONResponse({"status": 401, "code": "unauthorized"}, 401)
        return None

    async def _key(self, request: Request) -> Response:
        scopes = self._scopes(request)
        return self._refused(request) or JSONResponse({"account": "a", "scopes": scopes})

    async def _feed(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        is_resumed = "last-event-id" in request.headers
        if is_resumed:
            self.resumed.append(request.headers["last-event-id"])
        one = "call" in request.query_params
        nothing = {"calls": [], "totals": totals(0), "samples": []}
        nothing |= {"nodes": [], "alarms": [], "warnings": []}
        differs = {"audience": "call", **self.call} if one else {"audience": "all", **self.snapshot}
        first = self._event("snapshot", {"at": at(), **nothing, **differs})
        viewer: asyncio.Queue[str | None] = asyncio.Queue()
        self.viewers.append(viewer)

        async def texts() -> AsyncIterator[str]:
            if not is_resumed:
                yield first
            try:
                while (text := await viewer.get()) is not None:
                    yield text
            finally:
                self.viewers.remove(viewer)

        return StreamingResponse(texts(), media_type="text/event-stream")

    async def _report(self, request: Request) -> Response:
        name = request.path_params["report"]
        self.asked.append(name)
        if name not in self.reports:
            problem = {"code": "store_unavailable", "detail": "The books are away."}
            return JSONResponse({"status": 503, **problem}, 503)
        return self._refused(request) or JSONResponse(self.reports[name])

    async def _change(self, request: Request) -> Response:
        body = json.loads(await request.body() or b"{}")
        self.changed.append((request.method, request.url.path, body))
        if self.refusal is not None:
            status, problem = self.refusal
            return JSONResponse(problem, status)
        return Response(status_code=204)

    async def _grant(self, request: Request) -> Response:
        answer = await self._change(request)
        if self.refusal is not None:
            return answer
        url = f"{self.origin.replace('http', 'ws')}/n/a/media/browser"
        return JSONResponse({"token": f"grant_{len(self.changed)}", "media_url": url}, 201)

    async def _supervise(self, socket: WebSocket) -> None:
        await socket.accept()
        first = await socket.receive_json()
        supervisor = Supervisor(socket, first["token"])
        if self.not_let_in:
            await supervisor.refuse(self.not_let_in)
            return
        self.supervisors.append(supervisor)
        allowed = {"most": self.most, "announced": self.announced}
        ready = {"version": 1, "call_id": "call_1", "frame_bytes": 160, **allowed}
        await socket.send_json({"type": "supervision-ready", **ready})
        await supervisor.tell("listen")
        beat = asyncio.create_task(_speak(socket))
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                if message.get("bytes"):
                    supervisor.frames.append(message["bytes"])
                else:
                    await self._answer(supervisor, json.loads(message["text"]))
        finally:
            supervisor.has_left = True
            beat.cancel()

    async def _answer(self, supervisor: Supervisor, message: dict[str, Any]) -> None:
        if message["type"] == "ping":
            await supervisor.socket.send_json({"type": "pong", "id": message["id"]})
        elif message["type"] == "supervise":
            supervisor.wanted.append(message["mode"])
            if self.confirms:
                await supervisor.tell(message["mode"])


async def _speak(socket: WebSocket) -> None:
    """Send what both sides of a call say: a tone, in frames of 20 ms."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await socket.send_bytes(TONE)
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(gateway: LiveGateway) -> AsyncIterator[LiveGateway]:
    """Serve the gateway on a free port of loopback."""
    config = uvicorn.Config(gateway.app(), port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    gateway.origin = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield gateway
    finally:
        gateway.cut()
        server.should_exit = server.force_exit = True
        await task
