"""Links on both databases: expected from the act, made when the mail leaves, used once."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts.link import DISPUTABLE, LIFETIMES, MAIL_MAX, Link, Purpose, digest
from accounts.stores import links, tables
from accounts.stores.links import MadeLink
from tests.accounts.stores.conftest import NOW

HOME = "Alice@Example.com"
RESET = Purpose.RESET_PASSWORD
LIFE = LIFETIMES[RESET]


async def make(connection, at, secret="secret", account_id="alice", purpose=RESET):
    return await links.make_link(connection, purpose, account_id, HOME, at=at, secret=secret)


async def test_a_link_lives_from_when_its_mail_leaves(change, people):
    left_at = NOW + timedelta(days=2)
    link = Link(RESET, "alice", HOME, left_at + LIFE)
    async with change() as connection:
        await links.expect(connection, "alice", RESET, HOME, NOW)
        assert await make(connection, left_at)
        assert await links.find(connection, digest("secret")) == MadeLink(
            link, NOW, left_at, takes_back_since=left_at - DISPUTABLE
        )
        assert await links.find(connection, digest("other")) is None
        assert await links.find(connection, "secret") is None


async def test_one_that_is_made_again_is_the_same(change, people):
    async with change() as connection:
        await links.expect(connection, "alice", RESET, HOME, NOW)
        await make(connection, NOW)
        before = await links.find(connection, digest("secret"))
        assert await make(connection, NOW + timedelta(minutes=1))
        assert await links.find(connection, digest("secret")) == before


async def test_one_that_nobody_expects_is_over_from_the_beginning(change, people):
    async with change() as connection:
        assert not await make(connection, NOW)
        assert not (await links.find(connection, digest("secret"))).link.works(NOW)
        assert not await links.use(connection, digest("secret"), RESET, NOW)


async def test_where_there_is_no_holder_no_link_is_kept(change):
    async with change() as connection:
        assert not await make(connection, NOW)
        assert await links.find(connection, digest("secret")) is None


async def test_an_expectation_lapses_unless_it_is_asked_for_again(change, people):
    lapses_at = NOW + LIFE + MAIL_MAX
    moment = timedelta(microseconds=1)
    async with change() as connection:
        await links.expect(connection, "alice", RESET, HOME, NOW)
        assert await make(connection, lapses_at - moment, "in time")
        assert not await make(connection, lapses_at, "too late")
        await links.expect(connection, "alice", RESET, HOME, lapses_at - moment)
        assert await make(connection, lapses_at, "again")
        assert (await links.find(connection, digest("again"))).asked_at == NOW
        # Asked for after it has lapsed, it is another one.
        later = lapses_at + LIFE + MAIL_MAX
        await links.expect(connection, "alice", RESET, HOME, later)
        assert await make(connection, later, "anew")
        assert (await links.find(connection, digest("anew"))).asked_at == later


async def test_a_link_is_used_once_for_its_purpose_while_it_lives(change, people):
    async with change() as connection:
        await links.expect(connection, "alice", RESET, HOME, NOW)
        await make(connection, NOW)
        mine = digest("secret")
        assert not await links.use(connection, mine, Purpose.NOT_ME, NOW)
        assert not await links.use(connection, mine, RESET, NOW + LIFE)
        assert not await links.use(connection, digest("other"), RESET, NOW)
        assert await links.use(connection, mine, RESET, NOW)
        assert not await links.use(connection, mine, RESET, NOW)
        assert (await links.find(connection, mine)).link.used_at == NOW


async def test_of_many_who_use_a_link_at_once_one_does(change, people):
    async with change() as connection:
        await links.expect(connection, "alice", RESET, HOME, NOW)
        await make(connection, NOW)

    async def use():
        async with change() as connection:
            return await links.use(connection, digest("secret"), RESET, NOW)

    assert sorted(await asyncio.gather(*(use() for _ in range(4)))) == [False, False, False, True]


async def test_what_is_ended_is_ended_for_good_and_nothing_else(change, people):
    others = [("alice", Purpose.NOT_ME), ("bob", RESET)]
    async with change() as connection:
        for account_id, purpose in [("alice", RESET), *others]:
            await links.expect(connection, account_id, purpose, HOME, NOW)
            await make(connection, NOW, f"{account_id} {purpose}", account_id, purpose)
        await links.end(connection, "alice", {RESET, Purpose.CHANGE_ADDRESS}, NOW)
        assert not await links.use(connection, digest(f"alice {RESET}"), RESET, NOW)
        assert not await make(connection, NOW, "delayed")
        for account_id, purpose in others:
            mine = digest(f"{account_id} {purpose}")
            assert await links.use(connection, mine, purpose, NOW)


async def test_what_was_asked_for_earlier_may_be_spared(change, people):
    later = NOW + timedelta(minutes=1)
    emails = {HOME: NOW, "second@example.com": later, "third@example.com": later}
    purpose = Purpose.UNDO_CHANGE
    async with change() as connection:
        for email, at in emails.items():
            await links.expect(connection, "alice", purpose, email, at)
            await links.make_link(connection, purpose, "alice", email, at=later, secret=email)
        await links.end(connection, "alice", {purpose}, later, asked_from=later)
        used = [await links.use(connection, digest(email), purpose, later) for email in emails]
        assert used == [True, False, False]
        again = [
            await links.make_link(connection, purpose, "alice", email, at=later, secret=email * 2)
            for email in emails
        ]
        assert again == [True, False, False]


async def test_an_address_is_kept_for_whom_it_was_until_that_lapses(change, people):
    purpose = Purpose.UNDO_CHANGE
    lapses_at = NOW + LIFETIMES[purpose] + MAIL_MAX
    async with change() as connection:
        await links.expect(connection, "alice", purpose, HOME, NOW, email_key="a@b")
        assert await links.is_kept_for_another(connection, "bob", "a@b", NOW)
        assert not await links.is_kept_for_another(connection, "alice", "a@b", NOW)
        assert not await links.is_kept_for_another(connection, "bob", "c@d", NOW)
        assert not await links.is_kept_for_another(connection, "bob", "a@b", lapses_at)


async def test_an_expectation_that_has_lapsed_does_not_go_on(change, people):
    lapsed_at = NOW + LIFETIMES[RESET] + MAIL_MAX
    async with change() as connection:
        for at in (NOW, lapsed_at):
            await links.expect(connection, "alice", RESET, HOME, at)
        asked_at = await connection.scalar(sa.select(tables.expected_links.c.asked_at))
        assert asked_at == lapsed_at


@pytest.mark.parametrize("purpose", Purpose)
async def test_no_secret_is_kept(change, people, purpose):
    async with change() as connection:
        await links.expect(connection, "alice", purpose, HOME, NOW)
        await make(connection, NOW, "the secret", "alice", purpose)
        for table in tables.metadata.tables.values():
            for row in await connection.execute(sa.select(table)):
                assert not any("the secret" in str(value) for value in row)
