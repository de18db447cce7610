"""Webhooks over real sockets: signed, repeated, doubled, out of order, lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from simulators.payments import courier
from simulators.payments.account import MerchantAccount
from simulators.payments.clock import Clock
from simulators.payments.errors import missing
from simulators.payments.resources import API_VERSION

from .conftest import FAST, NOW_NS, Payments, Start
from .receiver import Receiver


async def undelivered(payments: Payments) -> list[str]:
    events = await payments.client.v1.events.list_async({"delivery_success": False, "limit": 100})
    return [event.type for event in events.data]


async def all_delivered(payments: Payments) -> None:
    """Wait until everything is delivered."""
    async with asyncio.timeout(10):
        while await undelivered(payments):
            await asyncio.sleep(0.01)


async def test_an_event_verifies_with_stripes_library(
    payments: Payments, receiver: Receiver
) -> None:
    session = await payments.paid()
    await receiver.until("checkout.session.completed")
    event = next(e for e in receiver.events if e.type == "checkout.session.completed")
    assert (event.api_version, event.livemode, event.pending_webhooks) == (API_VERSION, False, 1)
    assert event.data.object.id == session.id
    assert receiver.bodies[0].startswith(b'{\n  "')
    assert receiver.refused == []
    await all_delivered(payments)
    fetched = await payments.client.v1.events.retrieve_async(event.id)
    assert fetched.pending_webhooks == 0


async def test_what_is_answered_badly_is_repeated(payments: Payments, receiver: Receiver) -> None:
    receiver.statuses = [500, 302, 400]
    await payments.open()
    await payments.client.v1.customers.create_async({"name": "A"})
    await receiver.until("customer.created", 4)
    await all_delivered(payments)
    log = (await payments.order("GET", "/deliveries"))["data"]
    assert [entry["status"] for entry in log] == [500, 302, 400, 200]
    await payments.order("DELETE", "/deliveries")
    assert (await payments.order("GET", "/deliveries"))["data"] == []


async def test_duplicates_and_lost_replies(payments: Payments, receiver: Receiver) -> None:
    await payments.faults(duplicate=3, fail_every=5, shuffle_s=0.05)
    session = await payments.paid()
    for amount in (300, 700):
        await payments.client.v1.refunds.create_async(
            {"payment_intent": session.payment_intent.id, "amount": amount}
        )
    await all_delivered(payments)
    # In no order, and some more than once for a lost reply: so many in all may lack one of these.
    await receiver.until_true(
        lambda: len(receiver.events) >= 36 and receiver.count("refund.created") >= 8
    )
    refunds = {e.data.object.id for e in receiver.events if e.type == "refund.created"}
    assert len(refunds) == 2


async def test_what_is_dropped_is_found_among_the_undelivered(
    payments: Payments, receiver: Receiver
) -> None:
    await payments.faults(drop=["checkout.session.completed"])
    await payments.paid()
    await receiver.until("charge.updated")
    async with asyncio.timeout(10):
        while await undelivered(payments) != ["checkout.session.completed"]:
            await asyncio.sleep(0.01)
    events = await payments.client.v1.events.list_async({"delivery_success": False})
    await payments.order("POST", f"/events/{events.data[0].id}/deliver")
    await receiver.until("checkout.session.completed")
    await all_delivered(payments)


async def test_lost_deliveries_come_later(payments: Payments, receiver: Receiver) -> None:
    await payments.faults(lose_every=2)
    await payments.paid()
    await receiver.until("charge.updated")
    await all_delivered(payments)
    assert len(receiver.bodies) == 5


@pytest.mark.parametrize("age_s", [400, -400])
async def test_a_signature_can_be_old_or_from_the_future(
    payments: Payments, receiver: Receiver, age_s: int
) -> None:
    await payments.faults(signature_age_s=age_s)
    await payments.client.v1.customers.create_async({"name": "A"})
    if age_s > 0:
        await receiver.until_true(lambda: receiver.refused)
    else:
        # Stripe's own library tolerates any future.
        await receiver.until("customer.created")


async def test_a_signature_tells_the_real_time(payments: Payments, receiver: Receiver) -> None:
    await payments.order("PUT", "/clock", offset_s=-3600)
    customer = await payments.client.v1.customers.create_async({"name": "A"})
    assert (await receiver.until("customer.created")).created == customer.created
    assert receiver.refused == []


async def test_nobody_listens(start: Start) -> None:
    async with start(hook="http://127.0.0.1:9/hook", webhook_retries_s=(0.01,)) as payments:
        await payments.client.v1.customers.create_async({"name": "A"})
        async with asyncio.timeout(10):
            while len((await payments.order("GET", "/deliveries"))["data"]) < 2:
                await asyncio.sleep(0.01)
        assert await undelivered(payments) == ["customer.created"]


async def test_nobody_is_to_be_told(start: Start) -> None:
    async with start(hook="") as payments:
        await payments.client.v1.customers.create_async({"name": "A"})
        assert await undelivered(payments) == []
        assert (await payments.types()) == ["customer.created"]


async def test_a_slow_receiver_is_not_waited_for(start: Start, receiver: Receiver) -> None:
    receiver.hold_s = [0.5]
    async with start(webhook_timeout_s=0.1) as payments:
        await payments.client.v1.customers.create_async({"name": "A"})
        await all_delivered(payments)
        log = (await payments.order("GET", "/deliveries"))["data"]
    assert [entry["status"] for entry in log] == [0, 200]


async def test_what_was_forgotten_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    async with Receiver() as receiver:
        settings = replace(FAST, webhook_url=receiver.url, events_kept=10)
        world = MerchantAccount(settings, "http://pay.test").world
        clock = Clock()
        heart = courier.Courier(world, clock)
        world.schedule.set("gone", 0, _come_to_nothing)
        customer = MerchantAccount(FAST, "http://pay.test").customers.open(NOW_NS)
        for _ in range(11):
            world.emit("customer.created", customer, clock.now_ns())
        await heart.start()
        await receiver.until("customer.created", 10)
        await heart.stop()
    assert len(receiver.events) == 10
    assert "appointment of a forgotten object" in caplog.text


def _break(_: int) -> None:
    raise KeyError


def _come_to_nothing(_: int) -> None:
    raise missing("charge", "ch_gone")


async def test_a_broken_world_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    world = MerchantAccount(FAST, "http://pay.test").world
    world.schedule.set("bad", 0, _break)
    heart = courier.Courier(world, Clock())
    await heart.start()
    async with asyncio.timeout(5):
        while "background task failed" not in caplog.text:
            await asyncio.sleep(0)
    await heart.stop()


async def test_more_deliveries_than_can_be_in_flight(
    payments: Payments, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "IN_FLIGHT_MAX", 1)
    for _ in range(10):
        await payments.client.v1.customers.create_async({"name": "A"})
    await receiver.until("customer.created", 10)
    await all_delivered(payments)
