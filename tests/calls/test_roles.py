"""A gateway of three processes behind one proxy: one for calls, one for pages, one for books."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.calls.proxy import NGINX, configuration, nginx
from tests.calls.world import Customer, Process, World, eventually
from tests.valkey import free_port

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]


@dataclass
class House:
    """The processes by their roles, and a customer who comes by the proxy."""

    world: World
    ports: dict[str, int]
    customer: Customer = field(init=False)
    processes: dict[str, Process] = field(default_factory=dict)

    def start(self, role: str) -> Process:
        environ = {**self.world.environ, "CALLER_PORT": str(self.ports.get(role, 0))}
        log = self.world.folder / f"{role}.log"
        process = self.processes[role] = Process(["serve", "--role", role], environ, log)
        if role in self.ports:
            process.wait_for(f"http://127.0.0.1:{self.ports[role]}/healthz")
        return process

    async def takes_calls(self) -> None:
        """Return once the pages' process knows of a node."""

        async def admitted() -> bool:
            body = {"destination": "+15005551000"}
            reply = await self.customer.http.post("/v1/call-tokens", json=body)
            return reply.status_code == 201

        await eventually(admitted, 20)


@pytest.fixture
async def house(new_world: Any, own_valkey: Any, tmp_path: Path) -> AsyncIterator[House]:
    port, ports = free_port(), {"media": free_port(), "web": free_port()}
    world = new_world(
        CALLER_REDIS_URL=own_valkey.url,
        CALLER_DATABASE_URL=f"sqlite:///{tmp_path / 'shared.db'}",
        CALLER_PUBLIC_ORIGIN=f"http://127.0.0.1:{port}",
        CALLER_TRUSTED_PROXIES="127.0.0.1",
    )
    house = House(world, ports)
    async with contextlib.AsyncExitStack() as stack:
        text = configuration(port, {world.settings.node: ports["media"]}, [ports["web"]])
        stack.enter_context(nginx(tmp_path, text))
        # In any order: each waits for no other.
        for role in ("worker", "web", "media"):
            house.start(role)
        made = await world.new_customer()
        await made.http.aclose()
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}",
                headers={"authorization": f"Bearer {made.key}"},
                timeout=30,
            )
        )
        house.customer = Customer(world, made.account_id, made.key, client)
        await house.takes_calls()
        yield house
        await world.assert_books_balance()
        for process in house.processes.values():
            assert process.terminate() == 0, process.log.read_text()


async def test_a_call_is_made_charged_and_recorded_by_three_processes(house: House) -> None:
    customer = house.customer
    whole = await customer.balance()
    record = await customer.ordinary_call()
    assert record["node"] == house.world.settings.node
    assert whole - await customer.balance() == record["cost"]["micros"]
    async with customer.call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        live = (await customer.http.get("/v1/live-calls")).json()["calls"]
        assert [each["id"] for each in live] == [call_id]
        assert (await customer.http.delete(f"/v1/calls/{call_id}")).status_code == 202
        assert (await phone.wait("disconnect"))["ended_by"] == "operator"
    assert (await customer.record(call_id))["ended_by"] == "operator"


async def test_each_process_serves_what_it_is_for_and_nothing_else(house: House) -> None:
    customer, node = house.customer, house.world.settings.node
    media, web = (f"http://127.0.0.1:{house.ports[role]}" for role in ("media", "web"))
    headers = customer.http.headers
    async with httpx.AsyncClient(headers=headers) as client:
        for path in ("/", "/sign-in", "/v1/account", "/stripe/webhook"):
            assert (await client.get(media + path)).status_code == 404, path
        assert (await client.post(f"{web}/n/{node}/twilio/status")).status_code == 404
        assert (await client.get(web + "/sign-in")).status_code == 200
        operator = await house.world.new_operator()
        for base in (media, web):
            ready = await client.get(base + "/readyz?verbose", headers=operator)
            assert (ready.json()["status"], ready.json()["redis_rights"]) == ("ok", "ok")
    token = await customer.token()
    url = f"ws://127.0.0.1:{house.ports['web']}/n/{node}/media/browser"
    with pytest.raises(Exception, match="404"):
        async with customer.connect(url) as phone:
            await phone.send(type="start", version=1, token=token["token"])


async def test_calls_go_on_whatever_becomes_of_the_pages(house: House) -> None:
    customer = house.customer
    async with customer.call() as phone:
        await phone.wait("accept")
        web = house.processes["web"].popen
        os.kill(web.pid, signal.SIGSTOP)
        heard = len(phone.frames)
        await phone.wait_frames(heard + 100)
        os.kill(web.pid, signal.SIGCONT)
        web.kill()
        web.wait()
        heard = len(phone.frames)
        await phone.wait_frames(heard + 100)
        begun = time.monotonic()
        house.start("web")
        await house.takes_calls()
        # Mostly the start of an interpreter, on a machine that may be busy.
        assert time.monotonic() - begun < 40
        heard = len(phone.frames)
        await phone.wait_frames(heard + 50)
        ended = await phone.hang_up()
    assert ended["cause"] == 16


async def test_without_a_node_no_call_is_admitted_and_with_one_again(house: House) -> None:
    customer = house.customer
    assert house.processes["media"].terminate() == 0
    await asyncio.sleep(4)
    reply = await customer.http.post("/v1/call-tokens", json={"destination": "+15005551000"})
    assert (reply.status_code, reply.json()["code"]) == (503, "gateway_draining")
    house.start("media")
    await house.takes_calls()
    await customer.ordinary_call()
