"""All nodes for an operator: what is found, what is missing, and who does not answer."""

import msgspec
import pytest

from billing.ports import Closing, Opening
from gateway.fleet.control import FleetControl, NodeStoppingError, NotStartedAgainError
from gateway.fleet.exchange import Exchange, NodeSilentError
from gateway.fleet.messages import (
    DECODER,
    ENCODER,
    LEVEL_MINUTES_MAX,
    Asked,
    CallsReply,
    Done,
    EndCall,
    FindCalls,
    LogLevel,
    NotStartedAgain,
    Restart,
    Restarting,
    SetLogLevel,
    Stopping,
    TakeCalls,
)
from gateway.fleet.roster import Roster
from tests.gateway.cli.test_fleet_commands import live
from tests.gateway.fleet.mailboxes import MemoryDirectory, MemoryMailboxes, facts_of
from tests.gateway.memory_gate import MemorySpendGate
from tests.gateway.stage import CENT


class House:
    """Two nodes, of which each answers what the test says, and an operator beside them."""

    def __init__(self):
        self.mailboxes, self.directory = MemoryMailboxes(), MemoryDirectory()
        self.asked, self.replies, self.members = [], {}, {}
        for node in ("n1", "n2"):
            self.directory.kept[node] = facts_of(node)
            self.members[node] = Exchange(self.mailboxes, facts_of(node).process, self.of(node))
        self.own = Exchange(self.mailboxes, "operator", self.of("nobody"))
        self.roster = Roster(self.directory, facts_of().origin, None, lambda nodes: nodes[0])
        self.gate = MemorySpendGate().fill(ada=CENT)
        self.control = FleetControl(self.roster, self.own, self.gate)

    def of(self, node):
        async def answer(question):
            self.asked.append((node, question))
            return self.replies.get(node, Done())

        return answer


@pytest.fixture
async def house():
    house = House()
    await house.roster.look()
    for each in (house.own, *house.members.values()):
        each.start()
    yield house
    for each in (house.own, *house.members.values()):
        await each.stop()


async def test_calls_of_all_nodes_are_found_and_counted(house):
    house.replies = {
        "n1": CallsReply(calls=(live("c1"),), more=3),
        "n2": CallsReply(calls=(live("c2"), live("c3")), more=4),
    }
    found = await house.control.calls(account_id="ada")
    assert sorted(call.opened.call_id for call in found.calls) == ["c1", "c2", "c3"]
    assert (found.more, found.silent) == (7, [])
    question = FindCalls(account_id="ada")
    assert sorted(house.asked, key=lambda each: each[0]) == [("n1", question), ("n2", question)]


async def test_a_node_that_does_not_answer_is_named(house):
    house.replies = {"n1": CallsReply(calls=(live("c1"),))}
    await house.members["n2"].stop()
    found = await house.control.calls(call_id="c1")
    assert ([call.opened.call_id for call in found.calls], found.silent) == (["c1"], ["n2"])
    with pytest.raises(NodeSilentError):
        await house.control.take_calls("n2", takes=False)


async def test_a_node_that_is_gone_is_named_until_its_calls_are_settled(house):
    house.replies = dict.fromkeys(("n1", "n2"), CallsReply(calls=()))
    await house.gate.open(Opening("c9", "ada", "n9", 1, 1, 9, b"{}"))

    async def silent(**asked):
        return (await house.control.calls(**asked)).silent

    assert await silent() == await silent(account_id="ada") == await silent(call_id="c9") == ["n9"]
    assert await silent(account_id="bob") == await silent(call_id="c1") == []
    house.gate.is_away = True
    assert await silent() == await silent(account_id="ada") == []
    house.gate.is_away = False
    await house.gate.close(Closing("c9", "ada", 1, 1, b"{}"))
    assert await silent() == []


async def test_a_call_is_ended_where_it_is_and_nowhere_else(house):
    await house.control.end(live("c1"))
    assert house.asked == [("n1", EndCall(call_id="c1"))]
    del house.directory.kept["n1"]
    await house.roster.look()
    with pytest.raises(NodeSilentError):
        await house.control.end(live("c1"))


async def test_a_node_is_told_to_take_calls_or_none(house):
    await house.control.take_calls("n2", takes=False)
    await house.control.take_calls("n2", takes=True)
    assert house.asked == [("n2", TakeCalls(takes=False)), ("n2", TakeCalls(takes=True))]
    with pytest.raises(LookupError):
        await house.control.take_calls("n9", takes=True)
    house.replies = {"n2": Stopping()}
    with pytest.raises(NodeStoppingError):
        await house.control.take_calls("n2", takes=True)


async def test_a_node_is_told_to_restart(house):
    house.replies = {"n2": Restarting(calls_s=30)}
    assert await house.control.restart("n2") == Restarting(calls_s=30)
    assert house.asked == [("n2", Restart())]
    with pytest.raises(LookupError):
        await house.control.restart("n9")
    for reply, error in (
        (Stopping(), NodeStoppingError),
        (NotStartedAgain(), NotStartedAgainError),
        # It answers something else than was asked.
        (CallsReply(), NodeSilentError),
    ):
        house.replies = {"n2": reply}
        with pytest.raises(error):
            await house.control.restart("n2")


async def test_a_node_is_told_what_to_log(house):
    await house.control.set_log_level("n2", LogLevel.DEBUG, 15)
    assert house.asked == [("n2", SetLogLevel(level=LogLevel.DEBUG, minutes=15))]
    with pytest.raises(LookupError):
        await house.control.set_log_level("n9", LogLevel.DEBUG, 15)
    await house.members["n2"].stop()
    with pytest.raises(NodeSilentError):
        await house.control.set_log_level("n2", LogLevel.DEBUG, 15)


@pytest.mark.parametrize(
    ("level", "minutes", "is_read"),
    [
        ("debug", 1, True),
        ("setting", LEVEL_MINUTES_MAX, True),
        ("debug", 0, False),
        ("debug", LEVEL_MINUTES_MAX + 1, False),
        ("trace", 5, False),
    ],
)
def test_what_no_operator_can_ask_for_is_not_understood(level, minutes, is_read):
    question = SetLogLevel(level=level, minutes=minutes)
    letter = ENCODER.encode(Asked(number=1, sender="x", question=question))
    if is_read:
        assert DECODER.decode(letter).question == question
    else:
        with pytest.raises(msgspec.ValidationError):
            DECODER.decode(letter)
