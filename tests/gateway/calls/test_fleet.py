"""Live calls of two nodes as one: each lists, shows and ends those of the other."""

import asyncio

import pytest

from billing.ports import Opening
from gateway.calls import answers
from gateway.calls.fleet import FleetLiveCalls
from gateway.calls.index import CallIndex
from gateway.errors import RequestRefusedError
from gateway.fleet.control import FleetControl
from gateway.fleet.exchange import ANSWER_S, Exchange
from gateway.fleet.messages import (
    CALLS_MAX,
    CallsReply,
    Done,
    EndCall,
    FindCalls,
    Stopping,
    TakeCalls,
)
from gateway.fleet.roster import Roster
from tests.gateway.calls.test_index import Records
from tests.gateway.calls.test_live import PAGE, Node
from tests.gateway.fleet.mailboxes import MemoryDirectory, MemoryMailboxes, facts_of
from tests.gateway.stage import CENT, order


class Member:
    """A node, and its view of all calls."""

    def __init__(self, stage, name, directory, mailboxes, records):
        self.name, self.node = name, Node(stage, node=name)
        self.charged = []
        calls = self.node.calls
        self.exchange = Exchange(mailboxes, f"process of {name}", self.answer)
        self.roster = Roster(
            directory,
            facts_of().origin,
            lambda: facts_of(name, calls=len(calls), is_draining=calls.is_draining),
            lambda nodes: nodes[0],
        )
        control = FleetControl(self.roster, self.exchange, stage.gate)
        self.live = FleetLiveCalls(calls, name, stage.gate, control)
        self.index = CallIndex(name, self.live, records, stage.gate)

    async def answer(self, question):
        return await answers.answer(self.node.calls, self.charge_now, question)

    async def charge_now(self, account_id):
        self.charged.append(account_id)

    async def place(self):
        """Place a call of alice on this node; return its id."""
        connection = self.node.opens(f"/n/{self.name}/media/browser", origin=PAGE)
        token = await self.node.tokens.issue(order())
        connection.say({"type": "start", "version": 1, "token": token})
        await self.node.stage.run(0.05)
        return connection.messages[0]["call_id"]


class House:
    """Two nodes that know each other."""

    def __init__(self, stage):
        self.stage, self.records = stage, Records()
        self.directory, self.mailboxes = MemoryDirectory(), MemoryMailboxes()
        shared = (self.directory, self.mailboxes, self.records)
        self.members = [Member(stage, name, *shared) for name in ("n1", "n2")]

    async def look(self):
        for _ in range(2):
            for each in self.members:
                await each.roster.look()


@pytest.fixture
async def house(stage):
    house = House(stage)
    await house.look()
    for each in house.members:
        each.exchange.start()
    yield house
    for each in house.members:
        await each.exchange.stop()


def ids(calls):
    return {call.opened.call_id for call in calls}


async def found(member, question):
    reply = await member.answer(question)
    assert isinstance(reply, CallsReply)
    return reply.calls


async def code(asked):
    with pytest.raises(RequestRefusedError) as refused:
        await asked
    return refused.value.code


async def test_either_node_lists_and_shows_the_calls_of_both(house):
    here, there = house.members
    first, second = await here.place(), await there.place()
    for member in house.members:
        assert ids(await member.index.live_calls("alice")) == {first, second}
        for call_id, node in ((first, "n1"), (second, "n2")):
            shown = await member.index.show("alice", call_id)
            assert (shown.opened.node, shown.opened.call_id) == (node, call_id)
            assert shown.unused_micros > 0
        assert await member.index.live_calls("bob") == []
        assert await code(member.index.show("bob", second)) == "call_not_found"
        assert await code(member.index.end("bob", second)) == "call_not_found"


async def test_what_is_held_on_another_node_is_not_spent(house):
    here, there = house.members
    whole = await here.index.credit("alice")
    await there.place()
    assert await house.stage.gate.balance("alice") < whole
    assert await here.index.credit("alice") == await there.index.credit("alice") == whole


async def test_a_call_is_ended_from_the_other_node_and_settled_there(house):
    here, there = house.members
    call_id = await there.place()
    ended = await here.index.end("alice", call_id)
    assert (ended.opened.node, ended.ended_by, bool(ended.ended_at)) == ("n2", "operator", True)
    await house.stage.until(lambda: not len(there.node.calls))
    for member in house.members:
        assert await code(member.index.end("alice", call_id)) == "call_ended"
    house.records.add(call_id, node="n2")
    assert await code(here.index.end("alice", call_id)) == "call_ended"


async def test_a_node_that_stands_still_is_waited_for_no_longer_than_it_must(house):
    here, there = house.members
    own, other = await here.place(), await there.place()
    await there.exchange.stop()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert ids(await here.index.live_calls("alice")) == {own}
    assert await code(here.index.end("alice", other)) == "node_silent"
    assert round(loop.time() - begun, 3) == 2 * ANSWER_S
    house.records.add(other, is_closed=False, node="n2")
    assert (await here.index.show("alice", other)).opened.node == "n2", "by its record"
    there.exchange.start()
    assert (await here.index.end("alice", other)).ended_at


async def test_while_the_store_is_away_own_calls_are_listed(house):
    here, there = house.members
    own = await here.place()
    await there.place()
    house.mailboxes.is_away = True
    assert ids(await here.index.live_calls("alice")) == {own}
    await here.live.charge_elsewhere("alice")
    house.stage.gate.is_away = True
    assert ids(await here.index.live_calls("alice")) == {own}
    # A payment that is booked must not fail for it.
    await here.live.charge_elsewhere("alice")


async def test_a_node_that_is_gone_is_not_waited_for(house):
    await house.stage.gate.open(Opening("c9", "alice", "n9", CENT, CENT, 9, b"{}"))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert await house.members[0].index.live_calls("alice") == []
    assert await code(house.members[0].index.end("alice", "c9")) == "node_silent"
    assert loop.time() == begun


async def test_a_new_call_goes_where_a_node_takes_calls(house):
    here, there = house.members
    assert here.roster.choose().node == "n1"
    here.node.calls.take_calls(False)
    assert here.roster.choose().node == "n2"
    await house.look()
    assert there.roster.choose().node == "n2"
    there.node.calls.take_calls(False)
    assert there.roster.choose() is None
    here.node.calls.take_calls(True)
    assert here.roster.choose().node == "n1"


async def test_an_accounts_calls_are_charged_now_on_every_other_node_that_has_any(house):
    here, there = house.members
    await here.live.charge_elsewhere("alice")
    assert (here.charged, there.charged) == ([], [])
    await here.place()
    await there.place()
    await here.live.charge_elsewhere("alice")
    assert (here.charged, there.charged) == ([], ["alice"])
    await there.exchange.stop()
    # One that is silent does so within a second by itself.
    await here.live.charge_elsewhere("alice")


# What a node answers.


async def test_a_node_answers_of_all_accounts_where_none_is_named(house):
    here = house.members[0]
    call_id = await here.place()
    for named in (FindCalls(), FindCalls(call_id=call_id), FindCalls(account_id="alice")):
        assert ids(await found(here, named)) == {call_id}
    for question in (
        FindCalls(account_id="bob"),
        FindCalls(call_id="nothing"),
        EndCall(call_id="nothing"),
        FindCalls(account_id="bob", call_id=call_id),
        EndCall(call_id=call_id, account_id="bob"),
    ):
        assert await found(here, question) == ()
    (ended,) = await found(here, EndCall(call_id=call_id))
    (again,) = await found(here, EndCall(call_id=call_id))
    assert (ended.ended_at, ended.cause) == (again.ended_at, again.cause)


async def test_a_node_that_stops_says_that_it_takes_no_calls(house):
    here = house.members[0]
    await here.node.calls.drain(0.0)
    assert await here.answer(TakeCalls(takes=True)) == Stopping()
    assert await here.answer(TakeCalls(takes=False)) == Done()


async def test_of_too_many_calls_the_newest_are_answered(house):
    here = house.members[0]
    await here.place()
    (call,) = await found(here, FindCalls())

    class Many:
        async def of_account(self, account_id, since):
            return [call] * (CALLS_MAX + 7)

    reply = await answers.answer(Many(), house.members[0].charge_now, FindCalls())
    assert isinstance(reply, CallsReply)
    assert (len(reply.calls), reply.more) == (CALLS_MAX, 7)


async def test_a_node_takes_no_new_calls_until_it_is_told_to(house):
    here = house.members[0]
    calls = here.node.calls
    running = await here.place()
    assert await here.answer(TakeCalls(takes=False)) == Done()
    assert await here.answer(TakeCalls(takes=False)) == Done()
    assert calls.is_draining
    # Whoever was sent here before others know is taken all the same.
    late = await here.place()
    await house.stage.run(3)
    connection = here.node.opens("/n/n1/media/browser", origin=PAGE)
    token = await here.node.tokens.issue(order())
    connection.say({"type": "start", "version": 1, "token": token})
    await house.stage.run(0.05)
    assert connection.of("error")[0]["code"] == "gateway_draining"
    assert ids(await found(here, FindCalls())) == {running, late}
    await here.answer(TakeCalls(takes=True))
    assert not calls.is_draining
    again = await here.place()
    assert await here.answer(TakeCalls(takes=True)) == Done()
    assert ids(await found(here, FindCalls())) == {running, late, again}
