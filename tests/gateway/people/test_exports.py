"""Who may ask for everything that is kept of a person, and who may have it."""

from datetime import timedelta

import pytest

from accounts.export import A_DAY_MAX, Export, ExportRefusal, ExportState
from accounts.session import STEP_UP_MAX, name_of
from gateway.http.outcomes import SessionOver, StepUpNeeded
from gateway.people.exports import NotThere, OwnExports
from tests.gateway.people.memory import World
from tests.gateway.people.memory_exports import MemoryExports


@pytest.fixture
def world():
    return World()


@pytest.fixture
def store(world):
    return MemoryExports(world)


@pytest.fixture
def own(world, store):
    return OwnExports(store, lambda: world.now, world.new_secret)


async def test_it_is_asked_for_after_the_password_and_names_the_session(world, own):
    world.add()
    who = await world.enter()
    export = await own.ask(who)
    assert isinstance(export, Export)
    assert export.session_digest == name_of(who.secret)
    world.now += STEP_UP_MAX
    assert isinstance(await own.ask(who), StepUpNeeded)


async def test_one_at_a_time_and_few_a_day(world, own, store):
    world.add()
    who = await world.enter()
    for _ in range(A_DAY_MAX):
        assert isinstance(await own.ask(who), Export)
        assert await own.ask(who) is ExportRefusal.UNDER_WAY
        store.finish(b"PK")
    assert await own.ask(who) is ExportRefusal.TOO_MANY
    world.now += timedelta(days=1)
    assert isinstance(await own.ask(await world.enter()), Export)


async def test_a_session_that_is_over_gets_nothing(world, own, store):
    world.add()
    who = await world.enter()
    await own.ask(who)
    export = store.finish(b"PK")
    world.change(credentials_epoch=2)
    assert isinstance(await own.ask(who), SessionOver)
    assert isinstance(await own.fetch(who, export.id), SessionOver)
    assert store.fetched == 0


async def test_the_session_that_asked_fetches_it_and_another_after_the_password(world, own, store):
    world.add()
    asked, other = await world.enter(), await world.enter()
    await own.ask(asked)
    export = store.finish(b"PK", b"more")
    assert await own.fetch(other, export.id) == export, "its password was given just now"
    world.now += STEP_UP_MAX
    assert isinstance(await own.fetch(other, export.id), StepUpNeeded)
    assert await own.fetch(asked, export.id) == export
    assert [chunk async for chunk in own.content(export)] == [b"PK", b"more"]
    assert store.fetched == 2


async def test_what_is_not_ready_or_expired_or_another_persons_is_not_there(world, own, store):
    world.add()
    world.add("eve", "eve@example.com")
    who, eve = await world.enter(), await world.enter("eve@example.com")
    queued = await own.ask(who)
    assert queued.state is ExportState.QUEUED
    assert isinstance(await own.fetch(who, queued.id), NotThere)
    export = store.finish(b"PK")
    assert isinstance(await own.fetch(eve, export.id), NotThere)
    assert isinstance(await own.fetch(who, "nothing"), NotThere)
    world.now += timedelta(days=7)
    assert isinstance(await own.fetch(who, export.id), NotThere)
