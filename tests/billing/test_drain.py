"""The drainer: nothing is lost, no partition starves, an outage is waited out."""

import asyncio

import pytest
from structlog.testing import capture_logs

from billing.drain import BATCHES_PER_PASS, ENTRIES_PER_BATCH, FAILURES_MAX, Drainer
from database.errors import StoreUnavailableError
from tests.billing.outbox_entries import MemoryOutbox, entry


class Book:
    """A book of record that keeps entries, or fails while told to."""

    def __init__(self):
        self.applied = []
        self.attempts = []
        """The partitions of each transaction that was tried."""
        self.sizes = []
        self.away = {}

    async def apply_outboxes(self, batch):
        self.attempts.append(list(batch))
        self.sizes.append(sum(map(len, batch.values())))
        for partition in batch:
            if error := self.away.get(partition):
                raise error
        self.applied += [(p, one.entry_id) for p, entries in batch.items() for one in entries]


@pytest.fixture
def outbox():
    return MemoryOutbox(8)


@pytest.fixture
def book():
    return Book()


async def test_all_partitions_are_emptied_in_order(outbox, book):
    for stream in outbox.streams:
        stream += [entry("T") for _ in range(3)]
    expected = [(p, one.entry_id) for p, stream in enumerate(outbox.streams) for one in stream]
    assert await Drainer(outbox, book, 8).drain_once() == 24
    assert book.applied == expected
    assert outbox.streams == [[]] * 8
    assert await Drainer(outbox, book, 8).drain_once() == 0


async def test_what_waits_in_all_partitions_is_one_transaction(outbox, book):
    for stream in outbox.streams:
        stream += [entry("T") for _ in range(ENTRIES_PER_BATCH // 8 - 1)]
    drainer = Drainer(outbox, book, 8)
    assert await drainer.drain_once() == 8 * (ENTRIES_PER_BATCH // 8 - 1)
    assert book.attempts == [list(range(8))]
    assert await drainer.drain_once() == 0
    assert len(book.attempts) == 1


async def test_a_long_outbox_takes_several_batches_and_passes(outbox, book):
    # The first batch leaves room for the other partitions.
    in_one_pass = ENTRIES_PER_BATCH // 8 + ENTRIES_PER_BATCH * (BATCHES_PER_PASS - 1)
    outbox.streams[2] = [entry("T") for _ in range(in_one_pass + 5)]
    drainer = Drainer(outbox, book, 8)
    assert await drainer.drain_once() == in_one_pass
    assert await drainer.drain_once() == 5
    assert len(book.attempts) == BATCHES_PER_PASS + 1


async def test_no_transaction_is_larger_than_a_batch(outbox, book):
    for stream in outbox.streams:
        stream += [entry("T") for _ in range(2 * ENTRIES_PER_BATCH)]
    drainer = Drainer(outbox, book, 8)
    while any(outbox.streams):
        await drainer.drain_once()
    assert max(book.sizes) <= ENTRIES_PER_BATCH
    assert len(book.applied) == len(set(book.applied)) == 16 * ENTRIES_PER_BATCH


@pytest.mark.parametrize("error", [StoreUnavailableError(), RuntimeError("a poisoned entry")])
async def test_one_that_cannot_be_booked_stops_only_its_own_partition(outbox, book, error):
    book.away[3] = error
    drainer = Drainer(outbox, book, 8)
    for _ in range(3):
        book.attempts.clear()
        for stream in outbox.streams:
            stream.append(entry("T"))
        with capture_logs() as logs, pytest.raises(type(error)):
            await drainer.drain_once()
        assert [bool(stream) for stream in outbox.streams] == [p == 3 for p in range(8)]
    # Once it is known, the others go together again.
    assert book.attempts == [[p for p in range(8) if p != 3], [3]]
    assert logs == []
    book.away.clear()
    assert await drainer.drain_once() == 3
    outbox.streams[3].append(entry("T"))
    outbox.streams[4].append(entry("T"))
    assert await drainer.drain_once() == 2
    assert book.attempts[-1] == [3, 4]


async def test_a_poisoned_entry_slows_down_nobody(outbox, book, monkeypatch):
    stop, delays_s = asyncio.Event(), []
    book.away[3] = RuntimeError("a poisoned entry")
    outbox.streams[3].append(entry("T"))

    async def wait(event, delay_s):
        delays_s.append(delay_s)
        if len(delays_s) == 3:
            event.set()

    monkeypatch.setattr("billing.drain._wait", wait)
    with capture_logs() as logs:
        await Drainer(outbox, book, 8).run(stop, 2.0)
    assert delays_s == [2.0] * 3
    told = [(line["event"], line["partition"]) for line in logs]
    assert told == [("outbox of a partition not drained", 3)]


@pytest.mark.parametrize(
    ("error", "told"), [(StoreUnavailableError, "cause"), (ZeroDivisionError, "exc_info")]
)
async def test_what_can_only_be_booked_by_itself_is_told_once(
    outbox, book, monkeypatch, error, told
):
    """A common transaction that is refused, as one is that takes too long."""
    stop, passes = asyncio.Event(), []
    apply = book.apply_outboxes

    async def refuse(batch):
        if len(batch) > 1:
            raise error
        await apply(batch)

    async def wait(event, _delay_s):
        passes.append(list(outbox.streams))
        for stream in outbox.streams:
            stream.append(entry("T"))
        if len(passes) == 3:
            event.set()

    monkeypatch.setattr(book, "apply_outboxes", refuse)
    monkeypatch.setattr("billing.drain._wait", wait)
    outbox.streams[0], outbox.streams[1] = [entry("T")], [entry("T")]
    with capture_logs() as logs:
        await Drainer(outbox, book, 8).run(stop, 2.0)
    assert not any(outbox.streams)
    assert [line["event"] for line in logs] == ["outbox booked partition by partition"]
    # An outage in one line, whatever else with its traceback.
    assert logs[0].keys() & {"cause", "exc_info"} == {told}


async def test_an_outbox_that_is_not_yet_empty_is_not_told_as_drained(outbox, book, monkeypatch):
    stop, told = asyncio.Event(), []
    outbox.streams[0] = [entry("T") for _ in range(ENTRIES_PER_BATCH * (BATCHES_PER_PASS + 1))]

    async def drained():
        told.append(len(outbox.streams[0]))
        stop.set()

    async def wait(*_):
        pass

    monkeypatch.setattr("billing.drain._wait", wait)
    await Drainer(outbox, book, 8, on_drained=drained).run(stop, 2.0)
    assert told == [0]


async def test_what_is_not_booked_stays(outbox, book):
    outbox.streams[0], outbox.streams[1] = [entry("T")], [entry("T")]
    book.away[0] = StoreUnavailableError()
    drainer = Drainer(outbox, book, 8)
    with pytest.raises(StoreUnavailableError):
        await drainer.drain_once()
    assert [len(stream) for stream in outbox.streams[:2]] == [1, 0]
    book.away.clear()
    assert await drainer.drain_once() == 1


@pytest.mark.parametrize("error", [StoreUnavailableError(), RuntimeError()])
async def test_failing_partitions_starve_no_other(outbox, book, error):
    for stream in outbox.streams:
        stream.append(entry("T"))
    book.away = dict.fromkeys(range(6), error)
    drainer = Drainer(outbox, book, 8)
    for _ in range(8):
        # What is logged of a fault takes long to print.
        with capture_logs(), pytest.raises(type(error)):
            await drainer.drain_once()
    assert [len(stream) for stream in outbox.streams] == [1] * 6 + [0] * 2


async def test_a_dead_database_costs_few_timeouts(outbox, book):
    for stream in outbox.streams:
        stream.append(entry("T"))
    book.away = dict.fromkeys(range(8), StoreUnavailableError())
    with pytest.raises(StoreUnavailableError):
        await Drainer(outbox, book, 8).drain_once()
    assert len(book.attempts) == FAILURES_MAX


async def test_the_loop_drains_until_stopped_and_once_more(outbox, book):
    stop, drainer = asyncio.Event(), Drainer(outbox, book, 8)
    outbox.streams[0].append(entry("T"))
    running = asyncio.create_task(drainer.run(stop, 3600))
    while not book.applied:
        await asyncio.sleep(0)
    outbox.streams[5].append(entry("T"))
    stop.set()
    await running
    assert [partition for partition, _ in book.applied] == [0, 5]


@pytest.mark.parametrize("error", [StoreUnavailableError(), RuntimeError("a bug")])
async def test_the_loop_outlives_an_outage(outbox, book, error):
    stop, drainer = asyncio.Event(), Drainer(outbox, book, 8)
    outbox.streams[0].append(entry("T"))
    book.away[0] = error
    with capture_logs() as logs:
        running = asyncio.create_task(drainer.run(stop, 0.001))
        while len(book.attempts) < 3:
            await asyncio.sleep(0.001)
        book.away.clear()
        while not book.applied:
            await asyncio.sleep(0.001)
        stop.set()
        await running
    events = [line["event"] for line in logs]
    assert events[-1] == "outbox drained again"
    if isinstance(error, StoreUnavailableError):
        assert events == ["outbox not drained", "outbox drained again"]


async def test_pauses_double_while_a_store_is_away(outbox, book, monkeypatch):
    stop, drainer, delays_s = asyncio.Event(), Drainer(outbox, book, 8), []
    outbox.streams[0].append(entry("T"))
    book.away[0] = StoreUnavailableError()

    async def wait(event, delay_s):
        delays_s.append(delay_s)
        if len(delays_s) == 6:
            book.away.clear()
        if len(delays_s) == 8:
            event.set()

    monkeypatch.setattr("billing.drain._wait", wait)
    with capture_logs():
        await drainer.run(stop, 2.0)
    assert delays_s == [4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 2.0, 2.0]


async def test_a_long_interval_is_not_cut_short_by_an_outage(outbox, book, monkeypatch):
    stop, delays_s = asyncio.Event(), []
    outbox.streams[0].append(entry("T"))
    book.away[0] = StoreUnavailableError()

    async def wait(event, delay_s):
        delays_s.append(delay_s)
        event.set()

    monkeypatch.setattr("billing.drain._wait", wait)
    with capture_logs():
        await Drainer(outbox, book, 8).run(stop, 60.0)
    assert delays_s == [60.0]


async def test_it_tells_of_its_turns_and_of_an_outbox_that_is_drained(outbox, book, monkeypatch):
    stop, told, pauses = asyncio.Event(), [], []
    outbox.streams[0] = [entry("T") for _ in range(ENTRIES_PER_BATCH + 1)]
    book.away[5] = StoreUnavailableError()

    async def drained():
        told.append("drained")
        raise StoreUnavailableError

    async def wait(event, delay_s):
        pauses.append(delay_s)
        told.append("pause")
        outbox.streams[5] = [entry("T")] if len(pauses) == 1 else []
        if len(pauses) == 3:
            event.set()

    monkeypatch.setattr("billing.drain._wait", wait)
    monkeypatch.setattr("billing.drain.DRAINED_S_MIN", 0.0)
    drainer = Drainer(outbox, book, 8, on_turn=lambda: told.append("turn"), on_drained=drained)
    with capture_logs():
        await drainer.run(stop, 2.0)
    assert told == [
        "turn",
        "turn",
        "turn",
        "turn",
        "drained",
        "pause",
        "turn",
        "turn",
        "pause",
        "turn",
        "turn",
        "drained",
        "pause",
    ]
