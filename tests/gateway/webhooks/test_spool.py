"""Events are queued with their facts, once, and for nobody who does not want them."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from accounts.webhook_kinds import WEBHOOK_KINDS
from billing.ports import BookedEvent
from billing.stores.freezes import FreezeReason, set_freeze
from billing.stores.sql import SqlLedgerStore
from gateway.operators import Order
from gateway.roles.booked_news import tell_of_credit
from gateway.webhooks import spool as webhook_spool
from gateway.webhooks.endpoint_store import TESTS_MAX
from gateway.webhooks.events import CALL_ENDED, QueuedEvent
from gateway.webhooks.ports import DeliveryState, EndpointForm
from gateway.webhooks.queue import WebhookQueue
from gateway.webhooks.spool import (
    SqlWebhookSpool,
    queue_ended_calls,
    queue_events,
)
from gateway.webhooks.tables import deliveries, endpoints, take_webhooks_back
from tests.billing.outbox_entries import closed, opened
from tests.gateway.webhooks.world import change_of, world

__all__ = ["world"]

URL = "https://hooks.example.com/"


async def queued(engine):
    async with engine.connect() as connection:
        query = sa.select(deliveries.c.account_id, deliveries.c.type, deliveries.c.call_id)
        return sorted(tuple(row) for row in await connection.execute(query))


async def test_the_end_of_a_call_is_queued_with_the_booking_of_it_and_once(engine, world):
    await world.add("alice", URL)
    ledger = SqlLedgerStore(engine, on_ended=queue_ended_calls)
    await ledger.apply_outbox(0, [opened("c1", 100), opened("c2", 100, "bob")])
    assert await queued(engine) == []
    ends = [closed("c1", 50), closed("c2", 50, 60, "bob")]
    for _ in range(2):
        await ledger.apply_outbox(0, ends)
    assert await queued(engine) == [("alice", CALL_ENDED, "c1")]


async def test_what_is_not_booked_is_not_told(engine, world):
    await world.add("alice", URL)

    def fail(connection, ended, at):
        queue_ended_calls(connection, ended, at)
        raise RuntimeError

    entries = [opened("c1", 100), closed("c1", 50)]
    with pytest.raises(RuntimeError):
        await SqlLedgerStore(engine, on_ended=fail).apply_outbox(
            0, [opened("c1", 100), closed("c1", 50)]
        )
    assert await queued(engine) == []
    # And the next attempt tells it.
    ledger = SqlLedgerStore(engine, on_ended=queue_ended_calls)
    await ledger.apply_outbox(0, entries)
    assert len(await queued(engine)) == 1


async def test_events_of_many_accounts_are_queued_in_one_transaction(engine, world, monkeypatch):
    monkeypatch.setattr(webhook_spool, "ACCOUNTS_PER_QUERY", 2)
    names = [f"a{number}" for number in range(5)]
    await world.open_account(*names)
    for name in names:
        await world.add(name, URL)
    at = world.clock()
    events = [QueuedEvent(name, f"evt_{name}", "call.cut_off", at) for name in (*names, "alice")]
    async with engine.begin() as connection:
        await connection.run_sync(queue_events, events, at)
        await connection.run_sync(queue_events, [], at)
    assert [account_id for account_id, _, _ in await queued(engine)] == names


async def test_data_that_are_too_long_are_refused(world):
    await world.add("alice", URL)
    told = QueuedEvent("alice", "evt_1", "call.cut_off", world.clock(), data={"a": "x" * 17_000})
    with pytest.raises(ValueError, match="too long"):
        await world.spool.queue(told)


async def test_a_restricted_accounts_events_wait(engine, world):
    await world.add("alice", URL)
    await world.tell("alice")

    async def claimed():
        claims = await world.spool.claim(
            9, until=world.clock() + timedelta(seconds=1), besides=(), doubtful=9
        )
        return [claim.endpoint.account_id for claim in claims]

    async with engine.begin() as connection:
        await set_freeze(connection, "alice", FreezeReason.RESTRICTED, True, world.clock())
    assert await claimed() == []
    async with engine.begin() as connection:
        await set_freeze(connection, "alice", FreezeReason.RESTRICTED, False, world.clock())
    assert await claimed() == ["alice"]
    assert await claimed() == []
    world.pass_time(seconds=1)
    assert await claimed() == ["alice"]


async def test_those_that_fail_or_are_new_keep_out_nobody_who_answers(world):
    for account_id in ("alice", "bob"):
        await world.add(account_id, URL)
        await world.tell(account_id)
    end = world.clock() + timedelta(seconds=1)
    assert await world.spool.claim(9, until=end, besides=(), doubtful=0) == ()
    world.pass_time(seconds=3_600)

    async def claimed(doubtful):
        end = world.clock() + timedelta(seconds=1)
        found = await world.spool.claim(9, until=end, besides=(), doubtful=doubtful)
        world.pass_time(seconds=1)
        return sorted(each.endpoint.account_id for each in found)

    assert await claimed(0) == ["alice", "bob"]
    async with world.engine.begin() as connection:
        mine = sa.update(endpoints).where(endpoints.c.account_id == "alice")
        await connection.execute(mine.values(failing_since=world.clock()))
    assert await claimed(0) == ["bob"]
    assert await claimed(1) == ["alice", "bob"]


async def test_a_claim_that_is_over_notes_nothing(engine, world):
    await world.add("alice", URL)
    await world.tell("alice")
    (old,) = await world.spool.claim(
        1, until=world.clock() + timedelta(seconds=1), besides=(), doubtful=9
    )
    (delivery,) = await world.spool.due(old, 9)
    world.pass_time(seconds=2)
    (new,) = await world.spool.claim(
        1, until=world.clock() + timedelta(seconds=9), besides=(), doubtful=9
    )
    await world.spool.abandon(old, delivery, "forgotten")
    await world.spool.release(old)
    assert await world.spool.claim(1, until=world.clock(), besides=(), doubtful=9) == ()
    assert [each.state for each in await world.spool.due(new, 9)] == [DeliveryState.QUEUED]


async def test_beyond_a_number_the_oldest_are_given_up(world, monkeypatch):
    monkeypatch.setattr(webhook_spool, "WAITING_MAX", 5)
    monkeypatch.setattr(webhook_spool, "BATCH", 2)
    endpoint = await world.add("alice", URL)
    ids = []
    for _ in range(8):
        ids += await world.tell("alice")
        world.pass_time(seconds=1)
    counts = []
    while count := await world.spool.tidy():
        counts.append(count)
    assert counts == [2, 1]
    states = {each.event_id: each.failure for each, _ in await world.deliveries(endpoint)}
    assert [name for name in ids if states[name] == "too_many"] == ids[:3]


async def test_each_test_is_a_delivery_of_its_own(world):
    endpoint = await world.add("alice", URL)
    sent = [(await world.endpoints.test("alice", endpoint.id)).id for _ in range(TESTS_MAX)]
    assert len(set(sent)) == TESTS_MAX
    # Its owner is no tool to hit others with: the newest is found again.
    assert (await world.endpoints.test("alice", endpoint.id)).id in sent
    assert len(await world.deliveries(endpoint)) == TESTS_MAX
    # An operator's comes all the same.
    order = Order("operator", "a test")
    tests = [await world.endpoints.test("alice", endpoint.id, order) for _ in range(2)]
    by_operator = [each.id for each in tests]
    assert len({*sent, *by_operator}) == TESTS_MAX + 2
    world.pass_time(seconds=60)
    assert (await world.endpoints.test("alice", endpoint.id)).id not in {*sent, *by_operator}
    assert await world.endpoints.test("bob", endpoint.id) == "not_found"


async def test_endpoints_that_a_stranger_set_are_disabled(engine, world):
    old, moved = await world.add("alice", URL), await world.add("alice", URL)
    world.pass_time(hours=1)
    begin = world.clock()
    new = await world.add("alice", URL)
    theirs = await world.add("bob", URL)
    await world.endpoints.change("alice", None, moved.id, EndpointForm("https://evil.example/"))
    async with engine.begin() as connection:
        named = await take_webhooks_back(change_of(connection, "alice", begin), begin)
    # Never by the whole address, which may have a password in it.
    assert set(named) == {"webhooks"}
    assert sorted(named["webhooks"]) == ["evil.example", "hooks.example.com"]
    found = {each.id: each.disabled_why for each in await world.endpoints.of_account("alice")}
    assert found == {old.id: "", moved.id: "taken_back", new.id: "taken_back"}
    assert (await world.endpoints.find("bob", theirs.id)).disabled_at is None


def test_no_secret_is_exported():
    exported = {
        name
        for kind in WEBHOOK_KINDS
        if kind.is_exported
        for each in kind.sql
        for name in each.exported
    }
    assert not exported & {"seed", "old_seed"}
    assert {"url", "type", "status"} <= exported


async def test_a_database_without_listeners_is_not_written_to(engine, monkeypatch):
    spool = SqlWebhookSpool(engine)

    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(webhook_spool, "writing", refuse)
    await spool.queue(QueuedEvent("alice", "evt_1", "call.cut_off", datetime.now(UTC)))
    assert await spool.claim(9, until=datetime.now(UTC), besides=(), doubtful=9) == ()


async def test_what_comes_with_a_credit_is_queued_in_its_transaction_and_once(engine, world):
    endpoint = await world.add("alice", URL)
    ledger = SqlLedgerStore(engine, on_news=tell_of_credit)
    data = {"account_id": "alice", "payment_id": "p1", "reference": "payment:p1"}
    news = BookedEvent("payment.received", data)
    for _ in range(2):
        await ledger.add_credit("alice", 5_000_000, reference="payment:p1", kind="grant", news=news)
    with pytest.raises(ValueError, match="too long"):
        await ledger.add_credit(
            "alice",
            5,
            reference="payment:p2",
            kind="grant",
            news=BookedEvent("payment.received", {**data, "reference": "x" * 17_000}),
        )
    # The credit of what cannot be told is not there either: it is one transaction.
    assert await ledger.balance("alice") == 5_000_000
    # And whoever notifies of it afterwards tells nothing new.
    queue = WebhookQueue(world.spool)
    queue.notify("payment.received", data)
    assert await queue.leave(5)
    ((delivery, _),) = await world.deliveries(endpoint)
    assert (delivery.type, delivery.data) == ("payment.received", data)
