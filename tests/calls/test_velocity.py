"""Velocity limits as they are by default, on gateways as processes of their own."""

import asyncio

import httpx
import pytest

from gateway.limits.velocity import LIMITS
from tests.calls.test_payments import KEY, SECRET
from tests.calls.world import ECHO, Customer, Phone, Process, World
from tests.valkey import free_port

TO_ONE_NUMBER = LIMITS["number_calls_minute"].amount


async def attempt(customer: Customer, token: dict) -> tuple[str, int]:
    """Start a call with a token; return what became of it, and when to try again."""
    async with customer.connect(token["media_url"]) as phone:
        await phone.send(type="start", version=1, token=token["token"])
        said = await _first(phone, "ready", "error")
        if said["type"] == "error":
            return said["code"], said["retry_after_s"]
        await phone.send(type="hangup")
        await phone.wait_closed()
        return "ready", 0


async def _first(phone: Phone, *kinds: str) -> dict:
    waits = [asyncio.ensure_future(phone.wait(kind)) for kind in kinds]
    done, late = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in late:
        wait.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return done.pop().result()


@pytest.fixture
async def nodes(new_world, own_valkey, tmp_path):
    """Two gateways of one customer, with one Valkey and one database."""
    shared = {
        "CALLER_REDIS_URL": own_valkey.url,
        "CALLER_DATABASE_URL": f"sqlite:///{tmp_path / 'shared.db'}",
        "CALLER_VELOCITY_LIMITS": "",
    }
    made = [new_world(CALLER_NODE=name, **shared) for name in ("one", "two")]
    for world in made:
        world.start_gateway()
    yield made
    await made[0].assert_books_balance()


async def test_a_hundred_calls_with_one_key_to_one_number_are_bounded(nodes: list[World]):
    customer = await nodes[0].new_customer()
    other = Customer(nodes[1], customer.account_id, customer.key, customer.http)
    async with customer.http:
        # Saved up while nothing has been called, on both nodes.
        saved = []
        for turn in range(100):
            base = nodes[turn % 2].base
            body = {"destination": ECHO}
            reply = await customer.http.post(f"{base}/v1/call-tokens", json=body)
            if reply.status_code == 201:
                saved.append(reply.json())
            else:
                assert (reply.status_code, reply.json()["code"]) == (429, "rate_limited")
                assert 0 < int(reply.headers["retry-after"]) <= 61
        assert len(saved) == LIMITS["key_tokens_minute"].amount
        whose = {nodes[0].port: customer, nodes[1].port: other}
        outcomes = [
            await attempt(whose[int(token["media_url"].split("/")[2].rpartition(":")[2])], token)
            for token in saved[:40]
        ]
        assert [code for code, _ in outcomes].count("ready") == TO_ONE_NUMBER
        refused = [outcome for outcome in outcomes if outcome[0] != "ready"]
        assert {code for code, _ in refused} == {"number_limited"}
        assert all(0 < wait_s <= 61 for _, wait_s in refused)
        # Each node has counted what it refused, and neither has named the number.
        for node in nodes:
            counted = await node.figures()
            assert counted['caller_velocity_refusals_total{limit="number_calls_minute"}'] > 0
            assert ECHO[1:] not in node.gateway.log.read_text()


async def test_a_person_may_call_again_at_once(new_world):
    world = new_world(CALLER_VELOCITY_LIMITS="")
    world.start_gateway()
    customer = await world.new_customer()
    for _ in range(3):
        await customer.ordinary_call()
    await customer.http.aclose()
    await world.assert_books_balance()


async def test_thirty_checkouts_are_bounded(new_world):
    port = free_port()
    world = new_world(
        CALLER_VELOCITY_LIMITS="",
        CALLER_STRIPE_API_KEY=KEY,
        CALLER_STRIPE_WEBHOOK_SECRETS=SECRET,
        CALLER_STRIPE_URL=f"http://127.0.0.1:{port}",
    )
    arguments = ["simulate-payments", "--port", str(port)]
    service = Process(arguments, world.environ, world.folder / "payments.log")
    service.wait_for(f"http://127.0.0.1:{port}/simulator/v1/state", KEY)
    world.start_gateway()
    customer = await world.new_customer()
    replies = [await customer.http.post("/v1/top-ups", json={"amount": "5"}) for _ in range(30)]
    most = LIMITS["account_checkouts_hour"].amount
    assert [reply.status_code for reply in replies] == [201] * most + [429] * (30 - most)
    assert all(3500 < int(reply.headers["retry-after"]) <= 3601 for reply in replies[most:])
    await customer.http.aclose()
    service.terminate()


async def test_wrong_keys_are_bounded_and_known_ones_work_on(new_world):
    world = new_world(CALLER_VELOCITY_LIMITS="")
    world.start_gateway()
    customer = await world.new_customer()
    await customer.token()
    async with httpx.AsyncClient(base_url=world.base) as stranger:
        replies = [
            await stranger.get("/v1/account", headers={"authorization": f"Bearer ck_{n:024}"})
            for n in range(50)
        ]
    most = LIMITS["address_wrong_keys_minute"].amount
    assert [reply.status_code for reply in replies] == [401] * most + [429] * (50 - most)
    assert all(0 < int(reply.headers["retry-after"]) <= 61 for reply in replies[most:])
    await customer.token()
    await customer.http.aclose()
