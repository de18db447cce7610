"""What keeps a spend gate in line with the book while calls go on, on real stores."""

import pytest
from structlog.testing import capture_logs

from billing.stores.refill import SqlPositions
from database.errors import StoreUnavailableError
from gateway.charging import reconcile
from gateway.charging.reconcile import ATTEMPTS_PER_ROUND, ROUNDS_PER_CYCLE
from tests.gateway.charging.books import CREDIT, PARTITIONS
from tests.gateway.stage import CENT


async def cycle(books):
    """Compare every partition once."""
    for _ in range(ROUNDS_PER_CYCLE):
        await books.reconciler.round()


async def test_a_gate_that_agrees_is_left_alone(books):
    await books.open()
    await books.use(3)
    with capture_logs() as logs:
        await cycle(books)
    assert not logs
    await books.assert_agreed()


@pytest.mark.parametrize("times", [1, ATTEMPTS_PER_ROUND - 1])
async def test_a_gate_that_loses_its_data_while_it_is_filled_is_filled_again_at_once(
    books, operator, times
):
    rebuild, losses, fillings = books.gate.rebuild, [], []

    async def lose_what_was_filled(partition, state):
        filled = await rebuild(partition, state)
        if partition == PARTITIONS - 1 and len(losses) < times:
            losses.append(partition)
            await operator.flushall()
        return filled

    books.gate.rebuild = lose_what_was_filled
    books.reconciler._on_filled = lambda: fillings.append(True)
    await operator.flushall()
    await books.reconciler.round()
    assert len(fillings) == times + 1
    await books.assert_agreed()


async def test_a_gate_that_loses_its_data_each_time_ends_the_round(books, operator):
    rebuild, fillings = books.gate.rebuild, []

    async def lose_what_was_filled(partition, state):
        filled = await rebuild(partition, state)
        if partition == PARTITIONS - 1:
            await operator.flushall()
        return filled

    books.gate.rebuild = lose_what_was_filled
    books.reconciler._on_filled = lambda: fillings.append(True)
    await operator.flushall()
    with pytest.raises(StoreUnavailableError):
        await books.reconciler.round()
    assert len(fillings) == ATTEMPTS_PER_ROUND
    books.gate.rebuild = rebuild
    await books.reconciler.round()
    await books.assert_agreed()


async def test_a_book_that_is_away_ends_the_round_where_the_gate_has_its_data(books, monkeypatch):
    asked = []

    async def away(*which):
        asked.append(which)
        raise StoreUnavailableError("the book of record did not answer")

    monkeypatch.setattr(books.reconciler._positions, "read", away)
    with pytest.raises(StoreUnavailableError):
        await books.reconciler.round()
    assert len(asked) == 1


async def test_a_store_that_is_away_is_asked_once_in_a_round(books):
    asked = []

    async def away(partitions):
        asked.append(partitions)
        raise StoreUnavailableError("away")

    books.gate.fillings = away
    with pytest.raises(StoreUnavailableError):
        await books.reconciler.round()
    assert len(asked) == 2


async def test_an_empty_gate_is_filled_while_calls_go_on(books, operator):
    await cycle(books)
    await books.open()
    await books.use(3)
    await books.drain()
    await operator.flushall()
    with pytest.raises(StoreUnavailableError):
        await books.use(4)
    with capture_logs() as logs:
        await books.reconciler.round()
    told = [(line["event"], line["partitions"]) for line in logs]
    assert told == [("spend gate filled", PARTITIONS)]
    await books.use(5)
    assert await books.gate.balance("alice") == CREDIT - 13 * CENT
    await books.assert_agreed()


async def test_a_credit_that_did_not_arrive_is_brought(books):
    await books.grant(CENT, "late")
    await cycle(books)
    assert await books.gate.balance("alice") == CREDIT + CENT
    await books.assert_agreed()


@pytest.mark.parametrize("frozen", [True, False])
async def test_frozen_accounts_are_those_of_the_book(books, frozen):
    await books.gate.freeze("alice", not frozen)
    await books.ledger.freeze("alice", frozen)
    await cycle(books)
    snapshot = await books.gate.snapshot(books.gate.partition("alice"))
    assert list(snapshot.frozen) == ["alice"] * frozen


async def test_a_call_that_has_ended_in_the_book_ends_at_the_gate(books):
    await books.open()
    await books.use(3)
    await books.drain()
    await books.end_in_the_book_only(seconds=6)
    await cycle(books)
    assert await books.gate.open_calls() == []
    assert await books.gate.balance("alice") == CREDIT - 6 * CENT
    await books.assert_agreed()


@pytest.mark.parametrize("carrier_call_id", ["CA1", ""])
async def test_a_call_that_the_gate_forgot_is_opened_again(books, carrier_call_id):
    """Its node may be gone, and nobody else would ever end it."""
    before = await books.gate.snapshot(books.gate.partition("alice"))
    await books.open()
    if carrier_call_id:
        await books.gate.name_carrier_call("c1", "alice", carrier_call_id)
    await books.use(3)
    await books.drain()
    partition = books.gate.partition("alice")
    await books.forget(partition)
    await books.gate.rebuild(partition, before)
    await books.ledger.freeze("alice", True)
    await cycle(books)
    (call,) = await books.gate.open_calls("n1")
    assert call.carrier_call_id == carrier_call_id
    assert (call.held_micros, call.seconds, call.per_minute_micros) == (11 * CENT, 3, 60 * CENT)
    await books.assert_agreed()


async def test_a_call_whose_end_waits_in_the_outbox_is_not_opened_again(books):
    await books.open()
    await books.drain()
    await books.close(seconds=3)
    await cycle(books)
    assert await books.gate.open_calls() == []
    assert (await books.ended()).cost_micros == 3 * CENT
    await books.assert_agreed()


async def test_a_call_that_ends_in_the_book_meanwhile_is_not_opened_again(books, monkeypatch):
    await books.open()
    await books.drain()
    await books.close(seconds=3)
    look = books.records.get_with_forgotten

    async def overtaken(*asked):
        await books.drain()
        return await look(*asked)

    monkeypatch.setattr(books.records, "get_with_forgotten", overtaken)
    with capture_logs() as logs:
        await cycle(books)
    assert not logs, "nor is its end told again"
    await books.assert_agreed()


@pytest.mark.parametrize(
    ("is_opening_booked", "told"),
    [
        (True, "call ended in the gate only, resent"),
        (False, "end of call not booked, resent"),
    ],
)
async def test_an_end_that_the_outbox_lost_is_told_again_once(
    books, monkeypatch, is_opening_booked, told
):
    monkeypatch.setattr(reconcile, "ENDING_AGE_S_MIN", 0)
    await books.open()
    if is_opening_booked:
        await books.drain()
    await books.close(seconds=3)
    await books.lose_outbox()
    with capture_logs() as logs:
        await cycle(books)
        # Another node finds that it waits in the outbox now.
        books.reconciler = books.new_reconciler()
        await cycle(books)
    assert [line["event"] for line in logs] == [told]
    assert (await books.ended()).cost_micros == 3 * CENT
    await books.assert_agreed()


async def test_a_partition_is_compared_once_a_cycle_and_all_after_an_outage(books, monkeypatch):
    compared = []

    async def read(partition, partitions):
        compared.append(partition)
        return await SqlPositions(books.engine).read(partition, partitions)

    monkeypatch.setattr(books.reconciler._positions, "read", read)
    await books.reconciler.round()
    assert compared == list(range(PARTITIONS))
    compared.clear()
    await books.reconciler.round()
    assert len(compared) == 1
    monkeypatch.setattr(books.gate, "fillings", fails)
    with pytest.raises(StoreUnavailableError):
        await books.reconciler.round()
    monkeypatch.undo()
    monkeypatch.setattr(books.reconciler._positions, "read", read)
    compared.clear()
    await books.reconciler.round()
    assert sorted(compared) == list(range(PARTITIONS))


async def fails(*_):
    raise StoreUnavailableError("the spend gate refused or is away")
