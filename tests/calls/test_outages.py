"""Stores that die, stall or stay away: running calls go on as they may, no money is lost."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.calls.world import ECHO, Customer, Phone, World, eventually
from tests.tcp_server import tcp_server
from tests.valkey import ValkeyServer

REST = "/v1/call-tokens"


async def seconds_pass(phone: Phone, count: int) -> None:
    """Wait until the call has cost some more seconds."""
    costs = [e["seconds"] for e in phone.events if e["type"] == "cost"]
    due = max(costs, default=0) + count
    await phone.wait("cost", count + 20, where=lambda e: e["seconds"] >= due)


async def live_call(customer: Customer, stack: contextlib.AsyncExitStack) -> tuple[Phone, str]:
    """Place a call that has cost something; return its phone and its id."""
    phone = await stack.enter_async_context(customer.call())
    await phone.wait("accept")
    await seconds_pass(phone, 1)
    return phone, phone.events[0]["call_id"]


async def assert_charged(customer: Customer, call_id: str, *, before: int) -> dict:
    """The call is recorded, and the account has paid for its seconds and nothing else."""
    record = await customer.record(call_id)
    assert record["cost"]["micros"] == 1000 * record["seconds"]
    assert await customer.balance() == before - record["cost"]["micros"]
    return record


async def test_a_credit_store_and_then_a_gateway_are_killed_in_mid_call(
    new_world: Callable[..., World],
):
    world = new_world()
    await asyncio.to_thread(world.start_gateway)
    customer = await world.new_customer()
    async with contextlib.AsyncExitStack() as stack:
        phone, call_id = await live_call(customer, stack)
        async with world.stores() as stores:
            server_pid = (await stores.redis.info("server"))["process_id"]
        os.kill(server_pid, signal.SIGKILL)
        await seconds_pass(phone, 3)
        await phone.speak([b"\x7f" * 160] * 10)
        ended = await phone.hang_up()
        assert ended["seconds"] >= 4
    assert (await assert_charged(customer, call_id, before=10_000_000))["cause"] == 16
    before = await customer.balance()
    async with contextlib.AsyncExitStack() as stack:
        phone, call_id = await live_call(customer, stack)
        await seconds_pass(phone, 1)
        sid = await customer.carrier_call_id(call_id)
        assert world.gateway is not None
        world.gateway.popen.kill()
        world.gateway.popen.wait()
        assert await phone.wait_closed() == 1006
    await asyncio.to_thread(world.start_gateway)
    record = await assert_charged(customer, call_id, before=before)
    assert (record["cause"], record["ended_by"]) == (41, "gateway")
    assert 1 <= record["seconds"] <= 12

    await eventually(lambda: world.is_over(sid))
    await customer.ordinary_call()
    await world.assert_books_balance()
    await customer.http.aclose()


class Wire:
    """Stands between the gateway and its store, and can lose one answer."""

    def __init__(self, server: ValkeyServer) -> None:
        self._server = server
        self.lose_answer_to = b""
        """Text of the request whose answer is lost; cleared when that has happened."""

    @contextlib.asynccontextmanager
    async def carrying(self) -> AsyncIterator[str]:
        """Carry; yield the URL to connect to."""
        async with tcp_server(self._serve) as port:
            yield f"redis://127.0.0.1:{port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_unix_connection(str(self._server.socket))
        back = asyncio.create_task(self._carry(answers, writer))
        try:
            while data := await reader.read(65536):
                if self.lose_answer_to and self.lose_answer_to in data:
                    self.lose_answer_to = b""
                    back.cancel()
                requests.write(data)
                await requests.drain()
        finally:
            back.cancel()
            requests.close()

    @staticmethod
    async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()


@pytest.fixture
def own_server() -> Iterator[ValkeyServer]:
    """A store that the test may stop."""
    server = ValkeyServer().start()
    yield server
    server.close()


@pytest.fixture
async def outer(
    new_world: Callable[..., World], own_server: ValkeyServer
) -> AsyncIterator[tuple[World, Wire, ValkeyServer]]:
    """A gateway whose credits are in a server of its operator's."""
    wire = Wire(own_server)
    async with wire.carrying() as url:
        world = new_world(CALLER_REDIS_URL=url, CALLER_PREPAID_HORIZON_S="2", CALLER_GRACE_S="1")
        await asyncio.to_thread(world.start_gateway)
        yield world, wire, own_server
        own_server.resume()  # a test that failed may have left it paused
        await world.assert_books_balance()
        assert world.gateway is not None
        assert await asyncio.to_thread(world.gateway.terminate) == 0


async def test_a_credit_store_that_stalls(outer: tuple[World, Wire, ValkeyServer]):
    world, _, server = outer
    customer, operator = await world.new_customer(), await world.new_operator()
    async with contextlib.AsyncExitStack() as stack:
        phone, call_id = await live_call(customer, stack)
        sid = await customer.carrier_call_id(call_id)
        waiting = await customer.token()
        server.pause()
        await seconds_pass(phone, 1)
        server.resume()
        # Longer than horizon and grace together: what was away is back and paid.
        await seconds_pass(phone, 4)
        token = await customer.token()
        server.pause()
        paused = time.monotonic()
        await asyncio.gather(
            assert_refused(customer, token), assert_refused(customer, waiting), no_token(customer)
        )
        ended = await phone.wait("disconnect")
        assert time.monotonic() - paused < 2 + 1 + 3
        assert (ended["cause"], ended["ended_by"]) == (41, "gateway")
        await eventually(lambda: world.is_over(sid))
        assert (await customer.http.get("/healthz")).status_code == 200
        code, ready = await world.readiness(operator)
        assert (code, ready["status"], ready["redis"]) == (503, "unready", "unreachable")
        public = await customer.http.get("/readyz")
        assert (public.status_code, public.json()) == (503, {"status": "unready"})
        server.resume()
    record = await assert_charged(customer, call_id, before=10_000_000)
    assert record["seconds"] == ended["seconds"] >= 6
    await customer.ordinary_call()
    await customer.http.aclose()


async def assert_refused(customer: Customer, token: dict) -> None:
    """A good token starts nothing while credits cannot be checked."""
    async with customer.connect(token["media_url"]) as phone:
        await phone.send(type="start", version=1, token=token["token"])
        assert await phone.refused() == ("store_unavailable", 1013)
        assert phone.events[0]["retry"] is True


async def no_token(customer: Customer) -> None:
    """No token is to be had, and the reply says when to try again."""
    reply = await customer.http.post(REST, json={"destination": ECHO})
    assert (reply.status_code, reply.json()["code"]) == (503, "store_unavailable")
    assert reply.headers["retry-after"]


async def test_a_hold_whose_answer_is_lost_is_given_back(
    outer: tuple[World, Wire, ValkeyServer],
):
    world, wire, _ = outer
    customer = await world.new_customer()
    await customer.ordinary_call()
    before = await customer.balance()
    async with customer.connect((token := await customer.token())["media_url"]) as phone:
        # The opening of a call is the only script that names its destination.
        wire.lose_answer_to = b'"destination":"+15005551000"'
        await phone.send(type="start", version=1, token=token["token"])
        assert await phone.refused() == ("store_unavailable", 1013)
    assert wire.lose_answer_to == b""

    async def is_given_back() -> bool:
        return await customer.balance() == before

    await eventually(is_given_back, 20)
    await customer.ordinary_call()
    await customer.http.aclose()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep every other writer out of an SQLite database."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def test_calls_are_recorded_late_when_the_database_is_away(new_world: Callable[..., World]):
    # Its own SQLite, whose lock keeps everybody else from writing.
    world = new_world()
    await asyncio.to_thread(world.start_gateway)
    customer = await world.new_customer()
    async with contextlib.AsyncExitStack() as stack:
        phone, _ = await live_call(customer, stack)
        with locked(world.settings.data_dir / "caller.db"):
            async with customer.call() as other:
                await other.wait("accept")
                second = await other.hang_up()
            ended = await phone.hang_up()
            address = f"/v1/calls/{second['call_id']}"

            async def is_ended() -> bool:
                return bool((await customer.http.get(address)).json()["state"] == "ended")

            # Told from the outbox meanwhile, whole.
            await eventually(is_ended)
            shown = (await customer.http.get(address)).json()
            # Long enough for an attempt to book to have failed.
            await seconds_of_failure(world)
    for one in (ended, second):
        record = await customer.record(one["call_id"])
        assert (record["cost"], record["cause"]) == (one["cost"], 16)
    assert (await customer.http.get(address)).json() == shown
    await customer.http.aclose()


async def seconds_of_failure(world: World) -> None:
    """Wait until the gateway's log says that the books could not be written."""
    assert world.gateway is not None
    log = world.gateway.log

    async def is_told() -> bool:
        return "outbox not drained" in log.read_text()

    await eventually(is_told, 20)
