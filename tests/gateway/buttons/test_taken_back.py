"""What a lock does with buttons: a thief's are gone, the owner's do what their owner knows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from accounts.audit_log import Act
from accounts.link import DISPUTABLE, Purpose, digest
from accounts.notice import Notice
from accounts.stores import holders, links
from billing.stores import tables
from database.engine import TIMEOUT_S, writing
from gateway.buttons.ports import ButtonChange, CodeTry, NewButton
from gateway.buttons.store import SqlButtons
from gateway.embed.keys import KeyMode
from gateway.people.password import password_changed
from gateway.people.store import SqlPeople
from gateway.personal_data.taking_back import TAKING_BACK
from tests.gateway.buttons.test_store import NEW, PHONE, RULES, key
from tests.gateway.people.two_people import TwoPeople

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONG, WEEK = DISPUTABLE + timedelta(days=1), timedelta(days=7)
HOME, THIEFS = "ada@example.com", "+4930999999"
LOCKED = Notice("locked", HOME, link=Purpose.RESET_PASSWORD)
EVIL = NewButton(
    "b2",
    "evil",
    msgspec.structs.replace(RULES, destination=THIEFS),
    live_key=key(3),
    test_key=key(4, KeyMode.TEST),
)


class World(TwoPeople):
    """An owner with a button, and a thief who comes long after it was made."""

    def __init__(self, engine):
        super().__init__(engine, NOW)
        self.buttons = SqlButtons(engine, self.tell, clock=lambda: self.now)
        self.people = SqlPeople(engine, self.queue, clock=lambda: self.now, taking_back=TAKING_BACK)
        self.notices = []

    async def queue(self, _connection, _account_id, notice, _at):
        self.notices.append(notice)

    async def lock(self):
        """Lock the account by the link of a mail that leaves now; return what is told of it."""
        async with writing(self.engine, TIMEOUT_S) as connection:
            await links.expect(connection, "ada", Purpose.NOT_ME, HOME, self.now)
            await links.make_link(connection, Purpose.NOT_ME, "ada", HOME, at=self.now, secret="x")
        assert await self.people.lock(digest("x"), LOCKED)
        return self.notices[-1]

    async def unlock(self):
        """Let the owner in again; return what they are told is left."""
        async with writing(self.engine, TIMEOUT_S) as connection:
            await links.expect(connection, "ada", Purpose.RESET_PASSWORD, HOME, self.now)
            await links.make_link(
                connection, Purpose.RESET_PASSWORD, "ada", HOME, at=self.now, secret="y"
            )
        holder = await self.people.reset_password(digest("y"), "hash", password_changed(HOME))
        return holder.credentials_epoch, self.notices[-1].values["buttons"]


@pytest.fixture
async def world(engine):
    world = World(engine)
    await world.sign_up()
    async with engine.begin() as connection:
        # The first proof by a reset would take back all there is.
        await holders.change(connection, "ada", email_proven_at=NOW)
    assert await world.buttons.note_proven("ada", 1, PHONE) is CodeTry.PROVEN
    assert await world.buttons.make("ada", 1, NEW) is ButtonChange.DONE
    world.now += LONG
    return world


async def test_a_button_that_a_thief_made_is_deleted_and_the_owners_takes_calls(world):
    assert await world.buttons.note_proven("ada", 1, THIEFS) is CodeTry.PROVEN
    assert await world.buttons.make("ada", 1, EVIL) is ButtonChange.DONE
    thiefs = await world.buttons.read("ada", "b2")
    assert (await world.lock()).values["buttons"] == "“evil”"
    assert [each.id for each in await world.buttons.of_account("ada")] == ["b1"]
    assert await world.buttons.by_key(key(3)) is None
    assert [each.number for each in await world.buttons.destinations("ada")] == [PHONE]
    async with world.engine.connect() as connection:
        revoked = sa.select(tables.api_keys.c.id).where(tables.api_keys.c.revoked_at.is_not(None))
        assert (await connection.scalars(revoked)).all() == [thiefs.key_id]
    assert not (await world.buttons.by_key(key(1))).is_paused
    assert (await world.unlock())[1] == "“shop”"


async def test_the_mail_about_a_button_has_a_link_that_locks(world):
    told = Notice("button_made", HOME, {"label": "evil"}, link=Purpose.NOT_ME)
    assert await world.buttons.make("ada", 1, replace(EVIL, rules=RULES), told) is ButtonChange.DONE
    async with writing(world.engine, TIMEOUT_S) as connection:
        assert await links.make_link(
            connection, Purpose.NOT_ME, "ada", HOME, at=world.now, secret="x"
        )
    assert await world.people.lock(digest("x"), LOCKED)
    assert await world.buttons.read("ada", "b2") is None


async def test_what_was_changed_is_paused_until_its_owner_has_looked(world):
    """What its rules were before nobody knows."""
    assert await world.buttons.note_proven("ada", 1, THIEFS) is CodeTry.PROVEN
    for destination in (THIEFS, PHONE):
        rules = msgspec.structs.replace(RULES, title="Call us", destination=destination)
        changed = await world.buttons.change("ada", 1, "b1", label="shop", rules=rules)
        assert changed is ButtonChange.DONE
    await world.lock()
    assert (await world.buttons.by_key(key(1))).is_paused
    epoch, left = await world.unlock()
    assert left == ""
    assert await world.buttons.pause("ada", epoch, "b1", is_paused=False) is ButtonChange.DONE
    assert not (await world.buttons.by_key(key(1))).is_paused


async def test_one_that_was_resumed_is_paused_again(world):
    for is_paused in (True, False):
        await world.buttons.pause("ada", 1, "b1", is_paused=is_paused)
    await world.lock()
    assert (await world.buttons.by_key(key(1))).is_paused


async def test_a_button_goes_on_to_a_thiefs_number_only_once_it_is_proven_again(world):
    assert await world.buttons.note_proven("ada", 1, THIEFS) is CodeTry.PROVEN
    rules = msgspec.structs.replace(RULES, destination=THIEFS)
    await world.buttons.change("ada", 1, "b1", label="shop", rules=rules)
    await world.lock()
    epoch, _ = await world.unlock()
    resumed = await world.buttons.pause("ada", epoch, "b1", is_paused=False)
    assert resumed is ButtonChange.UNPROVEN
    assert (await world.buttons.by_key(key(1))).is_paused
    await world.buttons.change("ada", epoch, "b1", label="shop", rules=RULES)
    assert await world.buttons.pause("ada", epoch, "b1", is_paused=False) is ButtonChange.DONE


@pytest.mark.parametrize("overlap", [timedelta(0), WEEK])
async def test_the_key_that_a_thief_has_replaced_stands_again(world, overlap):
    ends_at = world.now + overlap
    await world.buttons.turn("ada", 1, "b1", new_key=key(5), ends_at=ends_at)
    await world.lock()
    world.now += 2 * WEEK
    assert await world.buttons.by_key(key(5)) is None
    assert not (await world.buttons.by_key(key(1))).is_paused
    keys = {each.key for each in (await world.buttons.read("ada", "b1")).keys}
    assert keys == {key(1), key(2, KeyMode.TEST)}


async def test_each_thing_has_its_line_and_nobody_elses_are_touched(world):
    assert await world.buttons.note_proven("bob", 1, PHONE) is CodeTry.PROVEN
    bobs = NewButton("b9", "bobs", RULES, live_key=key(8), test_key=key(9, KeyMode.TEST))
    assert await world.buttons.make("bob", 1, bobs) is ButtonChange.DONE
    assert await world.buttons.make("ada", 1, replace(EVIL, rules=RULES)) is ButtonChange.DONE
    await world.buttons.turn("ada", 1, "b1", new_key=key(5), ends_at=world.now)
    await world.buttons.change("ada", 1, "b1", label="store", rules=RULES)
    before = len(await world.entries("ada"))
    await world.lock()
    lines = [entry.act for entry in (await world.entries("ada"))[:-before]]
    done = {Act.BUTTON_DELETED, Act.BUTTON_TURNED, Act.BUTTON_PAUSED}
    assert sorted(done) == sorted(act for act in lines if act.startswith("button_"))
    assert not (await world.buttons.by_key(key(8))).is_paused
