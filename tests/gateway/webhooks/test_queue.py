"""Events that have no row of their own get one, once, as soon as SQL is there."""

import asyncio
from collections import Counter

import pytest
from structlog.testing import capture_logs

from database.errors import StoreUnavailableError
from gateway.post.patience import DELAYS_S, WAITING_MAX
from gateway.webhooks.events import event_id
from gateway.webhooks.queue import WebhookQueue
from tests.gateway.webhooks.world import World, receiving

WARNING = {"account_id": "alice", "call_id": "c1", "cause": "credit", "seconds_left": 30}
PAID = {"account_id": "alice", "payment_id": "p1", "reference": "top-up:p1"}


class Outbox:
    """Takes events, or fails as often as it is told."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.told = []

    async def queue(self, event):
        if self.failures:
            raise self.failures.pop(0)
        self.told.append(event)


async def test_what_no_webhook_tells_is_not_queued():
    outbox = Outbox()
    queue = WebhookQueue(outbox)
    queue.notify("call.html", {"account_id": "alice"})
    queue.notify("call.credit_warning", WARNING)
    assert await queue.leave(5)
    assert [(each.type, each.account_id, each.data) for each in outbox.told] == [
        ("call.credit_warning", "alice", WARNING)
    ]


async def test_a_fact_with_a_reference_has_one_id_and_others_one_each():
    outbox = Outbox()
    queue = WebhookQueue(outbox)
    for _ in range(2):
        queue.notify("payment.received", PAID)
        queue.notify("call.credit_warning", WARNING)
    assert await queue.leave(5)
    ids = Counter(each.event_id for each in outbox.told)
    assert sorted(ids.values()) == [1, 1, 2]
    assert ids[event_id("payment.received", "top-up:p1")] == 2


async def test_an_event_waits_while_sql_is_away_and_is_dropped_for_a_bug():
    outbox = Outbox(StoreUnavailableError("away"), StoreUnavailableError("away"))
    queue = WebhookQueue(outbox, delays_s=(0.0, 0.0))
    queue.notify("call.credit_warning", WARNING)
    assert await queue.leave(5)
    assert len(outbox.told) == 1
    outbox.failures.append(ValueError("too long"))
    with capture_logs() as logs:
        queue.notify("call.credit_warning", WARNING)
        assert await queue.leave(5)
    assert [(line["event"], line["failure"]) for line in logs] == [
        ("event not queued", "ValueError")
    ]


async def test_few_wait_at_once():
    outbox = Outbox(*[StoreUnavailableError("away")] * WAITING_MAX)
    queue = WebhookQueue(outbox, delays_s=(3600.0,))
    with capture_logs() as logs:
        for _ in range(WAITING_MAX + 3):
            queue.notify("call.credit_warning", WARNING)
    assert Counter(line["event"] for line in logs) == {"event not queued, too many wait": 3}
    assert not await queue.leave(0)
    await asyncio.wait_for(queue.stop(), 30)
    assert sum(DELAYS_S) < 180


@pytest.mark.parametrize("name", ["call.credit_warning", "payment.received"])
async def test_it_reaches_the_receiver(engine, name):
    world = World(engine)
    await world.open_account("alice")
    async with receiving() as receiver:
        await world.add("alice", receiver.url)
        queue = WebhookQueue(world.spool, clock=world.clock)
        queue.notify(name, PAID)
        assert await queue.leave(5)
        await world.send()
        assert len(receiver.taken) == 1
    await world.poster.close()
