"""Call tokens: each allows one call, for a short time, from the page it was made for."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import websockets

from tests.calls.world import Customer, Phone, World


async def start(phone: Phone, token: str) -> tuple[str, int]:
    """Try to start a call; return the error and the close code."""
    await phone.send(type="start", version=1, token=token)
    return await phone.refused()


@pytest.mark.parametrize("token", ["", "ct_", "ct_" + "x" * 32, "ck_" + "x" * 24, "é", "x" * 256])
async def test_a_wrong_token_is_refused(world: World, customer: Customer, token: str):
    url = (await customer.token())["media_url"]
    async with customer.connect(url) as phone:
        assert await start(phone, token) == ("bad_token", 1008)
        assert phone.events[0]["retry"] is True


async def test_a_token_works_once_and_not_for_ever(new_world: Callable[..., World]):
    world = new_world(CALLER_TOKEN_TTL_S="5")
    await asyncio.to_thread(world.start_gateway)
    customer = await world.new_customer()
    old = await customer.token()
    async with customer.call() as phone:
        await phone.wait("accept")
        used = await customer.token()
        async with customer.connect(used["media_url"]) as first:
            await first.send(type="start", version=1, token=used["token"])
            await first.wait("accept")
            async with customer.connect(used["media_url"]) as second:
                assert await start(second, used["token"]) == ("bad_token", 1008)
            await first.hang_up()
        expires_at = datetime.fromisoformat(old["expires_at"])
        assert old["expires_in_seconds"] == world.settings.token_ttl_s
        # Dates are in whole seconds.
        await asyncio.sleep((expires_at - datetime.now(UTC)).total_seconds() + 1.1)
        async with customer.connect(old["media_url"]) as late:
            assert await start(late, old["token"]) == ("bad_token", 1008)
        ended = await phone.hang_up()
    assert ended["ended_by"] == "caller"
    await customer.ordinary_call()
    await world.assert_books_balance()
    await customer.http.aclose()


async def test_two_sockets_race_for_one_token_and_one_wins(world: World, customer: Customer):
    token = await customer.token()
    url, message = token["media_url"], {"type": "start", "version": 1, "token": token["token"]}
    async with customer.connect(url) as one, customer.connect(url) as other:
        await asyncio.gather(one.send(**message), other.send(**message))
        errors = {asyncio.ensure_future(p.wait("error")): p for p in (one, other)}
        done, waiting = await asyncio.wait(errors, return_when=asyncio.FIRST_COMPLETED)
        assert [d.result()["code"] for d in done] == ["bad_token"]
        (winner,) = (errors[task] for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await winner.wait("accept")
        await winner.hang_up()


async def test_a_token_is_bound_to_its_page(world: World, customer: Customer):
    page = world.base
    other_page = page.replace("127.0.0.1", "localhost")
    for origin in (None, other_page):
        token = await customer.token(origin=page)
        async with customer.connect(token["media_url"], origin) as phone:
            assert await start(phone, token["token"]) == ("bad_origin", 1008)
    token = await customer.token(origin=page)
    async with customer.connect(token["media_url"], page) as phone:
        await phone.send(type="start", version=1, token=token["token"])
        await phone.wait("accept")
        call_id = phone.events[0]["call_id"]
        await phone.hang_up()
    await customer.record(call_id)


async def test_a_foreign_page_gets_neither_token_nor_socket(world: World, customer: Customer):
    foreign = "https://evil.example"
    body = {"destination": "+15005551000"}
    for asked in (
        await customer.http.post("/v1/call-tokens", json={**body, "origin": foreign}),
        await customer.http.post("/v1/call-tokens", json=body, headers={"origin": foreign}),
    ):
        assert (asked.status_code, asked.json()["code"]) == (403, "bad_origin")
        assert asked.json()["field"] == "origin"
    token = await customer.token()
    for origin in (foreign, "null", world.base + ".evil.example", world.base + "/"):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with customer.connect(token["media_url"], origin):
                pass
        assert refused.value.response.status_code == 403
    # The refusals have not used the token up.
    async with customer.connect(token["media_url"]) as phone:
        await phone.send(type="start", version=1, token=token["token"])
        await phone.wait("ready")
        await phone.send(type="hangup")
        await phone.wait("cancel")


async def test_a_socket_that_never_starts_is_closed(world: World, customer: Customer):
    url = (await customer.token())["media_url"]
    begun = time.monotonic()
    async with customer.connect(url) as silent, customer.connect(url) as pinging:
        await pinging.send(type="ping", id=7)
        assert (await pinging.wait("pong"))["id"] == 7
        for phone in (silent, pinging):
            assert await phone.refused() == ("start_timeout", 1008)
    timeout_s = world.settings.start_timeout_s
    assert timeout_s <= time.monotonic() - begun < timeout_s + 3
