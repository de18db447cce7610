"""Live calls of two nodes as those who watch them see them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gateway.http.bearer import key_hash, new_api_key
from gateway.scopes import Scope
from tests.calls.world import Customer, World

pytestmark = pytest.mark.thorough

NODES = ("n1", "n2")
PATIENCE_S = 40


@dataclass
class Screen:
    """What somebody sees who applies a stream as its documentation says."""

    client: httpx.AsyncClient
    path: str
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    samples: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    snapshots: int = 0
    last: str = ""
    ended: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch(self) -> None:
        """Apply a stream until its end."""
        headers = {"last-event-id": self.last} if self.last else {}
        async with self.client.stream("GET", self.path, headers=headers, timeout=30) as reply:
            assert reply.status_code == 200, await reply.aread()
            event: dict[str, str] = {}
            async for line in reply.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif event:
                    self.apply(**event)
                    event = {}

    def apply(self, event: str = "", data: str = "{}", id: str = "", **_rest: str) -> None:
        """Take one event."""
        content = msgspec.json.decode(data)
        if event == "end":
            self.ended = content["code"]
        elif event:
            self.last = id
            if event == "snapshot":
                self.snapshots += 1
                self.calls, self.samples, self.warnings = {}, {}, []
            self.calls |= {row["id"]: row for row in content.get("calls", ())}
            for gone in content.get("gone", ()):
                self.calls.pop(gone, None)
            self.samples |= {sample["at"]: sample for sample in content.get("samples", ())}
            self.warnings += content.get("warnings", ())
            if "nodes" in content:
                self.nodes = {row["node"]: row for row in content["nodes"]}
        self.changed.set()

    def state(self, call_id: str) -> str:
        """Return the state of a call; empty where it is not shown."""
        return str(self.calls.get(call_id, {}).get("state", ""))

    async def until_all(self, call_ids: list[str], state: str) -> None:
        """Return once all these calls are in a state."""
        await self.until(lambda: all(self.state(each) == state for each in call_ids))

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Return once something is on the screen."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Site:
    """Two nodes that share their stores, a customer, and an operator."""

    worlds: dict[str, World]
    customers: list[Customer]
    operator: str
    stack: contextlib.AsyncExitStack

    def at(self, node: str, whose: int = 0) -> Customer:
        """Return a customer at a node's own port."""
        own = self.customers[whose]
        http = httpx.AsyncClient(base_url=self.worlds[node].base, headers=own.http.headers)
        self.stack.push_async_callback(http.aclose)
        return Customer(self.worlds[node], own.account_id, own.key, http)

    def screen(self, node: str, path: str, key: str) -> Screen:
        """Return a screen that has yet to be watched."""
        headers = {"authorization": f"Bearer {key}"}
        client = httpx.AsyncClient(base_url=self.worlds[node].base, headers=headers)
        self.stack.push_async_callback(client.aclose)
        return Screen(client, path)

    async def watched(self, node: str, path: str, key: str) -> Screen:
        """Return a screen that is watched until the test ends."""
        screen = self.screen(node, path, key)
        task = asyncio.create_task(screen.watch())
        self.stack.push_async_callback(_stop, task)
        await screen.until(lambda: screen.snapshots > 0)
        return screen


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    # How it ended is the test's to look at.
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def site(new_world: Any, own_valkey: Any, tmp_path: Path) -> AsyncIterator[Site]:
    shared = {
        "CALLER_REDIS_URL": own_valkey.url,
        "CALLER_DATABASE_URL": f"sqlite:///{tmp_path / 'shared.db'}",
    }
    worlds = {name: new_world(CALLER_NODE=name, **shared) for name in NODES}
    for world in worlds.values():
        world.start_gateway()
    customers = [await worlds["n1"].new_customer() for _ in range(2)]
    operator = new_api_key()
    async with worlds["n1"].stores() as stores:
        await stores.accounts.create_account("operators", "USD")
        digest = key_hash(operator)
        await stores.accounts.add_api_key("operators", digest, "x", scopes={Scope.ADMIN})
    async with contextlib.AsyncExitStack() as stack:
        for customer in customers:
            stack.push_async_callback(customer.http.aclose)
        yield Site(worlds, customers, operator, stack)
    await worlds["n1"].assert_books_balance()


async def test_calls_of_both_nodes_are_seen_at_either_by_those_who_may(site: Site) -> None:
    own = await site.watched("n1", "/v1/live-feed", site.customers[0].key)
    others = await site.watched("n2", "/v1/live-feed", site.customers[1].key)
    everybody = await site.watched("n2", "/v1/admin/live-feed", site.operator)
    assert (await site.customers[0].http.get("/v1/admin/live-feed")).status_code == 403
    async with site.at("n1").call() as first, site.at("n2").call() as second:
        ids = [(await each.wait("ready"))["call_id"] for each in (first, second)]
        for screen in (own, everybody):
            await screen.until_all(ids, "answered")
            assert {screen.calls[each]["node"] for each in ids} == set(NODES)
        one = await site.watched("n1", f"/v1/live-feed?call={ids[1]}", site.customers[0].key)
        await one.until(lambda: len(one.samples) > 2)
        assert set(one.calls) == {ids[1]}
        strange = await site.watched("n1", f"/v1/live-feed?call={ids[1]}", site.customers[1].key)
        await first.hang_up()
        await second.hang_up()
    for screen in (own, everybody):
        await screen.until_all(ids, "ended")
    for each in ids:
        record = await site.customers[0].record(each)
        shown = everybody.calls[each]
        assert shown["cost_micros"] == record["cost"]["micros"]
        assert (shown["cause"], shown["ended_by"]) == (16, "caller")
    assert set(everybody.nodes) == set(NODES)
    assert others.calls == {}
    assert strange.calls == {}
    assert own.nodes == {}


async def test_a_killed_node_and_its_calls_are_lost_and_a_stream_goes_on(site: Site) -> None:
    screen = await site.watched("n1", "/v1/admin/live-feed", site.operator)
    gateway = site.worlds["n2"].gateway
    assert gateway is not None
    with contextlib.suppress(Exception):
        async with site.at("n2").call() as phone:
            call_id = (await phone.wait("ready"))["call_id"]
            await screen.until(lambda: screen.state(call_id) == "answered")
            os.kill(gateway.popen.pid, signal.SIGSTOP)
            await screen.until(lambda: screen.state(call_id) == "lost")
            listed = await screen.client.get("/v1/admin/live-calls")
            assert (listed.json()["calls"], listed.json()["silent_nodes"]) == ([], ["n2"])
            os.kill(gateway.popen.pid, signal.SIGCONT)
            await screen.until(lambda: screen.state(call_id) == "answered")
            gateway.popen.kill()
            gateway.popen.wait()
    await screen.until(lambda: screen.state(call_id) == "lost")
    await screen.until(lambda: screen.nodes["n2"]["is_lost"])
    assert screen.snapshots == 1
    site.worlds["n2"].start_gateway()
    await screen.until(lambda: not screen.nodes["n2"]["is_lost"])


async def test_who_comes_back_goes_on_and_to_another_process_begins_again(site: Site) -> None:
    screen = site.screen("n1", "/v1/live-feed", site.customers[0].key)
    for snapshots in (1, 1):
        task = asyncio.create_task(screen.watch())
        async with site.at("n2").call() as phone:
            call_id = (await phone.wait("ready"))["call_id"]
            await screen.until_all([call_id], "answered")
            await phone.hang_up()
        await _stop(task)
        assert screen.snapshots == snapshots
    gateway = site.worlds["n1"].gateway
    assert gateway is not None
    gateway.popen.kill()
    gateway.popen.wait()
    site.worlds["n1"].start_gateway()
    task = asyncio.create_task(screen.watch())
    await screen.until(lambda: screen.snapshots == 2)
    await _stop(task)


async def test_a_key_that_is_revoked_watches_no_more(site: Site) -> None:
    customer = site.customers[0]
    screen = site.screen("n1", "/v1/live-feed", customer.key)
    task = asyncio.create_task(screen.watch())
    other = await site.watched("n1", "/v1/live-feed", site.customers[1].key)
    await screen.until(lambda: screen.snapshots == 1)
    async with site.worlds["n1"].stores() as stores:
        (key,) = await stores.accounts.keys(customer.account_id)
        await stores.accounts.revoke_api_key(customer.account_id, key.id)
    await asyncio.wait_for(task, PATIENCE_S)
    assert screen.ended == "unauthorized"
    assert other.ended == ""
