"""A relay of WebSocket audio as one writes it with Starlette. Run as a process by the benchmark."""

from __future__ import annotations

import gc
import socket
import sys
from base64 import b64encode
from dataclasses import dataclass, field

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


class Media(msgspec.Struct):
    """The audio of a media message, out of its base64."""

    payload: bytes


class Event(msgspec.Struct):
    """A message of the carrier; only what the relay reads."""

    event: str
    media: Media | None = None
    stream_sid: str = msgspec.field(name="streamSid", default="")


_decode_event = msgspec.json.Decoder(Event).decode


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
                if pair.carrier is not None:
                    text = b64encode(audio).decode()
                    await pair.carrier.send_text(
                        f'{{"event":"media","streamSid":"{pair.stream_sid}",'
                        f'"media":{{"payload":"{text}"}}}}'
                    )
        except (WebSocketDisconnect, RuntimeError):
            pair.browser = None

    async def carrier(self, websocket: WebSocket) -> None:
        """Relay a carrier's media messages to its browser."""
        await websocket.accept()
        pair = self._pair(websocket)
        try:
            while True:
                event = _decode_event(await websocket.receive_text())
                if event.event == "start" and pair.browser is not None:
                    pair.carrier, pair.stream_sid = websocket, event.stream_sid
                    await pair.browser.send_text('{"type":"accept"}')
                elif event.media is not None and pair.browser is not None:
                    await pair.browser.send_bytes(event.media.payload)
        except (WebSocketDisconnect, RuntimeError):
            pair.carrier = None


def main() -> None:
    """Serve on the listening socket whose descriptor is the first argument."""
    relay = Relay()
    app = Starlette(
        routes=[
            WebSocketRoute("/media/browser/{number}", relay.browser),
            WebSocketRoute("/media/carrier/{number}", relay.carrier),
        ]
    )
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="off",
        access_log=False,
        log_level="critical",
    )
    gc.freeze()
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


if __name__ == "__main__":
    main()
