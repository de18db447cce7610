"""The server that the simulated services share: it binds, answers, and gives its port back."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from simulators.serving import HttpServer


class Held:
    """An application of one answer, which can be held back."""

    def __init__(self) -> None:
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self.app = Starlette(routes=[Route("/", self.answer)])

    async def answer(self, _request: Request) -> Response:
        self.asked.set()
        await self.may_answer.wait()
        return PlainTextResponse("here")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_it_answers_at_its_origin_without_a_stale_date(host: str) -> None:
    server, held = HttpServer(host, 0), Held()
    held.may_answer.set()
    server.start(held.app)
    async with httpx.AsyncClient(base_url=server.origin) as client:
        reply = await client.get("/")
    await server.stop()
    assert reply.text == "here"
    assert not {"date", "server"} & reply.headers.keys()


async def test_a_request_that_is_being_answered_is_answered_before_the_end() -> None:
    server, held = HttpServer("127.0.0.1", 0), Held()
    server.start(held.app)
    async with httpx.AsyncClient(base_url=server.origin) as client:
        asking = asyncio.ensure_future(client.get("/"))
        await held.asked.wait()
        serving = asyncio.ensure_future(server.serve())
        stopping = asyncio.ensure_future(server.stop())
        await asyncio.sleep(0)
        assert not serving.done()
        held.may_answer.set()
        assert (await asking).text == "here"
    await stopping
    await serving


async def test_it_answers_at_a_socket_that_it_is_given() -> None:
    given, held = socket.create_server(("127.0.0.1", 0)), Held()
    port = given.getsockname()[1]
    server = HttpServer("127.0.0.1", 0, given.detach())
    held.may_answer.set()
    server.start(held.app)
    assert server.port == port
    async with httpx.AsyncClient(base_url=server.origin) as client:
        assert (await client.get("/")).text == "here"
    await server.stop()


async def test_what_is_no_socket_is_none_to_answer_at(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(OSError, match="socket"):
        HttpServer("127.0.0.1", 0, file.fileno())


async def test_the_port_is_taken_while_it_is_bound_and_free_afterwards() -> None:
    server = HttpServer("127.0.0.1", 0)
    port = server.port
    with pytest.raises(OSError, match="in use"):
        HttpServer("127.0.0.1", port)
    await server.stop()
    await HttpServer("127.0.0.1", port).stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
