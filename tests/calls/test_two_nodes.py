"""Two nodes behind one proxy: calls of both are seen and ended at either, and one may stop.

The proxy is nginx, HAProxy or Caddy with its file of `deploy/`, without its TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.calls.proxy import INSTALLED, proxy_of
from tests.calls.world import Customer, World, eventually
from tests.valkey import free_port

pytestmark = pytest.mark.thorough

NODES = ("n1", "n2")
SECOND_MICROS = 1000


@dataclass
class Site:
    """Two nodes, and a customer who asks each directly, or whichever the proxy takes."""

    worlds: dict[str, World]
    customer: Customer
    clients: dict[str, httpx.AsyncClient]

    def at(self, node: str) -> Customer:
        """Return the customer at a node's own port."""
        own = self.customer
        return Customer(self.worlds[node], own.account_id, own.key, self.clients[node])

    async def live(self, node: str) -> set[str]:
        """Return the live calls as a node lists them."""
        reply = await self.clients[node].get("/v1/live-calls")
        return {call["id"] for call in reply.json()["calls"]}

    async def know_each_other(self) -> None:
        """Return when both see that the other takes calls."""

        async def seen() -> bool:
            async with self.worlds["n1"].stores() as stores:
                return await stores.redis.exists(*(f"caller:node:1:{each}" for each in NODES)) == 2

        await eventually(seen)
        # Each looks once a second.
        await asyncio.sleep(1.2)


@pytest.fixture
def proxy() -> str:
    """Name the proxy in front; tests that are about more than one choose theirs."""
    return "nginx"


@pytest.fixture
async def site(new_world: Any, own_valkey: Any, tmp_path: Path, proxy: str) -> AsyncIterator[Site]:
    if INSTALLED[proxy] is None:
        pytest.skip(f"{proxy} is not installed")
    port = free_port()
    shared = {
        "CALLER_REDIS_URL": own_valkey.url,
        "CALLER_DATABASE_URL": f"sqlite:///{tmp_path / 'shared.db'}",
        "CALLER_PUBLIC_ORIGIN": f"http://127.0.0.1:{port}",
        "CALLER_TRUSTED_PROXIES": "127.0.0.1",
        "CALLER_ACCOUNT_CALLS_MAX": "100",
    }
    worlds = {name: new_world(CALLER_NODE=name, **shared) for name in NODES}
    ports = {name: world.port for name, world in worlds.items()}
    async with contextlib.AsyncExitStack() as stack:
        for world in worlds.values():
            world.start_gateway()
        stack.enter_context(proxy_of(proxy, tmp_path, port, ports))
        customer = await worlds["n1"].new_customer(100_000_000)
        await customer.http.aclose()
        headers = {"authorization": f"Bearer {customer.key}"}
        bases = {
            **{name: world.base for name, world in worlds.items()},
            "": f"http://127.0.0.1:{port}",
        }
        clients = {
            name: await stack.enter_async_context(
                httpx.AsyncClient(base_url=base, headers=headers, timeout=30)
            )
            for name, base in bases.items()
        }
        customer = Customer(worlds["n1"], customer.account_id, customer.key, clients[""])
        site = Site(worlds, customer, clients)
        await eventually(lambda: _leads_to_both(clients[""]), 20)
        await site.know_each_other()
        yield site
    await worlds["n1"].assert_books_balance()


async def _leads_to_both(client: httpx.AsyncClient) -> bool:
    """Whether the proxy has found both to be ready."""
    try:
        # The same question: each process answers it by a digest of its own.
        nonce = {"nonce": "0" * 32}
        replies = [await client.get("/healthz", params=nonce) for _ in range(4)]
    except httpx.HTTPError:
        return False
    return len({reply.json().get("proof") for reply in replies if reply.is_success}) == 2


async def test_calls_of_both_nodes_are_listed_shown_and_ended_at_either(site: Site) -> None:
    whole = await site.customer.balance()
    async with site.at("n1").call() as first, site.at("n2").call() as second:
        ids = {(await each.wait("ready"))["call_id"]: each for each in (first, second)}
        for phone in ids.values():
            await phone.wait("accept")
        for node in NODES:
            assert await site.live(node) == set(ids)
            # What is held for either is not spent.
            assert whole - await site.at(node).balance() <= 100_000
        shown = {(await site.clients["n1"].get(f"/v1/calls/{each}")).json()["node"] for each in ids}
        assert shown == set(NODES)
        # Each at the node that does not hold it.
        for call_id, phone in ids.items():
            node = (await site.clients["n1"].get(f"/v1/calls/{call_id}")).json()["node"]
            (other,) = set(NODES) - {node}
            ended = await site.clients[other].delete(f"/v1/calls/{call_id}")
            assert (ended.status_code, ended.json()["node"]) == (202, node)
            assert (await phone.wait("disconnect"))["ended_by"] == "operator"
    for call_id in ids:
        await site.customer.record(call_id)
        again = await site.clients["n2"].delete(f"/v1/calls/{call_id}")
        assert (again.status_code, again.json()["code"]) == (409, "call_ended")


async def test_a_node_that_stands_still_is_said_to_be_silent_and_found_again(site: Site) -> None:
    gateway = site.worlds["n2"].gateway
    assert gateway is not None
    async with site.at("n2").call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        os.kill(gateway.popen.pid, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            reply = await site.clients["n1"].delete(f"/v1/calls/{call_id}")
            assert (reply.status_code, reply.json()["code"]) == (503, "node_silent")
            assert await site.live("n1") == set()
            # Two answers that did not come, of two seconds each; the rest is the machine's.
            assert time.monotonic() - begun < 40
        finally:
            os.kill(gateway.popen.pid, signal.SIGCONT)

        async def ended() -> bool:
            reply = await site.clients["n1"].delete(f"/v1/calls/{call_id}")
            return reply.status_code in {202, 409}

        await eventually(ended)
        await phone.wait("disconnect")


@pytest.mark.alone
@pytest.mark.parametrize("proxy", sorted(INSTALLED))
async def test_no_call_is_refused_while_one_of_two_nodes_stops(site: Site) -> None:
    gateway = site.worlds["n2"].gateway
    assert gateway is not None
    held: list[str] = []

    async def dial(number: int) -> None:
        # Twenty a second, from a second before the stop to some after it.
        await asyncio.sleep(number * 0.05)
        async with site.customer.call() as phone:
            held.append((await phone.wait("ready"))["call_id"])
            await phone.wait("accept")
            await phone.hang_up()

    async with site.at("n2").call() as running:
        await running.wait("accept")
        dialling = [asyncio.create_task(dial(number)) for number in range(100)]
        await asyncio.sleep(1)
        gateway.popen.send_signal(signal.SIGTERM)
        await asyncio.gather(*dialling)
        assert len(held) == 100
        # What runs there goes on until it is hung up.
        assert gateway.popen.poll() is None
        await running.hang_up()
    assert gateway.terminate() == 0
    await site.customer.ordinary_call()


@pytest.mark.parametrize("proxy", sorted(INSTALLED))
async def test_whoever_is_on_the_phone_hears_no_error_when_its_node_is_killed(site: Site) -> None:
    world = site.worlds["n2"]
    assert world.gateway is not None
    async with site.at("n2").call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        carrier_call_id = await site.at("n2").carrier_call_id(call_id)
        await eventually(lambda: world.is_streaming(carrier_call_id))
        await eventually(lambda: _confirmed_s(world, call_id, 2), 20)
        world.gateway.popen.kill()
        world.gateway.popen.wait()
        world.gateway = None
        # The node confirms nothing more.
        seconds = await _confirmed_s(world, call_id, 2)
        await phone.wait_closed()
    # What follows the closed stream is asked for at an address of the node that is gone.
    await eventually(lambda: world.is_over(carrier_call_id), 20)
    assert await world.carrier_complaints(carrier_call_id) == [31903]
    # The other node settles it: what the carrier carried beyond that, nobody heard.
    record = await site.at("n1").record(call_id, 60)
    assert (record["node"], record["seconds"]) == ("n2", seconds)
    assert record["cost"]["micros"] == seconds * SECOND_MICROS
    await site.customer.ordinary_call()


async def _confirmed_s(world: World, call_id: str, at_least: int) -> int:
    """Return the seconds of an open call that the spend gate knows of; 0 while fewer."""
    async with world.stores() as stores:
        (seconds,) = (
            call.seconds for call in await stores.gate.open_calls() if call.call_id == call_id
        )
    return seconds if seconds >= at_least else 0
