"""The port of a process without media: its sockets are bounded by the same beat, and carry none."""

import asyncio

import pytest

from gateway.ports import HandshakeRequest, Refusal
from gateway.roles.port import compose_port, new_beat, serve_no_media
from gateway.settings_variables import from_mapping


@pytest.mark.parametrize("path", ["/n/n1/media/browser", "/n/n1/media/carrier", "/"])
def test_no_media_socket_is_served(path):
    refusal = serve_no_media(HandshakeRequest(path, "", {}, "192.0.2.1:5060"))
    assert isinstance(refusal, Refusal)
    assert refusal.status == 404


async def test_sockets_are_swept_until_the_beat_stops(monkeypatch):
    port = compose_port(from_mapping({}), new_beat(), serve_no_media)
    swept, enough = [], asyncio.Event()

    def sweep(now_ns, parts):
        swept.append(parts)
        if len(swept) == 5:
            enough.set()

    monkeypatch.setattr(port.engine, "sweep", sweep)
    port.start()
    async with asyncio.timeout(60):
        await enough.wait()
    await port.stop_beating()
    count = len(swept)
    await asyncio.sleep(0.1)
    assert len(swept) == count
    assert not port.engine.connections
    await port.close_sockets()
