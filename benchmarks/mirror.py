"""A phone that gives each media message back as it arrives, at the carrier's end of a stream.

Its echo is the shortest there can be: nothing is played, so nothing waits for its turn. Not paced.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from benchmarks.carrier import CarrierLeg
from benchmarks.dial import CLOSE, TEXT, DialError, receive_message, send_json

FRAME_MS = 20


@contextmanager
def mirrored(leg: CarrierLeg) -> Iterator[None]:
    """Let the phone of this leg echo while the context lives; close the leg in the end."""
    thread = threading.Thread(target=_mirror, args=(leg,), name="mirror")
    thread.start()
    try:
        yield
    finally:
        with suppress(OSError):
            leg.connection.shutdown(socket.SHUT_RDWR)
        thread.join()
        leg.connection.close()


def _mirror(leg: CarrierLeg) -> None:
    at_ms = 0
    with suppress(DialError, OSError):
        leg.connection.settimeout(None)
        while True:
            opcode, payload = receive_message(leg.connection)
            if opcode == CLOSE:
                return
            if opcode != TEXT:
                continue
            echo = echo_of(json.loads(payload), at_ms)
            if echo is not None:
                send_json(leg.connection, echo)
                at_ms += FRAME_MS * (echo["event"] == "media")


def echo_of(message: dict[str, object], at_ms: int) -> dict[str, object] | None:
    """Return what the phone sends on a message: its audio, or its mark, which is played at once.

    Args:
        message: What the application sent.
        at_ms: The stream's own time of the audio that is sent.

    """
    event, stream_sid = message["event"], message["streamSid"]
    if event == "mark":
        return {"event": "mark", "streamSid": stream_sid, "mark": message["mark"]}
    if event != "media":
        return None
    detail = message["media"]
    assert isinstance(detail, dict)
    media = {"track": "inbound", "timestamp": str(at_ms), "payload": detail["payload"]}
    return {"event": "media", "streamSid": stream_sid, "media": media}
