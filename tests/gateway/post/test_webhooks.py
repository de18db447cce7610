"""Events reach the operator's program: signed, in order, again when it fails, and bounded."""

import asyncio
import contextlib
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from aiohttp import web

from gateway.post.webhooks import WAITING_MAX, EventPoster, signature
from gateway.secret import Secret

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class Receiver:
    """A program that takes events, or fails as often as it is told."""

    def __init__(self):
        self.taken = []
        self.failures = 0
        self.attempts = 0
        self.url = ""
        self.news = asyncio.Event()

    async def handle(self, request):
        self.attempts += 1
        body = await request.read()
        if self.failures:
            self.failures -= 1
            return web.Response(status=503)
        self.taken.append((request.headers.get("Caller-Signature"), body))
        self.news.set()
        return web.Response()

    async def wait_for(self, count):
        async with asyncio.timeout(5):
            while len(self.taken) < count:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
async def receiver():
    served = Receiver()
    app = web.Application()
    app.router.add_post("/events", served.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    yield served
    await runner.cleanup()


@contextlib.asynccontextmanager
async def started(url, secret="", **options):
    poster = EventPoster(Secret(url), Secret(secret), clock=lambda: AT, **options)
    poster.start()
    try:
        yield poster
    finally:
        await poster.stop()


async def test_an_event_is_posted_and_signed(receiver):
    async with started(receiver.url, "s3cret") as poster:
        poster.notify("credit.low", {"account_id": "acme", "seconds_left": 60})
        await receiver.wait_for(1)
    header, body = receiver.taken[0]
    event = json.loads(body)
    assert event["type"] == "credit.low"
    assert event["data"] == {"account_id": "acme", "seconds_left": 60}
    assert event["id"].startswith("ev_")
    stamp = str(int(AT.timestamp()))
    expected = hmac.new(b"s3cret", stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert header == f"t={stamp},v1={expected}" == signature(Secret("s3cret"), body, AT)


async def test_order_is_kept_over_failures(receiver):
    receiver.failures = 2
    async with started(receiver.url, delays_s=(0.01, 0.01, 0.01)) as poster:
        for number in range(3):
            poster.notify("call.refunded", {"number": number})
        await receiver.wait_for(3)
    assert [json.loads(body)["data"]["number"] for _, body in receiver.taken] == [0, 1, 2]
    assert receiver.attempts == 5
    assert receiver.taken[0][0] is None


async def test_what_is_never_taken_is_given_up_and_the_next_has_its_turn(receiver):
    receiver.failures = 2
    async with started(receiver.url, delays_s=(0.01,)) as poster:
        poster.notify("first", {})
        poster.notify("second", {})
        await receiver.wait_for(1)
    assert json.loads(receiver.taken[0][1])["type"] == "second"


async def test_who_leaves_waits_for_what_is_on_its_way(receiver):
    async with started(receiver.url, delays_s=(0.01, 600.0)) as notices:
        assert await notices.leave(0)
        receiver.failures = 1
        for name in ("call.cut_off", "call.refunded"):
            notices.notify(name, {})
        assert await notices.leave(20)
        assert len(receiver.taken) == 2
        receiver.failures = 2
        notices.notify("call.cut_off", {})
        assert not await notices.leave(0.05)


async def test_a_receiver_that_is_away_costs_bounded_memory():
    poster = EventPoster(Secret("http://127.0.0.1:9/events"), Secret())
    for _ in range(WAITING_MAX + 10):
        poster.notify("credit.low", {})
    assert len(poster._waiting) == WAITING_MAX


async def test_without_an_address_nothing_is_kept():
    async with started("") as poster:
        poster.notify("credit.low", {})
        assert not poster._waiting
