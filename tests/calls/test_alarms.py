"""An operator is told of trouble: three nodes, one store, and a mail server between."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.fleet.instances import found_in, new_nonce
from gateway.http.bearer import key_hash, new_api_key
from gateway.scopes import Scope
from tests.calls.world import Process, World
from tests.valkey import free_port

# A mail a minute leaves, and one has to be waited for.
pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]

NODES = ("n1", "n2", "n3")
ALARM = "node_lost:n2"
SETTLED_S = 16.0
"""After a start: ten seconds in which nothing is judged, and some looks."""
APART_S = 75.0
"""Within which a mail leaves, of which one leaves a minute."""


@dataclass
class Site:
    """Three nodes that share their stores, an operator, and what is mailed to them."""

    worlds: dict[str, World]
    operators: dict[str, httpx.AsyncClient]
    """By node."""
    mails: httpx.AsyncClient

    async def alarms(self, node: str) -> dict[str, dict[str, Any]]:
        """Return what stands, as a node shows it."""
        reply = await self.operators[node].get("/v1/admin/alarms")
        assert reply.is_success, reply.text
        return {alarm["name"]: alarm for alarm in reply.json()["alarms"]}

    async def until(self, is_so: Callable[[], Any], seconds: float) -> None:
        """Return once something is so."""
        async with asyncio.timeout(seconds):
            while not await is_so():
                await asyncio.sleep(0.2)

    async def told(self, node: str) -> tuple[int, int]:
        """Return how often it was mailed that a node is gone, and that it is so no more."""
        heads = (await self.mails.get("/mails")).json()
        whole = [(await self.mails.get(f"/mails/{mail['id']}")).json() for mail in heads]
        lines = [line for mail in whole for line in str(mail["text"]).splitlines()]
        began, over = (f"{kind}: Node {node} is gone." for kind in ("Began", "Over"))
        return lines.count(began), lines.count(over)

    async def say(self, node: str, act: str, name: str, **said: Any) -> None:
        """Say something of an alarm at a node."""
        body = {"name": name, "reason": "as the test wants", **said}
        reply = await self.operators[node].post(f"/v1/admin/alarms/{act}", json=body)
        assert reply.status_code == 204, reply.text

    async def holder(self) -> str:
        """Return the node whose process tells."""
        async with self.worlds["n1"].stores() as stores:
            holder = (await stores.redis.get("caller:alarm-holder:1")).decode()
        for name, client in self.operators.items():
            nonce = new_nonce()
            reply = await client.get("/healthz", params={"nonce": nonce})
            if found_in([holder], nonce, reply.json()["proof"]):
                return name
        raise AssertionError(holder)

    def pid(self, node: str) -> int:
        """Return the process that serves as a node."""
        gateway = self.worlds[node].gateway
        assert gateway is not None
        return gateway.popen.pid

    def kill(self, node: str) -> None:
        """End a node as a crash does."""
        gateway = self.worlds[node].gateway
        assert gateway is not None
        gateway.popen.kill()
        gateway.popen.wait()


@pytest.fixture
async def site(new_world: Any, own_valkey: Any, tmp_path: Path) -> AsyncIterator[Site]:
    smtp_port, page_port = free_port(), free_port()
    shared = {
        "CALLER_REDIS_URL": own_valkey.url,
        "CALLER_DATABASE_URL": f"sqlite:///{tmp_path / 'shared.db'}",
        "CALLER_SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
        "CALLER_MAIL_FROM": "caller@calls.example.com",
        "CALLER_ALARM_EMAIL": "ops@example.com",
    }
    worlds = {name: new_world(CALLER_NODE=name, **shared) for name in NODES}
    arguments = ["simulate-mail", "--port", str(page_port)]
    server = Process(arguments, worlds["n1"].environ, tmp_path / "mail.log")
    server.wait_for(f"http://127.0.0.1:{page_port}/mails")
    for world in worlds.values():
        world.start_gateway()
    operator = new_api_key()
    async with worlds["n1"].stores() as stores:
        await stores.accounts.create_account("operators", "USD")
        digest = key_hash(operator)
        await stores.accounts.add_api_key("operators", digest, "x", scopes={Scope.ADMIN})
    headers = {"authorization": f"Bearer {operator}"}
    async with contextlib.AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(
                httpx.AsyncClient(base_url=world.base, headers=headers, timeout=30)
            )
            for name, world in worlds.items()
        }
        mails = httpx.AsyncClient(base_url=f"http://127.0.0.1:{page_port}", timeout=30)
        await stack.enter_async_context(mails)
        site = Site(worlds, clients, mails)
        for name in NODES:
            # On a busy machine it is so.
            await site.say("n1", "silence", f"loop_lag:{name}", minutes=60)
        await asyncio.sleep(SETTLED_S)
        yield site
    server.terminate()


async def test_a_killed_node_is_told_once_shown_acknowledged_and_over_when_it_is_back(
    site: Site,
) -> None:
    site.kill("n2")
    await site.until(lambda: _was_told(site, "n2", 1, 0), APART_S)
    for node in ("n1", "n3"):
        assert (await site.alarms(node))[ALARM]["state"] == "raised"
    await site.say("n3", "acknowledge", ALARM)
    alarm = (await site.alarms("n1"))[ALARM]
    assert (alarm["state"], alarm["reason"]) == ("acknowledged", "as the test wants")
    site.worlds["n2"].start_gateway()
    await site.until(lambda: _is_gone(site, ALARM, "n2"), 40)
    await site.until(lambda: _was_told(site, "n2", 1, 1), APART_S)
    assert [await site.told(node) for node in ("n1", "n3")] == [(0, 0), (0, 0)]


async def test_a_holder_of_the_duty_that_stands_still_is_told_once_and_tells_nothing_again(
    site: Site,
) -> None:
    holder = await site.holder()
    other = min(set(NODES) - {holder})
    os.kill(site.pid(holder), signal.SIGSTOP)
    await site.until(lambda: _was_told(site, holder, 1, 0), APART_S)
    assert f"node_lost:{holder}" in await site.alarms(other)
    os.kill(site.pid(holder), signal.SIGCONT)
    # Whoever tells that it is over has told by then all that came before.
    await site.until(lambda: _was_told(site, holder, 1, 1), 2 * APART_S)
    assert await site.holder() != holder
    assert [await site.told(node) for node in {*NODES} - {holder}] == [(0, 0), (0, 0)]


async def test_a_node_that_is_stopped_raises_nothing(site: Site) -> None:
    gateway = site.worlds["n2"].gateway
    assert gateway is not None
    assert gateway.terminate() == 0
    # The duty of one that is gone goes over within ten seconds.
    for _ in range(25):
        await asyncio.sleep(1)
        assert ALARM not in await site.alarms("n1")
    assert await site.told("n2") == (0, 0)


async def _is_gone(site: Site, alarm: str, node: str) -> bool:
    return alarm not in await site.alarms(node)


async def _was_told(site: Site, node: str, began: int, over: int) -> bool:
    return await site.told(node) == (began, over)
