"""The phone that echoes at once, against a real WebSocket server."""

from __future__ import annotations

import json
import threading
from typing import Any

from websockets.sync.server import ServerConnection, serve

from benchmarks import loopback
from benchmarks.carrier import CarrierLeg
from benchmarks.dial import open_websocket
from benchmarks.mirror import echo_of, mirrored


def message(event: str, **more: Any) -> dict[str, Any]:
    return {"event": event, "streamSid": "MZ1", **more}


def test_audio_comes_back_at_the_streams_own_time():
    echo = echo_of(message("media", media={"payload": "AAAA"}), 40)
    media = {"track": "inbound", "timestamp": "40", "payload": "AAAA"}
    assert echo == message("media", media=media)


def test_a_mark_comes_back_and_a_clear_does_not():
    mark = message("mark", mark={"name": "1"})
    assert echo_of(mark, 0) == mark
    assert echo_of(message("clear"), 0) is None


def test_each_message_comes_back_until_the_phone_is_put_down():
    received: list[dict[str, Any]] = []
    answered = threading.Event()

    def handler(websocket: ServerConnection) -> None:
        websocket.send(b"not text")
        for payload in ("AAAA", "BBBB"):
            websocket.send(json.dumps(message("media", media={"payload": payload})))
            received.append(json.loads(websocket.recv()))
        answered.set()
        list(websocket)

    with serve(handler, loopback.HOST, 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        connection = loopback.connect(port)
        open_websocket(connection, f"{loopback.HOST}:{port}", "/")
        with mirrored(CarrierLeg(connection, "MZ1", 0)):
            assert answered.wait(10)
        server.shutdown()
        thread.join()
    assert [one["media"]["timestamp"] for one in received] == ["0", "20"]
    assert [one["media"]["payload"] for one in received] == ["AAAA", "BBBB"]
