"""People on both databases: every change with its mails and its line in the audit log, or nothing.

Races are real: two connections, at once. A death in mid-change is a transaction that is not
committed.
"""

import asyncio
import dataclasses
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from accounts.audit_log import Act, Actor
from accounts.holder import Device, Holder
from accounts.link import LIFETIMES, MAIL_MAX, Purpose, digest
from accounts.notice import Notice
from accounts.ports import NOBODY, AddressTakenError, NewHolder
from accounts.stores import audit_log, consents, links
from accounts.stores import tables as people_tables
from accounts.stores.consents import Consent
from accounts.stores.devices import DEVICES_MAX
from accounts.stores.holders import erase_holder
from billing.stores import tables
from database.engine import TIMEOUT_S, create_engine, reading, writing
from database.errors import StoreUnavailableError
from gateway.people.store import SqlPeople
from gateway.personal_data.erasing import SqlErasing
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.stores.accounts import SqlAccountStore
from tests.postgres import sqlite_threads_ended

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOME = "alice@example.com"
WORK = "alice@work.example"
THIEF = "thief@bad.example"
ALICE = Holder("alice", HOME, None, "hash one", 1, "en", NOW)
SIGN_UP = NewHolder(
    "alice", "USD", HOME, HOME, "hash one", "en", {"terms": "2026-11-01", "adult": "2026-11-01"}
)
VERIFY = Notice("verify_email", HOME, link=Purpose.PROVE_ADDRESS)
RESET = Notice("reset_password", HOME, link=Purpose.RESET_PASSWORD)
DEVICE = Device("d1", "Firefox", "Linux", NOW, NOW)

mails = sa.Table(
    "mails",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True),
    *(sa.Column(name, sa.String) for name in ("account_id", "name", "recipient")),
)


class Died(Exception):
    """Stands for the death of a process before its transaction is committed."""


@dataclass
class World:
    """A book with people, an outbox of mails, and a clock that is set by hand."""

    engine: object
    now: datetime = NOW
    dies: bool = False
    gate: asyncio.Event | None = None
    """Holds up transactions that have queued a mail."""
    waits: asyncio.Event = field(default_factory=asyncio.Event)
    secrets: list = field(default_factory=list)
    told: list = field(default_factory=list)
    """Credentials epochs as they stood when nodes were told of them."""
    is_untold: bool = False

    def __post_init__(self):
        self.people = SqlPeople(
            self.engine,
            self.queue,
            clock=lambda: self.now,
            on_epoch=self.epoch_begun,
            taking_back=TAKING_BACK,
        )

    async def epoch_begun(self):
        if self.is_untold:
            raise StoreUnavailableError("away")
        self.told.append((await self.people.holder("alice")).credentials_epoch)

    async def queue(self, connection, account_id, notice, at):
        assert at == self.now
        await connection.execute(
            sa.insert(mails).values(
                account_id=account_id, name=notice.name, recipient=notice.recipient
            )
        )
        if self.dies:
            raise Died
        if self.gate is not None:
            self.waits.set()
            await self.gate.wait()

    async def queued(self):
        """Return the mails that wait: name and recipient."""
        async with reading(self.engine, TIMEOUT_S) as connection:
            rows = await connection.execute(
                sa.select(mails.c.name, mails.c.recipient).order_by(mails.c.number)
            )
            return [tuple(row) for row in rows]

    async def send(self, purpose, email=HOME, account_id="alice"):
        """Make a link as a mail leaves; return its digest."""
        secret = f"secret {len(self.secrets)}"
        self.secrets.append(secret)
        async with writing(self.engine, TIMEOUT_S) as connection:
            await links.make_link(
                connection, purpose, account_id, email, at=self.now, secret=secret
            )
        return digest(secret)

    async def ask(self, purpose, email=HOME, account_id="alice"):
        """Ask for a mail with a link, and send it; return the link's digest."""
        await self.people.tell(account_id, Notice("mail", email, link=purpose))
        return await self.send(purpose, email, account_id)

    async def works(self, link):
        found = await self.people.look_at_link(link)
        return found is not None and found.works(self.now)

    async def acts(self, account_id="alice"):
        """Return what was done, the newest first."""
        async with reading(self.engine, TIMEOUT_S) as connection:
            entries = await audit_log.of_account(connection, account_id, limit=99)
            return [entry.act for entry in entries]

    async def move(self, to, before, **options):
        """Change alice's address, as whoever is signed in can."""
        link = await self.ask(Purpose.CHANGE_ADDRESS, to)
        return await self.take(link, to, told(to, before, **options))

    async def take(self, link, to, notices):
        """Take an address, as whoever has just proven who they are."""
        found = await self.people.look_at_link(link)
        holder = await self.people.holder(found.account_id if found else NOBODY)
        epoch = holder.credentials_epoch if holder else 1
        return await self.people.change_address(link, epoch, to, notices)

    async def billed_to(self, account_id="alice"):
        """Return where billing's notices go."""
        query = sa.select(tables.accounts.c.email).where(tables.accounts.c.id == account_id)
        async with reading(self.engine, TIMEOUT_S) as connection:
            return (await connection.execute(query)).scalar_one()

    async def rows(self):
        """Return all that is kept of people."""
        async with reading(self.engine, TIMEOUT_S) as connection:
            return {
                name: [
                    tuple(row)
                    for row in await connection.execute(
                        sa.select(table).order_by(*table.primary_key)
                    )
                ]
                for name, table in (people_tables.metadata.tables | {"mails": mails}).items()
            }


def told(to, before):
    return [
        Notice("changed", to),
        Notice("address_changed", before, link=Purpose.UNDO_CHANGE, link_email=before),
    ]


@pytest.fixture
async def world(engine):
    async with engine.begin() as connection:
        await connection.run_sync(mails.create)
    return World(engine)


@pytest.fixture
async def alice(world):
    """Alice, who has signed up and proven her address."""
    assert await world.people.sign_up(SIGN_UP, VERIFY)
    await world.people.prove_address(await world.send(Purpose.PROVE_ADDRESS), "hash one")
    return await world.people.holder("alice")


# -- signing up ------------------------------------------------------------------------------------


async def test_a_sign_up_makes_account_holder_consent_and_mail(world):
    assert await world.people.holder("alice") is None
    assert await world.people.sign_up(SIGN_UP, VERIFY)
    assert await world.people.holder("alice") == ALICE
    assert await world.people.holder_by_email(HOME) == ALICE
    assert await world.people.holder_by_email(WORK) is None
    account = await SqlAccountStore(world.engine).account("alice")
    assert (account.currency, account.frozen, account.created_at) == ("USD", False, NOW)
    assert await world.billed_to() == ""
    assert await world.queued() == [("verify_email", HOME)]
    assert await world.acts() == [Act.SIGNED_UP]
    async with reading(world.engine, TIMEOUT_S) as connection:
        assert await consents.of_account(connection, "alice") == [
            Consent("adult", "2026-11-01", NOW),
            Consent("terms", "2026-11-01", NOW),
        ]


async def test_a_known_address_changes_nothing(world):
    assert await world.people.sign_up(SIGN_UP, VERIFY)
    before = await world.rows()
    assert not await world.people.sign_up(replace(SIGN_UP, account_id="bob"), VERIFY)
    assert await world.people.holder("bob") is None
    assert await SqlAccountStore(world.engine).account("bob") is None
    assert await world.rows() == before


async def test_a_repeat_finds_the_sign_up_done(world):
    assert await world.people.sign_up(SIGN_UP, VERIFY)
    before = await world.rows()
    assert await world.people.sign_up(SIGN_UP, VERIFY)
    assert await world.rows() == before


async def test_of_two_who_sign_up_with_one_address_one_has_it(world):
    made = await asyncio.gather(
        *(world.people.sign_up(replace(SIGN_UP, account_id=f"a{n}"), VERIFY) for n in range(4))
    )
    assert sorted(made) == [False, False, False, True]
    assert await world.queued() == [("verify_email", HOME)]
    holder = await world.people.holder_by_email(HOME)
    assert made[int(holder.account_id[1:])]


# -- all or nothing --------------------------------------------------------------------------------


async def test_a_death_before_the_commit_leaves_all_as_it_was(world, alice):
    people = world.people
    links_of = {purpose: await world.ask(purpose) for purpose in Purpose}
    change = await world.ask(Purpose.CHANGE_ADDRESS, WORK)
    await people.note_device("alice", DEVICE, None)
    await world.move(WORK, HOME)
    undo = await world.send(Purpose.UNDO_CHANGE, HOME)
    change = await world.ask(Purpose.CHANGE_ADDRESS, THIEF)
    reset = await world.ask(Purpose.RESET_PASSWORD, WORK)
    notice = Notice("done", HOME)
    before = await world.rows()
    world.dies = True
    for dying in (
        people.sign_up(replace(SIGN_UP, account_id="bob", email_key="b@b", email="b@b"), VERIFY),
        people.tell("alice", RESET),
        people.reset_password(reset, "hash two", notice),
        world.take(change, THIEF, [notice]),
        people.undo_change(undo, HOME, notice),
        people.lock(links_of[Purpose.NOT_ME], notice),
        people.set_password("alice", alice.credentials_epoch, "hash two", notice),
        people.note_device("alice", replace(DEVICE, id="d2"), notice),
    ):
        with pytest.raises(Died):
            await dying
    assert await world.rows() == before
    # And all of it can still be done.
    world.dies = False
    assert await people.reset_password(reset, "hash two", notice) is not None
    assert await people.undo_change(undo, HOME, notice) is not None
    assert await people.lock(links_of[Purpose.NOT_ME], notice) is not None


async def test_each_link_works_once_however_many_use_it_at_once(world, alice):
    people, notice = world.people, Notice("done", HOME)
    holder = await people.holder("alice")
    uses = {
        Purpose.PROVE_ADDRESS: lambda link: people.prove_address(link, holder.password_hash),
        Purpose.NOT_ME: lambda link: people.lock(link, notice),
        Purpose.RESET_PASSWORD: lambda link: people.reset_password(link, "hash two", notice),
    }
    for purpose, use in uses.items():
        link = await world.ask(purpose)
        holder = await people.holder("alice")
        found = await asyncio.gather(*(use(link) for _ in range(4)))
        assert [each is None for each in found].count(False) == 1
        epoch = (await people.holder("alice")).credentials_epoch
        assert epoch == holder.credentials_epoch + 1
        assert not await world.works(link)
    change = await world.ask(Purpose.CHANGE_ADDRESS, WORK)
    found = await asyncio.gather(*(world.take(change, WORK, told(WORK, HOME)) for _ in range(4)))
    assert [each is None for each in found].count(False) == 1
    undo = await world.send(Purpose.UNDO_CHANGE)
    found = await asyncio.gather(*(people.undo_change(undo, HOME, notice) for _ in range(4)))
    assert [each is None for each in found].count(False) == 1


async def test_of_two_reset_links_at_once_one_sets_the_password(world, alice):
    """Each ends the other, so that they must not wait for one another."""
    asked = [await world.ask(Purpose.RESET_PASSWORD) for _ in range(2)]
    found = await asyncio.gather(
        *(
            world.people.reset_password(link, f"hash {n}", Notice("done", HOME))
            for n, link in enumerate(asked)
        )
    )
    (won,) = [each for each in found if each is not None]
    holder = await world.people.holder("alice")
    assert holder == won
    assert holder.credentials_epoch == alice.credentials_epoch + 1


async def test_a_link_does_what_it_is_for_and_nothing_else(world, alice):
    people, notice = world.people, Notice("done", HOME)
    asked = {
        purpose: await world.ask(purpose, WORK if purpose is Purpose.CHANGE_ADDRESS else HOME)
        for purpose in Purpose
    }
    before = await world.rows()
    for purpose, link in [*asked.items(), (None, digest("unknown"))]:
        if purpose is not Purpose.PROVE_ADDRESS:
            assert await people.prove_address(link, "hash one") is None
        if purpose is not Purpose.RESET_PASSWORD:
            assert await people.reset_password(link, "x", notice) is None
        if purpose is not Purpose.CHANGE_ADDRESS:
            assert await world.take(link, WORK, [notice]) is None
        # An address that was never left cannot be gone back to.
        assert await people.undo_change(link, HOME, notice) is None
        if purpose is not Purpose.NOT_ME:
            assert await people.lock(link, notice) is None
        if purpose is not Purpose.SIGN_IN:
            assert await people.use_sign_in_link(link) is None
    assert await world.rows() == before
    assert await people.look_at_link(digest("unknown")) is None


async def test_a_link_signs_in_once_and_nobody_who_is_locked_out(world, alice):
    people = world.people
    first, second = [await world.ask(Purpose.SIGN_IN) for _ in range(2)]
    assert (await people.use_sign_in_link(first)).account_id == "alice"
    assert await people.use_sign_in_link(first) is None
    await people.lock(await world.ask(Purpose.NOT_ME), Notice("done", HOME))
    assert await people.use_sign_in_link(second) is None


async def test_a_notice_to_the_accounts_own_address_has_a_link_about_that(world, alice):
    await world.people.tell("alice", Notice("mail", "", link=Purpose.RESET_PASSWORD))
    assert await world.works(await world.send(Purpose.RESET_PASSWORD))


async def test_what_was_read_elsewhere_proves_nothing(world, alice):
    before = await world.people.holder("alice")
    proof, reset = [
        await world.ask(purpose, WORK)
        for purpose in (Purpose.PROVE_ADDRESS, Purpose.RESET_PASSWORD)
    ]
    assert await world.people.prove_address(proof, "hash one") is None
    assert await world.people.reset_password(reset, "x", Notice("done", HOME)) is None
    assert await world.people.holder("alice") == before


@pytest.mark.parametrize("purpose", [Purpose.PROVE_ADDRESS, Purpose.RESET_PASSWORD])
async def test_a_link_works_until_its_life_is_over(world, alice, purpose):
    people = world.people
    links_made = [await world.ask(purpose) for _ in range(2)]

    async def use(link):
        if purpose is Purpose.PROVE_ADDRESS:
            return await people.prove_address(link, "hash one")
        return await people.reset_password(link, "hash two", Notice("done", HOME))

    world.now = NOW + LIFETIMES[purpose]
    assert await use(links_made[0]) is None
    world.now -= timedelta(microseconds=1)
    assert await use(links_made[0]) is not None
    found = await people.look_at_link(links_made[0])
    assert (found.purpose, found.account_id, found.email) == (purpose, "alice", HOME)
    assert (found.used_at, found.expires_at) == (world.now, NOW + LIFETIMES[purpose])


# -- what each change does -------------------------------------------------------------------------


async def test_a_proof_begins_an_epoch_and_makes_the_address_billings_too(world):
    await world.people.sign_up(SIGN_UP, VERIFY)
    link = await world.send(Purpose.PROVE_ADDRESS)
    world.now += timedelta(hours=1)
    assert await world.people.prove_address(link, "hash of another") is None
    assert await world.people.holder("alice") == ALICE
    assert await world.works(link)
    proven = await world.people.prove_address(link, "hash one")
    assert proven == replace(ALICE, email_proven_at=world.now, credentials_epoch=2)
    assert await world.people.holder("alice") == proven
    assert await world.billed_to() == HOME
    # Another one later proves nothing new.
    first_at = world.now
    world.now += timedelta(hours=1)
    link = await world.ask(Purpose.PROVE_ADDRESS)
    assert await world.people.prove_address(link, "hash one") is not None
    assert (await world.people.holder("alice")).email_proven_at == first_at


async def test_a_reset_proves_unlocks_and_begins_an_epoch(world):
    people, notice = world.people, Notice("password_changed", HOME)
    await people.sign_up(SIGN_UP, VERIFY)
    await people.lock(await world.ask(Purpose.NOT_ME), Notice("locked", HOME))
    assert (await people.holder("alice")).locked_at == NOW
    reset = await world.ask(Purpose.RESET_PASSWORD)
    holder = await people.reset_password(reset, "hash two", notice)
    assert holder == await people.holder("alice")
    assert holder == replace(
        ALICE, email_proven_at=NOW, password_hash="hash two", credentials_epoch=3
    )
    assert await world.billed_to() == HOME
    assert (await world.queued())[-1] == ("password_changed", HOME)
    assert await world.acts() == [Act.PASSWORD_RESET, Act.ADDRESS_PROVEN, Act.LOCKED, Act.SIGNED_UP]


@pytest.mark.parametrize("is_reset", [True, False])
async def test_another_password_ends_what_was_asked_for_under_the_one_before(
    world, alice, is_reset
):
    people, notice = world.people, Notice("done", HOME)
    reset, other = [await world.ask(Purpose.RESET_PASSWORD) for _ in range(2)]
    change = await world.ask(Purpose.CHANGE_ADDRESS, THIEF)
    not_me = await world.ask(Purpose.NOT_ME)
    if is_reset:
        assert await people.reset_password(reset, "hash two", notice)
    else:
        assert await people.set_password("alice", alice.credentials_epoch, "hash two", notice)
        # Who sets it again and again keeps nobody out who reads the mailbox.
        assert await world.works(reset)
    assert await world.works(other) is not is_reset
    assert not await world.works(change)
    assert await world.take(change, THIEF, []) is None
    # Mails that were asked for before and leave only now bring none back.
    assert not await world.works(await world.send(Purpose.CHANGE_ADDRESS, THIEF))
    assert await world.works(await world.send(Purpose.RESET_PASSWORD)) is not is_reset
    assert bool(await people.reset_password(other, "hash three", notice)) is not is_reset
    # A thief who sets a password does not silence the owner.
    assert await world.works(not_me)
    # What is asked for from now on works.
    assert await world.works(await world.ask(Purpose.RESET_PASSWORD))
    assert not await world.works(other)


async def test_no_password_ends_the_reset_of_an_address_that_nobody_has_proven(world):
    """Whoever made the account may not be the address's owner, who comes in by the mail only."""
    await world.people.sign_up(SIGN_UP, VERIFY)
    change = await world.ask(Purpose.CHANGE_ADDRESS, THIEF)
    late, asked = Notice("mail", HOME, link=Purpose.RESET_PASSWORD), []
    for epoch in range(1, 6):
        asked.append(await world.ask(Purpose.RESET_PASSWORD))
        await world.people.tell("alice", late)
        assert await world.people.set_password("alice", epoch, "hash two", Notice("set", HOME))
        asked.append(await world.send(Purpose.RESET_PASSWORD))
    assert not await world.works(change)
    assert all([await world.works(each) for each in asked])
    owner = await world.people.reset_password(asked[0], "hash three", Notice("reset", HOME))
    assert owner.password_hash == "hash three"
    assert not any([await world.works(each) for each in asked])


async def test_a_password_that_is_set_begins_an_epoch(world, alice):
    epoch = alice.credentials_epoch
    holder = await world.people.set_password("alice", epoch, "hash two", Notice("changed", HOME))
    assert holder == replace(alice, password_hash="hash two", credentials_epoch=epoch + 1)
    assert await world.people.holder("alice") == holder
    assert (await world.queued())[-1] == ("changed", HOME)
    assert (await world.acts())[0] is Act.PASSWORD_SET


def of_who_is_signed_in(people, epoch):
    """Return each change that a session of a credentials epoch can ask for."""
    return [
        people.set_password("alice", epoch, "hash two", Notice("changed", HOME)),
        people.end_sessions("alice", epoch),
        people.tell_signed_in(
            "alice", epoch, Notice("change_address", THIEF, link=Purpose.CHANGE_ADDRESS)
        ),
        people.forget_device("alice", epoch, DEVICE.id),
        people.set_language("alice", epoch, "de"),
    ]


@pytest.mark.parametrize("is_locked", [True, False])
async def test_a_session_that_is_over_changes_nothing(world, alice, is_locked):
    await world.people.note_device("alice", DEVICE, None)
    epoch = alice.credentials_epoch
    if is_locked:
        locked = await world.people.lock(await world.ask(Purpose.NOT_ME), Notice("locked", HOME))
        # Not even where its epoch were the holder's.
        epoch = locked.credentials_epoch
    else:
        await world.people.set_password("alice", epoch, "hash one", Notice("changed", HOME))
    before, told = await world.rows(), list(world.told)
    answers = [await asked for asked in of_who_is_signed_in(world.people, epoch)]
    assert answers == [None, None, False, False, False]
    assert (await world.rows(), world.told) == (before, told)


async def test_of_two_sessions_that_set_a_password_at_once_one_does(world, alice):
    found = await asyncio.gather(
        *(
            world.people.set_password(
                "alice", alice.credentials_epoch, f"hash {n}", Notice("changed", HOME)
            )
            for n in range(3)
        )
    )
    (won,) = [each for each in found if each is not None]
    assert await world.people.holder("alice") == won


async def test_sessions_are_ended_by_another_epoch_and_nothing_else(world, alice):
    change = await world.ask(Purpose.CHANGE_ADDRESS, WORK)
    ended = await world.people.end_sessions("alice", alice.credentials_epoch)
    assert ended == replace(alice, credentials_epoch=alice.credentials_epoch + 1)
    assert await world.people.holder("alice") == ended
    assert (await world.acts())[0] is Act.SESSIONS_ENDED
    assert await world.works(change)


async def test_what_who_is_signed_in_asks_for_is_queued(world, alice):
    asked = Notice("change_address", WORK, link=Purpose.CHANGE_ADDRESS)
    assert await world.people.tell_signed_in("alice", alice.credentials_epoch, asked)
    assert (await world.queued())[-1] == ("change_address", WORK)
    assert await world.works(await world.send(Purpose.CHANGE_ADDRESS, WORK))


@pytest.mark.parametrize(
    ("act", "purpose"),
    [
        ("set", None),
        ("end", None),
        ("reset", Purpose.RESET_PASSWORD),
        ("undo", Purpose.UNDO_CHANGE),
        ("lock", Purpose.NOT_ME),
    ],
)
async def test_nodes_are_told_of_each_epoch_once_it_is_committed(world, alice, act, purpose):
    link, epoch = None, alice.credentials_epoch
    if purpose is Purpose.UNDO_CHANGE:
        await world.move(WORK, HOME)
        link = await world.send(purpose)
    elif purpose is not None:
        link = await world.ask(purpose)
    world.told.clear()
    people, notice = world.people, Notice("done", HOME)
    do = {
        "set": lambda: people.set_password("alice", epoch, "hash two", notice),
        "end": lambda: people.end_sessions("alice", epoch),
        "reset": lambda: people.reset_password(link, "hash two", notice),
        "undo": lambda: people.undo_change(link, HOME, notice),
        "lock": lambda: people.lock(link, notice),
    }[act]
    if act != "end":
        world.dies = True
        with pytest.raises(Died):
            await do()
        world.dies = False
        # The next on the same connection is another change.
        await world.people.tell("alice", Notice("mail", HOME))
        assert not world.told
    world.is_untold = True
    assert (await do()).credentials_epoch == epoch + 1, "what has happened is no failure"
    world.is_untold = False
    await world.people.tell("alice", Notice("mail", HOME))
    assert not world.told
    assert await do() is None
    assert not world.told, "a repeat changes nothing"


async def test_nodes_are_told_of_another_address_and_language(world, alice):
    world.told.clear()
    await world.move(WORK, HOME)
    assert await world.people.set_language("alice", alice.credentials_epoch, "de")
    assert len(world.told) == 2


async def test_what_nodes_are_told_is_what_they_find(world, alice):
    await world.people.end_sessions("alice", alice.credentials_epoch)
    assert world.told[-1] == alice.credentials_epoch + 1


async def test_a_hash_is_replaced_only_while_it_is_the_one_that_was_checked(world, alice):
    await world.people.rehash("alice", "hash one", "hash one anew")
    await world.people.rehash("alice", "hash one", "too late")
    assert await world.people.holder("alice") == replace(alice, password_hash="hash one anew")
    async with reading(world.engine, TIMEOUT_S) as connection:
        newest = (await audit_log.of_account(connection, "alice", limit=1))[0]
    assert newest == audit_log.AuditEntry(NOW, Act.PASSWORD_REHASHED, Actor.SERVICE)


async def test_a_lock_keeps_its_first_time_and_the_way_out(world, alice):
    first, second = [await world.ask(Purpose.NOT_ME) for _ in range(2)]
    change = await world.ask(Purpose.CHANGE_ADDRESS, THIEF)
    reset = await world.ask(Purpose.RESET_PASSWORD)
    locked = await world.people.lock(first, Notice("locked", HOME))
    assert locked == replace(alice, locked_at=NOW, credentials_epoch=3)
    world.now += timedelta(minutes=1)
    again = await world.people.lock(second, Notice("locked", HOME))
    assert again == replace(locked, credentials_epoch=4)
    assert not await world.works(change)
    assert await world.works(reset)


async def test_a_language_is_set_once(world, alice):
    for _ in range(2):
        await world.people.set_language("alice", alice.credentials_epoch, "de")
    assert await world.people.holder("alice") == replace(alice, language="de")
    assert (await world.acts()).count(Act.LANGUAGE_SET) == 1


# -- addresses -------------------------------------------------------------------------------------


async def test_an_address_changes_with_all_that_goes_with_it(world, alice):
    people = world.people
    stale = [await world.ask(Purpose.PROVE_ADDRESS), await world.ask(Purpose.RESET_PASSWORD)]
    other = await world.ask(Purpose.CHANGE_ADDRESS, THIEF)
    world.now += timedelta(minutes=1)
    changed = await world.move(WORK, HOME)
    assert changed == replace(alice, email=WORK, email_proven_at=world.now)
    assert await people.holder_by_email(WORK) == changed
    assert await people.holder_by_email(HOME) is None
    assert await world.billed_to() == WORK
    assert (await world.queued())[-2:] == [("changed", WORK), ("address_changed", HOME)]
    for link in [*stale, other]:
        assert not await world.works(link)
    assert await people.prove_address(stale[0], "hash one") is None
    assert await people.reset_password(stale[1], "x", RESET) is None


async def test_an_address_that_became_somebody_elses_is_not_taken(world, alice):
    link = await world.ask(Purpose.CHANGE_ADDRESS, WORK)
    bob = replace(SIGN_UP, account_id="bob", email=WORK, email_key=WORK)
    assert await world.people.sign_up(bob, replace(VERIFY, recipient=WORK))
    before = await world.rows()
    with pytest.raises(AddressTakenError):
        await world.take(link, WORK, told(WORK, HOME))
    assert await world.rows() == before
    assert await world.works(link)


async def test_an_address_is_taken_within_the_epoch_of_the_proof_only(world, alice):
    link = await world.ask(Purpose.CHANGE_ADDRESS, WORK)
    before = await world.rows()
    for epoch in (alice.credentials_epoch - 1, alice.credentials_epoch + 1):
        assert await world.people.change_address(link, epoch, WORK, told(WORK, HOME)) is None
    assert await world.rows() == before
    assert await world.works(link)
    await world.people.end_sessions("alice", alice.credentials_epoch)
    assert await world.people.change_address(link, alice.credentials_epoch, WORK, []) is None
    assert await world.take(link, WORK, told(WORK, HOME))


async def test_of_two_who_take_one_address_at_once_one_has_it(world, alice):
    bob = replace(SIGN_UP, account_id="bob", email="b@example.com", email_key="b@example.com")
    await world.people.sign_up(bob, replace(VERIFY, recipient=bob.email))
    asked = [await world.ask(Purpose.CHANGE_ADDRESS, WORK, name) for name in ("alice", "bob")]
    found = await asyncio.gather(
        *(world.take(link, WORK, []) for link in asked), return_exceptions=True
    )
    assert [type(each) for each in found].count(AddressTakenError) == 1
    owner = await world.people.holder_by_email(WORK)
    assert owner in found


async def test_the_same_address_in_another_spelling_needs_no_way_back(world, alice):
    spelt = "Alice@Example.com"
    link = await world.ask(Purpose.CHANGE_ADDRESS, spelt)
    assert (await world.take(link, HOME, told(spelt, HOME))).email == spelt
    assert ("address_changed", HOME) not in await world.queued()


async def test_whoever_has_the_address_before_goes_back_and_locks(world, alice):
    people = world.people
    await world.move(THIEF, HOME)
    pending = [
        await world.ask(Purpose.RESET_PASSWORD, THIEF),
        await world.ask(Purpose.CHANGE_ADDRESS, "next@bad.example"),
    ]
    undo = await world.send(Purpose.UNDO_CHANGE)
    world.now += timedelta(days=13)
    back = await people.undo_change(undo, HOME, Notice("locked", HOME))
    assert back == replace(
        alice, email_proven_at=world.now, locked_at=world.now, credentials_epoch=3
    )
    assert await world.billed_to() == HOME
    assert (await world.queued())[-1] == ("locked", HOME)
    assert (await world.acts())[0] is Act.CHANGE_UNDONE
    for link in pending:
        assert not await world.works(link)


@pytest.mark.parametrize("is_owners_mail_late", [True, False])
async def test_a_thief_who_changes_the_address_twice_cannot_undo_the_undoing(
    world, alice, is_owners_mail_late
):
    """The earlier change counts, whichever mail left first."""
    middle = "middle@bad.example"
    await world.move(middle, HOME)
    owners = None if is_owners_mail_late else await world.send(Purpose.UNDO_CHANGE)
    world.now += timedelta(minutes=1)
    await world.move(THIEF, middle)
    thiefs = await world.send(Purpose.UNDO_CHANGE, middle)
    world.now += timedelta(minutes=1)
    # The thief goes first: that ends nothing of the owner's.
    assert await world.people.undo_change(thiefs, middle, Notice("locked", middle))
    spare = await world.send(Purpose.UNDO_CHANGE, middle)
    world.now += timedelta(minutes=1)
    owners = owners or await world.send(Purpose.UNDO_CHANGE)
    assert (await world.people.undo_change(owners, HOME, Notice("locked", HOME))).email == HOME
    late = await world.send(Purpose.UNDO_CHANGE, middle)
    for link in (thiefs, spare, late):
        assert await world.people.undo_change(link, middle, Notice("locked", middle)) is None
    assert (await world.people.holder("alice")).email == HOME


@pytest.mark.parametrize("is_undone", [True, False])
async def test_no_link_in_a_mailbox_of_the_thief_outlives_the_way_back(world, alice, is_undone):
    owners = await world.ask(Purpose.NOT_ME)
    world.now += timedelta(minutes=1)
    await world.move(THIEF, HOME)
    kinds = set(Purpose) - {Purpose.UNDO_CHANGE, Purpose.PROVE_ADDRESS}
    thiefs = [await world.ask(each, THIEF) for each in kinds]
    locked = Notice("locked", HOME)
    if is_undone:
        undo = await world.send(Purpose.UNDO_CHANGE)
        assert await world.people.undo_change(undo, HOME, locked)
        assert await world.works(owners)
    else:
        assert await world.people.lock(owners, locked)
    assert (await world.people.holder("alice")).email == HOME
    # Mails that wait until now bring none back.
    late = [await world.send(each, THIEF) for each in kinds]
    assert not any([await world.works(each) for each in thiefs + late])
    assert await world.people.lock(thiefs[0], locked) is None
    assert await world.works(await world.ask(Purpose.NOT_ME))


async def test_who_returns_by_another_change_leaves_nothing_at_the_address_between(world, alice):
    """As by the way back: the owner who still knows the password may not look for that mail."""
    await world.move(THIEF, HOME)
    thiefs = [await world.ask(each, THIEF) for each in (Purpose.NOT_ME, Purpose.RESET_PASSWORD)]
    world.now += timedelta(minutes=1)
    await world.move(HOME, THIEF)
    thiefs.append(await world.send(Purpose.UNDO_CHANGE, THIEF))
    # What is asked for with the address between still in mind goes to the one of now.
    epoch = (await world.people.holder("alice")).credentials_epoch
    changed = Notice("password_changed", THIEF, link=Purpose.NOT_ME)
    assert await world.people.set_password("alice", epoch, "hash two", changed)
    assert (await world.queued())[-1] == ("password_changed", HOME)
    thiefs.append(await world.send(Purpose.NOT_ME, THIEF))
    assert not any([await world.works(each) for each in thiefs])
    assert await world.people.lock(thiefs[0], Notice("locked", THIEF)) is None
    assert (await world.people.holder("alice")).email == HOME


async def test_an_address_that_was_never_proven_is_no_way_back(world):
    """It may be a stranger's, whom a slip of the pen would give the account."""
    await world.people.sign_up(SIGN_UP, VERIFY)
    await world.move(WORK, HOME)
    assert ("address_changed", HOME) not in await world.queued()
    undo = await world.send(Purpose.UNDO_CHANGE)
    assert await world.people.undo_change(undo, HOME, Notice("locked", HOME)) is None


async def test_nobody_else_gets_an_address_that_can_be_gone_back_to(world, alice):
    people = world.people
    squatter = replace(SIGN_UP, account_id="bob")
    carol = replace(SIGN_UP, account_id="carol", email="c@example.com", email_key="c@example.com")
    await people.sign_up(carol, replace(VERIFY, recipient=carol.email))
    await world.move(THIEF, HOME)
    before = await world.rows()
    assert not await people.sign_up(squatter, VERIFY)
    assert await world.rows() == before
    taking = await world.ask(Purpose.CHANGE_ADDRESS, HOME, "carol")
    with pytest.raises(AddressTakenError):
        await world.take(taking, HOME, [])
    assert await SqlAccountStore(world.engine).account("bob") is None
    # Alice herself may, and once it lapses, all.
    assert (await world.move(HOME, THIEF)).email == HOME
    await world.move(THIEF, HOME)
    world.now = NOW + LIFETIMES[Purpose.UNDO_CHANGE] + MAIL_MAX
    assert await people.sign_up(squatter, VERIFY)


async def test_a_sign_up_that_meets_a_change_of_address_does_not_get_the_one_before(world, alice):
    change = await world.ask(Purpose.CHANGE_ADDRESS, WORK)
    world.gate = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        changing = tasks.create_task(world.take(change, WORK, told(WORK, HOME)))
        await world.waits.wait()
        signing_up = tasks.create_task(
            world.people.sign_up(replace(SIGN_UP, account_id="bob"), VERIFY)
        )
        # Long enough to begin: it waits for the address that is being given up.
        await asyncio.sleep(0.1)
        assert not signing_up.done()
        world.gate.set()
    assert changing.result().email == WORK
    assert not signing_up.result()
    assert await world.people.holder_by_email(HOME) is None


# -- devices ---------------------------------------------------------------------------------------


async def test_a_new_device_is_told_of_unless_it_is_the_first(world, alice):
    notice = Notice("new_device", HOME, link=Purpose.NOT_ME)
    already = len(await world.queued())
    assert await world.people.note_device("alice", DEVICE, notice)
    assert len(await world.queued()) == already
    later = replace(DEVICE, last_seen_at=NOW + timedelta(hours=1))
    assert not await world.people.note_device("alice", later, notice)
    assert len(await world.queued()) == already
    phone = Device("d2", "Safari", "iOS", NOW, NOW + timedelta(hours=2))
    assert await world.people.note_device("alice", phone, notice)
    assert (await world.queued())[already:] == [("new_device", HOME)]
    assert await world.works(await world.send(Purpose.NOT_ME))
    assert await world.people.devices("alice") == [phone, later]
    assert (await world.acts())[:3] == [Act.DEVICE_ADDED, Act.SIGNED_IN, Act.DEVICE_ADDED]


async def test_a_device_that_was_forgotten_is_new(world, alice):
    phone = replace(DEVICE, id="d2")
    for device in (DEVICE, phone):
        await world.people.note_device("alice", device, None)
    for _ in range(2):
        await world.people.forget_device("alice", alice.credentials_epoch, "d1")
    assert await world.people.devices("alice") == [phone]
    assert (await world.acts()).count(Act.DEVICE_FORGOTTEN) == 1
    assert await world.people.note_device("alice", DEVICE, None)


async def test_one_browser_that_signs_in_twice_at_once_is_one_device(world, alice):
    found = await asyncio.gather(
        *(world.people.note_device("alice", DEVICE, None) for _ in range(3))
    )
    assert sorted(found) == [False, False, True]


async def test_no_more_than_so_many_devices_are_kept(world, alice):
    for n in range(DEVICES_MAX + 2):
        seen_at = NOW + timedelta(minutes=n)
        device = Device(f"d{n}", "Firefox", "Linux", seen_at, seen_at)
        await world.people.note_device("alice", device, None)
    kept = [device.id for device in await world.people.devices("alice")]
    assert kept == [f"d{n}" for n in range(DEVICES_MAX + 1, 1, -1)]


# -- those who are not there -----------------------------------------------------------------------


async def do_everything(people, link, account_id="alice", epoch=1):
    """Return what every change answers."""
    notice = Notice("done", HOME, link=Purpose.RESET_PASSWORD)
    await people.tell(account_id, notice)
    await people.rehash(account_id, "hash one", "hash two")
    return [
        await people.set_language(account_id, epoch, "de") or None,
        await people.forget_device(account_id, epoch, "d1") or None,
        await people.tell_signed_in(account_id, epoch, notice) or None,
        await people.end_sessions(account_id, epoch),
        await people.holder(account_id),
        await people.set_password(account_id, epoch, "hash two", notice),
        await people.prove_address(link(Purpose.PROVE_ADDRESS), "hash one"),
        await people.reset_password(link(Purpose.RESET_PASSWORD), "hash two", notice),
        await people.change_address(link(Purpose.CHANGE_ADDRESS), epoch, WORK, [notice]),
        await people.undo_change(link(Purpose.UNDO_CHANGE), HOME, notice),
        await people.lock(link(Purpose.NOT_ME), notice),
        await people.use_sign_in_link(link(Purpose.SIGN_IN)),
        await people.note_device(account_id, DEVICE, notice) or None,
    ]


async def test_an_account_without_a_holder_has_no_changes(world):
    await SqlAccountStore(world.engine).create_account("alice", "USD")
    before = await world.rows()
    assert set(await do_everything(world.people, lambda _: digest("unknown"))) == {None}
    assert await world.rows() == before


async def test_an_account_that_is_being_deleted_has_no_changes(world, alice):
    """Between the mark and the end of a deletion calls end, which takes a while."""
    asked = {purpose: await world.ask(purpose) for purpose in Purpose}
    await world.people.note_device("alice", DEVICE, None)
    await SqlAccountStore(world.engine, clock=lambda: NOW).mark_deleted("alice")
    before = await world.rows()
    assert set(
        await do_everything(world.people, asked.__getitem__, epoch=alice.credentials_epoch)
    ) == {None}
    assert await world.people.holder_by_email(HOME) is None
    assert await world.rows() == before


async def test_an_erasure_leaves_nothing_of_a_person(world, alice):
    await world.people.note_device("alice", DEVICE, None)
    await world.move(WORK, HOME)
    link = await world.ask(Purpose.RESET_PASSWORD, WORK)
    bob = replace(SIGN_UP, account_id="bob", email="b@example.com", email_key="b@example.com")
    await world.people.sign_up(bob, replace(VERIFY, recipient=bob.email))
    for _ in range(2):
        await SqlErasing(world.engine).erase_person("alice")
    for name, rows in (await world.rows()).items():
        # Audit log and register of requests have the account number, and nobody's name.
        if name not in {"account_events", "data_requests", "mails"}:
            assert not any("alice" in str(value) for row in rows for value in row), name
    assert await world.billed_to() == ""
    assert len(await world.acts()) > 1
    assert await world.people.look_at_link(link) is None
    assert (await world.people.holder("bob")).account_id == "bob"
    # The address is free again, at once.
    assert await world.people.sign_up(replace(SIGN_UP, account_id="alice2"), VERIFY)


async def test_what_meets_an_erasure_happens_before_it_or_not_at_all(world, alice):
    async def erase():
        async with writing(world.engine, TIMEOUT_S) as connection:
            await erase_holder(connection, "alice")

    reset = await world.ask(Purpose.RESET_PASSWORD)
    await asyncio.gather(
        erase(),
        world.people.reset_password(reset, "hash two", Notice("done", HOME)),
        world.people.note_device("alice", DEVICE, None),
        world.send(Purpose.PROVE_ADDRESS),
    )
    kept = await world.rows()
    assert [name for name, rows in kept.items() if rows] == ["account_events", "mails"]


async def test_a_database_that_is_away_is_said(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/nowhere/book.db")
    people = World(engine).people
    with pytest.raises(StoreUnavailableError):
        await people.holder("alice")
    with pytest.raises(StoreUnavailableError):
        await people.sign_up(SIGN_UP, VERIFY)
    await engine.dispose()
    await sqlite_threads_ended()


async def test_nobody_is_told_in_a_transaction_for_writing_too(sqlite_engine):
    """Where writing fails, it fails for an address that nobody has as for one with an account."""
    engine = sqlite_engine
    async with engine.begin() as connection:
        await connection.run_sync(mails.create)
    world = World(engine)
    await world.people.sign_up(SIGN_UP, VERIFY)
    before = await world.rows()
    await world.people.tell(NOBODY, RESET)
    assert await world.rows() == before
    people = SqlPeople(
        engine, world.queue, clock=lambda: NOW, timeout_s=0.2, taking_back=TAKING_BACK
    )
    # Each of the two gives up only once SQLite's own wait for the lock is over.
    async with writing(engine, 3 * TIMEOUT_S):
        for account_id in ("alice", NOBODY):
            with pytest.raises(StoreUnavailableError):
                await people.tell(account_id, RESET)


def test_each_field_of_a_holder_is_a_column():
    fields = {field.name for field in dataclasses.fields(Holder)}
    assert {column.name for column in people_tables.holders.c} == fields | {"email_key"}
