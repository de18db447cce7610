"""Payments and running calls, with a gateway and a payment service as processes of their own.

A payment in the last seconds saves the call, a saved card is charged while one talks, and a dispute
ends the call of whoever disputes.
"""

import asyncio
import time

import httpx
import pytest

from tests.calls.test_credit import SECOND_MICROS, TONE
from tests.calls.world import Customer, Process, World, eventually
from tests.valkey import free_port

KEY, SECRET = "sk_test_calls", "whsec_calls"
DOLLAR = 1_000_000


class Till:
    """The payment service, and whoever pays there."""

    def __init__(self, origin):
        self.http = httpx.AsyncClient(
            base_url=origin + "/simulator/v1", headers={"authorization": f"Bearer {KEY}"}
        )

    async def act(self, method, path, **body):
        reply = await self.http.request(method, path, json=body)
        assert reply.is_success, reply.text
        return reply.json()

    async def pay(self, payment, **how):
        """Pay what a customer has begun to pay."""
        session_id = payment["url"].rpartition("/")[2]
        return await self.act("POST", f"/sessions/{session_id}/pay", **how)


class Shop(World):
    """A gateway that sells credit, with the service that takes the money."""

    till: Till


@pytest.fixture
async def shop(new_world):
    port = free_port()
    world = new_world(
        Shop,
        CALLER_STRIPE_API_KEY=KEY,
        CALLER_STRIPE_WEBHOOK_SECRETS=SECRET,
        CALLER_STRIPE_URL=f"http://127.0.0.1:{port}",
        CALLER_AUTO_TOP_UP_PAUSE_S="10",
        CALLER_PREPAID_HORIZON_S="2",
    )
    arguments = ["simulate-payments", "--port", str(port)]
    service = Process(arguments, world.environ, world.folder / "payments.log")
    service.wait_for(f"http://127.0.0.1:{port}/simulator/v1/state", KEY)
    world.start_gateway()
    world.till = Till(f"http://127.0.0.1:{port}")
    yield world
    await world.till.http.aclose()
    await world.assert_books_balance()
    service.terminate()


@pytest.fixture
async def new_customer(shop):
    """Make customers of the shop, whose connections end with the test."""
    made = []

    async def make(credit_micros=0):
        made.append(await shop.new_customer(credit_micros))
        return made[-1]

    yield make
    for customer in made:
        await customer.http.aclose()


async def top_up(customer: Customer, amount: str, **more):
    reply = await customer.http.post("/v1/top-ups", json={"amount": amount, **more})
    assert reply.status_code == 201, reply.text
    return reply.json()


async def has_balance(customer: Customer, at_least: int):
    async def is_there():
        return await customer.balance() >= at_least

    await eventually(is_there, 15)


async def save_a_card(shop: Shop, customer: Customer):
    """Top up once, and let the card be kept."""
    await shop.till.pay(await top_up(customer, "5", save_card=True))
    await has_balance(customer, 5 * DOLLAR)


async def test_a_payment_in_the_last_seconds_saves_the_call(shop, new_customer):
    customer = await new_customer(6 * SECOND_MICROS)
    payment = await top_up(customer, "10")
    async with customer.call(TONE) as phone:
        await phone.wait("accept")
        await phone.wait("cost", where=lambda e: e["seconds"] >= 2)
        await shop.till.pay(payment)
        cost = await phone.wait("cost", where=lambda e: e["seconds"] >= 9)
        assert cost["cost"]["micros"] == cost["seconds"] * SECOND_MICROS
        ended = await phone.hang_up()
    assert ended["ended_by"] == "caller"
    record = await customer.record(ended["call_id"])
    left = 6 * SECOND_MICROS + 10 * DOLLAR - record["cost"]["micros"]
    assert await customer.balance() == left
    (paid,) = (await customer.http.get("/v1/payments")).json()["payments"]
    assert (paid["state"], paid["amount"]["micros"]) == ("paid", 10 * DOLLAR)
    lines = (await customer.http.get("/v1/ledger")).json()["lines"]
    assert [line["kind"] for line in lines] == ["charge", "top-up", "grant"]
    assert lines[0]["balance"]["micros"] == left


async def test_a_saved_card_is_charged_while_one_talks(shop, new_customer):
    customer = await new_customer()
    await save_a_card(shop, customer)
    wanted = {"enabled": True, "threshold": "6", "amount": "20"}
    reply = await customer.http.put("/v1/auto-top-up", json=wanted)
    assert reply.status_code == 200, reply.text
    async with customer.call(TONE) as phone:
        await phone.wait("accept")
        await phone.wait("credit", where=lambda e: e["balance"]["micros"] > 20 * DOLLAR)
        await asyncio.sleep(2)
        ended = await phone.hang_up()
    await customer.record(ended["call_id"])
    payments = (await customer.http.get("/v1/payments")).json()["payments"]
    assert [(p["kind"], p["state"]) for p in payments] == [("auto", "paid"), ("checkout", "paid")]


async def test_one_tap_on_the_saved_card_saves_the_call(shop, new_customer):
    customer = await new_customer()
    await save_a_card(shop, customer)
    async with shop.stores() as stores:
        await shop.grant(stores, customer.account_id, 5 * SECOND_MICROS - 5 * DOLLAR)
    async with customer.call(TONE) as phone:
        await phone.wait("accept")
        taps = [
            customer.http.post(
                "/v1/saved-card-charges",
                json={"amount": "10.00"},
                headers={"idempotency-key": "tap"},
            )
            for _ in range(2)
        ]
        replies = await asyncio.gather(*taps)
        assert {reply.status_code for reply in replies} == {201}
        await phone.wait("cost", where=lambda e: e["seconds"] >= 7)
        ended = await phone.hang_up()
    await customer.record(ended["call_id"])
    payments = (await customer.http.get("/v1/payments")).json()["payments"]
    assert [(p["kind"], p["state"]) for p in payments] == [("saved", "paid"), ("checkout", "paid")]


async def test_a_dispute_ends_the_call_and_freezes_the_account(shop, new_customer):
    customer = await new_customer()
    await save_a_card(shop, customer)
    (charge,) = (await shop.till.act("GET", "/objects/charges"))["data"][:1]
    async with customer.call(TONE) as phone:
        await phone.wait("accept")
        began = time.monotonic()
        dispute = await shop.till.act("POST", "/disputes", charge=charge["id"])
        ended = await phone.wait("disconnect")
        assert time.monotonic() - began < 5
        assert ended["ended_by"] == "operator"
    await customer.record(ended["call_id"])
    assert await customer.balance() < 0
    reply = await customer.http.post("/v1/call-tokens", json={"destination": TONE})
    assert reply.json()["code"] in {"account_frozen", "insufficient_credit"}

    await shop.till.act("POST", f"/disputes/{dispute['id']}", status="won")
    await has_balance(customer, 4 * DOLLAR)

    async def is_thawed():
        answer = await customer.http.post("/v1/call-tokens", json={"destination": TONE})
        return answer.status_code == 201

    await eventually(is_thawed, 15)


async def test_a_payment_without_a_webhook_is_found_by_the_page(shop, new_customer):
    customer = await new_customer()
    await shop.till.act("PUT", "/faults", deliveries={"lose_every": 1})
    payment = await top_up(customer, "10")
    await shop.till.pay(payment)

    async def is_paid():
        shown = await customer.http.get(f"/v1/top-ups/{payment['id']}")
        return shown.json()["state"] == "paid"

    await eventually(is_paid)
    assert await customer.balance() == 10 * DOLLAR
