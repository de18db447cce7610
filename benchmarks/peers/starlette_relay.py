"""Relays WebSocket audio, written the usual way with Starlette. Run by the benchmark.

Plain on purpose: the documented calls, and what uvicorn chooses by itself with uvloop, httptools
and websockets installed.
"""

from __future__ import annotations

import socket
import sys
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


@dataclass(slots=True)
class Pair:
    """The two legs of a call."""

    browser: WebSocket | None = None
    carrier: WebSocket | None = None
    stream_sid: str = ""


@dataclass(slots=True)
class Relay:
    """All calls by number, and the two endpoints."""

    pairs: dict[str, Pair] = field(default_factory=dict)

    def _pair(self, websocket: WebSocket) -> Pair:
        return self.pairs.setdefault(websocket.path_params["number"], Pair())

    async def browser(self, websocket: WebSocket) -> None:
        """Relay a browser's binary messages to its carrier."""
        await websocket.accept()
        pair = self._pair(websocket)
        pair.browser = websocket
        try:
            while True:
                audio = await websocket.receive_bytes()
                # Before the carrier has begun its stream there is nowhere to send audio.
                if pair.carrier is not None:
                    media = {"payload": b64encode(audio).decode()}
                    await pair.carrier.send_json(
                        {"event": "media", "streamSid": pair.stream_sid, "media": media}
                    )
        # RuntimeError is Starlette's for sending to a socket that has closed.
        except (WebSocketDisconnect, RuntimeError):
            pair.browser = None

    async def carrier(self, websocket: WebSocket) -> None:
        """Relay a carrier's media messages to its browser."""
        await websocket.accept()
        pair = self._pair(websocket)
        try:
            while True:
                event = await websocket.receive_json()
                if pair.browser is None:
                    continue
                if event["event"] == "media":
                    await pair.browser.send_bytes(b64decode(event["media"]["payload"]))
                elif event["event"] == "start":
                    # `start` names the stream; what was sent before it could not be addressed.
                    pair.carrier, pair.stream_sid = websocket, event["streamSid"]
                    await pair.browser.send_json({"type": "accept"})
        except (WebSocketDisconnect, RuntimeError):
            pair.carrier = None


Endpoint = Callable[[WebSocket], Awaitable[None]]


def serve(browser: Endpoint, carrier: Endpoint) -> None:
    """Serve both on the listening socket whose descriptor is the first argument."""
    app = Starlette(
        routes=[
            WebSocketRoute("/media/browser/{number}", browser),
            WebSocketRoute("/media/carrier/{number}", carrier),
        ]
    )
    config = uvicorn.Config(app, lifespan="off", log_level="critical")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


if __name__ == "__main__":
    relay = Relay()
    serve(relay.browser, relay.carrier)
