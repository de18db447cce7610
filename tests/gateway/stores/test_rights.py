"""What the gateway's user may do on Valkey, and how it is found out what that user may not."""

from pathlib import Path

import pytest

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreRightError, StoreUnavailableError
from gateway.stores import rights
from gateway.watching.alarm_store import RedisAlarms
from gateway.watching.watch_channel import RedisWatchChannel
from tests.money.topologies import Cluster
from tests.valkey import free_port, shipped_user

ALL = [*rights.COMMANDS, *(f"&{each}" for each in rights.CHANNELS)]


@pytest.fixture
async def client(own_valkey):
    client = connect(own_valkey.url)
    yield client
    await disconnect(client)


def test_the_script_gives_exactly_these_rights():
    words = shipped_user().split()
    keys, channels = (f"~{each}" for each in rights.KEYS), (f"&{each}" for each in rights.CHANNELS)
    _user, _name, _on, _password, first, *given = words
    assert first == "resetchannels"
    assert sorted(given) == sorted([*keys, *channels, "-@all", *rights.COMMANDS])


def test_the_manual_says_the_same():
    manual = (
        Path("docs/operations.md").read_text().partition("```text acl\n")[2].partition("```")[0]
    )
    assert sorted(manual.split()) == sorted(shipped_user().split()[5:])


async def test_whoever_has_them_all_lacks_none_and_nothing_is_done(client, own_valkey):
    changes = own_valkey.command("INFO", "persistence").split(b"rdb_changes_since_last_save:")[1]
    for _ in range(3):
        assert await rights.missing(client) == []
    await rights.require(client)
    assert own_valkey.command("DBSIZE") == b":0\r\n"
    after = own_valkey.command("INFO", "persistence")
    assert after.split(b"rdb_changes_since_last_save:")[1].split()[0] == changes.split()[0]
    assert b"aof_rewrite_in_progress:0" in after
    assert own_valkey.command("PUBSUB", "CHANNELS") == b"*0\r\n"
    # The connection serves as before.
    assert await client.get("caller:right") is None


@pytest.mark.parametrize("right", sorted(ALL))
async def test_each_that_is_missing_is_named_and_given_back(right, client, own_valkey):
    taken = ["resetchannels"] if right.startswith("&") else [right.replace("+", "-", 1)]
    assert own_valkey.command("ACL", "SETUSER", "caller", *taken) == b"+OK\r\n"
    assert await rights.missing(client) == [right]
    if right in rights.WATCHING | rights.SPARED:
        await rights.require(client)
    else:
        with pytest.raises(StoreRightError) as caught:
            await rights.require(client)
        assert caught.value.rules == (right,)
        assert f"add {right} to" in str(caught.value)
    # What is written is what the sentence says.
    assert own_valkey.command("ACL", "SETUSER", "caller", right) == b"+OK\r\n"
    assert await rights.missing(client) == []


@pytest.mark.parametrize("pattern", rights.KEYS)
async def test_keys_that_may_not_be_used_are_named(pattern, client, own_valkey):
    kept = [f"~{each}" for each in rights.KEYS if each != pattern]
    own_valkey.command("ACL", "SETUSER", "caller", "resetkeys", *kept)
    assert await rights.missing(client) == [f"~{pattern}"]


async def test_the_users_whom_the_script_made_before_lack_the_channel(client, own_valkey):
    before = "~* resetchannels +@all -@admin -@dangerous +info +config|get"
    own_valkey.command("ACL", "SETUSER", "caller", "-@all", "resetkeys", *before.split())
    assert await rights.missing(client) == ["&caller/watch/*", "+bgrewriteaof"]
    await rights.require(client)


async def test_a_user_who_may_do_nothing_lacks_what_makes_it_harmless_to_try(client, own_valkey):
    own_valkey.command("ACL", "SETUSER", "caller", "-@all", "+set")
    assert await rights.missing(client) == ["+multi"]
    own_valkey.command("ACL", "SETUSER", "caller", "+multi")
    assert await rights.missing(client) == ["+exec"]
    own_valkey.command("ACL", "SETUSER", "caller", "+exec")
    lacking = set(await rights.missing(client))
    assert lacking == rights.COMMANDS - {"+multi", "+exec", "+set"}
    assert own_valkey.command("DBSIZE") == b":0\r\n"


@pytest.mark.thorough
async def test_every_master_of_a_cluster_is_asked():
    cluster = Cluster(3)
    client = connect(cluster.url)
    try:
        assert await rights.missing(client) == []
        for server, taken in zip(cluster.servers, ("-hget", "-publish", "-hget"), strict=True):
            server.command("ACL", "SETUSER", "caller", taken)
        assert await rights.missing(client) == ["+hget", "+publish"]
        # Nobody is kept waiting for a connection.
        cluster.servers[0].command("ACL", "SETUSER", "caller", "+hget")
        for _ in range(40):
            await rights.missing(client)
    finally:
        await disconnect(client)
        cluster.close()


async def test_a_server_that_is_away_is_an_outage_and_lacks_no_right():
    client = connect(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(StoreUnavailableError) as caught:
        await rights.missing(client)
    assert not isinstance(caught.value, StoreRightError)
    await disconnect(client)


async def test_whoever_is_refused_later_is_told_what_for(client, own_valkey):
    channel = RedisWatchChannel(client)
    own_valkey.command("ACL", "SETUSER", "caller", "resetchannels", "-set")
    with pytest.raises(StoreRightError, match=r"passed on: .* lacks channels there; `c"):
        await channel.publish(b"x")
    with pytest.raises(StoreRightError, match=r"lacks channels"):
        async with channel.listen():
            pytest.fail("nobody may listen")
    with pytest.raises(StoreRightError, match=r"lacks \+set there") as caught:
        await RedisAlarms(client, "one").write([])
    assert caught.value.rules == ("+set",)
    with pytest.raises(StoreRightError, match=r"lacks \+set there"):
        await RedisAlarms(client, "one").hold()


async def test_the_default_user_of_a_hosted_server_is_not_replaced_for_what_it_gives_nobody(
    own_valkey,
):
    client = connect(own_valkey.operator_url)
    try:
        own_valkey.command("ACL", "SETUSER", "default", "-bgrewriteaof")
        lacking = await rights.missing(client)
        assert "add +bgrewriteaof to its line" in rights.what_to_write(client, lacking)
        own_valkey.command("ACL", "SETUSER", "default", "-set")
        lacking = await rights.missing(client)
        assert rights.what_to_write(client, lacking).startswith("CALLER_REDIS_URL names no user")
    finally:
        await disconnect(client)
