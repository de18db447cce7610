"""Buttons on two nodes that share their stores: what no node can decide alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from gateway.embed.rules import CallAllowance
from tests.calls.test_buttons import SECOND_MICROS, Shop, shop_of
from tests.calls.world import Customer, World, eventually

pytestmark = pytest.mark.thorough

MANY = 50


@pytest.fixture
async def nodes(new_world, own_valkey, tmp_path) -> AsyncIterator[list[World]]:
    """Two gateways with one Valkey and one database, and limits as they are by default."""
    shared = {
        "CALLER_REDIS_URL": own_valkey.url,
        "CALLER_DATABASE_URL": f"sqlite:///{tmp_path / 'shared.db'}",
        "CALLER_VELOCITY_LIMITS": "account_calls_minute=1000",
        "CALLER_ACCOUNT_CALLS_MAX": "100",
        "CALLER_TOKEN_TTL_S": "60",
    }
    made = [new_world(CALLER_NODE=name, **shared) for name in ("one", "two")]
    for world in made:
        world.start_gateway()
    yield made
    await made[0].assert_books_balance()


@contextlib.asynccontextmanager
async def shops_of(nodes: list[World], **rules: Any) -> AsyncIterator[list[Shop]]:
    """Yield one button, as it is on each node."""
    owner = await nodes[0].new_customer()
    wide = CallAllowance(button_hour=1_000, button_day=1_000)
    plain = {"calls_at_once": 100, "amounts": wide}
    async with contextlib.AsyncExitStack() as stack:
        shop = await stack.enter_async_context(shop_of(nodes[0], owner, **plain | rules))
        shops = [shop]
        for world in nodes[1:]:
            headers = {"authorization": f"Bearer {owner.key}"}
            own = await stack.enter_async_context(
                httpx.AsyncClient(base_url=world.base, headers=headers)
            )
            plain_http = await stack.enter_async_context(httpx.AsyncClient(base_url=world.base))
            there = Customer(world, owner.account_id, owner.key, own)
            shops.append(replace(shop, world=world, owner=there, http=plain_http))
        yield shops
        await owner.http.aclose()


async def tokens_of(shops: list[Shop], count: int) -> list[tuple[Shop, dict[str, Any]]]:
    """Return tokens of as many visitors, half of them at each node."""
    asked = []
    for n in range(count):
        shop = shops[n % 2]
        reply = await shop.signed(visitor=f"v-{n}")
        assert reply.status_code == 201, reply.text
        asked.append((shop, reply.json()))
    return asked


async def nobody_calls(shops: list[Shop]) -> bool:
    """Tell whether no node has a call of the owner: a place is free a moment after its end."""
    replies = [await shop.owner.http.get("/v1/live-calls") for shop in shops]
    return not any(reply.json()["calls"] for reply in replies)


async def outcome_of(shop: Shop, token: dict[str, Any]) -> str:
    """Call until the gateway ends it; return how: a code, or what it ran out of."""
    async with shop.call(token) as phone:
        await phone.wait_closed(40)
        last = next(e for e in phone.events if e["type"] in ("error", "disconnect", "cancel"))
        return last.get("code") or last.get("cut_off") or str(last["cause"])


async def test_fifty_calls_at_once_on_two_nodes_spend_the_budget_and_not_a_second_more(nodes):
    seconds = 12
    async with shops_of(nodes, day_cap_micros=seconds * SECOND_MICROS) as shops:
        before = await shops[0].owner.balance()
        saved = await tokens_of(shops, MANY)
        found = await asyncio.gather(*(outcome_of(*each) for each in saved))
        assert len(found) == MANY
        assert set(found) <= {"budget_reached", "cap"}
        assert "cap" in found
        await nodes[0].assert_books_balance()
        assert before - await shops[0].owner.balance() == seconds * SECOND_MICROS


async def test_fifty_calls_at_once_on_two_nodes_are_no_more_than_the_button_allows(nodes):
    amounts = CallAllowance(button_hour=7, button_day=1_000)
    async with shops_of(nodes, amounts=amounts, seconds_max=10) as shops:
        saved = await tokens_of(shops, MANY)
        found = await asyncio.gather(*(outcome_of(*each) for each in saved))
        assert sorted(found) == ["button_limited"] * (MANY - 7) + ["duration"] * 7
        # The owner's own phone is not closed by it.
        await shops[1].owner.ordinary_call()


async def test_tokens_that_begin_no_call_close_nothing(nodes):
    amounts = CallAllowance(button_hour=5, button_day=5)
    async with shops_of(nodes, amounts=amounts, calls_at_once=1) as shops:
        saved = await tokens_of(shops, MANY)
        (shop, first), *others = saved
        async with shop.call(first) as phone:
            await phone.wait("accept")
            # Redeemed all at once they find the line taken, and use up no call of the button.
            found = await asyncio.gather(*(outcome_of(*each) for each in others[:20]))
            assert set(found) == {"button_busy"}
            await phone.hang_up()
        for shop, token in others[20:24]:
            await eventually(lambda: nobody_calls(shops))
            async with shop.call(token) as phone:
                await phone.wait("accept")
                await phone.hang_up()
        await eventually(lambda: nobody_calls(shops))
        assert await outcome_of(*others[24]) == "button_limited"


async def test_calls_end_on_whatever_node_they_are(nodes):
    async with shops_of(nodes) as shops:
        (one, first), (other, second), (_, third) = await tokens_of(shops, 3)
        owner, path = shops[0].owner.http, f"/v1/buttons/{one.button.id}"
        async with one.call(first) as here, other.call(second) as there:
            await here.wait("accept")
            await there.wait("accept")
            assert (await owner.post(f"{path}/pause")).json()["live_calls"] == 2
            # Long enough for each node to have looked.
            with pytest.raises(AssertionError, match="no disconnect"):
                await there.wait("disconnect", 3)
            assert (await owner.post(f"{path}/end-calls")).status_code == 202
            for phone in (here, there):
                ended = await phone.wait("disconnect")
                assert (ended["cause"], ended["ended_by"]) == (504, "operator")
                assert ended["message"] == "The button was closed."
                assert await phone.wait_closed() == 1000
        await owner.post(f"{path}/resume")
        # A token that was asked for before belongs to what was ended.
        async with one.call(third) as late:
            ended = await late.wait("disconnect")
            assert ended["message"] == "The button was closed."
        ((again, fourth),) = await tokens_of(shops[1:] * 2, 1)
        async with again.call(fourth) as phone:
            await phone.wait("accept")
            assert (await owner.delete(path)).status_code == 204
            assert (await phone.wait("disconnect"))["message"] == "The button was closed."
        assert (await owner.get(path)).status_code == 404


async def test_why_visitors_do_not_get_through_is_counted_on_all_nodes(nodes):
    async with shops_of(nodes, calls_at_once=1) as shops:
        saved = await tokens_of(shops, 3)
        (one, first), *late = saved
        async with one.call(first) as phone:
            await phone.wait("accept")
            assert [await outcome_of(*each) for each in late] == ["button_busy"] * 2
            assert (await shops[1].signed(visitor="v-9")).json()["code"] == "button_busy"
            await phone.hang_up()
        path = f"/v1/buttons/{one.button.id}"

        async def counted() -> bool:
            told = (await shops[0].owner.http.get(path)).json()["refused_today"]
            return told == {"busy": 3}

        await eventually(counted, 15)
