"""One gateway process, whole: it serves, keeps its lease, and leaves nothing open."""

import asyncio

import aiohttp
import pytest

from billing.clock import utc_now
from billing.errors import RateDeckError
from billing.stores.redis_client import connect, disconnect
from gateway.errors import SettingsError
from gateway.http.bearer import key_hash, new_api_key
from gateway.roles.journal import open_journal
from gateway.roles.serve import Gateway
from gateway.roles.stopping import Stops
from gateway.scopes import Scope
from gateway.settings_variables import from_mapping
from gateway.stores.leases import RedisNodeLeases


async def test_a_node_serves_keeps_its_lease_and_gives_it_back(environ):
    node = Gateway(from_mapping(environ), environ)
    await node.start()
    leases = RedisNodeLeases(node.stores.redis)
    try:
        assert await leases.alive() == {"n1"}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{node.port}") as session:
            assert await readiness(session, {}) == (
                200,
                {"status": "ok", "details": "unauthorized"},
            )
            code, state = await readiness(session, await new_operator(node))
            assert (code, state["status"]) == (200, "ok")
            assert state["outbox"] == state["database"] == "ok"
            # Payments are set up, so their webhook is served, and believes nobody.
            async with session.post("/stripe/webhook", data=b"{}") as reply:
                assert reply.status == 403
    finally:
        await node.stop()
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not names & {"metering", "events", "lease", "sweep for lost calls"}
    again = Gateway(from_mapping(environ), environ)
    await again.start()
    await again.stop()


async def new_operator(node):
    """Return the headers of a request with a key of scope admin."""
    key = new_api_key()
    await node.stores.accounts.create_account("operators", "USD")
    await node.stores.accounts.add_api_key("operators", key_hash(key), "x", scopes={Scope.ADMIN})
    return {"authorization": f"Bearer {key}"}


async def readiness(session, headers):
    async with session.get("/readyz?verbose", headers=headers) as reply:
        return reply.status, await reply.json()


async def test_details_of_the_readiness_are_for_operators_and_from_their_networks(environ):
    environ["CALLER_ADMIN_NETWORKS"] = "10.0.0.0/8"
    node = Gateway(from_mapping(environ), environ)
    await node.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{node.port}") as session:
            said = await readiness(session, await new_operator(node))
            assert said == (200, {"status": "ok", "details": "network_refused"})
            said = await readiness(session, {"authorization": "Bearer ck_nobodys"})
            assert said == (200, {"status": "ok", "details": "unauthorized"})
    finally:
        await node.stop()


@pytest.mark.parametrize(
    ("origin", "said"),
    [("https://calls.example.com", "max-age=31536000"), ("http://127.0.0.1:8000", None)],
)
async def test_browsers_are_told_to_come_by_tls_where_the_origin_is_https(environ, origin, said):
    node = Gateway(from_mapping({**environ, "CALLER_PUBLIC_ORIGIN": origin}), environ)
    await node.start()
    try:
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{node.port}") as session,
            session.get("/readyz") as reply,
        ):
            assert reply.headers.get("Strict-Transport-Security") == said
    finally:
        await node.stop()


async def test_a_node_whose_stores_are_elsewhere_makes_the_folder_of_its_own_files(
    environ, tmp_path
):
    """It is where erased accounts are written down, the first perhaps after months."""
    folder = tmp_path / "var" / "caller"
    environ["CALLER_DATABASE_URL"] = f"sqlite:///{tmp_path}/book.db"
    environ["CALLER_DATA_DIR"] = str(folder)
    node = Gateway(from_mapping(environ), environ)
    await node.start()
    try:
        assert folder.stat().st_mode & 0o777 == 0o700
        await open_journal(node.settings, node.stores).note("ada", utc_now())
    finally:
        await node.stop()
    assert (folder / "erased.log").read_text().endswith(" ada\n")
    folder.rename(tmp_path / "away")
    folder.write_text("")
    with pytest.raises(SettingsError, match=f"CALLER_DATA_DIR: {folder} cannot be used"):
        await Gateway(from_mapping(environ), environ).start()


@pytest.mark.thorough
async def test_a_node_id_that_is_served_is_refused_and_its_calls_are_left_alone(environ):
    node, twin = (Gateway(from_mapping(environ), environ) for _ in range(2))
    await node.start()
    try:
        with pytest.raises(SettingsError, match="another process serves as node n1"):
            await twin.start()
        assert await RedisNodeLeases(node.stores.redis).alive() == {"n1"}
    finally:
        await node.stop()


@pytest.mark.thorough
async def test_a_node_that_was_killed_takes_over_what_it_left(environ, valkey_url):
    redis = connect(valkey_url)
    await RedisNodeLeases(redis, instance="killed").renew("n1")
    node = Gateway(from_mapping(environ), environ)
    await node.start()
    assert "killed" not in await RedisNodeLeases(redis).instances()
    await node.stop()
    await disconnect(redis)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"CALLER_CALLER_ID": ""}, SettingsError),
        ({"CALLER_RATE_DECK": "{folder}/deck.csv"}, RateDeckError),
    ],
)
async def test_a_node_that_cannot_start_says_why_and_leaves_nothing(
    environ, tmp_path, change, error
):
    (tmp_path / "deck.csv").write_text("no deck\n")
    environ |= {name: value.format(folder=tmp_path) for name, value in change.items()}
    before = asyncio.all_tasks()
    with pytest.raises(error):
        await Gateway(from_mapping(environ), environ).start()
    assert asyncio.all_tasks() == before


@pytest.mark.thorough
async def test_a_node_whose_drainer_cannot_start_listens_no_more(environ, monkeypatch):
    node = Gateway(from_mapping(environ), environ)

    async def fail():
        raise OSError("no process can be started")

    monkeypatch.setattr(node._drainer, "start", fail)
    before = asyncio.all_tasks()
    with pytest.raises(OSError, match="no process"):
        await node.start()
    assert asyncio.all_tasks() == before
    with pytest.raises(OSError, match=r"."):
        await asyncio.open_connection("127.0.0.1", node.port)
    again = Gateway(from_mapping(environ), environ)
    await again.start()
    await again.stop()


@pytest.mark.thorough
async def test_a_node_stops_its_sockets_first_and_its_stores_last(environ, monkeypatch):
    order = []
    add = Stops.add

    def noting(self, name, stop):
        async def noted():
            order.append(name)
            return await stop()

        add(self, name, noted)

    monkeypatch.setattr(Stops, "add", noting)
    node = Gateway(from_mapping(environ), environ)
    await node.start()
    await node.stop()
    assert order == [
        "media sockets",
        "server",
        "watching",
        "metering",
        "periodic work",
        "ticker",
        "UDP port",
        "figures of calls",
        "what is said of live calls",
        "the carrier's news for other nodes",
        "questions of other processes",
        "lease",
        "counts of refused visitors",
        "counts of refused calls",
        "password hasher",
        "automatic top-ups",
        "payment service",
        "events",
        "ending of lost carrier calls",
        "drainer",
        "mails",
        "stores",
        "traces",
        "carrier",
    ]
