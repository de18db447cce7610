"""Credit and the limits on calls: no call outruns its credit, none is refused without a word."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from billing.spend_limits import day_left
from tests.calls.world import Customer, Phone, World

SECOND_MICROS = 1000
"""What the example deck charges for a second of a call to the simulated network."""

TONE = "+15005551001"


@pytest.fixture(scope="module")
def narrow_gateway(
    shared_world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A gateway of few calls, each of which holds little in advance."""
    world = World(
        tmp_path_factory.mktemp("narrow"),
        carrier_port=shared_world.carrier_port,
        CALLER_CALLS_MAX="3",
        CALLER_ACCOUNT_CALLS_MAX="2",
        CALLER_PREPAID_HORIZON_S="2",
    )
    world.start_gateway()
    yield world
    world.stop()


@pytest.fixture
async def narrow(narrow_gateway: World) -> AsyncIterator[World]:
    """The narrow gateway; when a test is over, its books must balance."""
    yield narrow_gateway
    await narrow_gateway.assert_books_balance()


@contextlib.asynccontextmanager
async def customers(world: World, *credits: int) -> AsyncIterator[list[Customer]]:
    """Make a customer for each amount of micros."""
    made = [await world.new_customer(micros) for micros in credits]
    try:
        yield made
    finally:
        for customer in made:
            await customer.http.aclose()


async def test_without_credit_there_is_no_token(world: World):
    body = {"destination": TONE}
    async with customers(world, 0, SECOND_MICROS - 1, SECOND_MICROS) as (none, little, enough):
        for customer in (none, little):
            reply = await customer.http.post("/v1/call-tokens", json=body)
            assert (reply.status_code, reply.json()["code"]) == (402, "insufficient_credit")
            assert reply.json()["retry"] is False
        token = await enough.token(TONE)
        assert token["affordable_seconds"] == 1
        # Two tokens, one second's credit: who comes second gets nothing.
        second = await enough.token(TONE)
        async with enough.connect(token["media_url"]) as phone:
            await phone.send(type="start", version=1, token=token["token"])
            await phone.wait("ready")
            await phone.wait("ringing")
            async with enough.connect(second["media_url"]) as refused:
                await refused.send(type="start", version=1, token=second["token"])
                assert await refused.refused() == ("insufficient_credit", 1008)
            ended = await phone.wait("disconnect")
        assert (ended["seconds"], ended["cost"]["micros"]) == (1, SECOND_MICROS)
        await enough.record(ended["call_id"])
        assert await enough.balance() == 0
        # Credit that comes makes the account usable at once.
        async with world.stores() as stores:
            await world.grant(stores, none.account_id, 5_000_000)
        await none.ordinary_call()


async def test_a_call_is_cut_at_the_second_its_credit_ends(world: World):
    async with customers(world, 3 * SECOND_MICROS + 999) as (customer,):
        async with customer.call(TONE) as phone:
            await phone.wait("accept")
            sid = await customer.carrier_call_id(phone.events[0]["call_id"])
            ended = await phone.wait("disconnect")
            assert await phone.wait_closed() == 1000
        assert (ended["cause"], ended["ended_by"], ended["cut_off"]) == (602, "credit", "credit")
        assert "credit is used up" in ended["message"]
        assert "Top up" in ended["action"]
        assert [e["name"] for e in phone.events if e["type"] == "tone"][-1] == "cut-off"
        assert (ended["seconds"], ended["cost"]["micros"]) == (3, 3 * SECOND_MICROS)
        last = [e for e in phone.events if e["type"] == "credit"][-1]
        assert last["remaining_seconds"] <= 1
        record = await customer.record(ended["call_id"])
        assert (record["seconds"], record["cost"]) == (3, ended["cost"])
        assert 3 <= record["carrier_seconds"] <= 4
        state = await world.carrier_get(f"/calls/{sid}")
        assert state["status"] == "completed"
        assert state["streams"][-1]["close_code"] == 1000
        assert await customer.balance() == 999


async def test_two_calls_share_the_last_credit_to_the_last_second(narrow: World):
    async with customers(narrow, 6 * SECOND_MICROS, 10_000_000) as (sharer, other):
        tokens = [await sharer.token(TONE) for _ in range(3)]
        async with contextlib.AsyncExitStack() as stack:
            phones = [await started(stack, sharer, token) for token in tokens[:2]]
            third = await connected(stack, sharer, tokens[2])
            assert await third.refused() == ("too_many_calls", 1008)
            await assert_full(narrow, stack, other)
            endings = [await phone.wait("disconnect") for phone in phones]
        assert {e["ended_by"] for e in endings} == {"credit"}
        assert sum(e["cost"]["micros"] for e in endings) == 6 * SECOND_MICROS
        for ending in endings:
            assert ending["cost"]["micros"] == SECOND_MICROS * ending["seconds"]
            await sharer.record(ending["call_id"])
        assert await sharer.balance() == 0
        await other.ordinary_call()


async def test_calls_of_one_account_are_warned_and_end_together(world: World):
    """Three calls, begun one after another on little credit: one countdown, one end, no rest."""
    seconds = 44
    async with customers(world, seconds * SECOND_MICROS + 999) as (customer,):
        async with contextlib.AsyncExitStack() as stack:
            phones = []
            for _ in range(3):
                phones.append(await started(stack, customer, await customer.token(TONE)))
                await asyncio.sleep(0.4)
            for phone in phones:
                await phone.wait("credit-warning", where=lambda e: e["seconds_left"] <= 10)
            shown = [[e for e in p.events if e["type"] == "credit"][-1] for p in phones]
            left = [event["remaining_seconds"] for event in shown]
            assert max(left) - min(left) <= 1
            endings = [await phone.wait("disconnect") for phone in phones]
        assert {e["cut_off"] for e in endings} == {"credit"}
        assert sum(e["seconds"] for e in endings) == seconds
        assert sum(e["cost"]["micros"] for e in endings) == seconds * SECOND_MICROS
        records = [await customer.record(ending["call_id"]) for ending in endings]
        ends = [datetime.fromisoformat(record["ended_at"]) for record in records]
        assert max(ends) - min(ends) <= timedelta(seconds=1.5)
        assert await customer.balance() == 999


async def test_a_warning_is_taken_back_by_a_top_up(world: World):
    async with (
        customers(world, 12 * SECOND_MICROS) as (customer,),
        world.stores() as stores,
        customer.call(TONE) as phone,
    ):
        warning = await phone.wait("credit-warning", where=lambda e: e["seconds_left"] <= 10)
        assert warning["cause"] == "credit"
        await world.grant(stores, customer.account_id, 100 * SECOND_MICROS)
        cleared = await phone.wait("credit-warning-cleared")
        assert 100 <= cleared["seconds_left"] <= 110
        await phone.hang_up()


async def test_the_spending_limit_of_the_day_ends_a_call_and_bars_the_next(world: World):
    limits = {"day": 12 * SECOND_MICROS, "call": 60 * SECOND_MICROS}
    await within_one_day()
    async with customers(world, 10_000_000) as (customer,):
        async with world.stores() as stores:
            await stores.accounts.set_caps(customer.account_id, limits)
        token = await customer.token(TONE)
        assert token["affordable_seconds"] == 12
        async with contextlib.AsyncExitStack() as stack:
            phone = await started(stack, customer, token)
            warning = await phone.wait("credit-warning", where=lambda e: e["seconds_left"] <= 10)
            assert warning["cause"] == "cap"
            ended = await phone.wait("disconnect")
        assert (ended["ended_by"], ended["cut_off"], ended["seconds"]) == ("limit", "cap", 12)
        assert "spending limit" in ended["message"]
        await customer.record(ended["call_id"])
        reply = await customer.http.post("/v1/call-tokens", json={"destination": TONE})
        assert (reply.status_code, reply.json()["code"]) == (402, "cap_reached")
        assert await customer.balance() == 10_000_000 - 12 * SECOND_MICROS


async def within_one_day() -> None:
    """Return when the next minute lies in one UTC day: at midnight its limit begins anew."""
    left = day_left(datetime.now(UTC))
    if left < timedelta(minutes=1):
        await asyncio.sleep(left.total_seconds())


async def assert_full(world: World, stack: contextlib.AsyncExitStack, other: Customer) -> None:
    """With two calls live, one more fits; the next is refused."""
    tokens = [await other.token(TONE) for _ in range(2)]
    last = await started(stack, other, tokens[0])
    refused = await connected(stack, other, tokens[1])
    assert await refused.refused() == ("gateway_full", 1013)
    assert refused.events[0]["retry"] is True
    ended = await last.hang_up()
    await other.record(ended["call_id"])


async def connected(stack: contextlib.AsyncExitStack, customer: Customer, token: dict) -> Phone:
    """Send a token; the socket lasts as long as the stack."""
    phone = await stack.enter_async_context(customer.connect(token["media_url"]))
    await phone.send(type="start", version=1, token=token["token"])
    return phone


async def started(stack: contextlib.AsyncExitStack, customer: Customer, token: dict) -> Phone:
    """Start a call and wait for its answer."""
    phone = await connected(stack, customer, token)
    await phone.wait("accept")
    return phone


async def test_sockets_that_came_and_went_take_no_place(narrow: World):
    async with customers(narrow, 10_000_000) as (customer,):
        url = (await customer.token())["media_url"]
        for _ in range(2 * narrow.settings.calls_max):
            async with customer.connect(url):
                pass
        await customer.ordinary_call()
