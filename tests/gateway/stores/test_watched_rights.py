"""Rights that are taken from our user while nodes run are noticed, logged once, and asked for."""

import pytest
from structlog.testing import capture_logs

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreRightError
from gateway.stores import watched_rights as store_rights
from gateway.stores.watched_rights import RETRY_S, StoreRights


@pytest.fixture
async def rights(own_valkey):
    client = connect(own_valkey.url)
    yield StoreRights(client)
    await disconnect(client)


async def test_what_was_looked_at_lately_is_not_asked_again(rights, own_valkey):
    await rights.require()
    own_valkey.command("ACL", "SETUSER", "caller", "-publish")
    await rights.require()
    await rights.look(every_s=0)
    assert rights.lacking == ["+publish"]
    with pytest.raises(StoreRightError, match=r"add \+publish to its line"):
        await rights.require()


async def test_what_hosted_servers_give_nobody_is_not_asked_for(rights, own_valkey):
    own_valkey.command("ACL", "SETUSER", "caller", "-bgrewriteaof", "-config|get")
    await rights.require()
    assert rights.lacking == []


async def test_it_is_logged_when_something_goes_and_when_all_is_back(
    rights, own_valkey, monkeypatch
):
    monkeypatch.setattr(store_rights, "EVERY_S", 0)
    with capture_logs() as logs:
        await rights.watch(0)
        own_valkey.command("ACL", "SETUSER", "caller", "-publish", "-xadd")
        for _ in range(3):
            await rights.watch(0)
        own_valkey.command("ACL", "SETUSER", "caller", "+publish", "+xadd")
        for _ in range(3):
            await rights.watch(0)
    assert [(each["event"], each.get("rights")) for each in logs] == [
        ("rights missing at the credit store", "+publish +xadd"),
        ("rights at the credit store complete", None),
    ]


async def test_where_nodes_are_silent_it_is_looked_at_before_the_store_is_said_to_be_away(
    rights, own_valkey, monkeypatch
):
    now_s = [1_000.0]
    monkeypatch.setattr("gateway.stores.watched_rights.time.monotonic", lambda: now_s[0])
    await rights.watch(0.0)
    own_valkey.command("ACL", "SETUSER", "caller", "resetchannels")
    now_s[0] += RETRY_S
    await rights.watch(1.0)
    assert rights.lacking == []
    await rights.watch(RETRY_S)
    assert rights.lacking == ["&caller/watch/*"]
