"""What a node says of itself, and does when another process asks it to."""

import asyncio
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.fleet.messages import (
    CallsReply,
    CarrierNews,
    Done,
    FindCalls,
    LogLevel,
    NotStartedAgain,
    Restart,
    Restarting,
    SetLogLevel,
)
from gateway.fleet.roster import Roster
from gateway.heartbeat.ticker import Ticker
from gateway.roles import periodic_tasks
from gateway.roles.fleet import Fleet, compose_fleet, new_log_level, of_node, of_process
from gateway.settings_variables import from_mapping
from gateway.stores.node_facts import RedisNodeDirectory
from tests.gateway.cli.test_fleet_commands import PlayedCalls, live, nobody
from tests.gateway.fleet.mailboxes import MemoryDirectory, facts_of
from tests.gateway.logs.levels import kept_levels


class Load:
    """`ports.NodeLoad`."""

    is_draining = False

    def __len__(self):
        return 3


@pytest.fixture(autouse=True)
def _levels_are_put_back():
    with kept_levels():
        yield


async def test_no_call_is_called_one_of_a_restart_while_nodes_have_yet_to_speak():
    directory = MemoryDirectory()
    roster = Roster(directory, facts_of().origin, None, lambda nodes: nodes[0])
    fleet = Fleet(roster, None, None)
    await roster.look()
    assert (fleet.choose_node(), fleet.has_node) == (None, False)
    directory.is_away = True
    with pytest.raises(StoreUnavailableError):
        await roster.look()
    directory.is_away = False
    await roster.look()
    assert not fleet.has_node
    with pytest.raises(StoreUnavailableError, match="no node has spoken"):
        fleet.choose_node()
    await directory.write(facts_of("n1", is_draining=True))
    await roster.look()
    assert (fleet.choose_node(), fleet.has_node) == (None, False)
    await directory.write(facts_of("n1"))
    await roster.look()
    assert (fleet.choose_node(), fleet.has_node) == ("n1", True)


async def test_each_process_names_the_nodes_that_have_another_secret(valkey_url):
    redis = connect(valkey_url)
    directory, told = RedisNodeDirectory(redis), {}
    try:
        for node, secret in {"n1": "a" * 32, "n2": "b" * 32, "web": "a" * 32}.items():
            given = {"CALLER_NODE": node, "CALLER_FLEET_SECRET": secret}
            settings, stores = from_mapping(given), SimpleNamespace(redis=redis, gate=None)
            member = SimpleNamespace(instance=f"process of {node}")
            facts = of_node(settings, member, Load(), Ticker(lambda: 0), new_log_level(settings))
            own = None if node == "web" else facts
            takes = {"takes": lambda _node: True}
            told[node] = compose_fleet(settings, stores, member, facts=own, **takes)
            if own is not None:
                await directory.write(own())
        for node, others in {"n1": "n2", "n2": "n1", "web": "n2"}.items():
            (task,) = periodic_tasks.of_fleet(told[node])
            with capture_logs() as logs:
                await task._work()
                await task._work()
            assert [(line["event"], line["nodes"]) for line in logs] == [
                ("nodes have different secrets", others)
            ]
            assert ("a" * 32 in str(logs), "b" * 32 in str(logs)) == (False, False)
    finally:
        await disconnect(redis)


async def test_a_node_logs_what_it_is_told_to_and_says_so():
    settings = from_mapping({"CALLER_LOG_LEVEL": "warning", "CALLER_NODE": "n1"})
    logged, heard = new_log_level(settings), []
    membership = SimpleNamespace(instance="i1")
    facts = of_node(settings, membership, Load(), Ticker(lambda: 0), logged)
    answer = of_process(PlayedCalls(live("c1")), nobody, logged, heard.append)
    assert (facts().log_level, facts().log_level_until) == ("warning", None)
    question = SetLogLevel(level=LogLevel.DEBUG, minutes=15)
    # Every question may be asked twice.
    assert [await answer(question) for _ in range(2)] == [Done(), Done()]
    told = facts()
    assert told.log_level == "debug"
    assert told.log_level_until is not None
    assert told.log_level_until.endswith("Z")
    assert await answer(SetLogLevel(level=LogLevel.SETTING, minutes=15)) == Done()
    assert (facts().log_level, facts().log_level_until) == ("warning", None)
    found = await answer(FindCalls(call_id="c1"))
    assert isinstance(found, CallsReply)
    assert len(found.calls) == 1
    news = CarrierNews(call_id="c1", carrier_call_id="CA1", is_running=True)
    assert (await answer(news), heard) == (Done(), [news])
    # A process that is started again begins with its setting.
    assert new_log_level(settings).level == "warning"
    assert len(asyncio.all_tasks()) == 1


async def test_a_node_restarts_only_where_somebody_starts_it_again():
    logged = new_log_level(from_mapping({}))
    held = (PlayedCalls(), nobody, logged, lambda _news: None)
    assert await of_process(*held)(Restart()) == NotStartedAgain()
    told = Restarting(calls_s=30)
    assert await of_process(*held, lambda: told)(Restart()) == told
