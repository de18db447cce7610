"""What a node has closed stays with it until it is booked, and is told again where it was lost."""

import msgspec
import pytest
from structlog.testing import capture_logs

from billing.ports import Closing, Opening
from database.errors import StoreUnavailableError
from gateway.charging import closings as closings_module
from gateway.charging.closings import Closings, reopening
from tests.gateway.memory_gate import MemorySpendGate

CENT = 10_000
CREDIT = 100 * CENT


class Records:
    """A book that has what it is told."""

    def __init__(self):
        self.ended = set()
        self.asked = []
        self.is_away = False

    async def booked(self, call_ids):
        self.asked.append(list(call_ids))
        if self.is_away:
            raise StoreUnavailableError("the book is away")
        return self.ended & set(call_ids)


class World:
    def __init__(self):
        self.gate, self.records = MemorySpendGate().fill(alice=CREDIT), Records()
        self.closings = Closings(self.gate, self.records)

    async def ends(self, call_id, seconds=3, *, is_told=True):
        opening = Opening(call_id, "alice", "n1", CENT, 8 * CENT, 10, b'{"opened":1}')
        detail = msgspec.json.encode({"seconds": seconds})
        closing = Closing(call_id, "alice", seconds * CENT, seconds, detail)
        self.closings.keep(reopening(opening, closing.final_micros), closing)
        if is_told:
            await self.gate.open(opening)
            await self.gate.close(closing)

    def flush(self):
        """Lose all, and be filled from a book that knows of no call."""
        self.gate._partitions = MemorySpendGate().fill(alice=CREDIT)._partitions

    def told(self):
        outbox = self.gate._of("alice").outbox.values()
        return [(entry.kind, entry.fields["c"].decode()) for entry in outbox]


@pytest.fixture
async def world():
    return World()


async def test_what_is_booked_is_forgotten(world):
    for n in range(3):
        await world.ends(f"c{n}")
    world.records.ended = {"c0", "c2"}
    assert await world.closings.round() == 0
    assert len(world.closings) == 1
    assert world.closings.find("c0") is None
    assert world.closings.find("c1").seconds == 3
    world.records.ended = {"c1"}
    assert await world.closings.round() == 0
    assert await world.closings.round() == 0
    assert len(world.closings) == 0
    assert len(world.records.asked) == 2, "nobody is asked about nothing"


async def test_what_only_waits_is_left_alone(world):
    await world.ends("c1")
    before = world.told()
    for _ in range(3):
        assert await world.closings.round() == 0
    assert world.told() == before
    assert await world.gate.balance("alice") == CREDIT - 3 * CENT


async def test_an_end_that_the_gate_has_lost_is_charged_again_once(world):
    await world.ends("c1")
    world.flush()
    with capture_logs() as logs:
        assert await world.closings.round() == 1
        assert await world.closings.round() == 0
    assert world.told() == [("O", "c1"), ("C", "c1")]
    assert await world.gate.balance("alice") == CREDIT - 3 * CENT
    told = [(line["event"], line["call_id"]) for line in logs]
    assert told == [("end of call lost by the spend gate", "c1")]


async def test_an_end_that_never_arrived_arrives(world):
    """The node that settles it goes on trying too: whoever is first counts."""
    await world.ends("c1", is_told=False)
    assert await world.closings.round() == 1
    assert await world.gate.balance("alice") == CREDIT - 3 * CENT


async def test_an_outbox_that_was_cut_is_told_beginning_and_end(world):
    await world.ends("c1")
    world.gate._of("alice").outbox.clear()
    assert await world.closings.round() == 1
    assert await world.closings.round() == 0
    assert world.told() == [("O", "c1"), ("C", "c1")]
    assert await world.gate.balance("alice") == CREDIT - 3 * CENT


async def test_an_outage_loses_nothing(world):
    await world.ends("c1")
    world.flush()
    world.gate.is_away = True
    with pytest.raises(StoreUnavailableError):
        await world.closings.round()
    world.gate.is_away, world.records.is_away = False, True
    with pytest.raises(StoreUnavailableError):
        await world.closings.round()
    world.records.is_away = False
    assert await world.closings.round() == 1


async def test_what_is_kept_and_what_is_asked_is_bounded(world, monkeypatch):
    monkeypatch.setattr(closings_module, "KEPT_MAX", 5)
    monkeypatch.setattr(closings_module, "RESENT_PER_ROUND_MAX", 2)
    with capture_logs() as logs:
        for n in range(8):
            await world.ends(f"c{n}")
    assert len(world.closings) == 5
    assert world.closings.find("c2") is None
    assert [line["event"] for line in logs] == ["too many endings not booked"]
    for _ in range(3):
        await world.closings.round()
    assert world.records.asked == [["c3", "c4"], ["c5", "c6"], ["c7", "c3"]]
