"""The register of requests on both databases: pages of all, of an account and of what is due."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.audit_log import Act, Actor
from accounts.data_request import Right
from accounts.stores import audit_log
from database.engine import TIMEOUT_S, reading
from gateway.administration.register import SqlRegister
from gateway.stores.accounts import SqlAccountStore

START = datetime(2026, 11, 27, 12, tzinfo=UTC)


class World:
    def __init__(self, engine):
        self.engine, self.now = engine, START
        self.register = SqlRegister(engine, clock=lambda: self.now)

    async def page(self, *, account_id="", is_open=False, limit=9, before=None):
        found = await self.register.page(
            account_id=account_id, is_open=is_open, limit=limit, before=before
        )
        return [(each.id, each.account_id, each.right) for each in found]

    async def lines(self, account_id):
        async with reading(self.engine, TIMEOUT_S) as connection:
            lines = await audit_log.of_account(connection, account_id, limit=9)
        assert {each.actor for each in lines} <= {Actor.OPERATOR}
        return [(each.act, each.operator, each.reason) for each in lines]


@pytest.fixture
async def world(engine):
    for name in ("ada", "ben"):
        await SqlAccountStore(engine).create_account(name, "USD")
    world = World(engine)
    for days, name, right in (
        (3, "ada", Right.ACCESS),
        (1, "ben", Right.ACCESS),
        (2, "ada", Right.DELETION),
    ):
        world.now = START + timedelta(days=days)
        await world.register.ask(name, right, "kim")
    return world


async def test_requests_come_in_pages_the_newest_first(world):
    assert await world.page() == [
        (3, "ada", Right.DELETION),
        (2, "ben", Right.ACCESS),
        (1, "ada", Right.ACCESS),
    ]
    assert await world.page(limit=1, before=3) == [(2, "ben", Right.ACCESS)]
    assert [each[0] for each in await world.page(account_id="ada")] == [3, 1]
    assert await world.page(account_id="nobody") == []


async def test_of_those_that_are_open_the_first_due_comes_first(world):
    assert [each[0] for each in await world.page(is_open=True)] == [2, 3, 1]
    assert [each[0] for each in await world.page(is_open=True, limit=1, before=2)] == [3]
    assert await world.page(is_open=True, before=99) == []
    assert await world.register.close(3, "sent by post", "kim")
    assert not await world.register.close(3, "again", "kim")
    assert not await world.register.close(99, "", "kim")
    assert [each[0] for each in await world.page(is_open=True)] == [2, 1]
    (closed,) = await world.register.page(account_id="", is_open=False, limit=1, before=None)
    assert (closed.done_at, closed.done_by, closed.note) == (
        world.now,
        Actor.OPERATOR,
        "sent by post",
    )


async def test_a_request_is_noted_once_and_of_an_account_that_is_there(world):
    await world.register.ask("ben", Right.ACCESS, "kim")
    assert len(await world.page()) == 3
    with pytest.raises(LookupError):
        await world.register.ask("nobody", Right.ACCESS, "kim")
    assert await world.lines("nobody") == []


async def test_each_act_has_one_line_in_the_audit_log_and_a_repeat_none(world):
    await world.register.ask("ben", Right.ACCESS, "lee")
    for note in ("sent by post", "again"):
        await world.register.close(2, note, "lee")
    await world.register.close(99, "", "lee")
    noted = (Act.REQUEST_NOTED, "kim", "access")
    assert await world.lines("ben") == [
        (Act.REQUEST_ANSWERED, "lee", "access: sent by post"),
        noted,
    ]
    await world.register.close(1, "", "lee")
    assert await world.lines("ada") == [
        (Act.REQUEST_ANSWERED, "lee", "access"),
        (Act.REQUEST_NOTED, "kim", "deletion"),
        noted,
    ]
