"""The client and `caller-remote`, at calls in which people talk and gateways that are killed."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable

import pytest
from caller_client import AsyncCaller
from caller_client.remote.shell import run
from caller_client.shapes import FeedSnapshot

from gateway.http.bearer import key_hash, new_api_key
from gateway.scopes import Scope
from tests.calls.world import ECHO, Customer, World

pytestmark = pytest.mark.thorough
PATIENCE_S = 40


async def test_a_call_is_found_and_ended_by_an_operator_elsewhere(
    world: World, customer: Customer
) -> None:
    key = new_api_key()
    operators = f"operators-of-{customer.account_id}"
    async with world.stores() as stores:
        await stores.accounts.create_account(operators, "USD")
        await stores.accounts.add_api_key(operators, key_hash(key), "x", scopes={Scope.ADMIN})

    async def types(*arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        environ = {"CALLER_REMOTE_URL": world.base, "CALLER_REMOTE_KEY": key}
        code = await asyncio.to_thread(run, arguments, environ, out, err)
        return code, out.getvalue(), err.getvalue()

    async with customer.call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        code, out, err = await types("calls", "list", "--account", customer.account_id)
        assert (code, err) == (0, "")
        head, line = out.splitlines()
        cells = line.split()
        assert (head.split()[0], cells[:3]) == ("call", [call_id, customer.account_id, ECHO])
        assert cells[4] == "talking"
        _, out, _ = await types("calls", "list", "--json")
        assert call_id in [each["call"]["id"] for each in json.loads(out)]
        code, out, err = await types("calls", "end", call_id, "--reason", "a test")
        assert (code, out, err) == (0, f"Call {call_id} is being ended.\n", "")
        assert (await phone.wait("disconnect"))["ended_by"] == "operator"
    _, out, _ = await types("calls", "list", "--account", customer.account_id)
    assert "talking" not in out
    assert (await customer.record(call_id))["ended_by"] == "operator"


async def test_who_watches_goes_on_with_a_gateway_that_was_killed(
    new_world: Callable[..., World],
) -> None:
    world = new_world()
    world.start_gateway()
    customer = await world.new_customer()
    kinds: list[str] = []
    begun: asyncio.Queue[str] = asyncio.Queue()

    async def watch() -> None:
        async with AsyncCaller(world.base, customer.key) as caller:
            known: set[str] = set()
            async for event in caller.watch_live_calls():
                kinds.append(type(event).__name__)
                for row in event.calls:
                    if row.id not in known:
                        known.add(row.id)
                        begun.put_nowait(row.id)

    async with customer.http, asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        for _ in range(2):
            async with customer.call() as phone:
                call_id = (await phone.wait("ready"))["call_id"]
                while await begun.get() != call_id:
                    pass
                # One that nobody has answered is not disconnected, but cancelled.
                await phone.wait("accept")
                await phone.hang_up()
            gateway = world.gateway
            assert gateway is not None
            gateway.popen.kill()
            gateway.popen.wait()
            world.start_gateway()
        watching.cancel()
    # Another process has no memory of what the one before had told.
    assert kinds.count(FeedSnapshot.__name__) >= 2
