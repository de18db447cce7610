"""What the carrier says of a call reaches the node that holds it, wherever it was said."""

import asyncio

import msgspec
import pytest

from database.errors import StoreUnavailableError
from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.call.machine import State
from gateway.calls import carrier_news
from gateway.calls.carrier_news import Elsewhere
from gateway.cause import CarrierRefusal, Cause
from gateway.fleet.exchange import NodeSilentError
from gateway.fleet.messages import DECODER, ENCODER, Asked, CarrierNews, Done
from tests.gateway.calls.test_live import Node


@pytest.fixture
async def node(stage):
    node = Node(stage)
    await node.starts()
    return node


def news_of(node, **values):
    call_id = node.bridge.call_id
    return CarrierNews(call_id=call_id, carrier_call_id="CA1", **{"is_running": True} | values)


async def test_a_status_reaches_its_call_and_may_come_twice(node):
    ringing = news_of(node, status=CarrierStatus("CA1", CarrierState.RINGING))
    for _ in range(2):
        carrier_news.take(node.calls, ringing)
        assert node.bridge.call.state is State.RINGING


async def test_a_stream_that_failed_ends_its_call_and_no_other(node):
    carrier_news.take(
        node.calls, msgspec.structs.replace(news_of(node, has_stream_failed=True), call_id="gone")
    )
    carrier_news.take(node.calls, news_of(node))
    assert node.bridge.call.is_live
    carrier_news.take(node.calls, news_of(node, has_stream_failed=True))
    assert node.bridge.call.cause is Cause.BEARERCAPABILITY_NOTAVAIL


async def test_what_the_carrier_says_of_a_failed_stream_is_kept(node):
    said = CarrierRefusal(31902, "refused", {"en": "No sound."})
    carrier_news.take(node.calls, news_of(node, has_stream_failed=True, refusal=said))
    assert node.bridge.call.carrier_refusal is said


async def test_what_the_carrier_says_is_read_as_it_was_written(node):
    said = CarrierRefusal(31902, "refused", {"en": "No sound."})
    news = news_of(node, has_stream_failed=True, refusal=said)
    asked = Asked(number=1, sender="a", question=news)
    assert DECODER.decode(ENCODER.encode(asked)) == asked


async def test_news_are_read_as_they_were_written(node):
    status = CarrierStatus("CA1", CarrierState.COMPLETED, 7, 200)
    asked = Asked(number=1, sender="a", question=news_of(node, status=status))
    assert DECODER.decode(ENCODER.encode(asked)) == asked


class Others:
    """Other nodes, and what is noted of those that do not hear."""

    def __init__(self):
        self.asked, self.strays = [], []
        self.raises = None
        self.may_answer = asyncio.Event()
        self.elsewhere = Elsewhere(self.ask, lambda *call: self.strays.append(call))

    async def ask(self, name, question):
        self.asked.append((name, question))
        await self.may_answer.wait()
        if self.raises is not None:
            raise self.raises
        return Done()


NEWS = CarrierNews(call_id="c1", carrier_call_id="CA1", is_running=True)


async def test_a_node_that_hears_judges_for_itself():
    others = Others()
    others.elsewhere.tell("n2", NEWS)
    # Nobody waits for it, but an end in good order does.
    stopping = asyncio.ensure_future(others.elsewhere.stop())
    await asyncio.sleep(1)
    assert not stopping.done()
    others.may_answer.set()
    await stopping
    assert (others.asked, others.strays) == ([("n2", NEWS)], [])


@pytest.mark.parametrize("error", [NodeSilentError(), StoreUnavailableError("away")])
async def test_of_a_node_that_does_not_hear_what_runs_is_noted(error):
    others = Others()
    others.raises = error
    others.may_answer.set()
    over = msgspec.structs.replace(NEWS, is_running=False)
    others.elsewhere.tell("n2", NEWS)
    others.elsewhere.tell("n2", over)
    await others.elsewhere.stop()
    assert others.asked == [("n2", NEWS), ("n2", over)]
    assert others.strays == [("CA1", "c1", "n2")]


async def test_those_who_are_told_at_once_are_bounded(monkeypatch):
    monkeypatch.setattr(carrier_news, "TELLING_MAX", 2)
    others = Others()
    for number in range(3):
        others.elsewhere.tell(f"n{number}", NEWS)
    assert others.strays == [("CA1", "c1", "n2")]
    others.may_answer.set()
    await others.elsewhere.stop()
    others.elsewhere.tell("n4", NEWS)
    await others.elsewhere.stop()
    assert len(others.asked) == 3
