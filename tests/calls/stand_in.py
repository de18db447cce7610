"""The test as the carrier: takes the gateway's REST requests, signs webhooks, streams media.

For what a well-behaved carrier never does. Signatures are made by Twilio's own library.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import httpx
import websockets
from aiohttp import web
from twilio.request_validator import RequestValidator

from tests.calls.world import ACCOUNT_SID, AUTH_TOKEN, PATIENCE_S, SILENT_FRAME, World

STREAM_SID = "MZ" + "5" * 32
_SILENCE = base64.b64encode(SILENT_FRAME).decode()


def sign(url: str, form: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the header that signs a request as Twilio does."""
    signature = RequestValidator(AUTH_TOKEN).compute_signature(url, form or {})
    return {"X-Twilio-Signature": signature}


async def post_signed(
    url: str, form: Mapping[str, Any], *, sent: Mapping[str, Any] | None = None, **kwargs: Any
) -> httpx.Response:
    """Post a form with its signature; `sent` is another form than the one that was signed."""
    lists = {k: v if isinstance(v, list) else [v] for k, v in form.items()}
    body = urlencode(lists if sent is None else sent, doseq=True)
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        **sign(url, _Form(lists)),
        **kwargs.pop("headers", {}),
    }
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        return await client.post(url, content=kwargs.pop("content", body), headers=headers)


class _Form(dict[str, list[str]]):
    """Fields that may be repeated, as the validator asks for them."""

    def getlist(self, name: str) -> list[str]:
        """Return all values of a field."""
        return self[name]


def start_message(call_sid: str, token: str, **changes: Any) -> dict[str, Any]:
    """Return the first message of a stream that says what it is."""
    detail = {
        "accountSid": ACCOUNT_SID,
        "streamSid": STREAM_SID,
        "callSid": call_sid,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": token},
        **changes,
    }
    return {"event": "start", "sequenceNumber": "1", "start": detail, "streamSid": STREAM_SID}


@contextlib.asynccontextmanager
async def media_socket(
    world: World, headers: Mapping[str, str] | None = None
) -> AsyncIterator[websockets.ClientConnection]:
    """Open a media socket on the carrier's side, signed unless other headers are given."""
    path = f"/n/{world.settings.node}/media/carrier"
    signed = sign(f"wss://127.0.0.1:{world.port}{path}")
    async with websockets.connect(
        f"ws://127.0.0.1:{world.port}{path}",
        additional_headers=signed if headers is None else headers,
        compression=None,
        ping_interval=None,
    ) as ws:
        yield ws


async def start_stream(ws: websockets.ClientConnection, start: Mapping[str, Any]) -> None:
    """Say the first words of a stream."""
    await ws.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
    await ws.send(json.dumps(start))


@contextlib.asynccontextmanager
async def speaking(world: World, call: PlacedCall) -> AsyncIterator[None]:
    """Let the phone of a call be heard while the context lasts."""
    message = {"event": "media", "streamSid": STREAM_SID, "media": {"payload": _SILENCE}}

    async def speak(ws: websockets.ClientConnection) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await ws.send(json.dumps(message))
                await asyncio.sleep(0.02)

    async with media_socket(world) as ws:
        await start_stream(ws, start_message(call.sid, call.token))
        speaker = asyncio.create_task(speak(ws))
        try:
            yield
        finally:
            speaker.cancel()
            await asyncio.wait([speaker])


async def close_code(ws: websockets.ClientConnection) -> int | None:
    """Return the code with which the gateway closes a socket."""
    async with asyncio.timeout(10):
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await ws.recv()
    return ws.close_code


@dataclass
class PlacedCall:
    """One call as the gateway ordered it."""

    sid: str
    form: dict[str, str]
    status: str = "queued"

    @property
    def token(self) -> str:
        """The secret that the stream must bring back."""
        twiml = ElementTree.fromstring(self.form["Twiml"])
        return str(twiml.find("Connect/Stream/Parameter").attrib["value"])

    @property
    def status_url(self) -> str:
        """Where its status callbacks go, without the fragment, which is never sent."""
        return self.form["StatusCallback"].partition("#")[0]

    async def report(self, status: str, **fields: str) -> httpx.Response:
        """Post a signed status callback of what is so."""
        self.status = status
        return await self.tell(status, **fields)

    async def tell(self, status: str, **fields: str) -> httpx.Response:
        """Post a signed status callback, whatever is so."""
        form = {"CallSid": self.sid, "CallStatus": status, **fields}
        return await post_signed(self.status_url, form)


@dataclass
class StandIn:
    """A carrier of which every answer is the test's."""

    port: int
    calls: list[PlacedCall] = field(default_factory=list)
    reply_status: int = 201
    """What placing a call is answered with; 0 for no answer at all."""
    unseen: int = 0
    """How many more requests about a call, as soon as it is placed, are answered by 404."""
    ended: list[str] = field(default_factory=list)
    """Calls that were to be ended, as often as that was asked."""
    placed: asyncio.Event = field(default_factory=asyncio.Event)
    silenced: asyncio.Event = field(default_factory=asyncio.Event)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[StandIn]:
        """Answer while the context lasts."""
        app = web.Application()
        base = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls"
        app.router.add_post(base + ".json", self._place)
        app.router.add_get(base + ".json", self._list)
        app.router.add_post(base + "/{sid}.json", self._end)
        app.router.add_get(base + "/{sid}.json", self._show)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield self
        finally:
            self.silenced.set()
            await runner.cleanup()

    async def next_call(self) -> PlacedCall:
        """Wait for a call to be placed; return the newest."""
        async with asyncio.timeout(10):
            await self.placed.wait()
        self.placed.clear()
        return self.calls[-1]

    async def _place(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        call = PlacedCall("CA" + secrets.token_hex(16), form)
        if self.reply_status in (201, 0):
            self.calls.append(call)
        self.placed.set()
        if not self.reply_status:
            await self.silenced.wait()
        if self.reply_status >= 400:
            return web.json_response({"code": 20000, "message": "no"}, status=self.reply_status)
        return web.json_response(self._resource(call), status=201)

    def others_call(self, to: str, from_: str) -> PlacedCall:
        """Let there be a call that another program has placed from this account."""
        call = PlacedCall("CA" + secrets.token_hex(16), {"To": to, "From": from_}, "in-progress")
        self.calls.append(call)
        return call

    async def _list(self, request: web.Request) -> web.Response:
        calls = [
            self._resource(call)
            for call in reversed(self.calls)
            if all(call.form[name] == request.query.get(name) for name in ("To", "From"))
        ]
        page = {"calls": calls, "page": 0, "page_size": 50, "next_page_uri": None}
        return web.json_response(page)

    async def _end(self, request: web.Request) -> web.Response:
        self.ended.append(request.match_info["sid"])
        return self._answer(request, ends=True)

    async def _show(self, request: web.Request) -> web.Response:
        return self._answer(request, ends=False)

    def _answer(self, request: web.Request, *, ends: bool) -> web.Response:
        sid = request.match_info["sid"]
        call = next((call for call in self.calls if call.sid == sid), None)
        if call is None or self.unseen:
            self.unseen = max(0, self.unseen - 1)
            return web.json_response({"code": 20404, "message": "no", "status": 404}, status=404)
        if ends:
            call.status = "completed"
        return web.json_response(self._resource(call))

    @staticmethod
    def _resource(call: PlacedCall) -> dict[str, Any]:
        duration = "1" if call.status == "completed" else None
        numbers = {"to": call.form["To"], "from": call.form["From"]}
        return {"sid": call.sid, "status": call.status, "duration": duration, **numbers}
