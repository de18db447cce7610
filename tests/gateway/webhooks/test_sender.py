"""Events reach their endpoints at least once, each by its own lane, however others behave."""

import asyncio
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from accounts.notice import Notice
from database.errors import StoreUnavailableError
from gateway.personal_data.erasing import SqlErasing
from gateway.stores.mail_outbox import SqlMailOutbox
from gateway.webhooks import sender as webhooks
from gateway.webhooks.ports import DeliveryState, EndpointForm, EndReason, NotDone
from gateway.webhooks.schedule import DELAYS, FAILING_MAX
from gateway.webhooks.sender import (
    AT_ONCE_MAX,
    CLAIM,
    DOUBTFUL_MAX,
    LANES_MAX,
    DeliveryTidying,
    ReceiverAnswer,
)
from gateway.webhooks.spool import PER_ACCOUNT_MAX, SqlWebhookSpool
from gateway.webhooks.tables import attempts, deliveries, endpoints
from tests.gateway.webhooks.world import WARNING, receiving, talking, world

__all__ = ["world"]

QUEUED, SENT, ABANDONED = DeliveryState.QUEUED, DeliveryState.SENT, DeliveryState.ABANDONED


@pytest.fixture
async def receiver():
    async with receiving() as receiver:
        yield receiver


async def test_an_event_is_posted_signed_and_noted(world, receiver):
    endpoint = await world.add("alice", receiver.url)
    at = world.clock()
    (event_id,) = await world.tell("alice")
    await world.send()
    ((headers, body),) = receiver.taken
    assert headers["webhook-id"] == event_id
    assert headers["Content-Type"] == "application/json"
    assert world.verify(endpoint, (headers, body)) == {
        "type": WARNING,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "data": {"account_id": "alice", "number": 2},
    }
    ((delivery, (attempt,)),) = await world.deliveries(endpoint)
    assert (delivery.state, delivery.tries, delivery.ended_at) == (SENT, 1, at)
    assert (attempt.number, attempt.at, attempt.status, attempt.reason) == (1, at, 204, "")
    # Nothing is left to do.
    await world.send()
    assert len(receiver.taken) == 1


async def test_an_event_goes_to_the_endpoints_that_want_it_and_to_no_other_account(world, receiver):
    both = await world.add("alice", receiver.url)
    ended = await world.add("alice", receiver.url, types="call.ended")
    warned = await world.add("alice", receiver.url, types=f"call.ended {WARNING}")
    stranger = await world.add("bob", receiver.url)
    await world.endpoints.change(
        "alice", None, (await world.add("alice", receiver.url)).id, EndpointForm(is_disabled=True)
    )
    (event_id,) = await world.tell("alice")
    await world.send()
    assert receiver.ids == [event_id] * 2
    counts = [len(await world.deliveries(each)) for each in (both, ended, warned, stranger)]
    assert counts == [1, 0, 1, 0]


async def test_a_failure_is_tried_ten_times_and_then_given_up(world, receiver):
    endpoint = await world.add("alice", receiver.url)
    receiver.status = 500
    (event_id,) = await world.tell("alice")
    for count, pause in enumerate(DELAYS, 1):
        world.clock.now += pause
        await world.send()
        assert len(receiver.taken) == count
        # Nothing comes early.
        await world.send()
        assert len(receiver.taken) == count
    assert set(receiver.ids) == {event_id}
    # Each is signed anew.
    assert len({headers["webhook-timestamp"] for headers, _ in receiver.taken}) == len(DELAYS)
    ((delivery, tried),) = await world.deliveries(endpoint)
    assert (delivery.state, delivery.failure) == (ABANDONED, "status 500")
    assert [attempt.number for attempt in tried] == list(range(1, 11))
    assert {attempt.reason for attempt in tried} == {"status 500"}
    world.pass_time(days=1)
    await world.send()
    assert len(receiver.taken) == 10


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_not_followed(world, receiver, status):
    endpoint = await world.add("alice", receiver.url)
    async with receiving() as elsewhere:
        receiver.status, receiver.headers = status, {"Location": elsewhere.url}
        await world.tell("alice")
        await world.send()
        assert (len(receiver.taken), elsewhere.taken) == (1, [])
    assert await world.states(endpoint) == [QUEUED]


async def test_who_is_gone_gets_nothing_more_and_its_owner_a_mail(world, receiver):
    endpoint = await world.add("alice", receiver.url)
    receiver.status = 410
    await world.tell("alice", 3)
    sender = world.sender()
    await world.send(sender)
    assert 1 <= len(receiver.taken) <= AT_ONCE_MAX
    shown = await world.endpoints.find("alice", endpoint.id)
    assert (shown.disabled_at, shown.disabled_why) == (world.clock(), EndReason.GONE)
    asked = len(receiver.taken)
    await world.tell("alice")
    await DeliveryTidying(world.spool.tidy).round()
    await world.send(sender)
    assert len(receiver.taken) == asked
    assert await world.states(endpoint) == [ABANDONED] * 3
    (mail,) = await SqlMailOutbox(world.engine).of_account("alice")
    assert mail.notice == Notice("webhook_disabled", values={"label": "127.0.0.1", "why": "gone"})


@pytest.mark.thorough
async def test_an_endpoint_that_fails_for_days_is_disabled_and_one_that_recovers_is_not(
    world, receiver
):
    async with receiving() as dead:
        dead.status = 500
        failing = await world.add("alice", dead.url)
        fine = await world.add("alice", receiver.url)
        begun = world.clock()
        while world.clock() - begun < FAILING_MAX + timedelta(hours=8):
            receiver.status = 500 if receiver.status == 204 else 204
            await world.tell("alice")
            await world.send()
            world.pass_time(hours=7)
    shown = await world.endpoints.find("alice", failing.id)
    assert shown.disabled_why == EndReason.FAILING
    assert (await world.endpoints.find("alice", fine.id)).disabled_at is None
    # Enabled by hand it begins anew.
    await world.endpoints.change("alice", None, failing.id, EndpointForm(is_disabled=False))
    shown = await world.endpoints.find("alice", failing.id)
    assert (shown.disabled_at, shown.disabled_why, shown.failing_since) == (None, "", None)


@pytest.mark.parametrize(
    ("status", "asked", "rest_s"),
    [
        (429, "120", 120),
        (503, "120", 120),
        (429, "999999999", 3600),
        (429, "soon", 30),
        (502, None, 30),
        (504, None, 30),
        (500, None, 0),
    ],
)
async def test_an_endpoint_that_asks_for_a_pause_is_left_alone(
    world, receiver, status, asked, rest_s
):
    await world.add("alice", receiver.url)
    receiver.status = status
    receiver.headers = {} if asked is None else {"Retry-After": asked}
    await world.tell("alice")
    await world.send()
    # What came meanwhile waits as well.
    await world.tell("alice")
    await world.send()
    assert len(receiver.taken) == (1 if rest_s else 2)
    if rest_s:
        world.pass_time(seconds=rest_s - 1)
        await world.send()
        assert len(receiver.taken) == 1
        world.pass_time(seconds=2)
        await world.send()
        assert len(receiver.taken) > 1


async def test_an_endpoint_that_hangs_holds_up_nobody(world, receiver):
    async def hang(_reader, _writer):
        await asyncio.Event().wait()

    async with talking(hang) as url:
        hanging = [await world.add("alice", url) for _ in range(3)]
        fine = await world.add("alice", receiver.url)
        await world.tell("alice")
        sender = world.sender()
        await sender.round()
        assert len(sender._lanes) == 4
        async with asyncio.timeout(5):
            await receiver.arrived.wait()
        await asyncio.gather(*sender._lanes.values())
    assert await world.states(fine) == [SENT]
    for endpoint in hanging:
        ((delivery, (attempt,)),) = await world.deliveries(endpoint)
        assert (delivery.state, attempt.status, attempt.reason) == (QUEUED, None, "timeout")


@pytest.mark.thorough
async def test_a_queue_of_ten_thousand_for_a_dead_endpoint_holds_up_nobody(world, receiver):
    async with receiving() as dead:
        dead.status = 500
        waiting = await world.add("alice", dead.url)
        rows = [
            {
                "id": f"dlv_{number:05}",
                "endpoint_id": waiting.id,
                "account_id": "alice",
                "event_id": f"evt_{number:05}",
                "type": WARNING,
                "at": world.clock(),
                "data_json": "{}",
                "state": QUEUED,
                "next_try_at": world.clock(),
                "created_at": world.clock(),
            }
            for number in range(10_000)
        ]
        async with world.engine.begin() as connection:
            await connection.execute(sa.insert(deliveries), rows)
        fine = await world.add("bob", receiver.url)
        await world.tell("bob", 5)
        sender = world.sender()
        await world.send(sender)
        assert await world.states(fine) == [SENT] * 5
        # It is rested after a few failures, however much waits for it.
        tried = len(dead.taken)
        assert tried <= 2 * AT_ONCE_MAX
        await world.send(sender)
        assert len(dead.taken) == tried
        world.pass_time(minutes=5)
        await world.send(sender)
        assert len(dead.taken) == tried + 1
        # Once it is back, all are taken, without another event in between.
        dead.good_for = 60
        world.pass_time(minutes=5)
        await world.send(sender)
        assert len(set(dead.ids)) > 60


@pytest.mark.thorough
async def test_few_requests_go_to_one_endpoint_at_once_and_few_endpoints_of_one_account(
    world, receiver
):
    mine = [await world.add("alice", receiver.url) for _ in range(6)]
    await world.tell("alice", 8)
    async with receiving() as other:
        theirs = await world.add("bob", other.url)
        await world.tell("bob", 8)
        receiver.gate.clear()
        other.gate.clear()
        sender = world.sender()
        await sender.round()
        assert len(sender._lanes) == PER_ACCOUNT_MAX + 1
        async with asyncio.timeout(5):
            while receiver.at_once < PER_ACCOUNT_MAX * AT_ONCE_MAX or other.at_once < AT_ONCE_MAX:
                await asyncio.sleep(0)
        assert (receiver.at_once, other.at_once) == (PER_ACCOUNT_MAX * AT_ONCE_MAX, AT_ONCE_MAX)
        await sender.round()
        assert len(sender._lanes) == PER_ACCOUNT_MAX + 1
        receiver.gate.set()
        other.gate.set()
        await asyncio.gather(*sender._lanes.values())
        world.pass_time(minutes=10)
        await world.send(sender)
        await world.send(sender)
    for endpoint in (*mine, theirs):
        assert await world.states(endpoint) == [SENT] * 8


@pytest.mark.thorough
async def test_those_that_hang_keep_out_nobody_who_answers(world, receiver):
    await world.open_account(*(f"a{number}" for number in range(LANES_MAX)))
    async with receiving() as other:
        answering = await world.add("alice", other.url)
        world.pass_time(minutes=61)
        for number in range(LANES_MAX):
            await world.add(f"a{number}", receiver.url)
            await world.tell(f"a{number}")
        receiver.gate.clear()
        sender = world.sender()
        await sender.round()
        await sender.round()
        assert len(sender._lanes) == DOUBTFUL_MAX
        await world.tell("alice")
        await sender.round()
        await sender._lanes[answering.id]
        assert await world.states(answering) == [SENT]
        receiver.gate.set()
        await asyncio.gather(*sender._lanes.values())


@pytest.mark.thorough
async def test_no_more_lanes_are_opened_than_allowed(world, receiver):
    await world.open_account(*(f"a{number}" for number in range(LANES_MAX + 5)))
    for number in range(LANES_MAX + 5):
        await world.add(f"a{number}", receiver.url)
        await world.tell(f"a{number}")
    world.pass_time(minutes=61)
    receiver.gate.clear()
    sender = world.sender()
    await sender.round()
    await sender.round()
    assert len(sender._lanes) == LANES_MAX
    receiver.gate.set()
    await asyncio.gather(*sender._lanes.values())
    await world.send(sender)
    assert len(set(receiver.ids)) == LANES_MAX + 5


async def test_workers_at_once_send_each_event_once(world, receiver):
    for account_id in ("alice", "bob"):
        for _ in range(2):
            await world.add(account_id, receiver.url)
        await world.tell(account_id, 10)
    senders = [world.sender() for _ in range(3)]
    for _ in range(3):
        await asyncio.gather(*(world.send(sender) for sender in senders))
    assert Counter(receiver.ids).most_common(1)[0][1] == 2
    assert len(receiver.taken) == 40


async def test_a_worker_killed_between_sending_and_noting_costs_a_repetition_under_the_same_id(
    world, receiver
):
    endpoint = await world.add("alice", receiver.url)
    (event_id,) = await world.tell("alice")
    # Its own clock is the machine's, which is no earlier.
    url = world.engine.url.render_as_string(hide_password=False)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.gateway.webhooks.doomed",
        url,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    try:
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"taken\n"
    finally:
        process.kill()
        await process.wait()
    assert await world.states(endpoint) == [QUEUED]
    # Nobody else sends while the claim lasts.
    await world.send()
    assert len(receiver.taken) == 1
    world.pass_time(minutes=5)
    await world.send()
    assert receiver.ids == [event_id] * 2
    assert await world.states(endpoint) == [SENT]


async def test_a_stop_gives_back_what_it_breaks_off(world, receiver):
    endpoint = await world.add("alice", receiver.url)
    await world.tell("alice")
    receiver.gate.clear()
    sender = world.sender()
    await sender.round()
    await receiver.arrived.wait()
    await sender.leave()
    assert not sender._lanes
    # Nothing more begins.
    await sender.round()
    assert not sender._lanes
    receiver.gate.set()
    world.pass_time(minutes=1)
    await world.send()
    assert await world.states(endpoint) == [SENT]
    assert len(set(receiver.ids)) == 1


async def test_an_endpoint_turns_its_secret_while_both_sign_for_a_day(world, receiver):
    old = await world.add("alice", receiver.url)
    new = await world.endpoints.turn("alice", None, old.id, world.maker.seed(old.id, "again"))
    assert new.seeds == (world.maker.seed(old.id, "again"), old.seeds[0])
    await world.tell("alice")
    await world.send()
    for endpoint in (old, new):
        assert world.verify(endpoint, receiver.taken[0])["type"] == WARNING
    assert receiver.taken[0][0]["webhook-signature"].count(" ") == 1
    world.pass_time(hours=24)
    await world.tell("alice")
    await world.send()
    assert " " not in receiver.taken[1][0]["webhook-signature"]


async def test_what_is_not_kept_any_more_or_too_long_is_given_up(world, receiver):
    endpoint = await world.add("alice", receiver.url)
    forgotten, long, fine = await world.tell("alice", 3)

    async def write(delivery):
        if delivery.event_id == forgotten:
            raise LookupError
        if delivery.event_id == long:
            raise ValueError
        return b"{}"

    world.write = write
    await world.send()
    assert receiver.ids == [fine]
    failures = {each.event_id: each.failure for each, _ in await world.deliveries(endpoint)}
    assert failures == {forgotten: "forgotten", long: "too_long", fine: ""}


async def test_an_account_erased_while_events_wait_gets_none(world, receiver):
    await world.add("alice", receiver.url)
    await world.tell("alice", 3)
    sender = world.sender()
    receiver.gate.clear()
    await sender.round()
    await receiver.arrived.wait()
    # Also while some are being sent.
    await SqlErasing(world.engine).erase_person("alice")
    receiver.gate.set()
    await asyncio.gather(*sender._lanes.values())
    asked = len(receiver.taken)
    world.pass_time(hours=1)
    await world.send(sender)
    assert len(receiver.taken) == asked
    async with world.engine.connect() as connection:
        for table in (endpoints, deliveries, attempts):
            assert await connection.scalar(sa.select(sa.func.count()).select_from(table)) == 0


async def test_a_missing_key_stops_one_endpoint_and_tells_nothing_wrong(world, receiver):
    endpoint = await world.add("alice", receiver.url)
    await world.tell("alice")

    def locate(_endpoint):
        raise LookupError

    world.locate = locate
    sender = world.sender()
    await world.send(sender)
    await world.send(sender)
    ((delivery, tried),) = await world.deliveries(endpoint)
    assert (delivery.state, delivery.tries, list(tried)) == (QUEUED, 0, [])
    assert receiver.taken == []
    world.pass_time(seconds=CLAIM.total_seconds() + 1)
    del world.locate
    await world.send()
    assert await world.states(endpoint) == [SENT]


async def test_a_host_that_is_not_allowed_any_more_is_not_sent_to(world, receiver):
    endpoint = await world.add("alice", receiver.url)
    await world.tell("alice")
    world.hosts = ()
    await world.send()
    ((delivery, (attempt,)),) = await world.deliveries(endpoint)
    assert (delivery.state, attempt.status, receiver.taken) == (QUEUED, None, [])
    assert attempt.reason.startswith("address ")


class AwaySpool(SqlWebhookSpool):
    """A spool whose database goes away at a step."""

    away = ""

    async def _fail(self, step):
        if step == self.away:
            raise StoreUnavailableError

    async def due(self, claim, count):
        await self._fail("due")
        return await super().due(claim, count)

    async def note(self, claim, delivery, outcome):
        await self._fail("note")
        return await super().note(claim, delivery, outcome)

    async def release(self, claim):
        await self._fail("release")
        await super().release(claim)


@pytest.mark.parametrize("step", ["due", "note", "release"])
async def test_a_database_that_goes_away_loses_no_event(world, receiver, step):
    endpoint = await world.add("alice", receiver.url)
    (event_id,) = await world.tell("alice")
    spool = AwaySpool(world.engine, clock=world.clock)
    spool.away = step
    await world.send(world.sender(spool))
    world.pass_time(seconds=CLAIM.total_seconds() + 1)
    await world.send()
    assert await world.states(endpoint) == [SENT]
    assert set(receiver.ids) == {event_id}
    assert len(receiver.taken) == (2 if step == "note" else 1)


async def test_a_delivery_and_all_that_failed_are_sent_again_on_demand(world, receiver):
    endpoint = await world.add("alice", receiver.url)
    receiver.status = 410
    old, new = await world.tell("alice"), await world.tell("alice")
    await world.send()
    await DeliveryTidying(world.spool.tidy).round()
    again = world.endpoints.replay_failed
    since = world.clock() - timedelta(hours=1)
    assert await again("alice", endpoint.id, since) is NotDone.IS_DISABLED
    await world.endpoints.change("alice", None, endpoint.id, EndpointForm(is_disabled=False))
    assert await again("bob", endpoint.id, since) is NotDone.NOT_FOUND
    assert await again("alice", endpoint.id, world.clock() + timedelta(hours=1)) == 0
    receiver.status = 204
    receiver.taken.clear()
    assert await again("alice", endpoint.id, since) == 2
    await world.send()
    assert set(receiver.ids) == {*old, *new}
    # Also one that was taken: under the same id, noted as a further attempt.
    delivery, tried = (await world.deliveries(endpoint))[0]
    replayed = await world.endpoints.replay("alice", endpoint.id, delivery.id)
    assert (replayed.state, replayed.tries_before) == (QUEUED, len(tried))
    receiver.taken.clear()
    await world.send()
    assert receiver.ids == [delivery.event_id]
    numbers = [attempt.number for attempt in (await world.deliveries(endpoint))[0][1]]
    assert numbers == list(range(1, len(tried) + 2))
    assert await world.endpoints.replay("bob", endpoint.id, delivery.id) is NotDone.NOT_FOUND


async def test_of_one_that_is_sent_again_and_again_few_attempts_are_kept(
    world, receiver, monkeypatch
):
    monkeypatch.setattr("gateway.webhooks.spool.ATTEMPTS_MAX", 3)
    endpoint = await world.add("alice", receiver.url)
    await world.tell("alice")
    await world.send()
    ((delivery, _),) = await world.deliveries(endpoint)
    for _ in range(4):
        await world.endpoints.replay("alice", endpoint.id, delivery.id)
        await world.send()
    ((_, tried),) = await world.deliveries(endpoint)
    assert [attempt.number for attempt in tried] == [3, 4, 5]


async def test_one_sent_again_has_all_its_attempts_anew(world, receiver):
    endpoint = await world.add("alice", receiver.url)
    receiver.status = 500
    await world.tell("alice")
    for pause in DELAYS:
        world.clock.now += pause
        await world.send()
    ((delivery, _),) = await world.deliveries(endpoint)
    # A success in between, or it would have failed for too long.
    receiver.status = 204
    await world.endpoints.test("alice", endpoint.id)
    await world.send()
    receiver.status = 500
    await world.endpoints.replay("alice", endpoint.id, delivery.id)
    for pause in DELAYS:
        world.clock.now += pause
        await world.send()
    assert len(receiver.taken) == 21
    assert await world.states(endpoint) == [ABANDONED, SENT]


async def test_the_operators_endpoint_is_a_setting_and_never_disabled(world, receiver):
    operators = SqlWebhookSpool(world.engine, has_operator=True, clock=world.clock)
    # Made by whoever queues first, or by the worker that starts.
    world.spool, plain = operators, world.spool
    await world.tell("", name="alarm.raised")
    await operators.set_operator()
    await world.add("alice", receiver.url)
    posted = []

    class Poster:
        async def post(self, target, headers, body):
            posted.append(body)
            return ReceiverAnswer(410)

    world.poster, poster = Poster(), world.poster
    world.locate = lambda endpoint: webhooks.EndpointTarget(None, [b"x" * 32])
    await world.tell("alice")
    await world.tell("alice", name="call.ended")
    await world.send()
    # Two of the operator, and two of Alice.
    assert len(posted) == 4
    async with world.engine.connect() as connection:
        row = (
            await connection.execute(sa.select(endpoints).where(endpoints.c.id == "operator"))
        ).one()
    assert row.disabled_at is None
    await plain.set_operator()
    async with world.engine.connect() as connection:
        query = sa.select(sa.func.count()).select_from(deliveries)
        assert await connection.scalar(query.where(deliveries.c.account_id.is_(None))) == 0
    world.poster = poster
