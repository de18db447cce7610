"""`caller nodes` and `caller calls`, of nodes that are played here and stores that are real."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from billing.cdr import CallOpened
from billing.ports import Opening
from billing.rating import Rate
from billing.stores.redis import RedisSpendGate
from billing.stores.redis_client import connect, disconnect
from billing.stores.sql import SqlLedgerStore
from database.engine import create_engine
from database.errors import StoreUnavailableError
from gateway.calls import answers
from gateway.carriers import known
from gateway.cause import Cause
from gateway.cli import app as app_module
from gateway.cli import calls, nodes
from gateway.errors import EXIT_FINDINGS, EXIT_SETTINGS, EXIT_UNAVAILABLE
from gateway.fleet.exchange import Exchange
from gateway.fleet.messages import (
    Done,
    Failed,
    NotStartedAgain,
    Restart,
    Restarting,
    SetLogLevel,
    Stopping,
)
from gateway.fleet.shared_secret import proof_of
from gateway.operators import NODES
from gateway.ports import LiveCall
from gateway.roles import storage
from gateway.roles.release import release
from gateway.settings_variables import from_mapping
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.mailboxes import RedisMailboxes
from gateway.stores.node_facts import RedisNodeDirectory
from tests.billing.conftest import fill
from tests.calls.loopback.carrier import CARRIER as LOOPBACK
from tests.gateway.fleet.mailboxes import facts_of
from tests.gateway.watching.test_report_store import refused_call

BEGUN = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def live(call_id, account_id="ada", *, node="n1", **values):
    opened = CallOpened(
        call_id=call_id,
        account_id=account_id,
        node=node,
        destination="+442079460018",
        country="GB",
        codec="pcmu",
        origin="",
        currency="USD",
        rate=Rate(per_minute_micros=60).to_json(),
        created_at=BEGUN,
    )
    usual = {
        "answered_at": BEGUN,
        "ended_at": None,
        "seconds": 7,
        "cost_micros": 70_000,
        "unused_micros": 0,
        "carrier_call_id": "CA1",
        "cause": None,
        "ended_by": "gateway",
    }
    return LiveCall(opened=opened, **usual | values)


class PlayedCalls:
    """`answers.HeldCalls`."""

    def __init__(self, *held):
        self.held = {call.opened.call_id: call for call in held}
        self.ended = []
        self.takes = True
        self.is_stopping = False

    async def of_account(self, account_id, since):
        assert since is None
        return [c for c in self.held.values() if account_id in {None, c.opened.account_id}]

    async def show(self, account_id, call_id):
        return self.held.get(call_id)

    async def end(self, account_id, call_id):
        if call_id in self.held:
            self.ended.append((account_id, call_id))
        return self.held.get(call_id)

    def take_calls(self, takes):
        self.takes = takes and not self.is_stopping
        return self.takes is takes


async def nobody(_account_id):
    raise AssertionError


class House:
    """Nodes in this process, and the command beside them in a thread."""

    def __init__(self, tmp_path, url):
        self.environ = {"CALLER_DATA_DIR": str(tmp_path), "CALLER_REDIS_URL": url}
        self.redis = connect(url)
        self.exchanges = []
        self.levels = []
        self.on_restart = None
        """Answers a node that is told to restart."""

    async def add(self, node, held, *, answers_questions=True, **facts):
        async def answer(question):
            if isinstance(question, SetLogLevel):
                self.levels.append((node, question.level.value, question.minutes))
                return Done()
            if isinstance(question, Restart):
                return await self.on_restart(node)
            return await answers.answer(held, nobody, question)

        own = facts_of(node, calls=len(held.held), **facts)
        await RedisNodeDirectory(self.redis).write(own)
        member = Exchange(RedisMailboxes(self.redis), own.process, answer)
        if answers_questions:
            member.start()
        self.exchanges.append(member)

    async def run(self, *arguments):
        def invoke():
            return CliRunner().invoke(
                app_module.app, arguments, obj=self.environ, terminal_width=200
            )

        done = await asyncio.to_thread(invoke)
        assert "Traceback" not in done.output
        return done.exit_code, done.output

    async def close(self):
        for member in self.exchanges:
            await member.stop()
        await disconnect(self.redis)


@pytest.fixture
async def house(tmp_path, valkey_url, monkeypatch):
    # Facts lapse after seconds; a busy machine must not let them within a test.
    monkeypatch.setattr("gateway.stores.node_facts.LAPSES_MS", 60_000)
    house = House(tmp_path, valkey_url)
    yield house
    await house.close()


async def test_without_a_node_it_is_said_that_there_is_none(house):
    assert await house.run("nodes", "list") == (0, "No node runs with these stores.\n")
    assert await house.run("nodes", "list", "--json") == (0, "[]\n")
    assert await house.run("calls", "list") == (0, "No call is live.\n")
    code, said = await house.run("calls", "end", "c1", "--reason", "abuse")
    assert (code, "No such call is live." in said) == (EXIT_SETTINGS, True)
    code, said = await house.run("nodes", "drain", "n1")
    assert (code, "No node n1 is running, or it is stuck." in said) == (EXIT_SETTINGS, True)
    assert nodes.app
    assert calls.app


@pytest.mark.parametrize("secret", ["a" * 32, ""])
async def test_a_node_with_another_secret_is_marked_and_it_is_said_what_to_do(house, secret):
    house.environ["CALLER_FLEET_SECRET"] = secret
    mine, other = proof_of("a" * 32), proof_of("b" * 32)
    await house.add("n1", PlayedCalls(), secret_proof=mine)
    await house.add("n2", PlayedCalls(), secret_proof=mine)
    await house.add("old", PlayedCalls())
    code, said = await house.run("nodes", "list")
    assert (code, "*" in said) == (0, False)
    await house.add("n3", PlayedCalls(), secret_proof=other)
    code, said = await house.run("nodes", "list")
    assert code == 0
    assert [name for name in ("n1", "n2", "n3", "old") if f" {name} * " in said] == ["n3"]
    than = "these settings" if secret else "the other nodes"
    words = " ".join(said.split())
    assert f"* n3: another CALLER_FLEET_SECRET than {than}." in words
    assert "restart those that have another" in words


async def test_nodes_are_listed_drained_and_resumed(house):
    held = PlayedCalls(live("c1"))
    await house.add("n1", held)
    await house.add("n2", PlayedCalls(), is_draining=True, lag_ms=12.34)
    code, said = await house.run("nodes", "list")
    assert code == 0
    for row in (["n1", "yes", "1", "100", "0.0"], ["n2", "no", "0", "100", "12.3"]):
        assert any([word for word in row if word not in line] == [] for line in said.splitlines())
    found = json.loads((await house.run("nodes", "list", "--json"))[1])
    assert [each["node"] for each in found] == ["n1", "n2"]
    assert await house.run("nodes", "drain", "n1") == (0, "Node n1 takes no new calls.\n")
    assert held.takes is False
    assert await house.run("nodes", "resume", "n1") == (0, "Node n1 takes new calls.\n")
    assert held.takes is True
    held.is_stopping = True
    code, said = await house.run("nodes", "resume", "n1")
    assert (code, "Node n1 is stopping." in said) == (EXIT_FINDINGS, True)


@pytest.mark.parametrize("is_alone", [False, True])
async def test_a_node_is_restarted_and_its_calls_are_counted_down(house, monkeypatch, is_alone):
    read, looks = RedisNodeDirectory.read, 0

    async def restarted(node):
        assert node == "n1"
        return Restarting(calls_s=45)

    async def look(directory):
        # What is seen at each look: all nodes, then the node as it ends, and as it is back.
        nonlocal looks
        looks += 1
        if looks == 3:
            raise StoreUnavailableError("Valkey did not answer")
        others = [each for each in await read(directory) if each.node != "n1"]
        if looks < 6:
            return [*others, facts_of("n1", calls=(2, 2, 1, 1, 0)[looks - 1])]
        return others if looks < 8 else [*others, facts_of("n1", process="another")]

    monkeypatch.setattr("gateway.cli.nodes.INTERVAL_S", 0.01)
    house.on_restart = restarted
    await house.add("n1", PlayedCalls())
    if not is_alone:
        await house.add("n2", PlayedCalls())
    # It takes calls, but not those of this origin.
    await house.add("n3", PlayedCalls(), origin="https://elsewhere.example.com")
    monkeypatch.setattr(RedisNodeDirectory, "read", look)
    code, said = await house.run("nodes", "restart", "n1")
    lines = [
        "Node n1 takes no new calls; its calls have 45 s to end.",
        *["No other node takes calls: none can be made until it is back."][: int(is_alone)],
        "Node n1: 2 calls left.",
        "Node n1: it cannot be seen while Valkey does not answer.",
        "Node n1: 1 call left.",
        "Node n1: no call left; it is ending.",
        "Node n1: it has ended, and is restarting.",
        "Node n1 was restarted.",
    ]
    assert (code, said.splitlines()) == (0, lines)


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (
            NotStartedAgain(),
            EXIT_SETTINGS,
            (
                "Node n1 is not run by `caller serve --media`: nothing would start it again.",
                "Restart its service instead; that drains its calls as well.",
            ),
        ),
        (
            Stopping(),
            EXIT_FINDINGS,
            ("Node n1 is stopping for good.", "Start its service again once it has ended."),
        ),
        (
            Failed(),
            EXIT_UNAVAILABLE,
            ("Node n1 does not answer.", "Try again: it restarts only once"),
        ),
    ],
)
async def test_a_node_that_does_not_restart_is_said_why(house, reply, code, words):
    async def answer(_node):
        return reply

    house.on_restart = answer
    await house.add("n1", PlayedCalls(), release=release())
    found, said = await house.run("nodes", "restart", "n1")
    assert (found, [word for word in words if word not in said]) == (code, [])
    found, said = await house.run("nodes", "restart", "n9")
    assert (found, "No node n9 is running, or it is stuck." in said) == (EXIT_SETTINGS, True)


async def test_a_node_of_another_release_that_does_not_answer_is_named_with_its_release(house):
    await house.add("n1", PlayedCalls(), release="0.1", answers_questions=False)
    code, said = await house.run("nodes", "restart", "n1")
    assert code == EXIT_UNAVAILABLE
    assert "Node n1 does not answer." in said
    assert "It has release 0.1, which may not know this command: restart its service if" in said


@pytest.mark.parametrize(
    ("has_ended", "words"),
    [
        (False, ("Node n1 has not ended in time.", "kill its process")),
        (True, ("Node n1 has ended, and is not back after 0 s.", "See the log of `caller serve`")),
    ],
)
async def test_a_node_that_does_not_come_back_is_given_up(house, monkeypatch, has_ended, words):
    async def answer(_node):
        if has_ended:
            await house.redis.delete("caller:node:1:n1")
        return Restarting(calls_s=0)

    house.on_restart = answer
    await house.add("n1", PlayedCalls())
    monkeypatch.setattr("gateway.cli.nodes.STOPPING_S", 0.0)
    monkeypatch.setattr("gateway.cli.nodes.BACK_S_MAX", 0.0)
    monkeypatch.setattr("gateway.fleet.following.BACK_S_MAX", 0.0)
    code, said = await house.run("nodes", "restart", "n1")
    assert (code, [word for word in words if word not in said]) == (EXIT_UNAVAILABLE, [])


async def test_a_node_logs_more_for_a_while(house):
    until = "2026-11-29T12:15:00Z"
    await house.add("n1", PlayedCalls(), log_level="debug", log_level_until=until)
    await house.add("n2", PlayedCalls(), log_level="info")
    await house.add("n3", PlayedCalls(), answers_questions=False)
    # The book is made; operators' commands make none.
    assert (await house.run("accounts", "create", "ada"))[0] == 0
    said = (await house.run("nodes", "list"))[1]
    assert all(word in said for word in ("debug", "until", "12:15"))
    why = ("--reason", "calls drop", "--as", "kim")
    told = await house.run("nodes", "log-level", "n2", "debug", *why)
    assert told == (0, "Node n2 logs from debug for 15 minutes.\n")
    assert (await house.run("nodes", "log-level", "n1", "error", "--for", "2h", *why))[0] == 0
    told = await house.run("nodes", "log-level", "n1", "setting", "--for", "1d", *why)
    assert told == (0, "Node n1 logs as it is set.\n")
    levels = [("n2", "debug", 15), ("n1", "error", 120), ("n1", "setting", 1440)]
    assert house.levels == levels
    for arguments in (
        ("n1", "debug"),
        ("n1", "trace", *why),
        ("n9", "debug", *why),
        *(("n1", "debug", "--for", length, *why) for length in ("2d", "0m", "15", "1441m", "-1m")),
    ):
        assert (await house.run("nodes", "log-level", *arguments))[0] == EXIT_SETTINGS, arguments
    assert house.levels == levels
    code, said = await house.run("nodes", "log-level", "n3", "debug", *why)
    assert (code, "Node n3 does not answer." in said) == (EXIT_UNAVAILABLE, True)
    lines = json.loads((await house.run("nodes", "log", "--json"))[1])
    assert [(each["act"], each["operator"], each["reason"]) for each in lines] == [
        ("log_level_set", "kim", reason)
        for reason in (
            "n3: debug for 15 minutes: calls drop",
            "n1: setting: calls drop",
            "n1: error for 120 minutes: calls drop",
            "n2: debug for 15 minutes: calls drop",
        )
    ]
    assert (await house.run("nodes", "log", "--limit", "1"))[1].count("log_level_set") == 1
    of_ada = json.loads((await house.run("accounts", "log", "ada", "--json"))[1])
    assert [each["act"] for each in of_ada] == ["key_made", "account_made"]
    # Nobody's account is taken for it.
    assert (await house.run("accounts", "create", NODES))[0] == EXIT_SETTINGS


async def test_live_calls_of_all_nodes_are_listed(house):
    ringing = live("c3", "bob", answered_at=None, seconds=0, cost_micros=0)
    ending = live("c4", "bob", ended_at=BEGUN, cause=Cause.MANAGER_REQUEST)
    await house.add("n1", PlayedCalls(live("c1"), ringing))
    await house.add("n2", PlayedCalls(ending))
    code, said = await house.run("calls", "list")
    assert code == 0
    for row in (
        ("c1", "ada", "+442079460018", "talking", "7"),
        ("c3", "ringing"),
        ("c4", "ending"),
    ):
        assert any(all(word in line for word in row) for line in said.splitlines()), row
    found = json.loads((await house.run("calls", "list", "--account", "ada", "--json"))[1])
    assert [each["opened"]["call_id"] for each in found] == ["c1"]


async def test_a_call_is_ended_wherever_it_is(house):
    first, second = PlayedCalls(live("c1")), PlayedCalls(live("c2", node="n2"))
    await house.add("n1", first)
    await house.add("n2", second)
    assert (await house.run("accounts", "create", "ada"))[0] == 0
    because = ("--reason", "abuse", "--as", "kim")
    assert await house.run("calls", "end", "c2", *because) == (0, "Call c2 is being ended.\n")
    assert (first.ended, second.ended) == ([], [(None, "c2")])
    log = (await house.run("accounts", "log", "ada"))[1]
    assert all(word in log for word in ("call_ended", "kim", "c2: abuse"))
    assert (await house.run("calls", "end", "c9", *because))[0] == EXIT_SETTINGS
    # Without a reason, or for an account that is not there, nothing is ended.
    assert (await house.run("calls", "end", "c1"))[0] == EXIT_SETTINGS
    await house.add("n3", third := PlayedCalls(live("c3", "nobody", node="n3")))
    assert (await house.run("calls", "end", "c3", *because))[0] == EXIT_SETTINGS
    assert (first.ended, third.ended) == ([], [])


@pytest.mark.thorough  # four of them wait as long as a node may take
async def test_a_node_that_does_not_answer_is_named(house):
    await house.add("n1", PlayedCalls(live("c1")))
    await house.add("n2", PlayedCalls(live("c2")), answers_questions=False)
    code, said = await house.run("calls", "list")
    assert (code, "c1" in said) == (EXIT_UNAVAILABLE, True)
    assert "Node n2 does not answer: its calls are missing." in said
    assert (await house.run("accounts", "create", "ada"))[0] == 0
    because = ("--reason", "abuse")
    for arguments in (("calls", "end", "c2", *because), ("nodes", "drain", "n2")):
        code, said = await house.run(*arguments)
        assert (code, "Node n2 does not answer." in said) == (EXIT_UNAVAILABLE, True)
    assert (await house.run("calls", "end", "c1", *because))[0] == 0


async def test_calls_of_a_node_that_is_gone_are_said_to_be_missing(house):
    await house.add("n1", PlayedCalls(live("c1")))
    gate = RedisSpendGate(house.redis)
    await fill(gate)
    await gate.open(Opening("c9", "alice", "n9", 1, 1, 9, b"{}"))
    code, said = await house.run("calls", "list")
    assert (code, "c1" in said) == (EXIT_UNAVAILABLE, True)
    assert "Node n9 does not answer: its calls are missing." in said
    code, said = await house.run("calls", "end", "c9", "--reason", "abuse")
    assert (code, "Node n9 does not answer." in said) == (EXIT_UNAVAILABLE, True)


async def test_a_store_that_is_away_is_said_to_be(house):
    house.environ["CALLER_REDIS_URL"] = "redis://127.0.0.1:9/0"
    for arguments in (
        ("nodes", "list"),
        ("calls", "list"),
        ("calls", "end", "c1", "--reason", "x"),
    ):
        code, said = await house.run(*arguments)
        assert code == EXIT_UNAVAILABLE, said


async def test_how_a_call_has_ended_is_shown_with_what_the_carrier_answered(house, monkeypatch):
    unknown = await house.run("calls", "show", "c1")
    assert unknown[0] == EXIT_SETTINGS
    assert "No call with this id has ended." in unknown[1]
    engine = create_engine(storage.database_url(from_mapping(house.environ)))
    try:
        await SqlAccountStore(engine).create_account("alice", "USD")
        await SqlLedgerStore(engine).apply_outbox(0, refused_call())
    finally:
        await engine.dispose()
    code, said = await house.run("calls", "show", "c1")
    assert code == 0
    for words in ("alice", "10004", "Call concurrency limit exceeded", "Trust Hub"):
        assert words in said
    monkeypatch.setattr(known, "CARRIERS", (LOOPBACK,))
    house.environ["CALLER_CARRIER"] = "loopback"
    code, said = await house.run("calls", "show", "c1")
    assert (code, "Loopback has no code 10004." in said) == (0, True), said
    assert "Twilio" not in said
