"""Behind nginx, HAProxy and Caddy: one client's odd request changes no other client's answer.

Each relay keeps its connections to the port and sends different clients' requests over them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.ports import Refusal
from gateway.sockets.engine import MediaEngine
from gateway.sockets.limits import MediaLimits
from gateway.sockets.one_port import OnePortServer, create_server
from gateway.sockets.strangers import Stranger
from tests.calls.proxy import INSTALLED
from tests.gateway.sockets.framings import FRAMINGS
from tests.gateway.sockets.socket_peers import Clock

_SEED = 9112
_VICTIMS = 4
"""Requests of other clients at the time of each odd one."""
_GAPS_S = (0.001, 0.001, 0.01)
"""Between two pieces of an odd request: before its answer, or behind it."""
_WORK_S = 0.003
_DEADLINE_S = 20.0

NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    upstream port {{ server 127.0.0.1:{port}; keepalive 1; }}
    map $http_upgrade $forwarded {{ default upgrade; "" ""; }}
    server {{
        listen unix:relay;
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_set_header X-Forwarded-For 203.0.113.9;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $forwarded;
        location / {{ proxy_pass http://port; }}
    }}
}}
"""
HAPROXY = """
global
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
    option forwardfor
frontend relay
    bind unix@relay
    default_backend port
backend port
    http-reuse always
    server port 127.0.0.1:{port} pool-low-conn 1 pool-max-conn 1
"""
CADDY = """
{{
    admin off
    auto_https off
    storage file_system .
}}
http:// {{
    bind unix/relay
    reverse_proxy 127.0.0.1:{port} {{
        header_up X-Forwarded-For 203.0.113.9
        transport http {{
            keepalive_idle_conns 1
        }}
    }}
}}
"""

RELAYS = {
    "nginx": ("nginx.conf", NGINX, ["-p", ".", "-c", "nginx.conf", "-e", "stderr"]),
    "haproxy": ("haproxy.cfg", HAPROXY, ["-db", "-f", "haproxy.cfg"]),
    "caddy": ("Caddyfile", CADDY, ["run", "--config", "Caddyfile", "--adapter", "caddyfile"]),
}


def program(name: str) -> str:
    found = INSTALLED[name]
    if found is None:
        pytest.skip(f"{name} is missing")
    return found


class House:
    """The port, and how many connections it has taken."""

    def __init__(self) -> None:
        self.accepted = 0
        routes = [
            Route("/echo", self._echo, methods=["GET", "POST"]),
            Route("/hello", self._hello, methods=["GET", "POST"]),
            Route("/smuggled", self._hello),
        ]
        engine = MediaEngine(
            lambda _: Refusal(404, "No."),
            # One host plays all clients, on a clock that stands still.
            MediaLimits(requests_at_once=100_000),
            clock_ns=Clock(),
            trusted_proxies=["127.0.0.1"],
        )
        self.server: OnePortServer = create_server(
            Starlette(routes=routes), engine=engine, host="127.0.0.1", port=0, grace_s=1
        )
        self._admit, engine.admit = engine.admit, self._count

    def _count(self, host: str, drop: Callable[[], object]) -> Stranger:
        self.accepted += 1
        return self._admit(host, drop)

    async def _echo(self, request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:
            return PlainTextResponse("nobody reads this", 500)
        await asyncio.sleep(_WORK_S)  # what comes in a second piece comes before the answer
        return Response(body or request.url.query.encode())

    async def _hello(self, request: Request) -> Response:
        return PlainTextResponse("hello")


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    await house.server.start()
    yield house
    await house.server.stop()


@contextlib.asynccontextmanager
async def running(name: str, port: int, folder: Path) -> AsyncIterator[str]:
    """Run a relay in front of the port; give the Unix socket it listens on."""
    binary = program(name)
    file, template, arguments = RELAYS[name]
    (folder / file).write_text(template.format(port=port))
    with (folder / "stderr").open("wb") as said_to:
        process = await asyncio.create_subprocess_exec(
            binary,
            *arguments,
            cwd=folder,
            env={"HOME": str(folder), "PATH": os.environ.get("PATH", "")},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=said_to,
        )
    place = str(folder / "relay")
    try:
        deadline = time.monotonic() + _DEADLINE_S
        while True:
            try:
                _, writer = await asyncio.open_unix_connection(place)
            except OSError:
                said = (folder / "stderr").read_text()
                assert process.returncode is None, said
                assert time.monotonic() < deadline, said
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break
        yield place
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def attack(place: str, data: bytes, cut: int, gap_s: float) -> None:
    """Send this in two pieces, read what comes behind each, and leave."""
    reader, writer = await asyncio.open_unix_connection(place)
    with contextlib.suppress(OSError, TimeoutError):
        writer.write(data[:cut])
        await writer.drain()
        async with asyncio.timeout(gap_s):
            await reader.read(1 << 16)
    with contextlib.suppress(OSError, TimeoutError):
        writer.write(data[cut:])
        await writer.drain()
        async with asyncio.timeout(0.01):
            await reader.read(1 << 16)
    writer.close()


async def ask(place: str, word: str) -> bytes:
    """Return the whole answer to a plain request of another client, made at some moment."""
    await asyncio.sleep(random.Random(word).uniform(0, 0.015))
    reader, writer = await asyncio.open_unix_connection(place)
    writer.write(f"GET /echo?{word} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(_DEADLINE_S):
        answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("name", RELAYS)
async def test_nobody_gets_another_clients_answer(name: str, house: House, tmp_path: Path) -> None:
    seeded = random.Random(_SEED)
    asked = 0
    async with running(name, house.server.port, tmp_path) as place:
        for framing in FRAMINGS:
            data = framing.data
            head_end = data.find(b"\r\n\r\n") + 4
            cuts = [head_end] * (1 if framing.is_uvicorns else 4)
            for cut in (*cuts, seeded.randrange(1, len(data))):
                words = [f"{framing.name.encode().hex()}-{cut}-{n}" for n in range(_VICTIMS)]
                given = await asyncio.gather(
                    attack(place, data, cut, seeded.choice(_GAPS_S)),
                    *(ask(place, word) for word in words),
                )
                for word, answer in zip(words, given[1:], strict=True):
                    assert answer.startswith(b"HTTP/1.1 200"), (framing.name, cut, answer)
                    assert answer.endswith(word.encode()), (framing.name, cut, answer)
                    asked += 1
    served = house.server.server_state.total_requests
    assert served >= asked
    # How many depends on how many requests meet; one for each framing is plenty.
    assert served - house.accepted > len(FRAMINGS), "the relay did not reuse its connections"
