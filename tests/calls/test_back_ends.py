"""The back ends of docs/buttons.md, run as they stand: they sign calls, and pass refusals on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.calls.test_buttons import MONEY, Shop, shop_of
from tests.calls.world import Customer, World, eventually
from tests.tcp_server import tcp_server
from tests.valkey import free_port

FOLDER = Path(__file__).parents[2] / "examples/back-ends"
GATEWAY, KEY = "https://calls.example.com", "pk_live_KEY"

PROGRAMS = {
    "call_token.py": ("python3",),
    "call-token.mjs": ("node",),
    "call-token.php": ("php", "-S", "127.0.0.1:{port}"),
    "call-token.go": ("go", "run"),
}
# Go takes more room than all the rest: its example is run where people have it.
HERE = [name for name, (tool, *_) in PROGRAMS.items() if tool != "go" or shutil.which("go")]


@contextlib.asynccontextmanager
async def back_end(
    name: str, folder: Path, gateway: str, *, button: str = "", secret: str = "none"
) -> AsyncIterator[httpx.AsyncClient]:
    """Run a program of the documents against a gateway; give a client of it."""
    tool, *options = PROGRAMS[name]
    if shutil.which(tool) is None:
        pytest.skip(f"No {tool}: install it.")
    port = free_port()
    text = (FOLDER / name).read_text().replace(GATEWAY, gateway).replace(KEY, button)
    assert gateway in text
    program = folder / name
    program.write_text(text)
    command = [tool, *(option.format(port=port) for option in options), program]
    environ = {**os.environ, "SECRET_KEY": secret, "PORT": str(port), "GOTOOLCHAIN": "local"}
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        # `go run` starts what it has built as a child of its own.
        process = subprocess.Popen(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30)

    async def is_up() -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(httpx.TransportError):
            return (await client.get("/nothing")).status_code == 404
        return False

    try:
        # Go compiles its library the first time.
        await eventually(is_up, timeout_s=120)
        yield client
    finally:
        await client.aclose()
        os.killpg(process.pid, 9)
        process.wait()
    assert secret not in log.read_text()


@pytest.fixture
async def signing(world: World, customer: Customer) -> AsyncIterator[Shop]:
    """A shop whose button calls whom its back end names."""
    async with shop_of(world, customer, destination="") as shop:
        yield shop


@pytest.mark.parametrize("name", HERE)
async def test_a_visitors_call_is_signed_and_a_refusal_handed_on(
    signing: Shop, name: str, tmp_path: Path
) -> None:
    base, key = signing.world.base, signing.owner.key
    async with back_end(name, tmp_path, base, button=signing.key, secret=key) as http:
        signed = await http.post("/call-token")
        assert signed.status_code == 201, signed.text
        assert signed.headers["content-type"] == "application/json"
        assert signed.headers["cache-control"] == "no-store"
        assert not [word for word in (*MONEY, key) if word in signed.text]
        shown = await signing.ask(token=signed.json()["token"])
        assert shown.status_code == 201, shown.text
        async with signing.call(shown.json()) as phone:
            await phone.wait("accept")
        await signing.pause()
        refused = await http.post("/call-token")
        assert (refused.status_code, refused.json()["code"]) == (409, "button_paused")
        # Nobody is given a token by following a link.
        assert (await http.get("/call-token")).status_code in (404, 405)


async def test_a_gateway_that_hangs_up_or_says_nothing_is_waited_for_no_longer(
    tmp_path: Path,
) -> None:
    silent: list[bytes] = []

    async def take(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"(?i)content-length: (\d+)", asked)
        assert length is not None
        body = await reader.readexactly(int(length[1]))
        if b"pk_live_hung_up" not in body:
            silent.append(body)
            await reader.read()

    async def asked(gateway: str, name: str, button: str) -> tuple[int, object]:
        folder = tmp_path / button
        folder.mkdir(exist_ok=True)
        async with back_end(name, folder, gateway, button=button) as http:
            reply = await http.post("/call-token")
            return reply.status_code, reply.json()

    async with tcp_server(take) as port:
        found = await asyncio.gather(
            *(
                asked(f"http://127.0.0.1:{port}", name, f"pk_live_{end}")
                for name in HERE
                for end in ("hung_up", "silent")
            )
        )
    assert found == [(503, {"code": "gateway_unreachable"})] * len(found)
    assert len(silent) == len(HERE)
