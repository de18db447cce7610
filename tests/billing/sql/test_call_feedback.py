"""The contract of `FeedbackStore`, on both databases."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from msgspec.json import encode

from billing.call_feedback import Feedback, Flaw, Only
from billing.stores.call_forgetting import forget, whole_of
from billing.stores.call_rows import SqlFeedbackStore
from billing.stores.sql import SqlCdrStore
from tests.billing.outbox_entries import START, closed, opened, opening

GOOD = Feedback(stars=5)
BAD = Feedback(stars=1, flaws=(Flaw.DROPPED_CALL, Flaw.ECHO))


@pytest.fixture
def feedback(engine, store):
    return SqlFeedbackStore(engine)


@pytest.fixture
def records(engine, store):
    return SqlCdrStore(engine)


async def test_what_is_said_first_stays(feedback, records, store):
    await store.apply_outbox(3, [opened("c1", 100), closed("c1", 90, 3)])
    assert (await records.get("alice", "c1")).feedback is None
    assert await feedback.give("alice", "c1", BAD) == BAD
    assert await feedback.give("alice", "c1", BAD) == BAD
    assert await feedback.give("alice", "c1", GOOD) == BAD
    assert (await records.get("alice", "c1")).feedback == BAD


async def test_what_is_said_before_the_end_is_booked_outlives_the_booking(feedback, records, store):
    await store.apply_outbox(3, [opened("c1", 100)])
    assert await feedback.give("alice", "c1", GOOD) == GOOD
    await store.apply_outbox(3, [closed("c1", 90, 3)])
    record = await records.get("alice", "c1")
    assert (record.feedback, record.closed.seconds) == (GOOD, 3)


@pytest.mark.parametrize(
    ("account_id", "call_id"), [("bob", "c1"), ("alice", "c2"), ("alice", "\0")]
)
async def test_nobody_speaks_of_calls_that_are_not_theirs(
    feedback, records, store, account_id, call_id
):
    await store.apply_outbox(3, [opened("c1", 100), closed("c1", 90, 3)])
    assert await feedback.give(account_id, call_id, GOOD) is None
    assert (await records.get("alice", "c1")).feedback is None


async def test_it_is_forgotten_with_its_call(engine, feedback, records, store):
    await store.apply_outbox(3, [opened("c1", 100), closed("c1", 90, 3)])
    await feedback.give("alice", "c1", BAD)
    async with engine.begin() as connection:
        whole = await whole_of(connection, "alice")
        await connection.run_sync(forget, whole, START + timedelta(days=400))
    assert (await records.get_with_forgotten("alice", "c1")).feedback is None
    assert await feedback.give("alice", "c1", GOOD) is None


def opened_with(key_id):
    detail = msgspec.structs.replace(opening("c1"), key_id=key_id)
    return replace(opened("c1", 100), fields={**opened("c1", 100).fields, "m": encode(detail)})


async def test_visitors_speak_only_of_their_buttons_calls_that_have_just_ended(
    feedback, records, store
):
    await store.apply_outbox(3, [opened_with("k1"), closed("c1", 90, 3)])
    ended_at = (await records.get("alice", "c1")).closed.ended_at
    second = timedelta(seconds=1)
    for only in (Only("k2", ended_at - second), Only("k1", ended_at)):
        assert await feedback.give("alice", "c1", BAD, only) is None
    assert await feedback.give("alice", "c1", GOOD, Only("k1", ended_at - second)) == GOOD
    assert await feedback.give("alice", "c1", BAD, Only("k1", ended_at - second)) == GOOD


async def test_a_visitor_speaks_once_the_end_is_booked(feedback, store):
    await store.apply_outbox(3, [opened_with("k1")])
    assert await feedback.give("alice", "c1", BAD, Only("k1", START)) is None
    await store.apply_outbox(3, [closed("c1", 90, 3)])
    assert await feedback.give("alice", "c1", GOOD, Only("k1", START)) == GOOD
