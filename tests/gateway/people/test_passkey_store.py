"""Passkeys on both databases: each id once, each change with its mail, each count as it was."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from accounts.audit_log import Act
from accounts.link import Purpose
from accounts.notice import Notice
from accounts.passkey import PASSKEYS_MAX, Passkey
from accounts.ports import PasskeyTakenError, TooManyPasskeysError
from gateway.people.passkey_store import SqlPasskeys
from tests.gateway.people.test_store import (
    HOME,
    NOW,
    SIGN_UP,
    VERIFY,
    WORK,
    Died,
    World,
    mails,
)

PHONE = Passkey("id-1", "alice", bytes(range(256)), 5, "phone", True, False, NOW)
ADDED = Notice("passkey_added", HOME, link=Purpose.NOT_ME)
REMOVED = Notice("passkey_removed", HOME, link=Purpose.NOT_ME)


class PasskeyWorld(World):
    def __post_init__(self):
        super().__post_init__()
        self.passkeys = SqlPasskeys(self.people)


@pytest.fixture
async def world(engine):
    async with engine.begin() as connection:
        await connection.run_sync(mails.create)
    world = PasskeyWorld(engine)
    assert await world.people.sign_up(SIGN_UP, VERIFY)
    return world


async def test_one_is_added_and_found_and_ends_all_sessions(world):
    change = await world.ask(Purpose.CHANGE_ADDRESS, WORK)
    holder = await world.passkeys.add(PHONE, 1, ADDED)
    assert holder.credentials_epoch == 2
    assert await world.passkeys.find("id-1") == PHONE
    assert await world.passkeys.find("nothing") is None
    assert (await world.acts())[0] is Act.PASSKEY_ADDED
    assert (await world.queued())[-1] == ("passkey_added", HOME)
    assert not await world.works(change)
    later = replace(PHONE, credential_id="id-2", added_at=NOW + timedelta(days=1))
    await world.passkeys.add(later, 2, ADDED)
    assert await world.passkeys.of_account("alice") == [later, PHONE]
    assert await world.passkeys.of_account("bob") == []


async def test_an_id_is_known_once_whoever_has_it(world):
    bob = replace(SIGN_UP, account_id="bob", email="b@example.com", email_key="b@example.com")
    await world.people.sign_up(bob, replace(VERIFY, recipient=bob.email))
    others = (replace(PHONE, account_id=name) for name in ("alice", "bob"))
    found = await asyncio.gather(
        *(world.passkeys.add(each, 1, ADDED) for each in others), return_exceptions=True
    )
    assert [type(each) for each in found].count(PasskeyTakenError) == 1
    before = await world.rows()
    owner = (await world.passkeys.find("id-1")).account_id
    with pytest.raises(PasskeyTakenError):
        await world.passkeys.add(replace(PHONE, account_id=owner), 2, ADDED)
    assert await world.rows() == before


async def test_there_are_so_many_at_most(world):
    for number in range(PASSKEYS_MAX):
        each = replace(PHONE, credential_id=f"id-{number}")
        await world.passkeys.add(each, 1 + number, ADDED)
    with pytest.raises(TooManyPasskeysError):
        await world.passkeys.add(replace(PHONE, credential_id="x"), 1 + PASSKEYS_MAX, ADDED)
    assert len(await world.passkeys.of_account("alice")) == PASSKEYS_MAX


async def test_of_two_that_sign_with_one_count_one_is_taken(world):
    await world.passkeys.add(PHONE, 1, ADDED)
    used = replace(PHONE, sign_count=6, is_backed_up=True, used_at=NOW)
    found = await asyncio.gather(*(world.passkeys.use(used, 2, before=5) for _ in range(3)))
    assert found.count(True) == 1
    assert await world.passkeys.find("id-1") == used


async def test_a_passkey_that_does_not_count_is_used_again_and_again(world):
    await world.passkeys.add(replace(PHONE, sign_count=0), 1, ADDED)
    for _ in range(2):
        used = replace(PHONE, sign_count=0, used_at=NOW)
        assert await world.passkeys.use(used, 2, before=0)


async def test_it_is_renamed_and_removed_by_its_holder_and_once(world):
    await world.passkeys.add(PHONE, 1, ADDED)
    for _ in range(2):
        assert await world.passkeys.rename("alice", 2, "id-1", "key")
    assert (await world.passkeys.find("id-1")).name == "key"
    assert (await world.acts()).count(Act.PASSKEY_RENAMED) == 1
    removed = await world.passkeys.remove("alice", 2, "id-1", REMOVED)
    assert removed.credentials_epoch == 3
    assert (await world.acts())[0] is Act.PASSKEY_REMOVED
    before = await world.rows()
    again = await world.passkeys.remove("alice", 3, "id-1", REMOVED)
    assert again.credentials_epoch == 3, "a repeat begins no epoch"
    assert await world.passkeys.rename("alice", 3, "id-1", "x")
    assert await world.rows() == before


async def test_a_session_that_is_over_changes_nothing(world):
    await world.passkeys.add(PHONE, 1, ADDED)
    before = await world.rows()
    other = replace(PHONE, credential_id="id-2")
    assert await world.passkeys.add(other, 1, ADDED) is None
    assert not await world.passkeys.rename("alice", 1, "id-1", "x")
    assert await world.passkeys.remove("alice", 1, "id-1", REMOVED) is None
    assert not await world.passkeys.use(replace(PHONE, sign_count=6), 1, before=5)
    await world.passkeys.note_counted_back("alice", 1)
    assert await world.rows() == before
    await world.passkeys.note_counted_back("alice", 2)
    assert (await world.acts())[0] is Act.PASSKEY_COUNTED_BACK


@pytest.mark.parametrize("act", ["add", "remove"])
async def test_a_death_before_the_commit_leaves_all_as_it_was(world, act):
    passkeys = world.passkeys
    await passkeys.add(PHONE, 1, ADDED)
    acts = {
        "add": lambda: passkeys.add(replace(PHONE, credential_id="id-2"), 2, ADDED),
        "remove": lambda: passkeys.remove("alice", 2, "id-1", REMOVED),
    }
    before, world.dies = await world.rows(), True
    with pytest.raises(Died):
        await acts[act]()
    assert await world.rows() == before
