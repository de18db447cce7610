"""How far each partition is booked, on both databases, whoever drains."""

import asyncio

from billing.ports import OutboxEntry, PartitionMark
from tests.billing.outbox_entries import opened


def entry(entry_id, previous_id):
    return OutboxEntry(entry_id, "T", {"d": b""}, previous_id)


async def test_a_mark_moves_with_what_is_booked_and_never_back(store):
    assert await store.marks() == {}
    await store.apply_outboxes({3: [entry("5-0", "0-0")], 1: [entry("5-1", "5-0")]})
    await store.apply_outboxes({3: [entry("5-0", "0-0"), entry("6-0", "5-0")]})
    await store.apply_outboxes({3: [entry("5-0", "0-0")]})
    assert await store.marks() == {1: PartitionMark("5-1"), 3: PartitionMark("6-0")}
    assert (await store.partition_state(3, 4)).mark == PartitionMark("6-0")
    assert (await store.partition_state(2, 4)).mark == PartitionMark()


async def test_a_proof_stays_until_the_partition_is_filled(store):
    await store.apply_outbox(0, [entry("7-0", "5-0")])
    await store.apply_outbox(0, [entry("9-0", "6-0")])
    await store.apply_outbox(0, [entry("9-1", "9-0")])
    proven = PartitionMark("9-1", "9-0")
    assert await store.marks() == {0: proven}
    await store.apply_outbox(0, [entry("11-0", "8-0")])
    await store.forget_fork(0, proven)
    again = PartitionMark("11-0", "11-0")
    assert await store.marks() == {0: again}, "found since the book was read"
    await store.forget_fork(0, again)
    assert await store.marks() == {0: PartitionMark("11-0")}


async def test_drainers_that_book_the_same_entries_prove_nothing(store):
    written = [opened(f"c{number}", 1) for number in range(4)]
    told = [
        OutboxEntry(f"{number + 1}-0", one.kind, one.fields, f"{number}-0")
        for number, one in enumerate(written)
    ]
    batches = [told[:2], told, told[:3], told[1:]]
    await asyncio.gather(*(store.apply_outbox(0, batch) for batch in batches))
    assert (await store.marks())[0].booked_id == "4-0"
