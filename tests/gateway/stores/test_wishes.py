"""What was wished for by which key, in Valkey."""

from gateway.stores.wishes import KEPT_S, RedisWishes
from tests.billing.conftest import client

__all__ = ["client"]


async def test_what_is_kept_first_stays_for_a_day(client, operator):
    wishes = RedisWishes(client, secret="s")
    assert await wishes.find("alice\0/v1/buttons\0k") is None
    await wishes.keep("alice\0/v1/buttons\0k", b"first")
    await wishes.keep("alice\0/v1/buttons\0k", b"second")
    assert await wishes.find("alice\0/v1/buttons\0k") == b"first"
    (name,) = await operator.keys("caller:wish:*")
    assert 0 < await operator.ttl(name) <= KEPT_S
    assert b"alice" not in name


async def test_nodes_with_another_secret_find_nothing(client):
    await RedisWishes(client, secret="s").keep("wish", b"first")
    assert await RedisWishes(client, secret="other").find("wish") is None
