"""The register of requests: noted once while open, answered once, listed by when they are due."""

from datetime import timedelta

from accounts.audit_log import Actor
from accounts.data_request import Right, due
from accounts.stores import data_requests
from tests.accounts.stores.conftest import NOW


async def test_an_open_request_is_noted_once_and_answered_once(change):
    async with change() as connection:
        for _ in range(2):
            await data_requests.ask(connection, "alice", Right.EXPORT, NOW)
        (one,) = await data_requests.of_account(connection, "alice")
        assert (one.right, one.due_at, one.done_at) == (Right.EXPORT, due(NOW), None)
        later = NOW + timedelta(days=1)
        await data_requests.answer(connection, "alice", Right.EXPORT, later, Actor.SERVICE)
        await data_requests.answer(connection, "alice", Right.EXPORT, NOW, Actor.HOLDER)
        (one,) = await data_requests.of_account(connection, "alice")
        assert (one.done_at, one.done_by) == (later, Actor.SERVICE)
        # Asked for again, it is another one.
        await data_requests.ask(connection, "alice", Right.EXPORT, later)
        assert len(await data_requests.of_account(connection, "alice")) == 2


async def test_what_is_due_first_is_listed_first_and_closed_with_a_note(change):
    async with change() as connection:
        await data_requests.ask(connection, "bob", Right.ACCESS, NOW + timedelta(days=3))
        await data_requests.ask(connection, "alice", Right.CORRECTION, NOW)
        await data_requests.ask(connection, "alice", Right.OBJECTION, NOW, is_done=True)
        first, second = await data_requests.unanswered(connection)
        assert (first.account_id, second.account_id) == ("alice", "bob")
        assert await data_requests.close(connection, first.id, NOW, Actor.OPERATOR, "by mail")
        assert not await data_requests.close(connection, first.id, NOW, Actor.OPERATOR, "again")
        assert [each.id for each in await data_requests.unanswered(connection)] == [second.id]
        noted = {each.id: each for each in await data_requests.newest(connection)}
        assert len(noted) == 3
        assert (noted[first.id].note, noted[first.id].done_by) == ("by mail", Actor.OPERATOR)


async def test_all_that_an_account_asked_for_is_answered_at_once(change):
    async with change() as connection:
        for right in (Right.ACCESS, Right.DELETION):
            await data_requests.ask(connection, "alice", right, NOW)
        await data_requests.ask(connection, "bob", Right.ACCESS, NOW)
        await data_requests.answer_all(connection, "alice", NOW, Actor.SERVICE)
        (left,) = await data_requests.unanswered(connection)
        assert left.account_id == "bob"
