"""Countries that a person opens, on both databases: with mail and line, or not at all."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.audit_log import Act
from accounts.holder import Holder
from accounts.link import Purpose
from accounts.notice import Notice
from accounts.stores import audit_log, holders, links
from database.engine import TIMEOUT_S, reading, writing
from database.errors import StoreUnavailableError
from gateway.people.country_store import SqlHolderCountries
from gateway.stores.accounts import SqlAccountStore

START = datetime(2026, 11, 27, 12, tzinfo=UTC)
NOTICE = Notice("country_opened", "a@example.com", {"country": "France"}, link=Purpose.NOT_ME)


class Died(Exception):
    """Stands for the death of a process before its transaction is committed."""


class World:
    def __init__(self, engine):
        self.engine, self.now, self.mails, self.dies, self.told = engine, START, [], False, 0
        self.is_untold = False
        self.kept = SqlHolderCountries(
            engine, self.queue, on_change=self.changed, clock=lambda: self.now
        )

    async def queue(self, _connection, _account_id, notice, _at):
        if self.dies:
            raise Died
        self.mails.append(notice.name)

    async def changed(self):
        if self.is_untold:
            raise StoreUnavailableError("away")
        self.told += 1

    async def open(self, country, epoch=1, day_max=2):
        return await self.kept.open_country("alice", epoch, country, day_max=day_max, notice=NOTICE)

    async def log(self):
        async with reading(self.engine, TIMEOUT_S) as connection:
            lines = await audit_log.of_account(connection, "alice", limit=99)
            return [(line.act, line.reason) for line in lines]


@pytest.fixture
async def world(engine):
    await SqlAccountStore(engine).create_account("alice", "USD")
    async with writing(engine, TIMEOUT_S) as connection:
        alice = Holder("alice", "a@example.com", START, "hash", 1, "en", START)
        assert await holders.insert(connection, alice, "a@example.com")
    return World(engine)


async def test_a_country_is_opened_once_with_its_mail_line_and_link(world):
    assert await world.open("FR") is True
    assert await world.open("FR") is True
    assert await world.kept.opened("alice") == {"FR"}
    assert (world.mails, world.told) == (["country_opened"], 1)
    assert await world.log() == [(Act.COUNTRY_OPENED, "FR")]
    async with writing(world.engine, TIMEOUT_S) as connection:
        options = {"at": START, "secret": "s"}
        assert await links.make_link(
            connection, Purpose.NOT_ME, "alice", "a@example.com", **options
        )


async def test_closing_gives_none_of_the_days_back(world):
    await world.open("FR")
    assert await world.kept.close_country("alice", 1, "FR")
    assert await world.kept.close_country("alice", 1, "FR")
    assert await world.open("IT") is True
    assert await world.open("ES") is False
    assert await world.kept.opened("alice") == {"IT"}
    acts = [act for act, _ in await world.log()]
    assert acts == [Act.COUNTRY_OPENED, Act.COUNTRY_CLOSED, Act.COUNTRY_OPENED]
    assert world.mails == ["country_opened", "country_opened"]
    world.now = START + timedelta(hours=24)
    assert await world.open("ES") is True
    assert [act for act, _ in await world.log()].count(Act.COUNTRY_CLOSED) == 1


async def test_a_session_that_is_over_changes_nothing(world):
    assert await world.open("FR", epoch=2) is None
    assert not await world.kept.close_country("alice", 2, "FR")
    assert await world.kept.open_country("nobody", 1, "FR", day_max=2, notice=NOTICE) is None
    await SqlAccountStore(world.engine).mark_deleted("alice")
    assert await world.open("FR") is None
    assert (await world.log(), world.mails) == ([], [])


async def test_without_its_mail_nothing_is_open(world):
    world.dies = True
    with pytest.raises(Died):
        await world.open("FR")
    assert (await world.kept.opened("alice"), await world.log()) == (frozenset(), [])


async def test_what_nodes_were_not_told_of_has_happened_all_the_same(world):
    world.is_untold = True
    assert await world.open("FR") is True
    assert await world.kept.opened("alice") == {"FR"}
