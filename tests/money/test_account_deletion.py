"""Accounts that are deleted, also in mid-call: calls end, nothing is lost, the books agree."""

import asyncio
import dataclasses
import secrets
from datetime import timedelta

import pytest

from accounts.audit_log import Act, Actor
from accounts.data_request import Right
from accounts.erasure import Unspent
from accounts.holder import Device, Holder
from accounts.session import Session
from accounts.stores import audit_log, data_requests, devices, holders
from accounts.stores.sessions import RedisSessions
from billing.clock import utc_now
from billing.stores.payments import SqlPaymentStore
from billing.stores.statement import SqlStatementStore
from database.engine import TIMEOUT_S, reading, writing
from database.errors import StoreUnavailableError
from gateway.charging import account_erasure
from gateway.charging.account_erasure import (
    AccountDeletion,
    AccountErasure,
    Deletion,
    DeletionOutcome,
)
from gateway.cli import accounts, command
from gateway.errors import PaymentError
from gateway.operators import Order
from gateway.personal_data.erasing import LEASED, SqlErasing
from gateway.settings import Settings
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.aof import RedisAof
from tests.money.ledger_world import CENT, HORIZON_S, UNIT

DELETED = Deletion(DeletionOutcome.DELETED)


class Office:
    """Whoever deletes accounts of a world, and the payment service."""

    def __init__(self, world):
        self.world = world
        self.accounts, self.cards = SqlAccountStore(world.engine), SqlPaymentStore(world.engine)
        self.sessions = RedisSessions(world.gate._redis, secrets.token_bytes)
        self.customers = {"cus_1"}
        self.is_service_away = False
        self.noted = {}
        erasure = AccountErasure(
            gate=world.gate,
            ledger=world.book,
            erasures=SqlErasing(world.engine, world.gate.restate),
            accounts=self.accounts,
            profiles=self.cards,
            drain=world.drainer.drain_once,
            settle=None,
            send_back=None,
            forget_customer=self.forget_customer,
            end_sessions=self.sessions.end_all,
            require_journal=self.require_journal,
            note=self.note,
            rewrite_files=RedisAof(world.gate._redis).rewrite,
        )
        self.deletion = AccountDeletion(
            erasure, looks_max=200, look_every_s=0.02, held_looks_max=200
        )

    def having(self, **parts):
        """Return what deletes accounts with other parts."""
        erasure = dataclasses.replace(self.deletion.erasure, **parts)
        return dataclasses.replace(self.deletion, erasure=erasure)

    async def require_journal(self):
        """Let deletions begin."""

    async def note(self, account_id, at):
        self.noted.setdefault(account_id, at)

    async def forget_customer(self, customer_id):
        if self.is_service_away:
            raise PaymentError("The payment service gave no answer.", retryable=True)
        self.customers.discard(customer_id)

    async def delete(self, *, write_off=True):
        """Delete alice's account, and let the nodes go on meanwhile.

        It looks each second of the world, for as long as a command does.
        """
        deletion = dataclasses.replace(self.deletion, looks_max=45, look_every_s=1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(account_erasure, "asyncio", self.world.asyncio_in_world_time())
            deleting = self.world.begin(deletion.delete("alice", write_off=write_off))
            while not deleting.done():
                await self.world.pass_seconds()
                assert await self.world.findings() == []
        return await deleting


@pytest.fixture
async def office(world):
    office = Office(world)
    await office.cards.save_card("alice", "cus_1", "pm_1", "alice@example.com")
    await office.accounts.set_email("alice", "home@example.com")
    await office.cards.set_auto("alice", enabled=True, threshold_micros=UNIT, amount_micros=UNIT)
    return office


async def moved(world):
    """Return what moved alice's credit: kind and micros, sorted."""
    found = await SqlStatementStore(world.engine).page("alice", limit=9)
    return sorted((line.kind, line.micros) for line in found)


async def test_a_deletion_ends_running_calls_and_charges_them_exactly(office):
    world = office.world
    calls = [await world.call(f"c{n}") for n in range(2)]
    await world.pass_seconds(10)
    assert await world.findings() == []
    assert await office.delete() == DELETED
    assert [call.end.ended_by for call in calls] == ["operator"] * 2
    assert all(10 <= call.seconds <= 12 for call in calls)
    assert (await world.call("c3")).refusal == "account_frozen"
    await world.drainer.drain_once()
    spent = [call.seconds * CENT for call in calls]
    assert await moved(world) == [
        *sorted(("charge", -micros) for micros in spent),
        ("closing", sum(spent) - 50 * UNIT),
        ("grant", 50 * UNIT),
    ]
    assert await world.gate.balance("alice") == 0
    await world.assert_in_order()
    # What the books need is there, and no more.
    for call in calls:
        record = await world.records.get_with_forgotten("alice", call.call_id)
        assert (record.opened.account_id, record.cost_micros) == ("alice", call.seconds * CENT)
        assert (record.opened.destination, record.opened.country) == ("", "")
        assert await world.records.get("alice", call.call_id) is None
    profile = await office.cards.profile("alice")
    assert (profile.email, profile.has_card, profile.auto_enabled) == ("", False, False)
    assert (profile.deleted, profile.frozen, office.customers) == (True, True, set())


async def test_nothing_is_left_of_a_person(office):
    """The holder goes from the book, and the sessions from Valkey; a repeat changes nothing."""
    world, at = office.world, utc_now()
    alice = Holder("alice", "alice@example.com", at, "hash", 1, "en", at)
    async with writing(world.engine, TIMEOUT_S) as connection:
        assert await holders.insert(connection, alice, "alice@example.com")
        await devices.note(connection, "alice", Device("d1", "Firefox", "Linux", at, at))
    session = Session("alice", "d1", frozenset({"pwd"}), 1, at, at, at)
    secret = await office.sessions.begin(session)
    assert (
        await office.deletion.delete("alice", write_off=False)
    ).outcome is DeletionOutcome.HAS_CREDIT
    assert await office.sessions.find(secret) == session
    for _ in range(2):
        assert await office.deletion.delete("alice", write_off=True) == DELETED
        assert await office.sessions.find(secret) is None
        async with reading(world.engine, TIMEOUT_S) as connection:
            assert await holders.find(connection, "alice") is None
            assert await devices.of_account(connection, "alice") == []
    await world.assert_in_order()


async def test_sessions_that_could_not_be_ended_are_ended_by_a_repeat(office):
    ended = []

    async def end_sessions(account_id):
        ended.append(account_id)
        if len(ended) == 1:
            raise StoreUnavailableError("sessions cannot be kept right now")

    deletion = office.having(end_sessions=end_sessions)
    with pytest.raises(StoreUnavailableError):
        await deletion.delete("alice", write_off=True)
    assert await deletion.delete("alice", write_off=True) == DELETED
    assert ended == ["alice"] * 2


async def test_credit_is_not_deleted_by_accident(office):
    """Held or not: without a word on what becomes of it nothing is changed."""
    world = office.world
    call = await world.call("c1")
    await world.pass_seconds(3)
    left = Deletion(DeletionOutcome.HAS_CREDIT, 50 * UNIT)
    assert await office.deletion.delete("alice", write_off=False) == left
    await world.pass_seconds()
    assert call.is_live
    assert (await office.cards.profile("alice")).has_card
    await world.hang_up(call)
    await world.assert_in_order()


async def test_an_account_without_credit_is_just_deleted(office):
    await office.world.credit("alice", -50 * UNIT, "re:1", kind="refund")
    assert await office.deletion.delete("alice", write_off=False) == DELETED
    assert await moved(office.world) == [("grant", 50 * UNIT), ("refund", -50 * UNIT)]
    await office.world.assert_in_order()


async def test_a_debt_is_written_off_too(office):
    await office.world.credit("alice", -60 * UNIT, "du:1", kind="dispute")
    assert await office.deletion.delete("alice", write_off=True) == DELETED
    assert ("closing", 10 * UNIT) in await moved(office.world)
    assert await office.world.gate.balance("alice") == 0
    await office.world.assert_in_order()


async def test_a_repeat_changes_nothing_and_two_at_once_are_one(office):
    world = office.world
    once = await asyncio.gather(
        *(office.deletion.delete("alice", write_off=True) for _ in range(4))
    )
    assert once == [DELETED] * 4
    deleted_at = (await office.accounts.account("alice")).deleted_at
    assert await office.deletion.delete("alice", write_off=False) == DELETED
    assert (await office.accounts.account("alice")).deleted_at == deleted_at
    assert await moved(world) == [("closing", -50 * UNIT), ("grant", 50 * UNIT)]
    await world.assert_in_order()


class Overtaken:
    """A gate whose reader is overtaken by another deletion once it has read a balance."""

    def __init__(self, office, *, at):
        self._office, self._left = office, at

    def __getattr__(self, name):
        return getattr(self._office.world.gate, name)

    async def balance(self, account_id):
        micros = await self._office.world.gate.balance(account_id)
        self._left -= 1
        if self._left == 0:
            await self._office.deletion.delete(account_id, write_off=True)
        return micros


@pytest.mark.parametrize("at", [1, 2, 3])
async def test_whoever_was_overtaken_books_nothing(office, at):
    late = office.having(gate=Overtaken(office, at=at))
    assert await late.delete("alice", write_off=True) == DELETED
    assert await moved(office.world) == [("closing", -50 * UNIT), ("grant", 50 * UNIT)]
    await office.world.assert_in_order()


async def test_credit_that_comes_later_is_kept_and_can_be_written_off(office):
    world = office.world
    await office.deletion.delete("alice", write_off=True)
    await world.credit("alice", 5 * UNIT, "pi:late")
    assert await world.findings() == []
    late = Deletion(DeletionOutcome.DELETED, 5 * UNIT)
    assert await office.deletion.delete("alice", write_off=False) == late
    assert await world.gate.balance("alice") == 5 * UNIT
    assert await office.deletion.delete("alice", write_off=True) == DELETED
    assert await world.gate.balance("alice") == 0
    await world.assert_in_order()


async def test_calls_that_do_not_end_leave_the_rest_for_a_repeat(office):
    """Their node is dead; when a sweeper has settled them, the same command finishes it."""
    world = office.world
    call = await world.call("c1")
    await world.pass_seconds(2)
    world.crash(0)
    gone_on = await office.delete()
    assert gone_on == Deletion(DeletionOutcome.CALLS_GO_ON, 50 * UNIT)
    assert (await office.cards.profile("alice")).has_card
    world.nodes[0].is_running = True
    await world.pass_seconds()
    assert not call.is_live
    assert await office.delete() == DELETED
    assert not (await office.cards.profile("alice")).has_card
    await world.assert_in_order()


async def test_a_payment_service_that_is_away_leaves_the_card_for_a_repeat(office):
    office.is_service_away = True
    with pytest.raises(PaymentError):
        await office.deletion.delete("alice", write_off=True)
    assert (await office.cards.profile("alice")).customer_id == "cus_1"
    office.is_service_away = False
    assert await office.deletion.delete("alice", write_off=False) == DELETED
    assert office.customers == set()
    await office.world.assert_in_order()


async def test_a_customer_of_a_service_that_is_not_set_up_is_named(office):
    deletion = office.having(forget_customer=None)
    named = Deletion(DeletionOutcome.DELETED, customer_id="cus_1")
    assert await deletion.delete("alice", write_off=True) == named
    assert await deletion.delete("alice", write_off=True) == DELETED


async def test_a_deletion_outlives_the_loss_of_the_gate(office, valkey_server):
    """Frozen in the book first: a gate that is filled anew lets nobody call."""
    world = office.world
    await office.deletion.delete("alice", write_off=True)
    await world.book.freeze("alice", False)
    valkey_server.command("FLUSHALL")
    with pytest.raises(StoreUnavailableError):
        await world.gate.balance("alice")
    await world.reconcile()
    assert (await world.call("c1")).refusal == "account_frozen"
    await world.assert_in_order()


async def test_nobody_is_deleted_who_is_not_there(office):
    with pytest.raises(LookupError):
        await office.deletion.delete("nobody", write_off=True)


async def test_a_deletion_in_the_last_paid_seconds_takes_no_more_than_there_is(office):
    world = office.world
    await world.credit("alice", -50 * UNIT + 12 * CENT, "re:1", kind="refund")
    call = await world.call("c1")
    await world.pass_seconds(12 - HORIZON_S // 2)
    assert await office.delete() == DELETED
    assert 8 <= call.seconds <= 12
    assert await world.lowest_balance() == 0
    await world.assert_in_order()


async def test_what_a_killed_command_holds_is_said_at_once_with_its_end(office):
    erasures = office.deletion.erasure.erasures
    await erasures.begin_now("alice", Unspent.GIVE_UP, Actor.OPERATOR)
    before = utc_now()
    assert await erasures.held_until("alice") is None
    # Its process is killed in the middle of a step.
    assert await erasures.lease("alice")
    deletion = dataclasses.replace(office.deletion, held_looks_max=4)
    held = await deletion.delete("alice", write_off=True)
    assert held.outcome is DeletionOutcome.HELD
    assert before + LEASED <= held.held_until <= utc_now() + LEASED
    await erasures.rest("alice", timedelta())
    assert await erasures.held_until("alice") is None
    assert await office.deletion.delete("alice", write_off=True) == DELETED


def answering(is_rewritten):
    """Return what tells whether a store writes its files anew."""

    async def rewrite_files():
        return is_rewritten

    return rewrite_files


async def test_the_audit_log_says_who_has_an_account_deleted_and_until_it_is_why(office):
    erasures = office.deletion.erasure.erasures
    order = Order("kim", "asked for by letter")
    await erasures.begin_now("alice", Unspent.GIVE_UP, Actor.OPERATOR, order)
    assert await asked_by(office.world) == [("kim", "asked for by letter")]
    # Where the store is writing its files anew as it is, the last line comes later.
    deletion = office.having(rewrite_files=answering(True))
    assert await deletion.delete("alice", write_off=True, order=order) == DELETED
    async with reading(office.world.engine, TIMEOUT_S) as connection:
        erased, asked = await audit_log.of_account(connection, "alice", limit=9)
    # Reasons are somebody's words, and go with the account.
    assert (asked.act, asked.actor, asked.operator, asked.reason) == (
        Act.DELETION_ASKED,
        Actor.OPERATOR,
        "kim",
        "",
    )
    assert (erased.act, erased.actor) == (Act.ERASED, Actor.SERVICE)


async def test_an_order_has_its_line_in_the_transaction_that_closes_the_account(office):
    erasures, orders = office.deletion.erasure.erasures, [Order("kim", "1"), Order("lee", "2")]
    await asyncio.gather(
        *(erasures.begin_now("alice", Unspent.GIVE_UP, Actor.OPERATOR, each) for each in orders)
    )
    assert (await office.accounts.account("alice")).deleted_at is not None
    # Who finishes what another has begun, or finds it done, has ordered nothing.
    for _ in range(2):
        await office.deletion.delete("alice", write_off=True, order=Order("max", "3"))
    world = office.world
    assert len(await asked_by(world)) == 1
    # To give up what has come since is an act of its own.
    await world.credit("alice", UNIT, "late")
    await office.deletion.delete("alice", write_off=True, order=Order("max", "4"))
    assert (await asked_by(world))[0] == ("max", "")
    assert len(await asked_by(world)) == 2


async def asked_by(world):
    """Return who has ordered alice's deletion, and why, the newest first."""
    async with reading(world.engine, TIMEOUT_S) as connection:
        lines = await audit_log.of_account(connection, "alice", limit=9)
    return [(each.operator, each.reason) for each in lines if each.act is Act.DELETION_ASKED]


async def test_an_operators_deletion_is_in_the_register_of_requests_once(office):
    """By it deletions are known again where a copy of the database is older than they are."""
    deletion = office.having(rewrite_files=answering(True))
    for number in range(2):
        order = Order("kim", f"asked for by letter {number}")
        assert await deletion.delete("alice", write_off=True, order=order) == DELETED
    async with reading(office.world.engine, TIMEOUT_S) as connection:
        (listed,) = await data_requests.newest(connection)
    assert (listed.account_id, listed.right) == ("alice", Right.DELETION)
    assert (listed.done_by, listed.note) == (Actor.SERVICE, "")


@pytest.mark.parametrize("is_rewritten", [True, False])
async def test_a_deletion_says_whether_old_files_still_wait(office, is_rewritten):
    deletion = office.having(rewrite_files=answering(is_rewritten))
    done = await deletion.delete("alice", write_off=True)
    assert (done.outcome, done.has_old_files) == (DeletionOutcome.DELETED, not is_rewritten)
    with command.out.capture() as said:
        accounts._explain(done, Settings())
    assert ("within ten minutes" in " ".join(said.get().split())) is not is_rewritten
