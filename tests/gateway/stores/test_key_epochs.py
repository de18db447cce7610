"""The epoch of keys, on a real server: shared by all, ended by anybody, never one of before."""

import asyncio

import pytest

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.stores import key_epochs
from gateway.stores.key_epochs import RedisKeyEpochs


@pytest.fixture
async def clients(valkey_url):
    clients = [connect(valkey_url) for _ in range(2)]
    yield clients
    for client in clients:
        await disconnect(client)


@pytest.fixture
async def own(own_valkey):
    client = connect(own_valkey.url)
    yield RedisKeyEpochs(client)
    await disconnect(client)


async def test_an_epoch_is_the_same_for_all_until_anybody_ends_it(clients):
    one, other = (RedisKeyEpochs(client) for client in clients)
    first = {await one.current(), await other.current(), await one.current()}
    await other.invalidate()
    second = {await one.current(), await other.current()}
    await one.invalidate()
    await one.invalidate()
    third = {await other.current()}
    assert [len(epochs) for epochs in (first, second, third)] == [1, 1, 1]
    assert len(first | second | third) == 3
    assert "" not in first


async def test_those_who_come_first_at_once_agree(clients):
    readers = [RedisKeyEpochs(client) for client in clients] * 20
    assert len(set(await asyncio.gather(*(reader.current() for reader in readers)))) == 1


async def test_a_server_that_lost_its_data_is_in_another_epoch(clients, operator):
    epochs = RedisKeyEpochs(clients[0])
    before = await epochs.current()
    await operator.flushall()
    assert await epochs.current() != before


async def test_an_epoch_can_be_ended_without_memory(own, own_valkey):
    await own.current()
    assert own_valkey.command("CONFIG", "SET", "maxmemory", "1") == b"+OK\r\n"
    await own.invalidate()
    with pytest.raises(StoreUnavailableError):
        await own.current()
    assert own_valkey.command("CONFIG", "SET", "maxmemory", "0") == b"+OK\r\n"
    assert await own.current()


async def test_a_server_that_does_not_answer_is_not_waited_for(own, own_valkey, monkeypatch):
    monkeypatch.setattr(key_epochs, "_TIMEOUT_S", 0.05)
    own_valkey.pause()
    for operation in (own.current, own.invalidate):
        with pytest.raises(StoreUnavailableError):
            await operation()
    own_valkey.resume()
    own_valkey.kill()
    for operation in (own.current, own.invalidate):
        with pytest.raises(StoreUnavailableError):
            await operation()
