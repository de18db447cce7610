"""Second factors on both databases: one for each holder, each code once, each change with its mail.

Races are real: several connections, at once. A death in mid-change is a transaction that is not
committed.
"""

import asyncio
import os

import pytest
import sqlalchemy as sa

from accounts import second_factor
from accounts.audit_log import Act
from accounts.link import Purpose
from accounts.notice import Notice
from accounts.passkey import Passkey
from accounts.ports import NewSecondFactor
from accounts.stores.secret_box import SecretBox
from accounts.stores.tables import second_factors
from billing.stores import tables
from database.engine import TIMEOUT_S, reading
from database.errors import StoreUnavailableError
from gateway.people.passkey_store import SqlPasskeys
from gateway.people.second_factor_store import SqlSecondFactors
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

SECRET = bytes(range(20))
CODES = second_factor.make_codes(bytes(range(150)))
NEW = NewSecondFactor(SECRET, 100, [second_factor.code_digest(each) for each in CODES])
CHANGED = Notice("second_factor_changed", HOME, {"change": "on"}, link=Purpose.NOT_ME)
BY = {"operator": "olga", "reason": "lost the phone"}
USED = Notice("recovery_code_used", HOME, link=Purpose.NOT_ME)
KEYS = ["a key of 32 characters, or of more"]


class FactorWorld(World):
    def __post_init__(self):
        super().__post_init__()
        self.factors = SqlSecondFactors(self.people, SecretBox(KEYS, os.urandom))


@pytest.fixture
async def world(engine):
    async with engine.begin() as connection:
        await connection.run_sync(mails.create)
    world = FactorWorld(engine)
    assert await world.people.sign_up(SIGN_UP, VERIFY)
    world.told.clear()
    return world


async def test_it_is_added_with_its_codes_and_ends_all_sessions(world):
    change = await world.ask(Purpose.CHANGE_ADDRESS, WORK)
    holder = await world.factors.add("alice", 1, NEW, CHANGED)
    assert holder.credentials_epoch == 2
    assert world.told == [2]
    found = await world.factors.find("alice")
    assert (found.secret, found.last_step, found.added_at) == (SECRET, 100, NOW)
    assert found.codes_left == second_factor.RECOVERY_CODES
    assert (await world.acts())[0] is Act.SECOND_FACTOR_ADDED
    assert (await world.queued())[-1] == ("second_factor_changed", HOME)
    assert not await world.works(change), "whoever asked may have been without it"


async def test_there_is_one_at_most(world):
    found = await asyncio.gather(*(world.factors.add("alice", 1, NEW, CHANGED) for _ in range(3)))
    assert [each is None for each in found].count(False) == 1
    assert await world.factors.add("alice", 2, NEW, CHANGED) is None


async def test_the_database_shows_no_secret(world):
    await world.factors.add("alice", 1, NEW, CHANGED)
    async with reading(world.engine, TIMEOUT_S) as connection:
        sealed = (await connection.execute(sa.select(second_factors.c.sealed_secret))).scalar_one()
    assert SECRET.hex() not in sealed.encode().hex()
    assert SecretBox(KEYS, os.urandom).open(sealed, "alice") == SECRET


async def test_of_one_code_typed_many_times_at_once_one_is_right(world):
    await world.factors.add("alice", 1, NEW, CHANGED)
    used = await asyncio.gather(*(world.factors.use_step("alice", 2, 101) for _ in range(4)))
    assert used.count(True) == 1
    assert not await world.factors.use_step("alice", 2, 100)
    assert await world.factors.use_step("alice", 2, 102)


async def test_a_recovery_code_works_once_and_tells_how_many_are_left(world):
    await world.factors.add("alice", 1, NEW, CHANGED)
    told = []
    queue = world.queue

    async def listening(connection, account_id, notice, at):
        told.append(dict(notice.values))
        await queue(connection, account_id, notice, at)

    world.people._queue_notice = listening
    digest = NEW.digests[3]
    used = await asyncio.gather(
        *(world.factors.use_recovery_code("alice", 2, digest, USED) for _ in range(4))
    )
    assert used.count(True) == 1
    assert told == [{"left": "9"}]
    assert (await world.factors.find("alice")).codes_left == 9
    assert (await world.acts())[0] is Act.RECOVERY_CODE_USED
    assert (await world.people.holder("alice")).credentials_epoch == 2, "nothing else has changed"
    assert not await world.factors.use_recovery_code("alice", 2, "0" * 64, USED)


async def test_new_codes_end_those_of_before(world):
    assert await world.factors.renew_codes("alice", 1, NEW.digests, CHANGED) is None
    await world.factors.add("alice", 1, NEW, CHANGED)
    assert await world.factors.renew_codes("alice", 2, ["0" * 64], CHANGED)
    assert (await world.factors.find("alice")).codes_left == 1
    assert not await world.factors.use_recovery_code("alice", 3, NEW.digests[0], USED)
    assert await world.factors.use_recovery_code("alice", 3, "0" * 64, USED)


async def test_it_is_removed_once(world):
    await world.factors.add("alice", 1, NEW, CHANGED)
    removed = await asyncio.gather(*(world.factors.remove("alice", 2, CHANGED) for _ in range(3)))
    assert [each is None for each in removed].count(False) == 1
    assert await world.factors.find("alice") is None
    assert not await world.factors.use_step("alice", 3, 200)
    assert (await world.acts())[0] is Act.SECOND_FACTOR_REMOVED
    assert await world.factors.add("alice", 3, NEW, CHANGED), "and can be added again"


@pytest.mark.parametrize("act", ["add", "renew", "remove", "code", "reset"])
async def test_a_death_before_the_commit_leaves_all_as_it_was(world, act):
    if act != "add":
        await world.factors.add("alice", 1, NEW, CHANGED)
    factors = world.factors
    acts = {
        "add": lambda: factors.add("alice", 1, NEW, CHANGED),
        "renew": lambda: factors.renew_codes("alice", 2, NEW.digests[:1], CHANGED),
        "remove": lambda: factors.remove("alice", 2, CHANGED),
        "code": lambda: factors.use_recovery_code("alice", 2, NEW.digests[0], USED),
        "reset": lambda: factors.reset("alice", CHANGED, **BY),
    }
    before, world.dies = await world.rows(), True
    with pytest.raises(Died):
        await acts[act]()
    assert await world.rows() == before


@pytest.mark.parametrize("is_gone", [True, False])
async def test_a_session_that_is_over_changes_nothing(world, is_gone):
    await world.factors.add("alice", 1, NEW, CHANGED)
    epoch = 2 if is_gone else 1
    if is_gone:
        async with world.engine.begin() as connection:
            await connection.execute(sa.update(tables.accounts).values(deleted_at=NOW))
    before, factors = await world.rows(), world.factors
    assert await factors.add("alice", epoch, NEW, CHANGED) is None
    assert await factors.renew_codes("alice", epoch, NEW.digests, CHANGED) is None
    assert await factors.remove("alice", epoch, CHANGED) is None
    assert not await factors.use_step("alice", epoch, 200)
    assert not await factors.use_recovery_code("alice", epoch, NEW.digests[0], USED)
    if is_gone:
        assert not await factors.reset("alice", CHANGED, **BY)
    assert await world.rows() == before


async def test_an_operator_takes_away_what_was_lost_and_nothing_else(world):
    await world.factors.add("alice", 1, NEW, CHANGED)
    passkeys = SqlPasskeys(world.people)
    passkey = Passkey("id", "alice", b"key", 0, "", True, True, NOW)
    await passkeys.add(passkey, 2, CHANGED)
    before = await world.people.holder("alice")
    assert await world.factors.reset("alice", CHANGED, **BY)
    holder = await world.people.holder("alice")
    assert holder.password_hash == before.password_hash
    assert holder.credentials_epoch == before.credentials_epoch + 1
    assert await world.factors.find("alice") is None
    assert await passkeys.of_account("alice") == []
    assert set((await world.acts())[:2]) == {Act.SECOND_FACTOR_REMOVED, Act.PASSKEY_REMOVED}
    rows = await world.rows()
    assert not await world.factors.reset("alice", CHANGED, **BY), "a repeat finds it done"
    assert not await world.factors.reset("nobody", CHANGED, **BY)
    assert await world.rows() == rows


async def test_without_the_key_nobody_is_taken_for_one_without_a_second_factor(world):
    await world.factors.add("alice", 1, NEW, CHANGED)
    other = SecretBox(["another key of 32 characters, or more"], os.urandom)
    for box in (None, other):
        factors = SqlSecondFactors(world.people, box)
        with pytest.raises(StoreUnavailableError):
            await factors.find("alice")
        with pytest.raises(StoreUnavailableError):
            await factors.use_step("alice", 2, 200)
    with pytest.raises(StoreUnavailableError):
        await SqlSecondFactors(world.people, None).add("alice", 2, NEW, CHANGED)
    assert await SqlSecondFactors(world.people, None).find("nobody") is None


async def test_a_code_that_is_used_moves_the_secret_to_the_key_of_today(world):
    await world.factors.add("alice", 1, NEW, CHANGED)
    today = ["the key of today, which is random too"]
    both = SqlSecondFactors(world.people, SecretBox([*today, *KEYS], os.urandom))
    assert await both.use_step("alice", 2, 101)
    alone = SqlSecondFactors(world.people, SecretBox(today, os.urandom))
    assert (await alone.find("alice")).secret == SECRET
