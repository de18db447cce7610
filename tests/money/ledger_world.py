"""A small world of money: nodes that charge calls, a real spend gate, a real book of record.

Nodes are the gateway's own meter, charging, heartbeat and reconciler; only the phones, the carrier
and the clock are played. A second passes when a test says so, and all that is due in it is done
before the next. Knows no audio and no socket of a browser.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.cdr import CallClosed, CallOpened, EndedBy
from billing.drain import Drainer
from billing.ports import Tick, TickOutcome
from billing.rating import Rate
from billing.stores import tables
from billing.stores.audit import audit
from billing.stores.gate_audit import audit_gate
from billing.stores.redis import RedisSpendGate, connect, disconnect
from billing.stores.refill import SqlPositions
from billing.stores.sql import SqlCdrStore, SqlLedgerStore
from database.errors import StoreUnavailableError
from gateway.browser import messages as wire
from gateway.browser.reports import WallClock
from gateway.call.machine import Ended, Event, HoldPlaced, HoldRefused
from gateway.cause import Cause
from gateway.charging.call_charge import CallCharge
from gateway.charging.closings import Closings
from gateway.charging.context import CallContext, ChargeServices
from gateway.charging.reconcile import Reconciler
from gateway.charging.recovery import bring_credits, fill_gate
from gateway.charging.rounds import GROUPS, Metering
from gateway.heartbeat.ticker import Ticker
from gateway.nanoseconds import SECOND_NS
from gateway.ports import CallOrder
from gateway.settings import Settings

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
CENT = 10_000
UNIT = 100 * CENT
CENT_A_SECOND = Rate(per_minute_micros=60 * CENT)
PARTITIONS = 4
HORIZON_S, GRACE_S = 8, 6
_T = TypeVar("_T")


class RepeatingGate(RedisSpendGate):
    """A gate whose client says everything as often as it is told to, and remembers what it said."""

    repeats = 1

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.said: list[Mapping[int, Sequence[Tick]]] = []

    async def tick_all(
        self, claims: Mapping[int, Sequence[Tick]]
    ) -> Mapping[int, TickOutcome | StoreUnavailableError]:
        self.said.append(claims)
        for _ in range(self.repeats - 1):
            await super().tick_all(claims)
        return await super().tick_all(claims)


class PhoneCall:
    """A call that is answered and heard as soon as it is paid for."""

    def __init__(
        self, node: Node, call_id: str, account_id: str, order: CallOrder, *, is_heard: bool
    ) -> None:
        world = node.world
        self.call_id, self.account_id, self.rate = call_id, account_id, Rate.from_json(order.rate)
        self.node = node
        self.is_live = False
        self.is_heard = is_heard
        self.end: Ended | None = None
        self.answered_ns = self.ended_ns = 0
        self.opened = CallOpened(
            call_id=call_id,
            account_id=account_id,
            node=node.name,
            destination=order.destination,
            country=order.country,
            codec=order.codec,
            origin="",
            currency=order.currency,
            rate=order.rate,
            created_at=world.date(),
            key_id=order.key_id,
        )
        self._wall = WallClock(world.now_ns, world.date())
        context = CallContext(self.opened, order, self._wall, node.services, self)
        self.charge = CallCharge(context)

    @property
    def seconds(self) -> int:
        """How long the call truly was, in seconds begun."""
        return -((self.answered_ns - self.ended_ns) // SECOND_NS)

    @property
    def refusal(self) -> str:
        """Why it was refused, empty for a call that took place."""
        return self.charge.refusal

    def hang_up(self) -> None:
        """The caller ends the call now."""
        self._over(Ended(Cause.NORMAL_CLEARING, "caller"), self.node.world.now_ns)

    def receive(self, event: Event, at_ns: int | None = None) -> None:
        """Take what its money makes happen."""
        now_ns = self.node.world.now_ns
        if isinstance(event, HoldPlaced):
            self.is_live, self.answered_ns = True, now_ns
            self.node.calls[self.call_id] = self
            self.charge.start(now_ns)
            if self.is_heard:
                self.charge.heard()
        elif isinstance(event, Ended):
            self._over(event, now_ns if at_ns is None else at_ns)
        else:
            assert isinstance(event, HoldRefused)

    def _over(self, end: Ended, at_ns: int) -> None:
        if not self.is_live:
            return
        self.is_live, self.end, self.ended_ns = False, end, at_ns
        del self.node.calls[self.call_id]
        self.charge.stop(at_ns)
        self.node.world.spawn(self.charge.settle())

    def warn(self, _message: wire.CreditWarning | wire.CreditWarningCleared) -> None:
        """Nobody hears warnings."""

    def closed(self, seconds: int) -> CallClosed:
        """Return what is kept of the call."""
        cause, ended_by = Cause.NORMAL_TEMPORARY_FAILURE, _BY_GATEWAY
        if self.end is not None:
            cause, ended_by = self.end.cause, self.end.ended_by
        return CallClosed(
            answered_at=self._wall.date(self.answered_ns) if self.answered_ns else None,
            ended_at=self._wall.date(self.ended_ns or self.node.world.now_ns),
            seconds=seconds,
            cause=cause,
            cause_name=cause.name,
            ended_by=ended_by,
        )


_BY_GATEWAY: EndedBy = "gateway"


class Node:
    """One process of the gateway, as far as money is concerned."""

    def __init__(self, world: World, name: str, url: str, settings: Settings) -> None:
        self.world, self.name = world, name
        self.settings = replace(settings, node=name)
        self.client = connect(url)
        self.gate = RepeatingGate(self.client, world.partitions, timeout_s=world.timeout_s)
        self.ticker = Ticker(world.clock_ns)
        self.metering = Metering(self.gate, world.clock_ns)
        self.closings = Closings(self.gate, SqlCdrStore(world.engine))
        self.services = ChargeServices(
            settings=self.settings,
            gate=self.gate,
            metering=self.metering,
            ticker=self.ticker,
            spawn=world.spawn,
            keep=self.closings.keep,
        )
        self.calls: dict[str, PhoneCall] = {}
        self.is_running = True

    def begin_second(self) -> None:
        """Do what the heartbeat does at the beginning of a second: cut what is not paid for."""
        self.ticker.beat(self.world.now_ns)

    async def round(self) -> None:
        """Charge all calls once, as the meter does each second."""
        for group in range(GROUPS):
            self.metering._begin_rounds(group)
        if rounds := set(self.metering._rounds.values()):
            await asyncio.wait(rounds)

    async def turn_to(self, url: str) -> None:
        """Use another server from now on, as a client of sentinels does after a failover."""
        await disconnect(self.client)
        self.client = self.gate._redis = connect(url)


class World:
    """Nodes, one spend gate, one book, one drainer, one reconciler, and the time."""

    def __init__(
        self,
        url: str,
        engine: AsyncEngine,
        *,
        nodes: int = 1,
        partitions: int = PARTITIONS,
        timeout_s: float = 5.0,
        **settings: Any,
    ) -> None:
        self.now_ns = 1_000 * SECOND_NS
        self.is_in_turn = False
        """Whether nodes charge one after another, so that a random schedule can be replayed."""
        self.skew = timedelta()
        """How much the wall clock is wrong."""
        self.engine = engine
        self.partitions = partitions
        self.timeout_s = timeout_s
        self.calls: list[PhoneCall] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sleepers: dict[asyncio.Task[Any], tuple[int, asyncio.Future[None]]] = {}
        self._moved = asyncio.Event()
        self._faults: list[BaseException] = []
        knobs = {"account_calls_max": 100} | settings
        self.nodes = [Node(self, f"n{i}", url, Settings(**knobs)) for i in range(nodes)]
        self.book = SqlLedgerStore(engine, clock=self.date)
        self.records = SqlCdrStore(engine)
        self._office = Node(self, "office", url, Settings(**knobs))
        self.gate = self._office.gate
        """What the drainer, the reconciler and the audits use."""
        self.drainer = Drainer(self.gate, self.book, partitions)
        self.reconciler = Reconciler(
            self.gate,
            self.book,
            self.records,
            SqlPositions(engine),
            partitions=partitions,
            drain=self.drainer.drain_once,
        )

    # Time.

    def clock_ns(self) -> int:
        """Return the monotonic time of all nodes."""
        return self.now_ns

    def date(self) -> datetime:
        """Return what the wall clock shows."""
        return START + timedelta(microseconds=self.now_ns // 1_000) + self.skew

    async def pass_seconds(self, count: int = 1) -> None:
        """Let seconds pass on every node that runs."""
        for _ in range(count):
            await self.leap(1)

    async def leap(self, seconds: int) -> None:
        """Let time pass in which no node does anything, and then do all that is due."""
        self.now_ns += seconds * SECOND_NS
        self._wake_sleepers()
        await self.calm()
        running = [node for node in self.nodes if node.is_running]
        for node in running:
            node.begin_second()
        await self.calm()
        if self.is_in_turn:
            for node in running:
                await node.round()
        else:
            await asyncio.gather(*(node.round() for node in running))
        await self.calm()

    async def sleep(self, delay_s: float) -> None:
        """Sleep in this world's time; for the tasks of calls only."""
        task = asyncio.current_task()
        assert task is not None
        due_ns = self.now_ns + int(delay_s * SECOND_NS)
        future = asyncio.get_running_loop().create_future()
        self._sleepers[task] = due_ns, future
        self._moved.set()
        await future

    def asyncio_in_world_time(self) -> SimpleNamespace:
        """Return asyncio with this world's sleep, for the modules of the gateway that wait."""
        return SimpleNamespace(**{**vars(asyncio), "sleep": self.sleep})

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine of a call in the background."""
        self.begin(work)

    def begin(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Run a coroutine, for whose next sleep the world waits."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    async def calm(self) -> None:
        """Wait until all work is done, or waits for time to pass."""
        while self._tasks - self._sleepers.keys():
            self._moved.clear()
            await self._moved.wait()

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._sleepers.pop(task, None)
        self._moved.set()
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._faults.append(fault)

    def _wake_sleepers(self) -> None:
        for task, (due_ns, future) in list(self._sleepers.items()):
            if due_ns <= self.now_ns:
                del self._sleepers[task]
                if not future.done():
                    future.set_result(None)

    # What happens in it.

    async def open_accounts(self, **credits: int) -> None:
        """Open accounts with some credit each, and fill the gate."""
        async with self.engine.begin() as connection:
            rows = [tables.new_account(name, "USD", START) for name in credits]
            await connection.execute(sa.insert(tables.accounts), rows)
        for name, micros in credits.items():
            if micros:
                await self.book.add_credit(name, micros, reference=f"seed-{name}", kind="grant")
        await fill_gate(self.gate, self.book, self.partitions, self.drainer.drain_once)

    async def credit(
        self, account_id: str, micros: int, reference: str, kind: str = "top-up"
    ) -> int | None:
        """Book a credit, bring it to the gate and charge the account's calls at once."""
        sequence = await self.book.add_credit(account_id, micros, reference=reference, kind=kind)
        await bring_credits(self.gate, self.book, account_id)
        for node in self.nodes:
            await node.metering.charge_now(account_id)
        await self.calm()
        return sequence

    async def call(
        self, call_id: str, account_id: str = "alice", *, node: int = 0, **terms: Any
    ) -> PhoneCall:
        """Place a call; it is answered at once, or refused, and heard unless the test says not."""
        is_heard = terms.pop("is_heard", True)
        rate = terms.pop("rate", CENT_A_SECOND)
        order = CallOrder(
            account_id=account_id,
            destination="+15005551000",
            country="US",
            codec="pcmu",
            origin="",
            currency="USD",
            rate=rate.to_json(),
            rate_description="",
            **terms,
        )
        call = PhoneCall(self.nodes[node], call_id, account_id, order, is_heard=is_heard)
        self.calls.append(call)
        await call.charge.place_hold()
        return call

    async def hang_up(self, *calls: PhoneCall) -> None:
        """End calls, and settle them if the gate is there."""
        for call in calls:
            call.hang_up()
        await self.calm()

    async def reconcile(self) -> None:
        """Compare every partition, as the rounds of a minute do."""
        for _ in range(self.partitions):
            await self.reconciler.round()
        await self.calm()

    async def turn_to(self, url: str) -> None:
        """Let everybody use another server."""
        for node in (*self.nodes, self._office):
            await node.turn_to(url)

    def crash(self, node: int) -> None:
        """End a node with nothing said to anybody: it charges and cuts no more."""
        self.nodes[node].is_running = False

    @property
    def live(self) -> list[PhoneCall]:
        """Calls that go on, in the order they began."""
        return [call for call in self.calls if call.is_live]

    @property
    def is_settled(self) -> bool:
        """Whether no work of a call waits for a store to come back."""
        return not self._tasks

    # What must be true of it.

    async def findings(self) -> list[str]:
        """Return what the audits of the book, and of the gate against the book, find."""
        return [
            *await audit(self.engine),
            *await audit_gate(self.gate, self.engine, self.partitions, clock=self.date),
        ]

    async def lowest_balance(self) -> int:
        """Return the lowest balance in the gate."""
        states = [await self.gate.snapshot(p) for p in range(self.partitions)]
        return min(balance for state in states for _, balance, _ in state.accounts)

    async def wrong_charges(self) -> list[tuple[str, int, int]]:
        """Return the ended calls not charged for just their time: id, booked, price in micros.

        What was written off counts as booked.
        """
        await self.drainer.drain_once()
        wrong = []
        for call in self.calls:
            if call.end is None:
                continue
            record = await self.records.get_with_forgotten(call.account_id, call.call_id)
            price = call.rate.cost(call.seconds)
            booked = -1
            if record is not None and record.closed is not None:
                booked = record.cost_micros + record.written_off_micros
            if booked != price:
                wrong.append((call.call_id, booked, price))
        return wrong

    async def assert_in_order(self) -> None:
        """All calls have ended: every one is charged exactly, and the books agree."""
        assert [call.call_id for call in self.live] == []
        assert await self.wrong_charges() == []
        assert await self.findings() == []
        assert await self.gate.open_calls() == []
        for account_id in {call.account_id for call in self.calls}:
            assert await self.gate.balance(account_id) == await self.book.balance(account_id)

    async def close(self) -> None:
        """Give back connections; what failed in the background fails the test."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for node in (*self.nodes, self._office):
            await node.metering.stop()
            await disconnect(node.client)
        if self._faults:
            raise self._faults[0]
