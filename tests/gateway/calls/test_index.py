"""Calls wherever they are, on two nodes that share the spend gate and the records."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from billing.cdr import ANY_CALL, CallClosed, CallFilter, CallOpened, CallRecord
from billing.rating import Rate
from database.errors import StoreUnavailableError
from gateway.call.machine import State
from gateway.calls.index import CallIndex
from gateway.calls.live_view import live_view
from gateway.errors import RequestRefusedError
from gateway.ports import LiveCall
from gateway.problems import PROBLEMS
from tests.gateway.calls.test_live import Node
from tests.gateway.stage import CENT, order

ECHO = "+15005551000"
START = datetime(2026, 3, 1, tzinfo=UTC)


class Records:
    """`billing.ports.CdrStore` in memory."""

    def __init__(self):
        self.kept = []

    def add(self, call_id, account_id="alice", *, is_closed=True, node="n1", at=None):
        opened = CallOpened(
            call_id=call_id,
            account_id=account_id,
            node=node,
            destination=ECHO,
            country="US",
            codec="pcmu",
            origin="",
            currency="USD",
            rate=Rate(per_minute_micros=60 * CENT).to_json(),
            created_at=at or START + timedelta(minutes=len(self.kept)),
        )
        closed = CallClosed(
            answered_at=opened.created_at,
            ended_at=opened.created_at + timedelta(seconds=7),
            seconds=7,
            cause=17,
            cause_name="USER_BUSY",
            ended_by="callee",
            carrier_call_id="CA9",
            carrier_seconds=7,
        )
        record = CallRecord(
            opened=opened,
            closed=closed if is_closed else None,
            cost_micros=7 * CENT,
            used_s=7,
        )
        self.kept.insert(0, record)

    async def get(self, account_id, call_id):
        mine = [r for r in self.kept if r.opened.account_id == account_id]
        return next((r for r in mine if r.opened.call_id == call_id), None)

    async def page(self, account_id, *, limit, before=None, only=ANY_CALL):
        mine = [r for r in self.kept if r.opened.account_id == account_id]
        if before is not None:
            ids = [r.opened.call_id for r in mine]
            mine = mine[ids.index(before) + 1 :] if before in ids else []
        return mine[:limit]


class Site:
    """Two nodes, and the index of each."""

    def __init__(self, stage):
        self.stage = stage
        self.records = Records()
        self.nodes = [Node(stage, node=name) for name in ("n1", "n2")]
        self.indexes = [
            CallIndex(name, node.calls, self.records, stage.gate)
            for name, node in zip(("n1", "n2"), self.nodes, strict=True)
        ]

    async def call_on(self, node, browser="/n/{}/media/browser"):
        """Place a call of alice on a node; return its id."""
        connection = node.opens(browser.format(node.calls._settings.node), origin=PAGE)
        token = await node.tokens.issue(order())
        connection.say({"type": "start", "version": 1, "token": token})
        await self.stage.run(0.05)
        return connection.messages[0]["call_id"]


PAGE = "https://calls.example.com"


@pytest.fixture
def site(stage):
    return Site(stage)


async def refusal(asked):
    with pytest.raises(RequestRefusedError) as refused:
        await asked
    return refused.value.code


async def test_a_call_of_another_node_is_not_said_to_have_ended(site):
    (_, second), (here, there) = site.nodes, site.indexes
    call_id = await site.call_on(second)
    # Its record is not written yet: only the spend gate knows of it.
    assert await refusal(here.end("alice", call_id)) == "node_silent"
    site.records.add(call_id, is_closed=False, node="n2")
    assert await refusal(here.end("alice", call_id)) == "node_silent"
    assert second.bridge.call.is_live
    assert PROBLEMS["node_silent"].status == 503
    ended = await there.end("alice", call_id)
    assert (ended.opened.node, ended.ended_by) == ("n2", "operator")
    await site.stage.until(lambda: not len(second.calls))
    # Settled, and not booked yet.
    assert await refusal(here.end("alice", call_id)) == "call_ended"
    assert await refusal(there.end("alice", call_id)) == "call_ended"


async def test_another_accounts_call_does_not_exist_on_either_node(site):
    call_id = await site.call_on(site.nodes[1])
    for index in site.indexes:
        assert await refusal(index.end("bob", call_id)) == "call_not_found"
        assert await refusal(index.show("bob", call_id)) == "call_not_found"
    assert site.nodes[1].bridge.call.is_live


async def test_a_call_that_nobody_knows_of_does_not_exist(site):
    for index in site.indexes:
        assert await refusal(index.end("alice", "nothing")) == "call_not_found"


async def test_a_call_that_ended_before_the_book_heard_of_it_is_known(site):
    call_id = await site.call_on(site.nodes[1])
    await site.indexes[1].end("alice", call_id)
    await site.stage.until(lambda: not len(site.nodes[1].calls))
    for index in site.indexes:
        found = await index.show("alice", call_id)
        assert (found.opened.call_id, found.closed.ended_by) == (call_id, "operator")
        assert await index.page("alice", limit=1, before=None) == ([found], None)
        assert await index.page("alice", limit=1, before=call_id) == ([], None)
        assert await index.page("bob", limit=1, before=None) == ([], None)
        assert await refusal(index.end("alice", call_id)) == "call_ended"
        assert await refusal(index.show("bob", call_id)) == "call_not_found"


async def test_a_call_that_is_not_booked_stands_on_the_first_page_once(site):
    call_id = await site.call_on(site.nodes[0])
    index = site.indexes[0]
    await index.end("alice", call_id)
    await site.stage.until(lambda: not len(site.nodes[0].calls))
    ended = await index.show("alice", call_id)
    created_at = ended.opened.created_at
    site.records.add("older", at=created_at - timedelta(seconds=1))
    calls, _ = await index.page("alice", limit=1, before=None)
    assert [call.opened.call_id for call in calls] == [call_id, "older"]
    # Booked meanwhile, and older than what the page shows: the next page has it.
    site.records.add(call_id, at=created_at)
    site.records.add("newer", at=created_at + timedelta(seconds=1))
    calls, following = await index.page("alice", limit=1, before=None)
    assert ([call.opened.call_id for call in calls], following) == (["newer"], "newer")
    calls, following = await index.page("alice", limit=9, before=None)
    ids = [call.opened.call_id for call in calls]
    assert (ids, following) == (["newer", call_id, "older"], None)


async def test_a_call_that_is_booked_while_it_is_looked_for_is_found(site):
    read_outbox = site.stage.gate.read_outbox

    async def booked_first(partition, count_max):
        site.records.add("c1")
        return await read_outbox(partition, count_max)

    site.stage.gate.read_outbox = booked_first
    assert (await site.indexes[0].show("alice", "c1")).opened.call_id == "c1"


async def test_a_call_that_an_earlier_run_of_the_node_left_is_over(site):
    """Nobody can talk on it any more; the sweeper settles it."""
    node = site.nodes[0]
    call_id = await site.call_on(node)
    lost = node.calls._calls.pop(call_id)
    assert await refusal(site.indexes[0].end("alice", call_id)) == "call_ended"
    node.calls._calls[call_id] = lost


async def test_without_the_gate_nothing_is_said_that_is_not_known(site):
    site.records.add("open", is_closed=False, node="n2")
    site.records.add("closed", node="n2")
    site.stage.gate.is_away = True
    for call_id in ("open", "unheard-of"):
        with pytest.raises(StoreUnavailableError):
            await site.indexes[0].end("alice", call_id)
    assert await refusal(site.indexes[0].end("alice", "closed")) == "call_ended"


async def test_a_call_is_live_until_it_is_settled(site):
    node, index = site.nodes[0], site.indexes[0]
    call_id = await site.call_on(node)
    shown = await index.show("alice", call_id)
    assert (shown.ended_at, shown.cause, shown.seconds) == (None, None, 0)
    assert shown.unused_micros == node.bridge.charge.unused_micros > 0
    site.stage.gate.is_away = True
    assert (await index.end("alice", call_id)).ended_at is not None
    await site.stage.run(0.5)
    assert node.bridge.call.state is State.SETTLING
    again = await index.end("alice", call_id)
    assert (again.ended_at, again.ended_by) == (live_view(node.bridge).ended_at, "operator")


async def test_a_page_shows_each_call_once_live_before_recorded(site):
    site.records.add("c0")
    site.records.add("c1")
    index = site.indexes[0]
    first = await site.call_on(site.nodes[0])
    await site.stage.run(1)
    second = await site.call_on(site.nodes[0])
    site.records.add(first, is_closed=False)
    calls, following = await index.page("alice", limit=2, before=None)
    assert [call.opened.call_id for call in calls] == [second, first, "c1"]
    assert [call.opened.call_id for call in await index.live_calls("alice")] == [second, first]
    assert following == "c1"
    calls, following = await index.page("alice", limit=2, before="c1")
    assert [call.opened.call_id for call in calls] == ["c0"]
    assert following is None


async def test_an_old_live_call_stands_where_its_record_does(site):
    index = site.indexes[0]
    call_id = await site.call_on(site.nodes[0])
    begun = (await index.show("alice", call_id)).opened.created_at
    site.records.add(call_id, is_closed=False, at=begun)
    for n in range(3):
        site.records.add(f"c{n}", at=begun + timedelta(minutes=1 + n))
    calls, following = await index.page("alice", limit=2, before=None)
    assert [call.opened.call_id for call in calls] == ["c2", "c1"]
    calls, following = await index.page("alice", limit=2, before=following)
    assert [call.opened.call_id for call in calls] == ["c0", call_id]
    assert isinstance(calls[1], LiveCall)
    assert following is None


async def test_nodes_are_asked_only_for_calls_that_a_page_may_show(site):
    found = []

    class Live:
        async def of_account(self, account_id, since=None):
            found.append(await site.nodes[0].calls.of_account(account_id, since))
            return found[-1]

    index = replace(site.indexes[0], live=Live())
    for _ in range(2):
        call_id = await site.call_on(site.nodes[0])
        (begun,) = [
            c.opened for c in await index.live_calls("alice") if c.opened.call_id == call_id
        ]
        site.records.add(call_id, is_closed=False, at=begun.created_at)
        await site.stage.run(1)
    (newest,), following = await index.page("alice", limit=1, before=None)
    assert (newest, following) == (found[-1][0], call_id)
    assert len(found[-1]) == 1
    (oldest,), following = await index.page("alice", limit=1, before=following)
    assert (oldest in found[-1], following) == (True, None)


async def test_a_filtered_page_has_no_call_that_no_record_proves_to_match(site):
    first, here = site.nodes[0], site.indexes[0]
    call_id = await site.call_on(first)
    calls, _ = await here.page("alice", limit=9, before=None)
    assert [call.opened.call_id for call in calls] == [call_id]
    assert await here.page("alice", limit=9, before=None, only=CallFilter(digits="1")) == ([], None)


async def test_what_a_call_here_has_not_used_is_left(site):
    here = site.indexes[0]
    before = await here.credit("alice")
    await site.call_on(site.nodes[0])
    (call,) = await here.live_calls("alice")
    assert await here.credit("alice") == before - call.cost_micros
