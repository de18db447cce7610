"""What fills a spend gate and settles lost calls, on real stores: Valkey and SQLite."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from billing.ports import PartitionState, Tick
from billing.stores.audit import audit
from database.errors import StoreUnavailableError
from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.carriers.twilio.status import from_reply
from gateway.cause import Cause
from gateway.charging import recovery
from gateway.charging.recovery import Settler
from gateway.errors import CarrierError
from tests.gateway.charging.books import CREDIT, PARTITIONS
from tests.gateway.stage import CENT

AWAY = CarrierError("no answer", cause=Cause.NETWORK_OUT_OF_ORDER)


async def test_an_empty_gate_is_filled_once(books):
    assert await books.gate.balance("alice") == CREDIT
    assert await books.fill() == 0


async def test_only_the_partitions_that_lost_their_data_are_filled(books):
    partition = books.gate.partition("alice")
    await books.forget(partition)
    assert await books.fill() == 1
    assert await books.gate.balance("alice") == CREDIT


async def test_what_waits_in_the_outbox_is_booked_before_a_gate_is_filled(books):
    """A partition that lost its data but not its outbox would otherwise forget the call."""
    await books.open()
    partition = books.gate.partition("alice")
    outbox = books.gate._outbox(partition)
    kept = [key for key in books.gate._keys[partition] if key != outbox]
    await books.gate._redis.delete(*kept)
    assert await books.fill() == 1
    assert await books.gate.balance("alice") == CREDIT - 8 * CENT


async def test_credits_are_brought_once_and_in_order(books):
    for n in range(3):
        await books.grant(CENT, f"more-{n}")
    await recovery.bring_credits(books.gate, books.ledger, "alice")
    await recovery.bring_credits(books.gate, books.ledger, "alice")
    assert await books.gate.balance("alice") == CREDIT + 3 * CENT


async def test_an_orphan_is_charged_for_its_confirmed_seconds(books):
    await books.open()
    await books.use(5)
    await books.drain()
    assert await books.settle() == 1
    assert await books.gate.balance("alice") == CREDIT - 5 * CENT
    record = await books.ended()
    assert (record.cost_micros, record.closed.seconds) == (5 * CENT, 5)
    assert (record.closed.cause_name, record.closed.ended_by) == (
        "NORMAL_TEMPORARY_FAILURE",
        "gateway",
    )
    assert await books.ledger.balance("alice") == CREDIT - 5 * CENT


@pytest.mark.parametrize(
    ("status", "seconds", "charged_s"),
    [
        ("completed", 7, 5),
        ("completed", 2, 2),
        ("completed", 3600, 5),
        ("completed", None, 5),
        ("no_answer", 0, 0),
        ("cancelled", None, 0),
    ],
)
async def test_the_carrier_says_how_long_an_orphan_lasted(books, status, seconds, charged_s):
    """What it carried beyond the last confirmed second, after the node had gone, nobody heard."""
    await books.open()
    await books.use(5)
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState(status), seconds)
    assert await books.settle() == 1
    record = await books.ended()
    assert (record.closed.seconds, record.cost_micros) == (charged_s, charged_s * CENT)
    assert (record.closed.carrier_call_id, record.closed.carrier_seconds) == ("CA1", seconds)
    await books.assert_agreed()


@pytest.mark.parametrize("is_named", [True, False])
async def test_a_settled_call_says_when_its_phone_was_answered(books, is_named):
    """As the carrier says; else as the confirmed seconds say, to a second and what they waited."""
    begun = datetime.now(UTC)
    await books.open()
    await books.use(5)
    if is_named:
        await books.gate.name_carrier_call("c1", "alice", "CA1")
        books.carrier.known["CA1"] = CarrierStatus(
            "CA1", CarrierState.COMPLETED, 60, answered_at=begun - timedelta(seconds=50)
        )
    await books.settle()
    closed = (await books.ended()).closed
    before_s = (begun - closed.answered_at).total_seconds()
    assert closed.seconds == 5
    assert before_s == 50 if is_named else 0 < before_s <= 6
    assert await audit(books.engine) == []


async def test_a_settled_call_has_the_times_of_its_node_and_of_its_carrier(books):
    """To the millisecond and to the second, however long nobody has settled it."""
    answered_at = datetime.now(UTC).replace(microsecond=300_000) - timedelta(seconds=25)
    await books.open(began_at=answered_at - timedelta(seconds=3))
    await books.use(1, answered_at=answered_at)
    await books.use(4)
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    over_at = answered_at.replace(microsecond=0) + timedelta(seconds=5)
    # As Twilio tells it: the second of the end, and how many have begun.
    books.carrier.known["CA1"] = from_reply("CA1", "completed", "5", over_at)
    await books.settle()
    closed = (await books.ended()).closed
    assert (closed.seconds, closed.answered_at, closed.ended_at) == (4, answered_at, over_at)
    assert await audit(books.engine) == []
    await books.assert_agreed()


async def test_a_call_of_whose_end_nobody_knows_ended_with_its_last_confirmed_second(books):
    answered_at = datetime.now(UTC).replace(microsecond=300_000) - timedelta(seconds=25)
    await books.open(began_at=answered_at - timedelta(seconds=3))
    await books.use(4, answered_at=answered_at)
    await books.settle()
    closed = (await books.ended()).closed
    last = answered_at + timedelta(seconds=4)
    assert (closed.seconds, closed.answered_at, closed.ended_at) == (4, answered_at, last)
    assert await audit(books.engine) == []


@pytest.mark.parametrize("ahead_s", [-3600, -2, 2, 3600])
async def test_times_of_a_settled_call_never_contradict_each_other(books, ahead_s):
    """The carrier's clock may be another one than ours, and the book's than the node's."""
    now = datetime.now(UTC).replace(microsecond=0)
    answered_at = now - timedelta(seconds=6)
    await books.open(began_at=answered_at - timedelta(seconds=3))
    await books.use(4, answered_at=answered_at)
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    over_at = now + timedelta(seconds=ahead_s)
    books.carrier.known["CA1"] = from_reply("CA1", "completed", "4", over_at)
    await books.settle()
    record = await books.ended()
    closed = record.closed
    assert record.opened.created_at <= closed.answered_at
    assert closed.ended_at - closed.answered_at >= timedelta(seconds=4)
    assert closed.ended_at <= datetime.now(UTC)
    assert await audit(books.engine) == []


async def test_a_gate_that_is_filled_again_still_knows_the_answer(books):
    answered_at = datetime.now(UTC).replace(microsecond=300_000) - timedelta(seconds=5)
    await books.open()
    await books.use(2, answered_at=answered_at)
    await books.drain()
    partition = books.gate.partition("alice")
    await books.gate.withdraw(partition)
    await books.fill()
    (call,) = await books.gate.open_calls("n1")
    assert call.answered_ms == round(answered_at.timestamp() * 1000)


async def test_charged_seconds_lie_between_answer_and_end_whatever_the_carriers_clock_says(books):
    await books.open()
    await books.use(5)
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    ahead = datetime.now(UTC) + timedelta(seconds=90)
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState.COMPLETED, 5, answered_at=ahead)
    await books.settle()
    closed = (await books.ended()).closed
    assert closed.ended_at - closed.answered_at == timedelta(seconds=5)


async def test_an_answer_that_nobody_heard_is_told_as_the_carrier_says(books):
    await books.open()
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    at = datetime.now(UTC) - timedelta(seconds=9)
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState.COMPLETED, 9, answered_at=at)
    await books.settle()
    closed = (await books.ended()).closed
    assert (closed.seconds, closed.answered_at) == (0, at)


async def test_a_call_that_lives_at_the_carrier_is_ended_there(books):
    await books.open()
    await books.use(5)
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState.ANSWERED)
    books.carrier.talked_s = 11
    await books.settle()
    assert books.carrier.known["CA1"].is_terminal
    closed = (await books.ended()).closed
    assert (closed.seconds, closed.carrier_seconds) == (5, 11)


async def test_an_orphan_takes_no_more_than_its_confirmed_seconds_of_what_is_left(books):
    await books.grant(12 * CENT - CREDIT, "spend")
    await recovery.bring_credits(books.gate, books.ledger, "alice")
    await books.open()
    await books.use(4)
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState.COMPLETED, 15)
    await books.settle()
    record = await books.ended()
    assert (record.cost_micros, record.written_off_micros) == (4 * CENT, 0)
    assert await books.gate.balance("alice") == 8 * CENT
    await books.assert_agreed()


@pytest.mark.parametrize("trouble", [AWAY, "still in progress", "hangs"])
async def test_a_call_waits_while_its_carrier_does_not_say_it_ended(books, monkeypatch, trouble):
    monkeypatch.setattr(recovery, "CARRIER_TIMEOUT_S", 0.05)
    monkeypatch.setattr(recovery, "_DURATION_DELAYS_S", (0.0,))
    await books.open("named")
    await books.open("nameless")
    await books.use(5, "named")
    await books.gate.name_carrier_call("named", "alice", "CA1")
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState.ANSWERED)
    books.carrier.error = trouble if isinstance(trouble, CarrierError) else None
    books.carrier.hangs = trouble == "hangs"
    if trouble == "still in progress":
        monkeypatch.setattr(books.carrier, "hang_up", books.carrier.fetch)
    assert await books.settle() == 2
    (waiting,) = await books.gate.open_calls("n1")
    assert waiting.call_id == "named"
    assert books.strays == []
    assert await books.settler.settle([waiting], without_carrier=True) == []
    assert (await books.ended("named")).closed.seconds == 5
    assert books.strays == [("CA1", "named")], "it may ring on, and is ended all the same"


async def test_a_call_that_the_carrier_does_not_show_is_ended_and_waits(books, monkeypatch):
    """Twilio answers 404 for a call that was just placed."""

    async def ended_unseen(carrier_call_id):
        books.carrier.asked["ended"] += 1
        return CarrierStatus(carrier_call_id, CarrierState.UNKNOWN)

    monkeypatch.setattr(recovery, "_DURATION_DELAYS_S", (0.0, 0.01))
    monkeypatch.setattr(books.carrier, "hang_up", ended_unseen)
    await books.open()
    await books.use(5)
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState.UNKNOWN)
    assert await books.settle() == 1
    (waiting,) = await books.gate.open_calls("n1")
    assert waiting.call_id == "c1"
    assert books.carrier.asked["ended"] == 2, "again: what is answered by 404 was not carried out"


async def test_the_start_of_a_node_waits_for_the_carrier_only_so_long(books, monkeypatch):
    monkeypatch.setattr(recovery, "START_TIMEOUT_S", 0.05)
    await books.open()
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    books.carrier.hangs = True
    with capture_logs() as logs:
        assert await books.settle() == 1
    assert "calls of an earlier run not settled yet" in [line["event"] for line in logs]
    assert len(await books.gate.open_calls("n1")) == 1


async def test_an_orphan_is_settled_once(books):
    await books.open()
    assert await books.settle() == 1
    assert await books.settle() == 0


async def test_settlements_that_race_charge_once(books):
    for n in range(10):
        await books.open(f"c{n}")
        await books.use(3, f"c{n}")
        await books.gate.name_carrier_call(f"c{n}", "alice", f"CA{n}")
        books.carrier.known[f"CA{n}"] = CarrierStatus(f"CA{n}", CarrierState.ANSWERED)
    books.carrier.talked_s = 4
    orphans = await books.gate.open_calls()
    rivals = [books.settler.settle(orphans) for _ in range(3)]
    assert await asyncio.gather(*rivals) == [[], [], []]
    assert await books.gate.balance("alice") == CREDIT - 30 * CENT
    outcome = await books.gate.tick(
        books.gate.partition("alice"), [Tick("c3", "alice", 13 * CENT, 5)]
    )
    assert outcome.closed == ["c3"], "a node that was only slow must learn it"
    await books.drain()
    assert await books.ledger.balance("alice") == CREDIT - 30 * CENT
    await books.assert_agreed()


async def test_an_orphan_that_has_ended_in_the_book_costs_what_the_book_says(books):
    """A gate that was rolled back by a failover has a call open again that it had settled."""
    await books.open()
    await books.use(3)
    await books.drain()
    await books.end_in_the_book_only(seconds=6)
    assert await books.settle() == 1
    assert await books.gate.balance("alice") == CREDIT - 6 * CENT
    assert (await books.ended()).cost_micros == 6 * CENT
    await books.assert_agreed()


async def test_an_orphan_that_was_never_answered_costs_nothing(books):
    await books.open(connect_fee_micros=CENT)
    await books.drain()
    await books.settle()
    assert await books.gate.balance("alice") == CREDIT


async def test_a_call_that_the_book_does_not_know_yet_is_charged_like_any_other(books):
    """It was opened in the last moment, or the book was away until now."""
    await books.open()
    await books.use(2)
    await books.settle()
    assert await books.gate.balance("alice") == CREDIT - 2 * CENT


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize(("status", "seconds"), [("completed", 1), ("completed", 70), ("busy", 0)])
async def test_a_phone_answered_while_its_node_was_dead_costs_nothing(
    books, status, seconds, is_known
):
    """Nobody is known to have been heard: no connect fee and no first minute either."""
    await books.open()
    await books.use(0)
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState(status), seconds)
    if not is_known:
        await books.lose_outbox()
    assert await books.settle() == 1
    assert await books.gate.balance("alice") == CREDIT
    record = await books.ended()
    assert (record.closed.seconds, record.cost_micros) == (0, 0)
    assert record.closed.carrier_seconds == seconds
    await books.assert_agreed()


async def test_a_call_without_a_record_costs_what_was_held(books):
    await books.open()
    await books.use(2)
    await books.lose_outbox()
    await books.settle()
    assert await books.gate.balance("alice") == CREDIT - 10 * CENT


async def test_nothing_is_settled_while_the_book_is_away(books):
    async def fails():
        raise StoreUnavailableError("the book of record did not answer")

    await books.open()
    settler = Settler(books.gate, books.records, books.carrier, fails)
    with pytest.raises(StoreUnavailableError):
        await recovery.settle_own(settler, "n1")
    assert len(await books.gate.open_calls("n1")) == 1


async def test_calls_of_other_nodes_are_left_alone(books):
    await books.open("c1", node="n2")
    assert await books.settle() == 0
    assert len(await books.gate.open_calls("n2")) == 1


async def test_a_price_beyond_the_hold_is_cut_to_it(books):
    """Rounding up to an increment must not take what was never held."""
    await books.open(first_s=60, next_s=60)
    await books.gate.tick(books.gate.partition("alice"), [Tick("c1", "alice", 60 * CENT, 61)])
    await books.drain()
    await books.settle()
    assert await books.gate.balance("alice") == CREDIT - 60 * CENT


async def test_a_gate_filled_from_the_book_knows_its_open_calls(books, operator):
    await books.open()
    await books.use(3)
    await books.drain()
    await operator.flushall()
    assert await books.fill() == PARTITIONS
    assert await books.settle() == 1
    assert await books.gate.balance("alice") == CREDIT - 3 * CENT
    assert await books.gate.rebuild(0, PartitionState()) is False
