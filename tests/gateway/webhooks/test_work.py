"""The worker sends what the books tell, to where accounts and the operator say."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from standardwebhooks.webhooks import Webhook

from billing.stores import tables
from billing.stores.sql import SqlLedgerStore
from gateway.calls.call_view import CallView
from gateway.errors import SettingsError
from gateway.settings_variables import from_mapping
from gateway.stores.secret_keys import secret_keys
from gateway.webhooks.signature import SecretMaker, secret_text
from gateway.webhooks.spool import open_spool, queue_ended_calls
from gateway.webhooks.work import Locator, WebhookWork
from tests.billing.outbox_entries import closed, opened
from tests.gateway.webhooks.world import HOST, receiving, services_of, world

__all__ = ["world"]

SECRET = "whsec_" + "a" * 32
KEY = "k" * 32


def read(tmp_path, **given):
    names = {f"CALLER_{name}": value for name, value in given.items()}
    return from_mapping({"CALLER_DATA_DIR": str(tmp_path), **names})


def secrets_of(settings):
    return SecretMaker(secret_keys(settings))


@contextlib.asynccontextmanager
async def working(world, settings, monkeypatch):
    """Run the worker's duty, which looks often."""
    monkeypatch.setattr("gateway.webhooks.sender.INTERVAL_S", 0.05)
    duty = WebhookWork(services_of(settings, world.engine))
    duty.start()
    yield duty
    await duty.stop()


async def arrived(receiver, count):
    async with asyncio.timeout(30):
        while len(receiver.taken) < count:
            receiver.arrived.clear()
            await receiver.arrived.wait()


async def test_an_ended_call_is_told_as_the_api_shows_it(world, tmp_path, monkeypatch):
    async with receiving() as receiver:
        settings = read(tmp_path, WEBHOOK_PRIVATE_HOSTS=HOST, SECOND_FACTOR_KEYS=KEY)
        world.maker = SecretMaker([KEY])
        endpoint = await world.add("alice", receiver.url)
        ledger = SqlLedgerStore(world.engine, on_ended=queue_ended_calls)
        await ledger.apply_outbox(0, [opened("c1", 100), closed("c1", 50)])
        async with working(world, settings, monkeypatch):
            await arrived(receiver, 1)
    event = world.verify(endpoint, receiver.taken[0])
    assert event["type"] == "call.ended"
    assert event["data"].keys() == set(CallView.__struct_fields__)
    assert (event["data"]["id"], event["data"]["state"]) == ("c1", "ended")
    assert event["data"]["destination"] == "+15005551000"


async def test_a_call_that_is_forgotten_is_told_to_nobody(world, tmp_path, monkeypatch):
    async with receiving() as receiver:
        settings = read(tmp_path, WEBHOOK_PRIVATE_HOSTS=HOST, SECOND_FACTOR_KEYS=KEY)
        endpoint = await world.add("alice", receiver.url)
        ledger = SqlLedgerStore(world.engine, on_ended=queue_ended_calls)
        await ledger.apply_outbox(0, [opened("c1", 100), closed("c1", 50)])
        async with world.engine.begin() as connection:
            await connection.execute(sa.update(tables.calls).values(forgotten_at=world.clock()))
        async with working(world, settings, monkeypatch), asyncio.timeout(30):
            while (found := await world.deliveries(endpoint))[0][0].state == "queued":
                await asyncio.sleep(0.05)
    assert (found[0][0].failure, receiver.taken) == ("forgotten", [])


async def test_the_operators_endpoint_is_sent_to_wherever_it_is(world, tmp_path, monkeypatch):
    async with receiving() as receiver:
        settings = read(tmp_path, EVENTS_URL=receiver.url, EVENTS_SECRET=SECRET)
        async with working(world, settings, monkeypatch):
            # As any process of the same settings queues it.
            spool = open_spool(settings, world.engine)
            world.spool = spool
            await world.tell("alice")
            await arrived(receiver, 1)
    headers, body = receiver.taken[0]
    assert Webhook(SECRET).verify(body, headers)["data"]["account_id"] == "alice"
    # Without the setting it is gone.
    async with working(world, read(tmp_path), monkeypatch), asyncio.timeout(30):
        while await world.endpoints.find(None, "operator"):
            await asyncio.sleep(0.05)


async def test_secrets_outlive_a_restart_and_a_key_that_is_replaced(tmp_path):
    old = secrets_of(read(tmp_path))
    seed = old.seed("wh_1")
    assert secrets_of(read(tmp_path)).secret("wh_1", seed) == old.secret("wh_1", seed)
    one = secrets_of(read(tmp_path, SECOND_FACTOR_KEYS=KEY))
    two = secrets_of(read(tmp_path, SECOND_FACTOR_KEYS="l" * 32 + "," + KEY))
    seed = one.seed("wh_1")
    assert secret_text(two.secret("wh_1", seed)) == secret_text(one.secret("wh_1", seed))
    shared = {"DATABASE_URL": "postgresql://u:p@h/d"}
    assert not secrets_of(read(tmp_path, **shared)).can_make


def test_a_secret_that_is_none_is_refused_at_the_start(tmp_path):
    settings = read(tmp_path, EVENTS_URL="https://h.example/", EVENTS_SECRET="whsec_" + "a" * 33)
    with pytest.raises(SettingsError, match="CALLER_EVENTS_SECRET"):
        Locator(settings, SecretMaker(()))


def test_an_operators_endpoint_of_other_settings_is_not_guessed(tmp_path):
    endpoint = SimpleNamespace(id="operator")
    with pytest.raises(LookupError):
        Locator(read(tmp_path), SecretMaker(())).locate(endpoint)
