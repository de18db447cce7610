"""A trace goes from the request for a token to whoever redeems it; whatever becomes of the call."""

import asyncio

import pytest

from database.errors import StoreUnavailableError
from gateway.calls.traced_tokens import REQUEST, TracedTokens
from gateway.logs import call_events
from gateway.telemetry import spans
from gateway.telemetry.tracer import Tracer
from tests.gateway.calls.test_live import Tokens
from tests.gateway.stage import order


class Traced:
    """Tokens with traces; all that has ended is in `ended`."""

    def __init__(self, ratio=1.0):
        self.ended = []
        self.kept = Tokens()
        self.tracer = Tracer(self.ended.append, ratio=ratio)
        self.tokens = TracedTokens(self.kept, self.tracer)

    async def issue(self, **what):
        """Issue a token as a request of its own does."""

        async def answer():
            REQUEST.set(self.tracer.request((), spans.TOKEN))
            return await self.tokens.issue(order(**what))

        return await asyncio.create_task(answer())

    async def redeem(self, token, then=lambda: None):
        """Redeem it in a task of its own, as a socket's is."""

        async def begin():
            redeemed = await self.tokens.redeem(token)
            then()
            return redeemed

        redeemed = await asyncio.create_task(begin())
        # What is to follow the task's end.
        await asyncio.sleep(0)
        return redeemed

    @property
    def names(self):
        return [span.name for span in self.ended]


async def test_the_order_carries_the_trace_and_nothing_else_of_it_changes():
    traced = Traced()
    token = await traced.issue(country="US")
    looked, left_s = await traced.tokens.look(token)
    assert (looked.trace[:3], left_s) == ("00-", 42)
    redeemed, refusal = await traced.redeem(token)
    assert (redeemed, refusal) == (looked, "")
    assert traced.tokens.ttl_s == traced.kept.ttl_s
    plain = order(country="US")
    assert {name: getattr(redeemed, name) for name in plain.__struct_fields__} == {
        **{name: getattr(plain, name) for name in plain.__struct_fields__},
        "trace": looked.trace,
    }


async def test_a_caller_who_is_gone_leaves_an_abandoned_call():
    traced = Traced()
    await traced.redeem(await traced.issue())
    assert traced.names == [spans.ADMISSION, spans.CALL]
    assert traced.ended[-1].error == "abandoned"


async def test_a_refusal_is_of_the_call_whose_token_this_task_has_redeemed():
    traced = Traced()
    token = await traced.issue()
    await traced.redeem(
        token, lambda: call_events.refused("gateway_full", node="n1", account="alice")
    )
    assert traced.ended[-1].error == "gateway_full"
    assert traced.names == [spans.ADMISSION, spans.CALL]
    # And of no other: this task has redeemed none.
    call_events.refused("gateway_full", node="n1", account="alice")
    assert len(traced.ended) == 2


async def test_the_log_of_a_call_tells_the_trace_of_it():
    traced, seen = Traced(), []
    await traced.redeem(await traced.issue(), lambda: seen.append(call_events.FOLLOWER.get()))
    assert seen != [None]
    assert call_events.FOLLOWER.get() is None


@pytest.mark.parametrize("what", [{"is_check": True}, {}])
async def test_line_checks_and_calls_that_are_left_out_have_no_trace(what):
    traced = Traced(ratio=1.0 if what else 0.0)
    redeemed, _ = await traced.redeem(await traced.issue(**what))
    assert redeemed.trace == ""
    assert traced.ended == []


async def test_a_wrong_token_leaves_no_trace():
    traced = Traced()
    assert await traced.redeem("ct_nobodys") is None
    traced.kept.is_away = True
    with pytest.raises(StoreUnavailableError):
        await traced.redeem("ct_0")
    assert traced.ended == []


async def test_a_call_without_a_trace_is_told_to_no_other_calls():
    """Its task was made in the context of a call that has one."""
    traced, seen = Traced(), []
    first, second = await traced.issue(), await traced.kept.issue(order())

    async def begin():
        await traced.tokens.redeem(first)
        await traced.redeem(
            second, lambda: seen.extend([call_events.FOLLOWER.get(), call_events.ON_REFUSAL.get()])
        )

    await asyncio.create_task(begin())
    assert seen == [None, None]
