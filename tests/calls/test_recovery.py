"""What kills a call's node, its credit store or its books: real processes, real signals.

Whatever dies, a call is charged once and for what it lasted, and ends at the carrier.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import msgspec
import pytest

from billing.cdr import CallClosed, CallOpened
from billing.ports import Closing, Opening
from billing.rating import Rate
from billing.stores.audit import audit
from billing.stores.gate_audit import audit_gate
from gateway.stores.opened import Stores
from tests.calls.test_logs import lines
from tests.calls.test_outages import live_call, locked, seconds_pass
from tests.calls.world import Customer, Phone, World, eventually
from tests.valkey import ValkeyServer

CREDIT = 10_000_000
SETTLED, SETTLED_ELSEWHERE = "call settled", "call was settled by another node"
RINGS_ON = "+15005551005"
"""Nobody answers it."""
SETTLE_TIMEOUT_S = 60
"""Lease, suspicion and a sweep, with room for a busy machine."""


@pytest.fixture
def own_server() -> Iterator[ValkeyServer]:
    """A store that the test may kill and empty; each write goes to the kernel at once."""
    server = ValkeyServer("--appendfsync", "no").start()
    yield server
    server.close()


@dataclass
class Cluster:
    """Nodes that share a credit store and a book of record."""

    server: ValkeyServer
    make: Callable[..., World]
    url: str

    def make_named(self, name: str, **changes: str) -> World:
        """Return one more node, which has not been started."""
        return self.make(
            CALLER_NODE=name,
            CALLER_REDIS_URL=self.server.url,
            CALLER_DATABASE_URL=self.url,
            # What our faults cost is given back; here it must be seen.
            CALLER_REFUNDS_DAY_MAX="0",
            **changes,
        )

    async def node(self, name: str, **changes: str) -> World:
        """Start one more node."""
        world = self.make_named(name, **changes)
        await asyncio.to_thread(world.start_gateway)
        return world


@pytest.fixture
def cluster(new_world: Callable[..., World], own_server: ValkeyServer, tmp_path: Path) -> Cluster:
    return Cluster(own_server, new_world, f"sqlite:///{tmp_path / 'book.db'}")


@contextlib.asynccontextmanager
async def at(world: World, customer: Customer) -> AsyncIterator[Customer]:
    """A customer of one node, at another."""
    headers = {"authorization": f"Bearer {customer.key}"}
    async with httpx.AsyncClient(base_url=world.base, headers=headers) as http:
        yield replace(customer, world=world, http=http)


async def assert_all_agree(world: World) -> None:
    """Book, ledger and credit store agree, here and now."""
    async with world.stores() as stores:
        assert await audit(stores.engine) == []
        assert await audit_gate(stores.gate, stores.engine) == []


async def assert_over_at_carrier(world: World, record: dict) -> None:
    await eventually(lambda: world.is_over(record["carrier_call_id"]), 20)


async def assert_times(world: World, record: dict, phone: Phone) -> None:
    """The answer is the one that the page was told, and the end is the carrier's."""
    (accept,) = [event for event in phone.events if event["type"] == "accept"]
    answered_at, ended_at = (
        datetime.fromisoformat(at) for at in (accept["at"], record["ended_at"])
    )
    assert datetime.fromisoformat(record["answered_at"]) == answered_at
    state = await world.carrier_get(f"/calls/{record['carrier_call_id']}")
    # It tells the second.
    over_at = datetime.fromtimestamp(state["ended_at_ns"] // 10**9, UTC)
    assert ended_at == max(over_at, answered_at + timedelta(seconds=record["seconds"]))


async def test_calls_of_a_killed_and_of_a_frozen_node_are_settled_once_by_another(cluster: Cluster):
    sweeping = await cluster.node("n1")
    killed, frozen = await cluster.node("n2"), await cluster.node("n3")
    one, other = await sweeping.new_customer(), await sweeping.new_customer()
    async with (
        contextlib.AsyncExitStack() as stack,
        at(killed, one) as at_killed,
        at(frozen, other) as at_frozen,
    ):
        lost, lost_id = await live_call(at_killed, stack)
        stalled, stalled_id = await live_call(at_frozen, stack)
        # Each by its own node: one is no clock of the other.
        await seconds_pass(lost, 2)
        await seconds_pass(stalled, 2)
        assert killed.gateway is not None
        assert frozen.gateway is not None
        frozen.gateway.popen.send_signal(signal.SIGSTOP)
        killed.gateway.popen.kill()
        killed.gateway.popen.wait()
        died = time.monotonic()
        # Money may come and calls may begin meanwhile, and nothing disagrees.
        await one_more_call(sweeping, one)
        await assert_all_agree(sweeping)
        records = [
            await one.record(lost_id, SETTLE_TIMEOUT_S),
            await other.record(stalled_id, SETTLE_TIMEOUT_S),
        ]
        assert time.monotonic() - died < 20 + 10 + 5 + 10
        for record in records:
            assert (record["cause"], record["ended_by"]) == (41, "gateway")
            assert record["carrier_call_id"]
            assert 2 <= record["seconds"] <= 20
            assert record["cost"]["micros"] == 1000 * record["seconds"]
            await assert_over_at_carrier(sweeping, record)
        for record, phone in zip(records, (lost, stalled), strict=True):
            await assert_times(sweeping, record, phone)
        assert records[0]["seconds"] <= records[0]["carrier_seconds"]
        before = await other.balance()
        frozen.gateway.popen.send_signal(signal.SIGCONT)
        # The node that was only slow learns that its call is over, and charges nothing more.
        await eventually(lambda: has_no_calls(frozen), 20)
        assert await other.record(stalled_id) == records[1]
        assert await other.balance() == before == CREDIT - records[1]["cost"]["micros"]
        # Its price is logged where it was posted, once, and the other node says that it was.
        posted = {"seconds": records[1]["seconds"], "cost_micros": records[1]["cost"]["micros"]}
        for node, events in ((sweeping, [SETTLED]), (frozen, [SETTLED_ELSEWHERE])):
            assert node.gateway is not None
            written = [
                line
                for line in lines(node.gateway.log)
                if line.get("call_id") == stalled_id and "settled" in line["event"]
            ]
            assert [line["event"] for line in written] == events
            assert {name: written[0][name] for name in posted} == posted
    await assert_all_agree(sweeping)
    await sweeping.assert_books_balance()
    await one.http.aclose()
    await other.http.aclose()


async def test_a_phone_that_rings_at_a_killed_node_is_hung_up_by_another(cluster: Cluster):
    sweeping = await cluster.node("n1")
    killed = await cluster.node("n2", CALLER_RING_TIMEOUT_S="60")
    customer = await sweeping.new_customer()
    # The store has proved itself to the node that stays.
    await asyncio.sleep(10)
    async with at(killed, customer) as at_killed, at_killed.call(RINGS_ON) as phone:
        await phone.wait("ringing")
        call_id = phone.events[0]["call_id"]
        assert killed.gateway is not None
        killed.gateway.popen.kill()
        killed.gateway.popen.wait()
        record = await customer.record(call_id, SETTLE_TIMEOUT_S)
    assert (record["cause"], record["seconds"], record["answered_at"]) == (41, 0, None)
    state = await sweeping.carrier_get(f"/calls/{record['carrier_call_id']}")
    assert state["status"] == "canceled", "not left to ring until its own time-out"
    await customer.http.aclose()


async def is_booked(customer: Customer, call_id: str) -> bool:
    """Tell whether a call of another node is in the book, by which alone it is known here."""
    return (await customer.http.get(f"/v1/calls/{call_id}")).is_success


@pytest.mark.parametrize("killed_after_s", [0, 6])
async def test_phones_of_a_node_killed_after_a_flush_are_hung_up_by_another(
    cluster: Cluster, killed_after_s: int
):
    sweeping = await cluster.node("n1")
    killed = await cluster.node("n2", CALLER_RING_TIMEOUT_S="120")
    customer = await sweeping.new_customer()
    async with contextlib.AsyncExitStack() as stack:
        at_killed = await stack.enter_async_context(at(killed, customer))
        ringing = await stack.enter_async_context(at_killed.call(RINGS_ON))
        await ringing.wait("ringing")
        talking, talking_id = await live_call(at_killed, stack)
        await seconds_pass(talking, 2)
        calls = (ringing.events[0]["call_id"], talking_id)
        for call_id in calls:
            await eventually(partial(is_booked, customer, call_id))
        cluster.server.command("FLUSHALL")
        await asyncio.sleep(killed_after_s)
        assert killed.gateway is not None
        killed.gateway.popen.kill()
        killed.gateway.popen.wait()
        records = [await customer.record(call_id, SETTLE_TIMEOUT_S) for call_id in calls]
    assert [record["cause"] for record in records] == [41, 41]
    await assert_over_at_carrier(sweeping, records[1])
    state = await sweeping.carrier_get(f"/calls/{records[0]['carrier_call_id']}")
    assert state["status"] == "canceled", "not left to ring until its own time-out"
    await customer.http.aclose()


async def one_more_call(world: World, customer: Customer) -> None:
    async with world.stores() as stores:
        await world.grant(stores, customer.account_id, 1_000_000)
    await customer.ordinary_call()


async def has_no_calls(world: World) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return (await world.figures())["caller_calls"] == 0
    return False


async def test_a_call_outlives_the_loss_of_all_credits(cluster: Cluster):
    """The store is emptied twice: once all of the call is booked, and once nothing of it is."""
    world = await cluster.node("n1")
    customer = await world.new_customer()
    async with contextlib.AsyncExitStack() as stack:
        phone, call_id = await live_call(customer, stack)
        await seconds_pass(phone, 1)
        assert cluster.server.command("FLUSHALL") == b"+OK\r\n"
        # Longer than a call may go on unpaid: horizon and grace.
        await seconds_pass(phone, 15)
        async with customer.call() as second:
            await second.wait("accept")
            assert cluster.server.command("FLUSHALL") == b"+OK\r\n"
            await seconds_pass(second, 15)
            await assert_all_agree(world)
            ends = [await phone.hang_up(), await second.hang_up()]
    records = [await customer.record(call_id), await customer.record(ends[1]["call_id"])]
    for record, ended in zip(records, ends, strict=True):
        assert (record["cause"], record["ended_by"]) == (16, "caller")
        assert record["cost"] == ended["cost"]
        assert record["seconds"] >= 15
    total = sum(record["cost"]["micros"] for record in records)
    assert await customer.balance() == CREDIT - total
    await world.assert_books_balance()
    await assert_all_agree(world)
    await customer.http.aclose()


async def test_a_call_outlives_a_crash_of_the_credit_store(cluster: Cluster):
    world = await cluster.node("n1")
    customer, operator = await world.new_customer(), await world.new_operator()
    async with contextlib.AsyncExitStack() as stack:
        phone, call_id = await live_call(customer, stack)
        cluster.server.kill()
        await seconds_pass(phone, 5)
        code, ready = await world.readiness(operator)
        assert (code, ready["redis"]) == (503, "unreachable")
        await asyncio.to_thread(cluster.server.start)
        await seconds_pass(phone, 15)
        ended = await phone.hang_up()
    record = await customer.record(call_id)
    assert (record["cause"], record["cost"]) == (16, ended["cost"])
    assert await customer.balance() == CREDIT - record["cost"]["micros"]
    await world.assert_books_balance()
    await assert_all_agree(world)
    await customer.http.aclose()


async def test_a_full_outbox_gives_the_alarm_and_takes_no_calls_away(
    new_world: Callable[..., World],
):
    world = new_world(CALLER_OUTBOX_ALARM="100")
    await asyncio.to_thread(world.start_gateway)
    customer, operator = await world.new_customer(), await world.new_operator()
    async with world.stores() as stores, contextlib.AsyncExitStack() as stack:
        phone, call_id = await live_call(customer, stack)
        with locked(world.settings.data_dir / "caller.db"):
            for n in range(60):
                await short_call(stores, customer.account_id, f"short{n}")
            await eventually(lambda: outbox_is(world, operator, "alarm"), 30)
            await customer_may_call(customer)
            await seconds_pass(phone, 1)
        await eventually(lambda: outbox_is(world, operator, "ok"), 90)
        ended = await phone.hang_up()
    assert (await customer.record(call_id))["cost"] == ended["cost"]
    assert world.gateway is not None
    assert world.gateway.log.read_text().count('"event": "outbox too long"') == 1
    await world.assert_books_balance()
    await assert_all_agree(world)
    await customer.http.aclose()


async def short_call(stores: Stores, account_id: str, call_id: str) -> None:
    """Open and close a call at the spend gate, as a node does."""
    rate = Rate(per_minute_micros=60_000)
    now = datetime.now(UTC)
    answered_at = now - timedelta(seconds=1)
    opened = CallOpened(
        call_id=call_id,
        account_id=account_id,
        node="n1",
        destination="+15005551000",
        country="US",
        codec="pcmu",
        origin="",
        currency="USD",
        rate=rate.to_json(),
        created_at=answered_at,
    )
    closed = CallClosed(
        answered_at=answered_at,
        ended_at=now,
        seconds=1,
        cause=16,
        cause_name="NORMAL_CLEARING",
        ended_by="caller",
    )
    detail = msgspec.json.encode(opened)
    await stores.gate.open(Opening(call_id, account_id, "n1", 0, rate.cost(8), 100, detail))
    await stores.gate.close(
        Closing(call_id, account_id, rate.cost(1), 1, msgspec.json.encode(closed))
    )


async def outbox_is(world: World, operator: Mapping[str, str], state: str) -> bool:
    code, ready = await world.readiness(operator)
    assert code == 200
    return ready["outbox"] == state


async def customer_may_call(customer: Customer) -> None:
    async with customer.call() as phone:
        await phone.wait("accept")
        await phone.hang_up()
