"""A minimal application for the simulated carrier to call: webhooks in, one media socket in.

It grades the carrier with Twilio's own library and with JSON Schema, never with the carrier's
code.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import jsonschema
from aiohttp import web
from twilio.request_validator import RequestValidator
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

TOKEN = "0123456789abcdef0123456789abcdef"
ACCOUNT = "AC" + "a" * 32
FROM = "+15005550006"

# The messages of https://www.twilio.com/docs/voice/media-streams/websocket-messages
_SID = {"type": "string", "pattern": "^MZ[0-9a-f]{32}$"}
_COUNT = {"type": "string", "pattern": "^[1-9][0-9]*$"}


def _message(event: str, **properties: Any) -> dict[str, Any]:
    fields = {"event": {"const": event}, **properties}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(fields),
        "properties": fields,
    }


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


_STRING = {"type": "string"}
INBOUND_SCHEMA = {
    "oneOf": [
        _message("connected", protocol={"const": "Call"}, version={"const": "1.0.0"}),
        _message(
            "start",
            sequenceNumber={"const": "1"},
            streamSid=_SID,
            start=_object(
                accountSid={"type": "string", "pattern": "^AC[0-9a-f]{32}$"},
                streamSid=_SID,
                callSid={"type": "string", "pattern": "^CA[0-9a-f]{32}$"},
                tracks={"const": ["inbound"]},
                mediaFormat={
                    "const": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
                },
                customParameters={"type": "object", "additionalProperties": _STRING},
            ),
        ),
        _message(
            "media",
            sequenceNumber=_COUNT,
            streamSid=_SID,
            media=_object(
                track={"const": "inbound"}, chunk=_COUNT, timestamp=_COUNT, payload=_STRING
            ),
        ),
        _message(
            "dtmf",
            sequenceNumber=_COUNT,
            streamSid=_SID,
            dtmf=_object(
                track={"const": "inbound_track"},
                digit={"type": "string", "pattern": "^[0-9*#A-D]$"},
            ),
        ),
        _message("mark", sequenceNumber=_COUNT, streamSid=_SID, mark=_object(name=_STRING)),
        _message(
            "stop",
            sequenceNumber=_COUNT,
            streamSid=_SID,
            stop=_object(accountSid=_STRING, callSid=_STRING),
        ),
    ]
}
_CHECK = jsonschema.Draft202012Validator(INBOUND_SCHEMA)


@dataclass
class Hook:
    """One webhook as it came in."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]
    signed: bool


@dataclass
class Media:
    """One media socket, seen from the application."""

    socket: ServerConnection
    texts: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    audio: bytearray = field(default_factory=bytearray)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    close_code: int | None = None

    @property
    def sid(self) -> str:
        return str(self.start["streamSid"])

    @property
    def start(self) -> dict[str, Any]:
        return next(m for m in self.messages if m["event"] == "start")

    def events(self, name: str) -> list[dict[str, Any]]:
        return [m for m in self.messages if m["event"] == name]

    async def send(self, event: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"event": event, "streamSid": self.sid, **fields}))

    async def play(self, audio: bytes) -> None:
        await self.send("media", media={"payload": base64.b64encode(audio).decode()})

    async def mark(self, name: str) -> None:
        await self.send("mark", mark={"name": name})


async def until(condition: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    """Wait for something that another task brings about, and return it."""
    async with asyncio.timeout(timeout_s):
        while not (result := condition()):
            await asyncio.sleep(0.005)
    return result


class Peer:
    """The application: what it received, and how it answers."""

    def __init__(self) -> None:
        self.hooks: list[Hook] = []
        self.medias: list[Media] = []
        self.handshakes: list[tuple[str, dict[str, str], bool]] = []
        self.answer: Callable[[Hook], Awaitable[web.Response] | web.Response] = lambda _: (
            web.Response(text="<Response/>", content_type="text/xml")
        )
        self.refuse_handshake: int | None = None
        self._validator = RequestValidator(TOKEN)
        self._server: Server | None = None
        self._runner: web.AppRunner | None = None
        self.http = ""
        self.media_url = ""

    async def __aenter__(self) -> Peer:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._hook)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.http = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._server = await serve(
            self._media, "127.0.0.1", 0, process_request=self._handshake, close_timeout=0.5
        )
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.media_url = f"wss://127.0.0.1:{port}/media"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        assert self._runner is not None
        self._server.close()
        await self._server.wait_closed()
        await self._runner.cleanup()

    async def _hook(self, request: web.Request) -> web.StreamResponse:
        params = {k: str(v) for k, v in (await request.post()).items()}
        url = self.http + request.raw_path
        signature = request.headers["X-Twilio-Signature"]
        signed = self._validator.validate(url, params, signature)
        hook = Hook(
            request.path, params or dict(request.query), dict(request.headers), bool(signed)
        )
        self.hooks.append(hook)
        answer = self.answer(hook)
        return answer if isinstance(answer, web.Response) else await answer

    async def _handshake(self, connection: ServerConnection, request: Any) -> Any:
        headers = dict(request.headers.raw_items())
        url = self.media_url.removesuffix("/media") + request.path
        signed = self._validator.validate(url, {}, headers.get("X-Twilio-Signature", ""))
        self.handshakes.append((request.path, headers, bool(signed)))
        if self.refuse_handshake:
            return connection.respond(self.refuse_handshake, "no")
        return None

    async def _media(self, socket: ServerConnection) -> None:
        media = Media(socket)
        self.medias.append(media)
        try:
            async for text in socket:
                assert isinstance(text, str)
                message = json.loads(text)
                _CHECK.validate(message)
                media.texts.append(text)
                media.messages.append(message)
                if message["event"] == "media":
                    media.audio += base64.b64decode(message["media"]["payload"])
        except ConnectionClosed:
            pass
        finally:
            media.close_code = socket.close_code
            media.closed.set()

    # --- what tests ask ----------------------------------------------------------------------

    def statuses(self) -> list[str]:
        """Return the call statuses announced so far, in order of arrival."""
        return [h.params["CallStatus"] for h in self.hooks if h.path == "/status"]

    def streams(self) -> list[dict[str, str]]:
        return [h.params for h in self.hooks if h.path == "/stream"]

    async def media(self, count: int = 1) -> Media:
        """Wait for the nth media socket to have started."""
        await until(lambda: len(self.medias) >= count and self.medias[count - 1].events("start"))
        return self.medias[count - 1]

    def twiml(self, extra: str = "", parameters: str = "") -> str:
        return (
            f'<Response><Connect><Stream url="{self.media_url}"'
            f' statusCallback="{self.http}/stream">{parameters}</Stream></Connect>'
            f"{extra}</Response>"
        )
