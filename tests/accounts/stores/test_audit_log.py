"""The audit log on both databases: in order, of one account, and as it was written."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts.audit_log import Act, Actor
from accounts.stores import audit_log, tables
from accounts.stores.audit_log import AuditEntry
from tests.accounts.stores.conftest import NOW


async def test_the_newest_lines_of_an_account_come_first(change):
    async with change() as connection:
        await audit_log.record(connection, "alice", Act.SIGNED_UP, NOW)
        await audit_log.record(connection, "bob", Act.SIGNED_UP, NOW)
        await audit_log.record(connection, "alice", Act.LOCKED, NOW, Actor.OPERATOR)
        signed_up = AuditEntry(NOW, Act.SIGNED_UP, Actor.HOLDER)
        locked = AuditEntry(NOW, Act.LOCKED, Actor.OPERATOR)
        assert await audit_log.of_account(connection, "alice", limit=9) == [locked, signed_up]
        assert await audit_log.of_account(connection, "alice", limit=1) == [locked]
        assert await audit_log.of_account(connection, "carol", limit=9) == []
        of_one = await audit_log.of_account(connection, "alice", limit=9, act=Act.SIGNED_UP)
        assert of_one == [signed_up]


@pytest.mark.parametrize("act", Act)
async def test_every_act_can_be_written_and_read(change, act):
    async with change() as connection:
        await audit_log.record(connection, "alice", act, NOW, Actor.SERVICE)
        (entry,) = await audit_log.of_account(connection, "alice", limit=9)
        assert entry == AuditEntry(NOW, act, Actor.SERVICE)


async def test_of_a_reason_that_is_too_long_the_beginning_is_kept(change):
    async with change() as connection:
        for length in (tables.REASON_MAX, tables.REASON_MAX + 1):
            reason = "r" * (length - 1) + "."
            await audit_log.record(connection, "alice", Act.LOCKED, NOW, reason=reason)
        longer, whole = await audit_log.of_account(connection, "alice", limit=9)
        assert (whole.reason, longer.reason) == ("r" * 299 + ".", "r" * 300)


async def test_the_database_itself_refuses_to_rewrite_it(change, engine):
    async with change() as connection:
        await audit_log.record(connection, "alice", Act.SIGNED_UP, NOW)
    with pytest.raises(sa.exc.DBAPIError, match="immutable"):
        async with engine.begin() as connection:
            await connection.execute(sa.update(tables.account_events).values(act="locked"))


async def test_the_database_itself_refuses_to_delete_a_line(change, engine):
    async with change() as connection:
        await audit_log.record(connection, "alice", Act.SIGNED_UP, NOW)
    for statement in (
        sa.delete(tables.account_events),
        sa.delete(tables.account_events).where(tables.account_events.c.account_id == "alice"),
        *([sa.text("TRUNCATE account_events")] if engine.dialect.name == "postgresql" else []),
    ):
        with pytest.raises(sa.exc.DBAPIError, match="immutable"):
            async with engine.begin() as connection:
                await connection.execute(statement)
    async with change() as connection:
        assert len(await audit_log.of_account(connection, "alice", limit=9)) == 1


async def test_lines_whose_time_is_up_are_forgotten_and_no_other(change, engine):
    is_old = tables.account_events.c.at < NOW
    async with change() as connection:
        for hours in range(4):
            at = NOW - timedelta(hours=hours)
            await audit_log.record(connection, "alice", Act.SIGNED_IN, at)
        assert await audit_log.forget(connection, is_old, limit=2) == 2
        left = await audit_log.of_account(connection, "alice", limit=9)
        assert {entry.at for entry in left} == {NOW, NOW - timedelta(hours=1)}
        assert await audit_log.forget(connection, is_old, limit=2) == 1
        assert await audit_log.forget(connection, is_old, limit=2) == 0
    # The leave to do so ends with the transaction, or earlier.
    with pytest.raises(sa.exc.DBAPIError, match="immutable"):
        async with engine.begin() as connection:
            await connection.execute(sa.delete(tables.account_events))


async def test_a_line_says_which_operator_and_why_and_can_be_paged(change):
    async with change() as connection:
        for reason in ("one", "two", "three"):
            await audit_log.record(
                connection,
                "alice",
                Act.FROZEN,
                NOW,
                Actor.OPERATOR,
                reason=reason,
                operator="kim",
            )
        await audit_log.record(connection, "alice", Act.LOCKED, NOW)
        newest = (await audit_log.of_account(connection, "alice", limit=2))[-1]
        assert newest == AuditEntry(NOW, Act.FROZEN, Actor.OPERATOR, "three", "kim")
        older = await audit_log.of_account(connection, "alice", limit=9, before=newest.number)
        assert [entry.reason for entry in older] == ["two", "one"]
        last = await audit_log.last(connection, "alice", Act.FROZEN, Act.UNFROZEN)
        assert last.reason == "three"
        assert await audit_log.last(connection, "bob", Act.FROZEN) is None


async def test_acts_are_counted_since_a_moment(change):
    async with change() as connection:
        for hours in (1, 25):
            at = NOW - timedelta(hours=hours)
            await audit_log.record(connection, "alice", Act.COUNTRY_OPENED, at, reason="DE")
        await audit_log.record(connection, "alice", Act.COUNTRY_CLOSED, NOW, reason="DE")
        since = NOW - timedelta(days=1)
        count = audit_log.count_since(connection, "alice", Act.COUNTRY_OPENED, since)
        assert await count == 1
