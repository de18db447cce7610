"""The meter's rounds: every call is charged each second, whatever the store does meanwhile."""

import asyncio
import itertools

import pytest
from structlog.testing import capture_logs

from billing.errors import MoneyError
from billing.meter import CallMeter, CutOff, MeterState
from billing.ports import Closing, Opening, SpendCap
from billing.rating import Rate
from database.errors import StoreUnavailableError
from gateway.charging.rounds import GROUPS, Metering
from gateway.nanoseconds import SECOND_NS
from tests.gateway.memory_gate import MemorySpendGate
from tests.gateway.stage import CENT
from tests.gateway.virtual_time import virtual_loop

RATE = Rate(per_minute_micros=60 * CENT)
HORIZON_S = 8


class MeteredCall:
    """A call, as far as the meter sees one."""

    def __init__(self, office, call_id, account_id, granted, spend_caps):
        self.office = office
        self.account_id = account_id
        self.meter = CallMeter(call_id, account_id, RATE, granted, seconds_max=3600)
        self.meter.answered(virtual_loop().now_ns)
        self.meter.heard()
        self.charges: list[int | None] = []
        self.settlements = self.reopenings = self.freezes = self.ends = 0
        self.fillings = []
        self.spend_caps = spend_caps

    def caps(self, now_ns):
        return self.spend_caps

    def reopen(self):
        self.reopenings += 1

    def known_in(self, filling):
        self.fillings.append(filling)

    def overdue(self):
        self.ends += 1
        self.office.metering.remove(self)

    def frozen(self):
        self.freezes += 1

    def left_s(self):
        return self.meter.remaining_s(virtual_loop().now_ns)

    def charged(self, balance_micros):
        self.charges.append(balance_micros)

    def settled_elsewhere(self):
        self.settlements += 1


class Office:
    """A gate with an account per partition asked for, and the meter on it."""

    def __init__(self):
        self.gate = MemorySpendGate().fill()
        self.metering = Metering(self.gate, virtual_loop().clock_ns)
        self.metering.start()

    def account(self, partition, credit=100 * CENT):
        name = next(n for n in map(str, range(100_000)) if self.gate.partition(n) == partition)
        self.gate._of(name).balances.setdefault(name, credit)
        return name

    async def call(self, account_id, call_id="c1", *, node="n1", caps=()):
        opening = Opening(
            call_id,
            account_id,
            node,
            CENT,
            HORIZON_S * CENT,
            10,
            b"{}",
            caps=caps,
            per_minute_micros=60 * CENT,
        )
        granted = (await self.gate.open(opening)).granted_micros
        call = MeteredCall(self, call_id, account_id, granted, caps)
        self.metering.add(call)
        return call


@pytest.fixture
async def office():
    office = Office()
    yield office
    await office.metering.stop()


async def test_each_call_is_charged_once_a_second_in_advance(office):
    call = await office.call(office.account(3))
    await asyncio.sleep(10)
    assert len(call.charges) == 10
    assert call.charges[0] - call.charges[-1] == 9 * CENT
    assert call.meter.state is MeterState.RUNNING
    assert call.meter.paid_seconds == 10 + HORIZON_S


async def test_partitions_take_turns_in_eight_groups(office):
    for partition in range(64):
        await office.call(office.account(partition), f"c{partition}")
    times: dict[int, int] = {}
    while len(office.gate.ticks) < 64:
        await asyncio.sleep(0.001)
        for partition, _ticks in office.gate.ticks[len(times) :]:
            times[partition] = virtual_loop().now_ns
    assert sorted(times) == list(range(64))
    by_time: dict[int, set[int]] = {}
    for partition, at_ns in times.items():
        by_time.setdefault(at_ns, set()).add(partition % GROUPS)
    assert len(by_time) == GROUPS
    assert all(len(groups) == 1 for groups in by_time.values())
    moments = sorted(by_time)
    gaps = {round((b - a) / 1e6) for a, b in itertools.pairwise(moments)}
    assert gaps == {125}


async def test_calls_of_a_partition_share_one_round(office):
    one, other = office.account(3), "neighbour"
    while office.gate.partition(other) != 3:
        other += "x"
    office.gate._of(other).balances[other] = 50 * CENT
    calls = [
        await office.call(one, "a"),
        await office.call(other, "b"),
        await office.call(one, "c"),
    ]
    await asyncio.sleep(1)
    ((partition, ticks),) = office.gate.ticks
    assert (partition, {t.call_id for t in ticks}) == (3, {"a", "b", "c"})
    assert calls[0].charges == calls[2].charges
    # Nine cents are held for it, of which the first second is used.
    assert calls[1].charges == [50 * CENT - CENT]


async def test_a_round_under_way_is_not_begun_again(office):
    office.gate.held_back = asyncio.Event()
    slow = await office.call(office.account(3))
    await asyncio.sleep(5)
    assert len(office.gate.ticks) == 1
    office.gate.held_back.set()
    await asyncio.sleep(0.01)
    assert len(slow.charges) == 1
    await asyncio.sleep(1)
    assert len(office.gate.ticks) == 2


async def test_a_slow_partition_does_not_hold_up_another(office):
    office.gate.held_back = held_back = asyncio.Event()
    await office.call(office.account(3), "slow")
    await asyncio.sleep(1)
    office.gate.held_back = None
    quick = await office.call(office.account(4), "quick")
    await asyncio.sleep(3)
    assert len(quick.charges) == 3
    assert [p for p, _ in office.gate.ticks].count(3) == 1
    held_back.set()


async def test_a_call_that_ended_during_a_round_is_left_alone(office):
    office.gate.held_back = asyncio.Event()
    account_id = office.account(3)
    ended, other = await office.call(account_id, "ended"), await office.call(account_id, "other")
    await asyncio.sleep(1)
    office.metering.remove(ended)
    seconds, micros = ended.meter.final(virtual_loop().now_ns)
    await office.gate.close(Closing("ended", account_id, micros, seconds, b"{}"))
    office.gate.held_back.set()
    await asyncio.sleep(0.01)
    assert (ended.charges, ended.settlements) == ([], 0)
    assert len(other.charges) == 1


async def test_a_call_that_was_settled_elsewhere_is_ended(office):
    account_id = office.account(3)
    call, other = await office.call(account_id), await office.call(account_id, "c2")
    await office.gate.close(Closing("c1", account_id, CENT, 1, b"{}"))
    await asyncio.sleep(1)
    assert (call.settlements, call.charges) == (1, [])
    assert len(other.charges) == 1


async def test_a_call_that_the_gate_has_lost_is_opened_again_and_lives_on(office):
    account_id = office.account(3)
    call, other = await office.call(account_id), await office.call(account_id, "c2")
    del office.gate._of(account_id).calls["c1"]
    await asyncio.sleep(2)
    assert (call.reopenings, call.settlements, call.charges) == (2, 0, [None, None])
    assert call.meter.state is MeterState.AWAY
    assert len(other.charges) == 2


async def test_calls_of_a_frozen_account_are_ended(office):
    call, other = await office.call(office.account(3)), await office.call(office.account(4), "c2")
    await office.gate.freeze(call.account_id, True)
    await asyncio.sleep(1)
    assert (call.freezes, call.charges) == (1, [])
    assert (other.freezes, len(other.charges)) == (0, 1)


# What an account's calls may count on.


async def test_calls_of_one_account_count_down_to_the_same_end(office):
    account_id = office.account(3, credit=60 * CENT)
    one = await office.call(account_id)
    await asyncio.sleep(4.5)
    two = await office.call(account_id, "c2")
    await asyncio.sleep(2.02)
    assert abs(one.left_s() - two.left_s()) <= 1
    assert 24 <= two.left_s() <= 27


async def test_calls_on_other_nodes_are_counted_by_their_burn(office):
    account_id = office.account(3, credit=80 * CENT)
    call = await office.call(account_id)
    elsewhere = Metering(office.gate, virtual_loop().clock_ns)
    elsewhere.start()
    office.metering, metering = elsewhere, office.metering
    other = await office.call(account_id, "c2", node="n2")
    await asyncio.sleep(3.5)
    assert abs(call.left_s() - other.left_s()) <= 1
    assert 36 <= call.left_s() <= 38
    office.metering = metering
    await elsewhere.stop()


async def test_a_cap_bounds_what_is_left_for_the_calls_below_it(office):
    account_id = office.account(3)
    capped = await office.call(account_id, caps=(SpendCap("key:k1:day:2026-11-24", 20 * CENT),))
    free = await office.call(account_id, "c2")
    await asyncio.sleep(3)
    assert capped.left_s() < 20 - 3
    assert capped.meter.runs_out_of is CutOff.CAP
    assert free.left_s() > 40
    assert free.meter.runs_out_of is CutOff.CREDIT
    await asyncio.sleep(20)
    assert capped.meter.granted_micros == 20 * CENT
    assert (capped.left_s(), capped.meter.cut_off) == (0, CutOff.CAP)


# Haste.


async def test_credit_that_comes_is_seen_at_once_when_asked_for(office):
    call = await office.call(office.account(3, credit=9 * CENT))
    await asyncio.sleep(3.3)
    await office.gate.credit(call.account_id, 1, 50 * CENT)
    before = call.left_s()
    rounds = len(office.gate.ticks)
    await office.metering.charge_now(call.account_id)
    assert len(office.gate.ticks) == rounds + 1
    assert call.left_s() == before + 50


async def test_only_the_calls_of_the_account_are_charged(office):
    one, other = office.account(3), "neighbour"
    while office.gate.partition(other) != 3:
        other += "x"
    office.gate._of(other).balances[other] = 50 * CENT
    calls = [
        await office.call(one, "a"),
        await office.call(one, "b"),
        await office.call(other, "c"),
    ]
    await office.metering.charge_now(one)
    assert [len(call.charges) for call in calls] == [1, 1, 0]
    await office.metering.charge_now("nobody")
    assert len(office.gate.ticks) == 1


async def test_haste_waits_for_the_round_under_way_and_is_shared(office):
    office.gate.held_back = asyncio.Event()
    call = await office.call(office.account(3))
    await asyncio.sleep(1)
    asked = [asyncio.create_task(office.metering.charge_now(call.account_id)) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert len(office.gate.ticks) == 1
    office.gate.held_back.set()
    await asyncio.gather(*asked)
    assert len(office.gate.ticks) == 2
    assert len(call.charges) == 2


async def test_whoever_gives_up_waiting_does_not_undo_the_claim(office):
    office.gate.held_back = asyncio.Event()
    call = await office.call(office.account(3))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await office.metering.charge_now(call.account_id)
    office.gate.held_back.set()
    await asyncio.sleep(0.01)
    assert len(call.charges) == 1


async def test_stopping_forgets_haste(office):
    office.gate.held_back = asyncio.Event()
    call = await office.call(office.account(3))
    await asyncio.sleep(1)
    asked = asyncio.create_task(office.metering.charge_now(call.account_id))
    await asyncio.sleep(0.01)
    stopping = asyncio.create_task(office.metering.stop())
    await asyncio.sleep(0.01)
    assert asked.done()
    office.gate.held_back.set()
    await stopping
    assert len(office.gate.ticks) == 1


# When all is not well.


async def test_a_short_grant_reaches_the_meter_of_its_call_only(office):
    poor = office.account(3, credit=10 * CENT)
    rich = await office.call(office.account(11), "rich")
    call = await office.call(poor)
    await asyncio.sleep(9.5)
    assert call.meter.state is MeterState.SHORT
    assert call.meter.paid_seconds == 10
    assert call.charges[-1] == 0
    assert rich.meter.state is MeterState.RUNNING


async def test_a_store_that_is_away_is_told_once_and_calls_live_on(office):
    call = await office.call(office.account(3))
    with capture_logs() as logs:
        await asyncio.sleep(2)
        office.gate.is_away = True
        await asyncio.sleep(3)
        assert office.metering.is_gate_away
        assert call.meter.state is MeterState.AWAY
        assert call.charges[-1] is None
        reach_ns = call.meter.cut_off_ns
        await asyncio.sleep(2)
        assert call.meter.cut_off_ns == reach_ns, "grace is given once"
        office.gate.is_away = False
        await asyncio.sleep(1)
    assert not office.metering.is_gate_away
    assert call.meter.state is MeterState.RUNNING
    assert call.charges[-1] is not None
    assert [line["event"] for line in logs] == ["spend gate away", "spend gate back"]


async def test_a_fault_of_one_round_does_not_end_the_rounds(office):
    call = await office.call(office.account(3))
    office.gate.fault = MoneyError("beyond")
    with capture_logs() as logs:
        await asyncio.sleep(3)
    assert len(call.charges) == 2
    assert [line["event"] for line in logs] == ["meter round failed"]


async def test_removing_is_forgiving_and_leaves_nothing_behind(office):
    call = await office.call(office.account(3))
    office.metering.remove(call)
    office.metering.remove(call)
    await asyncio.sleep(3)
    assert office.gate.ticks == []
    assert office.metering._partitions == {}


async def test_a_stalled_loop_catches_up_without_charging_twice(office):
    call = await office.call(office.account(3))
    await asyncio.sleep(2)
    virtual_loop().now_ns += 5 * SECOND_NS
    await asyncio.sleep(1)
    assert call.meter.paid_seconds == 8 + HORIZON_S
    assert office.gate._of(call.account_id).balances[call.account_id] == (100 - 16) * CENT


async def test_stopping_waits_for_the_rounds_under_way(office):
    office.gate.held_back = asyncio.Event()
    call = await office.call(office.account(3))
    await asyncio.sleep(1)
    stopping = asyncio.create_task(office.metering.stop())
    await asyncio.sleep(1)
    assert not stopping.done()
    office.gate.held_back.set()
    await stopping
    assert len(call.charges) == 1


async def test_a_meter_that_was_never_started_stops():
    await Metering(MemorySpendGate(), virtual_loop().clock_ns).stop()


async def test_an_overdue_call_is_ended_and_asks_for_nothing(office):
    account_id = office.account(3)
    call, other = await office.call(account_id), await office.call(account_id, "c2")
    other.meter.granted(None, virtual_loop().now_ns)
    other.meter._granted_micros, other.meter._cut_off_s = 60 * CENT, 60
    await asyncio.sleep(0)
    virtual_loop().now_ns += 20 * SECOND_NS
    await asyncio.sleep(1)
    assert (call.ends, call.charges) == (1, [])
    assert {tick.call_id for _, ticks in office.gate.ticks for tick in ticks} == {"c2"}
    assert other.ends == 0


async def test_each_call_hears_which_filling_the_gate_lives_on(office):
    call = await office.call(office.account(3))
    office.gate._of(call.account_id).filling = "first"
    await asyncio.sleep(2)
    office.gate._of(call.account_id).filling = "second"
    await asyncio.sleep(1)
    assert call.fillings == ["first", "first", "second"]


async def test_a_call_that_no_round_charges_is_reminded_while_the_gate_holds_it(office):
    ringing, talking = [
        await office.call(office.account(3), call_id) for call_id in ("ringing", "talking")
    ]
    office.metering.hold(ringing)
    office.metering.hold(talking)
    office.metering.remove(ringing)
    part = office.gate._of(ringing.account_id)
    part.filling = "another"
    await office.metering.remind()
    assert (ringing.fillings, talking.fillings) == (["another"], [])
    part.is_ready = False
    await office.metering.remind()
    part.is_ready = True
    office.metering.release(ringing.meter.call_id)
    await office.metering.remind()
    assert ringing.fillings == ["another"]


async def test_an_empty_gate_is_told_of_until_it_is_filled(office):
    """Found by a call that is charged, and by one that rings."""
    told = []
    office.metering.on_emptied = lambda: told.append(None)
    talking = await office.call(office.account(3), "talking")
    office.metering.hold(talking)
    await office.metering.remind()
    await asyncio.sleep(1)
    part = office.gate._of(talking.account_id)
    part.is_ready = False
    await asyncio.sleep(1)
    for _ in range(2):
        await office.metering.remind()
    part.is_ready = True
    await office.metering.remind()
    assert len(told) == 2
    office.metering.remove(talking)
    part.is_ready = False
    await office.metering.remind()
    assert len(told) == 3


async def test_a_gate_that_is_only_away_is_not_told_of_as_empty(office):
    told = []
    office.metering.on_emptied = lambda: told.append(None)
    await office.call(office.account(3), "talking")
    office.gate.is_away = True
    await asyncio.sleep(1)
    with pytest.raises(StoreUnavailableError):
        await office.metering.remind()
    office.gate.is_away = False
    await office.metering.remind()
    assert told == []


async def test_nobody_is_asked_where_no_call_waits(office):
    office.gate.is_away = True
    await office.metering.remind()
