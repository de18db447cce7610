"""What people decide, on both databases: each decision with its freeze, its mail and its line."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from accounts.audit_log import Act
from accounts.data_request import Right
from accounts.erasure import GRACE, ErasureState, Unspent
from accounts.link import Purpose, digest
from accounts.notice import Notice
from accounts.ports import DataChoices, NewHolder
from accounts.stores import audit_log
from accounts.stores.links import make_link
from billing.stores import freezes
from billing.stores.freezes import FreezeReason
from billing.stores.sql import SqlLedgerStore
from database.engine import TIMEOUT_S, reading, writing
from database.errors import StoreUnavailableError
from gateway.people.departure_store import SqlDepartures
from gateway.people.store import SqlPeople
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.mail_outbox import SqlMailOutbox, queue_notice

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
EMAIL = "alice@example.com"
TOLD = Notice("deletion_asked", EMAIL, {"at": NOW.isoformat()}, Purpose.CANCEL_DELETION)
NO_WISHES = DataChoices(objects=False, restricts=False, muted=frozenset())


class House:
    """Alice, what she decides, and a spend gate that is told of freezes."""

    def __init__(self, engine):
        self.engine = engine
        self.frozen, self.epochs, self.is_away = [], 0, False
        self.people = SqlPeople(
            engine,
            queue_notice,
            clock=lambda: NOW,
            on_epoch=self.on_epoch,
            on_freeze=self.on_freeze,
            taking_back=TAKING_BACK,
        )
        self.departures = SqlDepartures(self.people)
        self.accounts, self.ledger = SqlAccountStore(engine), SqlLedgerStore(engine)

    async def on_epoch(self):
        self.epochs += 1

    async def on_freeze(self, account_id, is_frozen):
        if self.is_away:
            raise StoreUnavailableError("away")
        self.frozen.append((account_id, is_frozen))

    async def is_frozen(self):
        return (await self.accounts.account("alice")).frozen

    async def acts(self):
        async with reading(self.engine, TIMEOUT_S) as connection:
            return [each.act for each in await audit_log.of_account(connection, "alice", limit=9)]

    async def mails(self, name):
        mails = await SqlMailOutbox(self.engine).of_account("alice")
        return sum(mail.notice.name == name for mail in mails)

    async def link(self, purpose):
        """Return the digest of a link that a mail has brought."""
        async with writing(self.engine, TIMEOUT_S) as connection:
            await make_link(connection, purpose, "alice", EMAIL, NOW, f"secret {purpose}")
        return digest(f"secret {purpose}")

    async def leave(self):
        return await self.departures.ask_deletion("alice", 1, Unspent.REFUND, NOW + GRACE, TOLD)


@pytest.fixture
async def house(engine):
    house = House(engine)
    new = NewHolder("alice", "USD", EMAIL, EMAIL, "hash", "en", {"terms": "2026-11-27"})
    assert await house.people.sign_up(new, Notice("verify_email", EMAIL))
    return house


async def test_whoever_leaves_is_frozen_told_and_written_down_once(house):
    assert await house.leave()
    assert await house.leave()
    waiting = await house.departures.deletion("alice")
    assert (waiting.state, waiting.due_at) == (ErasureState.WAITING, NOW + GRACE)
    assert house.frozen == [("alice", True)]
    assert await house.is_frozen()
    mails = await SqlMailOutbox(house.engine).of_account("alice")
    assert sorted(mail.notice.name for mail in mails) == ["deletion_asked", "verify_email"]
    (request,) = await house.departures.requests("alice")
    assert (request.right, request.done_at) == (Right.DELETION, None)
    assert await house.acts() == [Act.DELETION_ASKED, Act.SIGNED_UP]


async def test_a_session_that_is_over_decides_nothing(house):
    asked = house.departures.ask_deletion("alice", 2, Unspent.REFUND, NOW, TOLD)
    assert await asked is False
    assert await house.departures.cancel_deletion("alice", 2) is None
    assert await house.departures.choose("alice", 2, NO_WISHES) is None
    assert await house.departures.accept("alice", 2, {"terms": "2"}) is False
    assert await house.departures.deletion("alice") is None
    assert await house.acts() == [Act.SIGNED_UP]


async def test_the_link_keeps_the_account_once(house):
    await house.leave()
    link = await house.link(Purpose.CANCEL_DELETION)
    other = await house.link(Purpose.NOT_ME)
    assert not await house.departures.cancel_by_link(other)
    assert not await house.departures.cancel_by_link("0" * 64)
    assert await house.mails("deletion_cancelled") == 0
    assert await house.departures.cancel_by_link(link)
    assert [each.is_withdrawn for each in await house.departures.requests("alice")] == [True]
    assert not await house.departures.cancel_by_link(link)
    assert await house.mails("deletion_cancelled") == 1
    assert await house.departures.deletion("alice") is None
    assert house.frozen == [("alice", True), ("alice", False)]
    assert (await house.departures.requests("alice"))[0].done_at == NOW


async def test_what_freezes_an_account_beside_its_deletion_is_told(house):
    await house.leave()
    assert not await house.departures.is_frozen_otherwise("alice")
    await house.ledger.freeze("alice", True)
    assert await house.departures.is_frozen_otherwise("alice")
    assert await house.departures.cancel_deletion("alice", 1)
    assert await house.is_frozen()


async def test_an_old_link_does_not_cancel_a_later_deletion(house):
    await house.leave()
    link = await house.link(Purpose.CANCEL_DELETION)
    assert await house.departures.cancel_deletion("alice", 1)
    await house.leave()
    assert not await house.departures.cancel_by_link(link)
    assert (await house.departures.deletion("alice")).state is ErasureState.WAITING


async def test_of_two_who_cancel_at_once_one_does(house):
    await house.leave()
    link = await house.link(Purpose.CANCEL_DELETION)
    done = await asyncio.gather(
        house.departures.cancel_by_link(link), house.departures.cancel_deletion("alice", 1)
    )
    assert sorted(done) == [False, True]


async def test_a_gate_that_is_away_leaves_the_book_frozen(house):
    house.is_away = True
    assert await house.leave()
    assert await house.is_frozen()


async def test_choices_are_kept_with_their_time_and_followed(house):
    wishes = DataChoices(objects=True, restricts=True, muted=frozenset({"out_of_credit"}))
    holder = await house.departures.choose("alice", 1, wishes)
    assert (holder.objected_at, holder.restricted_at) == (NOW, NOW)
    assert holder.choices.muted == {"out_of_credit"}
    account = await house.accounts.account("alice")
    assert (account.frozen, account.keeps_quality) == (True, False)
    rights = {each.right: each.done_at for each in await house.departures.requests("alice")}
    assert rights == {Right.OBJECTION: NOW, Right.RESTRICTION: NOW}
    epochs = house.epochs
    assert await house.departures.choose("alice", 1, wishes) == holder
    assert await house.mails("restricted") == 1
    assert (await house.acts()).count(Act.CHOICES_CHANGED) == 1
    assert house.epochs > epochs
    ended = await house.departures.choose("alice", 1, NO_WISHES)
    assert (ended.objected_at, ended.restricted_at, ended.muted) == (None, None, "")
    account = await house.accounts.account("alice")
    assert (account.frozen, account.keeps_quality) == (False, True)
    assert house.frozen == [("alice", True), ("alice", False)]
    assert await house.mails("restricted") == 1


async def test_what_was_accepted_last_counts(house):
    assert await house.departures.accepted("alice") == {"terms": "2026-11-27"}
    for _ in range(2):
        assert await house.departures.accept("alice", 1, {"terms": "2027-02-01"})
    assert (await house.departures.accepted("alice"))["terms"] == "2027-02-01"
    assert await house.acts() == [Act.TERMS_ACCEPTED, Act.SIGNED_UP]


async def test_a_lock_ends_calls_and_another_password_lets_them_again(house):
    await house.people.tell("alice", Notice("m", EMAIL, link=Purpose.NOT_ME))
    await house.people.tell("alice", Notice("m", EMAIL, link=Purpose.RESET_PASSWORD))
    assert await house.people.lock(await house.link(Purpose.NOT_ME), Notice("locked", EMAIL))
    assert await house.is_frozen()
    assert house.frozen == [("alice", True)]
    reset = await house.link(Purpose.RESET_PASSWORD)
    assert await house.people.reset_password(reset, "hash two", Notice("password_changed", EMAIL))
    assert not await house.is_frozen()
    assert house.frozen[-1] == ("alice", False)


async def test_each_reason_is_released_by_itself(house):
    for reason in FreezeReason:
        assert await house.ledger.freeze("alice", True, reason)
    # An operator overrules the payment service.
    assert await house.ledger.freeze("alice", False)
    async with reading(house.engine, TIMEOUT_S) as connection:
        left = await freezes.freeze_reasons(connection, "alice")
    assert left == {FreezeReason.LOCKED, FreezeReason.LEAVING, FreezeReason.RESTRICTED}
    for reason in (FreezeReason.LOCKED, FreezeReason.LEAVING):
        assert await house.ledger.freeze("alice", False, reason)
    assert not await house.ledger.freeze("alice", False, FreezeReason.RESTRICTED)
    assert not await house.ledger.freeze("alice", False, FreezeReason.RESTRICTED)


async def test_a_freeze_without_a_reason_is_the_operator_s(house):
    """Such as of an account that a booking has opened again."""
    async with writing(house.engine, TIMEOUT_S) as connection:
        await connection.execute(sa.text("UPDATE accounts SET frozen = true"))
    assert await house.ledger.freeze("alice", False, FreezeReason.LEAVING)
    assert not await house.ledger.freeze("alice", False)


async def test_a_deletion_at_once_is_due_when_it_is_asked_for(house):
    early = NOW - timedelta(days=1)
    told = replace(TOLD, link=None)
    await house.departures.ask_deletion("alice", 1, Unspent.GIVE_UP, early, told)
    assert (await house.departures.deletion("alice")).due_at == NOW
